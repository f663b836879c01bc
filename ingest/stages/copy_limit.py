"""How many copies may be under way at once: what comes on top stays `validated` and waits.

Nobody counts for all instances. Each lists the copies anew when it has let its share through of the
room that it saw, which is a small one, and the tick tells what it has seen. So `SHARES` instances
that all saw the same room at the same moment fill it, and do not overfill it. Runs that wait for a
copy come first: the tick hands out the room that they need, and only what is beyond it is let
through here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from ingest.ports import Clock

SHARES = 50
"""Into so many parts the room is divided that one list has shown."""
_FULL = timedelta(seconds=5)
"""How long it is believed that there is no room; the tick starts what waits in any case."""
_FRESH = timedelta(minutes=1)
"""How long a share of room is good for."""


class CopyLimit:
    """The cap, as one process keeps it.

    Args:
        cap: copies at once; count: counts those under way and those that wait; costs a list call.
    """

    def __init__(self, cap: int, count: Callable[[], int], clock: Clock) -> None:
        self.cap = cap
        self._count = count
        self._clock = clock
        self._lock = threading.Lock()
        self._room = 0
        self._share = 0
        self._at: datetime | None = None

    def learn(self, copying: int) -> int:
        """What a list has just shown, with those that wait; returns the room that it leaves."""
        with self._lock:
            self._room = max(0, self.cap - copying)
            self._share = self._room // SHARES
            self._at = self._clock()
            return self._room

    def admit(self) -> bool:
        """Let one copy through, if there is room.

        Raises:
            Retryable: the lake did not answer.
        """
        with self._lock:
            age = None if self._at is None else self._clock() - self._at
            if age is not None and self._share > 0 and age < _FRESH:
                return self._let()
            if age is not None and self._room == 0 and age < _FULL:
                return False
        self.learn(self._count())
        with self._lock:
            return self._room > 0 and self._let()

    def _let(self) -> bool:
        self._room -= 1
        self._share -= 1
        return True
