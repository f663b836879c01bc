"""Extracts from a project's sources, compares with silver, changes rows there, extracts again."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import polars as pl
from rich.table import Table

from devcloud import config as devcloud_config
from landfall.cli.client import Client
from landfall.cli.demo.sources import DemoObject, DemoSources, Facts, LocalDatabase
from landfall.cli.identity import LocalIdentity
from landfall.cli.source import wait_for
from landfall.protocol import FINAL

Json = dict[str, Any]
_POLL_SECONDS = 0.5
_VAULT = "https://vault.azure.net"


@dataclass
class DemoExtract:
    """How an object came to silver."""

    entry: DemoObject
    source: Facts = field(default_factory=lambda: Facts(0, Decimal(0)))
    silver: Facts = field(default_factory=lambda: Facts(0, Decimal(0)))
    changed: int = 0
    seconds: tuple[float, ...] = ()
    state: Json = field(default_factory=dict)
    agreed: bool = True

    def to_json(self) -> Json:
        """What the demo's document has of it."""
        return {
            "source": self.entry.source,
            "object": self.entry.name,
            "dataset": self.entry.dataset,
            "source_rows": self.source.rows,
            "silver_rows": self.silver.rows,
            "column": self.entry.column,
            "source_sum": str(self.source.total),
            "silver_sum": str(self.silver.total),
            "changed_rows": self.changed,
            "watermark": self.state.get("watermark"),
            "extracts": self.state.get("extracts", 0),
            "as_expected": self.agreed,
        }


def database(config: devcloud_config.CloudConfig) -> LocalDatabase:
    """The PostgreSQL of a local cloud."""
    return LocalDatabase(
        host="127.0.0.1",
        port=config.ports[devcloud_config.DATABASE],
        user=config.database_user,
        dsn=config.database_dsn,
        secret="database-password",  # noqa: S106 - a name, no secret
    )


def with_connections(
    config: devcloud_config.CloudConfig, sources: DemoSources
) -> devcloud_config.CloudConfig:
    """The configuration of a cloud whose service reaches the demo's sources."""
    settings = {
        f"LANDFALL_SOURCE_{name.upper()}": json.dumps(values)
        for name, values in sources.connections(database(config)).items()
    }
    changed = replace(config, settings={**config.settings, **settings})
    changed.save()
    return changed


def put_secrets(config: devcloud_config.CloudConfig, secrets: Mapping[str, str]) -> None:
    """Put secrets into the local key vault."""
    identity = LocalIdentity(config.identity_url, config.identity_secret)
    token = identity.get_token(f"{_VAULT}/.default").token
    for name, value in secrets.items():
        httpx.put(
            f"{config.vault_url}/secrets/{name}",
            params={"api-version": "7.4"},
            json={"value": value},
            headers={"Authorization": f"Bearer {token}"},
        ).raise_for_status()


class Extracting:
    """Extracts objects twice, with a change between.

    Args:
        client: of the service; lake: folder of the lake.
        seconds: time limit of all of it.
    """

    def __init__(self, client: Client, lake: Path, seconds: float) -> None:
        self._client, self._lake = client, lake
        self._deadline = time.monotonic() + seconds

    def run(self, entries: Sequence[DemoObject]) -> list[DemoExtract]:
        """Extract all objects, change them, and extract them again."""
        extracts = [DemoExtract(entry) for entry in entries]
        self._round(extracts, 0)
        for extract in extracts:
            extract.changed = extract.entry.change()
        self._round(extracts, 1)
        return extracts

    def _round(self, extracts: Sequence[DemoExtract], number: int) -> None:
        """Extract all objects until silver has what the sources have, or the time is up."""
        began = time.monotonic()
        for extract in extracts:
            extract.source = extract.entry.facts()
            self._extract(extract, number)
        for extract in extracts:
            self._follow(extract)
            extract.silver = self._silver(extract.entry, extract.source.total)
            extract.seconds = (*extract.seconds, time.monotonic() - began)
            extract.agreed = extract.agreed and extract.silver == extract.source

    def _extract(self, extract: DemoExtract, number: int) -> None:
        """Start pipeline runs until one has delivered: rows younger than the lag come later."""
        entry = extract.entry
        body = {"objects": [entry.name], **entry.ranges[number]}
        before = extract.state.get("extracts", 0)
        while True:
            answer = self._client.extract(entry.source, body, str(uuid.uuid4()))
            failed = wait_for(self._client, entry.source, answer["pipeline_runs"])
            extract.state = self._client.source_object(entry.source, entry.name)
            if failed or extract.state["extracts"] > before or self._late():
                return
            time.sleep(_POLL_SECONDS)

    def _follow(self, extract: DemoExtract) -> None:
        """Wait for the runs of all its extracts."""
        for each in extract.state["recent"]:
            while each["run_id"] and not self._late():
                if self._client.run(each["run_id"])["state"] in FINAL:
                    break
                time.sleep(_POLL_SECONDS)

    def _silver(self, entry: DemoObject, like: Decimal) -> Facts:
        """What silver has. A number is a double there: each counts with the places of `like`."""
        folder = self._lake / "silver" / entry.dataset
        if not (folder / "_delta_log").is_dir():
            return Facts(0, Decimal(0))
        column = pl.read_delta(str(folder), columns=[entry.column])[entry.column]
        total = sum((Decimal(str(value)).quantize(like) for value in column), Decimal(0))
        return Facts(len(column), total)

    def _late(self) -> bool:
        return time.monotonic() > self._deadline


def table(extracts: Sequence[DemoExtract]) -> Table:
    """Return a table of the objects: what the source has and what silver has."""
    view = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    view.add_column("Extracted", overflow="fold")
    for heading in (
        "Extracts",
        "Changed",
        "Rows there",
        "Rows in silver",
        "Sum there",
        "In silver",
    ):
        view.add_column(heading, justify="right", no_wrap=True)
    for extract in extracts:
        mark = "[green]✓[/] " if extract.agreed else "[red]✗[/] "
        view.add_row(
            f"{mark}{extract.entry.source}.{extract.entry.name}",
            f"{extract.state.get('extracts', 0):,}",
            f"{extract.changed:,}",
            f"{extract.source.rows:,}",
            f"{extract.silver.rows:,}",
            f"{extract.source.total:,}",
            f"{extract.silver.total:,}",
        )
    return view


def problems(extracts: Sequence[DemoExtract]) -> Iterator[str]:
    """Yield what is wrong with each object that is not as it must be."""
    for extract in extracts:
        if not extract.agreed:
            entry, failure = extract.entry, extract.state.get("failure")
            because = f"\n  because {failure['error']}" if failure else ""
            yield (
                f"{entry.source}.{entry.name} has {extract.source.rows} rows, silver "
                f"{extract.silver.rows}{because}"
            )
