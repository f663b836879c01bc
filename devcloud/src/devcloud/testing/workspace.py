"""A local Databricks workspace for tests, and what tests do with it through the SDK."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config
from databricks.sdk.service.jobs import BaseRun, Run
from databricks.sdk.service.workspace import ImportFormat

from devcloud.clock import Clock
from devcloud.config import CloudConfig, create
from devcloud.databricks.app import create_app
from devcloud.databricks.process import WorkerProcess
from devcloud.serving import serve_in_thread

HOME = "/Workspace/Users/landfall@localhost"
WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class LocalWorkspace:
    """A running workspace, its client, and the worker behind it."""

    config: CloudConfig
    url: str
    client: WorkspaceClient
    worker: WorkerProcess

    def script(self, name: str, text: str) -> str:
        """Put a script into the workspace; its path there."""
        path = f"{HOME}/{name}"
        self.client.workspace.upload(path, text.encode(), format=ImportFormat.RAW, overwrite=True)
        return path

    def job(self, *tasks: dict[str, Any], **settings: Any) -> int:
        """Create a job from plain JSON; its id."""
        body = {"name": "trial", "tasks": list(tasks), **settings}
        reply = self.client.api_client.do("POST", "/api/2.2/jobs/create", body=body)
        assert isinstance(reply, dict)
        return int(reply["job_id"])

    def run(self, job_id: int, **options: Any) -> Run:
        """Run a job to its end."""
        return self.ended(self.client.jobs.run_now(job_id, **options).run_id)

    def ended(self, run_id: int) -> Run:
        """Wait for the end of a run."""
        return self.until(run_id, lambda run: states(run)[0] in FINAL)

    def until(self, run_id: int, condition: Callable[[Run], bool]) -> Run:
        """Wait until a run is as wanted."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            run = self.client.jobs.get_run(run_id)
            if condition(run):
                return run
            assert time.monotonic() < deadline, f"run {run_id} stayed {run.state}"
            time.sleep(0.02)

    def logs(self, run: Run, task: int = 0) -> str:
        """What a task of a run printed."""
        assert run.tasks is not None
        run_id = run.tasks[task].run_id
        assert run_id is not None
        return self.client.jobs.get_run_output(run_id).logs or ""


FINAL = ("TERMINATED", "SKIPPED", "INTERNAL_ERROR")


def states(run: Run | BaseRun) -> tuple[str, str | None]:
    """Life cycle and result state of a run."""
    assert run.state is not None
    assert run.state.life_cycle_state is not None
    result = run.state.result_state
    return run.state.life_cycle_state.value, result.value if result else None


def client(url: str, token: str) -> WorkspaceClient:
    """The unmodified SDK, told to give up soon."""
    return WorkspaceClient(
        config=Config(host=url, token=token, retry_timeout_seconds=5, http_timeout_seconds=20)
    )


def python_task(path: str, *parameters: str, key: str = "only", **settings: Any) -> dict[str, Any]:
    """A task that runs a script of the workspace."""
    script = {"python_file": path, "parameters": list(parameters)}
    return {"task_key": key, "spark_python_task": script, **settings}


@contextlib.contextmanager
def local_workspace(
    root: Path, *, warm: bool = False, clock: Clock | None = None, **overrides: object
) -> Iterator[LocalWorkspace]:
    """Serve a workspace on a free port; what `root` holds from an earlier one is taken up."""
    config = create(root, root, **overrides)
    app = create_app(config, warm=warm, clock=clock)
    with serve_in_thread(app, config.ports["databricks"]) as url:
        yield LocalWorkspace(
            replace(config), url, client(url, config.databricks_token), app.state.worker
        )
