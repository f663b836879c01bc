"""Lengths of time as source files write them: 200ms, 90s, 15m, 6h, 1d."""

from __future__ import annotations

import re
from datetime import timedelta

PATTERN = r"[1-9][0-9]{0,5}(?:ms|s|m|h|d)"
FORM = "a number with its unit is needed, such as 200ms, 90s, 15m, 6h or 1d"
_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(text: str) -> timedelta:
    """Return the length of a text of the form `PATTERN`."""
    number, unit = re.fullmatch(r"([0-9]+)([a-z]+)", text).groups()  # type: ignore[union-attr]
    return timedelta(**{_UNITS[unit]: int(number)})


def shown(length: timedelta) -> str:
    """Return the shortest text of a length."""
    for unit in ("d", "h", "m", "s"):
        whole = timedelta(**{_UNITS[unit]: 1})
        if length and length % whole == timedelta():
            return f"{length // whole}{unit}"
    return f"{length // timedelta(milliseconds=1)}ms"


def dotnet(length: timedelta) -> str:
    """Return the length as Data Factory writes it: hh:mm:ss, with days and fractions before."""
    seconds, rest = divmod(length, timedelta(seconds=1))
    hours, seconds = divmod(seconds, 3600)
    days, hours = divmod(hours, 24)
    text = f"{hours:02}:{seconds // 60:02}:{seconds % 60:02}"
    if rest:
        text += f".{rest // timedelta(milliseconds=1):03}"
    return f"{days}.{text}" if days else text
