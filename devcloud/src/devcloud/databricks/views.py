"""Runs as the API shows them: both the older `state` and the newer `status`. No IO."""

from __future__ import annotations

from typing import Any

from devcloud.databricks.runs import Attempt, WorkspaceRun, WorkspaceRunState
from devcloud.databricks.settings import TASK_TYPES

STATUS = {  # life cycle state -> `status.state`
    "QUEUED": "QUEUED",
    "PENDING": "PENDING",
    "BLOCKED": "BLOCKED",
    "WAITING_FOR_RETRY": "WAITING",
    "RUNNING": "RUNNING",
    "TERMINATING": "TERMINATING",
    "TERMINATED": "TERMINATED",
    "SKIPPED": "TERMINATED",
    "INTERNAL_ERROR": "TERMINATED",
}
CODE_TYPE = {  # termination code -> who is to blame
    "SUCCESS": "SUCCESS",
    "SUCCESS_WITH_FAILURES": "SUCCESS",
    "INTERNAL_ERROR": "INTERNAL_ERROR",
    "DRIVER_ERROR": "CLOUD_FAILURE",
}


def state_fields(state: WorkspaceRunState, *, cancelled: bool = False) -> dict[str, Any]:
    """The fields `state` and `status` of a run or a task."""
    old: dict[str, Any] = {
        "life_cycle_state": state.life,
        "state_message": state.message,
        "user_cancelled_or_timedout": cancelled or state.result in ("CANCELED", "TIMEDOUT"),
    }
    if state.result:
        old["result_state"] = state.result
    new: dict[str, Any] = {"state": STATUS[state.life]}
    if state.final:
        new["termination_details"] = {
            "code": state.code,
            "type": CODE_TYPE.get(state.code, "CLIENT_ERROR"),
            "message": state.message,
        }
    if state.life == "QUEUED":
        old["queue_reason"] = state.message
        new["queue_details"] = {"code": state.code, "message": state.message}
    return {"state": old, "status": new}


def times(created: int, started: int, ended: int) -> dict[str, int]:
    """The times of a run or a task: epoch ms and durations in ms, 0 while unknown."""
    return {
        "start_time": started or created,
        "end_time": ended,
        "setup_duration": 0,
        "execution_duration": ended - started if ended and started else 0,
        "cleanup_duration": 0,
    }


def task_view(run: WorkspaceRun, attempt: Attempt, page_url: str) -> dict[str, Any]:
    """One entry of `tasks`."""
    task = run.task(attempt.task_key)
    view: dict[str, Any] = {
        "run_id": attempt.run_id,
        "task_key": attempt.task_key,
        "attempt_number": attempt.number,
        "run_page_url": page_url,
        **state_fields(attempt.state),
        **times(run.created, attempt.started, attempt.ended),
    }
    shown = ("depends_on", "run_if", "environment_key", "job_cluster_key", "libraries")
    for key in (*shown, *TASK_TYPES, "description", "timeout_seconds"):
        if task.get(key) is not None:
            view[key] = task[key]
    return view


def run_view(run: WorkspaceRun, user: str, page_url: str, *, tasks: bool = True) -> dict[str, Any]:
    """A run, as `runs/get` and `runs/list` show it.

    Args:
        run: the run.
        user: name of the user who started it.
        page_url: where the run itself can be looked at.
        tasks: with its tasks and clusters (`expand_tasks`).
    """
    view: dict[str, Any] = {
        "job_id": run.job_id,
        "run_id": run.run_id,
        "number_in_job": run.run_id,  # deprecated upstream: it holds the run id
        "original_attempt_run_id": run.run_id,
        "run_name": run.settings.get("name", "Untitled"),
        "creator_user_name": user,
        "run_type": run.kind,
        "trigger": run.trigger,
        "format": "MULTI_TASK",
        "run_page_url": page_url,
        "run_duration": run.ended - run.created if run.ended else 0,
        "queue_duration": max(run.started - run.created, 0) if run.queued and run.started else 0,
        "job_parameters": _job_parameters(run),
        **state_fields(run.state, cancelled=run.cancelled),
        **times(run.created, run.started, run.ended),
    }
    if tasks:
        view["tasks"] = [task_view(run, each, page_url) for each in run.latest()]
        view["job_clusters"] = run.settings.get("job_clusters") or []
    if run.trigger == "PERIODIC" and run.settings.get("schedule"):
        view["schedule"] = run.settings["schedule"]
    if run.repairs:
        view["repair_history"] = [_original(run), *run.repairs]
    return view


def _job_parameters(run: WorkspaceRun) -> list[dict[str, str]]:
    shown = []
    for parameter in run.settings.get("parameters") or []:
        name = parameter["name"]
        entry = {"name": name, "default": parameter["default"]}
        if name in run.overrides:
            entry["value"] = run.overrides[name]
        shown.append(entry)
    return shown


def _original(run: WorkspaceRun) -> dict[str, Any]:
    first = [tries[0] for tries in run.attempts.values()]
    return {
        "type": "ORIGINAL",
        "start_time": run.created,
        "end_time": max(each.ended for each in first),
        "task_run_ids": [each.run_id for each in first],
    }
