"""A contract as the rest of the product sees it: one table, its columns, its key, its tolerance."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Self

from landfall.contract.conditions import Condition
from landfall.contract.formats import dotnet_pattern

PUBLIC_CLASSES = frozenset({"public", "internal"})
"""Classifications whose values may be shown; anything else said of a column masks its values."""

SINK_TYPES = {
    "string": "String",
    "integer": "Int64",
    "number": "Double",
    "boolean": "Boolean",
    "date": "DateTime",
    "timestamp": "DateTime",
    "time": "String",
}
"""ODCS logical type to the interim type a Data Factory Copy converts to."""


class ContractError(ValueError):
    """A contract cannot be read, breaks the standard, or asks for what is not supported.

    Attributes:
        file: the contract's file name.
        path: where in the document, such as `schema[0].properties[3].logicalType`.
        reason: what is wrong there and what would be right.
    """

    def __init__(self, file: str, path: str, reason: str) -> None:
        super().__init__(f"{file}: {path or 'document'}: {reason}")
        self.file = file
        self.path = path
        self.reason = reason


@dataclass(frozen=True)
class Hints:
    """How files of the dataset are written; None where the file itself decides.

    `delimiter`, `quote` and `escape` are single characters, `escape` None means that a
    quote inside quotes is doubled. `encoding` is a name Python's codecs know.
    `kind` is csv, jsonl, json or parquet.
    """

    kind: str | None = None
    delimiter: str | None = None
    quote: str = '"'
    escape: str | None = None
    encoding: str | None = None
    true_values: tuple[str, ...] = ("true", "True", "TRUE")
    false_values: tuple[str, ...] = ("false", "False", "FALSE")


@dataclass(frozen=True)
class Column:
    """One property of the table. Bounds are of the column's own Python type, None where unsaid.

    `format` is the standard's: i8 to u32 for integers, f32 or f64, a JDK date pattern, or a kind
    of text such as uuid. `enum` holds the allowed values as the contract wrote them.
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
    classification: str | None = None
    description: str = ""

    @property
    def masked(self) -> bool:
        """Whether this column's values must not be shown in reports."""
        return self.classification is not None and self.classification not in PUBLIC_CLASSES


@dataclass(frozen=True)
class QualityRule:
    """A quality rule: something measured over the table, and the bound it must keep.

    `kind` is count, sum, min, max, avg or duplicates; `condition` says which records are taken
    in, `of` what is summed or compared, `key` the columns whose repeated values are counted.
    `operator` is the standard's word, `bound` its one or two numbers; `percent` relates a
    count to all records.
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
        """The same rule under another name."""
        return replace(self, name=name)

    @property
    def per_record(self) -> bool:
        """Whether no record at all may be counted, so that each one that is has a fault."""
        if self.kind not in {"count", "duplicates"} or self.name == "rowCount":
            return False
        if self.operator in {"mustNotBe", "mustNotBeBetween"}:
            return False
        return self.keeps(0) and not self.keeps(1e-9 if self.percent else 1)

    def keeps(self, value: float) -> bool:
        """Whether a measured value is within the bound."""
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
    """What stands in `columns` must stand in `to` of another dataset, position by position."""

    columns: tuple[str, ...]
    dataset: str
    to: tuple[str, ...]

    @property
    def target(self) -> str:
        """Where it leads, as a person would say it."""
        return f"{self.dataset}.{','.join(self.to)}"


@dataclass(frozen=True)
class Drift:
    """What is done about a file whose columns are not quite the contract's.

    `freeze` is always a refusal. `extra`: discard does not load them, evolve loads them to
    bronze as text. `reordered`: evolve matches by name. `missing`: evolve takes columns that
    may be empty as empty, and refuses the others. `renamed`, by letter case and separators:
    evolve takes them for the contract's, discard for extra ones. `changed` types, where the
    file itself says types: evolve takes values that can be read as the contract's type, discard
    makes rejects of the records of which the value cannot be it.
    """

    extra: str = "discard"
    reordered: str = "evolve"
    missing: str = "evolve"
    renamed: str = "freeze"
    changed: str = "freeze"


@dataclass(frozen=True)
class DeliveryOptions:
    """How drops come and how they are loaded together; None where the service's setting holds.

    `kind` is file, or folder for folders that a `_SUCCESS` closes. `ordered` asks that no
    drop is loaded before all that landed earlier. `reference_wait` is how long a drop waits for
    what its records refer to.
    """

    kind: str = "file"
    ordered: bool = False
    batch_drops: int | None = None
    batch_rows: int | None = None
    batch_window: timedelta | None = None
    reference_wait: timedelta | None = None


@dataclass(frozen=True)
class Contract:
    """A whole contract; columns in the contract's order, `key` in key order.

    `max_rejected_ratio` is the share of records, 0 to 1, that may be split off as rejects.
    `history` keeps what later drops supersede in silver. `text` is the document it was read
    from, by which it can be kept and read again.
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
    text: str = field(default="", repr=False, compare=False)

    @property
    def digest(self) -> str:
        """Names this very document among all versions of the contract."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:24]

    def column(self, name: str) -> Column:
        """The column called `name`; KeyError if there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def table(self) -> dict[str, Any]:
        """The table as batch documents carry it: key names, and columns by logical type.

        What silver is to enforce, keep or look up is named only where the contract says it.
        """
        table: dict[str, Any] = {
            "key": list(self.key),
            "columns": [_silver_column(column) for column in self.columns],
        }
        if self.history:
            table["history"] = True
        if self.relationships:
            table["references"] = [asdict(one) for one in self.relationships]
        return table

    def translator(
        self, kind: str = "csv", drifted: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Data Factory's `TabularTranslator`: every column by name, typed, nothing truncated.

        Args:
            kind: csv, jsonl, json or parquet; JSON sources are addressed by path.
            drifted: of the file's columns against the contract's: the names that are `missing`,
                those `renamed` with what they are called in the file, and those `loaded`
                beside the contract's.
        """
        drifted = drifted or {}
        renamed = drifted.get("renamed") or {}
        missing = drifted.get("missing") or ()
        mappings = [
            {
                "source": _source(c, renamed.get(c.name, c.name), kind),
                "sink": {"name": c.name, "type": SINK_TYPES[c.logical_type]},
            }
            for c in self.columns
            if c.name not in missing
        ]
        mappings += [
            {"source": {"name": name}, "sink": {"name": name, "type": "String"}}
            for name in drifted.get("loaded") or ()
        ]
        return {
            "type": "TabularTranslator",
            "mappings": mappings,
            "typeConversion": True,
            "typeConversionSettings": {
                "allowDataTruncation": False,
                "treatBooleanAsNumber": False,
                "culture": "en-us",
            },
        }


_BOUNDS = {
    "minimum": "minimum",
    "maximum": "maximum",
    "exclusiveMinimum": "exclusive_minimum",
    "exclusiveMaximum": "exclusive_maximum",
}


def _silver_column(column: Column) -> dict[str, Any]:
    found = {"name": column.name, "type": column.logical_type, "required": column.required}
    bounds = {word: getattr(column, field) for word, field in _BOUNDS.items()}
    said = {word: _plain(value) for word, value in bounds.items() if value is not None}
    if column.enum:
        said["enum"] = [_plain(value) for value in column.enum]
    # Times of day are text in silver, and compare as such only by chance.
    return found if column.logical_type == "time" else found | said


def _plain(value: Any) -> Any:
    """A value as JSON has it; times without an offset are UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat() if value.tzinfo else f"{value.isoformat()}+00:00"
    return value.isoformat() if isinstance(value, date) else value


def _source(column: Column, name: str, kind: str) -> dict[str, str]:
    """Where a Copy finds a column, and how its dates are written if not by ISO 8601."""
    source = {"path": f"$['{name}']"} if kind in {"json", "jsonl"} else {"name": name}
    if column.format and column.logical_type in {"date", "timestamp"} and kind != "parquet":
        source["format"] = dotnet_pattern(column.format)
    return source
