"""When a schedule trigger fires.

Recurrence: every `interval` minutes, hours, days or weeks from `startTime`; with a `schedule`
(minutes, hours, weekDays) at those times of the days or weeks that are due. UTC only.
Source: learn.microsoft.com/azure/data-factory/how-to-create-schedule-trigger
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from devcloud.datafactory import shapes
from devcloud.datafactory.azure_error import bad_request
from devcloud.datafactory.check import fits
from devcloud.datafactory.shapes import Shape

_UNITS = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SCHEDULE = Shape(obeys=frozenset(("minutes", "hours", "weekDays")))


@dataclass(frozen=True)
class Recurrence:
    """A checked recurrence; times are in UTC."""

    unit: str
    interval: int
    start: datetime
    end: datetime | None
    minutes: tuple[int, ...] | None
    hours: tuple[int, ...] | None
    weekdays: tuple[int, ...] | None

    @staticmethod
    def read(document: Any) -> Recurrence:
        """Read the JSON of a recurrence.

        Raises:
            AzureError: 400 for what is wrong or not supported.
        """
        fits("recurrence", document, shapes.RECURRENCE)
        unit = str(document["frequency"]).lower()
        if unit not in _UNITS:
            raise bad_request(f"the frequency {document['frequency']!r} is not supported here")
        if document["timeZone"] != "UTC":
            raise bad_request(f"the time zone {document['timeZone']!r} is not supported here: UTC")
        interval = document["interval"]
        if not isinstance(interval, int) or interval < 1:
            raise bad_request(f"the interval must be an integer of at least 1, not {interval!r}")
        schedule = fits("schedule", document.get("schedule") or {}, _SCHEDULE)
        if schedule and unit not in ("day", "week"):
            raise bad_request("a schedule goes with the frequency Day or Week")
        days = schedule.get("weekDays")
        if days is not None and (unit != "week" or {d.lower() for d in days} - set(_WEEKDAYS)):
            raise bad_request(f"weekDays goes with Week and names of days, not {days!r}")
        return Recurrence(
            unit,
            interval,
            _time(document["startTime"]),
            _time(document["endTime"]) if "endTime" in document else None,
            _numbers("minutes", schedule, 60),
            _numbers("hours", schedule, 24),
            tuple(sorted(_WEEKDAYS.index(day.lower()) for day in days)) if days else None,
        )

    def next_after(self, moment: datetime) -> datetime | None:
        """The first time later than a moment; None if there is none."""
        step = _UNITS[self.unit] * self.interval
        periods = max((moment - self.start) // step, 0)
        for number in range(periods, periods + 3):
            for due in self._times(self.start + number * step):
                if due > moment and due >= self.start:
                    return due if self.end is None or due <= self.end else None
        return None

    def _times(self, begin: datetime) -> Iterator[datetime]:
        """The times of the period that begins there, earliest first."""
        if self.minutes is None and self.hours is None and self.weekdays is None:
            yield begin
            return
        days = [begin]
        if self.unit == "week":
            monday = begin - timedelta(days=begin.weekday())
            chosen = self.weekdays if self.weekdays is not None else (begin.weekday(),)
            days = [monday + timedelta(days=day) for day in chosen]
        for day in days:
            for hour in self.hours if self.hours is not None else (begin.hour,):
                for minute in self.minutes if self.minutes is not None else (begin.minute,):
                    yield day.replace(hour=hour, minute=minute, second=begin.second)


def _time(text: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise bad_request(f"{text!r} is not an ISO 8601 time") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _numbers(name: str, schedule: dict[str, Any], below: int) -> tuple[int, ...] | None:
    values = schedule.get(name)
    if values is None:
        return None
    for value in values:
        if not isinstance(value, int) or not 0 <= value < below:
            raise bad_request(f"{name} must be integers from 0 to {below - 1}, not {values!r}")
    return tuple(sorted(values))
