"""The product's own client of a job, `ingest.azure.databricks`, against the local workspace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from devcloud.testing.workspace import LocalWorkspace, local_workspace, states
from ingest.azure.databricks import DatabricksJob
from ingest.errors import AccessDenied

WAIT = """
import pathlib, sys, time
pathlib.Path(sys.argv[1]).touch()
while True:
    time.sleep(0.01)
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWorkspace]:
    """One workspace for all tests here; its worker starts no Spark."""
    with local_workspace(tmp_path_factory.mktemp("workspace")) as running:
        yield running


def test_a_job_run_is_told_of_in_bulk_and_stopped(
    workspace: LocalWorkspace, tmp_path: Path
) -> None:
    """Active while it runs, started once a token, ended by `cancel`, which may be asked again."""
    began = tmp_path / "began"
    task = {
        "task_key": "wait",
        "spark_python_task": {
            "python_file": workspace.script("wait.py", WAIT),
            "parameters": [str(began)],
        },
    }
    workspace.job(task, name="waiting", parameters=[{"name": "plan", "default": ""}])
    job = DatabricksJob(workspace.client, "waiting")
    assert job.active() == frozenset()
    run_id = job.start("token", {"plan": "a"})
    assert job.start("token", {"plan": "a"}) == run_id
    assert job.active() == {run_id}
    workspace.until(run_id, lambda _: began.exists())
    observed = job.observe(run_id)
    assert observed is not None
    assert (observed.status, observed.url.startswith("http")) == ("running", True)
    job.cancel(run_id)
    assert states(workspace.ended(run_id))[1] == "CANCELED"
    job.cancel(run_id)
    assert job.active() == frozenset()
    observed = job.observe(run_id)
    assert observed is not None
    assert observed.status == "failed"
    assert job.observe(run_id + 999) is None
    job.cancel(run_id + 999)


def test_a_job_that_is_not_deployed_is_said_so(workspace: LocalWorkspace) -> None:
    """Its name is in the error, which the run's next look may not meet any more."""
    with pytest.raises(AccessDenied, match="'nowhere'"):
        DatabricksJob(workspace.client, "nowhere").active()
