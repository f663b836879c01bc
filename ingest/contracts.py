"""Data contracts: read one, read a folder of them, check one against the standard's own model.

Reading is strict and needs nothing but a YAML parser, because it happens at every cold start.
``lint`` adds the standard's published model, whose import costs more than reading all contracts.
"""

from pathlib import Path

from ingest.contract.lint import lint
from ingest.contract.model import Column, Contract, ContractError, Hints
from ingest.contract.odcs import parse

__all__ = ["Column", "Contract", "ContractError", "Hints", "lint", "load_folder", "parse"]

SUFFIX = ".odcs.yaml"


def load_folder(folder: Path) -> dict[str, Contract]:
    """Every contract of a folder by dataset, which is its file's name before ``.odcs.yaml``.

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
    return contracts
