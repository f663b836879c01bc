from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import httpx
import pytest
from click.testing import CliRunner, Result
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from devcloud import config as devcloud_config
from devcloud import faults
from devcloud.config import CloudConfig
from devcloud.serving import serve_in_thread
from landfall.cli.faults import add
from landfall.cli.main import landfall


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[CloudConfig]:
    """A local cloud with only a minimal lake, which has faults and one path."""
    config = devcloud_config.create(tmp_path, tmp_path)
    path = Route("/thing", lambda _: PlainTextResponse("fine"))
    app = Starlette(routes=[path])
    faults.install(app, "lake", kinds=["event_drop"])
    with serve_in_thread(app, config.ports["lake"]):
        yield config


def _add(cloud: CloudConfig, *options: str) -> Result:
    return CliRunner().invoke(
        landfall, ["faults", "add", "lake", "--data", str(cloud.root), *options]
    )


def test_a_rule_sets_the_reply_and_its_caller(cloud: CloudConfig) -> None:
    """A rule sets status, headers and body, and affects only the given caller."""
    added = _add(
        cloud,
        *("--status", "429", "--header", "Retry-After: 7", "--header", "x-ms-error-code:Busy"),
        *("--body", '{"error": "busy"}', "--caller", "^landfall-"),
    )

    assert (added.exit_code, added.output) == (0, "rule 1 of lake is active\n")
    url = f"{cloud.url('lake')}/thing"
    struck = httpx.get(url, headers={"User-Agent": "landfall-copy/1"})
    assert (struck.status_code, struck.text) == (429, '{"error": "busy"}')
    assert (struck.headers["Retry-After"], struck.headers["x-ms-error-code"]) == ("7", "Busy")
    assert httpx.get(url, headers={"User-Agent": "azsdk"}).text == "fine"


def test_the_seed_selects_the_affected_requests(cloud: CloudConfig) -> None:
    """With a probability, the same seed affects the same requests."""

    def struck(seed: str) -> list[int]:
        assert _add(cloud, "--probability", "0.5", "--seed", seed).exit_code == 0
        codes = [httpx.get(f"{cloud.url('lake')}/thing").status_code for _ in range(12)]
        httpx.delete(f"{cloud.url('lake')}/_devcloud/faults")
        return codes

    assert struck("3") == struck("3") != struck("4")


def test_every_attribute_of_a_rule_has_an_option() -> None:
    """Every attribute of a rule has an option."""
    options = {item.name for item in add.params if isinstance(item, click.Option)}

    assert {item.name for item in fields(faults.Rule)} - {"hits", "id"} <= options


@pytest.mark.parametrize("header", ["Retry-After", ": 1", "a b: 1", "A: b\r\nC: d", "A: ü"])
def test_an_invalid_header_is_refused(cloud: CloudConfig, header: str) -> None:
    """A header needs a valid name and value."""
    result = _add(cloud, "--header", header)

    assert result.exit_code == 2
    assert "give NAME:VALUE" in result.output
    rules = httpx.get(f"{cloud.url('lake')}/_devcloud/faults").json()["rules"]
    assert rules == []


def test_an_unknown_kind_lists_the_known_ones(cloud: CloudConfig) -> None:
    """The service returns the faults that it supports."""
    result = _add(cloud, "--fault", "event_lost")

    assert result.exit_code == 2
    assert "event_drop" in result.output


def test_rules_are_listed_with_their_options(cloud: CloudConfig) -> None:
    """The active rule has the given options, also for event faults."""
    _add(cloud, "--fault", "event_drop", "--method", "FlushWithClose", "--times", "1")

    (rule,) = httpx.get(f"{cloud.url('lake')}/_devcloud/faults").json()["rules"]
    assert (rule["fault"], rule["method"], rule["times"]) == ("event_drop", "FlushWithClose", 1)
    assert json.dumps(rule["headers"]) == "{}"


def test_no_rules_are_told(cloud: CloudConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty list says so."""
    monkeypatch.setattr("landfall.cli.faults.SERVICES", ("lake",))
    result = CliRunner().invoke(landfall, ["faults", "list", "--data", str(cloud.root)])
    assert "no rules" in result.output
