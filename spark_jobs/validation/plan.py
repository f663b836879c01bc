"""The plan: what is to be checked, and how the file is written.

Only what is known to its full meaning is taken: another version, kind, check or operation than
those listed here stops the job, because half a check would be a wrong verdict.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from spark_jobs.errors import PlanError

VERSION = 1
TYPES = frozenset({"string", "integer", "number", "boolean", "date", "timestamp", "time"})
KINDS = frozenset({"csv", "jsonl", "parquet"})
_PARTS = frozenset(
    {
        *("plan", "dataset", "contract_version", "max_rejected_ratio"),
        *("true_values", "false_values", "evolve", "columns", "keys", "rules", "layout"),
    }
)
_COLUMN = frozenset({"name", "type", "required", "masked", "checks", "range", "limit", "pattern"})
_LAYOUT = frozenset(
    {
        *("kind", "path", "names", "sources", "mark"),
        *("delimiter", "quote", "escape", "head", "head_lines"),
    }
)

_READERS: dict[str, Callable[[str], date | time]] = {
    "date": date.fromisoformat,
    "timestamp": datetime.fromisoformat,
    "time": time.fromisoformat,
}


@dataclass(frozen=True)
class ColumnPlan:
    """One column of the table.

    Attributes:
        checks: pairs of rule and argument, in the order in which faults are reported.
        range: whole numbers that the type holds; limit: the largest finite number.
        pattern: of a moment's text, with a named group for each part.
    """

    name: str
    type: str
    required: bool
    masked: bool
    checks: Sequence[tuple[str, Any]]
    range: tuple[int, int] | None = None
    limit: float | None = None
    pattern: str | None = None


@dataclass(frozen=True)
class KeyPlan:
    """Columns whose values together must not repeat; `counts`: each repetition is a fault."""

    rule: str
    columns: tuple[str, ...]
    counts: bool

    @property
    def name(self) -> str:
        """As faults name it."""
        return ",".join(self.columns)


@dataclass(frozen=True)
class RulePlan:
    """A quality rule: a fault of each record it holds of, or a measure over those records."""

    rule: str
    column: str | None
    per_record: bool
    condition: Mapping[str, Any] | None
    of: Mapping[str, Any] | None


@dataclass(frozen=True)
class Layout:
    """How the file is written.

    Attributes:
        path: lake path of the file.
        names: its columns in file order, as the plan calls them.
        sources: what the file calls them, where it is Parquet.
        head: what stands before the first record, as text; head_lines: how many lines that is.
        mark: the byte order mark, as text, that rejects begin with again.
    """

    kind: str
    path: str
    names: tuple[str, ...]
    sources: tuple[str, ...] = ()
    delimiter: str = ","
    quote: str = '"'
    escape: str | None = None
    head: str = ""
    head_lines: int = 0
    mark: str = ""


@dataclass(frozen=True)
class Plan:
    """Everything that a job needs to validate one file.

    Attributes:
        evolve: text may stand for a value that it spells, and a whole number for text, where the
            file gives values that have a type.
    """

    dataset: str
    contract_version: str
    max_rejected_ratio: float
    true_values: tuple[str, ...]
    false_values: tuple[str, ...]
    evolve: bool
    columns: tuple[ColumnPlan, ...]
    keys: tuple[KeyPlan, ...]
    rules: tuple[RulePlan, ...]
    layout: Layout


def parse_plan(text: str) -> Plan:
    """Read a plan.

    Raises:
        PlanError: not a plan, or one that asks for what this engine does not know.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise PlanError(f"The plan is not JSON: {error}.") from error
    version = document.get("plan") if isinstance(document, dict) else None
    if version != VERSION:
        raise PlanError(
            f"The plan is of version {version!r}, and this job knows version {VERSION}: "
            "deploy the bundle of the release that the service runs."
        )
    _only(document, _PARTS, "the plan")
    try:
        return Plan(
            dataset=str(document["dataset"]),
            contract_version=str(document["contract_version"]),
            max_rejected_ratio=float(document["max_rejected_ratio"]),
            true_values=tuple(document["true_values"]),
            false_values=tuple(document["false_values"]),
            evolve=bool(document["evolve"]),
            columns=tuple(_column(column) for column in document["columns"]),
            keys=tuple(
                KeyPlan(key["rule"], tuple(key["columns"]), bool(key["counts"]))
                for key in document["keys"]
            ),
            rules=tuple(RulePlan(**rule) for rule in document["rules"]),
            layout=_layout(document["layout"]),
        )
    except (KeyError, TypeError) as error:
        raise PlanError(f"The plan lacks a part, or has one too many: {error}.") from error


def value_of(written: Any) -> Any:
    """A value as the plan writes it: itself, or an object of a moment's kind and its text."""
    if not isinstance(written, dict):
        return written
    (kind, text), *_ = written.items()
    if len(written) != 1 or kind not in _READERS:
        raise PlanError(f"{written!r} is no value that this job knows.")
    return _READERS[kind](text)


def written(value: Any) -> Any:
    """The inverse of `value_of`."""
    if isinstance(value, datetime):
        return {"timestamp": value.isoformat()}
    if isinstance(value, date):
        return {"date": value.isoformat()}
    if isinstance(value, time):
        return {"time": value.isoformat()}
    return value


def _column(document: Mapping[str, Any]) -> ColumnPlan:
    _only(document, _COLUMN, f"column {document.get('name')!r}")
    if document["type"] not in TYPES:
        raise PlanError(f"Column {document['name']!r} is of type {document['type']!r}.")
    known = dict(document)
    known["checks"] = tuple((rule, argument) for rule, argument in document["checks"])
    if "range" in known:
        known["range"] = tuple(known["range"])
    return ColumnPlan(**known)


def _layout(document: Mapping[str, Any]) -> Layout:
    _only(document, _LAYOUT, "the layout")
    if document["kind"] not in KINDS:
        raise PlanError(f"The file is {document['kind']!r}; this job reads {sorted(KINDS)}.")
    names, sources = tuple(document["names"]), tuple(document.get("sources", ()))
    return Layout(**{**document, "names": names, "sources": sources})


def _only(document: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    if unknown := sorted(set(document) - known):
        raise PlanError(f"{unknown[0]!r} in {where} is not known to this job.")
