"""Triggers: schedules, tumbling windows, storage events and custom events start pipelines.

What is started stays so over a restart. Times of a schedule that passed meanwhile are not made up
for; windows are, and so are events, which their sender keeps.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from datetime import datetime
from typing import Any

from devcloud.clock import Clock, stamp
from devcloud.config import CloudConfig
from devcloud.datafactory import event_triggers
from devcloud.datafactory.activities.frame import ActivityError
from devcloud.datafactory.azure_error import AzureError, bad_request
from devcloud.datafactory.check import started_by
from devcloud.datafactory.engine import Engine
from devcloud.datafactory.expressions.errors import ExpressionError
from devcloud.datafactory.expressions.evaluate import EvaluationContext, evaluate
from devcloud.datafactory.recurrence import Recurrence
from devcloud.datafactory.resources import Resources, write_json
from devcloud.datafactory.runs import PipelineRun, Runs
from devcloud.datafactory.trigger_runs import FAILED, SUCCEEDED, TriggerRun, TriggerRuns
from devcloud.datafactory.tumbling import TumblingSchedule
from devcloud.datafactory.windows import Windows
from devcloud.lake.events import TRIGGERS
from devcloud.scheduler import TriggerScheduler

log = logging.getLogger("devcloud")

SCHEDULE, TUMBLING = "ScheduleTrigger", "TumblingWindowTrigger"
_FIXED = ("frequency", "interval")  # of a window, once it is there


class Triggers:
    """The triggers of all factories."""

    def __init__(
        self,
        config: CloudConfig,
        resources: Resources,
        engine: Engine,
        runs: Runs,
        clock: Clock,
    ) -> None:
        self._config = config
        self._resources = resources
        self._engine = engine
        self._clock = clock
        self.runs = TriggerRuns(config.root / "datafactory" / "triggerruns", clock.now())
        self._schedules: TriggerScheduler[tuple[str, str]] = TriggerScheduler(clock)
        self._windows = Windows(
            resources, self.runs, runs, engine, clock, start=self._start_pipelines
        )
        engine.on_end(self._windows.ended)

    def recover(self) -> None:
        """Take up the triggers that are started."""
        for factory in self._resources.keys():  # noqa: SIM118  (not a mapping)
            for trigger in self._resources.list(factory, "triggers"):
                if trigger["properties"].get("runtimeState") == "Started":
                    self._run(factory, trigger)
        self._subscribe()

    def check(self, factory: str, name: str, body: dict[str, Any]) -> None:
        """Refuse a definition whose times are wrong, or that changes what cannot be changed.

        Raises:
            AzureError: 400.
        """
        properties = body.get("properties")
        if not isinstance(properties, dict):
            raise bad_request("the body must have the object 'properties'", "properties")
        inside = properties.get("typeProperties")
        if not isinstance(inside, dict):
            return  # refused where shapes are checked
        if properties.get("type") == SCHEDULE:
            Recurrence.read(inside.get("recurrence"))
        if properties.get("type") == TUMBLING and {*_FIXED, "startTime"} <= inside.keys():
            TumblingSchedule.read(inside)
            self._check_fixed(factory, name, inside)

    def _check_fixed(self, factory: str, name: str, inside: dict[str, Any]) -> None:
        try:
            known = self._resources.get(factory, "triggers", name)["properties"]
        except AzureError:
            return
        for each in _FIXED if known["type"] == TUMBLING else ():
            if str(known["typeProperties"][each]).lower() != str(inside[each]).lower():
                raise bad_request(
                    f"the {each} of the tumbling window trigger {name!r} cannot be changed once it "
                    "is there: delete it, and create it anew",
                    name,
                )

    def check_change(self, factory: str, name: str) -> None:
        """Refuse to change or delete a trigger that is started.

        Raises:
            AzureError: 400.
        """
        try:
            trigger = self._resources.get(factory, "triggers", name)
        except AzureError:
            return
        if trigger["properties"].get("runtimeState") == "Started":
            raise AzureError(
                400,
                "TriggerEnabledCannotUpdate",
                f"cannot update enabled trigger {name!r}: stop it first",
                name,
            )

    def forget(self, factory: str, name: str) -> None:
        """A trigger was deleted: its windows count no more."""
        for run in list(self.runs.windows(factory, name).values()):
            run.retired = True
            self.runs.save(run)

    def start(self, factory: str, name: str) -> None:
        """Start a trigger; starting it again changes nothing.

        Raises:
            AzureError: 404; 400 if it starts nothing, or listens to another storage account.
        """
        trigger = self._resources.get(factory, "triggers", name)
        properties = trigger["properties"]
        if not started_by(properties):
            raise AzureError(400, "BadRequest", f"the trigger {name!r} starts no pipeline", name)
        if properties["type"] == event_triggers.STORAGE:
            event_triggers.subscription(
                self._config, factory, trigger["name"], properties["typeProperties"]
            )
        started = properties.get("runtimeState") == "Started"
        trigger = self._resources.set_state(factory, name, "Started")
        if not started or (factory, name.lower()) not in self:
            self._run(factory, trigger)
        self._subscribe()

    def stop(self, factory: str, name: str) -> None:
        """Stop a trigger; stopping it again changes nothing. Windows that run go on.

        Raises:
            AzureError: 404.
        """
        self._resources.get(factory, "triggers", name)
        self._resources.set_state(factory, name, "Stopped")
        self._schedules.drop((factory, name.lower()))
        self._windows.drop(factory, name)
        self._subscribe()

    def __contains__(self, key: tuple[str, str]) -> bool:
        return key in self._schedules or key in self._windows

    def rerun(self, factory: str, name: str, run_id: str) -> None:
        """Run a window again that has ended, by the definition of now.

        Raises:
            AzureError: 404; 400 for what is no window, or has not ended.
        """
        self._windows.rerun(self.run_of(factory, name, run_id))

    def cancel(self, factory: str, name: str, run_id: str) -> None:
        """End a window that waits or runs, and its pipeline.

        Raises:
            AzureError: 404; 400 for what is no window, or has ended.
        """
        self._windows.cancel(self.run_of(factory, name, run_id))

    def run_of(self, factory: str, name: str, run_id: str) -> TriggerRun:
        """A run of a trigger.

        Raises:
            AzureError: 404.
        """
        run = self.runs.get(run_id)
        if run is None or run.factory != factory or run.trigger.lower() != name.lower():
            raise AzureError(
                404, "TriggerRunNotFound", f"the trigger {name!r} has no run {run_id!r}", run_id
            )
        return run

    def deliver(self, factory: str, name: str, event: dict[str, Any]) -> None:
        """Take a storage event for a trigger; one that is not started or gone is passed over."""
        try:
            trigger = self._resources.get(factory, "triggers", name)
        except AzureError:
            return
        if trigger["properties"].get("runtimeState") == "Started":
            self._on_event(factory, trigger, event)

    def publish(self, topic: str, event: dict[str, Any]) -> None:
        """Take an event that was sent to a topic, for every trigger that listens to it."""
        for factory in self._resources.keys():  # noqa: SIM118  (not a mapping)
            for trigger in self._resources.list(factory, "triggers"):
                properties = trigger["properties"]
                if (
                    properties["type"] == event_triggers.CUSTOM
                    and properties.get("runtimeState") == "Started"
                    and event_triggers.is_of_topic(properties["typeProperties"], topic)
                ):
                    self._on_event(factory, trigger, event)

    async def close(self) -> None:
        """Fire nothing more; the triggers stay started."""
        await asyncio.gather(self._schedules.close(), self._windows.close())

    def _run(self, factory: str, trigger: dict[str, Any]) -> None:
        inside = trigger["properties"]["typeProperties"]
        if trigger["properties"]["type"] == TUMBLING:
            self._windows.put(factory, trigger["name"], TumblingSchedule.read(inside))
        if trigger["properties"]["type"] != SCHEDULE:
            return

        async def fire(due: datetime, now: datetime) -> None:
            seen = {"scheduledTime": stamp(due), "startTime": stamp(now)}
            self._fire(factory, trigger, seen, {"ScheduleTime": stamp(due)})

        recurrence = Recurrence.read(inside["recurrence"])
        self._schedules.put((factory, trigger["name"].lower()), recurrence, fire)

    def _on_event(self, factory: str, trigger: dict[str, Any], event: dict[str, Any]) -> None:
        kind = trigger["properties"]["type"]
        if not event_triggers.wants(kind, trigger["properties"]["typeProperties"], event):
            return
        seen = {"startTime": stamp(self._clock.now()), "body": event_triggers.body(kind, event)}
        self._fire(factory, trigger, seen, {"EventPayload": str(event.get("id", ""))})

    def _fire(
        self,
        factory: str,
        trigger: dict[str, Any],
        seen: dict[str, Any],
        properties: dict[str, str],
    ) -> None:
        now = stamp(self._clock.now())
        run = TriggerRun(
            trigger_run_id=str(uuid.uuid4()),
            factory=factory,
            trigger=trigger["name"],
            kind=trigger["properties"]["type"],
            started=now,
            status=SUCCEEDED,
            properties={"TriggerTime": now, **properties},
        )
        try:
            self._start_pipelines(run, trigger["properties"], seen)
        except (AzureError, ExpressionError, ActivityError) as error:
            run.status, run.message = FAILED, str(error)
            log.warning("the trigger %s started nothing: %s", trigger["name"], error)
        self.runs.save(run)

    def _start_pipelines(
        self, run: TriggerRun, properties: dict[str, Any], seen: dict[str, Any]
    ) -> list[PipelineRun]:
        """Start what a trigger starts; all or, where an expression has no value, nothing.

        Raises:
            AzureError, ExpressionError, ActivityError: one could not be started.
        """
        invoked_by = {
            "id": run.trigger_run_id,
            "name": run.trigger,
            "invokedByType": run.kind,
        }
        context = EvaluationContext(roots={"trigger": seen}, clock=self._clock.now)
        entries = [
            (entry["pipelineReference"]["referenceName"],
             evaluate(entry.get("parameters", {}), context))
            for entry in started_by(properties)
        ]  # fmt: skip
        started = []
        for pipeline, values in entries:
            new = self._engine.start(run.factory, pipeline, values, invoked_by, trigger=seen)
            run.pipelines[new.pipeline] = new.run_id
            started.append(new)
        return started

    def _subscribe(self) -> None:
        """Tell the lake which storage events are wanted."""
        wanted = []
        for factory in self._resources.keys():  # noqa: SIM118  (not a mapping)
            for trigger in self._resources.list(factory, "triggers"):
                properties = trigger["properties"]
                if (
                    properties["type"] == event_triggers.STORAGE
                    and properties.get("runtimeState") == "Started"
                ):
                    try:
                        wanted.append(
                            event_triggers.subscription(
                                self._config, factory, trigger["name"], properties["typeProperties"]
                            )
                        )
                    except AzureError as error:  # the account was another when it was started
                        log.warning("the trigger %s gets no events: %s", trigger["name"], error)
        file = self._config.root / TRIGGERS
        if wanted or file.exists():
            write_json(file, wanted)
