"""The post-deploy hook of `azure.yaml`, run as azd runs it, against a cloud without any wiring."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from azure.storage.filedatalake import DataLakeServiceClient
from databricks.sdk import WorkspaceClient

from devcloud.config import CloudConfig, bundle_variables, create
from devcloud.supervisor import Supervisor
from landfall.cli.deploy import deploy_local_factory
from landfall.deploy.azure.workspace import JOBS
from tests.e2e.drops import users

REPOSITORY = Path(__file__).resolve().parents[2]
APP_ID = "6f0f1e5a-0000-4000-8000-000000000001"
CONNECTOR = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/landfall/providers"
    "/Microsoft.Databricks/accessConnectors/landfall"
)
COPIED = ("copied", "loading", "succeeded")
"""Reached only if Data Factory could call the app with the key from the vault."""
CALLERS = {"landfall": "app", "devcloud-datafactory": "factory"}
"""Principals of `infra/access.json`, by how they call themselves to the local lake."""
YEARLY = "0 0 0 1 1 *"
# The official CLI is not to be had here: this one deploys the same bundle to the local workspace,
# with nothing but what the hook gives the CLI.
CLI = """\
#!{python}
import os, sys
from pathlib import Path
from databricks.sdk import WorkspaceClient
from landfall.deploy.bundle import deploy_bundle

assert sys.argv[1:] == ["bundle", "deploy", "--target", "dev"], sys.argv
prefix = "BUNDLE_VAR_"
variables = {{k.removeprefix(prefix): v for k, v in os.environ.items() if k.startswith(prefix)}}
client = WorkspaceClient(
    host=os.environ["DATABRICKS_HOST"], token=os.environ["DATABRICKS_TOKEN"]
)
for change in deploy_bundle(Path.cwd(), client, sys.argv[4], variables):
    print(change.action, change.kind, change.name)
"""


@dataclass
class Azure:
    """A local cloud in the state in which `azd deploy` leaves Azure."""

    config: CloudConfig
    environment: Mapping[str, str]

    def hook(self, name: str) -> subprocess.CompletedProcess[str]:
        """Run a hook as azd does."""
        return subprocess.run(
            [sys.executable, "-m", "landfall.deploy.azure", name],
            cwd=REPOSITORY,
            env=dict(self.environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    @property
    def workspace(self) -> WorkspaceClient:
        """The Databricks workspace."""
        return WorkspaceClient(
            host=self.config.url("databricks"), token=self.config.databricks_token
        )

    def drop(self, path: str, content: bytes) -> None:
        """Upload to landing."""
        connection = self.config.lake_connection_string
        with DataLakeServiceClient.from_connection_string(connection) as service:
            service.get_file_client("landing", path).upload_data(content, overwrite=True)

    def runs(self) -> list[dict[str, object]]:
        """What the service knows of."""
        reply = httpx.get(
            f"{self.config.url('functions')}/runs",
            headers={"x-functions-key": self.config.function_key},
            timeout=60,
        )
        runs: list[dict[str, object]] = reply.raise_for_status().json()["runs"]
        return runs


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azure]:
    """No event subscription, no factory, no jobs; a timer that does not strike."""
    config = create(
        tmp_path_factory.mktemp("azure"),
        REPOSITORY,
        landing_function="",
        containers=("landing", "raw", "quarantine", "bronze", "silver", "gold", "manifest"),
        settings={"LANDFALL_TICK": YEARLY},
        warm=False,
    )
    programs = tmp_path_factory.mktemp("bin")
    cli = programs / "databricks"
    cli.write_text(CLI.format(python=sys.executable))
    cli.chmod(0o755)
    account = (
        f"/subscriptions/{config.subscription}/resourceGroups/{config.resource_group}"
        f"/providers/Microsoft.Storage/storageAccounts/{config.account}"
    )
    environment = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "HOME": os.environ.get("HOME", ""),
        "AZURE_LOCATION": "westeurope",
        "DATABRICKS_HOST": config.url("databricks"),
        "DATABRICKS_TOKEN": config.databricks_token,
        "IDENTITY_ENDPOINT": config.identity_url,
        "IDENTITY_HEADER": config.identity_secret,
        "LANDFALL_ACCESS_CONNECTOR_ID": CONNECTOR,
        "LANDFALL_ADF_ENDPOINT": config.url("datafactory"),
        "LANDFALL_ADF_FACTORY": config.factory,
        "LANDFALL_ADF_RESOURCE_GROUP": config.resource_group,
        "LANDFALL_ADF_SUBSCRIPTION": config.subscription,
        "LANDFALL_APP_CLIENT_ID": APP_ID,
        "LANDFALL_BUNDLE_TARGET": "dev",
        "LANDFALL_FUNCTION_APP": "landfall",
        "LANDFALL_KEY_VAULT": "landfall",
        "LANDFALL_KEY_VAULT_URL": config.vault_url,
        "LANDFALL_LAKE_ID": account,
        "LANDFALL_LAKE_URL": config.lake_url,
        "LANDFALL_SYSTEM_TOPIC": "landfall",
        "LANDFALL_URL": config.url("functions"),
        **{f"BUNDLE_VAR_{name}": value for name, value in bundle_variables(config).items()},
    }
    services = ("lake", "datafactory", "databricks", "functions")
    with Supervisor(config, services=services):
        yield Azure(config, environment)


@pytest.fixture(scope="module")
def first(azure: Azure) -> subprocess.CompletedProcess[str]:
    """The first run of the hook."""
    azure.drop("users/before.csv", b"nothing listens yet")
    assert azure.runs() == []
    done = azure.hook("postdeploy")
    assert done.returncode == 0, done.stderr
    return done


def test_after_the_hook_a_dropped_file_starts_a_run(
    azure: Azure, first: subprocess.CompletedProcess[str]
) -> None:
    """The hook wires events, keys, factory and jobs: a drop is copied by Data Factory."""
    assert "put into the vault" in first.stdout
    deploy_local_factory(azure.config)  # the local factory reaches its lake by a key only
    azure.drop("users/may.csv", users([1, 2, 3]).encode())
    deadline = time.monotonic() + 120
    while not (runs := azure.runs()) or runs[0]["state"] not in COPIED:
        assert time.monotonic() < deadline, [(run["name"], run["state"]) for run in runs]
        time.sleep(0.1)
    assert [run["name"] for run in runs] == ["may.csv"]


def test_nobody_asks_the_lake_for_more_than_the_table_of_roles_allows(azure: Azure) -> None:
    """Of a good and a refused drop, each request of app and factory is within `access.json`."""
    azure.drop("users/broken.csv", b"no,such,columns\n1,2,3\n")
    deadline = time.monotonic() + 120
    while "quarantined" not in {run["state"] for run in azure.runs()}:
        assert time.monotonic() < deadline, azure.runs()
        time.sleep(0.1)
    log = httpx.get(f"{azure.config.url('lake')}/_devcloud/requests/log").json()["requests"]
    made = {
        (CALLERS[each["caller"]], _container(each["target"]), _kind(each))
        for each in log
        if each["caller"] in CALLERS and not each["target"].startswith("/_devcloud")
    }

    table = json.loads((REPOSITORY / "infra" / "access.json").read_text())["containers"]
    allowed = {
        (row["principal"], row["container"], kind)
        for row in table
        for kind in ("read", "write")
        if kind == "read" or row["role"].endswith("Contributor")
    }
    assert made <= allowed, made - allowed
    used = {("app", name, "write") for name in ("raw", "quarantine", "manifest")}
    assert used <= made
    assert {("factory", "raw", "read"), ("factory", "bronze", "write")} <= made


@pytest.mark.usefixtures("first")
def test_the_hook_run_again_changes_nothing(azure: Azure) -> None:
    """A second run finds the key in the vault, an equal factory and the same jobs."""
    azure.hook("postdeploy")  # takes the account key of the test before out of the factory
    jobs = {job.settings.name: job.job_id for job in azure.workspace.jobs.list() if job.settings}
    again = azure.hook("postdeploy")

    assert again.returncode == 0, again.stderr
    assert "key of the factory: unchanged" in again.stdout
    assert "factory: 0 changed" in again.stdout
    assert "Unity Catalog: 0 objects created" in again.stdout
    assert jobs == {
        job.settings.name: job.job_id for job in azure.workspace.jobs.list() if job.settings
    }


def test_no_key_is_printed(azure: Azure, first: subprocess.CompletedProcess[str]) -> None:
    """What the hook prints may stand in the log of a workflow."""
    printed = first.stdout + first.stderr
    config = azure.config
    for secret in (config.master_key, config.system_key, config.function_key, config.account_key):
        assert secret not in printed
    assert config.databricks_token not in printed


@pytest.mark.usefixtures("first")
def test_the_app_may_run_its_jobs_and_no_others(azure: Azure) -> None:
    """CAN_MANAGE_RUN on the jobs that the service starts, none on those that run by schedule."""
    allowed = {}
    for job in azure.workspace.jobs.list():
        assert job.settings
        rules = azure.workspace.permissions.get("jobs", str(job.job_id)).access_control_list or []
        allowed[job.settings.name] = [
            (rule.service_principal_name, level.permission_level.value)
            for rule in rules
            for level in rule.all_permissions or []
            if level.permission_level
        ]
    right = [(APP_ID, "CAN_MANAGE_RUN")]
    assert {name for name, rules in allowed.items() if rules} == {
        "landfall_load",
        "landfall_validate",
        "landfall_forget",
    }
    assert all(allowed[name] == right for name in JOBS)


@pytest.mark.usefixtures("first")
def test_taking_down_leaves_nothing_in_the_metastore(azure: Azure) -> None:
    """`azd down` deletes a resource group; storage credential and locations are not in it."""
    assert [each.name for each in azure.workspace.storage_credentials.list()]

    done = azure.hook("predown")

    assert done.returncode == 0, done.stderr
    assert list(azure.workspace.storage_credentials.list()) == []
    assert list(azure.workspace.external_locations.list()) == []


def _container(target: str) -> str:
    return target.split("/")[2].partition("?")[0]


def _kind(request: Mapping[str, str]) -> str:
    return "read" if request["method"] in ("GET", "HEAD") else "write"


def test_a_missing_output_is_named(azure: Azure) -> None:
    """Outside azd the hook says which variables it lacks."""
    lacking = {k: v for k, v in azure.environment.items() if k != "LANDFALL_SYSTEM_TOPIC"}

    done = Azure(azure.config, lacking).hook("postdeploy")

    assert done.returncode == 1
    assert "LANDFALL_SYSTEM_TOPIC" in done.stderr
    assert "Traceback" not in done.stderr
