"""Moves runs on: admits them, starts their tasks when it is time, retries, cancels, times out."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from devcloud.databricks.protocol import TaskOutcome, TaskSpec
from devcloud.databricks.runs import (
    Attempt,
    WorkspaceRun,
    WorkspaceRunState,
    outcome,
    retry_time,
    upstream_verdict,
)
from devcloud.databricks.store import WorkspaceStore

log = logging.getLogger("devcloud.databricks")

WORKLOAD_FAILED = "Workload failed, see run output for details"
RESTARTED = "The workspace was restarted while this ran."
CANCEL_GRACE_MS = 5_000  # then the worker is killed with the task
IDLE_SECONDS = 60.0


class TaskRunner(Protocol):
    """What runs one task at a time; `WorkerProcess` does."""

    def run(self, spec: TaskSpec) -> None:
        """Start a task."""

    def cancel(self, run_id: int) -> None:
        """Interrupt it."""

    def kill(self) -> None:
        """End it by force."""


Prepare = Callable[[WorkspaceRun, Attempt], TaskSpec]
"""Makes a task ready to run.

Raises:
    TaskSetupError: it cannot run, for a reason that its log should say.
"""


class TaskSetupError(Exception):
    """A task cannot be started; `code` is its termination code."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


class Scheduler:
    """The one place where runs change. Everything happens under one lock.

    Args:
        store: where runs are kept; what was active in it is taken up again.
        clock: epoch in ms.
        logs: folder of the tasks' logs.
    """

    def __init__(self, store: WorkspaceStore, clock: Callable[[], int], logs: Path) -> None:
        self._store = store
        self._clock = clock
        self._logs = logs
        self._wake = threading.Condition(threading.RLock())
        self._active: dict[int, WorkspaceRun] = {}
        self._current: tuple[WorkspaceRun, Attempt] | None = None
        self._kill_at = 0
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self, runner: TaskRunner, prepare: Prepare) -> None:
        """Take up what was active, then run."""
        self._runner, self._prepare = runner, prepare
        with self._wake:
            for run in self._store.active_runs():
                self._active[run.run_id] = run
                self._recover(run)
        self._thread = threading.Thread(target=self._loop, name="scheduler", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Start nothing more; what runs is left as it is."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        if self._thread:
            self._thread.join()

    def submit(self, make: Callable[[], WorkspaceRun]) -> WorkspaceRun:
        """Store the run that `make` gives, unless its token has already started one.

        `make` is called under the lock, so two requests with one token make one run.
        """
        with self._wake:
            run = make()
            if run.run_id not in self._active and not run.state.final:
                self._active[run.run_id] = run
                self._admit(run)
            self._wake.notify_all()
            return run

    def change(self, run_id: int, change: Callable[[WorkspaceRun], None]) -> WorkspaceRun | None:
        """Change a run, active or not; None if there is no such run."""
        with self._wake:
            run = self._active.get(run_id) or self._store.run(run_id)
            if run is None:
                return None
            change(run)
            self._store.put_run(run)
            if not run.state.final:
                self._active[run_id] = run
            self._wake.notify_all()
            return run

    def finished(self, result: TaskOutcome) -> None:
        """Take note of how a task ended."""
        with self._wake:
            if self._current is None or self._current[1].run_id != result.run_id:
                return
            run, attempt = self._current
            self._current = None
            self._end(run, attempt, _final_state(attempt, result), result)
            self._store.put_run(run)
            self._wake.notify_all()

    # What follows runs under the lock.

    def _loop(self) -> None:
        with self._wake:
            while not self._stopping:
                due = self._step()
                now = self._clock()
                seconds = IDLE_SECONDS if due is None else max(due - now, 0) / 1000
                self._wake.wait(min(seconds, IDLE_SECONDS))

    def _step(self) -> int | None:
        """Do all that can be done now; when to look again at the latest (epoch ms)."""
        due: list[int] = []
        self._admit_queued()
        for run in [each for each in self._active.values() if each.state.life != "QUEUED"]:
            before = run.to_json()
            self._stop_late(run, due)
            self._advance(run, due)
            if run.state.final:
                del self._active[run.run_id]
                due.append(0)  # a queued run may take its place
            if run.to_json() != before:
                self._store.put_run(run)
        if self._start_next():
            due.append(0)  # its timeout counts from now
        if self._current and self._kill_at:
            if self._clock() >= self._kill_at:
                log.warning("task run %s did not stop: ending its worker", self._current[1].run_id)
                self._kill_at = 0
                self._runner.kill()
            else:
                due.append(self._kill_at)
        return min(due, default=None)

    def _recover(self, run: WorkspaceRun) -> None:
        """A task that ran when the service died is lost, and its run with it; the rest goes on."""
        for attempt in run.latest():
            if attempt.state.life in ("RUNNING", "TERMINATING"):
                result = TaskOutcome(attempt.run_id, "lost", RESTARTED)
                self._end(run, attempt, _final_state(attempt, result), result, retry=False)
                run.cancelled = run.cancelled or attempt.stop == "CANCELED"
                for other in run.latest():
                    if not other.state.final:
                        other.state = WorkspaceRunState(
                            "SKIPPED", "UPSTREAM_FAILED", RESTARTED, "UPSTREAM_FAILED"
                        )
        self._store.put_run(run)

    def _admit(self, run: WorkspaceRun) -> None:
        """Let a new run begin, queue it or skip it, by its job's max_concurrent_runs."""
        ahead = sum(each.job_id == run.job_id for each in self._active.values() if each is not run)
        allowed = _allowed(run)
        message = f"The job already has {allowed} of at most {allowed} concurrent runs."
        if ahead < allowed:
            run.state = WorkspaceRunState("PENDING", message="Waiting for the worker.")
        elif run.queued:
            run.state = WorkspaceRunState(
                "QUEUED", message=message, code="MAX_CONCURRENT_RUNS_REACHED"
            )
        else:
            code = "MAX_CONCURRENT_RUNS_EXCEEDED"
            run.state = WorkspaceRunState(
                "SKIPPED", "MAXIMUM_CONCURRENT_RUNS_REACHED", message, code
            )
            run.ended = self._clock()
            for attempt in run.latest():
                attempt.state = WorkspaceRunState("SKIPPED", "EXCLUDED", message, "SKIPPED")
            del self._active[run.run_id]
        self._store.put_run(run)

    def _admit_queued(self) -> None:
        """Let queued runs begin, oldest first, as far as their jobs have room."""
        begun = Counter(
            each.job_id for each in self._active.values() if each.state.life != "QUEUED"
        )
        for run in sorted(self._active.values(), key=lambda each: each.run_id):
            room = begun[run.job_id] < _allowed(run)
            if run.state.life == "QUEUED" and (room or run.cancelled):
                begun[run.job_id] += 1
                run.state = WorkspaceRunState("PENDING", message="Waiting for the worker.")
                self._store.put_run(run)

    def _stop_late(self, run: WorkspaceRun, due: list[int]) -> None:
        """Notice timeouts, of the run and of the task that it runs."""
        now = self._clock()
        limit = run.settings.get("timeout_seconds") or 0
        if limit and run.started and not run.timed_out and not run.cancelled:
            if now >= run.started + limit * 1000:
                run.timed_out = True
            else:
                due.append(run.started + limit * 1000)
        if self._current and self._current[0] is run:
            attempt = self._current[1]
            limit = run.task(attempt.task_key).get("timeout_seconds") or 0
            if run.cancelled:
                self._interrupt(attempt, "CANCELED")
            elif run.timed_out or (limit and now >= attempt.started + limit * 1000):
                self._interrupt(attempt, "TIMEDOUT")
            elif limit:
                due.append(attempt.started + limit * 1000)

    def _interrupt(self, attempt: Attempt, why: str) -> None:
        if attempt.stop:
            return
        attempt.stop = why
        attempt.state = WorkspaceRunState("TERMINATING", message="Waiting for the task to stop.")
        self._kill_at = self._clock() + CANCEL_GRACE_MS
        self._runner.cancel(attempt.run_id)

    def _advance(self, run: WorkspaceRun, due: list[int]) -> None:
        """Decide on each task that has not started; end the run when all have ended."""
        running = self._current[1] if self._current and self._current[0] is run else None
        moved = True
        while moved:  # what one task got may free or bar those behind it
            waiting = [a for a in run.latest() if not a.state.final and a is not running]
            moved = any(self._move(run, attempt, due) for attempt in waiting)
        if all(attempt.state.final for attempt in run.latest()):
            run.state, run.ended = outcome(run), self._clock()
            if run.repairs:
                run.repairs[-1]["end_time"] = run.ended
                run.repairs[-1]["state"] = {"result_state": run.state.result}
            log.info(
                "run %s of %s: %s %s",
                run.run_id, run.settings.get("name"), run.state.result, run.state.message,
            )  # fmt: skip
        elif run.cancelled or run.timed_out:
            run.state = WorkspaceRunState("TERMINATING", message="Waiting for its task to stop.")

    def _move(self, run: WorkspaceRun, attempt: Attempt, due: list[int]) -> bool:
        """Decide on a task that is not running; whether it came to stand elsewhere."""
        now = self._clock()
        if run.cancelled or run.timed_out:
            result, code = ("CANCELED", "USER_CANCELED") if run.cancelled else ("TIMEDOUT",) * 2
            attempt.state = WorkspaceRunState("TERMINATED", result, "It had not started.", code)
            attempt.ended = now
            return True
        if attempt.state.life == "BLOCKED":
            return self._unblock(run, attempt)
        if attempt.state.life == "WAITING_FOR_RETRY":
            if now >= attempt.ready:
                attempt.state = WorkspaceRunState("PENDING", message="Waiting for the worker.")
                return True
            due.append(attempt.ready)
        return False

    def _unblock(self, run: WorkspaceRun, attempt: Attempt) -> bool:
        verdict = upstream_verdict(run, attempt.task_key)
        if verdict == "wait":
            return False
        if verdict == "start":
            attempt.state = WorkspaceRunState("PENDING", message="Waiting for the worker.")
        else:
            message = "Its run_if was not met by the tasks it depends on."
            attempt.state = WorkspaceRunState("SKIPPED", verdict, message, verdict)
            attempt.ended = self._clock()
        return True

    def _start_next(self) -> bool:
        """Give the worker the oldest task that may run, if it is free; whether there was one."""
        begun = False
        for run in sorted(self._active.values(), key=lambda each: each.run_id):
            for attempt in run.latest() if run.state.life != "QUEUED" else ():
                if self._current is None and attempt.state.life == "PENDING":
                    self._begin(run, attempt)
                    begun = True
        return begun

    def _begin(self, run: WorkspaceRun, attempt: Attempt) -> None:
        now = self._clock()
        run.started = run.started or now
        run.state = WorkspaceRunState("RUNNING", message="In run")
        attempt.state = WorkspaceRunState("RUNNING", message="In run")
        attempt.started = now
        try:
            spec = self._prepare(run, attempt)
        except TaskSetupError as error:
            self._log_of(attempt).write_text(f"{error}\n")
            result = TaskOutcome(attempt.run_id, "failed", str(error))
            state = WorkspaceRunState("TERMINATED", "FAILED", str(error), error.code)
            self._end(run, attempt, state, result)
            self._store.put_run(run)
            return
        self._store.put_run(run)  # before it starts: after a crash nobody forgets that it did
        self._current, self._kill_at = (run, attempt), 0
        self._runner.run(spec)

    def _end(
        self,
        run: WorkspaceRun,
        attempt: Attempt,
        state: WorkspaceRunState,
        result: TaskOutcome,
        *,
        retry: bool = True,
    ) -> None:
        attempt.state, attempt.ended = state, self._clock()
        attempt.error, attempt.trace = result.error, result.trace
        again = retry_time(run, attempt) if retry and not run.cancelled else None
        if again is not None and not run.timed_out:
            following = Attempt(attempt.task_key, self._store.new_id(), attempt.number + 1)
            following.state = WorkspaceRunState("WAITING_FOR_RETRY", message=state.message)
            following.ready, following.repair = again, attempt.repair
            run.attempts[attempt.task_key].append(following)

    def _log_of(self, attempt: Attempt) -> Path:
        return self._logs / f"{attempt.run_id}.log"


def new_attempts(store: WorkspaceStore, tasks: list[dict[str, Any]]) -> dict[str, list[Attempt]]:
    """The first attempt of each task."""
    return {task["task_key"]: [Attempt(task["task_key"], store.new_id())] for task in tasks}


def _allowed(run: WorkspaceRun) -> int:
    allowed = run.settings.get("max_concurrent_runs")
    return 1 if allowed is None else int(allowed)


def _final_state(attempt: Attempt, result: TaskOutcome) -> WorkspaceRunState:
    if attempt.stop == "CANCELED":
        return WorkspaceRunState("TERMINATED", "CANCELED", "Run cancelled.", "USER_CANCELED")
    if attempt.stop == "TIMEDOUT":
        return WorkspaceRunState(
            "TERMINATED", "TIMEDOUT", "It took longer than its timeout.", "TIMEDOUT"
        )
    if result.kind == "success":
        return WorkspaceRunState("TERMINATED", "SUCCESS", "", "SUCCESS")
    if result.kind == "lost":
        code = "INTERNAL_ERROR" if result.error == RESTARTED else "DRIVER_ERROR"
        return WorkspaceRunState("INTERNAL_ERROR", "FAILED", result.error, code)
    return WorkspaceRunState("TERMINATED", "FAILED", WORKLOAD_FAILED, "RUN_EXECUTION_ERROR")
