"""`landfall runs|show|report|watch|backlog|datasets`: what became of drops."""

from __future__ import annotations

import json
import math
from pathlib import Path

import click
from rich.markup import escape

from landfall.cli import live, render
from landfall.cli.client import ApiProblem, Client
from landfall.cli.errors import REFUSED
from landfall.cli.target import data_option, find, json_option, named
from landfall.protocol import State

_STATES = [state.value for state in State]
_RUN = click.argument("run_id", metavar="RUN", callback=named)


@click.command()
@click.option("--dataset", "-d", metavar="NAME", callback=named, help="Only runs of this dataset.")
@click.option("--state", type=click.Choice(_STATES), metavar="STATE", help="Only runs in a state.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000))
@data_option
@json_option
def runs(
    dataset: str | None, state: str | None, limit: int, data: Path | None, *, as_json: bool
) -> None:
    """List the latest runs."""
    with Client(find(data)) as client:
        found = client.runs(dataset, state, limit)
    if as_json:
        click.echo(json.dumps({"runs": found}, indent=2))
    elif found:
        render.console().print(render.runs_table(found))
    else:
        click.echo("no runs" if dataset or state else "no runs yet: `landfall drop FILE` makes one")


@click.command()
@_RUN
@data_option
@json_option
def show(run_id: str, data: Path | None, *, as_json: bool) -> None:
    """Show one RUN: what became of it, why, and each step it took.

    Exits with 1 when the run was refused or failed.
    """
    with Client(find(data)) as client:
        run = client.run(run_id)
        if as_json:
            click.echo(json.dumps(run, indent=2))
        else:
            console = render.console()
            console.print(render.run_details(run))
            if run["state"] == "quarantined" or run.get("rejected"):
                try:
                    found = client.report(run_id)
                except ApiProblem:
                    found = {}
                if found:
                    console.print()
                    console.print(render.report(found))
    if run["state"] in render.BAD:
        raise click.exceptions.Exit(REFUSED)


@click.command()
@_RUN
@data_option
@json_option
def report(run_id: str, data: Path | None, *, as_json: bool) -> None:
    """Show the validation report of a RUN."""
    with Client(find(data)) as client:
        found = client.report(run_id)
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        render.console().print(render.report(found))
    if found["verdict"] == "refused":
        raise click.exceptions.Exit(REFUSED)


@click.command()
@click.argument("run_id", metavar="[RUN]", required=False, callback=named)
@click.option("--dataset", "-d", metavar="NAME", callback=named, help="Only runs of this dataset.")
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
        one = str(run_id)
        seen = live.follow(lambda: [client.run(one)], view, done=live.all_final, seconds=math.inf)
    if seen[0]["state"] in render.BAD:
        console.print(escape(str(seen[0].get("cause") or "")))
        raise click.exceptions.Exit(REFUSED)


@click.command()
@data_option
@json_option
def backlog(data: Path | None, *, as_json: bool) -> None:
    """Show how much is on its way, what waits, and for what."""
    with Client(find(data)) as client:
        found = client.backlog()
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        render.console().print(render.backlog(found))


@click.command()
@data_option
@json_option
def datasets(data: Path | None, *, as_json: bool) -> None:
    """List the datasets that the service takes."""
    with Client(find(data)) as client:
        found = client.datasets()
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for dataset in found["datasets"]:
        click.echo(f"{dataset['dataset']}  {dataset.get('description') or ''}".rstrip())
