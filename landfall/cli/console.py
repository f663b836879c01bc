"""`landfall open`: the console in a browser."""

from __future__ import annotations

import getpass
import json
import webbrowser
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from landfall.cli import target
from landfall.cli.target import data_option, json_option
from landfall.console_links import console_key, token

ROLES = ("Operator", "Reader")
_VALID = timedelta(minutes=30)


@click.command("open")
@data_option
@click.option("--role", type=click.Choice(ROLES), default=ROLES[0], help="What the session may do.")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@json_option
def open_(data: Path | None, role: str, *, no_browser: bool, as_json: bool) -> None:
    """Open the console in a browser, signed in where it is that of a local cloud."""
    service = target.find(data)
    url = f"{service.url}/console/"
    if service.name != service.url:  # a local cloud: Azure asks who it is itself
        url = console_link(service.url, service.key, role)
    if as_json:
        click.echo(json.dumps({"url": url}))
        return
    click.echo(url)
    if not no_browser:
        webbrowser.open(url)


def console_link(url: str, function_key: str, role: str = ROLES[0]) -> str:
    """Return an address that signs in once, within half an hour."""
    until = datetime.now(UTC) + _VALID
    signed = token(console_key(function_key), "link", _user(), role, until)
    return f"{url}/console/signin?token={signed}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user id without a name
        return "somebody"
