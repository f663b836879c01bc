"""The contracts by which runs were validated: those deployed now, and each earlier one in the lake.

A run's verdict names the digest of its contract. Its copy and its load go by that contract, however
long they wait and whatever is deployed meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from ingest import paths
from ingest.errors import AlreadyExists, ContractMissing, NotFound
from ingest.ports import Lake
from landfall.contract.folder import Contract, ContractError, parse, resolved


@dataclass(frozen=True)
class ContractStore:
    """The deployed contracts by dataset, and the versions that were ever in force, by digest.

    What is kept is written once and never changed or deleted, so a process may remember it.
    """

    lake: Lake
    deployed: Mapping[str, Contract]
    _kept: set[tuple[str, str]] = field(default_factory=set)
    _read: dict[tuple[str, str], Contract] = field(default_factory=dict)

    def keep(self, contract: Contract) -> None:
        """Write a contract into the lake, if it is not there: runs are about to depend on it."""
        name = (contract.dataset, contract.digest)
        if name in self._kept:
            return
        with suppress(AlreadyExists):
            self.lake.put(paths.contract_document(*name), contract.text.encode(), if_absent=True)
        self._kept.add(name)

    def of(self, dataset: str, digest: str | None) -> Contract:
        """The contract of a digest; without one the deployed one.

        Raises:
            ContractMissing: the dataset has no deployed contract, or this one is not to be had.
        """
        deployed = self.deployed.get(dataset)
        if deployed is None:
            raise ContractMissing(
                f"no contract of dataset {dataset} is deployed: its runs wait until there is one"
            )
        if digest in (None, deployed.digest):
            return deployed
        name = (dataset, str(digest))
        if name not in self._read:
            self._read[name] = self._fetch(*name)
        return self._read[name]

    def ever(self, dataset: str) -> bool:
        """Whether a dataset has ever had a contract: costs a list call."""
        return next(iter(self.lake.list(paths.contracts_folder(dataset))), None) is not None

    def _fetch(self, dataset: str, digest: str) -> Contract:
        path = paths.contract_document(dataset, digest)
        try:
            text = self.lake.get(path)[0].decode()
            contract = resolved(parse(text, file=path), self.deployed)
        except (NotFound, ContractError, UnicodeDecodeError) as error:
            raise ContractMissing(
                f"the contract by which the run was validated cannot be had: {error}"
            ) from error
        if contract.digest != digest:
            raise ContractMissing(f"{path} was changed: its digest is {contract.digest}")
        return contract
