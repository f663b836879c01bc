"""Reads all data contracts of a folder; a wrong one leaves the others as they are.

Reading is strict and needs only a YAML parser, because it happens at every cold start.
`landfall.authoring.lint` also checks a contract against the standard's published model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
    "ContractProblem",
    "ContractSet",
    "DeliveryOptions",
    "Hints",
    "contract_files",
    "load_folder",
    "parse",
    "read_contracts",
    "read_folder",
    "resolved",
]

SUFFIX = ".odcs.yaml"
_NEARLY = (".odcs.yml", ".odcs.json")


@dataclass(frozen=True)
class ContractProblem:
    """A file of the folder that is not in force, and why.

    Attributes:
        file: its name; path: the place in it; reason: what is wrong there.
        datasets: whose drops wait until it is corrected: the dataset that the file's name says,
            and the one that its table says, where no other file is the contract of that.
    """

    file: str
    path: str
    reason: str
    datasets: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"{self.file}: {self.path or 'document'}: {self.reason}"

    def to_dict(self) -> dict[str, object]:
        """The problem as a JSON object."""
        return {
            "file": self.file,
            "place": self.path or "document",
            "reason": self.reason,
            "datasets": sorted(self.datasets),
        }


@dataclass(frozen=True)
class ContractSet:
    """The contracts in force by dataset, and the files that are not, with their reasons."""

    contracts: Mapping[str, Contract] = field(default_factory=dict)
    problems: tuple[ContractProblem, ...] = ()

    def problem_of(self, dataset: str) -> ContractProblem | None:
        """What keeps a dataset from having a contract; None where nothing does."""
        return next((p for p in self.problems if dataset in p.datasets), None)


def read_folder(folder: Path) -> ContractSet:
    """Read the contracts of a folder: `<dataset>.odcs.yaml`, in no folder below it.

    Raises:
        OSError: there is no such folder, or it cannot be listed.
    """
    return read_contracts(contract_files(folder))


def contract_files(folder: Path) -> dict[str, bytes | OSError]:
    """Return the files of a folder that are contracts, or nearly named like some, by name.

    What is returned for a file that cannot be read is the reason.

    Raises:
        OSError: there is no such folder, or it cannot be listed.
    """
    files: dict[str, bytes | OSError] = {}
    for path in sorted(folder.iterdir()):
        if path.name.endswith((SUFFIX, *_NEARLY)):
            try:
                files[path.name] = path.read_bytes()
            except OSError as error:
                files[path.name] = error
    return files


def read_contracts(files: Mapping[str, bytes | OSError]) -> ContractSet:
    """Read contracts by file name; a wrong one is a problem and leaves the others as they are."""
    contracts: dict[str, Contract] = {}
    problems: list[ContractProblem] = []
    for file, content in files.items():
        expected = file.removesuffix(SUFFIX)
        dataset = expected
        try:
            contract = _parsed(content, file)
            dataset = contract.dataset
            _check_name(dataset, expected, file)
        except ContractError as error:
            problems.append(_problem(error, expected, dataset))
        else:
            contracts[dataset] = contract
    contracts = {name: resolved(contract, contracts) for name, contract in contracts.items()}
    problems += _mutual_problems(contracts)
    wrong = {problem.file for problem in problems}
    good = {name: it for name, it in contracts.items() if f"{name}{SUFFIX}" not in wrong}
    return ContractSet(good, tuple(_without(problem, good) for problem in problems))


def _parsed(content: bytes | OSError, file: str) -> Contract:
    if not file.endswith(SUFFIX):
        name = file.partition(".odcs.")[0]
        raise ContractError(file, "", f"is not read: name it {name}{SUFFIX}, and write YAML")
    if isinstance(content, OSError):
        raise ContractError(file, "", f"cannot be read: {content}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ContractError(file, "", f"is not UTF-8: {error}") from error
    return parse(text, file=file)


def load_folder(folder: Path) -> dict[str, Contract]:
    """Return the contracts of a folder by dataset, which is the file name before `.odcs.yaml`.

    Raises:
        ContractError: a contract is wrong, or its file is not named after its table.
        OSError: there is no such folder.
    """
    read = read_folder(folder)
    for problem in read.problems:
        raise ContractError(problem.file, problem.path, problem.reason)
    return dict(read.contracts)


def _problem(error: ContractError, *datasets: str) -> ContractProblem:
    return ContractProblem(error.file, error.path, error.reason, frozenset(datasets))


def _without(problem: ContractProblem, good: Mapping[str, Contract]) -> ContractProblem:
    """The problem for those datasets that no other file is the contract of."""
    datasets = frozenset(n for n in problem.datasets if is_dataset(n) and n not in good)
    return ContractProblem(problem.file, problem.path, problem.reason, datasets)


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


def _check_name(dataset: str, expected: str, file: str) -> None:
    """A dataset is a folder in `landing` and part of run ids, so not every name will do."""
    if dataset != expected:
        raise ContractError(
            file,
            "schema[0].name",
            f"is {dataset!r}, but the file's name makes it dataset {expected!r}",
        )
    if not is_dataset(dataset):
        raise ContractError(file, "schema[0].name", bad_name(dataset))


def bad_name(dataset: str) -> str:
    """Why a name is not the name of a dataset."""
    if dataset in RESERVED_DATASETS:
        return f"is {dataset!r}, which has another meaning there"
    return (
        f"is {dataset!r}: a dataset's name has up to 63 of a-z, 0-9 and _, and begins "
        "with a letter or digit"
    )


def _mutual_problems(contracts: Mapping[str, Contract]) -> list[ContractProblem]:
    """What is wrong with a contract beside another one."""
    problems = []
    for dataset, contract in contracts.items():
        try:
            _check_history(contract, contracts)
            _check_relationships(contract, contracts)
        except ContractError as error:
            problems.append(_problem(error, dataset))
    return problems


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
