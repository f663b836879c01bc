"""Ticks while something is on its way: the timer alone strikes seldom, so that rest is cheap.

A tick is a message on the service's own queue that becomes visible after a while. Whoever handles a
message while no tick is due sends one; a tick that finds something active sends the next. At rest
the chain ends, and only the timer looks.

One document in the lake says when the next tick is due; whoever moves it by compare-and-set sends
it, so that there is one chain however many workers there are. Should the sender die in between, or
the message be lost, the timer begins a new chain: so the timer bounds what a loss can cost.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from ingest import paths
from ingest.errors import AlreadyExists, LandfallError, NotFound, Stale
from ingest.log import log
from ingest.ports import Clock, Lake
from ingest.runs.messages import Message, Tick


class DelayedMessages(Protocol):
    """The queue of the service's messages, as far as a delayed one needs it."""

    def send(self, message: Message, delay: timedelta) -> None:
        """Put a message on the queue that becomes visible after a while. Raises Retryable."""


@dataclass
class Pulse:
    """Sends the next tick, unless one is under way.

    Attributes:
        queue: None where the service has no queue of its own to send to: then the timer alone
            ticks.
        every: between two ticks while something is active.
    """

    lake: Lake
    clock: Clock
    queue: DelayedMessages | None
    every: timedelta = timedelta(seconds=30)
    _due: datetime | None = field(default=None, repr=False)

    def beat(self, of: str = "") -> None:
        """See that a tick is under way; `of` is the time that the tick in hand was due.

        What this process remembers of the last one saves a look at the document; where the chain
        has ended meanwhile, the timer begins it again. No failure is raised: nothing depends on it
        but how soon a tick comes.
        """
        now = self.clock()
        if self.queue is None or (not of and self._due is not None and now < self._due):
            return
        try:
            due = self._claim(of, now)
            if due is not None:
                self.queue.send(Tick(due.isoformat()), self.every)
        except LandfallError as error:
            log.warning("the next tick is left to the timer: %s", error)

    def _claim(self, of: str, now: datetime) -> datetime | None:
        """The time of the tick that this call is to send; None where one is under way."""
        due, etag = self._read()
        if due is not None and due.isoformat() != of and now < due:
            self._due = due
            return None
        following = now + self.every
        body = json.dumps({"next": following.isoformat()}).encode()
        try:
            self.lake.put(paths.PULSE, body, if_match=etag, if_absent=etag is None)
        except (Stale, AlreadyExists):
            return None  # another worker has moved it just now
        self._due = following
        return following

    def _read(self) -> tuple[datetime | None, str | None]:
        try:
            body, etag = self.lake.get(paths.PULSE)
        except NotFound:
            return None, None
        try:
            return datetime.fromisoformat(json.loads(body)["next"]), etag
        except (ValueError, KeyError, TypeError):
            return None, etag
