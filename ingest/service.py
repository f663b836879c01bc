"""The service: what a trigger, a caller or a tick can ask of it.

Every method may be called any number of times, by anyone, at any moment. What is left to do goes
back as messages for the queue; a method that is interrupted is taken up again from the documents.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from ingest import paths
from ingest.contract_store import ContractChanges, ContractStore
from ingest.errors import (
    BadRequest,
    Blocked,
    Conflict,
    Damaged,
    LandfallError,
    NotFound,
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
    next_messages,
)
from ingest.runs.register import Register
from ingest.runs.run import Run
from ingest.runs.search import RunQuery
from ingest.stages.base import NO_HINT, Context, Hint
from ingest.stages.claim import claim
from ingest.stages.copy import FenceAnswer
from ingest.stages.way import RunWay
from landfall import protocol
from landfall.contract.folder import Contract
from landfall.protocol import FINAL, State

if TYPE_CHECKING:  # a cold start does without
    from ingest.sources.extraction import Extraction

Item = TypeVar("Item")

SHOWN = timedelta(seconds=10)
"""How old a long backlog may be that only tells what a run waits for."""
RECALL = timedelta(hours=1)
"""How long after its end a run still answers for the path that it came from."""
RECALL_LANDED = timedelta(days=7)
"""How long ago a drop may have landed to be looked for by its path."""


@dataclass(frozen=True)
class Landfall:
    """The stages, put together by `ingest.wiring`."""

    way: RunWay
    ticks: TickRules
    caps: Caps
    account_hosts: frozenset[str]
    reminders: SentMessages
    days: DayBook
    extraction: Extraction
    erasures: Erasures
    pulse: Pulse
    contract_changes: ContractChanges = field(default_factory=ContractChanges)
    _shown: list[Backlog] = field(default_factory=list)

    @property
    def context(self) -> Context:
        """What all stages share."""
        return self.way.context

    @property
    def lake(self) -> Lake:
        """The lake."""
        return self.context.lake

    @property
    def manifest(self) -> Register:
        """The register of all runs."""
        return self.context.manifest

    @property
    def clock(self) -> Clock:
        """The time now."""
        return self.context.clock

    @property
    def store(self) -> ContractStore:
        """The contracts in force, and those by which runs were validated."""
        return self.context.contracts

    @property
    def contracts(self) -> Mapping[str, Contract]:
        """The deployed contracts, by dataset."""
        return self.store.deployed

    # -- how drops become known -------------------------------------------------------------

    def on_landing(self, path: str) -> list[Message]:
        """An event says that something stands at a path in landing: claim it, if it is a drop.

        The event may be late, doubled or early: what counts is what stands there now. An empty file
        is an upload that has just begun; when it stays empty the sweep takes it.
        """
        if not path.startswith(f"{protocol.LANDING}/") or not self.context.landing.is_drop(path):
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
        if version is None and dataset in self.context.landing.folders:
            version = self.lake.head(f"{landing_path}/{paths.MARKER}")
        elif version and not self.context.landing.is_drop(landing_path):
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
                return self.advance(run_id, Hint(in_raw, redelivered=deliveries > 1))
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

    def advance(self, run_id: str, hint: Hint = NO_HINT) -> list[Message]:
        """Take a run one step further on its way; see `ingest.stages.way`."""
        return self.way.advance(run_id, hint)

    def load(self, dataset: str) -> list[Message]:
        """Take the load of a dataset's copied drops one step further."""
        return [LoadDataset(dataset)] if self.way.load.step(dataset) else []

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

    def backlog(self) -> Backlog:
        """What waits, and for what; costs one list call, and a look at each load under way."""
        known = {name for problem in self.store.problems for name in problem.datasets}
        limits = {name: self.way.load.limits_of(name) for name in known.union(self.contracts)}
        aside: dict[str, str] = {}
        runs = tuple(self.manifest.active(aside))
        blocked: dict[str, str] = {}
        for dataset in sorted({run.dataset for run in runs if run.state is State.LOADING}):
            try:
                cause = self.way.load.batches.blocked(dataset)
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
        context, landing = self.context, self.context.landing
        watched = list(_answered(self._watched()))
        corrected = self.contract_changes.seen(self.contracts)
        unblocked = [
            Advance(run.run_id)
            for run in watched
            if run.dataset in corrected and run.steering.get("blocked")
        ]
        landed = _Counted(landing.drops())
        messages = [
            *_answered(due(watched, now, self.ticks, context.rules.copy, context.copier)),
            *_answered(validated_remotely(watched, context.validator)),
            *_answered(self.replays.open()),
            *_answered(self.erasures.open()),
            *_answered(unannounced(landed, now, self.ticks, landing.folders)),
        ]
        # The loads of datasets are looked at by each tick; there are few of them.
        loads = [message for message in messages if isinstance(message, LoadDataset)]
        others = [message for message in messages if not isinstance(message, LoadDataset)]
        fresh = list(self.reminders.fresh(others, now))
        found = [*loads, *(m for m in unblocked if m not in fresh), *fresh]
        return found, bool(watched or messages or landed.count)

    def _watched(self) -> Iterator[Listed]:
        """The active runs without those that wait for a copy and have no room, oldest first."""
        runs = [slim(run) for run in self.manifest.active()]
        copying = sum(run.state is State.COPYING for run in runs)
        waiting = sum(run.state is State.VALIDATED for run in runs)
        self.context.copy_limit.learn(copying + waiting)
        room = self.context.copy_limit.cap - copying
        for run in runs:
            if run.state is State.VALIDATED:
                room -= 1
            if run.state is not State.VALIDATED or room >= 0:
                yield run

    # -- Data Factory calls back ------------------------------------------------------------

    def fence(self, run_id: str, attempt_id: str, adf_run_id: str) -> FenceAnswer:
        """A pipeline run asks whether it may copy."""
        return self.way.copy.fence(run_id, attempt_id, adf_run_id)

    # -- what is asked of runs --------------------------------------------------------------

    @property
    def operators(self) -> Operators:
        """What a person may ask of a run."""
        return Operators(self.way)

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
        return self.context.contents.report(self.manifest.get(run_id, fresh=True).run)


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
