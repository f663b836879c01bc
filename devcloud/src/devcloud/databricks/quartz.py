"""Quartz cron expressions, as a job's `schedule` has them, in a time zone.

`{second} {minute} {hour} {day of month} {month} {day of week} [{year}]`; of the two days exactly
one is `?`; Sunday is 1. They are handed to croniter, whose week begins with Sunday as 0. The
nearest weekday (W) and days before the last one (L-n) have no form there and are refused. A local
time that the clock skips in spring does not come; one that comes twice in autumn counts the first
time.
Source: quartz-scheduler.org, tutorial "CronTrigger".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from croniter import CroniterBadCronError, CroniterBadDateError, croniter

_FIELDS = ("second", "minute", "hour", "day of month", "month", "day of week", "year")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_STEPPED = re.compile(r"(\d+)-(\d+)/")
_MOST_YEARS = 41
"""A fifth Sunday of February comes after 40 years at the latest."""


@dataclass(frozen=True)
class Quartz:
    """A checked expression: `cron` in the form of croniter, seconds first."""

    cron: str
    zone: ZoneInfo

    @staticmethod
    def read(expression: str, timezone: str) -> Quartz:
        """Read an expression and the name of a time zone.

        Raises:
            ValueError: one of them is wrong, or not supported here; it says why.
        """
        fields = expression.upper().split()
        if len(fields) not in (6, 7):
            raise ValueError(
                f"it has {len(fields)} fields; it must have second, minute, hour, day of month, "
                "month, day of week and perhaps year"
            )
        of_month, of_week = fields[3], fields[5]
        if (of_month == "?") == (of_week == "?"):
            raise ValueError("of day of month and day of week exactly one must be ?")
        if "L" in of_month and not of_month.startswith("L"):
            raise ValueError(f"{of_month!r} is no day of month: L stands alone")
        if "W" in of_month or "L-" in of_month:
            raise ValueError(f"{of_month!r}: the nearest weekday and L-n are not supported here")
        try:
            zone = ZoneInfo(timezone)
        except (KeyError, OSError, ValueError) as error:  # by how it is no name of a zone
            raise ValueError(f"{timezone!r} is no time zone known here") from error
        fields[5] = ",".join(_weekday(item) for item in of_week.split(","))
        for name, field in zip(_FIELDS, fields, strict=False):
            if any(int(first) > int(last) for first, last in _STEPPED.findall(field)):
                raise ValueError(f"{field!r} ({name}): a range with a step must not wrap around")
        fields[3], fields[5] = (field.replace("?", "*") for field in (of_month, fields[5]))
        # Croniter takes a range of one value for every value.
        fields = [re.sub(r"\b(\w+)-\1\b", r"\1", field) for field in fields]
        for name, field in zip(_FIELDS, fields, strict=False):
            _check(name, field)
        return Quartz(" ".join(fields), zone)

    def next_after(self, moment: datetime) -> datetime | None:
        """The first time later than a moment, in UTC; None if there is none."""
        # Croniter works on local times without a zone: an hour that the clock skips is passed over.
        local = moment.astimezone(self.zone).replace(tzinfo=None)
        due = croniter(
            self.cron, local, second_at_beginning=True, max_years_between_matches=_MOST_YEARS
        )
        try:
            while True:
                candidate: datetime = due.get_next(datetime)
                instant: datetime = candidate.replace(tzinfo=self.zone).astimezone(UTC)
                exists = instant.astimezone(self.zone).replace(tzinfo=None) == candidate
                if exists and instant > moment:
                    return instant
        except CroniterBadDateError:
            return None


def _weekday(item: str) -> str:
    """One item of a day of week in croniter's form: 1-7 and SUN-SAT become 0-6."""
    if item == "L":
        return "6"
    match = re.fullmatch(r"(\w+?)(L|#[1-5])?(?:-(\w+?))?(/\d+)?", item)
    if match is None or item == "?":
        return item
    first, nth, last, step = match.groups(default="")
    if nth == "L":
        return f"L{_number(first)}"
    until = f"-{_number(last)}" if last else ""
    return f"{_number(first)}{nth}{until}{step}"


def _number(weekday: str) -> int:
    if weekday in _WEEKDAYS:
        return _WEEKDAYS.index(weekday)
    if not weekday.isdecimal() or not 1 <= int(weekday) <= len(_WEEKDAYS):
        raise ValueError(f"{weekday!r} is no day of week from 1 to 7 or SUN to SAT")
    return int(weekday) - 1


def _check(name: str, field: str) -> None:
    """See that croniter takes a field, for its own message does not name it.

    Raises:
        ValueError: it does not.
    """
    place = _FIELDS.index(name)
    fields = ["0", "0", "0", "*", "*", "*", "*"]
    fields[place] = field
    try:
        croniter(" ".join(fields), second_at_beginning=True)
    except (CroniterBadCronError, ValueError, KeyError) as error:
        raise ValueError(f"{field!r} is no {name}") from error
