"""The landing container, as the contracts in force let it be read: which files are drops."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ingest import paths
from ingest.contract_store import ContractStore
from ingest.ports import Lake, ListEntry
from landfall import protocol


@dataclass(frozen=True)
class Landing:
    """Tells drops from files that are part of a folder, or a writer's own."""

    lake: Lake
    contracts: ContractStore

    @property
    def folders(self) -> frozenset[str]:
        """The datasets whose drops are folders, each closed by a marker.

        Of a dataset whose contract is wrong it is not known: see `is_drop`.
        """
        contracts = self.contracts.deployed.items()
        return frozenset(name for name, it in contracts if it.delivery.kind == "folder")

    def is_drop(self, path: str) -> bool:
        """Whether a landed file is a drop by itself, as far as that can be told now.

        While the contract of a dataset is wrong nobody knows whether its drops are folders: what
        lies in a folder stays in landing until the contract is corrected.
        """
        in_folder = path.count("/") > 2  # noqa: PLR2004 - landing/dataset/name
        if in_folder and self.contracts.problem_of(protocol.dataset_of(path)):
            return False
        return paths.is_drop(path, self.folders)

    def drops(self, dataset: str | None = None) -> Iterator[ListEntry]:
        """The drops that stand in landing: of a dataset, or all of them."""
        folder = f"{protocol.LANDING}/{dataset}/" if dataset else f"{protocol.LANDING}/"
        entries = self.lake.list(folder)
        yield from (entry for entry in entries if self.is_drop(entry.version.path))

    def oldest(self, dataset: str) -> str | None:
        """How the id would begin of the oldest drop of a dataset that nobody has claimed yet."""
        times = [entry.version.modified for entry in self.drops(dataset)]
        return protocol.id_prefix(min(times)) if times else None
