"""The service: what a trigger, a caller or a tick can ask of it.

Every method may be called any number of times, by anyone, at any moment. What is left to do goes
back as messages for the queue; a method that is interrupted is taken up again from the documents.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeVar

from ingest import paths
from ingest.contract_store import ContractChanges, ContractStore
from ingest.errors import (
    BadRequest,
    Blocked,
    Collision,
    Conflict,
    ContractMissing,
    Damaged,
    LandfallError,
    NotFound,
    Retryable,
    Stale,
    WorkerLost,
)
from ingest.log import log, once
from ingest.operations.erasure.erasures import Erasures
from ingest.operations.operators import Operators
from ingest.operations.replays import Replays
from ingest.ports import Clock, Lake, ListEntry, Version
from ingest.reconcile.backlog import Backlog, Caps
from ingest.reconcile.days import DayBook
from ingest.reconcile.pulse import Pulse
from ingest.reconcile.reminders import SentMessages
from ingest.reconcile.tick import TickRules, due, unannounced, validated_remotely
from ingest.runs import archive
from ingest.runs.document import Listed, slim
from ingest.runs.messages import (
    Advance,
    Claim,
    Erase,
    LoadDataset,
    Message,
    Replay,
    Tick,
    decode,
)
from ingest.runs.register import Register, Stored
from ingest.runs.run import Run, held_up
from ingest.runs.search import RunQuery
from ingest.runs.states import COMMANDS, Command, Event
from ingest.sources.extraction import Extraction
from ingest.stages.claim import claim, end, take, taken
from ingest.stages.copy import CopyStage, FenceAnswer
from ingest.stages.copy_limit import CopyLimit
from ingest.stages.load.batching import Limits
from ingest.stages.load.stage import BatchLoader
from ingest.stages.validate.stage import ValidationStage
from landfall import protocol
from landfall.contract.folder import Contract
from landfall.protocol import FINAL, State

Item = TypeVar("Item")

_LONG = frozenset({Command.CLAIM, Command.VALIDATE})

SHOWN = timedelta(seconds=10)
"""How old a long backlog may be that only tells what a run waits for."""
RECALL = timedelta(hours=1)
"""How long after its end a run still answers for the path that it came from."""
RECALL_LANDED = timedelta(days=7)
"""How long ago a drop may have landed to be looked for by its path."""


@dataclass(frozen=True)
class Landfall:
    """The stages, put together by `ingest.wiring`."""

    lake: Lake
    manifest: Register
    store: ContractStore
    clock: Clock
    validation: ValidationStage
    copying: CopyStage
    loading: BatchLoader
    ticks: TickRules
    gate: CopyLimit
    batches: Limits
    caps: Caps
    account_hosts: frozenset[str]
    reminders: SentMessages
    days: DayBook
    extraction: Extraction
    erasures: Erasures
    pulse: Pulse
    contract_changes: ContractChanges = field(default_factory=ContractChanges)
    max_faults: int = 5
    max_blocked: timedelta = timedelta(days=3)
    _shown: list[Backlog] = field(default_factory=list)

    @property
    def contracts(self) -> Mapping[str, Contract]:
        """The deployed contracts, by dataset."""
        return self.store.deployed

    @property
    def folders(self) -> frozenset[str]:
        """The datasets whose drops are folders, each closed by a marker.

        Of a dataset whose contract is wrong it is not known: see `_is_drop`.
        """
        kinds = {name: contract.delivery.kind for name, contract in self.contracts.items()}
        return frozenset(name for name, kind in kinds.items() if kind == "folder")

    # -- how drops become known -------------------------------------------------------------

    def on_landing(self, path: str) -> list[Message]:
        """An event says that something stands at a path in landing: claim it, if it is a drop.

        The event may be late, doubled or early: what counts is what stands there now. An empty file
        is an upload that has just begun; when it stays empty the sweep takes it.
        """
        if not path.startswith(f"{protocol.LANDING}/") or not self._is_drop(path):
            log.info("%s is not a drop: left alone", path)
            return []
        version = self.lake.head(path)
        if version is None:
            log.info("%s is not there (any more): claimed before, or deleted", path)
            return []
        if version.pending:
            log.info("%s is still being copied there: left to the sweep", path)
            return []
        marker = path.endswith(f"/{paths.MARKER}")
        if not marker and version.size == 0 and self.clock() - version.modified < self.ticks.settle:
            log.info("%s is empty: an upload has begun", path)
            return []
        return next_messages(self._claim(version, protocol.dataset_of(path), "event"))

    def ingest(self, dataset: str, path: str) -> tuple[Run, list[Message]]:
        """A caller asks for the file at a path (or URL) in landing to be taken in.

        A claimed file is not in landing any more, so a caller who asks a second time finds its path
        empty. What is answered then is the run of that path which is under way, or ended within
        `RECALL`.

        Raises:
            NotFound: no such dataset, or no such file.
            BadRequest: the path is not in this account's landing container.
        """
        if dataset not in self.contracts and self.store.problem_of(dataset) is None:
            known = ", ".join(sorted(self.contracts))
            raise NotFound(f"there is no dataset {dataset!r}; there are: {known}")
        landing_path = paths.landing_path(path, self.account_hosts).removesuffix(f"/{paths.MARKER}")
        version = self.lake.head(landing_path)
        if version is None and dataset in self.folders:
            version = self.lake.head(f"{landing_path}/{paths.MARKER}")
        elif version and not self._is_drop(landing_path):
            raise BadRequest(
                f"{landing_path} is part of a folder, or a writer's own file: name the folder, "
                f"when it has its {paths.MARKER}",
                422,
            )
        if version is None:
            return self._recall(landing_path, dataset), []
        if version.pending:
            raise Conflict(f"{landing_path} is still being copied there: ask when that is done")
        run = self._claim(version, dataset, "http")
        return run, next_messages(run)

    def _is_drop(self, path: str) -> bool:
        """Whether a landed file is a drop by itself, as far as that can be told now.

        While the contract of a dataset is wrong nobody knows whether its drops are folders: what
        lies in a folder stays in landing until the contract is corrected.
        """
        in_folder = path.count("/") > 2  # noqa: PLR2004 - landing/dataset/name
        if in_folder and self.store.problem_of(protocol.dataset_of(path)):
            return False
        return paths.is_drop(path, self.folders)

    def _claim(self, version: Version, dataset: str, via: str) -> Run:
        return claim(
            version, dataset, via, lake=self.lake, manifest=self.manifest, clock=self.clock
        ).run

    def _recall(self, landing_path: str, dataset: str) -> Run:
        now = self.clock()
        listed = self.manifest.latest_of(landing_path, dataset, now - RECALL_LANDED)
        if listed is None or (listed.state in FINAL and now - listed.updated > RECALL):
            raise NotFound(f"there is no file {landing_path}")
        return self.manifest.get(listed.run_id, fresh=True).run

    # -- how runs go on ---------------------------------------------------------------------

    def handle(self, message: Message, deliveries: int = 1) -> list[Message]:
        """Do what one message of the queue says.

        A message that is delivered again was given back, or its worker was killed at it; then the
        next leaves a trace before it begins, so that deaths are counted.

        Raises:
            Retryable: another side did not answer; the queue delivers the message again.
        """
        if not isinstance(message, Tick):
            self.pulse.beat()
        match message:
            case Advance(run_id, in_raw):
                return self.advance(run_id, in_raw=in_raw, redelivered=deliveries > 1)
            case Claim(path):
                return self.sweep(path)
            case LoadDataset(dataset):
                return self.load(dataset)
            case Replay(replay_id):
                reopened, more = self.replays.step(replay_id)
                messages = [message for run in reopened for message in next_messages(run)]
                return [*messages, message] if more else messages
            case Erase(erasure_id):
                return [message] if self.erasures.step(erasure_id) else []
            case Tick(due):
                return self.tick(due)

    def sweep(self, path: str) -> list[Message]:
        """Claim a settled file of which no event has told."""
        version = self.lake.head(path)
        settled = version and self.clock() - version.modified >= self.ticks.settle
        if version is None or not settled or version.pending:
            return []
        return next_messages(self._claim(version, protocol.dataset_of(path), "sweep"))

    def advance(
        self, run_id: str, *, in_raw: bool = False, redelivered: bool = False
    ) -> list[Message]:
        """Take a run one step further; a step that keeps failing by itself ends the run.

        `redelivered` says that a worker may have died of it: this one writes down that it begins.

        The document that this process remembers is good for a step that ends in a conditional
        write. A step on it that wrote nothing, or could not, is done once more on the document as
        it stands. A file is not validated in vain for it: then it has to be just claimed.
        """
        remembered = self.manifest.remembered(run_id)
        if remembered is not None and (in_raw or COMMANDS[remembered.run.state] not in _LONG):
            with suppress(Stale):
                messages = self._advance(remembered, in_raw=in_raw, redelivered=redelivered)
                if messages is not None:
                    return messages
        try:
            stored = self.manifest.find_active(run_id)
        except Damaged as error:
            once(log.error, f"run {run_id} is set aside: {error}")
            return []
        if stored is None:
            log.info("run %s has ended: an old message", run_id)
            return []
        return self._advance(stored, in_raw=in_raw, redelivered=redelivered) or []

    def _advance(self, stored: Stored, *, in_raw: bool, redelivered: bool) -> list[Message] | None:
        """The messages after one step on a document; None where the step wrote nothing."""
        try:
            moved = self._step(stored, in_raw=in_raw, redelivered=redelivered)
        except WorkerLost as error:
            return self._lost(stored.run, error)
        except Blocked as error:
            self._block(stored.run, error)
            return []
        except Retryable:
            raise
        except Exception as error:  # noqa: BLE001 - a bug must not lose a run: it is counted
            return self._failed(stored.run, error)
        if moved is None or (moved.path, moved.etag) == (stored.path, stored.etag):
            return None
        return self._following(moved.run)

    def _following(self, run: Run) -> list[Message]:
        """What follows at once after a step that moved a run."""
        if run.state is State.COPIED and not self.loading.arrived(run.dataset):
            return []
        return next_messages(run)

    def _failed(self, seen: Run, error: Exception) -> list[Message]:
        """Count a failure of a step; the queue brings the message again until there are enough."""
        if isinstance(error, Collision):
            once(log.error, f"run {seen.run_id} is set aside: {error}")
            return []
        log.error("run %s: %s failed", seen.run_id, seen.state, exc_info=error)
        run = self._fault(seen, error)
        if run is None or run.final:
            return []
        raise Retryable(f"run {run.run_id}: {run.state} failed: {error}") from error

    def _lost(self, seen: Run, error: WorkerLost) -> list[Message]:
        """Count a worker that fell silent, if it is still its lease that the document has."""
        stored = self.manifest.get(seen.run_id, fresh=True)
        if stored.run.final or stored.run.lease != seen.lease:
            return []
        log.warning("run %s: %s", seen.run_id, error)
        return [] if self._count(stored, error).final else [Advance(seen.run_id)]

    def _block(self, seen: Run, error: Blocked) -> None:
        """Write down what a run waits for; one that has waited for long enough has failed."""
        stored = self.manifest.get(seen.run_id, fresh=True)
        if stored.run.final or not self._same_step(seen, stored.run):
            return
        once(log.error, f"{stored.run.dataset}: runs wait: {error}")
        run = held_up(stored.run, str(error), self.clock(), self.max_blocked)
        if run is not None and run.final:
            end(stored, run, self.manifest)
        elif run is not None:
            self.manifest.update(stored, run)

    def _step(self, stored: Stored, *, in_raw: bool, redelivered: bool) -> Stored | None:
        """The run after one step; None where nothing follows from it at once."""
        run = stored.run
        match COMMANDS[run.state]:
            case Command.CLAIM:
                moved = taken(stored, self.clock) if in_raw else self._take(stored)
                return self._validate(moved, redelivered=redelivered)
            case Command.VALIDATE:
                return self._validate(stored, redelivered=redelivered)
            case Command.START_COPY:  # the tick asks for it, where there is room
                return self.copying.plan(stored)
            case Command.WATCH_COPY:
                return self.copying.advance(stored)
            case Command.ARCHIVE:
                return self.manifest.file(stored)
        return stored  # a load is a step of its dataset

    def _take(self, stored: Stored) -> Stored:
        return take(stored, lake=self.lake, manifest=self.manifest, clock=self.clock)

    def _validate(self, stored: Stored, *, redelivered: bool) -> Stored | None:
        if stored.run.final:  # its source was gone
            return None
        validated_remotely = self.validation.advance(stored, redelivered=redelivered)
        if validated_remotely and validated_remotely.run.state is State.COPYING:
            return self.copying.start(validated_remotely)
        return validated_remotely

    def _fault(self, seen: Run, error: Exception) -> Run | None:
        """Count a failure that no outside can be blamed for; the last of too many ends the run.

        It is not counted where somebody else has moved the run meanwhile: then it was not the run
        as it is now that failed.
        """
        stored = self.manifest.get(seen.run_id, fresh=True)
        return self._count(stored, error) if self._same_step(seen, stored.run) else None

    def _same_step(self, seen: Run, run: Run) -> bool:
        """Whether a run is still where a step of this worker began, but for what that wrote."""
        lease = run.lease
        others = lease and lease.owner != self.validation.worker and lease.until > self.clock()
        begun = {seen.state}
        if COMMANDS[seen.state] in _LONG:
            begun |= {State.CLAIMED, State.VALIDATING}
        return (
            not others
            and run.state in begun
            and run.reopened == seen.reopened
            and (run.copy and run.copy.attempt_id) == (seen.copy and seen.copy.attempt_id)
        )

    def _count(self, stored: Stored, error: Exception) -> Run:
        run, step = stored.run, str(stored.run.state)
        count = run.faults.get(step, 0) + 1
        counted = replace(run, faults={**run.faults, step: count}, lease=None)
        if count < self.max_faults:
            return self.manifest.update(stored, counted).run
        cause = f"{step} failed {count} times; last: {type(error).__name__}: {error}"
        ended = counted.apply(Event.FAIL, cause, self.clock())
        return end(stored, ended, self.manifest).run

    def handle_poison_message(self, body: bytes, message_id: str) -> None:
        """Keep what is known of a message that the queue gave up on.

        The tick takes its run up again, so a side that was away for long delays runs and fails
        none. What cannot even be read is kept in the manifest for a person to look at.
        """
        try:
            log.error("given up by the queue, left to the tick: %s", decode(body))
        except BadRequest as error:
            path = f"{paths.MANIFEST}/poison/{self.clock():%Y%m%dT%H%M%SZ}-{message_id}"
            self.lake.put(path, body)
            log.error("%s; kept as %s", error, path)

    def load(self, dataset: str) -> list[Message]:
        """Take the load of a dataset's copied drops one step further."""

        def table(digest: str | None) -> Mapping[str, Any]:
            return self.store.of(dataset, digest).table()

        try:
            more = self.loading.step(
                dataset, table, self.limits_of(dataset), lambda: self._unclaimed(dataset)
            )
        except (ContractMissing, Damaged) as error:
            once(log.error, f"the load of {dataset} waits: {error}")
            return []
        return [LoadDataset(dataset)] if more else []

    def _unclaimed(self, dataset: str) -> str | None:
        """How the id would begin of the oldest drop of a dataset that nobody has claimed yet."""
        unannounced = (entry.version for entry in self.lake.list(f"{protocol.LANDING}/{dataset}/"))
        times = [v.modified for v in unannounced if self._is_drop(v.path)]
        return protocol.id_prefix(min(times)) if times else None

    def limits_of(self, dataset: str) -> Limits:
        """The limits of a dataset's batches: its contract's, else the service's."""
        contract = self.contracts.get(dataset)
        return self.batches.of(contract.delivery) if contract else self.batches

    def backlog(self) -> Backlog:
        """What waits, and for what; costs one list call, and a look at each load under way."""
        known = {name for problem in self.store.problems for name in problem.datasets}
        limits = {name: self.limits_of(name) for name in known.union(self.contracts)}
        aside: dict[str, str] = {}
        runs = tuple(self.manifest.active(aside))
        blocked: dict[str, str] = {}
        for dataset in sorted({run.dataset for run in runs if run.state is State.LOADING}):
            try:
                cause = self.loading.blocked(dataset)
            except Damaged as error:
                cause = f"{paths.current_batch(dataset)} cannot be read: {error}"
                aside[paths.current_batch(dataset)] = str(error)
            if cause:
                blocked[dataset] = cause
        return Backlog(runs, limits, self.caps, self.clock(), blocked, aside)

    def backlog_lately(self) -> Backlog:
        """The backlog to show what one run waits for: where it is long, as it was seconds ago."""
        shown = self._shown[-1] if self._shown else None
        long = shown is not None and len(shown.runs) >= archive.PAGE
        if shown is None or not long or self.clock() - shown.now >= SHOWN:
            shown = self.backlog()
            self._shown[:] = [shown]
        return shown

    def tick(self, due: str = "") -> list[Message]:
        """One tick of the timer, or of the pulse, which goes on while something is active."""
        messages, active = self._look()
        self.days.tick()
        if active:
            self.pulse.beat(due)
        return messages

    def reconcile(self) -> list[Message]:
        """Messages for all that can move, and for what has landed unannounced.

        A side that does not answer is left for the next tick; the others are looked at anyway.
        """
        return self._look()[0]

    def _look(self) -> tuple[list[Message], bool]:
        """What `reconcile` returns, and whether anything is on its way."""
        now = self.clock()
        service, rules = self.copying.service, self.copying.rules
        watched = list(_answered(self._watched()))
        corrected = self.contract_changes.seen(self.contracts)
        unblocked = [
            Advance(run.run_id)
            for run in watched
            if run.dataset in corrected and run.steering.get("blocked")
        ]
        landed = _Counted(self._landing())
        messages = [
            *_answered(due(watched, now, self.ticks, rules, service)),
            *_answered(validated_remotely(watched, self.validation.job.jobs)),
            *_answered(self.replays.open()),
            *_answered(self.erasures.open()),
            *_answered(unannounced(landed, now, self.ticks, self.folders)),
        ]
        # The loads of datasets are looked at by each tick; there are few of them.
        loads = [message for message in messages if isinstance(message, LoadDataset)]
        others = [message for message in messages if not isinstance(message, LoadDataset)]
        fresh = list(self.reminders.fresh(others, now))
        found = [*loads, *(m for m in unblocked if m not in fresh), *fresh]
        return found, bool(watched or messages or landed.count)

    def _landing(self) -> Iterator[ListEntry]:
        entries = self.lake.list(f"{protocol.LANDING}/")
        yield from (entry for entry in entries if self._is_drop(entry.version.path))

    def _watched(self) -> Iterator[Listed]:
        """The active runs without those that wait for a copy and have no room, oldest first."""
        runs = [slim(run) for run in self.manifest.active()]
        copying = sum(run.state is State.COPYING for run in runs)
        waiting = sum(run.state is State.VALIDATED for run in runs)
        self.gate.learn(copying + waiting)
        room = self.gate.cap - copying
        for run in runs:
            if run.state is State.VALIDATED:
                room -= 1
            if run.state is not State.VALIDATED or room >= 0:
                yield run

    # -- Data Factory calls back ------------------------------------------------------------

    def fence(self, run_id: str, attempt_id: str, adf_run_id: str) -> FenceAnswer:
        """A pipeline run asks whether it may copy."""
        return self.copying.fence(run_id, attempt_id, adf_run_id)

    # -- what is asked of runs --------------------------------------------------------------

    @property
    def operators(self) -> Operators:
        """What a person may ask of a run."""
        return Operators(
            lake=self.lake,
            manifest=self.manifest,
            store=self.store,
            clock=self.clock,
            validation=self.validation,
            copying=self.copying,
        )

    @property
    def replays(self) -> Replays:
        """Replays of many runs."""
        return Replays(self.lake, self.manifest, self.operators, self.clock)

    def find_runs(
        self, query: RunQuery, limit: int, cursor: str | None = None
    ) -> tuple[list[Listed], str | None]:
        """The runs that a caller means, newest first, and the cursor that goes on after them."""
        return self.manifest.search(
            query.matches,
            limit=limit,
            before=min(filter(None, (cursor, query.before)), default=None),
            since=query.since,
            dataset=query.dataset,
            state=query.state,
        )

    def report(self, run_id: str) -> Mapping[str, Any]:
        """The validation report of a run.

        Raises:
            NotFound: there is no such run, or it has not been validated yet.
        """
        return self.validation.contents.report(self.manifest.get(run_id, fresh=True).run)


class _Counted:
    """Items, and how many of them were asked for."""

    def __init__(self, items: Iterator[ListEntry]) -> None:
        self._items = items
        self.count = 0

    def __iter__(self) -> Iterator[ListEntry]:
        for item in self._items:
            self.count += 1
            yield item


def _answered(items: Iterator[Item]) -> Iterator[Item]:
    """The items up to the point where a side did not answer, or refused."""
    try:
        yield from items
    except Blocked as error:
        once(log.error, f"tick: {error}")
    except LandfallError as error:
        log.warning("tick: %s", error)


def next_messages(run: Run) -> list[Message]:
    """What to put on the queue after a step: states that wait for others wait for the tick.

    One that is `validated` waits for room among the copies, which the tick hands out.
    """
    if run.state is State.CLAIMED:
        return [Advance(run.run_id, in_raw=True)]
    if run.state is State.RECEIVED:
        return [Advance(run.run_id)]
    if run.state is State.COPIED:
        return [LoadDataset(run.dataset)]
    return []
