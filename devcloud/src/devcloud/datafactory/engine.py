"""Starts, queues, cancels and ends pipeline runs.

A run is a task of the server's event loop; work that blocks goes to threads. A run that was in
progress when the process ended is Failed at the next start, with a message that says so: its
activities cannot be taken up in the middle. Runs that were still queued start then.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import httpx

from devcloud.clock import Clock, stamp
from devcloud.datafactory.activities.frame import ActivityError, Frame, Services
from devcloud.datafactory.azure_error import AzureError
from devcloud.datafactory.interpreter import Interpreter
from devcloud.datafactory.parameters import bind
from devcloud.datafactory.resources import Resources
from devcloud.datafactory.runs import PipelineRun, Runs

MOST_QUEUED = 100
COPIES_AT_ONCE = 8
_EMPTY: dict[str, Any] = {"string": "", "bool": False, "boolean": False, "array": [], "integer": 0}
INTERRUPTED = (
    "The local data factory was stopped while this run was in progress; what its activities had "
    "done by then stands, the rest was not done."
)


class Engine:
    """All pipeline runs of a process; used from its event loop only."""

    def __init__(
        self,
        resources: Resources,
        runs: Runs,
        clock: Clock,
        token: Callable[[str], str],
    ) -> None:
        """Take the stores, the clock, and who issues tokens of the managed identity."""
        self._resources = resources
        self._runs = runs
        self._clock = clock
        self._interpreter = Interpreter(runs)
        self._executor = ThreadPoolExecutor(COPIES_AT_ONCE, thread_name_prefix="copy")
        self._http = httpx.AsyncClient(
            trust_env=False, limits=httpx.Limits(max_connections=200, max_keepalive_connections=50)
        )
        self._services = Services(
            resources,
            clock,
            self._executor,
            self._http,
            token,
            self._execute,
            self._wait,
        )
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ended: dict[str, asyncio.Event] = {}
        self._listeners: list[Callable[[PipelineRun], None]] = []

    def on_end(self, listener: Callable[[PipelineRun], None]) -> None:
        """Call somebody when a run has ended."""
        self._listeners.append(listener)

    def start(
        self,
        factory: str,
        pipeline: str,
        parameters: dict[str, Any],
        invoked_by: dict[str, str],
        *,
        parent: PipelineRun | None = None,
        trigger: dict[str, Any] | None = None,
    ) -> PipelineRun:
        """Create a run; it is queued where the pipeline's concurrency is used up.

        Raises:
            AzureError: 404 no such pipeline; 400 parameters; 429 too many runs are queued.
        """
        definition = self._resources.get(factory, "pipelines", pipeline)
        declared = definition["properties"].get("parameters", {})
        values = bind(declared, parameters)
        name = definition["name"]
        if self._full(factory, name) and self._count(factory, name, "Queued") >= MOST_QUEUED:
            raise AzureError(
                429,
                "TooManyQueuedRuns",
                f"{MOST_QUEUED} runs of the pipeline {name!r} are queued already",
                headers={"Retry-After": "5"},
            )
        run_id = str(uuid.uuid4())
        run = PipelineRun(
            run_id=run_id,
            factory=factory,
            pipeline=name,
            parameters=values,
            created=stamp(self._clock.now()),
            invoked_by=invoked_by,
            secrets=[
                each for each in declared if str(declared[each]["type"]).lower() == "securestring"
            ],
            parent=parent.run_id if parent else None,
            group=parent.group or parent.run_id if parent else run_id,
            trigger=trigger,
        )
        self._runs.save(run, self._clock.now())
        self._admit(factory, name)
        return run

    def cancel(self, run: PipelineRun, *, recursive: bool) -> None:
        """Begin to cancel a run, and those that it started where recursive; ended ones stay."""
        if recursive:
            for child in self._runs.all():
                if child.parent == run.run_id:
                    self.cancel(child, recursive=True)
        if run.final:
            return
        task = self._tasks.get(run.run_id)
        if task is None:
            self._end(run, "Cancelled", "Cancelled while it was queued")
            return
        run.status = "Canceling"
        self._runs.save(run, self._clock.now())
        task.cancel()

    def recover(self) -> None:
        """Take up what an earlier process left."""
        left = [run for run in self._runs.all() if not run.final]
        for run in left:
            if run.status == "Canceling":
                self._end(run, "Cancelled", "Cancelled by the end of the local data factory")
            elif run.status == "InProgress":
                self._end(run, "Failed", INTERRUPTED)
        for run in left:
            self._admit(run.factory, run.pipeline)

    async def close(self) -> None:
        """Stop all work without ending the runs: the next start does that."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._executor.shutdown(wait=False, cancel_futures=True)
        await self._http.aclose()

    def _admit(self, factory: str, pipeline: str) -> None:
        """Start the oldest queued runs of a pipeline as far as its concurrency allows."""
        queued = sorted(
            (run for run in self._of(factory, pipeline) if run.status == "Queued"),
            key=lambda run: run.created,
        )
        for run in queued:
            if self._full(factory, pipeline):
                return
            run.status, run.started = "InProgress", stamp(self._clock.now())
            self._runs.save(run, self._clock.now())
            task = asyncio.get_running_loop().create_task(self._carry_out(run))
            self._tasks[run.run_id] = task

    async def _carry_out(self, run: PipelineRun) -> None:
        status, message = "Succeeded", ""
        try:
            properties = self._resources.get(run.factory, "pipelines", run.pipeline)["properties"]
            frame = self._frame(run, properties)
            await self._interpreter.pipeline(properties["activities"], frame)
        except ActivityError as error:
            status, message = "Failed", error.message
        except AzureError as error:
            status, message = "Failed", error.message
        except asyncio.CancelledError:
            if run.run_id not in self._tasks:
                raise  # the process ends, not the run
            status, message = "Cancelled", "Cancelled by a request"
        except Exception as error:  # noqa: BLE001  (a fault of ours must end the run, and be seen)
            status, message = "Failed", f"InternalError: {type(error).__name__}: {error}"
        self._tasks.pop(run.run_id, None)
        self._end(run, status, message)
        self._admit(run.factory, run.pipeline)

    def _frame(self, run: PipelineRun, properties: dict[str, Any]) -> Frame:
        declared = properties.get("variables", {})
        variables = {
            name: definition.get("defaultValue", _EMPTY[str(definition["type"]).lower()])
            for name, definition in declared.items()
        }
        about = {
            "RunId": run.run_id,
            "GroupId": run.group,
            "Pipeline": run.pipeline,
            "DataFactory": self._resources.factory_by_key(run.factory)["name"],
            "TriggerType": run.invoked_by["invokedByType"],
            "TriggerName": run.invoked_by["name"],
            "TriggerId": run.invoked_by["id"],
            "TriggerTime": run.created,
            "parameters": run.parameters,
            "globalParameters": self._resources.globals(run.factory),
        }
        if run.parent is not None:
            about["TriggeredByPipelineRunId"] = run.parent
            about["TriggeredByPipelineName"] = run.invoked_by["name"]
        types = {name: definition["type"] for name, definition in declared.items()}
        roots: dict[str, Any] = {"pipeline": about, "_variable_types": types}
        if run.trigger is not None:
            roots["trigger"] = run.trigger
        return Frame(run, self._services, roots, variables, self._interpreter.branch)

    def _end(self, run: PipelineRun, status: str, message: str) -> None:
        now: datetime = self._clock.now()
        run.status, run.message, run.ended = status, message, stamp(now)
        run.started = run.started or run.ended
        self._runs.save(run, now)
        waiting = self._ended.pop(run.run_id, None)
        if waiting is not None:
            waiting.set()
        for listener in self._listeners:
            listener(run)

    def _execute(
        self, parent: PipelineRun, pipeline: str, parameters: dict[str, Any]
    ) -> PipelineRun:
        invoked_by = {
            "id": parent.run_id,
            "name": parent.pipeline,
            "invokedByType": "PipelineActivity",
        }
        try:
            return self.start(parent.factory, pipeline, parameters, invoked_by, parent=parent)
        except AzureError as error:
            raise ActivityError(error.code, error.message) from error

    async def _wait(self, run_id: str) -> PipelineRun:
        run = self._runs.get(run_id)
        if run is None:
            raise ActivityError("PipelineRunNotFound", f"the run {run_id} is gone")
        if not run.final:
            await self._ended.setdefault(run_id, asyncio.Event()).wait()
        return run

    def _of(self, factory: str, pipeline: str) -> list[PipelineRun]:
        return [
            run
            for run in self._runs.unfinished()
            if run.factory == factory and run.pipeline == pipeline
        ]

    def _count(self, factory: str, pipeline: str, *statuses: str) -> int:
        return sum(run.status in statuses for run in self._of(factory, pipeline))

    def _full(self, factory: str, pipeline: str) -> bool:
        definition = self._resources.get(factory, "pipelines", pipeline)
        limit = definition["properties"].get("concurrency")
        if limit is None:
            return False
        return self._count(factory, pipeline, "InProgress", "Canceling") >= int(limit)
