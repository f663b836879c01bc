"""Controlled workers: each stops before every call that leaves the process, until it is let go.

So a test decides in which order the calls of many workers happen, and which of them fails, loses
its answer, or is the last that its process makes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

from ingest.errors import LandfallError, OutcomeUnknown, Unavailable

GO, FAIL, LOSE, DIE, DIE_AFTER = "go", "fail", "lose", "die", "die after"
ORDERS = (GO, FAIL, LOSE, DIE, DIE_AFTER)
_PATIENCE = 60.0


class WorkerKilledError(BaseException):
    """The process is gone; nothing in it catches this."""


class ControlledWorker:
    """One piece of work in a thread of its own, of which nothing runs unless `step` lets it.

    Attributes:
        at: the call before which it stands; None when it is over.
        result: what the work returned; error: what it raised instead.
    """

    _here = threading.local()

    def __init__(self, work: Callable[[], Any]) -> None:
        self.at: str | None = "begin"
        self.result: Any = None
        self.error: BaseException | None = None
        self._work = work
        self._order = GO
        self._go = threading.Semaphore(0)
        self._parked = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @classmethod
    def current(cls) -> ControlledWorker | None:
        """The worker whose thread this is."""
        return getattr(cls._here, "controlled", None)

    @property
    def over(self) -> bool:
        """Whether its work has ended."""
        return self.at is None

    def step(self, order: str = GO) -> None:
        """Let it make the call before which it stands, and stop before the next."""
        if self.over:
            return
        self._order = order
        self._go.release()
        assert self._parked.acquire(timeout=_PATIENCE), f"{self.at} does not come back"

    def steps(self, calls: int) -> None:
        """Let it make so many calls, or all that it has."""
        for _ in range(calls):
            self.step()

    def finish(self) -> None:
        """Let it work to its end."""
        while not self.over:
            self.step()

    def kill(self) -> None:
        """End it where it stands."""
        while not self.over:
            self.step(DIE)

    def _run(self) -> None:
        ControlledWorker._here.controlled = self
        self._go.acquire()
        try:
            if self._order not in (DIE, DIE_AFTER):
                self.result = self._work()
        except (Exception, WorkerKilledError) as error:  # noqa: BLE001 - told to whoever asks
            self.error = error
        self.at = None
        self._parked.release()

    def park(self, name: str) -> str:
        """Stop before a call; returns what to do with it."""
        self.at = name
        self._parked.release()
        self._go.acquire()
        return self._order


class Interceptor:
    """A part of the outside, reached by puppets; without one, calls go straight through."""

    def __init__(self, name: str, real: object) -> None:
        self._name, self._real = name, real

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._real, name)

        def call(*arguments: Any, **named: Any) -> Any:
            def act() -> Any:
                found = method(*arguments, **named)
                # What is listed is listed at that moment, not while it is gone through.
                return iter(list(found)) if isinstance(found, Iterator) else found

            controlled = ControlledWorker.current()
            if controlled is None:
                return act()
            return _obey(controlled.park(f"{self._name}.{name}"), act, f"{self._name}.{name}")

        return call


def _obey(order: str, act: Callable[[], Any], what: str) -> Any:
    if order == DIE:
        raise WorkerKilledError(what)
    if order == FAIL:
        raise Unavailable(f"{what} was not reached")
    result = act()
    if order == DIE_AFTER:
        raise WorkerKilledError(what)
    if order == LOSE:
        raise _lost(what)
    return result


def _lost(what: str) -> LandfallError:
    return OutcomeUnknown(what) if what == "adf.start" else Unavailable(f"{what}: no answer")
