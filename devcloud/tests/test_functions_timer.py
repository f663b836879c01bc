from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import azure.functions as func
import pytest

from devcloud.functions import codec
from devcloud.functions.codec import Trigger
from devcloud.functions.invoke import InvocationOutcome
from devcloud.functions.model import TIMER, Binding, Function
from devcloud.functions.store import QueueStore
from devcloud.functions.timers import Schedule, Timer
from devcloud.testing.functions import running, wait


def _at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("*/2 * * * * *", "2026-11-22T13:00:01", "2026-11-22T13:00:02"),
        ("0 */5 * * * *", "2026-11-22T13:00:00", "2026-11-22T13:05:00"),
        ("*/5 * * * *", "2026-11-22T13:00:01", "2026-11-22T13:05:00"),
        ("0 0 9-17 * * MON-FRI", "2026-11-22T13:00:00", "2026-11-23T09:00:00"),
        ("0 30 9 * Jan Mon", "2026-11-22T13:00:00", "2027-01-04T09:30:00"),
        ("30 0 0 1 1 *", "2026-11-22T13:00:00", "2027-01-01T00:00:30"),
        ("0 0 0 13 * 5", "2026-11-22T13:00:00", "2027-08-13T00:00:00"),
        ("0 0 12 * * 0", "2026-11-22T12:00:00", "2026-11-29T12:00:00"),
    ],
)
def test_ncrontab(expression: str, after: str, expected: str) -> None:
    """Seconds come first, times are UTC, day of month and day of week must both fit."""
    assert Schedule(expression).next_after(_at(after)) == _at(expected)


@pytest.mark.parametrize("expression", ["", "* * *", "0 0 25 * * *", "@hourly", "00:05:00"])
def test_no_schedule(expression: str) -> None:
    """What is no NCRONTAB expression is refused."""
    with pytest.raises(ValueError, match=r"NCRONTAB|out of range"):
        Schedule(expression)


@dataclass
class Clock:
    """A clock that stands until it is told, and what ran when."""

    now: float = field(default_factory=lambda: _at("2026-11-22T13:00:30"))
    ran: list[tuple[float, bool]] = field(default_factory=list)
    takes: float = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now

    def invoke(self, function: Function, trigger: Trigger) -> Future[InvocationOutcome]:
        """Note the occurrence, and let it take its time."""
        request = codec.decode(function, trigger)
        assert isinstance(request, func.TimerRequest)
        self.ran.append((self.now, request.past_due))
        self.now += self.takes
        done: Future[InvocationOutcome] = Future()
        done.set_result(InvocationOutcome(None))
        return done


@pytest.fixture
def clock() -> Clock:
    """Half past one o'clock, on a Sunday."""
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[QueueStore]:
    """Where timers are remembered."""
    opened = QueueStore(tmp_path / "q.db", clock)
    yield opened
    opened.close()


def _timer(store: QueueStore, clock: Clock, schedule: str, **fields: object) -> Timer:
    function = Function(
        name="tick",
        call=print,
        trigger=Binding("t", TIMER, {"schedule": schedule, **fields}),
        annotation=func.TimerRequest,
        outputs=(),
        returned=None,
        deferred=False,
        is_async=False,
        needs_context=False,
    )
    return Timer(function, store=store, invoke=clock.invoke, clock=clock)


def test_occurrences(store: QueueStore, clock: Clock) -> None:
    """A timer waits for its first occurrence, then for each further one."""
    timer = _timer(store, clock, "0 * * * * *")
    start = clock.now
    assert timer.due_in() == 30
    clock.now += 30
    assert timer.due_in() == 0
    timer.run()
    assert timer.due_in() == 60
    assert clock.ran == [(start + 30, False)]


def test_long_run_skips_occurrences(store: QueueStore, clock: Clock) -> None:
    """A timer never overlaps itself: occurrences during a run are skipped, not caught up."""
    timer = _timer(store, clock, "0 * * * * *")
    clock.now += 30
    clock.takes = 150
    timer.run()
    assert timer.due_in() == 30


def test_past_due_after_restart(store: QueueStore, clock: Clock) -> None:
    """An occurrence missed while the host was down runs at its start, once, marked past due."""
    _timer(store, clock, "0 0 * * * *")
    clock.now += 3 * 3600
    timer = _timer(store, clock, "0 0 * * * *")
    assert timer.due_in() == 0
    timer.run()
    assert timer.due_in() > 0
    assert clock.ran == [(clock.now, True)]


@pytest.mark.parametrize(
    ("schedule", "monitor"), [("*/10 * * * * *", True), ("0 0 * * * *", False)]
)
def test_unmonitored(store: QueueStore, clock: Clock, schedule: str, monitor: bool) -> None:
    """More often than once a minute, or with use_monitor=False, nothing is past due."""
    _timer(store, clock, schedule, useMonitor=monitor)
    clock.now += 3 * 3600
    assert _timer(store, clock, schedule, useMonitor=monitor).due_in() > 0


def test_run_on_startup(store: QueueStore, clock: Clock) -> None:
    """Only with run_on_startup a timer runs when the host starts, and that is not past due."""
    assert _timer(store, clock, "0 0 * * * *", useMonitor=False).due_in() > 0
    timer = _timer(store, clock, "0 0 * * * *", useMonitor=False, runOnStartup=True)
    assert timer.due_in() == 0
    timer.run()
    assert clock.ran == [(clock.now, False)]
    assert timer.due_in() > 0


def test_served_timer_ticks_and_survives_failures(tmp_path: Path) -> None:
    """A timer with its schedule in a setting runs again after an occurrence that failed."""
    source = """
    @app.timer_trigger(arg_name="timer", schedule="%TICK%", use_monitor=False)
    def tick(timer: func.TimerRequest) -> None:
        saw("tick", timer.past_due)
        raise ValueError("every time")
    """
    with running(tmp_path, source, settings={"TICK": "* * * * * *"}) as served:
        wait(lambda: served.app.seen()[:2] == ["tick False", "tick False"])
