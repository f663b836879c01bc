"""A contract as the rest of the product sees it: one table, its columns, its key, its tolerance."""

from dataclasses import dataclass, field, replace
from typing import Any, Self

from ingest.contract.conditions import Condition

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
        path: where in the document, such as ``schema[0].properties[3].logicalType``.
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

    ``delimiter``, ``quote`` and ``escape`` are single characters, ``escape`` None means that a
    quote inside quotes is doubled. ``encoding`` is a name Python's codecs know.
    ``kind`` is csv, jsonl, json or parquet.
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

    ``format`` is the standard's: i8 to u32 for integers, f32 or f64, a JDK date pattern, or a kind
    of text such as uuid. ``enum`` holds the allowed values as the contract wrote them.
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
class Rule:
    """A quality rule: something measured over the table, and the bound it must keep.

    ``kind`` is count, sum, min, max, avg or duplicates; ``condition`` says which records are taken
    in, ``of`` what is summed or compared, ``key`` the columns whose repeated values are counted.
    ``operator`` is the standard's word, ``bound`` its one or two numbers; ``percent`` relates a
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
class Drift:
    """What is done about a file whose columns are not quite the contract's.

    ``extra`` columns are discarded or, with freeze, a refusal; ``reordered`` ones are matched by
    name (evolve) or a refusal. Missing and renamed columns and other types are always refused.
    """

    extra: str = "discard"
    reordered: str = "evolve"


@dataclass(frozen=True)
class Contract:
    """A whole contract; columns in the contract's order, ``key`` in key order.

    ``max_rejected_ratio`` is the share of records, 0 to 1, that may be split off as rejects.
    """

    dataset: str
    version: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    max_rejected_ratio: float
    hints: Hints
    sla: tuple[dict[str, Any], ...] = ()
    rules: tuple[Rule, ...] = ()
    drift: Drift = field(default_factory=Drift)

    def column(self, name: str) -> Column:
        """The column called ``name``; KeyError if there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def table(self) -> dict[str, Any]:
        """The table as batch documents carry it: key names, and columns by logical type."""
        return {
            "key": list(self.key),
            "columns": [
                {"name": c.name, "type": c.logical_type, "required": c.required}
                for c in self.columns
            ],
        }

    def translator(self, kind: str = "csv") -> dict[str, Any]:
        """Data Factory's ``TabularTranslator``: every column by name, typed, nothing truncated.

        Args:
            kind: csv, jsonl, json or parquet; JSON sources are addressed by path.
        """
        by_path = kind in {"json", "jsonl"}
        return {
            "type": "TabularTranslator",
            "mappings": [
                {
                    "source": {"path": f"$['{c.name}']"} if by_path else {"name": c.name},
                    "sink": {"name": c.name, "type": SINK_TYPES[c.logical_type]},
                }
                for c in self.columns
            ],
            "typeConversion": True,
            "typeConversionSettings": {
                "allowDataTruncation": False,
                "treatBooleanAsNumber": False,
                "culture": "en-us",
            },
        }
