"""A run: what is known of it, and what an event makes of it.

Pure: a change returns a new `Run`. `ingest.runs.document` says how it is written down, and
`ingest.runs.register` stores it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from ingest.paths import MARKER, bronze_folder
from ingest.runs.states import REOPENING, Event, step
from landfall.protocol import FINAL, State, name_of

SCHEMA = 1


@dataclass(frozen=True)
class LandedVersion:
    """The landed version that a run is about.

    Attributes:
        path: lake path in landing, as delivered.
        etag: of that version, without quotes.
        size: bytes.
        landed: Last-Modified of that version.
        via: how the service learned of it: event, http, resend or sweep.
        parts: of a folder, the pattern of the files in it; None for a file. Version and time are
            those of the marker that closed it.
    """

    path: str
    etag: str
    size: int
    landed: datetime
    via: str
    parts: str | None = None

    @property
    def etag_path(self) -> str:
        """The file whose version is that of the drop: itself, or a folder's marker."""
        return self.etag_path_at(self.path)

    def etag_path_at(self, path: str) -> str:
        """The same where the drop stands at another path."""
        return f"{path}/{MARKER}" if self.parts else path


@dataclass(frozen=True)
class Lease:
    """Who works on a run's validation, and until when nobody else may."""

    owner: str
    until: datetime


@dataclass(frozen=True)
class Verdict:
    """What validation found, in short; the report has the rest.

    Attributes:
        format: how the drop is written.
        attempt: names the attempt at the validation whose files these are; empty in documents of
            earlier releases, which had one place for all attempts of a run.
        parquet: of an accepted drop, the Parquet of its accepted records: `folder`, and of the
            files in it `rows`, `size` in bytes, how many `files`, and `sha256` where it is one.
            None in documents of earlier releases, which copied the drop itself (`copy_from`) and
            kept how its columns differ from the contract's (`drifted`).
        contract: version of the contract that validated; None in documents of earlier releases.
        digest: of that contract, by which it is found again.
    """

    verdict: str
    rows: int
    accepted: int
    rejected: int
    sha256: str
    report: str
    rejects: str | None
    format: Mapping[str, Any]
    copy_from: str = ""
    problem: str | None = None
    drifted: Mapping[str, Any] = field(default_factory=dict)
    attempt: str = ""
    contract: str | None = None
    digest: str | None = None
    parquet: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class BlockedSince:
    """What a run waits for until a person has acted, and since when."""

    since: datetime
    cause: str


@dataclass(frozen=True)
class ValidationAttempt:
    """The current attempt to have a large drop validated by Databricks.

    Attributes:
        number: counts attempts from 1; it is part of the job's idempotency token.
        failures: attempts that ran and failed.
        sha256: of the file, once it was streamed.
        not_before: when the attempt may start, after one that failed.
        attempt: names the attempt: part of its folder and its idempotency token.
        digest: of the contract that the attempt validates by.
    """

    number: int
    job_run_id: int | None = None
    url: str = ""
    failures: int = 0
    sha256: str | None = None
    not_before: datetime | None = None
    attempt: str = ""
    digest: str | None = None


@dataclass(frozen=True)
class Copy:
    """The current attempt to copy a drop to bronze.

    Attributes:
        number: counts attempts from 1.
        attempt_id: names the attempt in Data Factory; only its first pipeline run passes the fence.
        intent_at: when the attempt was written down, before anything was started.
        adf_run_id: the pipeline run that the fence let through, or that was adopted.
        failures: attempts that ran and failed, as against those that never came to life.
        folder: where in bronze this attempt writes; None in documents of earlier releases.
    """

    number: int
    attempt_id: str
    intent_at: datetime
    adf_run_id: str | None = None
    failures: int = 0
    rows: int | None = None
    folder: str | None = None


@dataclass(frozen=True)
class Load:
    """The batch that loads a drop, and what the job said of it."""

    batch_id: str
    job_run_id: int | None = None
    result: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Resend:
    """The run whose rejects this one brings, corrected.

    `as_of` is when that run's drop landed: in silver the corrected rows take their place among the
    rows that they came with, not before what has landed since.
    """

    of: str
    as_of: datetime


@dataclass(frozen=True)
class Transition:
    """One line of a run's history; `request` names the operator's request that caused it.

    `by` is who asked for it, where the platform knows. `count` is more than 1 where a line stands
    for others like it that were folded into it.
    """

    at: datetime
    state: State
    event: str
    cause: str
    request: str | None = None
    count: int = 1
    by: str | None = None


@dataclass(frozen=True)
class Run:
    """Everything known of one drop's processing.

    Attributes:
        raw: where its file stands since it was claimed; `ingest.runs.relocation` makes that true.
        came_from: where the file stood before it was sent there from quarantine, or the other way.
        lease: who validates it now; only where that takes longer than a moment.
        postponed: when it is validated again, as what it refers to was not there.
        faults: how often a step has failed by itself, by the state that it was done in.
        blocked: why it waits for a person; None where it does not.
        content_taken_by: of a run that failed: the run that has accepted its content since.
    """

    run_id: str
    dataset: str
    source: LandedVersion
    state: State
    created: datetime
    updated: datetime
    history: tuple[Transition, ...]
    raw: str | None = None
    came_from: str | None = None
    lease: Lease | None = None
    postponed: datetime | None = None
    judging: ValidationAttempt | None = None
    verdict: Verdict | None = None
    copy: Copy | None = None
    load: Load | None = None
    faults: Mapping[str, int] = field(default_factory=dict)
    resend: Resend | None = None
    blocked: BlockedSince | None = None
    content_taken_by: str | None = None
    schema: int = SCHEMA

    @property
    def name(self) -> str:
        """The drop's name as its producer knows it."""
        return name_of(self.source.path)

    @property
    def cause(self) -> str:
        """Why the run is in its state."""
        return self.history[-1].cause

    @property
    def final(self) -> bool:
        """Whether nothing will happen to the run by itself any more."""
        return self.state in FINAL

    @property
    def has_rejects(self) -> bool:
        """Whether something of it was refused that a producer could fix and send again."""
        return self.state is State.QUARANTINED or bool(self.verdict and self.verdict.rejects)

    @property
    def as_of(self) -> datetime:
        """When its rows count as landed: of two rows of a key silver keeps the later."""
        return self.resend.as_of if self.resend else self.source.landed

    @property
    def claimed_at(self) -> datetime:
        """When its file came into `raw`, or was last taken up there again."""
        claims = (line.at for line in reversed(self.history) if line.state is State.CLAIMED)
        return next(claims, self.created)

    @property
    def reopened(self) -> int:
        """How often it was taken up again after it had ended."""
        return sum(line.count for line in self.history if line.event in REOPENING)

    @property
    def seconds(self) -> dict[State, float]:
        """How long it was in each state that it has left, since it was last taken up."""
        spent: dict[State, float] = {}
        for line, following in pairwise(self.history):
            if following.event in REOPENING:
                spent = {}
            else:
                stay = (following.at - line.at).total_seconds()
                spent[line.state] = spent.get(line.state, 0.0) + max(0.0, stay)
        return spent

    @property
    def bronze(self) -> str:
        """The folder in bronze of its current attempt to copy.

        Where a release before this one has written the document meanwhile, as in a rolling
        deployment, the folder is missing from it; the name of the attempt is not.
        """
        if self.copy is not None and self.copy.folder is not None:
            return self.copy.folder
        attempt_id = self.copy.attempt_id if self.copy else None
        return bronze_folder(self.dataset, self.run_id, attempt_id)

    def has_seen_request(self, request: str | None) -> bool:
        """Whether an operator's request has moved the run before."""
        return request is not None and any(line.request == request for line in self.history)

    def apply(
        self,
        event: Event,
        cause: str,
        at: datetime,
        *,
        request: str | None = None,
        by: str | None = None,
        **changes: Any,
    ) -> Run:
        """The run after an event, with its cause in the history, and who asked for it.

        Raises:
            IllegalTransition: the run's state does not allow the event.
        """
        state = step(self.state, event)
        line = Transition(at, state, event.value, cause, request, by=by)
        return replace(
            self,
            state=state,
            updated=at,
            history=folded((*self.history, line)),
            **{"lease": None, "postponed": None, "blocked": None} | changes,
        )


SKEW = timedelta(minutes=1)
"""By how much the clocks of two instances may differ without anybody taking notice."""


def holds(until: datetime, now: datetime, longest: timedelta) -> bool:
    """Whether a time until which others shall wait is still to come.

    One that is farther away than anybody here waits was written by a clock that is not ours: it
    is not believed. What is done twice for it does no harm.
    """
    return now < until <= now + longest + SKEW


def held_up(run: Run, cause: str, now: datetime, longest: timedelta) -> Run | None:
    """The run that waits for a person, or has waited for too long; None if it says so already."""
    if run.blocked is None:
        return replace(run, blocked=BlockedSince(now, cause), lease=None)
    if now - run.blocked.since >= longest:
        return run.apply(Event.FAIL, f"waited for {longest}: {cause}", now)
    if run.blocked.cause != cause:
        return replace(run, blocked=replace(run.blocked, cause=cause), lease=None)
    return None


FULL = 50
"""Lines of a history from which on repetitions are folded."""


def folded(history: tuple[Transition, ...]) -> tuple[Transition, ...]:
    """A long history with what repeats at its end told once: its first, its last and a count.

    A step that is tried again for days makes the same line, or the same two in turn. Lines that a
    person asked for stay.
    """
    for period in (1, 2):
        if len(history) <= max(FULL, 3 * period):
            return history
        first, middle, last = (
            history[-3 * period : -2 * period],
            history[-2 * period : -period],
            history[-period:],
        )
        kinds = {tuple((line.event, line.state) for line in part) for part in (first, middle, last)}
        if len(kinds) == 1 and not any(line.request or line.by for line in (*middle, *last)):
            again = (
                replace(new, count=new.count + old.count)
                for old, new in zip(middle, last, strict=True)
            )
            return (*history[: -2 * period], *again)
    return history


def received(
    run_id: str, dataset: str, source: LandedVersion, at: datetime, resend: Resend | None = None
) -> Run:
    """A run that has just become known."""
    cause = f"learned of {source.path} by {source.via}"
    line = Transition(at=at, state=State.RECEIVED, event="receive", cause=cause)
    return Run(
        run_id=run_id,
        dataset=dataset,
        source=source,
        state=State.RECEIVED,
        created=at,
        updated=at,
        history=(line,),
        resend=resend,
    )
