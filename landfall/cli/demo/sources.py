"""What a demo extracts from; the sources are the project's, in its `demo.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class LocalDatabase:
    """The local cloud's PostgreSQL: its address, and a DSN with the credentials of its user."""

    host: str
    port: int
    user: str
    dsn: str
    secret: str


@dataclass(frozen=True)
class Facts:
    """How many rows there are, and the sum of one column over them."""

    rows: int
    total: Decimal


@dataclass(frozen=True)
class DemoObject:
    """One object of a source.

    Attributes:
        source, name, dataset: as in the source file.
        column: number column of the dataset whose sum is compared.
        facts: rows and sum as the source itself has them.
        change: changes rows of the source; returns how many.
        ranges: what is asked for first, and after the change; empty where the watermark decides.
    """

    source: str
    name: str
    dataset: str
    column: str
    facts: Callable[[], Facts]
    change: Callable[[], int]
    ranges: tuple[Mapping[str, str], Mapping[str, str]] = field(default_factory=lambda: ({}, {}))


class DemoSources(Protocol):
    """The project's sources while the demo runs."""

    @property
    def secrets(self) -> Mapping[str, str]:
        """What the key vault has to hold."""

    def connections(self, database: LocalDatabase) -> Mapping[str, Mapping[str, Any]]:
        """What stands in the place of the connections of the source files, by source."""

    def fill(self, database: LocalDatabase, files: Path) -> Sequence[DemoObject]:
        """Make what is there to be extracted; `files` are those of the scenario."""


StartSources = Callable[[], AbstractContextManager[DemoSources]]
