"""The hooks of `azure.yaml`: `python -m landfall.deploy.azure postdeploy | predown | postdown`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors.base import DatabricksError

from landfall.azure.arm import data_factory_client
from landfall.azure.credentials import app_credential
from landfall.azure.resources import ResourceError, ResourceManager
from landfall.deploy.azure import events, keys, workspace
from landfall.deploy.azure.database import put_job_role
from landfall.deploy.azure.deployment import Deployment, DeploymentError, read_deployment
from landfall.deploy.factory import DefinitionError, Overrides, deploy_factory

FOLDER = Path(__file__).resolve().parents[3]
"""Folder of `adf/` and `databricks.yml`: a deployment is made from a checkout."""
ROLE_DEFINITIONS = "2022-04-01"
Say = Callable[[str], None]


def postdeploy(deployment: Deployment, credential: TokenCredential, say: Say) -> None:
    """Connect what the templates and the code have put: keys, events, factory, jobs.

    Raises:
        DeploymentError, ResourceError, DefinitionError, AzureError, DatabricksError: a step failed;
            the steps before it stand, and all may be repeated.
    """
    manager = ResourceManager(deployment.endpoint, credential)
    app_keys = keys.wait_for_keys(manager, deployment)
    changed = keys.put_factory_key(manager, deployment, app_keys)
    say(f"key of the factory: {'put into the vault' if changed else 'unchanged'}")

    client = data_factory_client(deployment.endpoint, deployment.subscription, credential)
    overrides = Overrides(
        service_url=deployment.url,
        key_vault_url=deployment.vault_url,
        lake_url=deployment.lake_url,
        storage_account_id=deployment.lake_id,
        location=deployment.location,
    )
    changes = deploy_factory(
        FOLDER / "adf", client, deployment.resource_group, deployment.factory, overrides
    )
    count = sum(change.action != "unchanged" for change in changes)
    say(f"factory: {count} changed, {len(changes) - count} unchanged")

    token = workspace.workspace_token(deployment, credential)
    workspace.deploy_bundle(deployment, token, FOLDER)
    say(f"bundle: deployed to the target {deployment.bundle_target}")
    databricks = WorkspaceClient(host=deployment.databricks_host, token=token)
    workspace.let_app_run_jobs(databricks, deployment)
    say(f"jobs: {', '.join(workspace.JOBS)} may be run by the app")
    try:
        created = workspace.put_catalog_objects(databricks, deployment)
        say(f"Unity Catalog: {len(created)} objects created")
    except DatabricksError as error:
        say(
            f"Unity Catalog: not set up: {error}. The jobs cannot reach the lake without it. A "
            "metastore admin runs this hook again: `azd hooks run postdeploy`."
        )

    if deployment.database_url:
        new = put_job_role(deployment, credential)
        say(f"database: the role {deployment.connector} {'created' if new else 'unchanged'}")

    # Last: from now on dropped files start runs.
    events.put_subscription(manager, deployment, app_keys.webhook)
    say(f"events: the lake tells {events.FUNCTION} of landed files")
    say(f"ready: {deployment.url}/health")


def predown(deployment: Deployment, credential: TokenCredential, say: Say) -> None:
    """Delete what outlives the resource group in the metastore."""
    token = workspace.workspace_token(deployment, credential)
    databricks = WorkspaceClient(host=deployment.databricks_host, token=token)
    try:
        workspace.delete_catalog_objects(databricks, deployment)
        say("Unity Catalog: storage credential and external locations deleted")
    except DatabricksError as error:
        say(f"Unity Catalog: not deleted, do it by hand: {error}")


def postdown(deployment: Deployment, credential: TokenCredential, say: Say) -> None:
    """Delete the custom role, which outlives the resource group."""
    if not deployment.pipeline_role_id:
        say("custom role: its id is not known; delete it by hand")
        return
    manager = ResourceManager(deployment.endpoint, credential)
    manager.delete(deployment.pipeline_role_id, ROLE_DEFINITIONS)
    say("custom role: deleted")


HOOKS = {"postdeploy": postdeploy, "predown": predown, "postdown": postdown}


def main(
    arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ
) -> int:
    """Run a hook; 1 if it failed."""
    parser = argparse.ArgumentParser(prog="landfall.deploy.azure", description=__doc__)
    parser.add_argument("hook", choices=sorted(HOOKS))
    hook = parser.parse_args(arguments).hook
    try:
        HOOKS[hook](read_deployment(environment), app_credential(), _say)
    except (DeploymentError, ResourceError, DefinitionError, AzureError, DatabricksError) as error:
        print(f"{hook}: {error}", file=sys.stderr)  # noqa: T201 - a command line prints
        return 1
    return 0


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command line prints


if __name__ == "__main__":
    sys.exit(main())
