"""Quartz cron expressions, as a job's `schedule` has them, in a time zone.

`{second} {minute} {hour} {day of month} {month} {day of week} [{year}]`; of the two days exactly
one is `?`; Sunday is 1. A local time that the clock skips in spring does not come; one that comes
twice in autumn counts the first time.
Source: quartz-scheduler.org, tutorial "CronTrigger".
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

Days = Callable[[int, int], Collection[int]]
"""The days of a month (year, month) that are due."""

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FIRST_YEAR, _LAST_YEAR = 1970, 2099
_MONTHS_AHEAD = 12 * 41  # a fifth Sunday of February comes after 40 years at the latest
_ITEM = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/(\d+))?")
_IN_MONTH = re.compile(r"L(?:-(\d+))?(W)?|(\d+)W")
_IN_WEEK = re.compile(r"(\w+)#([1-5])|(\w+)L")


@dataclass(frozen=True)
class Quartz:
    """A checked expression."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: Days
    months: tuple[int, ...]
    years: tuple[int, ...]
    zone: ZoneInfo

    @staticmethod
    def read(expression: str, timezone: str) -> Quartz:
        """Read an expression and the name of a time zone.

        Raises:
            ValueError: one of them is wrong; it says why.
        """
        fields = expression.upper().split()
        if len(fields) not in (6, 7):
            raise ValueError(
                f"it has {len(fields)} fields; second, minute, hour, day of month, month, day of "
                "week and perhaps year are wanted"
            )
        second, minute, hour, of_month, month, of_week = fields[:6]
        if (of_month == "?") == (of_week == "?"):
            raise ValueError("of day of month and day of week exactly one must be ?")
        try:
            zone = ZoneInfo(timezone)
        except (KeyError, OSError, ValueError) as error:  # by how it is no name of a zone
            raise ValueError(f"{timezone!r} is no time zone known here") from error
        return Quartz(
            _numbers("second", second, 0, 59),
            _numbers("minute", minute, 0, 59),
            _numbers("hour", hour, 0, 23),
            _days_of_week(of_week) if of_month == "?" else _days_of_month(of_month),
            _numbers("month", month, 1, 12, _MONTHS),
            _numbers("year", (fields[6:] or ["*"])[0], _FIRST_YEAR, _LAST_YEAR),
            zone,
        )

    def next_after(self, moment: datetime) -> datetime | None:
        """The first time later than a moment, in UTC; None if there is none."""
        local = moment.astimezone(self.zone)
        for day in self._dates(local.date()):
            earliest = local.time() if day == local.date() else time.min
            for each in self._times(earliest):
                candidate = datetime.combine(day, each, self.zone)
                due = candidate.astimezone(UTC)
                exists = due.astimezone(self.zone).time() == each
                if exists and due > moment:
                    return due
        return None

    def _dates(self, first: date) -> Iterator[date]:
        """The days that are due, from one on."""
        start = first.year * 12 + first.month - 1
        for number in range(start, start + _MONTHS_AHEAD):
            year, month = number // 12, number % 12 + 1
            if year in self.years and month in self.months:
                due = sorted(self.days(year, month))
                yield from (each for day in due if (each := date(year, month, day)) >= first)

    def _times(self, earliest: time) -> Iterator[time]:
        """The times of a day, from one on."""
        for hour in self.hours:
            for minute in self.minutes if hour >= earliest.hour else ():
                if (hour, minute) >= (earliest.hour, earliest.minute):
                    yield from (time(hour, minute, second) for second in self.seconds)


def _numbers(
    what: str, text: str, low: int, high: int, names: tuple[str, ...] = ()
) -> tuple[int, ...]:
    """The values of a field: a list of values, ranges (which may wrap) and steps."""
    numbers: set[int] = set()
    for item in text.split(","):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise ValueError(f"{item!r} is no {what}")
        first = _value(what, match[1], low, high, names) if match[1] else low
        last = _value(what, match[2], low, high, names) if match[2] else high
        if match[1] and not match[2] and not match[3]:
            last = first
        step = int(match[3] or 1)
        if step < 1:
            raise ValueError(f"the step of {item!r} ({what}) must be 1 or more")
        span = last - first if last >= first else last - first + high - low + 1
        numbers |= {low + (first - low + n) % (high - low + 1) for n in range(0, span + 1, step)}
    return tuple(sorted(numbers))


def _value(what: str, text: str, low: int, high: int, names: tuple[str, ...]) -> int:
    if text in names:
        return low + names.index(text)
    if not text.isdecimal() or not low <= int(text) <= high:
        raise ValueError(f"{text!r} is no {what} from {low} to {high}")
    return int(text)


def _days_of_month(text: str) -> Days:
    special = _IN_MONTH.fullmatch(text)
    if special is None:
        days = _numbers("day of month", text, 1, 31)
        return lambda year, month: [day for day in days if day <= _length(year, month)]
    before_end, weekday, day = special.groups()
    fixed = _value("day of month", day, 1, 31, ()) if day else None

    def due(year: int, month: int) -> list[int]:
        chosen = fixed or _length(year, month) - int(before_end or 0)
        if not 1 <= chosen <= _length(year, month):
            return []
        return [_nearest_weekday(year, month, chosen) if weekday or fixed else chosen]

    return due


def _days_of_week(text: str) -> Days:
    special = _IN_WEEK.fullmatch(text)
    if special is None:
        text = "SAT" if text == "L" else text
        weekdays = _numbers("day of week", text, 1, 7, _WEEKDAYS)
        return lambda year, month: [
            day for each in weekdays for day in _weekdays(year, month, each)
        ]
    nth = int(special[2]) if special[2] else 0  # 0: the last one
    weekday = _value("day of week", special[1] or special[3], 1, 7, _WEEKDAYS)

    def due(year: int, month: int) -> list[int]:
        days = _weekdays(year, month, weekday)
        return days[nth - 1 : nth] if nth else days[-1:]

    return due


def _length(year: int, month: int) -> int:
    return calendar.monthrange(year, month)[1]


def _weekdays(year: int, month: int, weekday: int) -> list[int]:
    """The days of a month that are such a weekday; Sunday is 1."""
    first = (weekday - 1 - date(year, month, 1).isoweekday()) % 7 + 1
    return list(range(first, _length(year, month) + 1, 7))


def _nearest_weekday(year: int, month: int, day: int) -> int:
    """The day from Monday to Friday of the same month that is nearest."""
    weekday = date(year, month, day).weekday()
    if weekday == calendar.SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == calendar.SUNDAY:
        return day + 1 if day < _length(year, month) else day - 2
    return day
