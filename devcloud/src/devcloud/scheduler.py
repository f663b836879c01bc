"""Does things at their times: the triggers of Data Factory, the schedules of Databricks.

A time that passes while nobody watches (the process is down, the machine sleeps, the last thing
still takes its time) is not made up for: a thing may be late once, never twice in a row.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from devcloud.clock import Clock

log = logging.getLogger("devcloud")

_LONGEST_SLEEP = 60.0  # seconds, so that a changed clock and a machine that slept are noticed

Key = TypeVar("Key", bound=Hashable)


class Times(Protocol):
    """When something is due."""

    def next_after(self, moment: datetime) -> datetime | None:
        """The first time later than a moment; None if there is none."""
        ...


Fire = Callable[[datetime, datetime], Awaitable[None]]
"""Takes the time that was due and the time that it is."""


class TriggerScheduler(Generic[Key]):
    """What is to be done at which times. To be used in one event loop.

    Args:
        clock: tells and passes time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: dict[Key, asyncio.Task[None]] = {}

    def __contains__(self, key: Key) -> bool:
        return key in self._tasks

    def put(self, key: Key, times: Times, fire: Fire) -> None:
        """From now on fire at these times; what the key stood for before ends."""
        self.drop(key)
        watch = self._watch(key, times, fire, self._clock.now())
        self._tasks[key] = asyncio.get_running_loop().create_task(watch)

    def drop(self, key: Key) -> None:
        """Fire no more for this key."""
        task = self._tasks.pop(key, None)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        """Fire nothing more."""
        tasks = list(self._tasks.values())
        for key in list(self._tasks):
            self.drop(key)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, key: Key, times: Times, fire: Fire, last: datetime) -> None:
        while (due := times.next_after(last)) is not None:
            while (now := self._clock.now()) < due:
                await self._clock.sleep(min((due - now).total_seconds(), _LONGEST_SLEEP))
            last = now
            try:
                await fire(due, now)
            except Exception:  # the next time must come
                log.exception("what is due at %s for %s failed", due, key)
