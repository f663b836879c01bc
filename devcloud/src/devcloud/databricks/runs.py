"""Runs of jobs and attempts of tasks: what they hold, and when each may move on. No IO.

    (QUEUED) -> PENDING -> RUNNING -> TERMINATING -> TERMINATED | INTERNAL_ERROR
            `-> SKIPPED                       a task also: BLOCKED, WAITING_FOR_RETRY

Source: Jobs API 2.2, `RunState`, `RunStatus` and `run_if`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

FINAL = frozenset({"TERMINATED", "SKIPPED", "INTERNAL_ERROR"})
# Results by which a task counts as done well, or as failed, for the tasks behind it.
GOOD = frozenset({"SUCCESS"})
BAD = frozenset({"FAILED", "TIMEDOUT", "CANCELED", "UPSTREAM_FAILED", "UPSTREAM_CANCELED"})


@dataclass
class WorkspaceRunState:
    """Where a run or an attempt stands.

    Attributes:
        life: life cycle state; result: result state, once it is final.
        message: why; code: termination code, once it is final.
    """

    life: str = "PENDING"
    result: str | None = None
    message: str = ""
    code: str = ""

    @property
    def final(self) -> bool:
        """Nothing will change any more."""
        return self.life in FINAL


@dataclass
class Attempt:
    """One try of one task; each has a run id of its own.

    Attributes:
        number: 0 for the first try of a task.
        ready: not before this time may it start; started, ended: 0 until then. Epoch ms.
        error, trace: what the task raised.
        stop: why a running attempt is being stopped: "", "CANCELED" or "TIMEDOUT".
        repair: id of the repair that asked for it; 0 for the run itself.
    """

    task_key: str
    run_id: int
    number: int = 0
    state: WorkspaceRunState = field(default_factory=lambda: WorkspaceRunState("BLOCKED"))
    ready: int = 0
    started: int = 0
    ended: int = 0
    error: str = ""
    trace: str = ""
    stop: str = ""
    repair: int = 0


@dataclass
class WorkspaceRun:
    """One run of a job, with the definition as it was when the run was asked for.

    Attributes:
        parameters: values of all job parameters; overrides: those given by the caller.
        queued: may wait when the job already has max_concurrent_runs.
        kind: "JOB_RUN", or "SUBMIT_RUN" of what was submitted without a job.
        trigger: what started it: "ONE_TIME" (somebody) or "PERIODIC" (the job's schedule).
        attempts: of each task, oldest first.
        repairs: what `runs/repair` was asked for, oldest first.
        cancelled: someone asked for the end of it; timed_out: it took longer than allowed.
    """

    run_id: int
    job_id: int
    settings: dict[str, Any]
    parameters: dict[str, str]
    overrides: dict[str, str]
    created: int
    queued: bool = False
    token: str = ""
    trigger: str = "ONE_TIME"
    kind: str = "JOB_RUN"
    state: WorkspaceRunState = field(default_factory=WorkspaceRunState)
    started: int = 0
    ended: int = 0
    attempts: dict[str, list[Attempt]] = field(default_factory=dict)
    repairs: list[dict[str, Any]] = field(default_factory=list)
    cancelled: bool = False
    timed_out: bool = False

    def task(self, task_key: str) -> dict[str, Any]:
        """The settings of a task."""
        return next(each for each in self.settings["tasks"] if each["task_key"] == task_key)

    def latest(self) -> list[Attempt]:
        """The newest attempt of each task, in the order of the definition."""
        return [self.attempts[task["task_key"]][-1] for task in self.settings["tasks"]]

    def to_json(self) -> dict[str, Any]:
        """The run as it is kept on disk."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        attempts = {
            key: [Attempt(**each | {"state": WorkspaceRunState(**each["state"])}) for each in tries]
            for key, tries in document["attempts"].items()
        }
        state = WorkspaceRunState(**document["state"])
        return cls(**{**document, "attempts": attempts, "state": state})


def upstream_verdict(run: WorkspaceRun, task_key: str) -> str:
    """Whether the tasks before this one let it start: "wait", "start" or the result it gets.

    The result is UPSTREAM_FAILED, UPSTREAM_CANCELED or EXCLUDED (its run_if was not met).
    """
    task = run.task(task_key)
    before = [run.attempts[each["task_key"]][-1].state for each in task.get("depends_on") or []]
    if not all(state.final for state in before):
        return "wait"
    results = [state.result or "" for state in before]
    good = sum(result in GOOD for result in results)
    bad = sum(result in BAD for result in results)
    rule = task.get("run_if", "ALL_SUCCESS")
    met = {
        "ALL_SUCCESS": good == len(results),
        "AT_LEAST_ONE_SUCCESS": good > 0 or not results,
        "NONE_FAILED": bad == 0 and (good > 0 or not results),
        "ALL_DONE": True,
        "AT_LEAST_ONE_FAILED": bad > 0,
        "ALL_FAILED": bool(results) and bad == len(results),
    }[rule]
    if met:
        return "start"
    if rule not in ("ALL_SUCCESS", "NONE_FAILED") or bad == 0:
        return "EXCLUDED"
    cancelled = any(result in ("CANCELED", "UPSTREAM_CANCELED") for result in results)
    return "UPSTREAM_CANCELED" if cancelled else "UPSTREAM_FAILED"


def retry_time(run: WorkspaceRun, attempt: Attempt) -> int | None:
    """When a failed attempt is tried again, in epoch ms; None if it is not.

    Source: `max_retries` (-1 is without end), `min_retry_interval_millis` (counted from the start
    of the failed attempt) and `retry_on_timeout` of the task.
    """
    task = run.task(attempt.task_key)
    if attempt.state.result not in ("FAILED", "TIMEDOUT"):
        return None
    if attempt.state.result == "TIMEDOUT" and not task.get("retry_on_timeout"):
        return None
    allowed = task.get("max_retries") or 0
    tries = sum(each.repair == attempt.repair for each in run.attempts[attempt.task_key])
    if allowed != -1 and tries > allowed:
        return None
    return max(attempt.ended, attempt.started + (task.get("min_retry_interval_millis") or 0))


def outcome(run: WorkspaceRun) -> WorkspaceRunState:
    """How a run ended all of whose tasks have ended.

    The leaves decide (the tasks that no other waits for); a failure that a leaf made good leaves
    SUCCESS_WITH_FAILURES behind.
    """
    latest = run.latest()
    waited_for = {up["task_key"] for t in run.settings["tasks"] for up in t.get("depends_on") or []}
    leaves = [each for each in latest if each.task_key not in waited_for]
    results = {each.state.result for each in latest}
    if run.timed_out:
        return WorkspaceRunState(
            "TERMINATED", "TIMEDOUT", "The run took longer than its timeout.", "TIMEDOUT"
        )
    if run.cancelled:
        return WorkspaceRunState("TERMINATED", "CANCELED", "Run cancelled.", "USER_CANCELED")
    if not any(each.state.result in BAD for each in leaves):
        if results & BAD:
            return WorkspaceRunState(
                "TERMINATED", "SUCCESS_WITH_FAILURES", "", "SUCCESS_WITH_FAILURES"
            )
        return WorkspaceRunState("TERMINATED", "SUCCESS", "", "SUCCESS")
    bad = [each for each in latest if each.state.result in BAD]
    # The first that failed itself, wherever it stands: a deployer may sort the tasks by name.
    first = min(bad, key=lambda each: (each.state.result or "").startswith("UPSTREAM_"))
    message = f"Task {first.task_key} failed with message: {first.state.message}"
    if any(each.state.result == "UPSTREAM_FAILED" for each in latest):
        message = f"{message.rstrip('.')}. This caused all downstream tasks to get skipped."
    life = "INTERNAL_ERROR" if first.state.life == "INTERNAL_ERROR" else "TERMINATED"
    result = "TIMEDOUT" if first.state.result == "TIMEDOUT" else "FAILED"
    return WorkspaceRunState(life, result, message, first.state.code)
