"""A contract as the rest of the product sees it: one table, its columns, its key, its tolerance."""

from dataclasses import dataclass
from typing import Any

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
