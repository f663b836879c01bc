"""`landfall runs|show|report|watch|backlog|datasets`: show runs and their reports."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import click
from rich.markup import escape

from landfall.cli import live, render
from landfall.cli.client import ApiProblem, Client, Json
from landfall.cli.errors import REFUSED, CliError
from landfall.cli.target import data_option, find, json_option, not_empty
from landfall.protocol import State

_STATES = [state.value for state in State]
_RUN = click.argument("run_id", metavar="RUN", callback=not_empty)
_RESENDS = 5
"""Runs that corrected the rejects of another, whose states are asked for."""


@click.command()
@click.option(
    "--dataset", "-d", metavar="NAME", callback=not_empty, help="Only runs of this dataset."
)
@click.option("--state", type=click.Choice(_STATES), metavar="STATE", help="Only runs in a state.")
@click.option("--name", metavar="PATTERN", callback=not_empty, help="File name, with * and ?.")
@click.option(
    "--since",
    metavar="WHEN",
    callback=not_empty,
    help="Landed since a day or time; also today, yesterday, 90m, 6h, 7d.",
)
@click.option("--until", metavar="WHEN", callback=not_empty, help="Landed before.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--quiet", "-q", is_flag=True, help="Print the run ids alone.")
@data_option
@json_option
def runs(
    dataset: str | None,
    state: str | None,
    limit: int,
    data: Path | None,
    *,
    name: str | None,
    since: str | None,
    until: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """List the latest runs."""
    with Client(find(data)) as client:
        listed_runs = client.runs(dataset, state, limit, name=name, since=since, until=until)
    if as_json:
        click.echo(json.dumps({"runs": listed_runs}, indent=2))
    elif quiet:
        for run in listed_runs:
            click.echo(run["run_id"])
    elif listed_runs:
        console = render.console()
        console.print(render.runs_table(listed_runs, console.width))
    else:
        click.echo(
            "no runs"
            if dataset or state or name or since or until
            else "no runs yet: `landfall drop FILE` makes one"
        )


@click.command()
@click.argument("file", metavar="FILE", callback=not_empty)
@click.option(
    "--dataset", "-d", metavar="NAME", callback=not_empty, help="Only runs of this dataset."
)
@click.option("--limit", default=5, show_default=True, type=click.IntRange(1, 200))
@data_option
@json_option
def where(file: str, dataset: str | None, limit: int, data: Path | None, *, as_json: bool) -> None:
    """Say what became of a FILE: its runs by name (with * and ?) and, if it is here, by content.

    Exits with 1 if there is no run, or the newest was refused, failed or cancelled.
    """
    name, sha256 = file.replace("\\", "/").rpartition("/")[2], _content_of(Path(file))
    with Client(find(data)) as client:
        found = client.runs(dataset, None, limit, name=name)
        same = client.runs(dataset, None, limit, sha256=sha256) if sha256 else []
        by_id = {run["run_id"]: run for run in [*found, *same]}
        listed = [by_id[run_id] for run_id in sorted(by_id, reverse=True)][:limit]
        newest = client.run(listed[0]["run_id"]) if listed else None
    if as_json:
        click.echo(json.dumps({"runs": listed}, indent=2))
    elif newest is None:
        click.echo(f"no run of {file}: it was not dropped here, or lies in landing still")
    else:
        console = render.console()
        for run in listed:
            console.print(render.whereabouts(run), soft_wrap=True)
        if newest.get("waits"):
            console.print(f"waits: {newest['waits']}", markup=False, soft_wrap=True)
        click.echo(f"more: landfall show {newest['run_id']}")
    if newest is None or newest["state"] in render.BAD:
        raise click.exceptions.Exit(REFUSED)


def _content_of(file: Path) -> str | None:
    """The SHA-256 of a file that is here; None where it is not."""
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None


@click.command()
@_RUN
@data_option
@json_option
def show(run_id: str, data: Path | None, *, as_json: bool) -> None:
    """Show one RUN, or the `latest`: its state, the cause, and its history.

    Exits with 1 if the run was refused or failed.
    """
    with Client(find(data)) as client:
        run = client.run(run_id := client.resolve(run_id))
        if as_json:
            click.echo(json.dumps(run, indent=2))
        else:
            console = render.console()
            console.print(render.run_details(run, _states(client, run)))
            if run["state"] == "quarantined" or run.get("rejected"):
                try:
                    document = client.report(run_id)
                except ApiProblem:
                    document = {}
                if document:
                    console.print()
                    console.print(render.report(document))
    if run["state"] in render.BAD:
        raise click.exceptions.Exit(REFUSED)


def _states(client: Client, run: Json) -> dict[str, str]:
    """Return the states of the runs that corrected the rejects of a run; of the last few."""
    latest = list(run.get("resends") or ())[-_RESENDS:]
    return {run_id: str(client.run(run_id)["state"]) for run_id in latest}


@click.command()
@_RUN
@click.option(
    "--html",
    metavar="OUT",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write it to OUT as a page for the producer of the file.",
)
@data_option
@json_option
def report(run_id: str, html: Path | None, data: Path | None, *, as_json: bool) -> None:
    """Show the validation report of a RUN, or of the `latest`.

    Exits with 1 if the drop was refused.
    """
    with Client(find(data)) as client:
        run_id = client.resolve(run_id)
        document = client.report(run_id)
        if html is not None:
            try:
                html.write_text(client.report_page(run_id), encoding="utf-8")
            except OSError as error:
                raise CliError(f"cannot write {html}: {error}") from None
            if not as_json:
                click.echo(f"the report of run {run_id} is in {html}")
    if as_json:
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    elif html is None:
        render.console().print(render.report(document))
    if document["verdict"] == "refused":
        raise click.exceptions.Exit(REFUSED)


@click.command()
@click.argument("run_id", metavar="[RUN]", required=False, callback=not_empty)
@click.option(
    "--dataset", "-d", metavar="NAME", callback=not_empty, help="Only runs of this dataset."
)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 200))
@data_option
def watch(run_id: str | None, dataset: str | None, limit: int, data: Path | None) -> None:
    """Watch the latest runs until interrupted, or one RUN until it ends."""
    console = render.console()
    with Client(find(data)) as client, live.board(console) as view:
        if run_id is None:
            try:
                live.follow(
                    lambda: client.runs(dataset, None, limit),
                    view,
                    done=lambda _: False,
                    seconds=math.inf,
                )
            except KeyboardInterrupt:
                return
        followed = client.resolve(str(run_id))
        final = live.follow(
            lambda: [client.run(followed)], view, done=live.all_final, seconds=math.inf
        )
    if final[0]["state"] in render.BAD:
        console.print(escape(str(final[0].get("cause") or "")))
        raise click.exceptions.Exit(REFUSED)


@click.command()
@data_option
@json_option
def backlog(data: Path | None, *, as_json: bool) -> None:
    """Show the active runs by dataset and state, and what they wait for."""
    with Client(find(data)) as client:
        document = client.backlog()
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        render.console().print(render.backlog(document))


@click.command()
@data_option
@json_option
def datasets(data: Path | None, *, as_json: bool) -> None:
    """List the datasets of the service: version, key, columns, and contracts that are wrong."""
    with Client(find(data)) as client:
        document = client.datasets()
    if as_json:
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    render.console().print(render.datasets(document))
