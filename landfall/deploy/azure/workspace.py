"""Databricks: the bundle by the official CLI, rights of the app, objects of Unity Catalog."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from azure.core.credentials import TokenCredential
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import NotFound
from databricks.sdk.service.catalog import (
    AzureManagedIdentity,
    AzureManagedIdentityRequest,
    AzureManagedIdentityResponse,
    CredentialPurpose,
)
from databricks.sdk.service.iam import AccessControlRequest, PermissionLevel

from landfall.deploy.azure.deployment import Deployment, DeploymentError, service_credential

SCOPE = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d/.default"
"""The Azure Databricks resource, as Entra ID knows it in every tenant."""
JOBS = ("landfall_load", "landfall_validate", "landfall_forget")
"""Jobs that the app starts, observes and cancels."""
CONTAINERS = ("raw", "bronze", "silver", "gold", "manifest")
"""Containers that the jobs read or write."""
CLI = "databricks"
_BUNDLE_SECONDS = 900
_LAST_LINES = 2000


def workspace_token(deployment: Deployment, credential: TokenCredential) -> str:
    """Return a bearer token for the workspace: a personal one if given, else Entra ID's."""
    return deployment.databricks_token or credential.get_token(SCOPE).token


def deploy_bundle(deployment: Deployment, token: str, folder: Path) -> str:
    """Run `databricks bundle deploy`; return what it printed.

    The CLI gets the token of this process, so that it needs no login of its own.

    Args:
        deployment: the target and the values of the bundle's variables.
        token: bearer token for the workspace.
        folder: folder of `databricks.yml`.

    Raises:
        DeploymentError: the CLI is not installed, or failed.
    """
    program = shutil.which(CLI)
    if program is None:
        raise DeploymentError(
            f"the command `{CLI}` is not on the PATH: install the Databricks CLI "
            "(https://docs.databricks.com/dev-tools/cli/install) and run this hook again"
        )
    variables = {f"BUNDLE_VAR_{name}": value for name, value in deployment.bundle_variables.items()}
    login = {"DATABRICKS_HOST": deployment.databricks_host, "DATABRICKS_TOKEN": token}
    inherited = {name: value for name, value in os.environ.items() if name not in _OTHER_LOGINS}
    ended = subprocess.run(  # noqa: S603 - the arguments are ours
        [program, "bundle", "deploy", "--target", deployment.bundle_target],
        cwd=folder,
        env=inherited | variables | login,
        capture_output=True,
        text=True,
        check=False,
        timeout=_BUNDLE_SECONDS,
    )
    if ended.returncode:
        raise DeploymentError(
            f"`{CLI} bundle deploy --target {deployment.bundle_target}` failed:\n"
            f"{ended.stderr[-_LAST_LINES:] or ended.stdout[-_LAST_LINES:]}"
        )
    return ended.stdout + ended.stderr


def let_app_run_jobs(client: WorkspaceClient, deployment: Deployment) -> None:
    """Make the app's identity known to the workspace, and let it run its jobs and no others.

    Raises:
        DeploymentError: a job is not there, or there are two of its name.
        DatabricksError: the workspace refused a request.
    """
    application = deployment.app_client_id
    query = f'applicationId eq "{application}"'
    if not list(client.service_principals.list(filter=query)):
        client.service_principals.create(
            application_id=application, display_name=deployment.function_app, active=True
        )
    for name in JOBS:
        job_ids = [job.job_id for job in client.jobs.list(name=name)]
        if len(job_ids) != 1:
            raise DeploymentError(f"the workspace has {len(job_ids)} jobs named {name!r}, not one")
        client.permissions.update(
            "jobs",
            str(job_ids[0]),
            access_control_list=[
                AccessControlRequest(
                    service_principal_name=application,
                    permission_level=PermissionLevel.CAN_MANAGE_RUN,
                )
            ],
        )


def put_catalog_objects(client: WorkspaceClient, deployment: Deployment) -> list[str]:
    """Make the storage credential and the external locations; return the names of new ones.

    Raises:
        DeploymentError: an object of the name belongs to something else.
        DatabricksError: the workspace refused a request, as it does without a metastore.
    """
    created = []
    credential = _credential_name(deployment)
    try:
        identity = client.storage_credentials.get(credential).azure_managed_identity
    except NotFound:
        client.storage_credentials.create(
            credential,
            azure_managed_identity=AzureManagedIdentityRequest(deployment.connector_id),
            comment="The access connector of Landfall",
        )
        created.append(credential)
    else:
        _check_connector(credential, identity, deployment)
    if deployment.database_url:
        created += _put_service_credential(client, deployment)
    host = deployment.lake_url.partition("://")[2]
    for container, name in _locations(deployment):
        url = f"abfss://{container}@{host}/"
        try:
            present = client.external_locations.get(name)
        except NotFound:
            client.external_locations.create(name, url, credential)
            created.append(name)
        else:
            if (present.url or "").rstrip("/") != url.rstrip("/"):
                raise DeploymentError(
                    f"the external location {name} is at {present.url}, not at {url}: delete it"
                )
    return created


def _put_service_credential(client: WorkspaceClient, deployment: Deployment) -> list[str]:
    name = service_credential(deployment.lake_account)
    try:
        client.credentials.get_credential(name)
    except NotFound:
        client.credentials.create_credential(
            name,
            azure_managed_identity=AzureManagedIdentity(deployment.connector_id),
            purpose=CredentialPurpose.SERVICE,
            comment="By which the jobs of Landfall sign in to the database of the reports",
        )
        return [name]
    return []


def delete_catalog_objects(client: WorkspaceClient, deployment: Deployment) -> None:
    """Delete what `put_catalog_objects` made: the metastore outlives the workspace.

    Raises:
        DatabricksError: the workspace refused a request.
    """
    for _, name in _locations(deployment):
        with suppress(NotFound):
            client.external_locations.delete(name, force=True)
    with suppress(NotFound):
        client.credentials.delete_credential(
            service_credential(deployment.lake_account), force=True
        )
    with suppress(NotFound):
        client.storage_credentials.delete(_credential_name(deployment), force=True)


def _check_connector(
    name: str, identity: AzureManagedIdentityResponse | None, deployment: Deployment
) -> None:
    connector = identity.access_connector_id if identity else None
    if (connector or "").lower() != deployment.connector_id.lower():
        raise DeploymentError(
            f"the storage credential {name} uses {connector}, not {deployment.connector_id}: "
            "delete it, or deploy under another environment name"
        )


def _credential_name(deployment: Deployment) -> str:
    return f"landfall-{deployment.lake_account}"


def _locations(deployment: Deployment) -> Iterator[tuple[str, str]]:
    for container in CONTAINERS:
        yield container, f"landfall-{deployment.lake_account}-{container}"


# Of two ways to sign in the CLI takes neither.
_OTHER_LOGINS = frozenset(
    {
        "ARM_CLIENT_ID",
        "ARM_CLIENT_SECRET",
        "ARM_TENANT_ID",
        "DATABRICKS_AUTH_TYPE",
        "DATABRICKS_CONFIG_PROFILE",
    }
)
