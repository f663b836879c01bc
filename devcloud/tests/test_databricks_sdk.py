"""What of the Databricks SDK the local workspace does: each operation by the unmodified client.

An operation is done, with what it changed looked at; or it fails with the error that Databricks
gives; or it is refused by name, as what is not built. `python -m pytest -v` of this file is the
list, and the last test the count.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import NotFound
from databricks.sdk.errors import NotImplemented as NotBuilt
from databricks.sdk.errors.base import DatabricksError
from databricks.sdk.service import catalog, compute, iam
from databricks.sdk.service.jobs import JobSettings, SubmitTask, Task
from databricks.sdk.service.workspace import AclPermission, ImportFormat, Language

from devcloud.testing.operations import registering
from devcloud.testing.workspace import (
    HOME,
    LocalWorkspace,
    client,
    local_workspace,
    python_task,
    states,
)

ECHO = "import sys\nprint('|'.join(sys.argv[1:]))\n"
NO_ID = 10**15
NOTEBOOK = b"# Databricks notebook source\nprint(1)\n"
IDENTITY = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Databricks/accessConnectors/c"


@dataclass
class Trial:
    """A workspace and what several operations need."""

    workspace: LocalWorkspace

    @property
    def w(self) -> Any:
        """The client; its types are too narrow for what is done with them."""
        return self.workspace.client

    @cached_property
    def path(self) -> str:
        """A script in the workspace."""
        return self.workspace.script("sdk.py", ECHO)

    def job(self, name: str = "sdk") -> int:
        """A new job."""
        return self.workspace.job(python_task(self.path, "hello"), name=name)

    @cached_property
    def run_id(self) -> int:
        """A run that has succeeded."""
        run_id = self.workspace.run(self.job()).run_id
        assert run_id is not None
        return run_id

    def upload(self, name: str, content: bytes = b"x") -> str:
        """A file in the workspace."""
        path = f"{HOME}/{name}"
        self.w.workspace.upload(path, content, format=ImportFormat.RAW, overwrite=True)
        return path


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """One workspace for all operations; its worker starts no Spark."""
    with local_workspace(tmp_path_factory.mktemp("workspace")) as workspace:
        yield Trial(workspace)


Operation = Callable[[Trial], None]
DONE: dict[str, Operation] = {}
_done = registering(DONE)


# Jobs


@_done("jobs.create")
def _(t: Trial) -> None:
    created = t.w.jobs.create(name="made", tasks=[Task.from_dict(python_task(t.path))])
    assert t.w.jobs.get(created.job_id).settings.name == "made"


@_done("jobs.get")
def _(t: Trial) -> None:
    assert t.w.jobs.get(t.job("got")).settings.tasks[0].spark_python_task.python_file == t.path


@_done("jobs.list")
def _(t: Trial) -> None:
    job_id = t.job("listed")
    assert [each.job_id for each in t.w.jobs.list(name="listed")] == [job_id]


@_done("jobs.reset")
def _(t: Trial) -> None:
    job_id = t.job()
    settings = JobSettings(name="reset", tasks=[Task.from_dict(python_task(t.path))])
    t.w.jobs.reset(job_id, settings)
    assert t.w.jobs.get(job_id).settings.name == "reset"


@_done("jobs.update")
def _(t: Trial) -> None:
    job_id = t.job()
    t.w.jobs.update(job_id, new_settings=JobSettings(timeout_seconds=60))
    settings = t.w.jobs.get(job_id).settings
    assert (settings.name, settings.timeout_seconds) == ("sdk", 60)


@_done("jobs.delete")
def _(t: Trial) -> None:
    job_id = t.job("deleted")
    t.w.jobs.delete(job_id)
    assert not list(t.w.jobs.list(name="deleted"))


@_done("jobs.run_now")
def _(t: Trial) -> None:
    run = t.workspace.run(t.job())
    assert t.workspace.logs(run) == "hello\n"


@_done("jobs.run_now_and_wait")
def _(t: Trial) -> None:
    assert t.w.jobs.run_now_and_wait(t.job()).state.result_state.value == "SUCCESS"


@_done("jobs.run_now with an idempotency token")
def _(t: Trial) -> None:
    job_id = t.job()
    runs = {t.w.jobs.run_now(job_id, idempotency_token="sdk").run_id for _ in range(2)}
    assert len(runs) == 1


@_done("jobs.submit")
def _(t: Trial) -> None:
    task = SubmitTask.from_dict(python_task(t.path, "once"))
    run = t.w.jobs.submit_and_wait(run_name="once", tasks=[task])
    assert t.workspace.logs(run) == "once\n"


@_done("jobs.list_runs")
def _(t: Trial) -> None:
    assert t.run_id in {each.run_id for each in t.w.jobs.list_runs(completed_only=True)}


@_done("jobs.get_run")
def _(t: Trial) -> None:
    assert t.w.jobs.get_run(t.run_id).state.result_state.value == "SUCCESS"


@_done("jobs.wait_get_run_job_terminated_or_skipped")
def _(t: Trial) -> None:
    run = t.w.jobs.wait_get_run_job_terminated_or_skipped(t.run_id)
    assert run.state.life_cycle_state.value == "TERMINATED"


@_done("jobs.get_run_output")
def _(t: Trial) -> None:
    task = t.w.jobs.get_run(t.run_id).tasks[0]
    assert t.w.jobs.get_run_output(task.run_id).logs == "hello\n"


@_done("jobs.cancel_run")
def _(t: Trial) -> None:
    sleep = t.workspace.script("sleep.py", "import time\ntime.sleep(60)\n")
    run_id = t.w.jobs.run_now(t.workspace.job(python_task(sleep))).run_id
    t.w.jobs.cancel_run(run_id)
    assert states(t.workspace.ended(run_id))[1] == "CANCELED"


@_done("jobs.cancel_all_runs")
def _(t: Trial) -> None:
    sleep = t.workspace.script("sleep.py", "import time\ntime.sleep(60)\n")
    job_id = t.workspace.job(python_task(sleep), max_concurrent_runs=2)
    runs = [t.w.jobs.run_now(job_id).run_id for _ in range(2)]
    t.w.jobs.cancel_all_runs(job_id=job_id)
    for run_id in runs:
        assert states(t.workspace.ended(run_id))[1] == "CANCELED"


@_done("jobs.repair_run")
def _(t: Trial) -> None:
    run = t.workspace.run(t.workspace.job(python_task(t.workspace.script("no.py", "1/0"))))
    t.workspace.script("no.py", "print(1)")
    assert run.run_id is not None
    t.w.jobs.repair_run(run.run_id, rerun_all_failed_tasks=True)
    assert states(t.workspace.ended(run.run_id))[1] == "SUCCESS"


@_done("jobs.delete_run")
def _(t: Trial) -> None:
    run_id = t.workspace.run(t.job()).run_id
    t.w.jobs.delete_run(run_id)
    _fails(lambda: t.w.jobs.get_run(run_id), "does not exist")


@_done("jobs.get of one that is not there")
def _(t: Trial) -> None:
    _fails(lambda: t.w.jobs.get(NO_ID), "does not exist")


@_done("jobs.get_run of one that is not there")
def _(t: Trial) -> None:
    _fails(lambda: t.w.jobs.get_run(NO_ID), "does not exist")


@_done("jobs.run_now with an unknown parameter")
def _(t: Trial) -> None:
    _fails(lambda: t.w.jobs.run_now(t.job(), job_parameters={"x": "1"}), "not defined")


@_done("jobs.repair_run of one that is active")
def _(t: Trial) -> None:
    sleep = t.workspace.script("sleep.py", "import time\ntime.sleep(60)\n")
    run_id = t.w.jobs.run_now(t.workspace.job(python_task(sleep))).run_id
    _fails(lambda: t.w.jobs.repair_run(run_id, rerun_all_failed_tasks=True), "active")
    t.w.jobs.cancel_run(run_id)
    t.workspace.ended(run_id)


# Workspace


@_done("workspace.mkdirs")
def _(t: Trial) -> None:
    t.w.workspace.mkdirs(f"{HOME}/a/b")
    assert t.w.workspace.get_status(f"{HOME}/a/b").object_type.value == "DIRECTORY"


@_done("workspace.upload")
def _(t: Trial) -> None:
    assert t.w.workspace.get_status(t.upload("up.txt")).object_type.value == "FILE"


@_done("workspace.upload of one that is there")
def _(t: Trial) -> None:
    path = t.upload("twice.txt")
    _fails(lambda: t.w.workspace.upload(path, b"", format=ImportFormat.RAW), "already exists")


@_done("workspace.download")
def _(t: Trial) -> None:
    with t.w.workspace.download(t.upload("down.txt", b"content")) as file:
        assert file.read() == b"content"


@_done("workspace.import_ of a notebook")
def _(t: Trial) -> None:
    t.w.workspace.upload(f"{HOME}/note", NOTEBOOK, language=Language.PYTHON, overwrite=True)
    status = t.w.workspace.get_status(f"{HOME}/note")
    assert (status.object_type.value, status.language) == ("NOTEBOOK", Language.PYTHON)


@_done("workspace.export of a notebook")
def _(t: Trial) -> None:
    t.w.workspace.upload(f"{HOME}/given", NOTEBOOK, language=Language.PYTHON, overwrite=True)
    with t.w.workspace.download(f"{HOME}/given") as file:
        assert file.read() == NOTEBOOK


@_done("workspace.get_status of what is not there")
def _(t: Trial) -> None:
    with pytest.raises(NotFound, match="doesn't exist"):
        t.w.workspace.get_status(f"{HOME}/none")


@_done("workspace.list")
def _(t: Trial) -> None:
    path = t.upload("here.txt")
    assert path.removeprefix("/Workspace") in {
        each.path.removeprefix("/Workspace") for each in t.w.workspace.list(HOME)
    }


@_done("workspace.list recursive")
def _(t: Trial) -> None:
    t.w.workspace.mkdirs(f"{HOME}/deep/er")
    path = t.upload("deep/er/x.txt")
    listed = t.w.workspace.list(f"{HOME}/deep", recursive=True)
    assert [each.path.rpartition("/")[2] for each in listed] == [path.rpartition("/")[2]]


@_done("workspace.delete")
def _(t: Trial) -> None:
    path = t.upload("gone.txt")
    t.w.workspace.delete(path)
    with pytest.raises(NotFound):
        t.w.workspace.get_status(path)


@_done("workspace.delete of a folder that is not empty")
def _(t: Trial) -> None:
    t.w.workspace.mkdirs(f"{HOME}/full")
    t.upload("full/x.txt")
    _fails(lambda: t.w.workspace.delete(f"{HOME}/full"), "not empty")
    t.w.workspace.delete(f"{HOME}/full", recursive=True)


# Secrets


@_done("secrets.list_scopes")
def _(t: Trial) -> None:
    assert "landfall" in {each.name for each in t.w.secrets.list_scopes()}


@_done("secrets.list_secrets")
def _(t: Trial) -> None:
    assert "function-key" in {each.key for each in t.w.secrets.list_secrets("landfall")}


@_done("secrets.get_secret")
def _(t: Trial) -> None:
    assert t.w.secrets.get_secret("landfall", "function-key").value


@_done("secrets.get_secret of one that is not there")
def _(t: Trial) -> None:
    with pytest.raises(NotFound):
        t.w.secrets.get_secret("landfall", "none")


@_done("secrets.put_secret into a scope of a key vault")
def _(t: Trial) -> None:
    _fails(lambda: t.w.secrets.put_secret("landfall", "k", string_value="v"), "key vault")


@_done("secrets.put_secret into a scope that is not there")
def _(t: Trial) -> None:
    _fails(lambda: t.w.secrets.put_secret("none", "k", string_value="v"), "'none' does not exist")


# Users and permissions


@_done("current_user.me")
def _(t: Trial) -> None:
    assert t.w.current_user.me().user_name == "landfall@localhost"


@_done("users.list")
def _(t: Trial) -> None:
    assert [each.user_name for each in t.w.users.list()] == ["landfall@localhost"]


@_done("service_principals.create")
def _(t: Trial) -> None:
    assert t.w.service_principals.create(application_id="made").id


@_done("service_principals.list")
def _(t: Trial) -> None:
    t.w.service_principals.create(application_id="listed")
    listed = t.w.service_principals.list(filter='applicationId eq "listed"')
    assert [each.application_id for each in listed] == ["listed"]


@_done("permissions.get and update of a job")
def _(t: Trial) -> None:
    job_id = str(t.job())
    level = iam.PermissionLevel.CAN_MANAGE_RUN
    rule = iam.AccessControlRequest(user_name="me@x", permission_level=level)
    t.w.permissions.update("jobs", job_id, access_control_list=[rule])
    (kept,) = t.w.permissions.get("jobs", job_id).access_control_list
    assert (kept.user_name, kept.all_permissions[0].permission_level) == ("me@x", level)


@_done("a wrong token")
def _(t: Trial) -> None:
    unauthorized = client(t.workspace.url, "wrong")
    _fails(unauthorized.current_user.me, "Invalid access token")


# Unity Catalog


def _credential(t: Trial, name: str) -> None:
    identity = catalog.AzureManagedIdentityRequest(access_connector_id=IDENTITY)
    t.w.storage_credentials.create(name=name, azure_managed_identity=identity)


@_done("storage_credentials.create")
def _(t: Trial) -> None:
    _credential(t, "made")
    assert t.w.storage_credentials.get("made").name == "made"


@_done("storage_credentials.list")
def _(t: Trial) -> None:
    _credential(t, "listed")
    assert "listed" in {each.name for each in t.w.storage_credentials.list()}


@_done("storage_credentials.delete")
def _(t: Trial) -> None:
    _credential(t, "gone")
    t.w.storage_credentials.delete("gone")
    _fails(lambda: t.w.storage_credentials.get("gone"), "does not exist")


def _location(t: Trial, name: str) -> None:
    _credential(t, f"of-{name}")
    url = "abfss://bronze@landfall.dfs.core.windows.net/"
    t.w.external_locations.create(name=name, url=url, credential_name=f"of-{name}")


@_done("external_locations.create")
def _(t: Trial) -> None:
    _location(t, "made")
    assert t.w.external_locations.get("made").credential_name == "of-made"


@_done("external_locations.list")
def _(t: Trial) -> None:
    _location(t, "listed")
    assert "listed" in {each.name for each in t.w.external_locations.list()}


@_done("external_locations.delete")
def _(t: Trial) -> None:
    _location(t, "gone")
    t.w.external_locations.delete("gone")
    _fails(lambda: t.w.external_locations.get("gone"), "does not exist")


# What tools ask for first, and of what there is none


@_done("clusters.spark_versions")
def _(t: Trial) -> None:
    assert [each.key.endswith("-local") for each in t.w.clusters.spark_versions().versions] == [
        True
    ]


@_done("workspace_conf.get_status")
def _(t: Trial) -> None:
    assert t.w.workspace_conf.get_status(keys="enableX") == {"enableX": None}


EMPTY: dict[str, Callable[[WorkspaceClient], Any]] = {
    "clusters.list": lambda w: w.clusters.list(),
    "clusters.list_node_types": lambda w: w.clusters.list_node_types().node_types,
    "clusters.list_zones": lambda w: w.clusters.list_zones().zones,
    "cluster_policies.list": lambda w: w.cluster_policies.list(),
    "policy_families.list": lambda w: w.policy_families.list(),
    "instance_pools.list": lambda w: w.instance_pools.list(),
    "warehouses.list": lambda w: w.warehouses.list(),
    "queries.list": lambda w: w.queries.list(),
    "alerts.list": lambda w: w.alerts.list(),
    "lakeview.list": lambda w: w.lakeview.list(),
    "pipelines.list_pipelines": lambda w: w.pipelines.list_pipelines(),
    "serving_endpoints.list": lambda w: w.serving_endpoints.list(),
    "repos.list": lambda w: w.repos.list(),
    "git_credentials.list": lambda w: w.git_credentials.list(),
    "tokens.list": lambda w: w.tokens.list(),
    "groups.list": lambda w: w.groups.list(),
    "global_init_scripts.list": lambda w: w.global_init_scripts.list(),
}

# What is not built: refused at once, by name.
REFUSED: dict[str, Callable[[Any], Any]] = {
    "jobs.export_run": lambda t: t.w.jobs.export_run(t.run_id),
    "jobs.create with a notebook task": lambda t: t.workspace.job(
        {"task_key": "a", "notebook_task": {"notebook_path": "/x"}}
    ),
    "jobs.create for a git source": lambda t: t.workspace.job(
        python_task(t.path), git_source={"git_url": "https://example.com/x", "git_provider": "x"}
    ),
    "secrets.put_acl": lambda t: t.w.secrets.put_acl("landfall", "x", AclPermission.READ),
    "secrets.create_scope": lambda t: t.w.secrets.create_scope("mine"),
    "workspace.upload as JUPYTER": lambda t: t.w.workspace.upload(
        f"{HOME}/n.ipynb", b"{}", format=ImportFormat.JUPYTER
    ),
    "clusters.create": lambda t: t.w.clusters.create(spark_version="x", num_workers=1),
    "clusters.get": lambda t: t.w.clusters.get("x"),
    "instance_pools.create": lambda t: t.w.instance_pools.create("x", "y"),
    "cluster_policies.create": lambda t: t.w.cluster_policies.create(name="x", definition="{}"),
    "libraries.install": lambda t: t.w.libraries.install("x", [compute.Library(whl="/x.whl")]),
    "warehouses.create": lambda t: t.w.warehouses.create(name="x"),
    "statement_execution.execute_statement": lambda t: t.w.statement_execution.execute_statement(
        "SELECT 1", "x"
    ),
    "dbfs.list": lambda t: list(t.w.dbfs.list("/")),
    "dbfs.mkdirs": lambda t: t.w.dbfs.mkdirs("/x"),
    "files.upload": lambda t: t.w.files.upload("/Volumes/a/b/c/x", io.BytesIO(b"x")),
    "files.list_directory_contents": lambda t: list(
        t.w.files.list_directory_contents("/Volumes/a/b/c")
    ),
    "catalogs.list": lambda t: list(t.w.catalogs.list()),
    "schemas.create": lambda t: t.w.schemas.create("x", "main"),
    "tables.list": lambda t: list(t.w.tables.list("main", "default")),
    "volumes.list": lambda t: list(t.w.volumes.list("main", "default")),
    "pipelines.create": lambda t: t.w.pipelines.create(name="x"),
    "repos.create": lambda t: t.w.repos.create("https://example.com/x", "gitHub"),
    "tokens.create": lambda t: t.w.tokens.create(comment="x"),
    "users.create": lambda t: t.w.users.create(user_name="x@y"),
    "groups.create": lambda t: t.w.groups.create(display_name="x"),
    "queries.create": lambda t: t.w.queries.create(),
    "experiments.create_experiment": lambda t: t.w.experiments.create_experiment("/x"),
}


def _fails(operation: Callable[[], Any], words: str) -> None:
    """It fails with an error of Databricks, which is not that of what is not built."""
    with pytest.raises(DatabricksError, match=words) as error:
        operation()
    assert error.value.error_code not in ("ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED")


@pytest.mark.parametrize("name", DONE)
def test_done(trial: Trial, name: str) -> None:
    """It is done, or fails as it does in Databricks."""
    DONE[name](trial)


@pytest.mark.parametrize("name", EMPTY)
def test_there_is_none(trial: Trial, name: str) -> None:
    """A list of what the workspace has none of is empty."""
    assert list(EMPTY[name](trial.w) or []) == []


@pytest.mark.parametrize("name", REFUSED)
def test_refused(trial: Trial, name: str) -> None:
    """It is refused by name: nothing pretends to be done."""
    with pytest.raises((NotFound, NotBuilt)) as error:
        REFUSED[name](trial)
    assert error.value.error_code in ("ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED")


def test_count() -> None:
    """The figures that the documentation gives."""
    assert (len(DONE) + len(EMPTY), len(REFUSED)) == (70, 28)
