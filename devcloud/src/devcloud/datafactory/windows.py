"""Runs the windows of started tumbling window triggers: at once as many as each allows."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from devcloud.clock import Clock, stamp
from devcloud.datafactory.activities.frame import ActivityError
from devcloud.datafactory.azure_error import AzureError, bad_request
from devcloud.datafactory.engine import INTERRUPTED, Engine
from devcloud.datafactory.expressions.errors import ExpressionError
from devcloud.datafactory.resources import Resources
from devcloud.datafactory.runs import PipelineRun, Runs
from devcloud.datafactory.trigger_runs import (
    CANCELLED,
    DEPENDENT,
    FAILED,
    RUNNING,
    SUCCEEDED,
    WAITING,
    TriggerRun,
    TriggerRuns,
)
from devcloud.datafactory.tumbling import (
    DEPENDENCY_PATIENCE,
    TumblingSchedule,
    iso,
    unfulfilled,
)

log = logging.getLogger("devcloud")

_LONGEST_SLEEP = timedelta(seconds=60)
_MOST_UNFINISHED = 1000  # windows of a trigger that are held ready
_Starts = Callable[[TriggerRun, dict[str, Any], dict[str, Any]], list[PipelineRun]]


class Windows:
    """The windows of all started tumbling window triggers; used from one event loop."""

    def __init__(
        self,
        resources: Resources,
        trigger_runs: TriggerRuns,
        pipeline_runs: Runs,
        engine: Engine,
        clock: Clock,
        *,
        start: _Starts,
    ) -> None:
        self._resources = resources
        self._runs = trigger_runs
        self._pipeline_runs = pipeline_runs
        self._engine = engine
        self._clock = clock
        self._start = start
        self._schedules: dict[tuple[str, str], TumblingSchedule] = {}
        self._first: dict[tuple[str, str], int] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __contains__(self, key: tuple[str, str]) -> bool:
        return key in self._schedules

    def put(self, factory: str, name: str, schedule: TumblingSchedule) -> None:
        """From now on run the windows of a trigger."""
        self._schedules[factory, name.lower()] = schedule
        self._first.pop((factory, name.lower()), None)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._watch())
        self._changed.set()

    def drop(self, factory: str, name: str) -> None:
        """Start no further window of a trigger."""
        self._schedules.pop((factory, name.lower()), None)

    def ended(self, run: PipelineRun) -> None:
        """A pipeline run has ended."""
        if run.trigger is not None:
            self._changed.set()
            if self._task is None and run.invoked_by["invokedByType"] == "TumblingWindowTrigger":
                self._task = asyncio.get_running_loop().create_task(self._watch())

    async def close(self) -> None:
        """Start nothing more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def rerun(self, run: TriggerRun) -> None:
        """Run a window again.

        Raises:
            AzureError: 400.
        """
        self._check(run)
        if not run.final:
            raise bad_request(f"the window {run.trigger_run_id!r} is {run.status}", run.trigger)
        run.status, run.message, run.attempts, run.not_before = WAITING, "", 0, ""
        run.properties["Rerun"] = stamp(self._clock.now())
        self._first.pop((run.factory, run.trigger.lower()), None)
        self._runs.save(run)
        self._changed.set()

    def cancel(self, run: TriggerRun) -> None:
        """End a window and its pipeline.

        Raises:
            AzureError: 400.
        """
        self._check(run)
        if run.final:
            raise bad_request(f"the window {run.trigger_run_id!r} is {run.status}", run.trigger)
        was_running = run.status == RUNNING
        run.status, run.message = CANCELLED, "Cancelled by a request"
        self._runs.save(run)
        for pipeline_run in self._pipelines(run) if was_running else ():
            self._engine.cancel(pipeline_run, recursive=True)
        self._changed.set()

    def _check(self, run: TriggerRun) -> None:
        if run.window is None:
            raise bad_request(
                f"{run.trigger_run_id!r} is the run of a {run.kind}: only those of a "
                "TumblingWindowTrigger are run again or cancelled",
                run.trigger,
            )

    async def _watch(self) -> None:
        while True:
            self._changed.clear()
            next_look = self._clock.now() + _LONGEST_SLEEP
            self._settle()
            for key, schedule in list(self._schedules.items()):
                try:
                    due = self._look(*key, schedule)
                except Exception:  # the other triggers, and the next look, must come
                    log.exception("the windows of the trigger %s", key[1])
                    continue
                next_look = min(next_look, due or next_look)
            pause = max((next_look - self._clock.now()).total_seconds(), 0.01)
            sleep = asyncio.ensure_future(self._clock.sleep(pause))
            change = asyncio.ensure_future(self._changed.wait())
            try:
                await asyncio.wait({sleep, change}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                sleep.cancel()
                change.cancel()

    def _settle(self) -> None:
        """Note how running windows ended, of stopped triggers, too."""
        for run in self._runs.running():
            if not run.not_before:
                self._settle_one(run)

    def _settle_one(self, run: TriggerRun) -> None:
        ended = self._pipelines(run)
        if not all(each.final for each in ended):
            return
        failed = [each for each in ended if each.status != SUCCEEDED]
        if ended and not failed:
            run.status, run.message = SUCCEEDED, ""
        elif failed and failed[0].status == CANCELLED:
            run.status, run.message = CANCELLED, failed[0].message
        elif not failed or failed[0].message == INTERRUPTED:
            # Not a failure of the pipeline: the process ended, which Azure's does not.
            run.status = WAITING
        else:
            self._failed(run, failed[0].message)
        self._runs.save(run)

    def _failed(self, run: TriggerRun, message: str) -> None:
        """A try has failed; there is another where the retry policy has one left."""
        run.attempts += 1
        run.message = message
        schedule = self._schedule(run.factory, run.trigger)
        if schedule is None or run.attempts > schedule.retries:
            run.status = FAILED
            return
        run.not_before = stamp(self._clock.now() + timedelta(seconds=schedule.retry_seconds))

    def _look(self, factory: str, name: str, schedule: TumblingSchedule) -> datetime | None:
        """Start what may be started; when to look again."""
        now = self._clock.now()
        trigger = self._resources.get(factory, "triggers", name)
        self._make_due(factory, trigger["name"], schedule, self._runs.windows(factory, name))
        windows = self._runs.windows(factory, name).values()
        open_runs = sorted((run for run in windows if not run.final), key=_edges)
        running = sum(run.status == RUNNING for run in open_runs)
        next_look = schedule.next_due(now)
        for run in open_runs:
            if run.not_before:
                moment = datetime.fromisoformat(run.not_before).astimezone(UTC)
                if moment <= now:
                    self._begin(run, trigger)
                else:
                    next_look = min(next_look or moment, moment)
            elif run.status in (WAITING, DEPENDENT):
                if not self._is_ready(run, trigger, schedule, now) or running >= schedule.at_once:
                    continue
                self._begin(run, trigger)
                running += run.status == RUNNING
        return next_look

    def _make_due(
        self,
        factory: str,
        name: str,
        schedule: TumblingSchedule,
        windows: Mapping[str, TriggerRun],
    ) -> None:
        """Make the runs of windows that are due, oldest first."""
        key = factory, name.lower()
        now = self._clock.now()
        unfinished = sum(not run.final for run in windows.values())
        first = self._first.get(key, 0)
        leading = True
        for start, end in schedule.due(now, first):
            run = windows.get(iso(start))
            if run is not None:
                leading = leading and run.final
                self._first[key] = self._first.get(key, 0) + leading
                continue
            leading = False
            if unfinished >= _MOST_UNFINISHED:
                return
            unfinished += 1
            run = TriggerRun(
                trigger_run_id=str(uuid.uuid4()),
                factory=factory,
                trigger=name,
                kind="TumblingWindowTrigger",
                started=stamp(now),
                status=WAITING,
                window=[iso(start), iso(end)],
                properties={
                    "TriggerTime": stamp(now),
                    "windowStartTime": iso(start),
                    "windowEndTime": iso(end),
                },
            )
            self._runs.save(run)

    def _is_ready(
        self,
        run: TriggerRun,
        trigger: dict[str, Any],
        schedule: TumblingSchedule,
        now: datetime,
    ) -> bool:
        """Whether all that a window waits for has succeeded."""
        waits: dict[str, str] = {}
        for dependency in schedule.dependencies:
            other = dependency.trigger or trigger["name"]
            other_schedule = self._schedule(run.factory, other)
            missing = [other]
            if other_schedule is not None:
                runs = self._runs.windows(run.factory, other)
                missing = unfulfilled(_edges(run), dependency, other_schedule, runs)
            state = f"waits for {', '.join(missing[:3])}" if missing else SUCCEEDED
            waits[other] = state if waits.get(other, SUCCEEDED) == SUCCEEDED else waits[other]
        ready = all(state == SUCCEEDED for state in waits.values())
        status = WAITING if ready else DEPENDENT
        if not ready and now - datetime.fromisoformat(run.started) > DEPENDENCY_PATIENCE:
            status = FAILED
            run.message = f"dependencies were not fulfilled within {DEPENDENCY_PATIENCE.days} days"
        if (run.status, run.waits) != (status, waits):
            run.status, run.waits = status, waits
            self._runs.save(run)
        return ready

    def _begin(self, run: TriggerRun, trigger: dict[str, Any]) -> None:
        start, end = _edges(run)
        now = stamp(self._clock.now())
        seen = {
            "scheduledTime": stamp(end),
            "startTime": now,
            "outputs": {"windowStartTime": iso(start), "windowEndTime": iso(end)},
        }
        run.not_before = ""
        try:
            self._start(run, trigger["properties"], seen)
            run.status = RUNNING
        except AzureError as error:
            run.status = RUNNING  # of which the retry policy decides
            self._failed(run, error.message)
        except (ExpressionError, ActivityError) as error:
            run.status, run.message = FAILED, str(error)
        self._runs.save(run)

    def _pipelines(self, run: TriggerRun) -> list[PipelineRun]:
        found = (self._pipeline_runs.get(run_id) for run_id in run.pipelines.values())
        return [each for each in found if each is not None]

    def _schedule(self, factory: str, name: str) -> TumblingSchedule | None:
        """The schedule of a trigger, started or not; None if it is gone or another kind."""
        try:
            properties = self._resources.get(factory, "triggers", name)["properties"]
        except AzureError:
            return None
        if properties["type"] != "TumblingWindowTrigger":
            return None
        return TumblingSchedule.read(properties["typeProperties"])


def _edges(run: TriggerRun) -> tuple[datetime, datetime]:
    start, end = run.window or ("", "")
    return datetime.fromisoformat(start), datetime.fromisoformat(end)
