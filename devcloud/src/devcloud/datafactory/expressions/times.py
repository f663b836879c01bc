"""Functions of time; moments are texts, read and written as .NET does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from devcloud.datafactory.dotnet import format_datetime, parse_iso
from devcloud.datafactory.expressions.arguments import (
    ExpressionFunction,
    as_integer,
    as_string,
    misfit,
)
from devcloud.datafactory.expressions.errors import ExpressionValueError


def moment_of(function: str, value: Any) -> datetime:
    """The time that an argument names."""
    try:
        return parse_iso(as_string(function, value))
    except ValueError as error:
        raise misfit(function, "an ISO 8601 time", value) from error


def formatted(function: str, moment: datetime, pattern: Any) -> str:
    """A time, written by a format."""
    try:
        return format_datetime(moment, as_string(function, pattern))
    except ValueError as error:
        raise ExpressionValueError(f"the function '{function}': {error}") from error


def adder(name: str, unit: str) -> ExpressionFunction:
    """A function that adds so many of a unit."""

    def add(moment: Any, count: Any, pattern: Any = "o") -> str:
        start = moment_of(name, moment)
        try:
            later = start + timedelta(**{unit: as_integer(name, count)})
        except OverflowError as error:
            raise misfit(name, "a time within the calendar", moment) from error
        return formatted(name, later, pattern)

    return ExpressionFunction(2, 3, add)


def ticks(moment: Any) -> int:
    """Ticks of 100 ns since the year 1."""
    since = moment_of("ticks", moment) - datetime(1, 1, 1)  # noqa: DTZ001
    microseconds: int = since // timedelta(microseconds=1)
    return microseconds * 10


def start_of_day(moment: Any, pattern: Any = "o") -> str:
    """Midnight of that day."""
    day = moment_of("startOfDay", moment).replace(hour=0, minute=0, second=0, microsecond=0)
    return formatted("startOfDay", day, pattern)


Clock = Callable[[], datetime]


def utc_now(clock: Clock) -> ExpressionFunction:
    """`utcNow()`, by the clock of the run."""

    def now(pattern: Any = "o") -> str:
        moment = clock().astimezone(UTC).replace(tzinfo=None)
        return formatted("utcNow", moment, pattern)

    return ExpressionFunction(0, 1, now)
