"""What the official Databricks CLI asks of a workspace, call by call, as it was seen to ask.

The CLI itself is not here. These are its requests with its direct engine (`bundle deploy`, a
second one, `bundle run`), with its own paths, spellings and order.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from devcloud.testing.workspace import LocalWorkspace, local_workspace

ROOT = "/Workspace/Users/landfall@localhost/.bundle/landfall/dev"
IMPORT = "/api/2.0/workspace-files/import-file"
LOCK = '{"ID":"1","AcquisitionTime":"2026-11-22T12:00:00Z","IsForced":false,"User":"landfall"}'
JOB: dict[str, Any] = {
    "deployment": {"kind": "BUNDLE", "metadata_file_path": f"{ROOT}/state/metadata.json"},
    "edit_mode": "UI_LOCKED",
    "format": "MULTI_TASK",
    "max_concurrent_runs": 1,
    "name": "by the CLI",
    "parameters": [{"default": "you", "name": "who"}],
    "queue": {"enabled": True},
    "environments": [
        {"environment_key": "jobs", "spec": {"environment_version": "4", "dependencies": []}}
    ],
    "schedule": {
        "pause_status": "PAUSED",
        "quartz_cron_expression": "0 30 3 * * ?",
        "timezone_id": "UTC",
    },
    "tasks": [
        {
            "environment_key": "jobs",
            "spark_python_task": {
                "parameters": ["{{job.parameters.who}}"],
                "python_file": f"{ROOT}/files/src/greet.py",
            },
            "task_key": "greet",
        }
    ],
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWorkspace]:
    """A workspace whose worker starts no Spark."""
    with local_workspace(tmp_path_factory.mktemp("workspace")) as running:
        yield running


@pytest.fixture
def cli(workspace: LocalWorkspace) -> Iterator[httpx.Client]:
    """Requests as the CLI sends them."""
    headers = {
        "Authorization": f"Bearer {workspace.config.databricks_token}",
        "User-Agent": "cli/1.14.0 databricks-sdk-go/0.175.0 go/1.26 engine/direct",
    }
    with httpx.Client(base_url=workspace.url, headers=headers) as client:
        yield client


def put(cli: httpx.Client, path: str, content: str, *, overwrite: bool = True) -> httpx.Response:
    """Write a file of the workspace, its path percent-encoded as the CLI does it."""
    said = "true" if overwrite else "false"
    return cli.post(
        f"{IMPORT}/{quote(path.lstrip('/'), safe='/')}?overwrite={said}", content=content
    )


def ok(reply: httpx.Response) -> Any:
    """The body of a reply that must be good."""
    assert reply.status_code == 200, reply.text
    return reply.json() if reply.content else None


def ended(cli: httpx.Client, run_id: int) -> Any:
    """Poll a run until it has ended."""
    deadline = time.monotonic() + 60
    while True:
        run = ok(cli.get("/api/2.2/jobs/runs/get", params={"run_id": run_id}))
        if run["state"]["life_cycle_state"] == "TERMINATED":
            return run
        assert time.monotonic() < deadline, run["state"]
        time.sleep(0.05)


def test_deploy_redeploy_and_run(cli: httpx.Client) -> None:
    """Lock, upload, create; then the same again finds nothing to change; then a run to its end."""
    assert ok(cli.get("/.well-known/databricks-config", headers={"Authorization": ""}))["host_type"]
    assert ok(cli.get("/api/2.0/preview/scim/v2/Me"))["userName"] == "landfall@localhost"

    # The lock: its folder is not there at first, and the CLI learns it from a 404.
    status = cli.get("/api/2.0/workspace/get-status", params={"path": f"{ROOT}/state"})
    assert (status.status_code, status.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    lock = f"{ROOT}/state/deploy.lock"
    assert put(cli, lock, LOCK, overwrite=False).status_code == 404
    ok(cli.post("/api/2.0/workspace/mkdirs", json={"path": f"{ROOT}/state"}))
    ok(put(cli, lock, LOCK, overwrite=False))
    assert put(cli, lock, LOCK, overwrite=False).status_code == 409  # somebody else deploys
    export = {"path": lock, "direct_download": "true"}
    assert ok(cli.get("/api/2.0/workspace/export", params=export))["ID"] == "1"

    internal = f"{ROOT}/artifacts/.internal"
    gone = cli.post("/api/2.0/workspace/delete", json={"path": internal, "recursive": True})
    assert gone.status_code == 404
    ok(cli.post("/api/2.0/workspace/mkdirs", json={"path": f"{ROOT}/files/src"}))
    ok(put(cli, f"{ROOT}/files/src/greet.py", "import sys\nprint('hello', sys.argv[1])\n"))
    ok(put(cli, f"{ROOT}/files/src/naïve name+%.txt", "any"))
    odd = {"path": f"{ROOT}/files/src/naïve name+%.txt", "return_export_info": "true"}
    assert ok(cli.get("/api/2.0/workspace/get-status", params=odd))["object_type"] == "FILE"

    job_id = ok(cli.post("/api/2.2/jobs/create", json=JOB))["job_id"]
    state = f"{ROOT}/state/resources.json"
    ok(put(cli, state, '{"lineage":"a","serial":1}'))
    ok(cli.post("/api/2.0/workspace/delete", json={"path": lock}))

    # Again: what the CLI reads back is what it has sent, so that it finds no change.
    assert ok(cli.get("/api/2.0/workspace/export", params=export | {"path": state}))["serial"] == 1
    found = ok(cli.get("/api/2.2/jobs/get", params={"job_id": job_id}))
    assert found["settings"] == JOB
    assert found["creator_user_name"] == "landfall@localhost"
    assert cli.post("/telemetry-ext", json={"items": []}).status_code == 404

    changed = JOB | {"max_concurrent_runs": 2}
    ok(cli.post("/api/2.2/jobs/reset", json={"job_id": job_id, "new_settings": changed}))
    again = ok(cli.get("/api/2.2/jobs/get", params={"job_id": job_id}))
    assert again["settings"] == changed

    start = {"job_id": job_id, "job_parameters": {"who": "there"}}
    run_id = ok(cli.post("/api/2.2/jobs/run-now", json=start))["run_id"]
    run = ended(cli, run_id)
    assert run["state"]["result_state"] == "SUCCESS"
    assert run["run_page_url"]
    (task,) = run["tasks"]
    output = ok(cli.get("/api/2.2/jobs/runs/get-output", params={"run_id": task["run_id"]}))
    assert output["logs"] == "hello there\n"
    ok(cli.post("/api/2.2/jobs/delete", json={"job_id": job_id}))


def test_run_again_a_part_and_destroy(cli: httpx.Client) -> None:
    """`bundle run --restart`, `--only`, then `bundle destroy`."""
    ok(cli.post("/api/2.0/workspace/mkdirs", json={"path": f"{ROOT}/files/src"}))
    ok(put(cli, f"{ROOT}/files/src/greet.py", "print('hello')\n"))
    ok(put(cli, f"{ROOT}/files/src/sleep.py", "import time\ntime.sleep(60)\n"))
    (greet,) = JOB["tasks"]
    script = {"python_file": f"{ROOT}/files/src/sleep.py"}
    sleep = {"task_key": "sleep", "environment_key": "jobs", "spark_python_task": script}
    job = JOB | {"tasks": [greet | {"depends_on": [{"task_key": "sleep"}]}, sleep]}
    job_id = ok(cli.post("/api/2.2/jobs/create", json=job))["job_id"]
    first = ok(cli.post("/api/2.2/jobs/run-now", json={"job_id": job_id}))["run_id"]

    # --restart: what runs is found and cancelled, and its end waited for.
    active = {"job_id": job_id, "active_only": "true"}
    (running,) = ok(cli.get("/api/2.2/jobs/runs/list", params=active))["runs"]
    assert running["run_id"] == first
    ok(cli.post("/api/2.2/jobs/runs/cancel", json={"run_id": first}))
    assert ended(cli, first)["state"]["result_state"] == "CANCELED"
    assert not ok(cli.get("/api/2.2/jobs/runs/list", params=active)).get("runs")

    # --only greet: the task that it waits for stays out of it.
    start = {"job_id": job_id, "only": ["greet"]}
    run = ended(cli, ok(cli.post("/api/2.2/jobs/run-now", json=start))["run_id"])
    assert run["state"]["result_state"] == "SUCCESS"
    assert [task["task_key"] for task in run["tasks"]] == ["greet"]

    ok(cli.post("/api/2.2/jobs/delete", json={"job_id": job_id}))
    ok(cli.post("/api/2.0/workspace/delete", json={"path": ROOT, "recursive": True}))
    gone = cli.get("/api/2.2/jobs/get", params={"job_id": job_id})
    assert gone.status_code == 400
    assert "does not exist" in gone.json()["message"]
