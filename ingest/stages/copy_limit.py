"""How many copies may be under way at once: what comes on top stays `validated` and waits.

Nobody counts for all workers: each lists the copies anew after it has let a quarter of the cap
through, and the tick tells what it has seen. So several workers together may let some more through
than the cap; they spare a list call for each drop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from ingest.ports import Clock

_FRESH = timedelta(seconds=5)


class CopyLimit:
    """The cap, as one process keeps it.

    Args:
        cap: copies at once; count: counts those under way; costs a list call.
    """

    def __init__(self, cap: int, count: Callable[[], int], clock: Clock) -> None:
        self.cap = cap
        self._count = count
        self._clock = clock
        self._lock = threading.Lock()
        self._seen = 0
        self._since = 0
        self._at: datetime | None = None

    def learn(self, copying: int) -> int:
        """What a list has just shown; returns the room that it leaves."""
        with self._lock:
            self._seen, self._since, self._at = copying, 0, self._clock()
            return max(0, self.cap - copying)

    def admit(self) -> bool:
        """Let one copy through, if there is room.

        Raises:
            Retryable: the lake did not answer.
        """
        with self._lock:
            due, full = self._since >= self.cap // 4, self._seen + self._since >= self.cap
            old = self._at is None or self._clock() - self._at >= _FRESH
        if due or (full and old):
            self.learn(self._count())
        with self._lock:
            if self._seen + self._since >= self.cap:
                return False
            self._since += 1
            return True
