"""The newest state of a Delta table, read from its log: as much as a page shows of it.

Spec: https://github.com/delta-io/delta/blob/master/PROTOCOL.md. Checkpoints of one file are read
(Delta's default); of others, and of too many commits without one, it is said that they are not.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import unquote

from ingest.errors import Damaged, NotFound
from ingest.ports import Lake, ListEntry

_COMMIT = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\.parquet")
_COMMITS = 200
_SAMPLED = 8 * 1024 * 1024
"""Bytes of a data file that is read for a sample."""


@dataclass
class DeltaState:
    """A table as its log has it; `rows` is None where a file does not tell its number."""

    path: str
    version: int = -1
    changed: datetime | None = None
    operation: str = ""
    files: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(int(added.get("size") or 0) for added in self.files.values())

    @property
    def rows(self) -> int | None:
        """Its rows, by the statistics of its files."""
        total = 0
        for added in self.files.values():
            stats = json.loads(added.get("stats") or "{}")
            if "numRecords" not in stats:
                return None
            vector = added.get("deletionVector") or {}
            total += int(stats["numRecords"]) - int(vector.get("cardinality") or 0)
        return total


def read(lake: Lake, path: str) -> DeltaState:
    """The newest state of the table at a lake path.

    Raises:
        NotFound: there is no table.
        Damaged: its log cannot be read here.
    """
    entries = list(lake.list(f"{path}/_delta_log/"))
    commits, checkpoints = _numbered(entries, _COMMIT), _numbered(entries, _CHECKPOINT)
    if not commits and not checkpoints:
        raise NotFound(f"there is no table {path}")
    state = DeltaState(path)
    try:
        if checkpoints:
            state.version = max(checkpoints)
            _apply(state, _rows(lake.get(checkpoints[state.version])[0]))
        newer = sorted(version for version in commits if version > state.version)
        if len(newer) > _COMMITS:
            raise Damaged(f"the log of {path} has {len(newer)} commits and no checkpoint to read")
        for version in newer:
            lines = lake.get(commits[version])[0].splitlines()
            _apply(state, (json.loads(line) for line in lines if line.strip()))
            state.version = version
    except (ValueError, KeyError, TypeError) as error:
        raise Damaged(f"the log of {path} cannot be read: {error}") from error
    return state


def _numbered(entries: Iterable[ListEntry], name: re.Pattern[str]) -> dict[int, str]:
    paths = [entry.version.path for entry in entries]
    found = ((name.fullmatch(path.rsplit("/", 1)[-1]), path) for path in paths)
    return {int(match[1]): path for match, path in found if match}


def _apply(state: DeltaState, actions: Iterable[Mapping[str, Any]]) -> None:
    for action in actions:
        if added := action.get("add"):
            state.files[added["path"]] = added
        if removed := action.get("remove"):
            state.files.pop(removed["path"], None)
        if info := action.get("commitInfo"):
            state.operation = str(info.get("operation", ""))
            if info.get("timestamp"):
                state.changed = datetime.fromtimestamp(info["timestamp"] / 1000, UTC)


def _rows(parquet: bytes) -> Iterable[Mapping[str, Any]]:
    import polars as pl  # noqa: PLC0415 - only tables need it

    return pl.read_parquet(io.BytesIO(parquet)).iter_rows(named=True)


@dataclass(frozen=True)
class TableSample:
    """Some rows of a table, with its columns by name and kind: number, time or text."""

    columns: Mapping[str, str]
    rows: list[Mapping[str, Any]]


def sample(lake: Lake, state: DeltaState, limit: int) -> TableSample | None:
    """Rows of the file that was added last, if there is one that is not too large."""
    import polars as pl  # noqa: PLC0415

    fitting = [added for added in state.files.values() if int(added["size"]) <= _SAMPLED]
    if not fitting:
        return None
    newest = max(fitting, key=lambda added: int(added.get("modificationTime") or 0))
    body, _ = lake.get(f"{state.path}/{unquote(newest['path'])}")
    try:
        frame = pl.read_parquet(io.BytesIO(body), n_rows=limit)
    except pl.exceptions.PolarsError as error:
        raise Damaged(f"a file of {state.path} cannot be read: {error}") from error
    kinds = {name: _kind(kind) for name, kind in frame.schema.items()}
    return TableSample(kinds, list(frame.iter_rows(named=True)))


def _kind(kind: Any) -> str:
    if kind.is_numeric():
        return "number"
    return "time" if kind.is_temporal() else "text"


def shown(value: Any) -> str:
    """A value of a row as a page writes it."""
    if isinstance(value, (datetime, date)):
        return value.isoformat(sep=" ") if isinstance(value, datetime) else value.isoformat()
    return "" if value is None else str(value)
