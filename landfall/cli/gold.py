"""`landfall gold`: show a gold table or an old version; `landfall maintain`: run maintenance."""

from __future__ import annotations

import difflib
import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from landfall.cli import render
from landfall.cli.errors import REFUSED, CliError
from landfall.cli.target import data_option, find, home, json_option

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from deltalake import DeltaTable

_SHOWN_ROWS = 20
_POLL_SECONDS = 1.0
_JOB = "landfall_maintain"


LAYERS = ("gold", "silver")
_TABLE = re.compile(r"(?:(gold|silver)/)?([A-Za-z0-9_]{1,100})")


@dataclass(frozen=True)
class Place:
    """Location of the lake's tables, with storage options of Delta readers.

    `root` has `{layer}` where the container is named; `lake` reaches it by the SDK, if it is not a
    folder.
    """

    root: str
    options: Mapping[str, str]
    lake: str | None = None

    @property
    def base(self) -> str:
        """What stands before the name of a container: a folder, or a scheme."""
        return self.root.partition("{layer}")[0]

    def table(self, path: str) -> DeltaTable:
        """Open a table, `gold/<table>` or `silver/<dataset>`.

        Raises:
            CliError: there is no table of this name.
        """
        from deltalake import DeltaTable  # noqa: PLC0415 - only this needs it
        from deltalake.exceptions import DeltaError, TableNotFoundError  # noqa: PLC0415

        layer, _, name = path.partition("/")
        url = f"{self.root.format(layer=layer)}/{name}"
        try:
            return DeltaTable(url, storage_options=dict(self.options) or None)
        except (TableNotFoundError, FileNotFoundError):
            raise CliError(f"there is no table {path}{self._nearest(path)}") from None
        except (DeltaError, OSError) as error:
            if "not found" in str(error).lower() or "no such file" in str(error).lower():
                raise CliError(f"there is no table {path}{self._nearest(path)}") from None
            raise CliError(f"{path} cannot be read: {_first_line(error)}") from None

    def paths(self) -> list[str]:
        """Return all tables as `gold/<table>` and `silver/<dataset>`, gold first."""
        return [f"{layer}/{name}" for layer in LAYERS for name in self._names(layer)]

    def _names(self, layer: str) -> list[str]:
        if self.lake is None:
            logs = Path(self.root.format(layer=layer)).glob("*/_delta_log")
            return sorted(log.parent.name for log in logs if log.is_dir())
        from landfall.cli.lake import folders  # noqa: PLC0415 - the SDK takes a while to import

        return folders(self.lake, layer)

    def _nearest(self, path: str) -> str:
        known = self.paths()
        by_name = {each.partition("/")[2]: each for each in reversed(known)}
        near = difflib.get_close_matches(path.partition("/")[2], by_name, n=1, cutoff=0.7)
        if near:
            return f"; did you mean {by_name[near[0]]}?"
        return f"; there are: {', '.join(known)}" if known else "; there is none yet"


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _path_of(table: str) -> str:
    """Return the lake path of a table as it is named: gold, where no layer is said.

    Raises:
        click.BadParameter: that is no name of a table.
    """
    match = _TABLE.fullmatch(table)
    if match is None:
        raise click.BadParameter(f"{table!r} is not TABLE, gold/TABLE or silver/DATASET")
    return f"{match[1] or 'gold'}/{match[2]}"


@click.command()
@click.argument("table", metavar="[TABLE]", required=False)
@click.option(
    "--as-of",
    metavar="WHEN",
    help="The version at this time: a day (its end, UTC) or a time such as 2026-11-17T09:30.",
)
@click.option("--version", type=click.IntRange(0), help="This version of the table.")
@click.option(
    "--limit",
    default=_SHOWN_ROWS,
    show_default=True,
    type=click.IntRange(0),
    help="Rows to show; 0 for all.",
)
@click.option("--drop", is_flag=True, help="Delete a gold table that has no definition any more.")
@data_option
@json_option
def gold(
    *,
    table: str | None,
    as_of: str | None,
    version: int | None,
    limit: int,
    drop: bool,
    data: Path | None,
    as_json: bool,
) -> None:
    """Show a gold table, the current or an old version; without TABLE, list all tables.

    TABLE may be silver/DATASET too. Time travel reaches 30 days back, unless `landfall maintain`
    ran with other --keep-days.
    """
    if as_of is not None and version is not None:
        raise click.UsageError("--as-of and --version exclude each other")
    place = place_of(data)
    if table is None:
        _list(place, as_json=as_json)
        return
    path = _path_of(table)
    if drop:
        from landfall.cli.gold_drop import drop_table  # noqa: PLC0415 - rarely needed

        drop_table(place, path, data, as_json=as_json)
        return
    table_ = place.table(path)
    from deltalake.exceptions import DeltaError  # noqa: PLC0415 - only this needs it

    newest = table_.version()
    if as_of is not None:
        version = version_at(table_, parse_time(as_of))
    elif version is None:
        version = newest
    if version > newest:
        raise CliError(f"{path} has no version {version}: the newest is {newest}")
    made = _commit_time(table_, version)  # before another version is loaded: it numbers from there
    try:
        table_.load_as_version(version)
    except (DeltaError, OSError, ValueError) as error:
        raise CliError(f"{path} has no version {version} any more: {_first_line(error)}") from None
    import polars as pl  # noqa: PLC0415 - slow to import

    rows = pl.read_delta(table_)
    if as_json:
        shown = rows if limit == 0 else rows.head(limit)
        document = {"table": table, "version": version, "committed_at": made.isoformat()}
        shape = {"rows": rows.height, "columns": rows.columns, "data": shown.to_dicts()}
        click.echo(json.dumps(document | shape, indent=2, default=str, ensure_ascii=False))
        return
    from landfall.cli.demo.gold import TablePreview, preview  # noqa: PLC0415 - needs rich's tables

    head = rows if limit == 0 else rows.head(limit)
    layer, _, name = path.partition("/")
    view = TablePreview(name, Path(name), rows.height, tuple(rows.columns), head.rows(), layer)
    console = render.console()
    console.print(preview(view, console.width))
    console.print(f"version {version}, committed {made:%Y-%m-%d %H:%M:%S} UTC", highlight=False)


def _list(place: Place, *, as_json: bool) -> None:
    """List all tables with version and time of the newest commit."""
    listed = []
    for path in place.paths():
        table = place.table(path)
        made = _commit_time(table, table.version())
        listed.append({"table": path, "version": table.version(), "committed_at": made})
    if as_json:
        click.echo(json.dumps({"tables": listed}, indent=2, default=datetime.isoformat))
        return
    for row in listed:
        when = f"{row['committed_at']:%Y-%m-%d %H:%M:%S} UTC"
        click.echo(f"{row['table']:<40} version {row['version']:<5} {when}")
    if not listed:
        click.echo("no tables yet: `landfall drop FILE` makes some")


def parse_time(text: str) -> datetime:
    """Parse `--as-of`; a day is its end.

    Raises:
        click.BadParameter: it is neither a day nor a time.
    """
    try:
        return datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC) + timedelta(1)
    except ValueError:
        pass
    try:
        time_ = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is neither a day (2026-11-17) nor a time (2026-11-17T09:30)"
        ) from None
    return time_ if time_.tzinfo else time_.replace(tzinfo=UTC)


def version_at(table: DeltaTable, when: datetime) -> int:
    """Return the version at a time: the newest that was committed before it.

    Raises:
        CliError: the table is younger.
    """
    commits = [(_instant(commit), int(commit["version"])) for commit in table.history()]
    earlier = [version for at, version in commits if at < when]
    if not earlier:
        first = min(at for at, _ in commits)
        raise CliError(
            f"the table has no version before {when:%Y-%m-%d %H:%M} UTC; "
            f"the oldest is from {first:%Y-%m-%d %H:%M}"
        )
    return max(earlier)


def _commit_time(table: DeltaTable, version: int) -> datetime:
    return next(
        (_instant(commit) for commit in table.history() if commit["version"] == version),
        datetime.now(UTC),
    )


def _instant(commit: Mapping[str, Any]) -> datetime:
    return datetime.fromtimestamp(commit["timestamp"] / 1000, UTC)


def place_of(data: Path | None) -> Place:
    """Return the place of gold; for a local cloud its folder, even if it is not running."""
    if data is None and os.environ.get("LANDFALL_URL"):
        return _deployed(find(None).lake)
    from devcloud import config as devcloud_config  # noqa: PLC0415 - only local targets need it

    try:
        config = devcloud_config.load(home(data))
    except FileNotFoundError:
        raise CliError(
            f"no local cloud in {home(data)}: start one with `landfall up`, "
            "or set LANDFALL_URL and LANDFALL_LAKE to reach a deployed one"
        ) from None
    return Place(f"{config.lake_folder}/{{layer}}", {})


def _deployed(lake: str | None) -> Place:
    if lake is None:
        raise CliError(
            "LANDFALL_LAKE is not set: set it to the connection string or the URL of the lake"
        )
    fields = dict(part.partition("=")[::2] for part in lake.split(";") if "=" in part)
    account = fields.get("AccountName") or lake.split("//")[-1].partition(".")[0]
    options = {"azure_storage_account_name": account}
    if "AccountKey" in fields:
        options["azure_storage_account_key"] = fields["AccountKey"]
    else:
        options["use_azure_cli"] = "true"
    if "BlobEndpoint" in fields:
        options["azure_storage_endpoint"] = fields["BlobEndpoint"]
        options["allow_http"] = str(fields["BlobEndpoint"].startswith("http:")).lower()
    return Place("az://{layer}", options, lake)


def workspace(data: Path | None) -> WorkspaceClient:
    """Return a client of the local workspace, or of that which the environment names.

    Raises:
        CliError: there is neither.
    """
    from databricks.sdk import WorkspaceClient  # noqa: PLC0415 - slow to import

    from devcloud import config as devcloud_config  # noqa: PLC0415 - likewise

    host = token = None  # then the SDK reads the environment
    if data is not None or "DATABRICKS_HOST" not in os.environ:
        try:
            config = devcloud_config.load(home(data))
        except FileNotFoundError:
            raise CliError(
                f"no local cloud in {home(data)}: start one with `landfall up`, "
                "or set DATABRICKS_HOST to reach a deployed workspace"
            ) from None
        host, token = config.url("databricks"), config.databricks_token
    return WorkspaceClient(host=host, token=token)


@click.command()
@click.option("--keep-days", type=click.IntRange(7), help="Days that time travel must reach back.")
@data_option
@json_option
def maintain(keep_days: int | None, data: Path | None, *, as_json: bool) -> None:
    """Run the maintenance job: compact and vacuum tables, serve tables that the database lacks.

    Exits with 1 if the job fails.
    """
    client = workspace(data)
    jobs = [job.job_id for job in client.jobs.list(name=_JOB)]
    if len(jobs) != 1 or jobs[0] is None:
        raise CliError(
            f"there are {len(jobs)} jobs named {_JOB}, not one: run `landfall deploy bundle`"
        )
    given = {"keep_days": str(keep_days)} if keep_days else {}
    started = client.jobs.run_now(jobs[0], job_parameters=given)
    while True:
        run = client.jobs.get_run(started.run_id)
        if run.state and run.state.result_state:
            break
        time.sleep(_POLL_SECONDS)
    logs = [
        (task.task_key, (client.jobs.get_run_output(task.run_id or 0).logs or "").splitlines())
        for task in run.tasks or []
    ]
    good = run.state.result_state.value == "SUCCESS"
    if as_json:
        document = {"run_id": started.run_id, "ok": good, "tasks": dict(logs)}
        click.echo(json.dumps(document, indent=2))
    else:
        for task, lines in logs:
            for line in lines:
                click.echo(f"{task}: {line}")
    if not good:
        click.echo(f"landfall: {run.state.state_message}", err=True)
        raise click.exceptions.Exit(REFUSED)
