"""`landfall drop`: upload files to landing and follow their runs."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from landfall.cli import lake, live, render
from landfall.cli.client import ApiProblem, Client
from landfall.cli.errors import REFUSED, CliError
from landfall.cli.lake import Landed
from landfall.cli.target import Target, data_option, find, json_option, not_empty

_NOT_FOUND = 404


@click.command()
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option(
    "--dataset",
    "-d",
    required=True,
    metavar="NAME",
    callback=not_empty,
    help="Dataset of the files.",
)
@click.option(
    "--name",
    metavar="NAME",
    callback=not_empty,
    help="Name in the lake (default: the file's name).",
)
@click.option("--force", is_flag=True, help="Do not ask the service for the dataset first.")
@click.option("--post", is_flag=True, help="Start the run by POST /ingest, not by the event.")
@click.option("--wait", is_flag=True, help="Follow the runs until they end.")
@click.option("--timeout", default=900.0, show_default=True, help="Seconds to wait at most.")
@data_option
@json_option
def drop(
    files: tuple[Path, ...],
    dataset: str,
    name: str | None,
    data: Path | None,
    timeout: float,
    *,
    force: bool,
    post: bool,
    wait: bool,
    as_json: bool,
) -> None:
    """Upload each FILE to landing/<dataset>/ as a producer does.

    With --wait it exits with 1 if a run is refused or fails.
    """
    if name is not None and len(files) > 1:
        raise click.UsageError("--name needs exactly one FILE")
    target = find(data)
    if target.lake is None:
        raise CliError(
            "LANDFALL_LAKE is not set: set it to the storage account's URL or connection string"
        )
    console = render.console(stderr=as_json)
    paths = [(file, f"landing/{dataset}/{name or file.name}") for file in files]
    with Client(target) as client:
        _check_dataset(client, dataset, force=force)
        landed = _upload(target, paths, console, announce=not post)
        if post:
            for file_ in landed:
                client.ingest(dataset, file_.path)
        runs = _wait(client, landed, console, timeout) if wait else [it.summary() for it in landed]
    if as_json:
        click.echo(json.dumps({"runs": runs}, indent=2))
    elif wait:
        console.print(render.runs_table(runs, console.width))
    else:
        for file_ in landed:
            console.print(f"{file_.path} is run {file_.run_id}", markup=False, soft_wrap=True)
        console.print(f"follow: landfall watch {landed[-1].run_id}", markup=False, soft_wrap=True)
    if any(run["state"] in render.BAD for run in runs):
        raise click.exceptions.Exit(REFUSED)
    if wait and not live.all_final(runs):
        raise CliError(f"not all runs ended within {timeout:.0f} s; `landfall watch` shows them")


def _check_dataset(client: Client, dataset: str, *, force: bool) -> None:
    """Check that a dataset exists, before its file is uploaded.

    A service that does not answer, or does not say, is no obstacle: a drop needs the lake alone.

    Raises:
        CliError: there is none of this name.
    """
    if force:
        return
    try:
        document = client.datasets()
    except CliError:
        return
    problems = document.get("problems", ())
    waiting = {name: problem for problem in problems for name in problem["datasets"]}
    if dataset in waiting:
        click.echo(f"landfall: note: {render.contract_problem(waiting[dataset])}", err=True)
        return
    known = [each["dataset"] for each in document["datasets"]]
    if dataset in known:
        return
    near = difflib.get_close_matches(dataset, known, n=1, cutoff=0.6)
    meant = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known) or 'none'}"
    raise CliError(f"there is no dataset {dataset!r}; {meant} (--force uploads it anyway)")


def _current_run(client: Client, landed: Landed) -> dict[str, Any]:
    """Return the run of a landed version; before the service knows it, what the upload returned."""
    try:
        return client.run(landed.run_id)
    except ApiProblem as problem:
        if problem.status != _NOT_FOUND:
            raise
    return landed.summary()


def _upload(
    target: Target, paths: Sequence[tuple[Path, str]], console: Console, *, announce: bool
) -> list[Landed]:
    landed = []
    with lake.landing(str(target.lake)) as container, _progress(console) as bars:
        for file, path in paths:
            task = bars.add_task(file.name, total=file.stat().st_size)

            def progress(done: int, task: Any = task) -> None:
                bars.update(task, completed=done)

            landed.append(lake.upload(container, file, path, announce=announce, progress=progress))
    return landed


def _wait(
    client: Client, landed: Sequence[Landed], console: Console, seconds: float
) -> list[dict[str, Any]]:
    with live.board(console) as view:
        view.show([version.summary() for version in landed])  # before the first poll
        try:
            return live.follow(
                lambda: [_current_run(client, version) for version in landed],
                view,
                done=live.all_final,
                seconds=seconds,
            )
        except KeyboardInterrupt:
            ids = ", ".join(version.run_id for version in landed)
            click.echo(f"landfall: not followed any more; it goes on as {ids}", err=True)
            raise


@contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as it:
        yield it
