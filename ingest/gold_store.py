"""The definitions of the team's gold tables, written down where the jobs read them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from ingest import paths
from ingest.errors import AlreadyExists
from ingest.ports import Lake
from landfall.gold import GoldFolder


@dataclass(frozen=True)
class GoldStore:
    """The gold tables of the deployed app.

    A document is named by its digest, written once and never changed, so a process may remember
    that it has written it; a batch that was formed by an earlier release is built by its own.
    """

    lake: Lake
    deployed: GoldFolder = field(default_factory=GoldFolder)
    _kept: set[str] = field(default_factory=set)

    def keep(self) -> str:
        """Write the definitions into the lake, if they are not there; return their lake path."""
        path = paths.gold_definitions(self.deployed.digest)
        if path not in self._kept:
            document = self.deployed.document()
            with suppress(AlreadyExists):
                self.lake.put(path, document, if_absent=True)
            # Jobs that belong to no batch take what was deployed last.
            self.lake.put(paths.CURRENT_GOLD_DEFINITIONS, document)
            self._kept.add(path)
        return path
