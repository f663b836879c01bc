"""`landfall faults`: inject faults into services of the local cloud."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import httpx

from devcloud import config as devcloud_config
from devcloud.config import SERVICES
from landfall.cli.errors import CliError
from landfall.cli.target import data_option, home, json_option

_SERVICE = click.argument("service", type=click.Choice(SERVICES))
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2


def _headers(_ctx: click.Context, _param: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """Parse headers of the form NAME:VALUE, as curl does."""
    headers = {}
    for value in values:
        name, colon, rest = value.partition(":")
        if not colon or not _FIELD_NAME.fullmatch(name) or not _is_field_value(rest):
            raise click.BadParameter(f"{value!r}: give NAME:VALUE, such as Retry-After:2")
        headers[name] = rest.strip()
    return headers


def _is_field_value(text: str) -> bool:
    return text.isprintable() and text.isascii()


@click.group()
def faults() -> None:
    """Make a service of the local cloud fail, stall or lose replies."""


@faults.command()
@_SERVICE
@click.option(
    "--fault",
    default="status",
    show_default=True,
    metavar="KIND",
    help="status, reset, stall or truncate; of all but functions also kill, which ends the host of "
    "the functions; of the lake event_drop, event_double and event_delay, which affect events with "
    "a subscription; of datafactory query_lag.",
)
@click.option(
    "--method",
    metavar="VERB",
    help="Only requests of this method; of an event fault, only events of this data.api, such as "
    "FlushWithClose.",
)
@click.option(
    "--path",
    default="",
    metavar="REGEX",
    help="Only requests with this in path?query; of an event fault, only events with this path.",
)
@click.option(
    "--caller",
    "service_caller",
    metavar="REGEX",
    help="Only requests with this in their User-Agent.",
)
@click.option(
    "--when",
    default="before",
    show_default=True,
    type=click.Choice(["before", "after"]),
    help="Before the request takes effect, or after it: then only the reply is lost or changed.",
)
@click.option("--status", default=503, show_default=True, help="HTTP status of the reply.")
@click.option(
    "--header",
    "headers",
    metavar="NAME:VALUE",
    multiple=True,
    callback=_headers,
    help="A header of the reply, such as Retry-After:2; may be given several times.",
)
@click.option("--body", default="", metavar="TEXT", help="Body of the reply.")
@click.option("--seconds", default=1.0, show_default=True, help="How long a stall or lag lasts.")
@click.option(
    "--victim",
    default="functions",
    show_default=True,
    metavar="SERVICE",
    help="Service whose process is killed.",
)
@click.option("--times", type=click.IntRange(1), help="How often it applies (default: always).")
@click.option("--skip", default=0, help="Number of requests that pass before it applies.")
@click.option(
    "--probability",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Probability that it applies to a matching request.",
)
@click.option("--seed", default=0, show_default=True, help="Random seed of --probability.")
@data_option
@json_option
def add(service: str, data: Path | None, *, as_json: bool, **rule: Any) -> None:
    """Add a rule; `landfall faults clear` removes all rules."""
    given = {name: value for name, value in rule.items() if value is not None}
    answer = _request("POST", service, data, given)
    click.echo(json.dumps(answer) if as_json else f"rule {answer['id']} of {service} is active")


@faults.command(name="list")
@data_option
@json_option
def list_(data: Path | None, *, as_json: bool) -> None:
    """List the active rules, with how often each was applied."""
    rules_by_service = {service: _request("GET", service, data)["rules"] for service in SERVICES}
    if as_json:
        click.echo(json.dumps(rules_by_service, indent=2))
        return
    for service, rules in rules_by_service.items():
        for rule in rules:
            click.echo(f"{service}: {json.dumps(rule)}")
    if not any(rules_by_service.values()):
        click.echo("no rules: every service answers as it should")


@faults.command()
@data_option
@json_option
def clear(data: Path | None, *, as_json: bool) -> None:
    """Remove all rules of all services."""
    for service in SERVICES:
        _request("DELETE", service, data)
    click.echo(json.dumps({"cleared": True}) if as_json else "all rules removed")


def _request(
    method: str, service: str, data: Path | None, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    root = home(data)
    try:
        url = f"{devcloud_config.load(root).url(service)}/_devcloud/faults"
    except FileNotFoundError:
        raise CliError(f"no local cloud in {root}: start one with `landfall up`") from None
    try:
        reply = httpx.request(method, url, json=body)
    except httpx.TransportError as error:
        raise CliError(f"no connection to the {service} of the local cloud: {error}") from None
    if not reply.is_success:
        raise CliError(f"the {service} refused the rule: {reply.text[:300]}")
    answer: dict[str, Any] = reply.json() if reply.content else {}
    return answer
