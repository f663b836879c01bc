"""`landfall source`: check source files, see where extraction stands, and steer it."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import click
from rich.table import Table

from landfall.cli import render
from landfall.cli.client import Client, Json
from landfall.cli.errors import REFUSED, CliError
from landfall.cli.target import (
    app_folder,
    data_option,
    find,
    json_option,
    not_empty,
    project_folder,
)
from landfall.contract.folder import read_folder
from landfall.sources import triggers
from landfall.sources.reader import SourceFolder
from landfall.sources.reader import load_folder as load_sources
from landfall.sources.schema import SOURCE as SCHEMA

_SOURCE = click.argument("source", metavar="SOURCE", callback=not_empty)
_OBJECT = click.argument("entry", metavar="OBJECT", callback=not_empty)
_POLL_SECONDS = 0.5
_RUNNING = frozenset({"Queued", "InProgress", "Canceling"})


@click.group()
def source() -> None:
    """Extract from databases and APIs."""


# -- files ----------------------------------------------------------------------------------


@source.command()
def check() -> None:
    """Check the source files of the project, and that the factory's triggers are theirs.

    Exits with 1 if one is wrong or a trigger is stale.
    """
    folder = _folder(warn=True)
    for error in folder.errors.values():
        click.echo(str(error))
    for _, entry in sorted(folder.sources.items()):
        objects = ", ".join(item.name for item in entry.objects)
        click.echo(f"{entry.file}: good: {entry.connector}, {objects}")
    stale = triggers.stale(folder.sources.values(), _triggers())
    for name, what in stale.items():
        click.echo(f"{_triggers() / name}: {what}; run `landfall source compile`")
    if folder.errors or stale:
        raise click.exceptions.Exit(REFUSED)


@source.command("compile")
def compile_triggers() -> None:
    """Write the factory's triggers from the schedules of the source files."""
    folder = _folder()
    if folder.errors:
        raise CliError("a source is wrong: " + "; ".join(map(str, folder.errors.values())))
    changed = triggers.write(folder.sources.values(), _triggers())
    click.echo("\n".join(f"wrote {_triggers() / name}" for name in changed) or "nothing changed")


@source.command()
def schema() -> None:
    """Print the JSON Schema of source files, for editors."""
    click.echo(json.dumps(SCHEMA, indent=2))


def _folder(*, warn: bool = False) -> SourceFolder:
    """The project's sources, by the contracts that are right; with `warn` wrong ones are told."""
    try:
        contracts = read_folder(project_folder() / "contracts")
    except OSError as error:
        raise CliError(f"{project_folder()} is not a project: {error}") from None
    for problem in contracts.problems if warn else ():
        click.echo(f"warning: contract left out: {problem}", err=True)
    return load_sources(project_folder() / "sources", contracts.contracts)


def _triggers() -> Path:
    return app_folder() / "adf" / "trigger"


# -- where it stands ------------------------------------------------------------------------


@source.command("list")
@data_option
@json_option
def list_sources(data: Path | None, *, as_json: bool) -> None:
    """List the objects of all sources with watermark, lag and failures.

    Exits with 1 if the service cannot use a source.
    """
    with Client(find(data)) as client:
        document = client.sources()
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        console = render.console()
        console.print(_objects(document["sources"], console.width))
        for wrong in document["wrong"]:
            click.echo(wrong["error"])
    if document["wrong"]:
        raise click.exceptions.Exit(REFUSED)


@source.command()
@_SOURCE
@click.argument("entry", metavar="[OBJECT]", required=False, callback=not_empty)
@data_option
@json_option
def show(source: str, entry: str | None, data: Path | None, *, as_json: bool) -> None:
    """Show a SOURCE, or one OBJECT of it with its latest extracts."""
    with Client(find(data)) as client:
        document = client.source_object(source, entry) if entry else client.source(source)
    if as_json:
        click.echo(json.dumps(document, indent=2))
        return
    console = render.console()
    if entry is None:
        click.echo(f"{document['source']}: {document['description'] or document['connector']}")
        click.echo(f"{document['schedule']}; next: {document['next'] or '-'}")
        console.print(_objects([document], console.width))
        return
    console.print(
        _objects([{"source": source, "next": None, "objects": [document]}], console.width)
    )
    if document["failure"]:
        click.echo(f"last failure, {document['failure']['at']}: {document['failure']['error']}")
    console.print(_extracts(document["recent"], console.width))


_NARROW, _MIDDLE, _WIDE = 0, 90, 130
"""Characters that a terminal has at least, where a column is shown."""


def _objects(sources: list[Json], width: int) -> Table:
    """The objects, with the columns for which the terminal is wide enough."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    columns: list[tuple[str, int, Callable[[Json, Json], str]]] = [
        ("Object", _NARROW, lambda source, entry: f"{source['source']}.{entry['object']}"),
        ("Dataset", _WIDE, lambda _, entry: entry["dataset"]),
        ("Mode", _WIDE, lambda _, entry: entry.get("mode", "-")),
        ("Watermark", _NARROW, lambda _, entry: _moment(entry.get("watermark"))),
        ("Lag", _MIDDLE, lambda _, entry: _lag(entry.get("lag_seconds"))),
        ("Extracts", _WIDE, lambda _, entry: render.number(entry.get("extracts"))),
        ("Rows", _NARROW, lambda _, entry: render.number((entry.get("last") or {}).get("rows"))),
        ("Last", _MIDDLE, lambda _, entry: _moment((entry.get("last") or {}).get("ended"))),
        ("Next", _WIDE, lambda source, _: _moment(source.get("next"))[:16]),
        ("State", _NARROW, lambda _, entry: _state(entry)),
    ]
    shown = [column for column in columns if width >= column[1]]
    for heading, _, _ in shown:
        number = heading in {"Lag", "Extracts", "Rows"}
        table.add_column(heading, overflow="fold", justify="right" if number else "left")
    for document in sources:
        for entry in document["objects"]:
            table.add_row(*(cell(document, entry) for _, _, cell in shown))
    return table


def _moment(text: str | None) -> str:
    """A time to the second, or an integer mark as it is."""
    return (text or "-")[:19].replace("T", " ")


def _state(entry: Json) -> str:
    if "error" in entry:
        return str(entry["error"])
    if entry["failure"]:
        count = entry["failure"]["count"]
        often = "once" if count == 1 else f"{count} times"
        return f"failed {often}: {entry['failure']['error'][:120]}"
    if entry["paused"]:
        return "paused"
    if not entry["enabled"]:
        return "not enabled"
    return "running" if entry["running"] else "idle"


def _lag(seconds: int | None) -> str:
    if seconds is None:
        return "-"
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _extracts(extracts: list[Json], width: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    wide = width >= _WIDE
    for heading in ("Extract", "From", "To") if wide else ("From", "To"):
        table.add_column(heading, overflow="fold")
    table.add_column("Rows", justify="right", no_wrap=True)
    for heading in ("Ended", "Run"):
        table.add_column(heading, overflow="fold")
    for extract in extracts:
        table.add_row(
            *([extract["extract_id"]] if wide else []),
            _moment(extract["low"]),
            _moment(extract["high"]),
            render.number(extract["rows"]),
            _moment(extract["ended"]),
            extract["run_id"] or "-",
        )
    return table


# -- what it is told ------------------------------------------------------------------------


@source.command()
@_SOURCE
@click.argument("objects", metavar="[OBJECT]...", nargs=-1)
@click.option("--from", "begin", metavar="VALUE", help="Begin of a range, in the watermark's type.")
@click.option("--to", "end", metavar="VALUE", help="End of the range; it is not in it.")
@click.option("--every", metavar="LENGTH", help="Cut the range into windows, such as 1h or 1d.")
@click.option("--again", is_flag=True, help="Read a range even if it was delivered before.")
@click.option("--wait", is_flag=True, help="Wait until the pipeline runs have ended.")
@data_option
@json_option
def extract(
    source: str,
    objects: tuple[str, ...],
    *,
    begin: str | None,
    end: str | None,
    every: str | None,
    again: bool,
    data: Path | None,
    wait: bool,
    as_json: bool,
) -> None:
    """Extract a SOURCE, or some OBJECTs of it, now.

    A range is read beside the watermark, which stays where it is. With --wait it exits with 1 if
    a pipeline run fails.
    """
    body: Json = {"objects": list(objects), "again": again}
    body |= {n: v for n, v in (("from", begin), ("to", end), ("every", every)) if v}
    with Client(find(data)) as client:
        answer = client.extract(source, body, str(uuid.uuid4()))
        failed = wait_for(client, source, answer["pipeline_runs"]) if wait else []
        document = client.source(source) if wait and not as_json else None
    if as_json:
        click.echo(json.dumps(answer, indent=2))
    else:
        for run in answer["pipeline_runs"]:
            span = f", {run['from']} to {run['to']}" if run["from"] else ""
            click.echo(f"pipeline run {run['adf_run_id'] or 'not confirmed'}{span}")
        for run in failed:
            click.echo(f"{run['adf_run_id']} {run['status'].lower()}: {run['message']}")
        if document:
            chosen = [e for e in document["objects"] if not objects or e["object"] in objects]
            console = render.console()
            console.print(_objects([document | {"objects": chosen}], console.width))
    if failed:
        raise click.exceptions.Exit(REFUSED)


def wait_for(client: Client, source: str, runs: list[Json]) -> list[Json]:
    """Wait until pipeline runs have ended; return those that did not succeed.

    Those of which Data Factory did not say that they started are not waited for.
    """
    failed: list[Json] = []
    for run in runs:
        while run["adf_run_id"]:
            seen = client.source_run(source, run["adf_run_id"])
            if seen["status"] not in _RUNNING:
                failed += [seen] if seen["status"] != "Succeeded" else []
                break
            time.sleep(_POLL_SECONDS)
    return failed


@source.command()
@_SOURCE
@_OBJECT
@click.argument("to", metavar="VALUE")
@click.option("--reason", metavar="TEXT", help="Reason, for the log.")
@data_option
@json_option
def rewind(
    source: str, entry: str, to: str, reason: str | None, data: Path | None, *, as_json: bool
) -> None:
    """Move the watermark of an OBJECT to VALUE: all after it is read again.

    `beginning` reads everything.
    """
    body: Json = {"to": None if to == "beginning" else to}
    body |= {"reason": reason} if reason else {}
    _tell(source, entry, "rewind", body, data, as_json=as_json)


@source.command()
@_SOURCE
@_OBJECT
@data_option
@json_option
def pause(source: str, entry: str, data: Path | None, *, as_json: bool) -> None:
    """Have schedules pass over an OBJECT."""
    _tell(source, entry, "pause", {}, data, as_json=as_json)


@source.command()
@_SOURCE
@_OBJECT
@data_option
@json_option
def resume(source: str, entry: str, data: Path | None, *, as_json: bool) -> None:
    """Have schedules extract an OBJECT again."""
    _tell(source, entry, "resume", {}, data, as_json=as_json)


def _tell(
    source: str, entry: str, verb: str, body: Json, data: Path | None, *, as_json: bool
) -> None:
    with Client(find(data)) as client:
        document = client.source_verb(source, entry, verb, body, str(uuid.uuid4()))
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        watermark = document["watermark"] or "the beginning"
        click.echo(f"{source}.{entry} is {_state(document)}; watermark: {watermark}")
