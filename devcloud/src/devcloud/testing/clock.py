"""A clock that a test turns."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta


class ManualClock:
    """A time that stands until the test moves it; safe to move from another thread."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        """The time that it stands at."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Return when it has been moved so far."""
        until = self._now + timedelta(seconds=seconds)
        while self._now < until:  # noqa: ASYNC110  (another thread moves the time)
            await asyncio.sleep(0.005)

    def advance(self, span: timedelta) -> None:
        """Move it."""
        self._now += span
