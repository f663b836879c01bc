"""Checks a team's whole folder: each contract by itself and by the standard, and all together.

Gold tables are checked too: statements, what they read, circles, and what stands beside them. So
are sources: by their schema, and against the contracts of the datasets that they feed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from landfall.authoring.lint import lint
from landfall.contract.folder import ContractError, ContractSet, read_folder
from landfall.gold import GoldFolder, read_gold
from landfall.sources.reader import SourceFolder
from landfall.sources.reader import load_folder as load_sources

CONTRACTS, GOLD, SOURCES = "contracts", "gold", "sources"


@dataclass(frozen=True)
class Finding:
    """What is to be said of a file of the project.

    Attributes:
        file: below the project's folder; place: in it, empty for the whole file.
        wrong: whether it is not in force because of it; else it is worth a thought.
    """

    file: str
    place: str
    text: str
    wrong: bool = True

    def __str__(self) -> str:
        place = f": {self.place}" if self.place else ""
        return f"{'wrong' if self.wrong else 'note'}  {self.file}{place}: {self.text}"

    def to_dict(self) -> dict[str, Any]:
        """The finding as a JSON object."""
        return {"file": self.file, "place": self.place, "text": self.text, "wrong": self.wrong}


def check(project: Path) -> list[Finding]:
    """Check a project; what is wrong comes first.

    Raises:
        OSError: it has no folder of contracts, or that cannot be listed.
    """
    contracts = read_folder(project / CONTRACTS)
    known = {name for problem in contracts.problems for name in problem.datasets}
    gold = read_gold(project / GOLD, known.union(contracts.contracts))
    sources = load_sources(project / SOURCES, contracts.contracts)
    findings = [*_contracts(contracts), *_gold(gold), *_sources(sources, known)]
    return sorted(findings, key=lambda finding: (not finding.wrong, finding.file))


def _contracts(contracts: ContractSet) -> Iterator[Finding]:
    for problem in contracts.problems:
        yield Finding(f"{CONTRACTS}/{problem.file}", problem.path, problem.reason)
    for contract in contracts.contracts.values():
        file = f"{CONTRACTS}/{contract.dataset}.odcs.yaml"
        try:
            lint(contract.text, file=file)
        except ContractError as error:
            yield Finding(file, error.path, error.reason)
        for relationship in contract.relationships:
            if relationship.dataset not in contracts.contracts:
                columns = ", ".join(relationship.columns)
                text = f"refers to dataset {relationship.dataset}, which has no contract in force"
                yield Finding(file, f"relationships of {columns}", text, wrong=False)


def _gold(gold: GoldFolder) -> Iterator[Finding]:
    for problem in gold.problems:
        yield Finding(f"{GOLD}/{problem.file}", problem.place, problem.reason)


def _sources(sources: SourceFolder, known: set[str]) -> Iterator[Finding]:
    """Yield what is wrong with sources; `known` are datasets whose contract is wrong itself."""
    for error in sources.errors.values():
        place = f"line {error.line}, {error.path}" if error.path else f"line {error.line}"
        feeds_wrong = error.path.endswith(".dataset") and any(
            f"{name!r}" in error.reason for name in known
        )
        reason = f"{error.reason}; its contract is wrong" if feeds_wrong else error.reason
        yield Finding(f"{SOURCES}/{error.file}", place, reason)
