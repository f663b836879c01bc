"""What an activity sees and may touch while it runs."""

from __future__ import annotations

import asyncio
import threading
from collections import ChainMap
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from devcloud.clock import Clock
from devcloud.datafactory.expressions.errors import ExpressionError
from devcloud.datafactory.expressions.evaluate import EvaluationContext, evaluate
from devcloud.datafactory.resources import Resources
from devcloud.datafactory.runs import PipelineRun

Activity = dict[str, Any]


class ActivityError(Exception):
    """An activity that failed.

    Attributes:
        code: error code; message: what went wrong and where.
        kind: "UserError" or "SystemError".
        output: what it yields all the same.
        final: whether another try is pointless, as with an expression that has no value.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        kind: str = "UserError",
        output: Any = None,
        final: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.kind = kind
        self.output = output
        self.final = final

    def to_json(self, target: str) -> dict[str, Any]:
        """The `error` of an activity run."""
        return {
            "errorCode": self.code,
            "message": self.message,
            "failureType": self.kind,
            "target": target,
            "details": [],
        }


@dataclass(frozen=True)
class Services:
    """What all runs share.

    Attributes:
        executor: threads for work that blocks, such as Copy.
        http: client of the Web activity; it keeps no cookies and follows no redirects.
        token: gives a bearer token of the factory's managed identity for a resource.
        execute: starts a pipeline for a run and gives its run; wait: until a run has ended.
    """

    resources: Resources
    clock: Clock
    executor: Executor
    http: httpx.AsyncClient
    token: Callable[[str], str]
    execute: Callable[[PipelineRun, str, dict[str, Any]], PipelineRun]
    wait: Callable[[str], Awaitable[PipelineRun]]


@dataclass(frozen=True)
class Frame:
    """The surroundings of a list of activities: of a pipeline, a branch or an iteration.

    Attributes:
        results: by name, what `activity('x')` is; those of the surroundings are seen through it.
        variables: of the whole run.
        branch: runs a list of activities in a frame; raises `ActivityError` if it fails.
        iteration: tells iterations apart in the activity runs.
    """

    run: PipelineRun
    services: Services
    roots: dict[str, Any]
    variables: dict[str, Any]
    branch: Callable[[list[Activity], Frame], Awaitable[None]]
    results: ChainMap[str, Any] = field(default_factory=ChainMap)
    iteration: str = ""

    def inner(self, iteration: str = "", **roots: Any) -> Frame:
        """A frame inside this one."""
        return replace(
            self,
            results=self.results.new_child(),
            roots={**self.roots, **roots},
            iteration=iteration or self.iteration,
        )

    def context(self, **roots: Any) -> EvaluationContext:
        """What expressions see here."""
        return EvaluationContext(
            roots={**self.roots, **roots},
            activities=self.results,
            variables=self.variables,
            clock=self.services.clock.now,
        )

    def evaluate(self, value: Any, **roots: Any) -> Any:
        """The value of a piece of the definition.

        Raises:
            ActivityError: InvalidTemplate.
        """
        try:
            return evaluate(value, self.context(**roots))
        except ExpressionError as error:
            raise ActivityError("InvalidTemplate", str(error), final=True) from error

    async def in_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Do blocking work in a thread; it is given an event first, set when it must stop.

        A cancellation waits for the thread, so that nothing is written once the run has ended.
        """
        stop = threading.Event()
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self.services.executor, work, stop, *arguments)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            stop.set()
            if not future.cancel():
                await asyncio.wait([future])
            raise


@dataclass
class Effect:
    """What an activity has to show.

    Attributes:
        input: its properties with their values; output: what it yields.
    """

    input: Any = None
    output: Any = None


Handler = Callable[[Activity, Frame, Effect], Awaitable[None]]


def wrong(name: str, expected: str, value: Any) -> ActivityError:
    """An activity's property that has the wrong type once it is evaluated."""
    return ActivityError(
        "InvalidTemplate", f"{name} must be {expected}, not {str(value)[:200]!r}", final=True
    )
