"""The validation report, as dataclasses and as the JSON that is stored with the run."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self

SCHEMA = 1
MASK = "***"
"""Replaces the values of masked columns."""

Verdict = Literal["accepted", "accepted_with_rejects", "refused"]


@dataclass(frozen=True)
class Format:
    """Format of a file: enough to read it as it was validated.

    `kind` is csv, jsonl, json, parquet or xlsx; `compression` none, gzip, zstd or zip; `encoding` a
    name such as UTF-8, UTF-16 or ISO-8859-1. The three characters are None if the kind has none.
    """

    kind: str = "csv"
    delimiter: str | None = None
    quote: str | None = None
    escape: str | None = None
    encoding: str | None = None
    compression: str = "none"


@dataclass(frozen=True)
class Sample:
    """One failing record: its physical line, and the value as in the file or masked.

    `file` is the part of a folder drop that has the line; None for a drop of one file. `first` is
    the line of the first record with the same key, where the key is repeated, in `first_file`.
    """

    line: int
    value: str | None
    file: str | None = None
    first: int | None = None
    first_file: str | None = None


@dataclass(frozen=True)
class Check:
    """One broken rule: `failed` counts every record that breaks it, the samples are limited.

    `column` is None if the rule is about the whole record, and has names joined by a comma for a
    composite key. `expected` is what the contract says, in words; None where it says no more.
    """

    rule: str
    column: str | None
    failed: int
    samples: tuple[Sample, ...] = ()
    expected: str | None = None


@dataclass(frozen=True)
class Measure:
    """A quality rule over the whole table: its measure, its bound, whether the bound is satisfied.

    `value` is None if nothing could be measured.
    """

    rule: str
    column: str | None
    value: float | None
    expected: str
    kept: bool


@dataclass(frozen=True)
class Link:
    """A relationship: whether it was checked against `keys` of `to`, or why it was not."""

    column: str
    to: str
    checked: bool
    keys: int = 0
    reason: str | None = None


@dataclass(frozen=True)
class Profile:
    """Statistics of the values of a column.

    `exact` says whether `distinct` was counted or estimated. `quantiles` are by percent,
    `histogram` has counts of a sample in bins of equal width, `top` the most frequent values
    with their shares of the sample. `masked` columns show no value.
    """

    column: str
    type: str
    count: int
    nulls: int
    distinct: int
    exact: bool = True
    masked: bool = False
    least: Any = None
    most: Any = None
    quantiles: dict[str, Any] = field(default_factory=dict)
    histogram: tuple[int, ...] = ()
    top: tuple[tuple[Any, float], ...] = ()


@dataclass(frozen=True)
class Example:
    """A rejected record: its cells by the contract's columns, or its raw text if it is malformed.

    Masked columns are masked; `faults` are pairs of rule and column.
    """

    line: int
    faults: tuple[tuple[str, str | None], ...]
    cells: dict[str, str | None] = field(default_factory=dict)
    raw: str | None = None
    file: str | None = None


@dataclass(frozen=True)
class Problem:
    """Why a file is refused, the place, and what the sender can do."""

    reason: str
    action: str
    line: int | None = None
    column: str | None = None


@dataclass(frozen=True)
class Columns:
    """How the file's columns differ from the contract's.

    `missing` are not in the file; `extra` are not in the contract, and the `loaded` ones of them go
    to bronze; `renamed` has the file's name by the contract's name.
    """

    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    reordered: bool = False
    renamed: dict[str, str] = field(default_factory=dict)
    loaded: tuple[str, ...] = ()


@dataclass(frozen=True)
class AcceptedParquet:
    """The typed Parquet of the accepted records: its rows, its bytes, and in how many files.

    `sha256` is of its bytes; None if several tasks wrote it.
    """

    rows: int
    size: int
    files: int = 1
    sha256: str | None = None


@dataclass(frozen=True)
class Report:
    """The verdict on one file. `rows` counts records, without header and blank lines.

    `sha256` is of the raw bytes; None if reading stopped early because of a problem. `parquet` is
    what was written of the accepted records; None if nothing was. `rejects` is the format of the
    rejected records.
    """

    dataset: str
    name: str
    verdict: Verdict
    rows: int
    accepted: int
    rejected: int
    bytes: int
    sha256: str | None
    format: Format
    parquet: AcceptedParquet | None = None
    rejects: Format | None = None
    columns: Columns = field(default_factory=Columns)
    checks: tuple[Check, ...] = ()
    measures: tuple[Measure, ...] = ()
    relationships: tuple[Link, ...] = ()
    examples: tuple[Example, ...] = ()
    profile: tuple[Profile, ...] = ()
    problem: Problem | None = None
    contract_version: str = ""
    max_rejected_ratio: float = 0.0
    seconds: float = 0.0
    schema: int = SCHEMA

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, with `schema` first."""
        document = {"schema": self.schema} | asdict(self)
        samples = [sample for check in document["checks"] for sample in check["samples"]]
        for entry in (*samples, *document["examples"]):
            # Only folder drops have files, and only repeated keys a first one.
            for name in ("file", "first", "first_file"):
                if entry.get(name, "") is None:
                    del entry[name]
        for check in document["checks"]:
            if check["expected"] is None:
                del check["expected"]
        return document

    def to_json(self) -> str:
        """Return one indented JSON document."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read the result of `to_json`; unknown fields of later versions are dropped.

        Raises:
            ValueError: not a report, or of an unknown schema.
        """
        document = json.loads(text)
        if not isinstance(document, dict) or document.get("schema") != SCHEMA:
            raise ValueError(f"not a validation report of schema {SCHEMA}")
        known = {f.name for f in fields(cls)}
        values = {key: value for key, value in document.items() if key in known}
        for key, kind in (("format", Format), ("rejects", Format), ("parquet", AcceptedParquet)):
            values[key] = None if values.get(key) is None else kind(**values[key])
        header = values["columns"]
        values["columns"] = Columns(
            tuple(header["missing"]),
            tuple(header["extra"]),
            header["reordered"],
            header.get("renamed", {}),
            tuple(header.get("loaded", ())),
        )
        values["checks"] = tuple(
            Check(
                c["rule"],
                c["column"],
                c["failed"],
                tuple(Sample(**s) for s in c["samples"]),
                c.get("expected"),
            )
            for c in values["checks"]
        )
        values["measures"] = tuple(Measure(**m) for m in values.get("measures", ()))
        values["relationships"] = tuple(Link(**link) for link in values.get("relationships", ()))
        values["examples"] = tuple(
            Example(**e | {"faults": tuple((rule, column) for rule, column in e["faults"])})
            for e in values.get("examples", ())
        )
        values["profile"] = tuple(
            Profile(
                **p
                | {"histogram": tuple(p["histogram"]), "top": tuple((v, n) for v, n in p["top"])}
            )
            for p in values.get("profile", ())
        )
        values["problem"] = None if values["problem"] is None else Problem(**values["problem"])
        return cls(**values)
