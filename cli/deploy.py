"""`landfall deploy adf|bundle`: the factory and the Databricks bundle, to a laptop or to Azure."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from cli.target import REPOSITORY, data_option, home, json_option
from cli.trouble import Trouble
from devcloud import config as devcloud_config
from devcloud.config import CloudConfig

Settings = Mapping[str, str]


@click.group()
def deploy() -> None:
    """Deploy the factory or the bundle to the local cloud or to Azure.

    To Azure where the app's settings are in the environment and --data is not given.
    """


@deploy.command()
@click.option("--target", default="", metavar="NAME", help="Target of the bundle.")
@data_option
@json_option
def bundle(target: str, data: Path | None, *, as_json: bool) -> None:
    """Deploy the Databricks asset bundle: wheel, files and job."""
    changes = _deploy_bundle(_settings(data, "DATABRICKS_HOST"), target)
    _answer(changes, as_json=as_json)


def deploy_all(config: CloudConfig, say: Callable[[str], None]) -> None:
    """Deploy factory and bundle to a local cloud.

    Raises:
        Trouble: one of them was not taken.
    """
    settings = devcloud_config.app_settings(config)
    bundle_changes = _deploy_bundle(settings, "")
    say(f"deployed the bundle: {_summary(bundle_changes)}")


def _settings(data: Path | None, telling: str) -> Settings:
    """The app settings to deploy by: a local cloud's, or those of the environment."""
    if data is None and os.environ.get(telling):
        return os.environ
    root = home(data)
    try:
        return devcloud_config.app_settings(devcloud_config.load(root))
    except FileNotFoundError:
        raise Trouble(
            f"no local cloud in {root}: start one with `landfall up --data {root}`, "
            f"or set {telling} and the other app settings to deploy to Azure"
        ) from None


def _deploy_bundle(settings: Settings, target: str) -> list[dict[str, Any]]:
    from databricks.sdk import WorkspaceClient  # noqa: PLC0415 - takes a second to import
    from databricks.sdk.errors.base import DatabricksError  # noqa: PLC0415

    from deploy.bundle import deploy_bundle  # noqa: PLC0415
    from deploy.bundle_config import BundleError  # noqa: PLC0415
    from deploy.wheel import WheelError  # noqa: PLC0415

    client = WorkspaceClient(
        host=settings["DATABRICKS_HOST"], token=settings.get("DATABRICKS_TOKEN") or None
    )
    try:
        changes = deploy_bundle(REPOSITORY, client, target)
    except (BundleError, WheelError, DatabricksError, OSError) as error:
        raise Trouble(f"the bundle was not deployed: {error}") from None
    return [asdict(change) for change in changes]


def _answer(changes: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
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
