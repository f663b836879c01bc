"""Infers a contract from a sample of a file, and proves it: it accepts the sample.

Options are inferred only where the sample is clear; the owner of the data completes the rest. What
a contract cannot express, or the sample does not carry, is said in remarks at its head.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from landfall.authoring import guesses
from landfall.authoring.guesses import Guess
from landfall.authoring.sample import FileSample, read_sample
from landfall.contract.columns import NOT_IN_NAMES
from landfall.contract.odcs import parse
from landfall.validation.engine import validate
from landfall.validation.local_files import FileOutputs
from landfall.validation.problems import Refusal
from landfall.validation.report import Check, Report
from landfall.validation.streams import ByteSource

_CLEAR = 100
"""Records from which on an enum, a lower bound, or `required` is inferred."""
_KEYED = 20
"""Records from which on a key is inferred."""
_FEW = 20
_LONG_KEY = 200
_ATTEMPTS = 8
_YEARS = (1800, 2100)
_RECORD_RULES = ("fieldCount", "quote", "newline", "json")


@dataclass
class _Property:
    """A property of the contract to be, with what its column is called in the file."""

    source: str
    document: dict[str, Any]


@dataclass
class _Draft:
    """A contract to be."""

    dataset: str
    sample: FileSample
    properties: list[_Property]
    remarks: list[str]
    ratio: float = 0.0
    evolve: bool = False
    encoding: str | None = None

    def text(self) -> str:
        """Return the contract as YAML."""
        sample = self.sample
        document: dict[str, Any] = {
            "apiVersion": "v3.2.0",
            "kind": "DataContract",
            "id": self.dataset.replace("_", "-"),
            "version": "0.1.0",
            "status": "draft",
            "name": self.dataset,
            "schema": [
                {
                    "name": self.dataset,
                    "logicalType": "object",
                    "properties": [property_.document for property_ in self.properties],
                }
            ],
        }
        custom: list[dict[str, Any]] = [{"property": "maxRejectedRatio", "value": self.ratio or 0}]
        if sample.delimiter not in {None, ","}:
            custom.append({"property": "delimiter", "value": sample.delimiter})
        written = {
            "header": False if not sample.header else None,
            "skipLines": sample.skipped or None,
            "commentPrefix": sample.comment,
            "sheet": sample.sheet,
        }
        custom += [
            {"property": name, "value": value}
            for name, value in written.items()
            if value is not None
        ]
        if self.encoding is not None:
            custom.append({"property": "encoding", "value": self.encoding})
        if self.evolve:
            custom.append({"property": "drift", "value": {"changedTypes": "evolve"}})
        document["customProperties"] = custom
        lead = [
            f"Inferred from {sample.records:,} records of a {sample.format.kind} file. Add what is",
            "not in the sample: descriptions, classification, bounds, keys.",
            *(f"- {remark}" for remark in [*self.remarks, *self._guessed()]),
        ]
        comment = "".join(f"# {_line(remark)}\n" for remark in lead)
        return comment + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)

    def _guessed(self) -> list[str]:
        """Return what is only as wide as the sample."""
        listed = [p.document["name"] for p in self.properties if "enum" in p.document]
        if not listed:
            return []
        one = len(listed) == 1
        subject = f"{'Column' if one else 'Columns'} {', '.join(listed)} {'has' if one else 'have'}"
        return [
            f"{subject} few values: they are the enum. Take it out where the list is not closed."
        ]


def infer(source: ByteSource, *, name: str, dataset: str) -> str:
    """Return the YAML of a contract for files such as `source`; it accepts the sample.

    Raises:
        Refusal: the file cannot be read, has no header, or has no column for a contract.
    """
    sample = read_sample(source, name)
    if not sample.records:
        raise Refusal("the file holds no records", "use a file with some records as sample")
    draft = _Draft(dataset, sample, [], [])
    _add_columns(draft)
    _remark(draft)
    if not draft.properties:
        raise Refusal(
            "no column of the file can be described by a contract",
            "write flat records with names; see " + "; ".join(draft.remarks),
        )
    _prove(draft)
    draft.encoding = sample.encoding
    parse(draft.text(), file=f"{dataset}.odcs.yaml")
    return draft.text()


def _remark(draft: _Draft) -> None:
    """Say how the file is written, where that was guessed."""
    sample = draft.sample
    if sample.guessed:
        draft.remarks.append(f"It is not UTF-8, and most likely {sample.encoding}.")
    if not sample.header:
        draft.remarks.append(
            "The first line reads as a record: there is no header, and columns are named by their "
            "position. Give them names; their order is the file's."
        )
    if sample.skipped:
        lines = "a line" if sample.skipped == 1 else f"{sample.skipped} lines"
        draft.remarks.append(f"The header comes after {lines} to be skipped.")
    if sample.comment is not None:
        draft.remarks.append(f"Lines that begin with {sample.comment} are comments.")
    if sample.sheet is not None:
        others = ", ".join(sample.sheets[1:])
        draft.remarks.append(f"It reads the sheet {sample.sheet}; there are others: {others}.")
    if any("twoDigitYearStart" in str(p.document) for p in draft.properties):
        draft.remarks.append(
            f"Years have two digits: twoDigitYearStart reads them as {guesses.YEARS_FROM} to "
            f"{guesses.YEARS_FROM + 99}."
        )


def _add_columns(draft: _Draft) -> None:
    sample = draft.sample
    guessed = _guesses(sample)
    if sample.format.kind in {"csv", "xlsx"} and _is_record(sample.names, guessed):
        draft.sample = sample = sample.without_header()
        guessed = _guesses(sample)
    taken: set[str] = set()
    keyed = False
    for name, cells, guess in zip(sample.names, sample.columns, guessed, strict=True):
        reason = _left_out(name, sample, guess)
        if reason is not None or guess is None:
            draft.remarks.append(f"Column {name!r} is left out: {reason}.")
            continue
        if guess.kind == "string" and any(isinstance(cell, int) for cell in cells):
            draft.evolve = True
        property_ = _property(name, taken, guess, sample.paths.get(name))
        keyed = _add_rules(draft, property_.document, cells, guess, keyed=keyed) or keyed
        draft.properties.append(property_)
    if not keyed:
        draft.remarks.append("No column is a key: records are appended, not merged.")


def _guesses(sample: FileSample) -> list[Guess | None]:
    return [
        _guess(sample, name, cells)
        for name, cells in zip(sample.names, sample.columns, strict=True)
    ]


def _guess(sample: FileSample, name: str, cells: Sequence[Any]) -> Guess | None:
    if sample.types:
        return guesses.of_parquet(sample.types[name])
    known = [cell for cell in cells if cell is not None and cell != ""]
    if not known:
        return Guess("string")
    texts = sample.format.kind in {"csv", "xlsx"}
    return guesses.of_texts(known) if texts else guesses.of_json(known)


def _left_out(name: str, sample: FileSample, guess: Guess | None) -> str | None:
    if not name:
        return "it has no name"
    if sample.names.count(name) > 1:
        return "the file has the name more than once"
    if guess is None:
        return "its values are nested, or of several types that no type of a contract has"
    return None


def _is_record(names: Sequence[str], guessed: Sequence[Guess | None]) -> bool:
    """Whether the first line of a file reads as a record like the others."""
    typed = [
        (name, guess)
        for name, guess in zip(names, guessed, strict=True)
        if guess is not None and guess.kind != "string"
    ]
    alike = [name for name, guess in typed if name and guesses.of_texts([name]) == guess]
    years = all(name.isdigit() and _YEARS[0] <= int(name) <= _YEARS[1] for name in alike)
    distinct = len(set(alike)) == len(alike)
    return bool(typed) and len(alike) == len(typed) and not (years and distinct)


def _column_name(source: str, taken: set[str]) -> str:
    """Return the name of a column: the file's, where Delta takes it and no other has it."""
    name = source
    if NOT_IN_NAMES.search(name) or name.startswith("_"):
        name = NOT_IN_NAMES.sub("_", name)
        while "__" in name:
            name = name.replace("__", "_")
        name = name.strip("_") or "column"
    unique, number = name, 2
    while unique.casefold() in taken:
        unique, number = f"{name}_{number}", number + 1
    taken.add(unique.casefold())
    return unique


def _property(
    source: str, taken: set[str], guess: Guess, path: tuple[str, ...] | None
) -> _Property:
    name = _column_name(source if path is None else "_".join(path), taken)
    document: dict[str, Any] = {"name": name}
    custom = dict(guess.cleaning)
    if path is not None:
        custom["jsonPath"] = "$" + "".join(map(_step, path))
    elif name != source:
        document["physicalName"] = source
    document["logicalType"] = guess.kind
    if guess.physical is not None:
        document["physicalType"] = guess.physical
    if guess.options:
        document["logicalTypeOptions"] = dict(guess.options)
    if custom:
        document["customProperties"] = [
            {"property": name, "value": value} for name, value in custom.items()
        ]
    return _Property(source, document)


_PLAIN_STEP = re.compile(r"[\w-]+")


def _step(name: str) -> str:
    return f".{name}" if _PLAIN_STEP.fullmatch(name) else f"['{name}']"


def _add_rules(
    draft: _Draft, document: dict[str, Any], cells: Sequence[Any], guess: Guess, *, keyed: bool
) -> bool:
    """Add the rules that the sample carries; return whether the column is the key."""
    missing = {None, "", *guess.cleaning.get("missingValues", ())}
    texts = [str(cell) for cell in cells if not isinstance(cell, (dict, list))]
    complete = not missing.intersection(texts) and None not in cells
    if complete and len(cells) >= _CLEAR:
        document["required"] = True
    may_be_key = complete and not keyed and len(cells) >= _KEYED
    if may_be_key and guess.kind in {"integer", "string"} and _unique(texts):
        document |= {"primaryKey": True, "primaryKeyPosition": 1, "required": True, "unique": True}
        return True
    if len(cells) < _CLEAR:
        return False
    if guess.kind in {"integer", "number"} and not any(text.startswith("-") for text in texts):
        document.setdefault("logicalTypeOptions", {})["minimum"] = 0
    elif guess.kind == "string" and not draft.evolve:
        values = sorted({cell for cell in cells if isinstance(cell, str) and cell})
        if 0 < len(values) <= min(_FEW, len(cells) // _FEW) and not _goes_on(values):
            document["enum"] = [{"value": value} for value in values]
    return False


_MONTHS = frozenset(
    {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}
)
_YEAR = re.compile(r"(?:19|20)[0-9]{2}")


def _goes_on(values: Sequence[str]) -> bool:
    """Whether other values are sure to come: months of which some are missing, years, dates."""
    folded = [value.casefold()[:3] for value in values]
    return all(_YEAR.search(value) for value in values) or all(one in _MONTHS for one in folded)


def _unique(texts: Sequence[str]) -> bool:
    return len(set(texts)) == len(texts) and max(map(len, texts)) <= _LONG_KEY


def _prove(draft: _Draft) -> None:
    """Validate the sample by the contract, and take back what it breaks.

    Raises:
        Refusal: the sample is refused for what no contract can change.
    """
    for _ in range(_ATTEMPTS):
        draft.encoding = None if draft.sample.transcoded else draft.sample.encoding
        report = _validated(draft)
        if report.verdict == "accepted" or (draft.ratio and report.verdict != "refused"):
            return
        if not report.rows or not report.checks:
            problem = report.problem
            raise Refusal(
                "the file is not a table" if problem is None else problem.reason,
                "use another file as sample" if problem is None else problem.action,
                line=None if problem is None else problem.line,
            )
        changed = [_take_back(draft, check) for check in report.checks]
        if not any(changed):
            draft.ratio = math.ceil(1000 * report.rejected / report.rows) / 1000
            rules = ", ".join(sorted({check.rule for check in report.checks}))
            draft.remarks.append(
                f"{report.rejected:,} of {report.rows:,} records are rejected ({rules}): "
                "maxRejectedRatio lets them be."
            )


def _validated(draft: _Draft) -> Report:
    contract = parse(draft.text(), file=f"{draft.dataset}.odcs.yaml")
    sample = draft.sample
    return validate(sample.content, contract, name=sample.content_name, outputs=FileOutputs())


_OF_RULE = {
    "required": ("required",),
    "unique": ("primaryKey", "primaryKeyPosition", "unique"),
    "enum": ("enum",),
    "minimum": ("logicalTypeOptions",),
}


def _take_back(draft: _Draft, check: Check) -> bool:
    """Take back what a broken rule says of a column; return whether there was anything."""
    found = [p for p in draft.properties if p.document["name"] == check.column]
    if not found or check.rule in _RECORD_RULES:
        return False
    document = found[0].document
    if check.rule == "type" and document["logicalType"] != "string":
        for name in ("logicalTypeOptions", "physicalType"):
            document.pop(name, None)
        custom = document.pop("customProperties", [])
        if kept := [one for one in custom if one["property"] == "jsonPath"]:
            document["customProperties"] = kept
        was, document["logicalType"] = document["logicalType"], "string"
        draft.remarks.append(f"Column {check.column!r} is mostly {was}; some values are not.")
        return True
    said = [name for name in _OF_RULE.get(check.rule, ()) if name in document]
    for name in said:
        del document[name]
    return bool(said)


def _line(text: str) -> str:
    """Return a remark as one line of a comment."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
