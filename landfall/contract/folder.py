"""Reads all data contracts of a folder.

Reading is strict and needs only a YAML parser, because it happens at every cold start.
`landfall.authoring.lint` also checks a contract against the standard's published model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from landfall.contract.model import (
    Column,
    Contract,
    ContractError,
    DeliveryOptions,
    Hints,
    Relationship,
)
from landfall.contract.odcs import parse
from landfall.protocol import RESERVED_DATASETS, is_dataset

__all__ = [
    "Column",
    "Contract",
    "ContractError",
    "DeliveryOptions",
    "Hints",
    "load_folder",
    "parse",
    "resolved",
]

SUFFIX = ".odcs.yaml"


def load_folder(folder: Path) -> dict[str, Contract]:
    """Return the contracts of a folder by dataset, which is the file name before `.odcs.yaml`.

    Raises:
        ContractError: a contract is wrong, or its file is not named after its table.
    """
    contracts = {}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        contract = parse(path.read_text(encoding="utf-8"), file=path.name)
        expected = path.name.removesuffix(SUFFIX)
        if contract.dataset != expected:
            raise ContractError(
                path.name,
                "schema[0].name",
                f"is {contract.dataset!r}, but the file's name makes it dataset {expected!r}",
            )
        _check_name(contract.dataset, path.name)
        contracts[contract.dataset] = contract
    contracts = {name: resolved(contract, contracts) for name, contract in contracts.items()}
    for contract in contracts.values():
        _check_history(contract, contracts)
        _check_relationships(contract, contracts)
    return contracts


def resolved(contract: Contract, contracts: Mapping[str, Contract]) -> Contract:
    """Return a contract whose relationships by id lead to names, by the other `contracts`.

    One that leads to nothing known is taken as one by names.
    """
    by_id = {other.table_id: other for other in contracts.values() if other.table_id}

    def named(link: Relationship) -> Relationship:
        other = by_id.get(link.dataset) or contracts.get(link.dataset)
        if not link.by_id or other is None:
            return replace(link, by_id=False)
        names = {column.id: column.name for column in other.columns if column.id}
        to = tuple(names.get(column, column) for column in link.to)
        return Relationship(link.columns, other.dataset, to)

    return replace(contract, relationships=tuple(named(link) for link in contract.relationships))


def _check_name(dataset: str, file: str) -> None:
    """A dataset is a folder in `landing` and part of run ids, so not every name will do."""
    if not is_dataset(dataset):
        reason = (
            f"is {dataset!r}, which has another meaning there"
            if dataset in RESERVED_DATASETS
            else f"is {dataset!r}: a dataset's name has up to 63 of a-z, 0-9 and _, and begins "
            "with a letter or digit"
        )
        raise ContractError(file, "schema[0].name", reason)


def _check_history(contract: Contract, contracts: Mapping[str, Contract]) -> None:
    """The history of a dataset is a silver table, whose name no other dataset may have."""
    table = f"{contract.dataset}_history"
    if contract.history and table in contracts:
        raise ContractError(
            f"{contract.dataset}{SUFFIX}",
            "customProperties.history",
            f"keeps what is superseded in silver/{table}, which is the table of dataset {table}: "
            "give that dataset another name",
        )


def _check_relationships(contract: Contract, contracts: Mapping[str, Contract]) -> None:
    """Check that a relationship and the columns that it refers to have the same types.

    A dataset without a contract in the folder is not checked; validation reports say so.
    """
    for relationship in contract.relationships:
        other = contracts.get(relationship.dataset)
        if other is None:
            continue
        types = {column.name: column.logical_type for column in other.columns}
        for name, to in zip(relationship.columns, relationship.to, strict=True):
            type_, target_type = contract.column(name).logical_type, types.get(to)
            if type_ != target_type:
                mismatch = (
                    "has no such column"
                    if target_type is None
                    else f"has {target_type} there, not {type_}"
                )
                raise ContractError(
                    f"{contract.dataset}{SUFFIX}",
                    f"relationships of {name}",
                    f"lead to {relationship.dataset}.{to}; {relationship.dataset} {mismatch}",
                )
