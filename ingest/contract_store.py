"""The contracts in force, and those by which runs were validated, each kept in the lake.

In force is the project's folder, and over it what `landfall contract push` has put into the lake.
Both are looked at again while the service runs. A contract that cannot be read is its dataset's
trouble alone: drops of that dataset wait, and all others go on.

A run's verdict names the digest of its contract. Its copy and its load go by that contract, however
long they wait and whatever is in force meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from ingest import paths
from ingest.errors import (
    AlreadyExists,
    BadRequest,
    Conflict,
    ContractMissing,
    Misconfigured,
    NotFound,
    Retryable,
)
from ingest.log import log, once
from ingest.ports import Clock, Lake
from landfall.contract.folder import (
    SUFFIX,
    Contract,
    ContractError,
    ContractProblem,
    ContractSet,
    contract_files,
    parse,
    read_contracts,
    resolved,
)

FOLDER_EVERY = timedelta(seconds=1)
Signature = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class _InForce:
    """What was read: files of the folder, and pushed ones with their ETags, by file name."""

    all: ContractSet
    files: Mapping[str, bytes | OSError]
    signature: Signature
    pushed: Mapping[str, tuple[str, bytes]]
    gone: str | None = None


class ContractStore:
    """The contracts in force by dataset, and the versions that ever were, by digest.

    Args:
        lake: where versions are kept and pushed contracts stand.
        folder: the project's folder of contracts; looked at once a second, where it is asked for.
        clock: the time now.
        every: how often the lake is asked for pushed contracts: one list call each time.

    What is kept is written once and never changed or deleted, so a process may remember it.

    Raises:
        Misconfigured: there is no such folder.
    """

    def __init__(
        self, lake: Lake, folder: Path, clock: Clock, every: timedelta = timedelta(minutes=1)
    ) -> None:
        self.lake = lake
        self._folder = folder
        self._clock = clock
        self._every = every
        self._kept: set[tuple[str, str]] = set()
        self._read: dict[tuple[str, str], Contract] = {}
        self._lock = threading.Lock()
        self._folder_seen: datetime | None = clock()
        self._lake_seen: datetime | None = None
        self._asked = False
        try:
            mark, files = signature(folder, ".odcs."), contract_files(folder)
        except OSError as error:
            raise Misconfigured(f"the folder of contracts cannot be read: {error}") from error
        contracts = read_contracts(files)
        self._state = _InForce(contracts, files, mark, {})
        _report(contracts)

    # -- what is in force -------------------------------------------------------------------

    @property
    def deployed(self) -> Mapping[str, Contract]:
        """The contracts in force, by dataset."""
        return self._current().all.contracts

    @property
    def problems(self) -> tuple[ContractProblem, ...]:
        """The files that are not in force, and why."""
        state = self._current()
        if state.gone is None:
            return state.all.problems
        return (*state.all.problems, ContractProblem(self._folder.name, "", state.gone))

    @property
    def known(self) -> frozenset[str]:
        """The datasets with a contract, be it wrong."""
        current = self._current().all
        wrong = (name for problem in current.problems for name in problem.datasets)
        return frozenset(current.contracts).union(wrong)

    def problem_of(self, dataset: str) -> ContractProblem | None:
        """What keeps a dataset from having a contract; None where nothing does."""
        return self._current().all.problem_of(dataset)

    def origin(self, dataset: str) -> str:
        """Where the contract in force comes from: `project` or `pushed`."""
        return "pushed" if f"{dataset}{SUFFIX}" in self._current().pushed else "project"

    def _current(self) -> _InForce:
        """The state, read anew where it is time and something has changed.

        Before the lake was asked once, everybody waits for its answer: what was pushed counts.
        Later one thread asks, and the others go by what was known.
        """
        now = self._clock()
        if not due(self._folder_seen, now, FOLDER_EVERY) and not due(
            self._lake_seen, now, self._every
        ):
            return self._state
        if not self._lock.acquire(blocking=not self._asked):
            return self._state
        try:
            if due(self._folder_seen, now, FOLDER_EVERY):
                self._folder_seen = now
                self._look_at_folder()
            if due(self._lake_seen, now, self._every):
                self._look_at_lake()
                self._lake_seen, self._asked = now, True
        finally:
            self._lock.release()
        return self._state

    def _look_at_folder(self) -> None:
        state = self._state
        try:
            mark = signature(self._folder, ".odcs.")
            if mark == state.signature:
                self._state = replace(state, gone=None)
                return
            files = contract_files(self._folder)
        except OSError as error:
            gone = f"the folder cannot be read, what it held stays in force: {error}"
            once(log.error, f"contracts: {gone}")
            self._state = replace(state, gone=gone)
            return
        self._take(replace(state, files=files, signature=mark, gone=None))

    def _look_at_lake(self) -> None:
        """Read the pushed contracts that have changed.

        Raises:
            Retryable: the lake was never asked before, and does not answer.
        """
        state = self._state
        try:
            pushed = dict(self._pushed(state.pushed))
        except Retryable as error:
            if not self._asked:
                raise
            once(log.warning, f"pushed contracts are not looked at: {error}")
            return
        if pushed != state.pushed:
            self._take(replace(state, pushed=pushed))

    def _pushed(
        self, known: Mapping[str, tuple[str, bytes]]
    ) -> Iterator[tuple[str, tuple[str, bytes]]]:
        for entry in self.lake.list(paths.PUSHED):
            file, etag = entry.version.path.removeprefix(paths.PUSHED), entry.version.etag
            if file in known and known[file][0] == etag:
                yield file, known[file]
                continue
            with suppress(NotFound):  # withdrawn just now
                body, etag = self.lake.get(entry.version.path)
                yield file, (etag, body)

    def _take(self, state: _InForce) -> None:
        """Put contracts in force: those of the folder, and over them those that were pushed."""
        before = self._state.all.contracts
        contracts = read_contracts(_together(state))
        self._state = replace(state, all=contracts)
        _report(contracts)
        for name in sorted(before.keys() | contracts.contracts.keys()):
            old, new = before.get(name), contracts.contracts.get(name)
            if (old and old.digest) != (new and new.digest):
                now, was = new.version if new else "none", old.version if old else "none"
                log.info("contract of %s: version %s in force, before %s", name, now, was)

    # -- the versions that were in force ----------------------------------------------------

    def keep(self, contract: Contract) -> None:
        """Write a contract into the lake, if it is not there: runs are about to depend on it."""
        name = (contract.dataset, contract.digest)
        if name in self._kept:
            return
        with suppress(AlreadyExists):
            self.lake.put(paths.contract_document(*name), contract.text.encode(), if_absent=True)
        self._kept.add(name)

    def of(self, dataset: str, digest: str | None) -> Contract:
        """The contract of a digest; without one the one in force.

        A run that was validated goes on by its version while the one in force is wrong.

        Raises:
            ContractMissing: the dataset has no contract in force, or this one is not to be had.
        """
        current = self._current().all
        deployed, problem = current.contracts.get(dataset), current.problem_of(dataset)
        if deployed is None and (problem is None or digest is None):
            raise contract_missing(dataset, problem)
        if deployed is not None and digest in (None, deployed.digest):
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

    # -- changes while the service runs -----------------------------------------------------

    def push(self, dataset: str, text: str, *, replaces: str | None) -> Contract:
        """Put a contract in force that is not in the project's folder, or another version of one.

        Args:
            dataset: whose contract it is.
            text: its YAML.
            replaces: digest of the contract in force that the caller has compared it with; empty
                where the caller knows of none.

        Raises:
            BadRequest: it is wrong, by itself or beside the others.
            Conflict: another contract is in force than the caller has compared it with.
        """
        self._read_anew()
        current = self._current()
        deployed = current.all.contracts.get(dataset)
        if replaces is not None and replaces != (deployed.digest if deployed else ""):
            now = f"version {deployed.version}" if deployed else "none"
            raise Conflict(f"the contract in force of {dataset} is {now} by now: compare again")
        file = f"{dataset}{SUFFIX}"
        together = read_contracts(_together(current) | {file: text.encode()})
        known = {problem.file for problem in current.all.problems}
        for problem in together.problems:
            if problem.file == file or problem.file not in known:
                raise BadRequest(f"the contract is not taken: {problem}", 422)
        contract = together.contracts[dataset]
        self.keep(contract)
        self.lake.put(f"{paths.PUSHED}{file}", text.encode())
        self._read_anew()
        return contract

    def withdraw(self, dataset: str) -> Contract | None:
        """Take back what was pushed; returns the contract of the project that is in force again.

        Raises:
            NotFound: nothing was pushed for this dataset.
        """
        path = f"{paths.PUSHED}{dataset}{SUFFIX}"
        if self.lake.head(path) is None:
            raise NotFound(f"no contract was pushed for dataset {dataset}")
        self.lake.delete(path)
        self._read_anew()
        return self.deployed.get(dataset)

    def _read_anew(self) -> None:
        self._lake_seen = None


@dataclass
class ContractChanges:
    """Which contracts have changed since they were seen last: runs that wait for them can go on."""

    _digests: dict[str, str] | None = None

    def seen(self, contracts: Mapping[str, Contract]) -> frozenset[str]:
        """The datasets whose contract is another than at the last call; none at the first."""
        before, now = self._digests, {name: it.digest for name, it in contracts.items()}
        self._digests = now
        if before is None:
            return frozenset()
        return frozenset(name for name, digest in now.items() if before.get(name) != digest)


def contract_missing(dataset: str, problem: ContractProblem | None) -> ContractMissing:
    """Why drops of a dataset wait for a person."""
    if problem is not None:
        return ContractMissing(
            f"the contract of dataset {dataset} is wrong, its drops wait until it is corrected: "
            f"{problem}"
        )
    return ContractMissing(
        f"no contract of dataset {dataset} is deployed: its runs wait until there is one"
    )


def _together(state: _InForce) -> dict[str, bytes | OSError]:
    return {**state.files, **{file: body for file, (_, body) in state.pushed.items()}}


def _report(contracts: ContractSet) -> None:
    for problem in contracts.problems:
        waiting = ", ".join(sorted(problem.datasets))
        once(log.error, f"{problem}" + (f"; drops of {waiting} wait" if waiting else ""))


def due(last: datetime | None, now: datetime, every: timedelta) -> bool:
    """Whether it is time again; a clock that was turned back makes it time, too."""
    return last is None or not timedelta(0) <= now - last < every


def signature(folder: Path, part: str = "") -> Signature:
    """What changes when a file of a folder does: names, times and sizes of those with `part`.

    Raises:
        OSError: there is no such folder, or it cannot be listed.
    """
    marks = []
    for entry in folder.iterdir():
        if part in entry.name:
            try:
                status = entry.stat()
            except OSError:
                marks.append((entry.name, 0, 0))
            else:
                marks.append((entry.name, status.st_mtime_ns, status.st_size))
    return tuple(sorted(marks))
