"""Call the functions of the app as the worker does: sync ones on a pool, async ones on one loop."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, NoReturn

from azure.functions.meta import Datum

from devcloud.functions import codec, logs
from devcloud.functions.codec import Trigger
from devcloud.functions.context import InvocationContext
from devcloud.functions.model import TIMER, Function

Emit = Callable[[list[tuple[str, str]]], object]
_MAX_THREADS = 1024


class FunctionTimeoutError(Exception):
    """An invocation took longer than `functionTimeout` of host.json."""


@dataclass(frozen=True)
class InvocationOutcome:
    """How an invocation ended.

    Attributes:
        error: None where it succeeded and its outputs were sent.
        response: what an HTTP function returned; None if it failed, and for all others.
        sent: how many messages it put on queues.
    """

    error: BaseException | None
    response: Datum | None = None
    sent: int = 0

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.error is None


class Out:
    """The value of an output parameter (`func.Out`), sent only after the function succeeded."""

    def __init__(self) -> None:
        self._value: Any = None

    def set(self, val: Any) -> None:
        """Set the value."""
        self._value = val

    def get(self) -> Any:
        """The value set last; None if none was."""
        return self._value


class Invoker:
    """Runs invocations, and knows how many are running.

    Args:
        emit: puts (queue, body) pairs, all or none.
        folder: the app folder, for the invocation context.
        timeout: seconds that one invocation may take; None is unlimited. One that takes longer has
            failed; its thread cannot be stopped, but what it returns later is not used.
        threads: size of the pool; None is the default of Python, as in the real worker.
    """

    def __init__(
        self,
        emit: Emit,
        *,
        folder: str = "",
        timeout: float | None = None,
        threads: int | None = None,
    ) -> None:
        self._emit = emit
        self._folder = folder
        self._timeout = timeout
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="function")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="worker", daemon=True)
        self._thread.start()

    def submit(self, function: Function, trigger: Trigger) -> Future[InvocationOutcome]:
        """Begin an invocation. The future never raises: failures are outcomes."""
        return asyncio.run_coroutine_threadsafe(self._drive(function, trigger), self._loop)

    def close(self) -> None:
        """Stop without waiting for what still runs; callers have waited for what they began."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(1.0)
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _drive(self, function: Function, trigger: Trigger) -> InvocationOutcome:
        invocation = str(uuid.uuid4())
        logs.current.set(function.name)
        call = _Call(function, trigger, InvocationContext(invocation, function.name, self._folder))
        began = time.perf_counter()
        running = asyncio.ensure_future(
            call.run_async()
            if function.is_async
            else self._loop.run_in_executor(self._pool, copy_context().run, call.run)
        )
        done, _ = await asyncio.wait({running}, timeout=self._timeout)
        try:
            outcome = self._finish(call, running.result() if done else self._expired(running))
        except Exception as error:  # noqa: BLE001 - whatever user code raises is its outcome
            outcome = InvocationOutcome(error)
        _report(function, invocation, outcome, time.perf_counter() - began)
        return outcome

    def _expired(self, running: asyncio.Future[Any]) -> NoReturn:
        running.cancel()
        raise FunctionTimeoutError(f"took longer than functionTimeout, {self._timeout:g} s")

    def _finish(self, call: _Call, value: Any) -> InvocationOutcome:
        function = call.function
        response = None
        messages = call.messages()
        if function.returned is None:
            if value is not None:
                raise RuntimeError(
                    f"function {function.name!r} without a $return binding "
                    "returned a non-None value"
                )
        elif function.returned.kind == "http":
            response = codec.encode_response(value)
        else:
            queue = str(function.returned["queueName"])
            messages += [(queue, body) for body in codec.encode_messages(function.returned, value)]
        if messages:
            self._emit(messages)
        return InvocationOutcome(None, response, len(messages))


class _Call:
    """One invocation's arguments."""

    def __init__(self, function: Function, trigger: Trigger, context: InvocationContext) -> None:
        self.function = function
        self._trigger = trigger
        self._context = context
        self._outs = {binding.name: Out() for binding in function.outputs}

    def arguments(self) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            self.function.trigger.name: codec.decode(self.function, self._trigger),
            **self._outs,
        }
        if self.function.needs_context:
            arguments["context"] = self._context
        return arguments

    def run(self) -> Any:
        self._context.thread_local_storage.invocation_id = self._context.invocation_id
        try:
            return self.function.call(**self.arguments())
        except SystemExit as error:  # it would end the loop that waits for this thread
            raise RuntimeError(f"the function called sys.exit({error.code})") from error

    async def run_async(self) -> Any:
        return await self.function.call(**self.arguments())

    def messages(self) -> list[tuple[str, str]]:
        return [
            (str(binding["queueName"]), body)
            for binding in self.function.outputs
            if binding.kind == "queue" and self._outs[binding.name].get() is not None
            for body in codec.encode_messages(binding, self._outs[binding.name].get())
        ]


def thread_count(setting: str | None) -> int | None:
    """Size of the pool from PYTHON_THREADPOOL_THREAD_COUNT; None, the default, if it is no such."""
    if setting is None or not setting.isdigit() or not 1 <= int(setting) <= _MAX_THREADS:
        return None
    return int(setting)


def _report(function: Function, invocation: str, outcome: InvocationOutcome, took: float) -> None:
    about = logs.about(function.name)
    milliseconds = took * 1000
    if outcome.error is None:
        idle = function.trigger.kind == TIMER and not outcome.sent  # a tick that found nothing
        level = logging.DEBUG if idle else logging.INFO
        logs.HOST.log(level, "ok in %.0f ms (%s)", milliseconds, invocation[:8], extra=about)
        return
    logs.HOST.error(
        "failed in %.0f ms (%s): %s: %s",
        milliseconds,
        invocation[:8],
        type(outcome.error).__name__,
        outcome.error,
        extra=about,
        exc_info=outcome.error,
    )
