"""Functions of time; moments are texts, read and written as .NET does for American English."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from devcloud.datafactory.dotnet import format_datetime, parse_datetime, parse_iso
from devcloud.datafactory.expressions.arguments import (
    ExpressionFunction,
    as_integer,
    as_string,
    misfit,
)
from devcloud.datafactory.expressions.errors import ExpressionValueError
from devcloud.datafactory.expressions.zones import from_utc, to_utc

_LOCAL = "yyyy-MM-ddTHH:mm:ss.fffffff"  # the default format of a time that is not in UTC
# Standard formats by one letter whose meaning depends on the language.
_AMERICAN = {
    "d": "M/d/yyyy",
    "D": "dddd, MMMM d, yyyy",
    "f": "dddd, MMMM d, yyyy h:mm tt",
    "F": "dddd, MMMM d, yyyy h:mm:ss tt",
    "g": "M/d/yyyy h:mm tt",
    "G": "M/d/yyyy h:mm:ss tt",
    "M": "MMMM d",
    "m": "MMMM d",
    "t": "h:mm tt",
    "T": "h:mm:ss tt",
    "Y": "MMMM yyyy",
    "y": "MMMM yyyy",
}
_READ = (
    "M/d/yyyy",
    "M/d/yyyy H:mm",
    "M/d/yyyy H:mm:ss",
    "M/d/yyyy h:mm tt",
    "M/d/yyyy h:mm:ss tt",
    "dddd, MMMM d, yyyy",
    "r",
)
_UNITS = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}
_MONTHS = {"month": 1, "year": 12}

Clock = Callable[[], datetime]


def moment_of(function: str, value: Any) -> datetime:
    """The time that an argument names."""
    text = as_string(function, value)
    try:
        return parse_iso(text)
    except ValueError as error:
        for pattern in _READ:
            try:
                return parse_datetime(text, pattern)
            except ValueError:
                continue
        raise misfit(function, "an ISO 8601 time, or one as month/day/year", value) from error


def formatted(function: str, moment: datetime, pattern: Any) -> str:
    """A time, written by a format."""
    given = as_string(function, pattern)
    try:
        return format_datetime(moment, _AMERICAN.get(given, given))
    except ValueError as error:
        raise ExpressionValueError(f"the function '{function}': {error}") from error


def moved(function: str, moment: datetime, count: Any, unit: Any) -> datetime:
    """A time so many units later; a day that the month does not have is its last."""
    name, steps = as_string(function, unit).lower(), as_integer(function, count)
    try:
        if name in _UNITS:
            return moment + steps * _UNITS[name]
        if name in _MONTHS:
            year, month = divmod(moment.year * 12 + moment.month - 1 + steps * _MONTHS[name], 12)
            day = min(moment.day, calendar.monthrange(year, month + 1)[1])
            return moment.replace(year=year, month=month + 1, day=day)
    except (OverflowError, ValueError, calendar.IllegalMonthError) as error:
        raise misfit(function, "a time within the calendar", count) from error
    raise misfit(function, f"one of {', '.join([*_UNITS, *_MONTHS])}", unit)


def adder(name: str, unit: str) -> ExpressionFunction:
    """A function that adds so many of a unit."""

    def add(moment: Any, count: Any, pattern: Any = "o") -> str:
        return formatted(name, moved(name, moment_of(name, moment), count, unit), pattern)

    return ExpressionFunction(2, 3, add)


def mover(name: str, sign: int) -> ExpressionFunction:
    """`addToTime` and `subtractFromTime`."""

    def move(moment: Any, count: Any, unit: Any, pattern: Any = "o") -> str:
        steps = sign * as_integer(name, count)
        return formatted(name, moved(name, moment_of(name, moment), steps, unit), pattern)

    return ExpressionFunction(3, 4, move)


def ticks(moment: Any) -> int:
    """Ticks of 100 ns since the year 1."""
    since = moment_of("ticks", moment) - datetime(1, 1, 1)  # noqa: DTZ001
    microseconds: int = since // timedelta(microseconds=1)
    return microseconds * 10


def beginning(name: str, **fields: int) -> ExpressionFunction:
    """A function that sets the finer fields of a time to their beginning."""

    def begin(moment: Any, pattern: Any = "o") -> str:
        return formatted(name, moment_of(name, moment).replace(**fields), pattern)  # type: ignore[arg-type]

    return ExpressionFunction(1, 2, begin)


def part(name: str, read: Callable[[datetime], int]) -> ExpressionFunction:
    """A function that tells a part of a time."""
    return ExpressionFunction(1, 1, lambda moment: read(moment_of(name, moment)))


def _zoned(name: str, convert: Callable[[datetime], datetime]) -> Callable[[datetime], datetime]:
    def act(moment: datetime) -> datetime:
        try:
            return convert(moment)
        except (ValueError, OverflowError) as error:
            raise ExpressionValueError(f"the function '{name}': {error}") from error

    return act


def _from_utc(moment: Any, zone: Any, pattern: Any = _LOCAL) -> str:
    name = "convertFromUtc"
    convert = _zoned(name, lambda time: from_utc(time, as_string(name, zone)))
    return formatted(name, convert(moment_of(name, moment)), pattern)


def _to_utc(moment: Any, zone: Any, pattern: Any = "o") -> str:
    name = "convertToUtc"
    convert = _zoned(name, lambda time: to_utc(time, as_string(name, zone)))
    return formatted(name, convert(moment_of(name, moment)), pattern)


def _between(moment: Any, source: Any, target: Any, pattern: Any = _LOCAL) -> str:
    name = "convertTimeZone"

    def change(time: datetime) -> datetime:
        return from_utc(to_utc(time, as_string(name, source)), as_string(name, target))

    return formatted(name, _zoned(name, change)(moment_of(name, moment)), pattern)


def clocked(name: str, clock: Clock) -> ExpressionFunction:
    """A function that depends on the time of the run: utcNow, getFutureTime, getPastTime."""
    moment = clock().astimezone(UTC).replace(tzinfo=None)
    if name == "utcnow":
        return ExpressionFunction(0, 1, lambda pattern="o": formatted("utcNow", moment, pattern))
    written, sign = ("getFutureTime", 1) if name == "getfuturetime" else ("getPastTime", -1)

    def away(count: Any, unit: Any, pattern: Any = "o") -> str:
        steps = sign * as_integer(written, count)
        return formatted(written, moved(written, moment, steps, unit), pattern)

    return ExpressionFunction(2, 3, away)


CLOCKED = {"utcnow": (0, 1), "getfuturetime": (2, 3), "getpasttime": (2, 3)}
_MIDNIGHT = {"hour": 0, "minute": 0, "second": 0, "microsecond": 0}
FUNCTIONS: dict[str, ExpressionFunction] = {
    "formatdatetime": ExpressionFunction(
        1,
        2,
        lambda moment, pattern="o": formatted(
            "formatDateTime", moment_of("formatDateTime", moment), pattern
        ),
    ),
    "adddays": adder("addDays", "day"),
    "addhours": adder("addHours", "hour"),
    "addminutes": adder("addMinutes", "minute"),
    "addseconds": adder("addSeconds", "second"),
    "addtotime": mover("addToTime", 1),
    "subtractfromtime": mover("subtractFromTime", -1),
    "ticks": ExpressionFunction(1, 1, ticks),
    "startofmonth": beginning("startOfMonth", day=1, **_MIDNIGHT),
    "startofday": beginning("startOfDay", **_MIDNIGHT),
    "startofhour": beginning("startOfHour", minute=0, second=0, microsecond=0),
    "dayofmonth": part("dayOfMonth", lambda moment: moment.day),
    "dayofweek": part("dayOfWeek", lambda moment: moment.isoweekday() % 7),
    "dayofyear": part("dayOfYear", lambda moment: moment.timetuple().tm_yday),
    "convertfromutc": ExpressionFunction(2, 3, _from_utc),
    "converttoutc": ExpressionFunction(2, 3, _to_utc),
    "converttimezone": ExpressionFunction(3, 4, _between),
}
