"""Time, as far as runs, triggers and schedules depend on it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells and passes time."""

    def now(self) -> datetime:
        """The time, with the zone UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return when so many seconds have passed."""
        ...


class SystemClock:
    """The machine's clock; `speed` above 1 shortens waits (not what `now` says)."""

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = speed

    def now(self) -> datetime:
        """The time, with the zone UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Return when so many seconds have passed, divided by the speed."""
        await asyncio.sleep(max(seconds, 0) / self._speed)


def stamp(moment: datetime) -> str:
    """A time as Azure writes it in its replies."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"
