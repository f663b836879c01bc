"""Started triggers: at the times of its schedule each starts its pipelines.

Storage-event triggers are stored, and cannot be started here: the local lake tells its events to
the functions host only.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from devcloud.clock import Clock, stamp
from devcloud.datafactory.activities.frame import ActivityError
from devcloud.datafactory.azure_error import AzureError
from devcloud.datafactory.engine import Engine
from devcloud.datafactory.expressions.errors import ExpressionError
from devcloud.datafactory.expressions.evaluate import EvaluationContext, evaluate
from devcloud.datafactory.recurrence import Recurrence
from devcloud.datafactory.resources import Resources
from devcloud.scheduler import TriggerScheduler

log = logging.getLogger("devcloud")


class Triggers:
    """The triggers of all factories."""

    def __init__(self, resources: Resources, engine: Engine, clock: Clock) -> None:
        self._resources = resources
        self._engine = engine
        self._triggers: TriggerScheduler[tuple[str, str]] = TriggerScheduler(clock)

    def recover(self) -> None:
        """Take up the triggers that are started."""
        for factory in self._resources.keys():  # noqa: SIM118  (not a mapping)
            for trigger in self._resources.list(factory, "triggers"):
                if trigger["properties"].get("runtimeState") == "Started":
                    self._run(factory, trigger)

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

    def start(self, factory: str, name: str) -> None:
        """Start a trigger; starting it again changes nothing.

        Raises:
            AzureError: 404; 400 if it starts nothing; 501 for a storage event.
        """
        trigger = self._resources.get(factory, "triggers", name)
        if trigger["properties"]["type"] != "ScheduleTrigger":
            raise AzureError(
                501,
                "NotImplementedLocally",
                f"the trigger {name!r} waits for storage events, which the local data factory does "
                "not receive; leave it stopped here",
                name,
            )
        if not trigger["properties"].get("pipelines"):
            raise AzureError(400, "BadRequest", f"the trigger {name!r} starts no pipeline", name)
        trigger = self._resources.set_state(factory, name, "Started")
        if (factory, name.lower()) not in self._triggers:
            self._run(factory, trigger)

    def stop(self, factory: str, name: str) -> None:
        """Stop a trigger; stopping it again changes nothing.

        Raises:
            AzureError: 404.
        """
        self._resources.get(factory, "triggers", name)
        self._resources.set_state(factory, name, "Stopped")
        self._triggers.drop((factory, name.lower()))

    async def close(self) -> None:
        """Fire nothing more; the triggers stay started."""
        await self._triggers.close()

    def _run(self, factory: str, trigger: dict[str, Any]) -> None:
        recurrence = Recurrence.read(trigger["properties"]["typeProperties"]["recurrence"])

        async def fire(due: datetime, now: datetime) -> None:
            self._fire(factory, trigger, due, now)

        self._triggers.put((factory, trigger["name"].lower()), recurrence, fire)

    def _fire(self, factory: str, trigger: dict[str, Any], due: datetime, now: datetime) -> None:
        name = trigger["name"]
        seen = {"scheduledTime": stamp(due), "startTime": stamp(now)}
        invoked_by = {"id": stamp(due), "name": name, "invokedByType": "ScheduleTrigger"}
        for entry in trigger["properties"]["pipelines"]:
            pipeline = entry["pipelineReference"]["referenceName"]
            try:
                values = evaluate(
                    entry.get("parameters", {}), EvaluationContext(roots={"trigger": seen})
                )
                self._engine.start(factory, pipeline, values, invoked_by, trigger=seen)
            except (AzureError, ExpressionError, ActivityError) as error:
                log.warning("the trigger %s could not start %s: %s", name, pipeline, error)
