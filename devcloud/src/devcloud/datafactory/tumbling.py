"""Tumbling windows: which there are, and which of them may run now. Nothing here runs anything.

Windows follow one another from the start time without a gap, oldest first; one that lies in the
past is run like any other, which is how a backfill is done.
Source: learn.microsoft.com/azure/data-factory/how-to-create-tumbling-window-trigger and
tumbling-window-trigger-dependency
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from devcloud.datafactory import shapes
from devcloud.datafactory.azure_error import bad_request
from devcloud.datafactory.check import fits, typed
from devcloud.datafactory.policy import parse_span
from devcloud.datafactory.trigger_runs import SUCCEEDED, TriggerRun

DEPENDENCY_PATIENCE = timedelta(days=7)
_SPANS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1)}
_LEAST_SPAN = timedelta(minutes=5)
_MONTHS = 12
_DAYS_OF_EVERY_MONTH = 28
_MOST_AT_ONCE = 50
_MOST_DEPENDENCIES = 5
_SELF = "SelfDependencyTumblingWindowTriggerReference"
_NEGATIVE_SPAN = re.compile(r"-?(?:\d+\.)?\d{1,2}:\d{2}:\d{2}")


@dataclass(frozen=True)
class Dependency:
    """What a window waits for.

    Attributes:
        trigger: another trigger, or None for the same.
        offset: from the window's start to that of what it waits for.
        size: of what it waits for; None is that of the window.
    """

    trigger: str | None
    offset: timedelta
    size: timedelta | None


@dataclass(frozen=True)
class TumblingSchedule:
    """The checked properties of a tumbling window trigger.

    Attributes:
        frequency: minute, hour or month.
        delay: from the end of a window to its run.
        at_once: how many windows run at a time.
        retries, retry_seconds: of the pipeline of a window.
    """

    frequency: str
    interval: int
    start: datetime
    end: datetime | None
    delay: timedelta
    at_once: int
    retries: int
    retry_seconds: int
    dependencies: tuple[Dependency, ...] = ()

    @staticmethod
    def read(document: dict[str, Any]) -> TumblingSchedule:
        """Read the typeProperties of the trigger.

        Raises:
            AzureError: 400 for what is wrong.
        """
        frequency = str(document["frequency"]).lower()
        interval = document["interval"]
        if frequency not in (*_SPANS, "month"):
            raise bad_request("the frequency of a tumbling window is Minute, Hour or Month")
        if not _whole(interval) or interval < 1:
            raise bad_request(f"the interval must be an integer of at least 1, not {interval!r}")
        if frequency in _SPANS and _SPANS[frequency] * interval < _LEAST_SPAN:
            raise bad_request("a tumbling window has at least 5 minutes")
        at_once = document["maxConcurrency"]
        if not _whole(at_once) or not 1 <= at_once <= _MOST_AT_ONCE:
            raise bad_request(f"maxConcurrency must be an integer from 1 to {_MOST_AT_ONCE}")
        policy = fits("retryPolicy", document.get("retryPolicy") or {}, shapes.RETRY_POLICY)
        retries, seconds = policy.get("count", 0), policy.get("intervalInSeconds", 30)
        if not _whole(retries) or retries < 0 or not _whole(seconds) or seconds < 1:
            raise bad_request("retryPolicy has a count of at least 0 and intervalInSeconds")
        entries = document.get("dependsOn") or []
        if len(entries) > _MOST_DEPENDENCIES:
            raise bad_request(f"dependsOn has at most {_MOST_DEPENDENCIES} triggers")
        end = document.get("endTime")
        start = _time("startTime", document["startTime"])
        if frequency == "month" and start.day > _DAYS_OF_EVERY_MONTH:
            raise bad_request("windows of months begin on a day that every month has, 1 to 28")
        return TumblingSchedule(
            frequency,
            interval,
            start,
            None if end is None else _time("endTime", end),
            _span("delay", document.get("delay") or "00:00:00"),
            at_once,
            retries,
            seconds,
            tuple(_dependency(entry) for entry in entries),
        )

    def window(self, number: int) -> tuple[datetime, datetime]:
        """The window of a number, from 0."""
        return self._edge(number), self._edge(number + 1)

    def due(self, now: datetime, first: int = 0) -> Iterator[tuple[datetime, datetime]]:
        """The windows that have ended and whose delay is over, oldest first, from a number on."""
        number = first
        while True:
            start, end = self.window(number)
            if end + self.delay > now or (self.end is not None and end > self.end):
                return
            yield start, end
            number += 1

    def next_due(self, now: datetime) -> datetime | None:
        """When the next window is due; None after the last."""
        number = 0
        if self.frequency in _SPANS:
            span = _SPANS[self.frequency] * self.interval
            number = max((now - self.delay - self.start) // span - 1, 0)
        while True:
            _, end = self.window(number)
            if self.end is not None and end > self.end:
                return None
            if end + self.delay > now:
                return end + self.delay
            number += 1

    def overlapping(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
        """The windows that have a part in a span of time; none lies before the first."""
        number = 0
        if self.frequency in _SPANS:
            span = _SPANS[self.frequency] * self.interval
            number = max((start - self.start) // span, 0)
        while True:
            low, high = self.window(number)
            if low >= end or (self.end is not None and high > self.end):
                return
            if high > start:
                yield low, high
            number += 1

    def _edge(self, number: int) -> datetime:
        if self.frequency in _SPANS:
            return self.start + number * self.interval * _SPANS[self.frequency]
        months = self.start.year * _MONTHS + self.start.month - 1 + number * self.interval
        year, month = divmod(months, _MONTHS)
        return self.start.replace(year=year, month=month + 1)


def unfulfilled(
    window: tuple[datetime, datetime],
    dependency: Dependency,
    schedule: TumblingSchedule,
    runs: Mapping[str, TriggerRun],
) -> list[str]:
    """The windows that a window still waits for, by their start.

    Args:
        window: that wants to run.
        dependency: of its trigger.
        schedule: of the trigger that it depends on.
        runs: of that trigger, by the start of the window.
    """
    start = window[0] + dependency.offset
    size = dependency.size if dependency.size is not None else window[1] - window[0]
    waited_for = (iso(low) for low, _ in schedule.overlapping(start, start + size))
    return [low for low in waited_for if low not in runs or runs[low].status != SUCCEEDED]


def iso(moment: datetime) -> str:
    """A time as `trigger().outputs` has it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _dependency(entry: Any) -> Dependency:
    shape = typed("dependsOn", entry, shapes.WINDOW_DEPENDENCIES)
    fits("dependsOn", entry, shape)
    offset = _span("offset", entry.get("offset") or "00:00:00")
    size = _span("size", entry["size"]) if entry.get("size") else None
    if size is not None and size <= timedelta(0):
        raise bad_request("dependsOn: the size must be more than nothing")
    if entry["type"] == _SELF:
        if offset >= timedelta(0):
            raise bad_request("dependsOn: the offset of a self-dependency must be negative")
        if offset + (size or timedelta(0)) > timedelta(0):
            raise bad_request("dependsOn: a window cannot wait for itself: the size is too large")
        return Dependency(None, offset, size)
    return Dependency(str(entry["referenceTrigger"]["referenceName"]), offset, size)


def _span(name: str, text: Any) -> timedelta:
    if not isinstance(text, str) or not _NEGATIVE_SPAN.fullmatch(text):
        raise bad_request(f"{name}: a time span is written [-][d.]hh:mm:ss, not {text!r}")
    span = parse_span(text.removeprefix("-"))
    return -span if text.startswith("-") else span


def _time(name: str, text: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise bad_request(f"{name}: {text!r} is not an ISO 8601 time") from error
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
