"""The model of a source file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from landfall.sources.schema import DATABASES

KEYS = "__keys"
"""What the name of the object has that reads the keys of another."""
DEFAULT_LAG = timedelta(minutes=2)


@dataclass(frozen=True)
class Watermark:
    """The column that tells what has changed; `type` is timestamp, timestamptz or integer."""

    column: str
    type: str
    nulls: str = "include"


@dataclass(frozen=True)
class Partition:
    """A column by whose ranges a table is read in parts; bounds are texts or absent."""

    column: str
    lower: str | None = None
    upper: str | None = None


@dataclass(frozen=True)
class Deletes:
    """How deletes become known: `kind` is none, flag or compare."""

    kind: str = "none"
    column: str | None = None
    every: timedelta | None = None
    max_deleted_ratio: float = 0.2


@dataclass(frozen=True)
class SourceObject:
    """One table, endpoint or file of a source, which feeds one dataset.

    Attributes:
        mode: full, incremental or window.
        overlap: read again before the watermark: a time, or a number of an integer watermark.
        columns: names to read, in order; of an API the names in the contract.
        key: columns that name a row, as the contract says; empty where it has none.
        every: not extracted more often than this.
        table: of a database; path: of an API or server.
        records, fields, pages, headers, time_format: of an API or server, as in the file.
        keys_of: the object whose deletes this one finds: it reads the keys that are left.
    """

    name: str
    dataset: str
    mode: str
    lag: timedelta
    overlap: timedelta | int
    columns: tuple[str, ...]
    key: tuple[str, ...]
    order: int = 0
    every: timedelta | None = None
    enabled: bool = True
    table: str | None = None
    watermark: Watermark | None = None
    where: str | None = None
    deletes: Deletes = field(default_factory=Deletes)
    partition: Partition | None = None
    path: str | None = None
    records: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    pages: Mapping[str, Any] = field(default_factory=lambda: {"kind": "none"})
    headers: Mapping[str, str] = field(default_factory=dict)
    time_format: str = "iso"
    keys_of: str | None = None

    @property
    def counted(self) -> bool:
        """Whether its watermark is an integer instead of a time."""
        return self.watermark is not None and self.watermark.type == "integer"


def keys_object(entry: SourceObject) -> SourceObject:
    """The object that reads the keys of another one's table, to compare them with silver."""
    return replace(
        entry,
        name=f"{entry.name}{KEYS}",
        mode="full",
        columns=entry.key,
        watermark=None,
        partition=None,
        deletes=Deletes(max_deleted_ratio=entry.deletes.max_deleted_ratio),
        every=entry.deletes.every,
        keys_of=entry.name,
    )


@dataclass(frozen=True)
class Source:
    """One system with one connection.

    `connection` and `schedule` are as in the file, with defaults filled in. `file` names it.
    """

    name: str
    description: str
    connector: str
    connection: Mapping[str, Any]
    schedule: Mapping[str, Any] | None
    objects: tuple[SourceObject, ...]
    file: str

    @property
    def database(self) -> bool:
        """Whether it is read by SQL."""
        return self.connector in DATABASES

    @property
    def auth(self) -> str:
        """The kind of its authentication."""
        return str(self.connection.get("auth", {}).get("kind", "none"))

    def object(self, name: str) -> SourceObject:
        """Return the object called `name`; raise KeyError if there is none."""
        for entry in self.objects:
            if entry.name == name:
                return entry
        raise KeyError(name)
