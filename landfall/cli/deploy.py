"""`landfall deploy adf|bundle`: deploy the factory, locally or to Azure, and the bundle locally.

In Azure `azd up` deploys both, by `landfall.deploy.azure`; the bundle there by the Databricks CLI.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from devcloud import config as devcloud_config
from devcloud.config import CloudConfig, app_settings, bundle_variables
from landfall.cli.errors import CliError
from landfall.cli.target import app_folder, data_option, home, json_option, project_folder

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

    from landfall.deploy.definitions import Overrides

Settings = Mapping[str, str]
Changes = list[dict[str, Any]]

_azure_option = click.option(
    "--azure",
    is_flag=True,
    help="Deploy to the Azure resources of the app settings in the environment.",
)


@click.group()
@click.option("--force", is_flag=True, help="Deploy though files of the project are wrong.")
def deploy(*, force: bool) -> None:
    """Deploy the factory, to the local cloud or to Azure, or the bundle to the local workspace.

    The project is checked first, as `landfall lint` does.
    """
    from landfall.authoring.project import check  # noqa: PLC0415 - its model is slow to import

    project = project_folder()
    try:
        wrong = [finding for finding in check(project) if finding.wrong]
    except OSError:
        return  # what is deployed here needs no project
    for finding in wrong:
        click.echo(str(finding), err=True)
    if wrong and not force:
        raise CliError(
            f"{len(wrong)} files of {project} are wrong: correct them, or deploy with "
            "`landfall deploy --force …`; all others are served either way"
        )


@deploy.command()
@_azure_option
@click.option("--service-url", envvar="LANDFALL_URL", metavar="URL", help="Of the function app.")
@click.option(
    "--key-vault-url", envvar="LANDFALL_KEY_VAULT_URL", metavar="URL", help="Of the key vault."
)
@click.option("--lake-url", envvar="LANDFALL_LAKE_URL", metavar="URL", help="Of its dfs endpoint.")
@click.option("--storage-account-id", metavar="ID", help="What storage-event triggers watch.")
@click.option("--location", metavar="REGION", help="Of a factory that does not exist yet.")
@data_option
@json_option
def adf(
    *,
    data: Path | None,
    service_url: str | None,
    key_vault_url: str | None,
    lake_url: str | None,
    storage_account_id: str | None,
    location: str | None,
    azure: bool,
    as_json: bool,
) -> None:
    """Deploy the Data Factory: linked services, datasets, pipelines, triggers.

    With --azure the URLs must be given, as options or in LANDFALL_URL, LANDFALL_KEY_VAULT_URL and
    LANDFALL_LAKE_URL.
    """
    if not azure:
        _print_changes(deploy_local_factory(_local_config(data)), as_json=as_json)
        return
    if not service_url or not key_vault_url or not lake_url:
        raise click.UsageError("--azure needs --service-url, --key-vault-url and --lake-url")
    from landfall.azure.credentials import app_credential  # noqa: PLC0415
    from landfall.deploy.definitions import Overrides  # noqa: PLC0415 - the parser needs none of it

    overrides = Overrides(
        service_url=service_url,
        key_vault_url=key_vault_url,
        lake_url=lake_url,
        storage_account_id=storage_account_id,
        location=location,
    )
    _print_changes(_deploy_factory(os.environ, overrides, app_credential()), as_json=as_json)


@deploy.command()
@click.option("--target", default="", metavar="NAME", help="Target of the bundle.")
@click.option(
    "--var", "given", multiple=True, metavar="NAME=VALUE", help="A variable of the bundle."
)
@data_option
@json_option
def bundle(target: str, given: tuple[str, ...], data: Path | None, *, as_json: bool) -> None:
    """Deploy the Databricks asset bundle to the local workspace: wheel, files and jobs.

    In Azure the Databricks CLI deploys it: `databricks bundle deploy`.
    """
    config = _local_config(data)
    variables = bundle_variables(config)
    for assignment in given:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise click.UsageError(f"--var {assignment}: must be NAME=VALUE")
        variables[name] = value
    _print_changes(_deploy_bundle(app_settings(config), target, variables), as_json=as_json)


def deploy_all(config: CloudConfig, say: Callable[[str], None]) -> None:
    """Deploy factory and bundle to a local cloud.

    Raises:
        CliError: one of them could not be deployed.
    """
    say(f"deployed the factory: {_summary(deploy_local_factory(config))}")
    say(f"deployed the bundle: {_summary(_deploy_local_bundle(config))}")


def _local_config(data: Path | None) -> CloudConfig:
    root = home(data)
    try:
        return devcloud_config.load(root)
    except FileNotFoundError:
        raise CliError(
            f"no local cloud in {root}: start one with `landfall up --data {root}`, "
            "or deploy to Azure with --azure"
        ) from None


def deploy_local_factory(config: CloudConfig) -> Changes:
    """Deploy the factory to a local cloud; return what changed."""
    from landfall.cli.identity import LocalIdentity  # noqa: PLC0415 - the SDKs take a second to import
    from landfall.deploy.definitions import Overrides  # noqa: PLC0415

    overrides = Overrides(
        service_url=config.url("functions"),
        key_vault_url=config.vault_url,
        lake_url=config.lake_url,
        lake_key=config.account_key,
    )
    identity = LocalIdentity(config.identity_url, config.identity_secret)
    return _deploy_factory(app_settings(config), overrides, identity)


def _deploy_factory(
    settings: Settings, overrides: Overrides, credential: TokenCredential
) -> Changes:
    from azure.core.exceptions import AzureError  # noqa: PLC0415

    from landfall.azure.arm import data_factory_client  # noqa: PLC0415
    from landfall.deploy.factory import DefinitionError, deploy_factory  # noqa: PLC0415

    endpoint = settings.get("LANDFALL_ADF_ENDPOINT") or "https://management.azure.com"
    client = data_factory_client(
        endpoint, _required(settings, "LANDFALL_ADF_SUBSCRIPTION"), credential
    )
    try:
        changes = deploy_factory(
            app_folder() / "adf",
            client,
            _required(settings, "LANDFALL_ADF_RESOURCE_GROUP"),
            _required(settings, "LANDFALL_ADF_FACTORY"),
            overrides,
        )
    except (DefinitionError, AzureError) as error:
        raise CliError(f"the factory was not deployed: {error}") from None
    return [asdict(change) for change in changes]


def _deploy_local_bundle(config: CloudConfig) -> Changes:
    return _deploy_bundle(app_settings(config), "", bundle_variables(config))


def _deploy_bundle(settings: Settings, target: str, variables: Mapping[str, str]) -> Changes:
    from databricks.sdk import WorkspaceClient  # noqa: PLC0415
    from databricks.sdk.errors.base import DatabricksError  # noqa: PLC0415

    from landfall.deploy.bundle import deploy_bundle  # noqa: PLC0415
    from landfall.deploy.bundle_config import BundleError  # noqa: PLC0415
    from landfall.deploy.wheel import WheelError  # noqa: PLC0415

    try:
        client = WorkspaceClient(
            host=_required(settings, "DATABRICKS_HOST"),
            token=settings.get("DATABRICKS_TOKEN") or None,
        )
        changes = deploy_bundle(app_folder(), client, target, variables)
    except (BundleError, WheelError, DatabricksError, OSError, ValueError) as error:
        raise CliError(f"the bundle was not deployed: {error}") from None
    return [asdict(change) for change in changes]


def _required(settings: Settings, name: str) -> str:
    value = settings.get(name)
    if not value:
        raise CliError(f"the app setting {name} is not in the environment")
    return value


def _print_changes(changes: Changes, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"changes": changes}, indent=2))
        return
    for change in changes:
        if change["action"] != "unchanged":
            click.echo(f"{change['action']:<9} {change['kind']} {change['name']}")
    click.echo(_summary(changes))


def _summary(changes: Sequence[Mapping[str, Any]]) -> str:
    changed = sum(change["action"] != "unchanged" for change in changes)
    return f"{changed} changed, {len(changes) - changed} unchanged"
