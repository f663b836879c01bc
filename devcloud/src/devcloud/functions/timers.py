"""Timer triggers: six-field NCRONTAB schedules in UTC, one occurrence at a time, past due or not.

Spec: https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any

from croniter import croniter

from devcloud.functions import codec, logs
from devcloud.functions.codec import Trigger
from devcloud.functions.invoke import InvocationOutcome
from devcloud.functions.model import Function
from devcloud.functions.store import QueueStore, TimerState

SHORTEST_MONITORED = 60.0  # the real host does not monitor schedules more frequent than this
_LONGEST_SLEEP = 60.0  # so that a changed clock is noticed
_FIELDS = (5, 6)
_ALLOWED = re.compile(r"[\dA-Za-z*/,-]+")


class Schedule:
    """An NCRONTAB expression: second first, and day of month AND day of week where both are given.

    Raises:
        ValueError: the expression is no schedule.
    """

    def __init__(self, expression: str) -> None:
        fields = expression.split()
        if len(fields) not in _FIELDS or not all(_ALLOWED.fullmatch(each) for each in fields):
            raise ValueError(
                f"{expression!r} is no NCRONTAB expression: "
                "{second} {minute} {hour} {day} {month} {day of week}"
            )
        if len(fields) == min(_FIELDS):
            fields.insert(0, "0")
        self.expression = " ".join(fields)
        croniter(self.expression, second_at_beginning=True)  # raises ValueError

    def next_after(self, moment: float) -> float:
        """The first occurrence after a moment; both in seconds since the epoch."""
        start = datetime.fromtimestamp(moment, UTC)
        occurrence: float = croniter(
            self.expression, start, second_at_beginning=True, day_or=False
        ).get_next(float)
        return occurrence


class Timer:
    """One timer trigger: says when it is due, and runs it; it never overlaps itself.

    Args:
        invoke: begins an invocation.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        function: Function,
        *,
        store: QueueStore,
        invoke: Callable[[Function, Trigger], Future[InvocationOutcome]],
        clock: Callable[[], float],
    ) -> None:
        self.function = function
        self.schedule = Schedule(str(function.trigger["schedule"]))
        self._store = store
        self._invoke = invoke
        self._clock = clock
        now = clock()
        fields = function.trigger.fields
        first = self.schedule.next_after(now)
        frequent = self.schedule.next_after(first) - first < SHORTEST_MONITORED
        self._monitored = fields.get("useMonitor", True) is not False and not frequent
        self._state = (store.timer(function.name) if self._monitored else None) or TimerState(
            now, first, now
        )
        self._past_due = self._state.next <= now
        self._at_start = bool(fields.get("runOnStartup")) or self._past_due
        if self._monitored:
            store.set_timer(function.name, self._state)

    def due_in(self) -> float:
        """Seconds until the next occurrence; 0 if it is now."""
        if self._at_start:
            return 0.0
        return max(0.0, self._state.next - self._clock())

    def run(self) -> InvocationOutcome:
        """Run the occurrence that is due, then look for the next one after the end of this."""
        trigger = codec.of_timer(self._document())
        began = self._clock()
        self._at_start = self._past_due = False
        outcome = self._invoke(self.function, trigger).result()
        now = self._clock()
        self._state = TimerState(began, self.schedule.next_after(max(now, self._state.next)), now)
        if self._monitored:
            self._store.set_timer(self.function.name, self._state)
        return outcome

    def _document(self) -> Mapping[str, Any]:
        status = self._monitored and {
            "Last": _iso(self._state.last),
            "Next": _iso(self._state.next),
            "LastUpdated": _iso(self._state.updated),
        }
        return {
            "Schedule": {"AdjustForDST": True},
            "ScheduleStatus": status or None,
            "IsPastDue": self._past_due,
        }


class TimerThread:
    """Runs one timer whenever it is due."""

    def __init__(self, timer: Timer) -> None:
        self._timer = timer
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._loop, name=f"timer-{timer.function.name}", daemon=True
        )

    def start(self) -> None:
        """Begin to watch the clock."""
        self._thread.start()

    def stop(self) -> None:
        """Begin no further occurrence."""
        self._stop.set()

    def join(self, seconds: float) -> bool:
        """Wait until the running occurrence has ended; whether it has."""
        self._thread.join(max(0.0, seconds))
        return not self._thread.is_alive()

    def _loop(self) -> None:
        while not self._stop.is_set():
            wait = self._timer.due_in()
            if wait > 0:
                self._stop.wait(min(wait, _LONGEST_SLEEP))
                continue
            try:
                self._timer.run()
            except Exception:  # noqa: BLE001 - the next occurrence must come
                logs.HOST.exception("timer", extra=logs.about(self._timer.function.name))
                self._stop.wait(1.0)


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()
