"""What a job may ask for. Whatever the local workspace would not honour is refused, by name.

Source: Jobs API 2.2, `JobSettings`. Settings are stored as they were sent: a deployer compares
them with what it would send next.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from devcloud.databricks.errors import ApiError, invalid, unsupported
from devcloud.databricks.references import check_references
from devcloud.databricks.timing import times_of

RUN_IF = (
    "ALL_SUCCESS",
    "AT_LEAST_ONE_SUCCESS",
    "NONE_FAILED",
    "ALL_DONE",
    "AT_LEAST_ONE_FAILED",
    "ALL_FAILED",
)
TASK_TYPES = ("spark_python_task", "python_wheel_task")

# Honoured, or a description that changes nothing about how the job runs here.
JOB_KEYS = frozenset(
    {
        "name",
        "description",
        "tasks",
        "parameters",
        "environments",
        "job_clusters",
        "max_concurrent_runs",
        "queue",
        "timeout_seconds",
        "tags",
        "format",
        "edit_mode",
        "deployment",
        "schedule",
        "trigger",
        "email_notifications",
        "webhook_notifications",
        "notification_settings",
        "performance_target",
        "budget_policy_id",
    }
)
TASK_KEYS = frozenset(
    {
        "task_key",
        "description",
        "depends_on",
        "run_if",
        "environment_key",
        "job_cluster_key",
        "new_cluster",
        "existing_cluster_id",
        "libraries",
        "timeout_seconds",
        "max_retries",
        "min_retry_interval_millis",
        "retry_on_timeout",
        "disable_auto_optimization",
        "email_notifications",
        "webhook_notifications",
        "notification_settings",
    }
)
NAME = re.compile(r"[\w-]{1,100}")


def check_settings(settings: Any) -> None:
    """Refuse a job definition that would not run here as it would in Databricks.

    Raises:
        ApiError: 400 where the definition is wrong, 501 where it needs what is not here.
    """
    if not isinstance(settings, dict):
        raise invalid("Job settings must be an object.")
    refuse_unknown(settings, JOB_KEYS, "job setting")
    for key in ("email_notifications", "webhook_notifications"):
        _refuse_notifications(settings, key)
    times_of(settings, 0)
    _check_number(settings, "max_concurrent_runs", 0, 1000)
    _check_number(settings, "timeout_seconds", 0, None)
    tasks = settings.get("tasks")
    if not isinstance(tasks, list) or not tasks:
        raise invalid("The job has no tasks: name at least one under 'tasks'.")
    names = [str(task.get("task_key", "")) for task in tasks]
    for name in names:
        if not NAME.fullmatch(name):
            raise invalid(f"task_key {name!r} must be 1 to 100 letters, digits, '-' and '_'.")
        if names.count(name) > 1:
            raise invalid(f"There are two tasks with task_key {name!r}.")
    parameters = parameter_defaults(settings)
    for task in tasks:
        _check_task(task, settings, names)
        check_references(task, parameters, names)
    _check_order(tasks)


def parameter_defaults(settings: Mapping[str, Any]) -> dict[str, str]:
    """Names and defaults of the job's parameters.

    Raises:
        ApiError: a parameter without a name or default, or named twice.
    """
    defaults: dict[str, str] = {}
    for parameter in settings.get("parameters") or []:
        name, default = parameter.get("name"), parameter.get("default")
        if not isinstance(name, str) or not isinstance(default, str):
            raise invalid(f"Job parameter {parameter!r} needs a name and a default, both strings.")
        if name in defaults:
            raise invalid(f"There are two job parameters {name!r}.")
        defaults[name] = default
    return defaults


def refuse_unknown(document: Mapping[str, Any], known: frozenset[str], what: str) -> None:
    """Raise 501 for the first key that is not among the known ones and holds something."""
    for key, value in document.items():
        if key not in known and value not in (None, [], {}):
            raise unsupported(f"the {what} {key!r}")


def _check_task(task: dict[str, Any], settings: Mapping[str, Any], names: list[str]) -> None:
    name = task["task_key"]
    refuse_unknown(task, TASK_KEYS | set(TASK_TYPES), f"setting of task {name!r},")
    for key in ("email_notifications", "webhook_notifications"):
        _refuse_notifications(task, key)
    types = [key for key in TASK_TYPES if task.get(key) is not None]
    if len(types) != 1:
        raise invalid(f"Task {name!r} must have exactly one of {', '.join(TASK_TYPES)}.")
    if types[0] == "spark_python_task":
        _check_python(name, task["spark_python_task"])
    else:
        _check_wheel(name, task["python_wheel_task"])
    if task.get("run_if", "ALL_SUCCESS") not in RUN_IF:
        raise invalid(f"run_if of task {name!r} must be one of {', '.join(RUN_IF)}.")
    for upstream in task.get("depends_on") or []:
        refuse_unknown(upstream, frozenset({"task_key"}), f"depends_on of task {name!r},")
        if upstream.get("task_key") not in names:
            raise invalid(f"Task {name!r} depends on {upstream.get('task_key')!r}: no such task.")
    _check_number(task, "max_retries", -1, None)
    _check_number(task, "min_retry_interval_millis", 0, None)
    _check_number(task, "timeout_seconds", 0, None)
    for key, group in (("environment_key", "environments"), ("job_cluster_key", "job_clusters")):
        value = task.get(key)
        if value is not None and value not in {e.get(key) for e in settings.get(group) or []}:
            raise invalid(f"Task {name!r} names {key} {value!r}, which {group} does not define.")


def _check_python(name: str, script: Mapping[str, Any]) -> None:
    refuse_unknown(
        script, frozenset({"python_file", "parameters", "source"}), f"task setting of {name!r},"
    )
    if script.get("source", "WORKSPACE") != "WORKSPACE":
        raise unsupported(f"source {script['source']!r} of task {name!r}")
    if not str(script.get("python_file", "")).startswith("/"):
        raise invalid(f"python_file of task {name!r} must be an absolute workspace path.")
    _check_strings(name, script.get("parameters"))


def _check_wheel(name: str, wheel: Mapping[str, Any]) -> None:
    known = frozenset({"package_name", "entry_point", "parameters", "named_parameters"})
    refuse_unknown(wheel, known, f"task setting of {name!r},")
    if not wheel.get("package_name") or not wheel.get("entry_point"):
        raise invalid(f"Task {name!r} needs package_name and entry_point.")
    if wheel.get("parameters") and wheel.get("named_parameters"):
        raise invalid(f"Task {name!r} has both parameters and named_parameters: give one.")
    _check_strings(name, wheel.get("parameters"))


def _check_strings(name: str, parameters: Any) -> None:
    if not all(isinstance(value, str) for value in parameters or []):
        raise invalid(f"The parameters of task {name!r} must be strings.")


def _check_number(document: Mapping[str, Any], key: str, low: int, high: int | None) -> None:
    value = document.get(key)
    if value is None:
        return
    if not isinstance(value, int) or value < low or (high is not None and value > high):
        bounds = f"{low} or more" if high is None else f"{low} to {high}"
        raise invalid(f"{key} must be a whole number, {bounds}, not {value!r}.")


def _refuse_notifications(document: Mapping[str, Any], key: str) -> None:
    if any((document.get(key) or {}).values()):
        raise unsupported(f"{key}: it sends nothing")


def _check_order(tasks: list[dict[str, Any]]) -> None:
    waiting = {
        task["task_key"]: {each["task_key"] for each in task.get("depends_on") or []}
        for task in tasks
    }
    while waiting:
        free = {name for name, needs in waiting.items() if not needs & set(waiting)}
        if not free:
            raise _circle(sorted(waiting))
        for name in free:
            del waiting[name]


def _circle(names: list[str]) -> ApiError:
    return invalid(f"The tasks {', '.join(names)} wait for one another in a circle.")
