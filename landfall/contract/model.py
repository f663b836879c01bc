"""The contract model: one table with its columns, key, quality rules and tolerance."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Self

from landfall.contract.cleaning import Cleaning
from landfall.contract.conditions import Condition
from landfall.contract.domains import DOMAINS, Domain

PUBLIC_CLASSES = frozenset({"public", "internal"})
"""Classifications whose values may be shown; values of any other classification are masked."""

LOGICAL_TYPES = ("string", "integer", "number", "boolean", "date", "timestamp", "time")
"""Logical types of the standard that a column may have."""


class ContractError(ValueError):
    """A contract cannot be read, breaks the standard, or asks for an unsupported check.

    Attributes:
        file: the contract's file name.
        path: the place in the document, such as `schema[0].properties[3].logicalType`.
        reason: what is wrong there and what is expected.
    """

    def __init__(self, file: str, path: str, reason: str) -> None:
        super().__init__(f"{file}: {path or 'document'}: {reason}")
        self.file = file
        self.path = path
        self.reason = reason


@dataclass(frozen=True)
class Hints:
    """How files of the dataset are written; None where it is detected from the file.

    `delimiter`, `quote` and `escape` are single characters, `escape` None means that a
    quote inside quotes is doubled. `encoding` is the name of a Python codec.
    `kind` is csv, jsonl, json, parquet or xlsx.

    `header` says whether a first line names the columns; without one they are those of the
    contract, in its order. `skip_lines` stand before the header and are no records; neither are
    lines that begin with `comment`. `sheet` names the sheet of a workbook, or counts it from 1.
    """

    kind: str | None = None
    delimiter: str | None = None
    quote: str = '"'
    escape: str | None = None
    encoding: str | None = None
    header: bool = True
    skip_lines: int = 0
    comment: str | None = None
    sheet: str | int | None = None

    @property
    def plain(self) -> bool:
        """Whether a file begins with its header, and each line after it belongs to a record."""
        return self.header and not self.skip_lines and self.comment is None


@dataclass(frozen=True)
class Column:
    """One property of the table. Bounds have the column's Python type, None if not given.

    `format` is that of the standard: i8 to u32 for integers, f32 or f64, a JDK date pattern, or a
    text format such as uuid. `enum` has the allowed values as written in the contract. `decimal`
    is the precision and scale of a number that is stored as a decimal; its bounds are decimals.
    `source` is what files call the column. `id` is that of the standard, by which contracts refer
    to it. `path` are the names and positions that lead to the value in an object of JSON.
    `years_from` is the first of the hundred years that two digits of a year stand for.
    """

    name: str
    logical_type: str
    required: bool = False
    unique: bool = False
    key_position: int | None = None
    format: str | None = None
    minimum: Any = None
    maximum: Any = None
    exclusive_minimum: Any = None
    exclusive_maximum: Any = None
    multiple_of: str | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    enum: tuple[Any, ...] = ()
    timezone: bool | None = None
    decimal: tuple[int, int] | None = None
    cleaning: Cleaning = field(default_factory=Cleaning)
    classification: str | None = None
    description: str = ""
    physical_name: str | None = None
    id: str | None = None
    path: tuple[str | int, ...] | None = None
    years_from: int | None = None

    @property
    def source(self) -> str:
        """The column's name in files."""
        return self.name if self.physical_name is None else self.physical_name

    @property
    def domain(self) -> Domain:
        """What the column's type admits."""
        return DOMAINS["decimal" if self.decimal is not None else self.logical_type]

    @property
    def masked(self) -> bool:
        """Whether this column's values must not be shown in reports."""
        return self.classification is not None and self.classification not in PUBLIC_CLASSES


@dataclass(frozen=True)
class QualityRule:
    """A quality rule: a measure over the table, and its bound.

    `kind` is count, sum, min, max, avg or duplicates; `condition` selects the records, `of` is the
    aggregated expression, `key` has the columns whose repeated values are counted. `operator` is
    that of the standard, `bound` its one or two numbers; `percent` relates a count to all records.
    """

    name: str
    column: str | None
    kind: str
    condition: Condition
    operator: str
    bound: tuple[float, ...]
    of: Condition | None = None
    key: tuple[str, ...] = ()
    percent: bool = False

    def renamed(self, name: str) -> Self:
        """Return the same rule with another name."""
        return replace(self, name=name)

    @property
    def per_record(self) -> bool:
        """Whether the bound allows no counted record, so that each counted record is rejected."""
        if self.kind not in {"count", "duplicates"} or self.name == "rowCount":
            return False
        if self.operator in {"mustNotBe", "mustNotBeBetween"}:
            return False
        return self.is_satisfied_by(0) and not self.is_satisfied_by(1e-9 if self.percent else 1)

    def is_satisfied_by(self, value: float) -> bool:
        """Whether a measured value satisfies the bound."""
        first, last = self.bound[0], self.bound[-1]
        return {
            "mustBe": value == first,
            "mustNotBe": value != first,
            "mustBeGreaterThan": value > first,
            "mustBeGreaterOrEqualTo": value >= first,
            "mustBeLessThan": value < first,
            "mustBeLessOrEqualTo": value <= first,
            "mustBeBetween": first <= value <= last,
            "mustNotBeBetween": not first <= value <= last,
        }[self.operator]


@dataclass(frozen=True)
class Relationship:
    """A foreign key: values of `columns` must exist in columns `to` of another dataset.

    With `by_id` dataset and columns may be named by the ids of the other contract; see
    `folder.resolved`.
    """

    columns: tuple[str, ...]
    dataset: str
    to: tuple[str, ...]
    by_id: bool = False

    @property
    def target(self) -> str:
        """The referenced dataset and columns, as messages show them."""
        return f"{self.dataset}.{','.join(self.to)}"


@dataclass(frozen=True)
class Drift:
    """Policies for a file whose columns differ from the contract's.

    `freeze` always refuses the file. `extra`: discard does not load them, evolve loads them to
    bronze as text. `reordered`: evolve matches by name. `missing`: evolve fills optional columns
    with null, and refuses the file if a required one is missing; None, the default, also refuses it
    if silver has values in a missing column. `renamed`, by letter case and
    separators: evolve maps them to the contract's columns, discard treats them as extra. `changed`
    types, in formats with types: evolve accepts values that can be read as the contract's type,
    discard rejects the records whose value cannot.
    """

    extra: str = "discard"
    reordered: str = "evolve"
    missing: str | None = None
    renamed: str = "freeze"
    changed: str = "freeze"


@dataclass(frozen=True)
class DeliveryOptions:
    """Kind of drops, load order and batch limits; None where the service's setting applies.

    `kind` is file, or folder for folders that a `_SUCCESS` file completes. If `ordered`, a drop is
    loaded only after all drops that landed earlier. `reference_wait` is how long a drop waits for
    the records that it refers to.
    """

    kind: str = "file"
    ordered: bool = False
    batch_drops: int | None = None
    batch_rows: int | None = None
    batch_window: timedelta | None = None
    reference_wait: timedelta | None = None


@dataclass(frozen=True)
class Contract:
    """A whole contract; columns in the contract's order, `key` by primary key position.

    `max_rejected_ratio` is the share of records, 0 to 1, that may be rejected.
    `deleted_when` is a column with a value, or true, in deleted rows: gold leaves them out.
    `history` keeps earlier versions of records in silver. `text` is the document it was read from,
    by which it can be kept and read again.
    """

    dataset: str
    version: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    max_rejected_ratio: float
    hints: Hints
    sla: tuple[dict[str, Any], ...] = ()
    rules: tuple[QualityRule, ...] = ()
    relationships: tuple[Relationship, ...] = ()
    drift: Drift = field(default_factory=Drift)
    delivery: DeliveryOptions = field(default_factory=DeliveryOptions)
    history: bool = False
    deleted_when: str | None = None
    table_id: str | None = None
    text: str = field(default="", repr=False, compare=False)

    @property
    def digest(self) -> str:
        """Names this very document among all versions of the contract."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:24]

    def column(self, name: str) -> Column:
        """Return the column called `name`; raise KeyError if there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def foreign_values(self, dataset: str, key: Mapping[str, str]) -> Iterator[dict[str, str]]:
        """Yield the values of a key of another dataset by the columns that refer to it."""
        for link in self.relationships:
            if link.dataset == dataset and set(link.to) == key.keys():
                pairs = zip(link.columns, link.to, strict=True)
                yield {column: key[to] for column, to in pairs}

    def table(self) -> dict[str, Any]:
        """Return the table as in a batch document: key names, and columns with logical types.

        History and references are present only if the contract has them.
        """
        table: dict[str, Any] = {
            "key": list(self.key),
            "columns": [_silver_column(column) for column in self.columns],
        }
        if self.history:
            table["history"] = True
        if self.relationships:
            table["references"] = [
                {"columns": link.columns, "dataset": link.dataset, "to": link.to}
                for link in self.relationships
            ]
        return table


_BOUNDS = {
    "minimum": "minimum",
    "maximum": "maximum",
    "exclusiveMinimum": "exclusive_minimum",
    "exclusiveMaximum": "exclusive_maximum",
}


def _silver_column(column: Column) -> dict[str, Any]:
    definition: dict[str, Any] = {
        "name": column.name,
        "type": column.logical_type,
        "required": column.required,
    }
    bounds = {word: getattr(column, field) for word, field in _BOUNDS.items()}
    if column.decimal is not None:
        definition["decimal"] = list(column.decimal)
    constraints = {word: _json_value(value) for word, value in bounds.items() if value is not None}
    if column.enum:
        constraints["enum"] = [_json_value(value) for value in column.enum]
    # Times of day are text in silver, so their bounds cannot be compared there.
    return definition if column.logical_type == "time" else definition | constraints


def _json_value(value: Any) -> Any:
    """Return a value as JSON; timestamps without an offset are UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat() if value.tzinfo else f"{value.isoformat()}+00:00"
    if isinstance(value, Decimal):
        return format(value, "f")  # JSON's numbers are doubles to most readers
    return value.isoformat() if isinstance(value, date) else value
