"""A workspace that is killed, and the one that takes up what it left."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from databricks.sdk import WorkspaceClient
from databricks.sdk.service.jobs import QueueSettings
from databricks.sdk.service.workspace import ImportFormat
from httpx import HTTPError, get

from devcloud.config import CloudConfig, create
from devcloud.testing.workspace import client, local_workspace, python_task, states

REPOSITORY = Path(__file__).resolve().parents[2]
WAIT = """
import os, pathlib, sys, time
pathlib.Path(sys.argv[1] + ".pid").write_text(str(os.getpid()))
while not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.01)
"""
DEADLINE_SECONDS = 60.0


@contextlib.contextmanager
def service(config: CloudConfig) -> Iterator[subprocess.Popen[bytes]]:
    """The workspace in a process of its own; killed at the end."""
    command = ["-m", "devcloud.databricks", "--root", str(config.root), "--cold"]
    process = subprocess.Popen([sys.executable, *command], cwd=REPOSITORY)
    try:
        wait_until(lambda: healthy(config))
        yield process
    finally:
        process.kill()
        process.wait()


def healthy(config: CloudConfig) -> bool:
    """Whether the workspace answers."""
    with contextlib.suppress(HTTPError):
        return get(f"{config.url('databricks')}/_devcloud/health").is_success
    return False


def wait_until(condition: Callable[[], object]) -> None:
    """Poll a condition until it holds."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def start(workspace: WorkspaceClient, job_id: int, token: str) -> int:
    """Start a run that may queue; its id."""
    queue = QueueSettings(enabled=True)
    return int(workspace.jobs.run_now(job_id, idempotency_token=token, queue=queue).run_id)


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    stat = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, check=False)
    return bool(stat.stdout.strip()) and not stat.stdout.strip().startswith(b"Z")


def test_killed_service(tmp_path: Path) -> None:
    """Killed in the midst: what ran ends as failed, what was queued runs, tokens still hold."""
    config = create(tmp_path / "root", tmp_path)
    go = tmp_path / "go"
    with service(config) as process:
        before = client(config.url("databricks"), config.databricks_token)
        home = before.current_user.me().user_name
        path = f"/Users/{home}/wait.py"
        before.workspace.upload(path, WAIT.encode(), format=ImportFormat.RAW, overwrite=True)
        body = {"name": "wait", "tasks": [python_task(path, str(go))]}
        job_id = int(before.api_client.do("POST", "/api/2.2/jobs/create", body=body)["job_id"])
        running, queued = (start(before, job_id, token) for token in ("first", "second"))
        pid_file = tmp_path / "go.pid"
        wait_until(lambda: pid_file.exists() and pid_file.read_text())
        process.kill()
        process.wait()
        wait_until(lambda: not alive(int(pid_file.read_text())))  # the worker goes with it

    go.touch()
    with local_workspace(config.root) as after:
        lost = after.ended(running)
        assert states(lost) == ("INTERNAL_ERROR", "FAILED")
        assert lost.state is not None
        assert "restarted" in (lost.state.state_message or "")
        assert states(after.ended(queued)) == ("TERMINATED", "SUCCESS")
        assert start(after.client, job_id, "first") == running
        assert start(after.client, job_id, "second") == queued
        assert states(after.ended(start(after.client, job_id, "third"))) == (
            "TERMINATED",
            "SUCCESS",
        )
