"""The Jobs API of the local workspace, by the unmodified SDK, on the real worker without Spark."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from databricks.sdk.errors import (
    InvalidParameterValue,
    PermissionDenied,
    ResourceDoesNotExist,
)
from databricks.sdk.errors import NotImplemented as NotSupported
from databricks.sdk.service.jobs import JobSettings, QueueSettings, Run, RunType, SubmitTask
from httpx import get

from devcloud.testing.workspace import LocalWorkspace, client, local_workspace, python_task, states

ECHO = "import sys\nprint('|'.join(sys.argv[1:]))\n"
WAIT_FOR_FILE = """
import pathlib, sys, time
print("waiting", flush=True)
while not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.01)
"""
LOAD = [{"name": "dataset", "default": "users"}, {"name": "batch", "default": ""}]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWorkspace]:
    """One workspace for all tests here; its worker starts no Spark."""
    with local_workspace(tmp_path_factory.mktemp("workspace")) as running:
        yield running


def task_states(run: Run) -> dict[str, str]:
    """Result state of each task that has ended."""
    assert run.tasks is not None
    return {
        str(task.task_key): task.state.result_state.value
        for task in run.tasks
        if task.state and task.state.result_state
    }


def test_parameters_reach_the_task(workspace: LocalWorkspace) -> None:
    """Job parameters and run facts are put in the place of `{{...}}`; single braces stay."""
    path = workspace.script("echo.py", ECHO)
    job_id = workspace.job(
        python_task(path, "{{job.parameters.dataset}}", "{{job.parameters.batch}}", "{{task.name}}",
                    "{{job.run_id}}"),
        parameters=LOAD,
    )  # fmt: skip
    run = workspace.run(job_id, job_parameters={"batch": "file:///x/{container}"})
    assert states(run) == ("TERMINATED", "SUCCESS")
    assert f"users|file:///x/{{container}}|only|{run.run_id}\n" == workspace.logs(run)
    assert run.status is not None
    assert run.status.termination_details is not None
    assert run.status.termination_details.code is not None
    assert run.status.termination_details.code.value == "SUCCESS"


def test_unknown_parameter_refused(workspace: LocalWorkspace) -> None:
    """A job parameter that the job does not define starts nothing."""
    job_id = workspace.job(python_task(workspace.script("echo.py", ECHO)), parameters=LOAD)
    with pytest.raises(InvalidParameterValue, match="'datset' is not defined"):
        workspace.client.jobs.run_now(job_id, job_parameters={"datset": "users"})
    assert list(workspace.client.jobs.list_runs(job_id=job_id)) == []


def test_same_token_same_run(workspace: LocalWorkspace) -> None:
    """A token starts one run however often it is sent; 64 characters are the most."""
    job_id = workspace.job(python_task(workspace.script("echo.py", ECHO)))
    started = [
        workspace.client.jobs.run_now(job_id, idempotency_token="a" * 64).run_id for _ in range(2)
    ]
    assert len(set(started)) == 1
    assert len(list(workspace.client.jobs.list_runs(job_id=job_id))) == 1
    with pytest.raises(InvalidParameterValue, match="65 characters"):
        workspace.client.jobs.run_now(job_id, idempotency_token="a" * 65)


def test_deleted_run_keeps_its_token(workspace: LocalWorkspace) -> None:
    """After `runs/delete` the token is refused: it never starts a second run."""
    job_id = workspace.job(python_task(workspace.script("echo.py", ECHO)))
    run = workspace.run(job_id, idempotency_token="deleted")
    assert run.run_id is not None
    workspace.client.jobs.delete_run(run.run_id)
    with pytest.raises(ResourceDoesNotExist):
        workspace.client.jobs.get_run(run.run_id)
    with pytest.raises(InvalidParameterValue, match="deleted"):
        workspace.client.jobs.run_now(job_id, idempotency_token="deleted")


def test_failing_task_says_why(workspace: LocalWorkspace) -> None:
    """An exception fails the task; output has error, trace and log; what depends is not run."""
    bad = workspace.script("bad.py", "print('before')\nraise ValueError('row 7 is bad')\n")
    echo = workspace.script("echo.py", ECHO)
    job_id = workspace.job(
        python_task(bad, key="load"),
        python_task(echo, key="build", depends_on=[{"task_key": "load"}]),
    )
    run = workspace.run(job_id)
    assert states(run) == ("TERMINATED", "FAILED")
    assert task_states(run) == {"load": "FAILED", "build": "UPSTREAM_FAILED"}
    assert run.tasks is not None
    assert run.tasks[0].run_id is not None
    output = workspace.client.jobs.get_run_output(run.tasks[0].run_id)
    assert output.error == "ValueError: row 7 is bad"
    assert output.error_trace is not None
    assert "bad.py" in output.error_trace
    assert "execution.py" not in output.error_trace
    assert (output.logs or "").startswith("before\n")


@pytest.mark.parametrize(
    ("code", "result"), [("sys.exit(0)", "SUCCESS"), ("sys.exit()", "SUCCESS"),
                         ("sys.exit(3)", "FAILED"), ("sys.exit('no')", "FAILED")],
)  # fmt: skip
def test_exit_codes(workspace: LocalWorkspace, code: str, result: str) -> None:
    """`sys.exit(0)` is a good end, any other code is not."""
    job_id = workspace.job(python_task(workspace.script("exit.py", f"import sys\n{code}\n")))
    assert result == states(workspace.run(job_id))[1]


def test_retries(workspace: LocalWorkspace, tmp_path: Path) -> None:
    """A failed task is tried max_retries more times; each try has its own run id and output."""
    script = """
        import pathlib, sys
        tries = pathlib.Path(sys.argv[1])
        count = int(tries.read_text()) if tries.exists() else 0
        tries.write_text(str(count + 1))
        assert count == 2, f"try {count}"
    """
    path = workspace.script("flaky.py", "\n".join(each.strip() for each in script.splitlines()))
    job_id = workspace.job(
        python_task(path, str(tmp_path / "tries"), max_retries=2, min_retry_interval_millis=50)
    )
    run = workspace.run(job_id)
    assert states(run) == ("TERMINATED", "SUCCESS")
    assert run.tasks is not None
    assert run.tasks[0].attempt_number == 2
    assert (tmp_path / "tries").read_text() == "3"


def test_run_if_and_leaves(workspace: LocalWorkspace) -> None:
    """`run_if` decides behind a failure; a run whose leaves did well ends well, with failures."""
    bad = workspace.script("bad.py", "raise ValueError\n")
    echo = workspace.script("echo.py", ECHO)
    behind = {"depends_on": [{"task_key": "load"}]}
    job_id = workspace.job(
        python_task(bad, key="load"),
        python_task(echo, key="tidy", run_if="ALL_DONE", **behind),
        python_task(echo, key="alarm", run_if="AT_LEAST_ONE_FAILED", **behind),
    )
    run = workspace.run(job_id)
    assert task_states(run) == {"load": "FAILED", "tidy": "SUCCESS", "alarm": "SUCCESS"}
    assert states(run)[1] == "SUCCESS_WITH_FAILURES"


def test_a_failed_run_names_the_task_that_failed(workspace: LocalWorkspace) -> None:
    """A run's message names the first task that failed itself, in whatever order they are given."""
    bad = workspace.script("bad.py", "raise ValueError\n")
    echo = workspace.script("echo.py", ECHO)
    job_id = workspace.job(
        python_task(echo, key="build", depends_on=[{"task_key": "load"}]),
        python_task(bad, key="load"),
    )
    run = workspace.run(job_id)
    assert run.state is not None
    assert run.state.state_message is not None
    assert run.state.state_message.startswith("Task load failed with message: Workload failed")
    assert run.state.state_message.endswith(
        "details. This caused all downstream tasks to get skipped."
    )


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (["load"], ["load"]),
        (["+load"], ["fetch", "load"]),
        (["load+"], ["load", "build"]),
        (["+load+"], ["fetch", "load", "build"]),
        (["fetch", "build"], ["fetch", "build"]),
        ([], ["fetch", "load", "build", "aside"]),
    ],
)
def test_some_tasks_only(workspace: LocalWorkspace, only: list[str], expected: list[str]) -> None:
    """A run takes the tasks that are named, with those before or behind where a + asks for them."""
    path = workspace.script("echo.py", ECHO)
    job_id = workspace.job(
        python_task(path, key="fetch"),
        python_task(path, key="load", depends_on=[{"task_key": "fetch"}]),
        python_task(path, key="build", depends_on=[{"task_key": "load"}]),
        python_task(path, key="aside"),
    )
    run = workspace.run(job_id, only=only)
    assert states(run) == ("TERMINATED", "SUCCESS")
    assert task_states(run) == dict.fromkeys(expected, "SUCCESS")
    assert len(workspace.client.jobs.get(job_id).settings.tasks) == 4  # type: ignore[union-attr, arg-type]


def test_tasks_that_cannot_run_alone_are_refused(workspace: LocalWorkspace) -> None:
    """`only` names tasks of the job, and none that refers to a task left out."""
    path = workspace.script("echo.py", ECHO)
    first = {"depends_on": [{"task_key": "first"}]}
    job_id = workspace.job(
        python_task(path, key="first"),
        python_task(path, "{{tasks.first.result_state}}", key="second", **first),
    )
    with pytest.raises(InvalidParameterValue, match="'third'"):
        workspace.client.jobs.run_now(job_id, only=["third"])
    with pytest.raises(InvalidParameterValue, match=r"tasks\.first\.result_state"):
        workspace.client.jobs.run_now(job_id, only=["second"])
    assert workspace.logs(workspace.run(job_id, only=["+second"]), 1) == "success\n"


def test_cancel_a_running_task(workspace: LocalWorkspace, tmp_path: Path) -> None:
    """Cancel interrupts the task where it is; the worker lives on for the next one."""
    path = workspace.script("wait.py", WAIT_FOR_FILE)
    job_id = workspace.job(python_task(path, str(tmp_path / "never")))
    run_id = workspace.client.jobs.run_now(job_id).run_id
    workspace.until(run_id, lambda run: "waiting" in workspace.logs(run))
    before = workspace.worker.pid
    workspace.client.jobs.cancel_run(run_id)
    run = workspace.ended(run_id)
    assert states(run) == ("TERMINATED", "CANCELED")
    assert task_states(run) == {"only": "CANCELED"}
    workspace.client.jobs.cancel_run(run_id)  # an ended run stays as it is
    assert states(workspace.ended(run_id)) == ("TERMINATED", "CANCELED")
    assert before == workspace.worker.pid


def test_timeout_of_a_task(workspace: LocalWorkspace, tmp_path: Path) -> None:
    """A task that takes longer than its timeout is stopped and ends TIMEDOUT."""
    path = workspace.script("wait.py", WAIT_FOR_FILE)
    job_id = workspace.job(python_task(path, str(tmp_path / "never"), timeout_seconds=1))
    run = workspace.run(job_id)
    assert task_states(run) == {"only": "TIMEDOUT"}
    assert states(run)[1] == "TIMEDOUT"


def test_queue_and_concurrency(workspace: LocalWorkspace, tmp_path: Path) -> None:
    """Over max_concurrent_runs a run waits if it may queue, and is skipped if not."""
    path = workspace.script("wait.py", WAIT_FOR_FILE)
    go = tmp_path / "go"
    job_id = workspace.job(python_task(path, str(go)), max_concurrent_runs=1)
    jobs = workspace.client.jobs
    first = jobs.run_now(job_id).run_id
    queued = jobs.run_now(job_id, queue=QueueSettings(enabled=True)).run_id
    skipped = jobs.run_now(job_id).run_id
    assert states(jobs.get_run(skipped)) == ("SKIPPED", "MAXIMUM_CONCURRENT_RUNS_REACHED")
    assert states(jobs.get_run(queued))[0] == "QUEUED"
    active = list(jobs.list_runs(job_id=job_id, active_only=True))
    assert {first, queued} == {run.run_id for run in active}
    go.touch()
    assert states(workspace.ended(first))[1] == "SUCCESS"
    assert states(workspace.ended(queued))[1] == "SUCCESS"


def test_killed_worker(workspace: LocalWorkspace, tmp_path: Path) -> None:
    """A worker that is killed takes its task with it, honestly; the next task gets a new one."""
    path = workspace.script("wait.py", WAIT_FOR_FILE)
    job_id = workspace.job(python_task(path, str(tmp_path / "never")))
    run_id = workspace.client.jobs.run_now(job_id).run_id
    workspace.until(run_id, lambda run: "waiting" in workspace.logs(run))
    os.kill(workspace.worker.pid, signal.SIGKILL)
    run = workspace.ended(run_id)
    assert states(run) == ("INTERNAL_ERROR", "FAILED")
    assert run.state is not None
    assert "signal 9" in (run.state.state_message or "")
    echo = workspace.job(python_task(workspace.script("echo.py", ECHO)))
    assert states(workspace.run(echo))[1] == "SUCCESS"


def test_repair(workspace: LocalWorkspace, tmp_path: Path) -> None:
    """Repair runs the failed tasks again, and those behind them, in the same run."""
    need = workspace.script(
        "need.py", "import pathlib, sys\nassert pathlib.Path(sys.argv[1]).exists()\n"
    )
    echo = workspace.script("echo.py", ECHO)
    there = tmp_path / "there"
    job_id = workspace.job(
        python_task(echo, key="first"),
        python_task(need, str(there), key="load", depends_on=[{"task_key": "first"}]),
        python_task(echo, key="build", depends_on=[{"task_key": "load"}]),
    )
    failed = workspace.run(job_id)
    there.touch()
    assert failed.run_id is not None
    workspace.client.jobs.repair_run(failed.run_id, rerun_all_failed_tasks=True)
    run = workspace.ended(failed.run_id)
    assert states(run) == ("TERMINATED", "SUCCESS")
    assert run.tasks is not None
    assert [task.attempt_number for task in run.tasks] == [0, 1, 1]


def test_modules_are_loaded_afresh(workspace: LocalWorkspace) -> None:
    """A module deployed anew is the one that the next run imports; nothing leaks between tasks."""
    path = workspace.script(
        "uses.py",
        "import os, sys, helper\nprint(helper.VERSION, 'LEAK' in os.environ)\n"
        "os.environ['LEAK'] = '1'\nsys.argv.append('x')\n",
    )
    job_id = workspace.job(python_task(path))
    workspace.script("helper.py", "VERSION = 1\n")
    assert workspace.logs(workspace.run(job_id)) == "1 False\n"
    workspace.script("helper.py", "VERSION = 2\n")
    assert workspace.logs(workspace.run(job_id)) == "2 False\n"


def test_paging_of_runs(workspace: LocalWorkspace) -> None:
    """`runs/list` gives the newest first, page by page, and leaves none out."""
    job_id = workspace.job(python_task(workspace.script("echo.py", ECHO)), max_concurrent_runs=100)
    started = [workspace.client.jobs.run_now(job_id).run_id for _ in range(7)]
    listed = [run.run_id for run in workspace.client.jobs.list_runs(job_id=job_id, limit=3)]
    assert started[::-1] == listed
    for run_id in started:
        workspace.ended(run_id)


def test_settings_come_back_as_stored(workspace: LocalWorkspace) -> None:
    """`jobs/get` gives back what was stored: a deployer compares it with what it would send."""
    path = workspace.script("echo.py", ECHO)
    job_id = workspace.job(python_task(path), tags={"team": "data"}, max_concurrent_runs=5)
    jobs = workspace.client.jobs
    settings = jobs.get(job_id).settings
    assert settings is not None
    assert {"name": "trial", "tasks": [python_task(path) | {
        "spark_python_task": {"python_file": path}}],
        "tags": {"team": "data"}, "max_concurrent_runs": 5} == settings.as_dict()  # fmt: skip
    jobs.reset(job_id, JobSettings.from_dict(settings.as_dict() | {"name": "renamed"}))
    assert [job_id] == [job.job_id for job in jobs.list(name="renamed")]
    jobs.update(job_id, new_settings=JobSettings(max_concurrent_runs=7))
    assert jobs.get(job_id).settings.max_concurrent_runs == 7  # type: ignore[union-attr]
    jobs.delete(job_id)
    with pytest.raises(ResourceDoesNotExist):
        jobs.get(job_id)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"tasks": []}, InvalidParameterValue, "no tasks"),
        ({"tasks": [{"task_key": "a", "notebook_task": {"notebook_path": "/x"}}]},
         NotSupported, "notebook_task"),
        ({"tasks": [python_task("/x.py", "{{job.parameters.nope}}")]},
         InvalidParameterValue, "does not define"),
        ({"tasks": [python_task("/x.py", "{{job.nope}}")]}, InvalidParameterValue, "job.nope"),
        ({"tasks": [python_task("x.py")]}, InvalidParameterValue, "absolute"),
        ({"tasks": [python_task("/x.py", depends_on=[{"task_key": "only"}])]},
         InvalidParameterValue, "circle"),
        ({"tasks": [python_task("/x.py", environment_key="gone")]},
         InvalidParameterValue, "environments does not define"),
        ({"tasks": [python_task("/x.py")], "git_source": {"git_url": "x"}},
         NotSupported, "git_source"),
        ({"tasks": [python_task("/x.py")], "continuous": {"pause_status": "UNPAUSED"}},
         NotSupported, "continuous"),
    ],
)  # fmt: skip
def test_what_would_not_be_honoured_is_refused(
    workspace: LocalWorkspace, settings: dict[str, object], error: type[Exception], words: str
) -> None:
    """A job is stored only if every setting of it means here what it means in Databricks."""
    with pytest.raises(error, match=words):
        workspace.client.api_client.do("POST", "/api/2.2/jobs/create", body=settings)


def test_token_is_checked(workspace: LocalWorkspace) -> None:
    """Without a token 401, with a wrong one 403; discovery needs none."""
    with pytest.raises(PermissionDenied):
        client(workspace.url, "dapi-wrong").current_user.me()
    reply = get(f"{workspace.url}/api/2.2/jobs/list")
    assert (reply.status_code, reply.json()["error_code"]) == (401, "UNAUTHENTICATED")
    discovery = get(f"{workspace.url}/.well-known/databricks-config").json()
    assert discovery["host_type"] == "workspace"
    assert workspace.client.current_user.me().user_name == "landfall@localhost"


def test_unknown_endpoints_are_refused(workspace: LocalWorkspace) -> None:
    """What is not built answers 404 ENDPOINT_NOT_FOUND, as `telemetry-ext` does."""
    headers = {"Authorization": f"Bearer {workspace.config.databricks_token}"}
    reply = get(f"{workspace.url}/api/2.1/clusters/get", headers=headers)
    assert (reply.status_code, reply.json()["error_code"]) == (404, "ENDPOINT_NOT_FOUND")
    with pytest.raises(NotSupported, match="python_params"):
        workspace.client.jobs.run_now(1, python_params=["x"])


def test_a_run_without_a_job(workspace: LocalWorkspace) -> None:
    """Tasks may be submitted to run once; a token submits once; the kinds are told apart."""
    api, path = workspace.client.jobs, workspace.script("echo.py", ECHO)
    task = SubmitTask.from_dict(python_task(path, "hello"))
    submit: Any = api.submit  # what it gives waits for the run, which its type does not say
    submitted = submit(run_name="once", tasks=[task], idempotency_token="submit-1")
    again = submit(run_name="once", tasks=[task], idempotency_token="submit-1")
    run_id = submitted.response.run_id
    assert run_id is not None
    assert run_id == again.response.run_id
    run = workspace.ended(run_id)
    assert (run.run_name, states(run)) == ("once", ("TERMINATED", "SUCCESS"))
    assert "hello" in workspace.logs(run)
    kinds = {
        kind: {each.run_id for each in api.list_runs(run_type=kind)}
        for kind in (RunType.SUBMIT_RUN, RunType.JOB_RUN)
    }
    assert run_id in kinds[RunType.SUBMIT_RUN] - kinds[RunType.JOB_RUN]
    body = {"tasks": [{"task_key": "a", "notebook_task": {"notebook_path": "/x"}}]}
    with pytest.raises(NotSupported, match="notebook_task"):
        workspace.client.api_client.do("POST", "/api/2.2/jobs/runs/submit", body=body)


def test_cancel_all(workspace: LocalWorkspace) -> None:
    """All runs of a job that have not ended are cancelled, and those of no other."""
    path = workspace.script("sleep.py", "import time\ntime.sleep(60)\n")
    mine = workspace.job(python_task(path), max_concurrent_runs=2)
    other = workspace.job(python_task(path))
    runs = [workspace.client.jobs.run_now(mine).run_id for _ in range(2)]
    kept = workspace.client.jobs.run_now(other).run_id
    workspace.client.jobs.cancel_all_runs(job_id=mine)
    assert [states(workspace.ended(each))[1] for each in runs] == ["CANCELED"] * 2
    assert states(workspace.client.jobs.get_run(kept))[1] is None
    workspace.client.jobs.cancel_run(kept)
    workspace.ended(kept)
    with pytest.raises(InvalidParameterValue):
        workspace.client.jobs.cancel_all_runs()


def test_output_of_a_run_with_several_tasks(workspace: LocalWorkspace) -> None:
    """Output is asked of a task's run, not of the run of several tasks."""
    path = workspace.script("echo.py", ECHO)
    run = workspace.run(workspace.job(python_task(path, key="a"), python_task(path, key="b")))
    assert run.run_id is not None
    with pytest.raises(InvalidParameterValue, match="several tasks"):
        workspace.client.jobs.get_run_output(run.run_id)
