"""Compares two versions of a contract and finds changes that break readers of its table.

A rule that is removed or relaxed is breaking for readers: the table may have values that it could
not have before. A rule that is added or tightened is not breaking; it affects only producers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from landfall.contract.formats import INTEGERS
from landfall.contract.model import Column, Contract, QualityRule

_LOWER = ("minimum", "exclusive_minimum", "min_length")
_UPPER = ("maximum", "exclusive_maximum", "max_length")
_WORDS = {
    "minimum": "minimum",
    "exclusive_minimum": "exclusiveMinimum",
    "min_length": "minLength",
    "maximum": "maximum",
    "exclusive_maximum": "exclusiveMaximum",
    "max_length": "maxLength",
    "multiple_of": "multipleOf",
    "pattern": "pattern",
    "timezone": "timezone",
    "format": "format",
}


@dataclass(frozen=True)
class ContractChange:
    """One difference; `column` is None if it is about the whole table."""

    breaking: bool
    column: str | None
    what: str

    def to_dict(self) -> dict[str, Any]:
        """Return the change as a JSON object."""
        return {"breaking": self.breaking, "column": self.column, "what": self.what}


def diff(old: Contract, new: Contract) -> list[ContractChange]:
    """Return every difference that could affect readers, breaking ones first."""
    changes = [
        *_table(old, new),
        *_columns(old, new),
        *_rules(old, new),
        *_relationships(old, new),
    ]
    return sorted(changes, key=lambda change: not change.breaking)


def _table(old: Contract, new: Contract) -> Iterator[ContractChange]:
    if old.dataset != new.dataset:
        yield ContractChange(True, None, f"renamed from {old.dataset} to {new.dataset}")
    if old.key != new.key:
        was, now = ", ".join(old.key) or "none", ", ".join(new.key) or "none"
        yield ContractChange(bool(old.key), None, f"primary key was {was}, is {now}")
    if old.max_rejected_ratio != new.max_rejected_ratio:
        yield ContractChange(
            False,
            None,
            f"maxRejectedRatio was {old.max_rejected_ratio:g}, is {new.max_rejected_ratio:g}",
        )
    if old.drift != new.drift:
        yield ContractChange(False, None, "the drift policies changed")
    if old.hints != new.hints:
        yield ContractChange(False, None, "the file format options changed")


def _columns(old: Contract, new: Contract) -> Iterator[ContractChange]:
    before = {column.name: column for column in old.columns}
    after = {column.name: column for column in new.columns}
    for name in before.keys() - after.keys():
        yield ContractChange(True, name, "removed")
    for column in new.columns:
        if column.name not in before:
            yield ContractChange(False, column.name, f"added, {column.logical_type}")
        else:
            for breaking, what in _column(before[column.name], column):
                yield ContractChange(breaking, column.name, what)


def _column(old: Column, new: Column) -> Iterator[tuple[bool, str]]:
    if old.logical_type != new.logical_type:
        yield True, f"was {old.logical_type}, is {new.logical_type}"
        return
    yield from _reading(old, new)
    for flag in ("required", "unique"):
        was, now = getattr(old, flag), getattr(new, flag)
        if was != now:
            yield was, f"is {'no longer' if was else 'now'} {flag}"
    for name in (*_LOWER, *_UPPER):
        was, now = getattr(old, name), getattr(new, name)
        if was != now:
            loosened = was is not None and (now is None or (now < was) == (name in _LOWER))
            yield loosened, _changed(name, was, now)
    for name in ("pattern", "multiple_of", "timezone"):
        was, now = getattr(old, name), getattr(new, name)
        if was != now:
            yield was is not None, _changed(name, was, now)
    yield from _format(old, new)
    yield from _enum(old, new)
    if old.masked != new.masked:
        yield False, f"classification was {old.classification}, is {new.classification}"


def _reading(old: Column, new: Column) -> Iterator[tuple[bool, str]]:
    if old.decimal != new.decimal:
        yield True, f"was stored as {_physical(old)}, is stored as {_physical(new)}"
    if old.cleaning != new.cleaning:
        yield True, "its texts are cleaned in another way: they get other values"
    if old.years_from != new.years_from:
        was, now = old.years_from, new.years_from
        yield True, f"two digits of a year were of the hundred from {was} on, now from {now} on"
    if old.path != new.path:
        yield False, "it is found elsewhere in objects of JSON"
    if old.source != new.source:
        yield False, f"files call it {new.source}, no longer {old.source}"


def _physical(column: Column) -> str:
    return "double" if column.decimal is None else "decimal({},{})".format(*column.decimal)


def _format(old: Column, new: Column) -> Iterator[tuple[bool, str]]:
    if old.format == new.format:
        return
    breaking = old.format is not None and old.logical_type in {"string", "number"}
    if old.logical_type == "integer":
        (low, high), (least, most) = (INTEGERS[c.format or "i64"] for c in (old, new))
        breaking = least < low or most > high
    yield breaking, _changed("format", old.format, new.format)


def _enum(old: Column, new: Column) -> Iterator[tuple[bool, str]]:
    if set(old.enum) == set(new.enum):
        return
    if not old.enum or not new.enum:
        yield bool(old.enum), "allows only listed values" if new.enum else "allows any value"
        return
    if more := [value for value in new.enum if value not in old.enum]:
        yield True, f"also allows {', '.join(map(repr, more))}"
    if fewer := [value for value in old.enum if value not in new.enum]:
        yield False, f"no longer allows {', '.join(map(repr, fewer))}"


def _rules(old: Contract, new: Contract) -> Iterator[ContractChange]:
    for rule in old.rules:
        if rule not in new.rules:
            yield ContractChange(
                True, rule.column, f"quality rule {_rule(rule)} is dropped or changed"
            )
    for rule in new.rules:
        if rule not in old.rules:
            yield ContractChange(False, rule.column, f"quality rule {_rule(rule)} is new")


def _relationships(old: Contract, new: Contract) -> Iterator[ContractChange]:
    for link in old.relationships:
        if link not in new.relationships:
            yield ContractChange(True, ",".join(link.columns), f"no longer refers to {link.target}")
    for link in new.relationships:
        if link not in old.relationships:
            yield ContractChange(False, ",".join(link.columns), f"refers to {link.target}")


def _rule(rule: QualityRule) -> str:
    bound = " and ".join(f"{number:g}" for number in rule.bound)
    return f"{rule.name} ({rule.operator} {bound}{' percent' if rule.percent else ''})"


def _changed(name: str, was: Any, now: Any) -> str:
    word = _WORDS[name]
    if was is None:
        return f"{word} is now {now}"
    return f"{word} {was} is dropped" if now is None else f"{word} was {was}, is {now}"
