"""The source files of the project, read anew where they or the contracts in force have changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from landfall.contract.folder import Contract
from landfall.sources.reader import SUFFIX, SourceFolder, load_folder


class ContractsInForce(Protocol):
    """Where contracts are, as `ingest.contract_store` has them."""

    @property
    def deployed(self) -> Mapping[str, Contract]:
        """The contracts in force, by dataset: the same mapping as long as none has changed."""


@dataclass(frozen=True)
class _Read:
    folder: SourceFolder
    contracts: Mapping[str, Contract]
    files: tuple[tuple[str, int, int], ...]


class SourceFiles:
    """The sources, by the contracts in force.

    Args:
        folder: of the source files; there may be none.
        contracts: the contracts.
        connections: by source, what the environment puts in the place of its connection.
    """

    def __init__(
        self,
        folder: Path,
        contracts: ContractsInForce,
        connections: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self._folder, self._contracts, self._connections = folder, contracts, connections
        self._read: _Read | None = None

    @property
    def current(self) -> SourceFolder:
        """The sources as they are now, and the files that are wrong."""
        contracts, files = self._contracts.deployed, self._files()
        read = self._read
        if read is None or read.contracts is not contracts or read.files != files:
            folder = load_folder(self._folder, contracts, self._connections)
            read = self._read = _Read(folder, contracts, files)
        return read.folder

    def contract(self, dataset: str) -> Contract:
        """The contract of a dataset that a source in use feeds."""
        return self._contracts.deployed[dataset]

    def _files(self) -> tuple[tuple[str, int, int], ...]:
        found = []
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            about = path.stat()
            found.append((path.name, about.st_mtime_ns, about.st_size))
        return tuple(found)
