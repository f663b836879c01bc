"""Types of PostgreSQL as Copy reads them: the interim type of the documentation, in Arrow.

Rows come as CSV text (`COPY ... TO STDOUT`), so that each type needs a way to be read from text
without losing a digit.
Source: learn.microsoft.com/azure/data-factory/connector-postgresql#data-type-mapping-for-postgresql
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from devcloud.datafactory.copy.failure import CopyError

MOST_DIGITS = 28  # of Decimal, which is .NET's
_UNBOUNDED = (38, 18)  # precision and scale of a Decimal whose type names none
_NUMERIC, _MONEY, _BYTEA = 1700, 790, 17
_DATE, _TIMESTAMP, _TIMESTAMPTZ = 1082, 1114, 1184
_PLAIN: dict[int, pa.DataType] = {
    16: pa.bool_(),
    20: pa.int64(),
    21: pa.int16(),
    23: pa.int32(),
    26: pa.int64(),  # oid
    700: pa.float32(),
    701: pa.float64(),
}
_TYPMOD_HEADER = 4
PARTITION_TYPES = {20: "int", 21: "int", 23: "int", 1082: "date", 1114: "time", 1184: "time"}


@dataclass(frozen=True)
class PostgresColumn:
    """One column of a query's result.

    Attributes:
        oid: type; modifier: of the type, such as precision and scale of `numeric`, or -1.
    """

    name: str
    oid: int
    modifier: int

    @property
    def target(self) -> pa.DataType:
        """The Arrow type of the interim type.

        Raises:
            CopyError: the type is not one that Copy reads.
        """
        if self.oid == _NUMERIC:
            return pa.decimal128(*self._precision())
        if self.oid == _MONEY:
            raise CopyError(
                "UserErrorUnsupportedColumnType",
                f"Column '{self.name}' is of type 'money', whose text depends on the locale: cast "
                "it to numeric in the query",
            )
        if self.oid in (_DATE, _TIMESTAMP, _TIMESTAMPTZ):
            return pa.timestamp("us")
        if self.oid == _BYTEA:
            return pa.binary()
        return _PLAIN.get(self.oid, pa.string())

    @property
    def read_as(self) -> pa.DataType:
        """The Arrow type that its text is read as; `finish` does the rest."""
        if self.oid == _TIMESTAMPTZ:
            return pa.timestamp("us", "UTC")
        if self.oid == _BYTEA or (self.oid == _NUMERIC and self.modifier < 0):
            return pa.string()
        return self.target

    def finish(self, values: Any) -> pa.Array[Any]:
        """The column in its target type.

        Raises:
            CopyError: a number that Decimal does not hold.
        """
        array: pa.Array[Any] = values
        if self.oid == _TIMESTAMPTZ:
            array = values.cast(pa.timestamp("us"))
        if self.oid == _BYTEA:
            texts = values.to_pylist()
            return pa.array(
                [None if text is None else bytes.fromhex(text[2:]) for text in texts], pa.binary()
            )
        if self.oid == _NUMERIC and self.modifier < 0:
            return self._decimals(values)
        return array

    def _precision(self) -> tuple[int, int]:
        if self.modifier < 0:
            return _UNBOUNDED
        packed = self.modifier - _TYPMOD_HEADER
        precision, scale = packed >> 16 & 0xFFFF, ((packed & 0x7FF) ^ 1024) - 1024
        if precision > MOST_DIGITS or not 0 <= scale <= precision:
            raise CopyError(
                "UserErrorUnsupportedColumnType",
                f"Column '{self.name}' is of type 'numeric({precision},{scale})': Copy reads "
                f"decimals of at most {MOST_DIGITS} digits; use to_char() or a narrower cast in "
                "the query",
            )
        return precision, scale

    def _decimals(self, values: pa.Array[Any]) -> pa.Array[Any]:
        bare: Any = pc.replace_substring_regex(values, r"^-?0*|\.", "")
        long = pc.greater(pc.utf8_length(bare), pa.scalar(MOST_DIGITS))
        if pc.any(long, min_count=0).as_py():
            first = values.filter(long)[0].as_py()
            raise CopyError(
                "UserErrorNumericOutOfRange",
                f"Column '{self.name}' holds {first}, and Copy reads decimals of at most "
                f"{MOST_DIGITS} digits; use to_char() or a narrower cast in the query",
            )
        try:
            numbers: pa.Array[Any] = values.cast(self.target)
        except pa.ArrowInvalid as error:
            raise CopyError(
                "UserErrorNumericOutOfRange",
                f"Column '{self.name}' holds a value that does not fit Decimal{_UNBOUNDED}: "
                f"{error}",
            ) from error
        return numbers


def schema(columns: list[PostgresColumn]) -> pa.Schema:
    """The Arrow schema of a result.

    Raises:
        CopyError: a type that Copy does not read, or a name that is there twice.
    """
    names = [column.name for column in columns]
    for name in names:
        if names.count(name) > 1:
            raise CopyError(
                "UserErrorDuplicateColumn", f"the query gives two columns the name '{name}'"
            )
    return pa.schema([(column.name, column.target) for column in columns])
