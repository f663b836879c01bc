"""`landfall forget`: erase one subject from all that is kept of a dataset."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path

import click

from landfall.cli.client import Client, Json
from landfall.cli.errors import REFUSED
from landfall.cli.target import data_option, find, json_option, not_empty

POLL_SECONDS = 2.0
_ENDED = {"done", "failed"}


@click.command()
@click.argument("dataset", metavar="DATASET", callback=not_empty)
@click.argument("key", metavar="KEY", callback=not_empty)
@click.option(
    "--cascade",
    is_flag=True,
    help="Also erase the records of datasets that refer to the subject by a relationship.",
)
@click.option(
    "--keep-hours",
    type=click.IntRange(0, 8760),
    metavar="HOURS",
    help="Delete the old versions of Delta tables that are older than HOURS at once "
    "(default: by the nightly job, after its keep_days).",
)
@click.option("--dry-run", is_flag=True, help="Only say what is concerned.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--wait", is_flag=True, help="Wait until it is done, and print what was erased.")
@click.option("--reason", metavar="TEXT", help="Reason, for the protocol.")
@click.option(
    "--key-of-request",
    "request_key",
    metavar="KEY",
    callback=not_empty,
    default=lambda: str(uuid.uuid4()),
    help="Idempotency-Key: requests with the same key are executed once (default: a new key).",
)
@data_option
@json_option
def forget(
    dataset: str,
    key: str,
    *,
    cascade: bool,
    keep_hours: int | None,
    dry_run: bool,
    yes: bool,
    wait: bool,
    reason: str | None,
    request_key: str,
    data: Path | None,
    as_json: bool,
) -> None:
    """Erase the subject with KEY from DATASET: files, tables, reports. It cannot be undone.

    KEY is the value of the primary key; of a key of several columns it is COLUMN=VALUE for each,
    with commas between them, or a JSON object. Days and times are as in ISO 8601.
    Drops that land later are not touched: erase the subject at its source first.
    With --wait it exits with 1 if the erasure fails.
    """
    more = {"reason": reason, "keep_hours": keep_hours, "cascade": cascade or None}
    body: Json = {"key": key_of(key)} | {k: v for k, v in more.items() if v is not None}
    with Client(find(data)) as client:
        if dry_run or not yes:
            preview = client.forget(dataset, body | {"dry_run": True}, request_key)
            if dry_run:
                click.echo(json.dumps(preview, indent=2) if as_json else preview_text(preview))
                return
            click.echo(preview_text(preview), err=True)
            click.confirm("Erase it? It cannot be undone", abort=True, err=True)
        erasure = client.forget(dataset, body, request_key)
        while wait and erasure["stage"] not in _ENDED:
            time.sleep(POLL_SECONDS)
            erasure = client.erasure(erasure["erasure_id"])
    click.echo(json.dumps(erasure, indent=2) if as_json else erasure_text(erasure))
    if erasure["stage"] == "failed":
        raise click.exceptions.Exit(REFUSED)


@click.command()
@click.argument("erasure_id", metavar="[ID]", required=False)
@data_option
@json_option
def erasures(erasure_id: str | None, data: Path | None, *, as_json: bool) -> None:
    """Show the erasures, or one by its ID: how far it is, what was erased where."""
    with Client(find(data)) as client:
        if erasure_id:
            one = client.erasure(erasure_id)
            click.echo(json.dumps(one, indent=2) if as_json else erasure_text(one))
            return
        answer = client.erasures()
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return
    lines = [
        f"{each['erasure_id']}  {each['stage']:8}  {each['dataset']}  {each['requested']}"
        for each in answer["erasures"]
    ]
    click.echo("\n".join(lines) or "there was no erasure yet")


def key_of(text: str) -> object:
    """Return a KEY as the service takes it: a text, or an object of columns and texts."""
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text)
        except ValueError as error:
            raise click.BadParameter(f"KEY is not JSON: {error}") from None
    parts = text.split(",")
    if not all("=" in part.lstrip("=") for part in parts):
        return text
    return dict(part.split("=", 1) for part in parts)


def preview_text(preview: Json) -> str:
    """Return what an erasure would be about, in lines."""
    lines = []
    for target in preview["targets"]:
        rows = _rows(target["in_silver"])
        lines.append(
            f"erased   {target['dataset']} by {', '.join(target['columns'])}: {rows}, "
            f"and the files of {target['runs']} runs"
        )
    lines += [
        f"left     {target['dataset']} by {', '.join(target['columns'])}: "
        f"{_rows(target['in_silver'])} (--cascade erases them too)"
        for target in preview["references"]
    ]
    return "\n".join(lines)


def _rows(count: int | None) -> str:
    if count is None:
        return "rows of silver not counted"
    return f"{count} row{'' if count == 1 else 's'} in silver"


def erasure_text(erasure: Json) -> str:
    """Return how far an erasure is, and what was done, in lines."""
    lines = [f"erasure {erasure['erasure_id']} of {erasure['dataset']}: {erasure['stage']}"]
    if erasure["waits"]:
        lines.append(f"  {erasure['waits']}")
    for place, counts in sorted(erasure["places"].items()):
        told = ", ".join(f"{count} {name}" for name, count in counts.items())
        lines.append(f"  {place}: {told}")
    tables = erasure["tables"] or {}
    lines += [f"  {path}: {rows} rows" for path, rows in sorted(tables.get("rows", {}).items())]
    lines += [
        f"  {path}: made anew, version {version}"
        for path, version in sorted(tables.get("gold", {}).items())
    ]
    lines += [
        f"  {name}: {rows} rows refer to the subject and are left"
        for name, rows in sorted(tables.get("references", {}).items())
        if rows
    ]
    vacuum = tables.get("vacuum", {})
    if "keep_days" in vacuum:
        lines.append(f"  old versions of tables go after {vacuum['keep_days']} days")
    elif vacuum:
        lines.append(f"  old versions of tables: {vacuum['deleted_files']} files deleted")
    lines += [f"  to be looked at by a person: {path}" for path in erasure["unreadable"]]
    return "\n".join(lines)
