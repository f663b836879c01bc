"""Date and time texts as .NET writes and reads them, for expressions and for Copy.

Custom format strings only as far as they are given below; any other letter is refused. Datetimes
are naive and in UTC, with microseconds: the seventh digit that .NET has must be zero to be read.
Source: learn.microsoft.com/dotnet/standard/base-types/custom-date-and-time-format-strings
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

ROUND_TRIP = "yyyy-MM-ddTHH:mm:ss.fffffffZ"
_STANDARD = {
    "o": ROUND_TRIP,
    "O": ROUND_TRIP,
    "s": "yyyy-MM-ddTHH:mm:ss",
    "u": "yyyy-MM-dd HH:mm:ssZ",
    "R": "ddd, dd MMM yyyy HH:mm:ss 'GMT'",
    "r": "ddd, dd MMM yyyy HH:mm:ss 'GMT'",
    "d": "MM/dd/yyyy",
}
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_FRACTION_DIGITS = 7
_NOON = 12

_ISO = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})"
    r"(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,7}))?)?)?"
    r"\s?(Z|[+-]\d{2}:?\d{2})?"
)


@dataclass(frozen=True)
class _Field:
    """One specifier: how it is written, the pattern it is read by, and what it sets."""

    write: Callable[[datetime], str]
    pattern: str
    sets: str


def _named(names: list[str], length: int | None) -> str:
    return "|".join(name[:length] for name in names)


_FIELDS: dict[str, _Field] = {
    "yyyy": _Field(lambda t: f"{t.year:04}", r"\d{4}", "year"),
    "yy": _Field(lambda t: f"{t.year % 100:02}", r"\d{2}", "short_year"),
    "MMMM": _Field(lambda t: _MONTHS[t.month - 1], _named(_MONTHS, None), "month_name"),
    "MMM": _Field(lambda t: _MONTHS[t.month - 1][:3], _named(_MONTHS, 3), "month_name"),
    "MM": _Field(lambda t: f"{t.month:02}", r"\d{2}", "month"),
    "M": _Field(lambda t: f"{t.month}", r"\d{1,2}", "month"),
    "dddd": _Field(lambda t: _DAYS[t.weekday()], _named(_DAYS, None), ""),
    "ddd": _Field(lambda t: _DAYS[t.weekday()][:3], _named(_DAYS, 3), ""),
    "dd": _Field(lambda t: f"{t.day:02}", r"\d{2}", "day"),
    "d": _Field(lambda t: f"{t.day}", r"\d{1,2}", "day"),
    "HH": _Field(lambda t: f"{t.hour:02}", r"\d{2}", "hour"),
    "H": _Field(lambda t: f"{t.hour}", r"\d{1,2}", "hour"),
    "hh": _Field(lambda t: f"{(t.hour - 1) % _NOON + 1:02}", r"\d{2}", "half_hour"),
    "h": _Field(lambda t: f"{(t.hour - 1) % _NOON + 1}", r"\d{1,2}", "half_hour"),
    "mm": _Field(lambda t: f"{t.minute:02}", r"\d{2}", "minute"),
    "m": _Field(lambda t: f"{t.minute}", r"\d{1,2}", "minute"),
    "ss": _Field(lambda t: f"{t.second:02}", r"\d{2}", "second"),
    "s": _Field(lambda t: f"{t.second}", r"\d{1,2}", "second"),
    "tt": _Field(lambda t: "AM" if t.hour < _NOON else "PM", "AM|PM", "half"),
    "zzz": _Field(lambda _: "+00:00", r"Z|[+-]\d{2}:?\d{2}", "offset"),
    "K": _Field(lambda _: "Z", r"Z|[+-]\d{2}:?\d{2}|", "offset"),
}


def _fraction(length: int) -> _Field:
    return _Field(lambda t: f"{t.microsecond:06}0"[:length], rf"\d{{{length}}}", "fraction")


Piece = str | _Field


@lru_cache(maxsize=256)
def _pieces(text: str) -> tuple[Piece, ...]:
    """Split a format string into fields and literal text."""
    text = _STANDARD.get(text, text)
    pieces: list[Piece] = []
    at = 0
    while at < len(text):
        letter = text[at]
        if letter in "'\"":
            close = text.find(letter, at + 1)
            if close < 0:
                raise ValueError(f"unclosed {letter} in the date format {text!r}")
            pieces.append(text[at + 1 : close])
            at = close + 1
            continue
        if letter == "\\":
            pieces.append(text[at + 1 : at + 2])
            at += 2
            continue
        run = len(text) - at - len(text[at:].lstrip(letter))
        specifier = letter * run
        if letter == "f" and run <= _FRACTION_DIGITS:
            pieces.append(_fraction(run))
        elif specifier in _FIELDS:
            pieces.append(_FIELDS[specifier])
        elif letter in "TZ" and run == 1:  # written bare in every ISO format
            pieces.append(letter)
        elif letter.isalpha() or letter == "%":
            raise ValueError(f"{specifier!r} in the date format {text!r} is not supported")
        else:
            pieces.append(specifier)
        at += run
    return tuple(pieces)


def format_datetime(value: datetime, pattern: str = "o") -> str:
    """Write a datetime.

    Raises:
        ValueError: the format holds a specifier that is not supported.
    """
    return "".join(
        piece if isinstance(piece, str) else piece.write(value) for piece in _pieces(pattern)
    )


@lru_cache(maxsize=256)
def _matcher(pattern: str) -> tuple[re.Pattern[str], tuple[str, ...]]:
    parts: list[str] = []
    names: list[str] = []
    for piece in _pieces(pattern):
        if isinstance(piece, str):
            parts.append(re.escape(piece))
        else:
            parts.append(f"({piece.pattern})")
            names.append(piece.sets)
    return re.compile("".join(parts), re.IGNORECASE | re.ASCII), tuple(names)


def parse_datetime(text: str, pattern: str) -> datetime:
    """Read a text that must have exactly that format; white space around it is let pass.

    Raises:
        ValueError: it has not, or names a time that does not exist.
    """
    matcher, names = _matcher(pattern)
    match = matcher.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not of the format {pattern!r}")
    fields = dict(zip(names, match.groups(), strict=True))
    year = int(fields.get("year", 0)) or _century(fields.get("short_year"))
    month = int(fields.get("month", 1))
    if "month_name" in fields:
        month = 1 + [name[:3].lower() for name in _MONTHS].index(fields["month_name"][:3].lower())
    hour = int(fields.get("hour", 0))
    if "half_hour" in fields:
        hour = int(fields["half_hour"]) % _NOON + (
            _NOON if fields.get("half", "").upper() == "PM" else 0
        )
    moment = datetime(  # noqa: DTZ001  (naive UTC is what the module works on)
        year,
        month,
        int(fields.get("day", 1)),
        hour,
        int(fields.get("minute", 0)),
        int(fields.get("second", 0)),
        _microseconds(fields.get("fraction")),
    )
    return moment - _offset(fields.get("offset"))


def parse_iso(text: str) -> datetime:
    """Read an ISO 8601 date or time, with or without an offset; without one it is UTC.

    Raises:
        ValueError: it is none.
    """
    match = _ISO.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not an ISO 8601 date and time")
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    moment = datetime(  # noqa: DTZ001
        int(year),
        int(month),
        int(day),
        int(hour or 0),
        int(minute or 0),
        int(second or 0),
        _microseconds(fraction),
    )
    return moment - _offset(offset)


def to_naive_utc(moment: datetime) -> datetime:
    """A datetime with a zone as this module holds it."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def _century(short: str | None) -> int:
    if short is None:
        return 1
    year = int(short)
    return year + (2000 if year < 50 else 1900)  # noqa: PLR2004  (.NET's invariant pivot is 2049)


def _microseconds(fraction: str | None) -> int:
    digits = (fraction or "").ljust(_FRACTION_DIGITS, "0")
    if digits[6:] != "0":
        raise ValueError(f"a fraction of .{fraction} s is finer than a microsecond")
    return int(digits[:6])


def _offset(text: str | None) -> timedelta:
    if not text or text in "Zz":
        return timedelta()
    span = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return -span if text[0] == "-" else span
