"""When a schedule trigger fires.

Every `interval` minutes, hours, days, weeks or months from `startTime`; with a `schedule` at those
times of the days, weeks or months that are due. Days and longer are counted on the clock of the
time zone, so that 08:00 stays 08:00 when the clocks change; minutes and hours are not. A time that
the clocks leave out is taken an hour later, one that is there twice the first time.
Source: learn.microsoft.com/azure/data-factory/how-to-create-schedule-trigger
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from devcloud.datafactory import shapes
from devcloud.datafactory.azure_error import bad_request
from devcloud.datafactory.check import fits
from devcloud.datafactory.expressions.zones import zone_of
from devcloud.datafactory.shapes import Shape

_SPANS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1)}
_DAYS = {"day": 1, "week": 7}
_UNITS = (*_SPANS, *_DAYS, "month")
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_TIMES = ("minutes", "hours")
_SCHEDULES = {
    "day": Shape(obeys=frozenset(_TIMES)),
    "week": Shape(obeys=frozenset((*_TIMES, "weekDays"))),
    "month": Shape(obeys=frozenset((*_TIMES, "monthDays", "monthlyOccurrences"))),
}
_OCCURRENCE = Shape(frozenset(("day", "occurrence")))
_MOST_PERIODS = 1200  # to look for a time in: a 29th of February is 48 months away, or 96
_MONTHS = 12


@dataclass(frozen=True)
class Recurrence:
    """A checked recurrence.

    Attributes:
        unit: minute, hour, day, week or month.
        start, end: in UTC; end is None without one.
        zone: whose clock counts days.
        minutes, hours: of the day; None is that of the start.
        weekdays: of the week, from Monday, 0; None is that of the start.
        month_days: of the month; negative from its end.
        occurrences: (weekday, which of the month, negative from its end).
    """

    unit: str
    interval: int
    start: datetime
    end: datetime | None
    zone: tzinfo
    minutes: tuple[int, ...] | None
    hours: tuple[int, ...] | None
    weekdays: tuple[int, ...] | None
    month_days: tuple[int, ...] = ()
    occurrences: tuple[tuple[int, int], ...] = ()

    @staticmethod
    def read(document: Any) -> Recurrence:
        """Read the JSON of a recurrence.

        Raises:
            AzureError: 400 for what is wrong.
        """
        fits("recurrence", document, shapes.RECURRENCE)
        unit = str(document["frequency"]).lower()
        if unit not in _UNITS:
            raise bad_request(f"the frequency {document['frequency']!r} is not one of {_UNITS}")
        zone = _zone(document.get("timeZone", "UTC"))
        interval = document["interval"]
        if not isinstance(interval, int) or interval < 1:
            raise bad_request(f"the interval must be an integer of at least 1, not {interval!r}")
        schedule = document.get("schedule") or {}
        if schedule and unit not in _SCHEDULES:
            raise bad_request("a schedule goes with the frequency Day, Week or Month")
        if schedule:
            fits("schedule", schedule, _SCHEDULES[unit])
        end = document.get("endTime")
        return Recurrence(
            unit,
            interval,
            _time(document["startTime"], zone),
            _time(end, zone) if end is not None else None,
            zone,
            _numbers("minutes", schedule, range(60)),
            _numbers("hours", schedule, range(24)),
            _weekdays(schedule.get("weekDays")),
            _month_days(schedule),
            _occurrences(schedule.get("monthlyOccurrences")),
        )

    def next_after(self, moment: datetime) -> datetime | None:
        """The first time later than a moment; None if there is none."""
        first = max(self._period_of(moment) - 1, 0)
        for number in range(first, first + _MOST_PERIODS):
            for due in self._times(number):
                if due > moment and due >= self.start:
                    return due if self.end is None or due <= self.end else None
        return None

    def _period_of(self, moment: datetime) -> int:
        """About the number of the period that a moment is in, never more."""
        if self.unit in _SPANS:
            return (moment - self.start) // (_SPANS[self.unit] * self.interval)
        local, begin = moment.astimezone(self.zone), self.start.astimezone(self.zone)
        if self.unit == "month":
            months = (local.year - begin.year) * _MONTHS + local.month - begin.month
            return months // self.interval
        return (local.date() - begin.date()).days // (_DAYS[self.unit] * self.interval)

    def _times(self, number: int) -> Iterator[datetime]:
        """The times of a period in UTC, earliest first."""
        if self.unit in _SPANS:
            yield self.start + number * self.interval * _SPANS[self.unit]
            return
        begin = self.start.astimezone(self.zone).replace(tzinfo=None)
        moments = {
            day.replace(hour=hour, minute=minute)
            for day in self._dates(begin, number)
            for hour in (self.hours if self.hours is not None else (begin.hour,))
            for minute in (self.minutes if self.minutes is not None else (begin.minute,))
        }
        yield from sorted({each.replace(tzinfo=self.zone).astimezone(UTC) for each in moments})

    def _dates(self, begin: datetime, number: int) -> Iterator[datetime]:
        """The days of a period, at the time of day of the start."""
        if self.unit == "day":
            yield begin + timedelta(days=number * self.interval)
        elif self.unit == "week":
            monday = begin - timedelta(days=begin.weekday())
            week = monday + timedelta(weeks=number * self.interval)
            chosen = self.weekdays if self.weekdays is not None else (begin.weekday(),)
            yield from (week + timedelta(days=day) for day in chosen)
        else:
            months = begin.year * _MONTHS + begin.month - 1 + number * self.interval
            year, month = divmod(months, _MONTHS)
            for day in self._days_of(year, month + 1, begin.day):
                yield begin.replace(year=year, month=month + 1, day=day)

    def _days_of(self, year: int, month: int, usual: int) -> set[int]:
        """The days of a month; those that it does not have are left out."""
        first, length = calendar.monthrange(year, month)
        if not self.month_days and not self.occurrences:
            return {usual} if usual <= length else set()
        days = {day if day > 0 else length + 1 + day for day in self.month_days}
        for weekday, which in self.occurrences:
            every = [day for day in range(1, length + 1) if (first + day - 1) % 7 == weekday]
            if abs(which) <= len(every):
                days.add(every[which - 1 if which > 0 else which])
        return {day for day in days if 1 <= day <= length}


def _zone(name: Any) -> tzinfo:
    try:
        return zone_of(str(name))
    except ValueError as error:
        raise bad_request(f"timeZone: {error}") from error


def _time(text: Any, zone: tzinfo) -> datetime:
    """A time in UTC; one without an offset is of the zone."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise bad_request(f"{text!r} is not an ISO 8601 time") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def _numbers(name: str, schedule: dict[str, Any], known: range) -> tuple[int, ...] | None:
    values = schedule.get(name)
    if values is None:
        return None
    if not isinstance(values, list) or not all(_is_in(value, known) for value in values):
        raise bad_request(
            f"{name} must be integers from {known.start} to {known.stop - 1}, not {values!r}"
        )
    return tuple(sorted(values))


def _is_in(value: Any, known: range) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value in known


def _weekdays(names: Any) -> tuple[int, ...] | None:
    if names is None:
        return None
    if not isinstance(names, list) or not all(str(n).lower() in _WEEKDAYS for n in names):
        raise bad_request(f"weekDays must be names of days, not {names!r}")
    return tuple(sorted(_WEEKDAYS.index(str(name).lower()) for name in names))


def _month_days(schedule: dict[str, Any]) -> tuple[int, ...]:
    days = _numbers("monthDays", schedule, range(-31, 32)) or ()
    if 0 in days:
        raise bad_request("monthDays must be 1 to 31, or -31 to -1 from the end of the month")
    return days


def _occurrences(entries: Any) -> tuple[tuple[int, int], ...]:
    found = []
    for entry in entries or ():
        fits("monthlyOccurrences", entry, _OCCURRENCE)
        weekdays = _weekdays([entry["day"]]) or ()
        which = entry["occurrence"]
        if not _is_in(which, range(-5, 6)) or which == 0:
            raise bad_request(f"occurrence must be 1 to 5, or -5 to -1, not {which!r}")
        found.append((weekdays[0], int(which)))
    return tuple(found)
