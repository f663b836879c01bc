"""`landfall up|down|env`: the local cloud."""

from __future__ import annotations

import json
import shlex
import threading
import time
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console

from devcloud import config as devcloud_config
from devcloud import detached, pidfile
from devcloud.config import DATABASE, CloudConfig
from devcloud.supervisor import StartError, Supervisor
from landfall.cli import render
from landfall.cli.client import Client
from landfall.cli.console import console_link
from landfall.cli.errors import CliError
from landfall.cli.target import (
    PROJECT,
    app_folder,
    data_option,
    home,
    json_option,
    local,
    project_folder,
    remembered_project,
)
from landfall.console_links import CONSOLE_KEY, console_key
from landfall.contract.folder import SUFFIX

_START_SECONDS = 120.0
_COLOURS = {
    "lake": "cyan",
    "datafactory": "magenta",
    "databricks": "yellow",
    "functions": "green",
    "database": "blue",
    "landfall": "bold",
}
_ABFS = "abfs"


@click.command()
@data_option
@click.option(
    "--project",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder with contracts/, gold/ and sources/; remembered.  [default: the last one, else "
    "LANDFALL_PROJECT, else the example that comes along]",
)
@click.option("--detach", is_flag=True, help="Return when it is up; `landfall down` ends it.")
@click.option(
    "--spark-lake",
    type=click.Choice([_ABFS]),
    help="Let Spark reach the lake by Hadoop's ABFS driver instead of as a folder.",
)
@click.option("--no-deploy", is_flag=True, help="Deploy neither the factory nor the bundle.")
@json_option
def up(
    data: Path | None,
    spark_lake: str | None,
    project: Path | None,
    *,
    detach: bool,
    no_deploy: bool,
    as_json: bool,
) -> None:
    """Run the local cloud, in the foreground with its log, until interrupted.

    Contracts and gold tables of the project are taken while it runs.
    """
    root = home(data).resolve()
    served = _project(project, root)
    running = pidfile.holder(root)
    if running is not None:
        raise CliError(str(pidfile.AlreadyRunningError(root, running)) + _other(served, root))
    try:
        if detach:
            config = _create(root, spark_lake, served)
            detached.start(config, _START_SECONDS)
            _after_start(config, deploy=not no_deploy, say=_echo_to_stderr)
            _print_addresses(config, as_json=as_json, how_to_end="landfall down")
        else:
            _run_in_foreground(root, spark_lake, served, deploy=not no_deploy, as_json=as_json)
    except (StartError, pidfile.AlreadyRunningError) as error:
        raise CliError(str(error)) from None


@click.command()
@data_option
@json_option
def down(data: Path | None, *, as_json: bool) -> None:
    """Stop the local cloud; its data stays."""
    root = home(data).resolve()
    pid = pidfile.stop(root)
    if as_json:
        click.echo(json.dumps({"stopped": pid is not None, "pid": pid}))
    else:
        click.echo(f"stopped (process {pid})" if pid else f"no local cloud was running in {root}")


@click.command()
@data_option
@json_option
def env(data: Path | None, *, as_json: bool) -> None:
    """Print how to reach the local cloud, as export lines: eval "$(landfall env)"."""
    root = home(data)
    try:
        config = devcloud_config.load(root)
    except FileNotFoundError:
        raise CliError(
            f"no local cloud in {root}: start one with `landfall up --data {root}`"
        ) from None
    if pidfile.holder(root) is None:
        click.echo("landfall: note: that local cloud is not running (`landfall up`)", err=True)
    if as_json:
        click.echo(json.dumps(addresses(config), indent=2))
        return
    for name, value in exports(config).items():
        click.echo(f"export {name}={shlex.quote(value)}")


def addresses(config: CloudConfig) -> dict[str, dict[str, str]]:
    """Return the address and credentials of each service."""
    return {
        "lake": {
            "url": config.lake_url,
            "account": config.account,
            "key": config.account_key,
        },
        "data_factory": {
            "url": config.url("datafactory"),
            "subscription": config.subscription,
            "resource_group": config.resource_group,
            "factory": config.factory,
        },
        "databricks": {"host": config.url("databricks"), "token": config.databricks_token},
        "functions": {"url": config.url("functions"), "key": config.function_key},
        "database": {
            "url": config.database_dsn,
            "host": "127.0.0.1",
            "port": str(config.ports[DATABASE]),
            "database": config.database_name,
            "user": config.database_user,
            "password": config.database_password,
        },
    }


def exports(config: CloudConfig) -> dict[str, str]:
    """Return the app settings, and variables that common clients read."""
    return {
        **devcloud_config.app_settings(config),
        "LANDFALL_URL": config.url("functions"),
        "LANDFALL_KEY": config.function_key,
        "LANDFALL_LAKE_URL": config.lake_url,
        "LANDFALL_KEY_VAULT_URL": config.vault_url,
        "AZURE_STORAGE_ACCOUNT": config.account,
        "AZURE_STORAGE_KEY": config.account_key,
        "AZURE_STORAGE_CONNECTION_STRING": config.lake_connection_string,
        "PGHOST": "127.0.0.1",
        "PGPORT": str(config.ports[DATABASE]),
        "PGDATABASE": config.database_name,
        "PGUSER": config.database_user,
        "PGPASSWORD": config.database_password,
        **{
            f"BUNDLE_VAR_{name}": value
            for name, value in devcloud_config.bundle_variables(config).items()
        },
    }


def _project(named: Path | None, root: Path) -> Path:
    """The project to serve, as an absolute path.

    Raises:
        CliError: it is not there, or has no folder of contracts.
    """
    project = project_folder(named, root)
    if not (project / "contracts").is_dir():
        raise CliError(
            f"the project {project} has no folder contracts/: make one with "
            f"`landfall init {project}`, or name another with --project"
        )
    return project


def _other(project: Path, root: Path) -> str:
    """What to say where a cloud runs already that serves another project."""
    served = remembered_project(root) or app_folder() / "marketplace"
    if served == project:
        return ""
    return f"; it serves {served}: `landfall down` first, to serve {project}"


def _create(root: Path, spark_lake: str | None, project: Path) -> CloudConfig:
    template = "abfs://{container}@landfall.dfs.core.windows.net" if spark_lake else None
    config = devcloud_config.create(root, app_folder(), spark_lake=template)
    settings = {
        PROJECT: str(project),
        "LANDFALL_CONTRACTS_SECONDS": "5",
        CONSOLE_KEY: console_key(config.function_key),
    }
    return devcloud_config.create(root, app_folder(), spark_lake=template, settings=settings)


def _run_in_foreground(
    root: Path, spark_lake: str | None, project: Path, *, deploy: bool, as_json: bool
) -> None:
    emit = _log_to(render.console(stderr=as_json))
    try:
        with pidfile.orderly_end(), pidfile.claim(root):
            config = _create(root, spark_lake, project)
            with Supervisor(config, emit=emit, start_seconds=_START_SECONDS):
                _after_start(config, deploy=deploy, say=lambda line: emit("landfall", line))
                _print_addresses(config, as_json=as_json, how_to_end="Ctrl-C")
                threading.Event().wait()
    except KeyboardInterrupt:
        emit("landfall", "stopped")


def _after_start(config: CloudConfig, *, deploy: bool, say: Callable[[str], None]) -> None:
    if deploy:
        from landfall.cli import deploy as deployers  # noqa: PLC0415 - `up --no-deploy` needs no SDK

        deployers.deploy_all(config, say)
    for warning in _warnings(config):
        say(f"warning: {warning}")


def _warnings(config: CloudConfig) -> list[str]:
    """What the service says is wrong, once it answers."""
    with Client(local(config.root)) as client:
        try:
            health = client.health()
        except CliError as error:
            return [f"the service does not answer: {error.message}"]
    parts = [f"{part}: {state}" for part, state in health["parts"].items() if state != "ok"]
    contracts = [render.contract_problem(problem) for problem in health.get("contracts", ())]
    gold = [f"gold table left out: {problem}" for problem in health.get("gold", ())]
    return [*parts, *contracts, *gold]


def _print_addresses(config: CloudConfig, *, as_json: bool, how_to_end: str) -> None:
    if as_json:
        click.echo(json.dumps(addresses(config), indent=2))
        return
    lines = [
        ("look at it", console_link(config.url("functions"), config.function_key)),
        ("drop a file", f"landfall drop FILE --dataset {_some_dataset(config)}"),
        ("see the runs", "landfall watch"),
        ("use any client", 'eval "$(landfall env)"'),
        ("end it", how_to_end),
    ]
    if config.root != home(None).resolve():
        lines.insert(0, ("name it first", f"export LANDFALL_HOME={shlex.quote(str(config.root))}"))
    click.echo(f"\nThe local cloud is up in {config.root}.")
    for what, command in lines:
        click.echo(f"  {what:<15} {command}")
    click.echo()


def _some_dataset(config: CloudConfig) -> str:
    """A dataset of the project, for an example."""
    folder = Path(config.settings[PROJECT]) / "contracts"
    names = sorted(file.name.removesuffix(SUFFIX) for file in folder.glob(f"*{SUFFIX}"))
    return "users" if "users" in names else names[0] if names else "NAME"


def _log_to(console: Console) -> Callable[[str, str], None]:
    lock = threading.Lock()

    def emit(service: str, line: str) -> None:
        label = f"[{_COLOURS.get(service, '')}]{service:<11}[/]" if service in _COLOURS else service
        with lock:
            console.print(f"[dim]{time.strftime('%H:%M:%S')}[/] {label} | ", end="")
            console.print(line, markup=False, soft_wrap=True)

    return emit


def _echo_to_stderr(line: str) -> None:
    click.echo(line, err=True)
