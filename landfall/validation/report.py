"""What a validation found, as a value and as the JSON that is kept with the run."""

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self

SCHEMA = 1
MASK = "***"
"""Stands for a value of a column whose classification forbids showing it."""

Verdict = Literal["accepted", "accepted_with_rejects", "refused"]


@dataclass(frozen=True)
class Format:
    """How a file is written: enough for a Copy to read it as it was validated.

    `kind` is csv, jsonl, json or parquet; `compression` none, gzip or zstd; `encoding` a name
    such as UTF-8, UTF-16 or ISO-8859-1. The three characters are None where the kind has none.
    """

    kind: str = "csv"
    delimiter: str | None = None
    quote: str | None = None
    escape: str | None = None
    encoding: str | None = None
    compression: str = "none"


@dataclass(frozen=True)
class Sample:
    """One failing record: the physical line it begins on, and the value as it came or masked.

    `file` is the part of a folder drop in which the line stands; None for a drop of one file.
    """

    line: int
    value: str | None
    file: str | None = None


@dataclass(frozen=True)
class Check:
    """One broken rule: `failed` counts every record that breaks it, samples are capped.

    `column` is None where the whole record is at fault, and names joined by a comma for a
    composite key.
    """

    rule: str
    column: str | None
    failed: int
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True)
class Measure:
    """A quality rule over the whole table: what was measured, what it must be, whether it is.

    `value` is None where nothing could be measured.
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
    """What the values of one column are like.

    `exact` says whether `distinct` was counted or estimated. `quantiles` are by percent,
    `histogram` has counts of a sample in bins of equal width, `top` the most frequent values
    with their shares of the sample. Of `masked` columns no value is told.
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
    """A rejected record: its cells by the contract's columns, or as it came where it has none.

    Masked as everything else; `faults` are pairs of rule and column.
    """

    line: int
    faults: tuple[tuple[str, str | None], ...]
    cells: dict[str, str | None] = field(default_factory=dict)
    raw: str | None = None
    file: str | None = None


@dataclass(frozen=True)
class Problem:
    """Why a file is refused, where, and what the sender can do."""

    reason: str
    action: str
    line: int | None = None
    column: str | None = None


@dataclass(frozen=True)
class Columns:
    """The file's columns against the contract's.

    `missing` are not in the file, `extra` not in the contract, of which the `loaded` go to
    bronze; `renamed` has for names of the contract what the file calls them.
    """

    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    reordered: bool = False
    renamed: dict[str, str] = field(default_factory=dict)
    loaded: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """The verdict on one file. `rows` counts data records read, header and blank lines not.

    `sha256` is of the raw bytes, None where reading stopped early because of a problem.
    `clean` says how the clean copy is written; None where there is none and the file itself is
    what to load. `rejects` likewise for the rejected records.
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
    clean: Format | None = None
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
        """The JSON object, `schema` first."""
        found = {"schema": self.schema} | asdict(self)
        samples = [sample for check in found["checks"] for sample in check["samples"]]
        for each in (*samples, *found["examples"]):
            if each["file"] is None:  # said of folder drops alone
                del each["file"]
        return found

    def to_json(self) -> str:
        """One JSON document, indented for people."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`; fields a later writer added are dropped.

        Raises:
            ValueError: not a report, or of a schema this code does not know.
        """
        found = json.loads(text)
        if not isinstance(found, dict) or found.get("schema") != SCHEMA:
            raise ValueError(f"not a validation report of schema {SCHEMA}")
        known = {f.name for f in fields(cls)}
        values = {key: value for key, value in found.items() if key in known}
        for key in ("format", "clean", "rejects"):
            values[key] = None if values.get(key) is None else Format(**values[key])
        header = values["columns"]
        values["columns"] = Columns(
            tuple(header["missing"]),
            tuple(header["extra"]),
            header["reordered"],
            header.get("renamed", {}),
            tuple(header.get("loaded", ())),
        )
        values["checks"] = tuple(
            Check(c["rule"], c["column"], c["failed"], tuple(Sample(**s) for s in c["samples"]))
            for c in values["checks"]
        )
        values["measures"] = tuple(Measure(**m) for m in values.get("measures", ()))
        values["relationships"] = tuple(Link(**one) for one in values.get("relationships", ()))
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
