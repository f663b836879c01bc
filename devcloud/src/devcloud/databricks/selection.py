"""Which tasks of a job a run or a repair takes: those named, and those before or behind them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from devcloud.databricks.errors import invalid
from devcloud.databricks.references import check_references
from devcloud.databricks.runs import WorkspaceRun
from devcloud.databricks.settings import parameter_defaults

Document = dict[str, Any]


def narrowed(settings: Document, only: Sequence[str]) -> Document:
    """A job's settings with the tasks of `only` alone; nobody waits for a task left out.

    `+task` takes also all before it, `task+` all behind it, `+task+` both.
    Source: `only` of `jobs/run-now`.

    Raises:
        ApiError: 400 for an unknown task, or for a task that refers to one left out.
    """
    if not only:
        return settings
    tasks = settings["tasks"]
    chosen: set[str] = set()
    for selector in only:
        key = selector.removeprefix("+").removesuffix("+")
        if key not in {task["task_key"] for task in tasks}:
            raise invalid(f"only names {key!r}: the job has no such task.")
        chosen.add(key)
        if selector.startswith("+"):
            chosen |= before(tasks, {key})
        if selector.endswith("+"):
            chosen |= behind(tasks, {key})
    kept = [_without_others(task, chosen) for task in tasks if task["task_key"] in chosen]
    for task in kept:
        check_references(task, parameter_defaults(settings), chosen)
    return settings | {"tasks": kept}


def to_repair(run: WorkspaceRun, body: Mapping[str, Any]) -> list[str]:
    """Which tasks to run again, in the order of the definition, with those behind them.

    Raises:
        ApiError: 400 for an unknown task, or if there is nothing to repair.
    """
    latest = {each.task_key: each.state.result for each in run.latest()}
    chosen = set(body.get("rerun_tasks") or [])
    for key in chosen:
        if key not in latest:
            raise invalid(f"Run {run.run_id} has no task {key!r}.")
    if body.get("rerun_all_failed_tasks"):
        chosen |= {key for key, result in latest.items() if result not in ("SUCCESS", "EXCLUDED")}
    if not chosen:
        raise invalid("Nothing to repair: give rerun_tasks or rerun_all_failed_tasks.")
    if body.get("rerun_dependent_tasks"):
        chosen |= behind(run.settings["tasks"], chosen)
    return [key for key in latest if key in chosen]


def before(tasks: Sequence[Mapping[str, Any]], keys: Collection[str]) -> set[str]:
    """The tasks that these wait for, directly or not."""
    return _reached({task["task_key"]: _waits_for(task) for task in tasks}, keys)


def behind(tasks: Sequence[Mapping[str, Any]], keys: Collection[str]) -> set[str]:
    """The tasks that wait for these, directly or not."""
    followers = {
        task["task_key"]: {
            each["task_key"] for each in tasks if task["task_key"] in _waits_for(each)
        }
        for task in tasks
    }
    return _reached(followers, keys)


def _waits_for(task: Mapping[str, Any]) -> set[str]:
    return {each["task_key"] for each in task.get("depends_on") or []}


def _reached(edges: Mapping[str, set[str]], start: Collection[str]) -> set[str]:
    reached: set[str] = set()
    frontier = set(start)
    while frontier:
        frontier = set().union(*(edges[key] for key in frontier)) - reached
        reached |= frontier
    return reached


def _without_others(task: Document, chosen: Collection[str]) -> Document:
    if not task.get("depends_on"):
        return task
    return task | {"depends_on": [e for e in task["depends_on"] if e["task_key"] in chosen]}
