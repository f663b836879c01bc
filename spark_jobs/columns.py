"""A dataset's columns: their contract types, and what of bronze may become which of them.

The types are the logical types of the Open Data Contract Standard.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql.types import (
    BooleanType,
    ByteType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    ShortType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
)

RUN_ID = "_run_id"
LANDED_AT = "_landed_at"
BATCH_ID = "_batch_id"
LOADED_AT = "_loaded_at"
FIRST_BATCH_ID = "_first_batch_id"
# Where a row stood in its drop, as the Parquet of accepted records says it.
RECORD = "_record"
LINE = "_line"

# What silver keeps in addition to the contract's columns; the README says what each means.
AUDIT: Mapping[str, DataType] = {
    RUN_ID: StringType(),
    LANDED_AT: TimestampType(),
    BATCH_ID: StringType(),
    LOADED_AT: TimestampType(),
    FIRST_BATCH_ID: StringType(),
}
RESERVED = frozenset({*AUDIT, RECORD, LINE, "_metadata", "_ingested_at", "_source_file"})

BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")

Kinds = tuple[type[DataType], ...]

_INTEGERS: Kinds = (ByteType, ShortType, IntegerType, LongType)
_TIMES: tuple[type[DataType], ...] = (TimestampType, TimestampNTZType)


@dataclass(frozen=True)
class LogicalType:
    """A contract type: its type in silver and in the Parquet that validation writes.

    `bronze` has the types that convert to it without loss in what earlier releases copied.
    """

    silver: DataType
    bronze: tuple[type[DataType], ...]


TYPES: Mapping[str, LogicalType] = {
    "string": LogicalType(StringType(), (StringType,)),
    "integer": LogicalType(LongType(), _INTEGERS),
    "number": LogicalType(DoubleType(), (DoubleType, FloatType, DecimalType, *_INTEGERS)),
    "boolean": LogicalType(BooleanType(), (BooleanType,)),
    # Data Factory wrote a timestamp where the contract has a date.
    "date": LogicalType(DateType(), (DateType, *_TIMES)),
    "timestamp": LogicalType(TimestampType(), (DateType, *_TIMES)),
    "time": LogicalType(StringType(), (StringType,)),
}


@dataclass(frozen=True)
class SilverColumn:
    """One column of the contract: `type` is a key of `TYPES`.

    Attributes:
        allowed: the only values it may have; empty where any is allowed.
        bounds: what its values are held against, by the contract's word for it, such as `minimum`.
            Dates, times and decimals are text, here and in `allowed`; the first two ISO 8601.
        decimal: precision and scale of a number that is kept exactly; None of a double.
    """

    name: str
    type: str
    required: bool = False
    allowed: tuple[Any, ...] = ()
    bounds: tuple[tuple[str, Any], ...] = ()
    decimal: tuple[int, int] | None = None

    @property
    def silver(self) -> DataType:
        """Its type in silver."""
        return TYPES[self.type].silver if self.decimal is None else DecimalType(*self.decimal)

    @property
    def copied(self) -> Kinds:
        """The types in which earlier releases may have copied it that convert without loss."""
        types = TYPES[self.type].bronze
        return types if self.decimal is None else (DecimalType, *_INTEGERS)


def quoted(name: str) -> str:
    """A column's name as an identifier of Spark SQL, whatever is in it."""
    return f"`{name.replace('`', '``')}`"


def mismatches(schema: StructType, columns: Iterable[SilverColumn]) -> list[str]:
    """Say for each column why the bronze schema does not fit it; empty where all columns fit."""
    types = {field.name: field.dataType for field in schema}
    problems = []
    for column in columns:
        have = types.get(column.name)
        if have is None:
            problems.append(_missing(column.name, list(types)))
        elif not isinstance(have, column.copied):
            problems.append(
                f"column {column.name!r} is {have.simpleString()} there, "
                f"and the contract's {column.type} cannot be made from it",
            )
    return problems


def _missing(name: str, present: Sequence[str]) -> str:
    near = [other for other in present if other.casefold() == name.casefold()]
    hint = f" (it has {near[0]!r})" if near else ""
    return f"column {name!r} is missing{hint}"


def silver_schema(columns: Iterable[SilverColumn]) -> StructType:
    """The silver table of the contract's columns, audit columns last."""
    return StructType(
        [
            *(StructField(c.name, c.silver, nullable=not c.required) for c in columns),
            *(StructField(name, kind, nullable=False) for name, kind in AUDIT.items()),
        ],
    )
