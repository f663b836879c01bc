"""Formats, bounds and values of dates, timestamps and times for the kernel."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any

from landfall.contract.domains import (
    EPOCH,
    FIRST_DAY,
    FIRST_INSTANT,
    LAST_DAY,
    LAST_INSTANT,
    MICROSECOND,
)
from landfall.contract.formats import moment_tokens
from landfall.contract.model import Column

KINDS = ("date", "timestamp", "time")
"""Logical types by the kernel's number of `moment`."""

_FIRST_DAY = EPOCH.toordinal()
_MIDNIGHT = datetime(1970, 1, 1)  # noqa: DTZ001 - a time of day has no zone
_LIMITS = {
    "date": (FIRST_DAY.toordinal() - _FIRST_DAY, LAST_DAY.toordinal() - _FIRST_DAY),
    "timestamp": ((FIRST_INSTANT - EPOCH) // MICROSECOND, (LAST_INSTANT - EPOCH) // MICROSECOND),
    "time": (0, 24 * 3600 * 10**6 - 1),
}
"""Smallest and largest value of each type."""
_FIELDS = {
    "yyyy": "y",
    "uuuu": "y",
    "MM": "M",
    "dd": "d",
    "HH": "H",
    "mm": "m",
    "ss": "s",
    "XXX": "X",
    "T": "'T",
}
_ISO = {"date": "y'-M'-d", "timestamp": "y'-M'-dTH':m':sF", "time": "H':m':sF"}
_ZONES = {True: "Z", False: "", None: "z"}


def layout(column: Column) -> bytes | None:
    """Return a column's date format in the kernel's notation; None if it is not supported."""
    if column.format is None:
        zone = _ZONES[column.timezone] if column.logical_type == "timestamp" else ""
        return (_ISO[column.logical_type] + zone).encode()
    parts = bytearray()
    for text, what in moment_tokens(column.format):
        if what == "section":
            return None
        if what == "literal":
            for byte in text.encode():
                parts += b"'" + bytes([byte])
        elif text.startswith("S"):
            parts += f"f{len(text)}".encode()
        elif text in _FIELDS:
            parts += _FIELDS[text].encode()
        else:
            return None
    return None if 0 in parts else bytes(parts)


def bounds(column: Column) -> tuple[int, int]:
    """Return the smallest and the largest valid value as the kernel's integers."""
    low, high = _LIMITS[column.logical_type]
    if column.minimum is not None:
        low = max(low, to_integer(column.minimum))
    if column.exclusive_minimum is not None:
        low = max(low, to_integer(column.exclusive_minimum) + 1)
    if column.maximum is not None:
        high = min(high, to_integer(column.maximum))
    if column.exclusive_maximum is not None:
        high = min(high, to_integer(column.exclusive_maximum) - 1)
    return low, high


def to_integer(value: Any) -> int:
    """Return a value as the kernel's integer: days or microseconds since the epoch."""
    if isinstance(value, datetime):
        return ((value if value.tzinfo else value.replace(tzinfo=UTC)) - EPOCH) // MICROSECOND
    if isinstance(value, date):
        return value.toordinal() - _FIRST_DAY
    return (datetime.combine(_MIDNIGHT, value) - _MIDNIGHT) // MICROSECOND


def value_of(kind: str, count: int) -> date | datetime | time:
    """Return the value of the kernel's integer; the inverse of `to_integer`."""
    if kind == "date":
        return date.fromordinal(_FIRST_DAY + count)
    if kind == "time":
        return (_MIDNIGHT + count * MICROSECOND).time()
    return EPOCH + count * MICROSECOND
