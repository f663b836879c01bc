"""Finds the service that a command uses: a local cloud or a deployed service."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click

from landfall.cli.errors import CliError

DEFAULT_HOME = Path(".landfall")
PROJECT = "LANDFALL_PROJECT"
_PACKAGE = Path(__file__).resolve().parents[1]

_F = TypeVar("_F", bound=Callable[..., object])


def app_folder() -> Path:
    """The folder of the function app, the jobs, the factory and the bundle.

    A wheel carries them as data of the package; in a checkout they are at its top level.
    """
    packaged = _PACKAGE / "_app"
    return packaged if packaged.is_dir() else _PACKAGE.parent


def project_folder(named: Path | None = None, data: Path | None = None) -> Path:
    """The team's folder: contracts, gold tables, sources.

    That is `named`, else `LANDFALL_PROJECT`, else the one that the local cloud was started with,
    else the example that comes along. A relative path starts where the command runs.
    """
    if named is None and (setting := os.environ.get(PROJECT)):
        named = Path(setting)
    if named is None:
        named = remembered_project(home(data))
    return (named or app_folder() / "marketplace").resolve()


def remembered_project(root: Path) -> Path | None:
    """The project that a local cloud was started with; None where it serves the example."""
    try:
        from devcloud import config as devcloud_config  # noqa: PLC0415 - only local targets need it
    except ModuleNotFoundError:
        return None  # without it no local cloud was started here
    try:
        project = devcloud_config.load(root).settings.get(PROJECT)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Path(project) if project else None


@dataclass(frozen=True)
class Target:
    """Address of a service and of its lake.

    Attributes:
        url: base URL of the HTTP API, without a trailing slash; key: its function key.
        lake: connection string or https URL of the storage account; None if it was not given.
        name: its name in messages.
    """

    url: str
    key: str
    lake: str | None
    name: str


def data_option(function: _F) -> _F:
    """Add the option for the folder of a local cloud."""
    return click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="Folder of the local cloud (default: LANDFALL_HOME, else ./.landfall).",
    )(function)


def json_option(function: _F) -> _F:
    """Add the option for JSON output."""
    return click.option("--json", "as_json", is_flag=True, help="Answer with one JSON document.")(
        function
    )


def not_empty(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Reject an empty parameter, such as `"$RUN"` in a shell without RUN; it may be absent.

    Raises:
        click.BadParameter: it is empty or has only blanks.
    """
    if value is not None and not value.strip():
        raise click.BadParameter("must not be empty")
    return value


def home(data: Path | None, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the local cloud: `data`, else LANDFALL_HOME, else ./.landfall."""
    return data or Path(environ.get("LANDFALL_HOME") or DEFAULT_HOME)


def find(data: Path | None, environ: Mapping[str, str] = os.environ) -> Target:
    """Find the service.

    `--data` comes first, then LANDFALL_URL, then the local cloud in LANDFALL_HOME or ./.landfall.

    Raises:
        CliError: LANDFALL_URL is set without LANDFALL_KEY, or there is no local cloud.
    """
    url = environ.get("LANDFALL_URL")
    if url and data is None:
        key = environ.get("LANDFALL_KEY")
        if not key:
            raise CliError("LANDFALL_URL is set but LANDFALL_KEY is not: set it to a function key")
        return Target(url.rstrip("/"), key, environ.get("LANDFALL_LAKE"), url.rstrip("/"))
    return local(home(data, environ))


def local(root: Path) -> Target:
    """Return the service of a local cloud.

    Raises:
        CliError: there is no local cloud in that folder.
    """
    try:
        from devcloud import config as devcloud_config  # noqa: PLC0415 - only local targets need it
    except ModuleNotFoundError:
        raise CliError(
            "set LANDFALL_URL and LANDFALL_KEY to reach a deployed service; for a local cloud "
            "install the extras first: pip install 'landfall[cli,devcloud]'"
        ) from None
    try:
        config = devcloud_config.load(root)
    except FileNotFoundError:
        raise CliError(
            f"no local cloud in {root}: start one with `landfall up --data {root}`, "
            "or set LANDFALL_URL and LANDFALL_KEY to reach a deployed service"
        ) from None
    return Target(
        config.url("functions"),
        config.function_key,
        config.lake_connection_string,
        f"the local cloud in {root}",
    )
