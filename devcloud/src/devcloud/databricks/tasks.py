"""Turns a task of a run into what the worker runs: references resolved, libraries unpacked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from devcloud.databricks.errors import ApiError
from devcloud.databricks.libraries import LibraryError, dependencies, prepare
from devcloud.databricks.protocol import TaskSpec
from devcloud.databricks.references import resolve, start_values
from devcloud.databricks.runs import Attempt, WorkspaceRun
from devcloud.databricks.scheduler import TaskSetupError
from devcloud.databricks.workspace import Workspace

WORKSPACE_ID = "123"


class TaskPreparer:
    """Prepares tasks for the worker.

    Args:
        workspace: holds scripts and wheels.
        folder: unpacked wheels and logs are kept in it.
        url: base URL of the workspace, for `{{workspace.url}}`.
    """

    def __init__(self, workspace: Workspace, folder: Path, url: str) -> None:
        self._workspace = workspace
        self._wheels = folder / "wheels"
        self._logs = folder / "logs"
        self._url = url

    def __call__(self, run: WorkspaceRun, attempt: Attempt) -> TaskSpec:
        """What the worker needs for one attempt.

        Raises:
            TaskSetupError: a script or library is missing.
        """
        values = self._values(run, attempt)
        task = resolve(run.task(attempt.task_key), values.__getitem__)
        try:
            requirements = dependencies(task, run.settings)
            paths = [str(each) for each in prepare(requirements, self._workspace, self._wheels)]
        except LibraryError as error:
            raise TaskSetupError("LIBRARY_INSTALLATION_ERROR", str(error)) from error
        log = str(self._logs / f"{attempt.run_id}.log")
        if task.get("spark_python_task"):
            script = task["spark_python_task"]
            return TaskSpec(
                attempt.run_id,
                list(script.get("parameters") or []),
                log,
                file=self._script(script["python_file"]),
                paths=paths,
            )
        wheel = task["python_wheel_task"]
        return TaskSpec(
            attempt.run_id,
            _wheel_arguments(wheel, run.parameters),
            log,
            package=wheel["package_name"],
            entry_point=wheel["entry_point"],
            paths=paths,
        )

    def _script(self, path: str) -> str:
        try:
            local = self._workspace.local(path)
        except ApiError as error:
            raise TaskSetupError("RESOURCE_NOT_FOUND", error.message) from error
        if not local.is_file():
            raise TaskSetupError(
                "RESOURCE_NOT_FOUND", f"python_file {path} is not in the workspace: deploy it."
            )
        return str(local)

    def _values(self, run: WorkspaceRun, attempt: Attempt) -> dict[str, str]:
        """The values of all references that `check_references` lets through."""
        values = {
            "job.id": str(run.job_id),
            "job.name": str(run.settings.get("name", "Untitled")),
            "job.run_id": str(run.run_id),
            "job.repair_count": str(len(run.repairs)),
            "job.trigger.type": run.trigger.lower(),
            "task.name": attempt.task_key,
            "task.run_id": str(attempt.run_id),
            "task.execution_count": str(attempt.number + 1),
            "workspace.id": WORKSPACE_ID,
            "workspace.url": self._url,
            "job_id": str(run.job_id),
            "run_id": str(attempt.run_id),
            "parent_run_id": str(run.run_id),
            "task_key": attempt.task_key,
            **start_values(run.created),
        }
        values |= {f"job.parameters.{key}": value for key, value in run.parameters.items()}
        for other in run.latest():
            values |= {
                f"tasks.{other.task_key}.run_id": str(other.run_id),
                f"tasks.{other.task_key}.result_state": (other.state.result or "").lower(),
                f"tasks.{other.task_key}.execution_count": str(other.number + 1),
            }
        return values


def _wheel_arguments(wheel: dict[str, Any], parameters: dict[str, str]) -> list[str]:
    """`sys.argv[1:]`; named parameters take those of the job with them, as `--name=value`."""
    if "named_parameters" not in wheel:
        return list(wheel.get("parameters") or [])
    named = parameters | (wheel["named_parameters"] or {})
    return [f"--{key}={value}" for key, value in named.items()]
