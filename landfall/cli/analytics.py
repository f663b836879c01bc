"""`landfall analytics`: run segments, recommendations and forecasts; show what stands."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from landfall.cli import render
from landfall.cli.errors import REFUSED, CliError
from landfall.cli.gold import Place, place_of, workspace
from landfall.cli.target import data_option, json_option
from landfall.protocol import ANALYTICS_PAGE

if TYPE_CHECKING:
    from databricks.sdk.service.jobs import Run

_JOB = "landfall_analytics"
_PAGE_TASK = "page"
_TASKS = {"segments": "segment", "recommendations": "recommend", "forecasts": "forecast"}
TABLES = {
    "segments": ("segment_profile", "customer_segments"),
    "recommendations": ("recommendations_by_user",),
    "forecasts": ("sales_forecast",),
}
_POLL_SECONDS = 1.0
_SHOWN_ROWS = 6

_models = click.argument("models", nargs=-1, type=click.Choice(tuple(_TASKS)))


@click.group()
def analytics() -> None:
    """Customer segments, product recommendations, sales forecasts."""


@analytics.command()
@_models
@click.option("--seed", type=click.IntRange(0), help="Of all that is drawn; 1 by default.")
@click.option("--replay", metavar="VERSION", help="Build a version of the ledger again, compare.")
@data_option
@json_option
def run(
    *,
    models: tuple[str, ...],
    seed: int | None,
    replay: str | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Run the job, all models or the ones named.

    A model whose gates fail leaves what was published before. Exits with 1 then, and where the job
    fails.
    """
    if replay and len(models) != 1:
        raise click.UsageError("--replay needs the one model that the version is of")
    given = {"tasks": ",".join(models)}
    given |= {"seed": str(seed)} if seed is not None else {}
    given |= {"replay": replay} if replay else {}
    wanted = [] if not models else [*(_TASKS[name] for name in models), "serve_analytics", "page"]
    if replay:
        wanted = [_TASKS[models[0]]]
    ended = run_job(data, given, wanted)
    good = ended.good
    summary = ended.summary() or {"ok": good, "gates": [], "tables": {}, "page": None}
    summary["ok"] = bool(summary["ok"]) and good
    _with_places(summary, data)
    if as_json:
        for task, lines in ended.logs.items():
            for line in lines:
                click.echo(f"{task}: {line}", err=True)
        click.echo(json.dumps(summary))
    else:
        _tell(summary, ended.logs)
    if not summary["ok"]:
        if not good:
            click.echo(f"landfall: {ended.message}", err=True)
        raise click.exceptions.Exit(REFUSED)


class Ended:
    """A run of the job that has ended."""

    def __init__(self, result: Run, logs: Mapping[str, Sequence[str]]) -> None:
        state = result.state
        self.logs = logs
        self.good = bool(state and state.result_state and state.result_state.value == "SUCCESS")
        self.message = (state.state_message if state else "") or "the job failed"

    def summary(self) -> dict[str, Any] | None:
        """Return what the page's task printed last; None where it did not run."""
        for line in reversed(self.logs.get(_PAGE_TASK, [])):
            if line.startswith('{"ok"'):
                document: dict[str, Any] = json.loads(line)
                return document
        return None


def run_job(
    data: Path | None, given: Mapping[str, str] | None = None, only: Sequence[str] = ()
) -> Ended:
    """Run the job and wait for its end.

    Args:
        data: folder of the local cloud.
        given: parameters of the job.
        only: its tasks that run; all if there are none.

    Raises:
        CliError: there is no such job.
    """
    client = workspace(data)
    jobs = [job.job_id for job in client.jobs.list(name=_JOB)]
    if len(jobs) != 1 or jobs[0] is None:
        raise CliError(
            f"there are {len(jobs)} jobs named {_JOB}, not one: run `landfall deploy bundle`"
        )
    started = client.jobs.run_now(
        jobs[0], job_parameters=dict(given or {}), only=list(only) or None
    )
    while True:
        result = client.jobs.get_run(started.run_id)
        if result.state and result.state.result_state:
            break
        time.sleep(_POLL_SECONDS)
    logs = {
        task.task_key: (client.jobs.get_run_output(task.run_id or 0).logs or "").splitlines()
        for task in result.tasks or []
        if task.task_key
    }
    return Ended(result, logs)


def _with_places(summary: dict[str, Any], data: Path | None) -> None:
    """Say where tables and page are: folders of a local cloud, URLs of a deployed one."""
    root = place_of(data).base
    for table in summary["tables"].values():
        table["path"] = f"{root.rstrip('/')}/{table['path']}"
    if summary["page"]:
        summary["page"] = f"{root.rstrip('/')}/{summary['page']}"


def _tell(summary: Mapping[str, Any], logs: Mapping[str, Sequence[str]]) -> None:
    for task, lines in logs.items():
        for line in lines:
            if not line.startswith('{"ok"'):
                click.echo(f"{task}: {line}")
    for gate in summary["gates"]:
        word = "passed" if gate["passed"] else "FAILED" if gate["blocks"] else "warning"
        value = "no value" if gate["value"] is None else f"{gate['value']:.4g}"
        click.echo(f"{gate['id']:4} {word:8} {value:>10}  {gate['says']}")
    if summary["page"]:
        click.echo(f"page: {summary['page']}")


@analytics.command()
@_models
@click.option("--limit", default=_SHOWN_ROWS, show_default=True, help="Rows of each table.")
@data_option
@json_option
def show(*, models: tuple[str, ...], limit: int, data: Path | None, as_json: bool) -> None:
    """Show a few rows of each table, the last verdict of each model, and where the page is."""
    place = place_of(data)
    wanted = models or tuple(_TASKS)
    shown = {name: rows_of(place, name, limit) for model in wanted for name in TABLES[model]}
    verdicts = last_verdicts(place, wanted)
    page = page_of(place)
    if as_json:
        document = {"models": verdicts, "tables": shown, "page": page}
        click.echo(json.dumps(document, indent=1, default=str, ensure_ascii=False))
        return
    console = render.console()
    for model, verdict in verdicts.items():
        console.print(f"{model}: {verdict}", highlight=False)
    for name, rows in shown.items():
        console.print(f"\n[bold]{name}[/]")
        console.print(table_of(rows))
    console.print(f"\npage: {page}", highlight=False, soft_wrap=True)


def page_of(place: Place) -> str:
    """Return where the page is."""
    root = place.base.rstrip("/")
    return f"{root}/{ANALYTICS_PAGE}"


def rows_of(place: Place, table: str, limit: int) -> list[dict[str, Any]]:
    """Return some rows of a gold table.

    Raises:
        CliError: there is no such table yet.
    """
    import polars as pl  # noqa: PLC0415 - slow to import

    rows = pl.read_delta(place.table(f"gold/{table}"))
    if table == "sales_forecast":
        rows = rows.filter(pl.col("level") == "total").sort("day")
    elif table == "segment_profile":
        rows = rows.filter(pl.col("role") != "none").sort("share_of_amount", descending=True)
    return rows.head(limit).to_dicts()


def last_verdicts(place: Place, models: Sequence[str]) -> dict[str, str]:
    """Return what became of each model in its last run."""
    import polars as pl  # noqa: PLC0415 - slow to import

    ledger = pl.read_delta(place.table("gold/model_ledger")).sort("trained_at")
    verdicts = {}
    for model in models:
        rows = ledger.filter(pl.col("model") == model).tail(1).to_dicts()
        said = [f"{row['verdict']} {row['version']} {row['reason'] or ''}".strip() for row in rows]
        verdicts[model] = said[0] if said else "has not run"
    return verdicts


def table_of(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Return rows as a table for a terminal."""
    from rich.table import Table  # noqa: PLC0415 - only for people

    table = Table(box=None, pad_edge=False)
    for column in shown_columns(rows):
        table.add_column(column, overflow="fold")
    for row in rows:
        cells = [_cell(row[column.header]) for column in table.columns]  # type: ignore[index]
        table.add_row(*cells)
    return table


def shown_columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the columns that say something of a row, not of the run that made it."""
    hidden = ("model_version", "as_of", "generated_at", "fallback")
    return [column for column in (rows[0] if rows else ()) if column not in hidden]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}"
    return "" if value is None else str(value)
