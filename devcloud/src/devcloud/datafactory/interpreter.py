"""Carries out the activities of a pipeline: order, tries, time limits, and what is noted of them.

An activity runs once all those it depends on have ended, if each of them ended in one of the ways
it names; otherwise it is skipped. A list of activities succeeds if all its leaves do, where a leaf
that was skipped is validated by what it depended on. Source:
learn.microsoft.com/azure/data-factory/tutorial-pipeline-failure-error-handling
"""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from devcloud.clock import stamp
from devcloud.datafactory.activities.frame import Activity, ActivityError, Effect, Frame
from devcloud.datafactory.activities.table import HANDLERS
from devcloud.datafactory.policy import Policy
from devcloud.datafactory.runs import ActivityRun, Runs

SUCCEEDED, FAILED, SKIPPED = "Succeeded", "Failed", "Skipped"
_MEETS = {
    SUCCEEDED: (SUCCEEDED, "Completed"),
    FAILED: (FAILED, "Completed"),
    SKIPPED: (SKIPPED,),
}


class Interpreter:
    """Runs lists of activities and notes their runs."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    async def pipeline(self, activities: list[Activity], frame: Frame) -> None:
        """Run a pipeline's activities.

        Raises:
            ActivityError: as the run's message tells it.
        """
        failed = await self._all(activities, frame)
        if failed is not None:
            name, error = failed
            raise ActivityError(error.code, f"Operation on target {name} failed: {error.message}")

    async def branch(self, activities: list[Activity], frame: Frame) -> None:
        """Run the activities inside another.

        Raises:
            ActivityError: as the outer activity tells it.
        """
        failed = await self._all(activities, frame)
        if failed is not None:
            name, error = failed
            raise ActivityError(
                error.code,
                "Activity failed because an inner activity failed; "
                f"Inner activity name: {name}, Error: {error.message}",
                final=True,
            )

    async def _all(
        self, activities: list[Activity], frame: Frame
    ) -> tuple[str, ActivityError] | None:
        """Run a list; the first leaf that failed with its error, or None."""
        ended: dict[str, asyncio.Future[str]] = {
            each["name"]: asyncio.get_running_loop().create_future() for each in activities
        }
        errors: dict[str, ActivityError] = {}

        async def one(activity: Activity) -> None:
            status = SKIPPED
            if await _is_due(activity, ended):
                try:
                    status = await self._activity(activity, frame)
                except ActivityError as error:
                    status = FAILED
                    errors[activity["name"]] = error
            ended[activity["name"]].set_result(status)

        async with asyncio.TaskGroup() as group:
            for activity in activities:
                group.create_task(one(activity))
        statuses = {name: future.result() for name, future in ended.items()}
        for name in _judged(activities, statuses):
            if statuses[name] == FAILED:
                return name, errors.get(name) or ActivityError("Inactive", "marked as failed")
        return None

    async def _activity(self, activity: Activity, frame: Frame) -> str:
        """Run one activity, as often as its policy says; its status.

        Raises:
            ActivityError: the error of the last try.
        """
        if activity.get("state") == "Inactive":
            frame.results[activity["name"]] = {"Status": "Inactive"}
            return str(activity.get("onInactiveMarkAs", SUCCEEDED))
        policy = Policy.of(activity)
        attempt = 0
        while True:
            try:
                await self._try(activity, frame, policy, attempt)
            except ActivityError as error:
                if attempt >= policy.retry or error.final:
                    raise
            else:
                return SUCCEEDED
            attempt += 1
            await frame.services.clock.sleep(policy.interval)

    async def _try(self, activity: Activity, frame: Frame, policy: Policy, attempt: int) -> None:
        clock = frame.services.clock
        record = ActivityRun(
            activity_run_id=str(uuid.uuid4()),
            name=activity["name"],
            kind=activity["type"],
            pipeline=frame.run.pipeline,
            run_id=frame.run.run_id,
            started=stamp(clock.now()),
            attempt=attempt or None,
            iteration=frame.iteration,
        )
        self._runs.begin_activity(record)
        effect = Effect()
        failure: ActivityError | None = None
        try:
            async with asyncio.timeout(policy.timeout.total_seconds()):
                await HANDLERS[activity["type"]](activity, frame, effect)
            record.status = SUCCEEDED
        except ActivityError as error:
            failure = error
        except TimeoutError:
            failure = ActivityError(
                "ActivityTimeout", f"the activity did not end within {policy.timeout}"
            )
        except asyncio.CancelledError:
            record.status = "Cancelled"
            raise
        except Exception as error:  # noqa: BLE001  (a fault of ours must end the run, and be seen)
            failure = ActivityError(
                "InternalError", f"{type(error).__name__}: {error}", kind="SystemError", final=True
            )
        finally:
            if failure is not None:
                record.status = FAILED
                record.error = failure.to_json(activity["name"])
                effect.output = failure.output or effect.output
            record.ended = stamp(clock.now())
            record.input = {} if policy.secure_input else effect.input
            record.output = {} if policy.secure_output else effect.output
            self._runs.end_activity(record)
            frame.results[activity["name"]] = _result(record, effect)
        if failure is not None:
            raise failure


def _result(record: ActivityRun, effect: Effect) -> dict[str, Any]:
    """What `activity('x')` is."""
    document = record.to_json()
    return {
        "output": effect.output if effect.output is not None else {},
        "error": document["error"],
        "Status": record.status,
        "ActivityRunId": record.activity_run_id,
        "Duration": document["durationInMs"],
        "ExecutionStartTime": record.started,
        "ExecutionEndTime": record.ended,
        "PipelineRunId": record.run_id,
    }


async def _is_due(activity: Activity, ended: dict[str, asyncio.Future[str]]) -> bool:
    """Wait for all it depends on; whether every one of them ended in a way that it names."""
    due = True
    for dependency in activity.get("dependsOn", []):
        status = await asyncio.shield(ended[dependency["activity"]])
        conditions = dependency["dependencyConditions"]
        due = due and any(condition in conditions for condition in _MEETS[status])
    return due


def _judged(activities: list[Activity], statuses: dict[str, str]) -> list[str]:
    """The activities that decide whether a list succeeded."""
    needs = {
        each["name"]: [dependency["activity"] for dependency in each.get("dependsOn", [])]
        for each in activities
    }
    needed = {other for others in needs.values() for other in others}
    waiting = [name for name in needs if name not in needed]
    judged: list[str] = []
    while waiting:
        name = waiting.pop(0)
        if statuses[name] == SKIPPED:
            waiting.extend(needs[name])
        elif name not in judged:
            judged.append(name)
    return judged
