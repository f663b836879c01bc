"""Typed conversion of columns, as strict as Copy with `allowDataTruncation: false`.

Each type has a reader of one text, which is the rule, and where it pays a vectorised way that is
taken when a whole batch looks plain. They agree; a test holds them to it.
"""

from __future__ import annotations

import decimal
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from devcloud.datafactory.copy.translator import MappedColumn
from devcloud.datafactory.dotnet import format_datetime, parse_datetime, parse_iso, to_naive_utc

_WHOLE = r"^\s*[+-]?[0-9]+\s*$"
_REAL = r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$"
# .NET's years begin with 1; Arrow would read the year 0.
_YEAR = r"(000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
_DAY = rf"{_YEAR}-[0-9]{{2}}-[0-9]{{2}}"
_TIME = r"[0-9]{2}:[0-9]{2}:[0-9]{2}"
_ISO = rf"^{_DAY}([T ]{_TIME}(\.[0-9]{{1,6}})?)?$"
_ISO_DAY = rf"^{_DAY}$"
_TRUTH = {"true": True, "false": False}
_INTEGERS: dict[str, pa.DataType] = {
    "Byte": pa.uint8(),
    "SByte": pa.int8(),
    "Int16": pa.int16(),
    "Int32": pa.int32(),
    "Int64": pa.int64(),
    "UInt16": pa.uint16(),
    "UInt32": pa.uint32(),
    "UInt64": pa.uint64(),
}
# Formats that say what ISO 8601 says, so that the vectorised way may take them.
_ISO_FORMATS = {
    "yyyy-MM-dd": _ISO_DAY,
    "yyyy-MM-dd HH:mm:ss": rf"^{_DAY} {_TIME}$",
    "yyyy-MM-ddTHH:mm:ss": rf"^{_DAY}T{_TIME}$",
}
_EXACT = decimal.Context(prec=80)


@dataclass(frozen=True)
class Converted:
    """A column after conversion.

    Attributes:
        values: null where a value did not convert.
        faults: row in the batch -> why its value did not convert.
    """

    values: pa.Array[Any]
    faults: dict[int, str] = field(default_factory=dict)


def arrow_type(column: MappedColumn, source: pa.DataType) -> pa.DataType:
    """The Arrow type of a sink column."""
    kind = column.kind
    if kind is None:
        return source
    if kind in _INTEGERS:
        return _INTEGERS[kind]
    others: dict[str, pa.DataType] = {
        "Boolean": pa.bool_(),
        "Single": pa.float32(),
        "Double": pa.float64(),
        "Decimal": pa.decimal128(column.precision, column.scale),
        "String": pa.string(),
        "Guid": pa.string(),
        "Date": pa.date32(),
        "DateTime": pa.timestamp("us"),
        "DateTimeOffset": pa.timestamp("us"),
    }
    return others[kind]


def convert(column: MappedColumn, values: pa.Array[Any]) -> Converted:
    """Convert one column of a batch to the type of its sink."""
    target_type = arrow_type(column, values.type)
    if pa.types.is_string(values.type):
        return _from_text(column, values, target_type)
    if values.type == target_type:
        return Converted(values)
    if pa.types.is_string(target_type):
        return Converted(pa.array([_text(item) for item in values.to_pylist()], target_type))
    return _between(values, target_type)


def reader(column: MappedColumn) -> Callable[[str], Any]:
    """The reader of one text for a column: gives a value, or raises ValueError that says why."""
    kind = str(column.kind)
    if kind in _INTEGERS:
        return _whole_reader(_INTEGERS[kind])
    if kind == "Decimal":
        return lambda text: _decimal(text, column.precision, column.scale)
    if kind in ("DateTime", "DateTimeOffset"):
        return lambda text: (
            parse_datetime(text, column.format) if column.format else parse_iso(text)
        )
    if kind == "Date":
        return lambda text: _day(text, column.format)
    others: dict[str, Callable[[str], Any]] = {
        "Boolean": _boolean,
        "Single": _real,
        "Double": _real,
        "String": str,
        "Guid": _guid,
        "None": str,
    }
    return others[kind]


def _from_text(column: MappedColumn, values: pa.Array[Any], target_type: pa.DataType) -> Converted:
    if pa.types.is_string(target_type) and column.kind != "Guid":
        return Converted(values)
    plain = _vectorised(column, values, target_type)
    if plain is not None:
        return Converted(plain)
    read = reader(column)
    results: list[Any] = []
    faults: dict[int, str] = {}
    for row, text in enumerate(values.to_pylist()):
        try:
            results.append(None if text is None else read(text))
        except (ValueError, OverflowError) as error:
            results.append(None)
            faults[row] = str(error)
    return Converted(pa.array(results, target_type), faults)


def _vectorised(
    column: MappedColumn, values: Any, target_type: pa.DataType
) -> pa.Array[Any] | None:
    """The whole column at once; None if any of its values needs a closer look."""
    kind = str(column.kind)
    result: Any = None
    try:
        if kind == "Boolean":
            words = pc.utf8_lower(values)
            if pc.all(pc.is_in(words, pa.array(["true", "false", None])), min_count=0).as_py():
                result = pc.equal(words, pa.scalar("true"))
        elif (pattern := _plain_pattern(kind, column.format)) and _all_match(values, pattern):
            bare = pc.utf8_ltrim(pc.utf8_trim_whitespace(values), "+")
            result = pc.cast(bare, target_type)
            if kind == "Double" and not pc.all(pc.is_finite(result), min_count=0).as_py():
                result = None
    except pa.ArrowInvalid:
        return None
    return result  # type: ignore[no-any-return]


def _plain_pattern(kind: str, form: str | None) -> str | None:
    """What texts look like that Arrow reads as the reader of one text does."""
    if kind in _INTEGERS:
        return _WHOLE
    if kind == "Double":
        return _REAL
    if kind == "DateTime":
        return _ISO if form is None else _ISO_FORMATS.get(form)
    if kind == "Date" and form in (None, "yyyy-MM-dd"):
        return _ISO_DAY
    return None


def _all_match(values: Any, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(values, pattern), min_count=0).as_py())


def _between(values: Any, target_type: pa.DataType) -> Converted:
    if pa.types.is_timestamp(values.type) and values.type.tz is not None:
        values = pc.cast(values, pa.timestamp(values.type.unit))  # Arrow holds the instant in UTC
    try:
        return Converted(pc.cast(values, target_type, safe=True))
    except pa.ArrowInvalid:
        pass
    except pa.ArrowNotImplementedError as error:
        nothing: Any = pa.array([None] * len(values), target_type)
        return Converted(nothing, {row: str(error) for row in range(len(values))})
    pieces: list[Any] = []
    faults: dict[int, str] = {}
    for row in range(len(values)):
        try:
            pieces.append(pc.cast(values.slice(row, 1), target_type, safe=True)[0].as_py())
        except pa.ArrowInvalid as error:
            pieces.append(None)
            faults[row] = str(error)
    return Converted(pa.array(pieces, target_type), faults)


def _text(value: Any) -> str | None:
    """A typed value as .NET writes it."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "True" if value else "False"
    if isinstance(value, datetime):
        naive = to_naive_utc(value) if value.tzinfo else value
        return format_datetime(naive, "yyyy-MM-dd HH:mm:ss.fffffff")
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


def _whole_reader(integer_type: pa.DataType) -> Callable[[str], int]:
    signed = pa.types.is_signed_integer(integer_type)
    bits = integer_type.bit_width
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)

    def read(text: str) -> int:
        if not re.fullmatch(_WHOLE.strip("^$"), text, re.ASCII):
            raise ValueError("Input string was not in a correct format.")
        # The limit keeps a text of a million digits from being worked out.
        value = int(text) if len(text.strip()) <= 100 else high + 1  # noqa: PLR2004
        if not low <= value <= high:
            raise ValueError("Value was either too large or too small for the type.")
        return value

    return read


def _real(text: str) -> float:
    if text.strip() in ("NaN", "Infinity", "-Infinity"):
        return float(text)
    if not re.fullmatch(_REAL.strip("^$"), text, re.ASCII):
        raise ValueError("Input string was not in a correct format.")
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError("Value was either too large or too small for a Double.")
    return value


def _boolean(text: str) -> bool:
    try:
        return _TRUTH[text.strip().lower()]
    except KeyError:
        raise ValueError("String was not recognized as a valid Boolean.") from None


def _decimal(text: str, precision: int, scale: int) -> decimal.Decimal:
    if not re.fullmatch(_REAL.strip("^$"), text, re.ASCII):
        raise ValueError("Input string was not in a correct format.")
    value = decimal.Decimal(text.strip())
    if abs(value.adjusted()) > precision:
        raise ValueError(f"Value does not fit a Decimal({precision}, {scale}).")
    exact = value.quantize(decimal.Decimal(1).scaleb(-scale), context=_EXACT)
    if exact != value or exact.adjusted() >= precision - scale:
        raise ValueError(f"Value does not fit a Decimal({precision}, {scale}).")
    return exact


def _moment(text: str, pattern: str | None) -> datetime:
    return parse_datetime(text, pattern) if pattern else parse_iso(text)


def _day(text: str, pattern: str | None) -> date:
    moment = _moment(text, pattern)
    if moment.time() != moment.min.time():
        raise ValueError("a Date has no time of day.")
    return moment.date()


def _guid(text: str) -> str:
    return str(uuid.UUID(text.strip()))
