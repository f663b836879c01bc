"""The plan: what a pipeline run shall read, and how the source is reached."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from ingest.errors import Conflict
from ingest.ports import Clock
from ingest.sources.catalog import SourceCatalog
from ingest.sources.document import ObjectState
from ingest.sources.windows import Window
from landfall.sources import sql
from landfall.sources.durations import dotnet, duration
from landfall.sources.model import Source, SourceObject

_SSL = {"disable": 0, "require": 3, "verify-ca": 4, "verify-full": 5}
"""Data Factory's numbers for sslMode."""


@dataclass(frozen=True)
class Planning:
    """Plans the pipeline runs of all sources."""

    catalog: SourceCatalog
    clock: Clock

    def plan(self, name: str, window: Window, chosen: Collection[str] = ()) -> dict[str, Any]:
        """What a pipeline run shall read: the connection, and the objects in their order.

        A schedule passes over what is paused, not enabled, or was read too lately. Who names
        objects gets them all the same.

        Raises:
            NotFound, Conflict: see `SourceCatalog`; an object is read by windows, and none was
                given.
        """
        source = self.catalog.source(name)
        entries = (
            [self.catalog.entry(source, each) for each in chosen]
            if chosen
            else [entry for entry in source.objects if entry.enabled]
        )
        items = []
        for entry in sorted(entries, key=lambda each: each.order):
            state = self.catalog.state(source, entry)
            if chosen or self._due(entry, state):
                items.append(_item(source, entry, state, window))
        return {"source": name, "connection": connection(source), "items": items}

    def _due(self, entry: SourceObject, state: ObjectState) -> bool:
        if state.paused:
            return False
        if entry.every is None or not state.recent:
            return True
        return self.clock() - state.recent[0].began >= entry.every


def _item(
    source: Source, entry: SourceObject, state: ObjectState, window: Window
) -> dict[str, Any]:
    if entry.mode == "window" and not window.given:
        raise Conflict(
            f"{source.name}.{entry.name} is read by windows: it needs a begin and an end"
        )
    item: dict[str, Any] = {"object": entry.name}
    if source.database:
        asked = replace(entry, mode="full") if window.given else entry
        first = state.watermark is None
        item["high_query"] = sql.high_query(asked, source.connector, first=first)
    return item


def connection(source: Source) -> dict[str, Any]:
    """The parameters of the linked service of a source."""
    values, auth = source.connection, source.connection.get("auth", {})
    if source.connector == "postgresql":
        return {
            "server": values["server"],
            "port": values["port"],
            "database": values["database"],
            "username": values["username"],
            "secret": auth["secret"],
            "ssl_mode": _SSL[values["sslMode"]],
        }
    if source.connector == "azuresql":
        return {
            "server": values["server"],
            "database": values["database"],
            "username": auth["username"],
            "secret": auth["secret"],
        }
    return {
        "url": values["url"],
        "auth": source.auth,
        "username": auth.get("username", ""),
        "secret": auth.get("secret", ""),
        "token_endpoint": auth.get("tokenEndpoint", ""),
        "client_id": auth.get("clientId", ""),
        "scope": auth.get("scope", ""),
        "interval": dotnet(duration(values["interval"])) if "interval" in values else "",
        "timeout": dotnet(duration(values["timeout"])),
    }
