"""Data contracts: read one, read a folder of them.

Reading is strict and needs nothing but a YAML parser, because it happens at every cold start.
`landfall.authoring.lint` adds the standard's published model.
"""

from collections.abc import Mapping
from pathlib import Path

from landfall.contract.model import Column, Contract, ContractError, DeliveryOptions, Hints
from landfall.contract.odcs import parse

__all__ = [
    "Column",
    "Contract",
    "ContractError",
    "DeliveryOptions",
    "Hints",
    "load_folder",
    "parse",
]

SUFFIX = ".odcs.yaml"


def load_folder(folder: Path) -> dict[str, Contract]:
    """Every contract of a folder by dataset, which is its file's name before `.odcs.yaml`.

    Raises:
        ContractError: one of them is wrong, or its file is not named after its table.
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
        contracts[contract.dataset] = contract
    for contract in contracts.values():
        _check_relationships(contract, contracts)
    return contracts


def _check_relationships(contract: Contract, contracts: Mapping[str, Contract]) -> None:
    """What a relationship leads to, where its contract is known, must be of the same type.

    A dataset without a contract here is another's; reports say that it was not looked at.
    """
    for one in contract.relationships:
        other = contracts.get(one.dataset)
        if other is None:
            continue
        types = {column.name: column.logical_type for column in other.columns}
        for name, to in zip(one.columns, one.to, strict=True):
            mine, theirs = contract.column(name).logical_type, types.get(to)
            if mine != theirs:
                said = "has no such column" if theirs is None else f"has {theirs} there, not {mine}"
                raise ContractError(
                    f"{contract.dataset}{SUFFIX}",
                    f"relationships of {name}",
                    f"lead to {one.dataset}.{to}; {one.dataset} {said}",
                )
