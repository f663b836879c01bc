"""Ticks go on while something is active, in one chain, and end at rest."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from ingest.errors import Unavailable
from ingest.paths import PULSE
from ingest.reconcile.pulse import Pulse
from ingest.runs.messages import Message, Tick, decode, encode
from tests.ingest.memory import InMemoryLake


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


class Queue:
    """Delayed messages, by the time at which they become visible."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.waiting: list[tuple[datetime, Tick]] = []
        self.down = False

    def send(self, message: Message, delay: timedelta) -> None:
        assert isinstance(message, Tick)
        if self.down:
            raise Unavailable("away")
        self.waiting.append((self._clock() + delay, message))

    def visible(self) -> list[Tick]:
        """Take the messages that are visible now."""
        ready = [m for at, m in self.waiting if at <= self._clock()]
        self.waiting = [(at, m) for at, m in self.waiting if at > self._clock()]
        return ready


def test_one_chain_however_many_workers() -> None:
    """An hour of many messages on five workers gives a tick in 30 seconds, and no more."""
    clock = Clock()
    lake = InMemoryLake(clock)
    queue = Queue(clock)
    workers = [Pulse(lake, clock, queue) for _ in range(5)]
    chance = random.Random(1)  # noqa: S311 - no secret
    ticks, end = 0, clock.now + timedelta(hours=1)
    while clock.now < end:
        chance.choice(workers).beat()
        for tick in queue.visible():
            ticks += 1
            chance.choice(workers).beat(tick.due)
        assert len(queue.waiting) == 1
        clock.now += timedelta(seconds=chance.choice([0, 1, 3, 7]))
    assert 100 < ticks <= 120


def test_the_chain_ends_at_rest_and_begins_anew() -> None:
    """Who does not beat ends it; the next message begins another."""
    clock = Clock()
    lake = InMemoryLake(clock)
    queue = Queue(clock)
    Pulse(lake, clock, queue).beat()
    clock.now += timedelta(seconds=31)
    assert len(queue.visible()) == 1  # it found nothing active
    clock.now += timedelta(hours=1)
    assert queue.waiting == []
    Pulse(lake, clock, queue).beat()
    assert len(queue.waiting) == 1


def test_a_tick_that_comes_early_goes_on() -> None:
    """The queue's clock may be ahead of ours."""
    clock = Clock()
    lake = InMemoryLake(clock)
    queue = Queue(clock)
    Pulse(lake, clock, queue).beat()
    ((_, tick),) = queue.waiting
    queue.waiting = []
    clock.now += timedelta(seconds=25)
    Pulse(lake, clock, queue).beat(tick.due)
    assert len(queue.waiting) == 1
    Pulse(lake, clock, queue).beat(tick.due)  # delivered twice: the chain does not fork
    assert len(queue.waiting) == 1


def test_a_lost_tick_is_made_good_by_the_timer() -> None:
    """A queue that is away is no failure, and no document keeps the next tick from being sent."""
    clock = Clock()
    lake = InMemoryLake(clock)
    queue = Queue(clock)
    pulse = Pulse(lake, clock, queue)
    queue.down = True
    pulse.beat()
    assert queue.waiting == []
    queue.down = False
    clock.now += timedelta(minutes=5)
    pulse.beat()
    assert len(queue.waiting) == 1
    lake.put(PULSE, b"not JSON")
    Pulse(lake, clock, queue).beat()
    assert len(queue.waiting) == 2


def test_without_a_queue_the_timer_alone_ticks() -> None:
    """Nothing is read or written then."""
    clock = Clock()
    lake = InMemoryLake(clock)
    Pulse(lake, clock, None).beat()
    assert lake.head(PULSE) is None


def test_its_message() -> None:
    """As the queue carries it."""
    assert decode(encode(Tick("2026-11-01T00:00:30+00:00")).encode()) == Tick(
        "2026-11-01T00:00:30+00:00"
    )
