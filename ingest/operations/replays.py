"""A replay of many runs: which ones is written down once, then they are taken up a few at a time.

The list is frozen when the replay is asked for. Each step reopens the next few runs and notes how
far it came; the replay's id is the token of each reopening, so a step that is done twice reopens
nothing twice. While a replay is open the tick reminds the queue of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from ingest import paths
from ingest.errors import AlreadyExists, BadRequest, Conflict, NotFound, Retryable
from ingest.operations.operators import OperatorRequest, Operators, ReplayOrigin
from ingest.ports import Clock, Lake, ListEntry
from ingest.runs.document import Listed
from ingest.runs.messages import Message, Replay
from ingest.runs.register import Register
from ingest.runs.run import Run
from landfall.protocol import State

MAX_RUNS = 10_000
STEP = 20
"""Runs that one message reopens: some seconds of work."""


@dataclass(frozen=True)
class ReplayQuery:
    """Which ended runs: of a dataset, in a state, whose drops landed in a stretch of time."""

    dataset: str
    state: State = State.SUCCEEDED
    landed_from: datetime | None = None
    landed_to: datetime | None = None


@dataclass(frozen=True)
class ReplayPlan:
    """One replay; `next` counts the runs that are dealt with, `refused` says why of those left.

    `by` is who asked for it, where the platform knows.
    """

    replay_id: str
    origin: ReplayOrigin
    reason: str
    query: Mapping[str, Any]
    created: str
    runs: tuple[str, ...]
    next: int = 0
    refused: Mapping[str, str] = field(default_factory=dict)
    by: str | None = None
    schema: int = 1

    @property
    def done(self) -> bool:
        """Whether every run was dealt with."""
        return self.next >= len(self.runs)


@dataclass(frozen=True)
class Replays:
    """Finds the runs of a replay, and takes them up."""

    lake: Lake
    manifest: Register
    operators: Operators
    clock: Clock

    def select(self, query: ReplayQuery) -> list[Listed]:
        """The runs that a query means, oldest first.

        Raises:
            BadRequest: there are more than one replay takes.
        """
        runs: list[Listed] = []
        for run in self.manifest.ended(
            query.dataset, query.state, query.landed_from, query.landed_to
        ):
            runs.append(run)
            if len(runs) > MAX_RUNS:
                raise BadRequest(
                    f"more than {MAX_RUNS} runs: ask for a shorter time by landed_from, landed_to",
                    422,
                )
        return sorted(runs, key=lambda run: run.run_id)

    def start(
        self,
        replay_id: str,
        query: ReplayQuery,
        origin: ReplayOrigin,
        reason: str,
        by: str | None = None,
    ) -> ReplayPlan:
        """Write down a replay; one that is written down already is answered as it is."""
        try:
            return self.get(replay_id)
        except NotFound:
            pass
        plan = ReplayPlan(
            replay_id=replay_id,
            origin=origin,
            reason=reason,
            query={name: value and str(value) for name, value in asdict(query).items()},
            created=self.clock().isoformat(),
            runs=tuple(run.run_id for run in self.select(query)),
            by=by,
        )
        try:
            self.lake.put(paths.replay_document(replay_id), _dump(plan), if_absent=True)
        except AlreadyExists:
            return self.get(replay_id)
        return plan

    def get(self, replay_id: str) -> ReplayPlan:
        """A replay as it stands.

        Raises:
            NotFound: there is none of that id.
        """
        return self._read(replay_id)[0]

    def _read(self, replay_id: str) -> tuple[ReplayPlan, str]:
        # It may be filed between the two looks, never brought back.
        for done in (False, True):
            try:
                body, etag = self.lake.get(paths.replay_document(replay_id, done=done))
            except NotFound:
                continue
            return _parse(body), etag
        raise NotFound(f"there is no replay {replay_id}")

    def step(self, replay_id: str) -> tuple[list[Run], bool]:
        """Reopen the next runs; returns them, and whether there are more.

        Where one cannot be reopened now, those before it are written down, so that the next step
        begins there.

        Raises:
            Retryable: the lake did not answer at the first, or another worker was faster.
        """
        try:
            body, etag = self.lake.get(paths.replay_document(replay_id))
        except NotFound:
            return [], False
        plan = _parse(body)
        operator_request = OperatorRequest(plan.reason, plan.replay_id, plan.by)
        reopened: list[Run] = []
        refused = dict(plan.refused)
        reached = plan.next
        for run_id in plan.runs[plan.next : plan.next + STEP]:
            try:
                reopened.append(self.operators.replay(run_id, plan.origin, operator_request))
            except (Conflict, NotFound) as error:
                refused[run_id] = str(error)
            except Retryable:
                if reached == plan.next:
                    raise
                break
            reached += 1
        plan = replace(plan, next=reached, refused=refused)
        etag = self.lake.put(paths.replay_document(replay_id), _dump(plan), if_match=etag)
        if plan.done:
            self._close(replay_id, etag)
        return reopened, not plan.done

    def _close(self, replay_id: str, etag: str) -> None:
        source, target = (paths.replay_document(replay_id, done=done) for done in (False, True))
        self.lake.rename(source, target, etag=etag)

    def open(self) -> Iterator[Message]:
        """A message for each replay that is not done."""
        yield from map(_reminder, self.lake.list(paths.REPLAYS))


def _reminder(entry: ListEntry) -> Message:
    return Replay(entry.version.path.rsplit("/", 1)[-1].removesuffix(".json"))


def _dump(plan: ReplayPlan) -> bytes:
    return json.dumps(asdict(plan)).encode()


def _parse(body: bytes) -> ReplayPlan:
    raw = json.loads(body)
    known = {name: raw[name] for name in ReplayPlan.__dataclass_fields__ if name in raw}
    return ReplayPlan(**known | {"runs": tuple(raw["runs"]), "origin": ReplayOrigin(raw["origin"])})
