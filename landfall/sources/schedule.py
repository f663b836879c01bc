"""What a schedule means for people: in words, and when it starts next."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from landfall.sources.durations import duration

Schedule = Mapping[str, Any]
_UTC_NAMES = frozenset({"UTC", "Etc/UTC"})
_AHEAD = 800
"""Days that are looked at: the 29th of February may be that far."""


def shown(schedule: Schedule | None) -> str:
    """Return a schedule in a few words."""
    if schedule is None:
        return "by hand"
    off = "" if schedule["enabled"] else " (off)"
    if "window" in schedule:
        return f"windows of {schedule['window']}{off}"
    if "event" in schedule:
        return f"on {schedule['event']['kind']} events{off}"
    at = f" at {', '.join(schedule['at'])}" if "at" in schedule else ""
    zone = "" if schedule["timeZone"] in _UTC_NAMES else f" {schedule['timeZone']}"
    return f"every {schedule['every']}{at}{zone}{off}"


def next_start(schedule: Schedule | None, now: datetime) -> datetime | None:
    """Return when a schedule starts next.

    None where it does not, where that is not known beforehand, and in another time zone than UTC,
    whose rules are those of Data Factory.
    """
    if schedule is None or not schedule["enabled"] or "event" in schedule:
        return None
    start = datetime.fromisoformat(schedule["start"])
    end = datetime.fromisoformat(schedule["end"]) if "end" in schedule else None
    moment: datetime | None
    if "window" in schedule:
        moment = _next_window(schedule, start, now)
    elif schedule["timeZone"] in _UTC_NAMES:
        moment = next((at for at in _starts(schedule, start, now) if at > now), None)
    else:
        return None
    return moment if moment and (end is None or moment <= end) else None


def _next_window(schedule: Schedule, start: datetime, now: datetime) -> datetime:
    size = duration(schedule["window"])
    delay = duration(schedule["delay"]) if "delay" in schedule else timedelta()
    done = max(0, (now - delay - start) // size)
    return start + (done + 1) * size + delay


def _starts(schedule: Schedule, start: datetime, now: datetime) -> Iterator[datetime]:
    number, unit = re.fullmatch(r"([0-9]+)([a-z]+)", schedule["every"]).groups()  # type: ignore[union-attr]
    if unit in {"m", "h"}:
        step = int(number) * timedelta(**{"minutes" if unit == "m" else "hours": 1})
        passed = max(0, (now - start) // step)
        yield from (start + (passed + more) * step for more in (0, 1, 2))
        return
    times = [time.fromisoformat(text) for text in schedule.get("at", ())] or [start.time()]
    for ahead in range(_AHEAD):
        day = max(now, start).date() + timedelta(days=ahead)
        if _on_day(schedule, unit, int(number), start.date(), day):
            for at in sorted(times):
                moment = datetime.combine(day, at, UTC)
                if moment >= start:
                    yield moment


def _on_day(schedule: Schedule, unit: str, number: int, start: date, day: date) -> bool:
    if unit == "d":
        return (day - start).days % number == 0
    if unit == "w":
        monday, first = (each - timedelta(days=each.weekday()) for each in (day, start))
        names = schedule.get("weekDays") or [f"{start:%A}"]
        return (monday - first).days // 7 % number == 0 and f"{day:%A}" in names
    months = (day.year - start.year) * 12 + day.month - start.month
    days = [int(each) for each in schedule.get("monthDays") or [start.day]]
    left = ((day.replace(day=28) + timedelta(days=4)).replace(day=1) - day).days
    return months % number == 0 and (day.day in days or -left in days)
