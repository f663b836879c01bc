"""The domain of each logical type: which texts and values are admitted, and what is stored.

This is the one table of what a value may be. The engine admits a value by it, the writer of the
accepted records stores it by it, and docs/reference/types.md is made from it. Whatever else a file
holds in a column is a `type` fault of its record.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction

MOST_DIGITS = 38
"""Most digits of a decimal: what Parquet, Delta and Spark hold in 128 bits."""
EXACT = 2**53
"""Below this magnitude every whole number is a double of its own."""
FIRST_DAY, LAST_DAY = date(1, 1, 1), date(9999, 12, 31)
FIRST_INSTANT = datetime(1, 1, 1, tzinfo=UTC)
LAST_INSTANT = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

_INTEGERS = ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
_TEXTS = ("String", "Categorical", "Enum")
_MOST_EXPONENT = 400
"""Exponents beyond this are outside of every double and decimal."""
LONGEST_NUMBER = 2000
"""Most characters of a number that is read exactly, which takes the square of its length."""


@dataclass(frozen=True)
class Domain:
    """What a logical type admits, and how it is stored.

    Attributes:
        text: in words, which texts are values: in CSV, and in JSON where the type is no JSON type.
        json: names of the JSON types of a value.
        parquet: names of the types of a Parquet column, as Polars calls them.
        limits: in words, which of these values are refused as `type` all the same.
        stored: the physical type in the accepted records, in silver and in the database.
    """

    text: str
    json: tuple[str, ...]
    parquet: tuple[str, ...]
    limits: str
    stored: str


DOMAINS: dict[str, Domain] = {
    "string": Domain(
        text="any text",
        json=("string",),
        parquet=_TEXTS,
        limits="bytes that are not UTF-8, NUL, and half a surrogate pair (`encoding` or `json`)",
        stored="string",
    ),
    "integer": Domain(
        text="digits with an optional minus",
        json=("number without fraction and exponent",),
        parquet=(*_INTEGERS, "Decimal"),
        limits="beyond the range of `format`, i64 by default; decimals with a fraction",
        stored="int64",
    ),
    "number": Domain(
        text="digits, with an optional minus, fraction and exponent",
        json=("number",),
        parquet=(*_INTEGERS, "Float32", "Float64", "Decimal"),
        limits=(
            "NaN and infinities; beyond the range of `format`, f64 by default; beyond 2^53 in "
            "magnitude also every value whose digits a double does not keep"
        ),
        stored="double; fractions are rounded to the nearest one",
    ),
    "decimal": Domain(
        text="as `number`",
        json=("number",),
        parquet=(*_INTEGERS, "Float64", "Decimal"),
        limits=(
            "more digits before or behind the point than `decimal(p,s)` has; a double counts as "
            "the shortest decimal that is that double"
        ),
        stored="decimal(p,s), exact",
    ),
    "boolean": Domain(
        text="`true`, `True`, `TRUE`, `false`, `False`, `FALSE`, or the words of the contract",
        json=("boolean",),
        parquet=("Boolean",),
        limits="any other word, in any other case",
        stored="boolean",
    ),
    "date": Domain(
        text="`yyyy-MM-dd` or `format`; with an offset it is the day that is written",
        json=("string",),
        parquet=("Date",),
        limits="days that are not in the calendar; years outside of 1 to 9999",
        stored="date",
    ),
    "timestamp": Domain(
        text="ISO 8601 with `T` or a blank, or `format`; without an offset it is UTC",
        json=("string",),
        parquet=("Datetime",),
        limits=(
            "finer than a microsecond; instants outside of the years 1 to 9999 in UTC; an offset "
            "where `timezone: false`, none where `timezone: true` (in Parquet: isAdjustedToUTC)"
        ),
        stored="timestamp in UTC, in microseconds",
    ),
    "time": Domain(
        text="`HH:mm:ss` with an optional fraction, or `format`",
        json=("string",),
        parquet=("Time",),
        limits="finer than a microsecond",
        stored="string, `HH:mm:ss` or `HH:mm:ss.ffffff`",
    ),
}
"""Domains by logical type; `decimal` is a number of which the contract says its physical type."""


def instant(value: datetime) -> datetime:
    """Return a timestamp as an instant in UTC; one without an offset is in UTC.

    Raises:
        ValueError: its year in UTC is not one of 1 to 9999.
    """
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{value} is outside of the years 1 to 9999 in UTC") from error


def as_double(value: str | float | Decimal) -> float:
    """Return the double that stands for a number.

    Raises:
        ValueError: beyond 2^53 a double does not keep its digits.
    """
    if isinstance(value, float):
        return value
    try:
        double = float(value)
    except OverflowError as error:  # an integer of more than 308 digits
        raise ValueError(value) from error
    if EXACT <= abs(double) < float("inf"):
        exact = number_of(value)
        if Fraction(double) != exact and Fraction(repr(double)) != exact:
            raise ValueError(value)
    return double


def number_of(value: str | float | Decimal) -> Fraction:
    """Return the exact value of a number; of a double, that of its shortest text.

    Raises:
        ValueError: not a finite number, or its exponent is beyond every double.
    """
    if isinstance(value, str) and len(value) > LONGEST_NUMBER:
        raise ValueError(value)
    try:
        number = Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation as error:  # more digits of exponent than Python reads
        raise ValueError(value) from error
    # Ten to a huge exponent would be computed in full.
    if not number.is_finite() or abs(number.adjusted()) > _MOST_EXPONENT:
        raise ValueError(value)
    return Fraction(number)


def as_decimal(value: str | float | Decimal, precision: int, scale: int) -> Decimal:
    """Return a number as a decimal of this precision and scale, exactly.

    Raises:
        ValueError: it has more digits.
    """
    unscaled = number_of(value) * 10**scale
    if unscaled.denominator != 1 or abs(unscaled.numerator) >= 10**precision:
        raise ValueError(value)
    digits = unscaled.numerator
    sign = int(digits < 0)
    return Decimal((sign, tuple(map(int, str(abs(digits)))), -scale))
