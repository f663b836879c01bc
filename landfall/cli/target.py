"""Which service a command talks to: a local cloud's folder, or the address of a deployed one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click

from landfall.cli.errors import CliError

DEFAULT_HOME = Path(".landfall")
_PACKAGE = Path(__file__).resolve().parents[1]

_F = TypeVar("_F", bound=Callable[..., object])


def app_folder() -> Path:
    """The folder of the function app, the jobs, the factory and the bundle.

    A wheel carries them as data of the package; in a checkout they are at its top level.
    """
    packaged = _PACKAGE / "_app"
    return packaged if packaged.is_dir() else _PACKAGE.parent


def project_folder() -> Path:
    """The team's folder: contracts, gold tables, sources; `LANDFALL_PROJECT` names another."""
    named = os.environ.get("LANDFALL_PROJECT")
    return Path(named).resolve() if named else app_folder() / "marketplace"


@dataclass(frozen=True)
class Target:
    """Where a service answers and where its lake is.

    Attributes:
        url: base URL of the HTTP API, without a trailing slash; key: its function key.
        lake: connection string or https URL of the storage account; None where it was not given.
        name: how messages call it.
    """

    url: str
    key: str
    lake: str | None
    name: str


def data_option(function: _F) -> _F:
    """The option that names the folder of a local cloud."""
    return click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="Folder of the local cloud (default: LANDFALL_HOME, else ./.landfall).",
    )(function)


def json_option(function: _F) -> _F:
    """The option for an answer that programs read."""
    return click.option("--json", "as_json", is_flag=True, help="Answer with one JSON document.")(
        function
    )


def named(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Let a parameter be left out, but not be empty: `"$RUN"` of a shell that has no RUN.

    Raises:
        click.BadParameter: nothing is in it, or nothing but blanks.
    """
    if value is not None and not value.strip():
        raise click.BadParameter("it is empty: name one")
    return value


def home(data: Path | None, environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of the local cloud: as said, else LANDFALL_HOME, else ./.landfall."""
    return data or Path(environ.get("LANDFALL_HOME") or DEFAULT_HOME)


def find(data: Path | None, environ: Mapping[str, str] = os.environ) -> Target:
    """The service to talk to.

    `--data` counts most; then LANDFALL_URL; then the local cloud in LANDFALL_HOME or ./.landfall.

    Raises:
        Trouble: LANDFALL_URL stands without its key, or no local cloud was ever started there.
    """
    url = environ.get("LANDFALL_URL")
    if url and data is None:
        key = environ.get("LANDFALL_KEY")
        if not key:
            raise CliError("LANDFALL_URL is set but LANDFALL_KEY is not: set it to a function key")
        return Target(url.rstrip("/"), key, environ.get("LANDFALL_LAKE"), url.rstrip("/"))
    return local(home(data, environ))


def local(root: Path) -> Target:
    """The service of a local cloud.

    Raises:
        Trouble: no local cloud was ever started in that folder.
    """
    from devcloud import config as devcloud_config  # noqa: PLC0415 - only local targets need it

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
