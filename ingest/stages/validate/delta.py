"""Which files make up a Delta table: its log, read without the libraries of Spark or delta-rs.

Protocol: PROTOCOL.md in Delta Lake. A table whose reader must know more than is known here is
refused by name.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from ingest.errors import NotFound
from ingest.ports import Lake

_COMMIT = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint(?:\.(\d{10})\.(\d{10}))?\.parquet")
_MAX_READER = 3
_MEASURED = 32
"""Columns of which writers keep statistics, by default."""
_KNOWN_FEATURES = frozenset(
    {"deletionVectors", "timestampNtz", "typeWidening", "v2Checkpoint", "vacuumProtocolCheck"}
)


class Unreadable(Exception):
    """The table is there, and cannot be read here; says why."""


@dataclass(frozen=True)
class DataFile:
    """A data file: its path below the table, its bytes, and its statistics as JSON, if any."""

    path: str
    size: int
    stats: str | None = None

    def has_values(self, column: str) -> bool | None:
        """Whether a column has values in this file; None where its statistics do not say it."""
        try:
            stats = json.loads(self.stats or "{}")
            rows, nulls = stats["numRecords"], stats["nullCount"]
        except (KeyError, TypeError, ValueError):
            return None
        if column in nulls:
            return bool(nulls[column] < rows)
        # Writers keep statistics of the first columns: of few columns they are of all.
        return False if len(nulls) < _MEASURED else None


def live_files(lake: Lake, table: str) -> list[DataFile] | None:
    """The data files of the newest version of a table; None where there is no table.

    Raises:
        Unreadable: its log has gaps, or asks for what is not known here.
    """
    folder = f"{table}/_delta_log/"
    names = [entry.version.path.removeprefix(folder) for entry in lake.list(folder)]
    commits = {int(match[1]): name for name in names if (match := _COMMIT.fullmatch(name))}
    version, parts = _checkpoint(names)
    if not commits and not parts:
        return None
    later = [number for number in sorted(commits) if number > version]
    if later and later != list(range(version + 1, version + 1 + len(later))):
        raise Unreadable("commits are missing from its log")
    if version < 0 and not later:
        raise Unreadable("its log has no checkpoint that is known here")
    live: dict[str, DataFile] = {}
    try:
        for part in parts:
            _apply(live, _rows(lake.get(folder + part)[0]))
        for number in later:
            _apply(live, _lines(lake.get(folder + commits[number])[0]))
    except NotFound as error:
        raise Unreadable("its log is being tidied up") from error
    return list(live.values())


def _checkpoint(names: Iterable[str]) -> tuple[int, list[str]]:
    """Version and parts of the newest whole checkpoint; version -1 if there is none."""
    checkpoints: dict[tuple[int, int], list[str]] = {}
    for name in sorted(names):
        if match := _CHECKPOINT.fullmatch(name):
            checkpoints.setdefault((int(match[1]), int(match[3] or 1)), []).append(name)
    whole = [
        (version, parts) for (version, count), parts in checkpoints.items() if len(parts) == count
    ]
    return max(whole, default=(-1, []))


def _lines(commit: bytes) -> Iterator[dict[str, Any]]:
    for line in commit.splitlines():
        if line.strip():
            yield json.loads(line)


def _rows(checkpoint: bytes) -> Iterator[dict[str, Any]]:
    import polars as pl  # noqa: PLC0415 - only tables with many versions have one

    kinds = ("add", "metaData", "protocol")
    schema = pl.read_parquet_schema(io.BytesIO(checkpoint))
    columns = [kind for kind in kinds if kind in schema]
    yield from pl.read_parquet(io.BytesIO(checkpoint), columns=columns).iter_rows(named=True)


def _apply(live: dict[str, DataFile], actions: Iterable[dict[str, Any]]) -> None:
    for action in actions:
        if (added := action.get("add")) and added["path"]:
            path = unquote(added["path"])
            if "://" in path or path.startswith("/"):
                raise Unreadable("it has files outside its folder")
            live[path] = DataFile(path, added["size"], added.get("stats"))
        if removed := action.get("remove"):
            live.pop(unquote(removed["path"]), None)
        if (protocol := action.get("protocol")) and protocol["minReaderVersion"]:
            _check(protocol)
        if (about := action.get("metaData")) and about["id"]:
            _check_names(about.get("configuration") or {})


def _check(protocol: dict[str, Any]) -> None:
    asked = set(protocol.get("readerFeatures") or ())
    if protocol["minReaderVersion"] > _MAX_READER or asked - _KNOWN_FEATURES:
        what = ", ".join(sorted(asked - _KNOWN_FEATURES)) or "a newer reader"
        raise Unreadable(f"it asks for {what}")


def _check_names(settings: dict[str, str] | list[dict[str, str]]) -> None:
    """Refuse columns that have other names in the files; a checkpoint lists keys and values."""
    pairs = (
        settings.items()
        if isinstance(settings, dict)
        else [(s["key"], s["value"]) for s in settings]
    )
    if dict(pairs).get("delta.columnMapping.mode", "none") != "none":
        raise Unreadable("its columns have other names in its files")
