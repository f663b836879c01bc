"""When a job is to be run by itself: its `schedule` (Quartz cron) or its periodic `trigger`.

Source: Jobs API 2.2, `CronSchedule` and `TriggerSettings`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from devcloud.databricks.errors import invalid, unsupported
from devcloud.databricks.quartz import Quartz
from devcloud.scheduler import Times

_UNITS = {
    "MINUTES": timedelta(minutes=1),
    "HOURS": timedelta(hours=1),
    "DAYS": timedelta(days=1),
    "WEEKS": timedelta(weeks=1),
}


@dataclass(frozen=True)
class Every:
    """Again and again after the same time, counted from a start that is not due itself."""

    step: timedelta
    start: datetime

    def next_after(self, moment: datetime) -> datetime:
        """The first time later than a moment."""
        return self.start + (max((moment - self.start) // self.step, 0) + 1) * self.step


def times_of(settings: Mapping[str, Any], created: int) -> Times | None:
    """When a job is to be run by itself; None if never: it has no schedule, or a paused one.

    Args:
        settings: of the job.
        created: when the job was made, epoch in ms. An interval counts from then; Databricks
            chooses a time of its own.

    Raises:
        ApiError: 400 where the schedule is wrong, 501 where it needs what is not here.
    """
    schedule, trigger = settings.get("schedule") or {}, settings.get("trigger") or {}
    cron = _cron(schedule) if schedule else None
    periodic = _periodic(trigger, created) if trigger else None
    if cron and periodic:
        raise invalid("The job has a schedule and a trigger: give one.")
    return cron or periodic


def _cron(schedule: Mapping[str, Any]) -> Times | None:
    expression = str(schedule.get("quartz_cron_expression", ""))
    try:
        times = Quartz.read(expression, str(schedule.get("timezone_id", "")))
    except ValueError as error:
        raise invalid(f"The schedule {expression!r} cannot be read: {error}.") from error
    known = ("quartz_cron_expression", "timezone_id", "pause_status")
    return times if _active("schedule", schedule, known) else None


def _periodic(trigger: Mapping[str, Any], created: int) -> Times | None:
    if not _active("trigger", trigger, ("periodic", "pause_status")):
        return None
    periodic = trigger.get("periodic") or {}
    interval, unit = periodic.get("interval"), periodic.get("unit")
    if isinstance(interval, bool) or not isinstance(interval, int) or interval < 1:
        raise invalid(f"The interval of a periodic trigger must be 1 or more, not {interval!r}.")
    if unit not in _UNITS:
        raise invalid(f"The unit of a periodic trigger must be one of {', '.join(_UNITS)}.")
    return Every(interval * _UNITS[unit], datetime.fromtimestamp(created / 1000, UTC))


def _active(what: str, document: Mapping[str, Any], known: Collection[str]) -> bool:
    """Whether it is not paused; then all that it says must be known here."""
    status = document.get("pause_status") or "UNPAUSED"
    if status not in ("PAUSED", "UNPAUSED"):
        raise invalid(f"pause_status of the {what} must be PAUSED or UNPAUSED, not {status!r}.")
    if status == "PAUSED":
        return False
    for key, value in document.items():
        if key not in known and value:
            raise unsupported(f"{key} of a {what} unless its pause_status is PAUSED")
    return True
