"""The definitions of the team's gold tables, written down where the jobs read them."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from ingest import paths
from ingest.contract_store import FOLDER_EVERY, ContractStore, Signature, due, signature
from ingest.errors import AlreadyExists
from ingest.log import log, once
from ingest.ports import Clock, Lake
from landfall.gold import GoldFolder, read_gold


class GoldStore:
    """The gold tables of the project's folder, read anew while the service runs.

    A document is named by its digest, written once and never changed, so a process may remember
    that it has written it; a batch that was formed before is built by its own.

    Args:
        lake: where the documents stand.
        folder: of the gold tables; one that does not exist has none.
        contracts: whose datasets the tables may read; one whose contract is wrong has its silver.
        clock: the time now.
    """

    def __init__(self, lake: Lake, folder: Path, contracts: ContractStore, clock: Clock) -> None:
        self._lake = lake
        self._folder = folder
        self._contracts = contracts
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: datetime | None = None
        self._read: tuple[frozenset[str], Signature, GoldFolder] | None = None
        self._kept: set[str] = set()
        self._current: str | None = None

    @property
    def deployed(self) -> GoldFolder:
        """The tables as they are defined now, and the definitions that are wrong."""
        contracts = self._contracts.deployed
        deleted = {n: c.deleted_when for n, c in sorted(contracts.items()) if c.deleted_when}
        folder = self._tables()
        return replace(folder, deleted=deleted) if deleted else folder

    def _tables(self) -> GoldFolder:
        datasets = self._contracts.known
        with self._lock:
            read, now = self._read, self._clock()
            if read and read[0] == datasets and not due(self._seen, now, FOLDER_EVERY):
                return read[2]
            self._seen = now
            try:
                mark = signature(self._folder)
            except FileNotFoundError:
                mark = ()
            except OSError as error:
                once(log.error, f"gold tables: the folder cannot be read: {error}")
                return read[2] if read else GoldFolder()
            if read and read[:2] == (datasets, mark):
                return read[2]
            folder = read_gold(self._folder, datasets)
            for problem in folder.problems:
                once(log.error, f"gold table is left out: {problem}")
            self._read = datasets, mark, folder
            return folder

    def keep(self) -> str:
        """Write the definitions into the lake, if they are not there; return their lake path."""
        folder = self.deployed
        path = paths.gold_definitions(folder.digest)
        if path != self._current:
            document = folder.document()
            if path not in self._kept:
                with suppress(AlreadyExists):
                    self._lake.put(path, document, if_absent=True)
                self._kept.add(path)
            # Jobs that belong to no batch take what was deployed last.
            self._lake.put(paths.CURRENT_GOLD_DEFINITIONS, document)
            self._current = path
        return path
