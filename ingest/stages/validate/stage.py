"""The validation of a claimed drop, with its report and rejects left in the lake.

The engine in `landfall.validation` validates; here its verdict becomes the run's next state.
Several workers may validate the same drop at once. Each attempt writes to places of its own, and
the conditional write of the record, which names them, lets one of them conclude. So a lease only
saves work, and one is written only when a drop takes longer than a moment, or when a worker may
have died of it; most are validated without.

Datasets that refer to one another are delivered in any order. A drop with records that refer to
what is not there is validated again for a while, before these records count as rejects.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ingest import paths
from ingest.contract_store import contract_missing
from ingest.errors import ContractMissing, Retryable, Stale, WorkerLost
from ingest.runs import relocation
from ingest.runs.register import Stored
from ingest.runs.run import Lease, Run, holds
from ingest.runs.states import Event
from ingest.stages import copy
from ingest.stages.base import NO_HINT, Context, Hint
from ingest.stages.copy import CopyStage
from ingest.stages.rules import LONGEST_WAIT
from ingest.stages.validate.job import Answer, ValidationJob
from ingest.stages.validate.missing import without_loss
from ingest.stages.validate.outputs import LakeOutputs, ValidationPaths, new_attempt
from ingest.stages.validate.parts import FolderParts
from ingest.stages.validate.references import CopiedDrops, LakeReferences, LakeSource
from ingest.stages.validate.verdicts import (
    last_look,
    missing,
    no_contract,
    postponement,
    refusal,
    refused,
    verdict,
)
from landfall import protocol
from landfall.contract.folder import Contract
from landfall.protocol import State
from landfall.validation import Report


@dataclass(frozen=True)
class ValidationStage:
    """Validates claimed drops; what is accepted goes on to its copy in the same step."""

    context: Context
    job: ValidationJob
    copied: CopiedDrops
    copies: CopyStage
    _busy: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def advance(self, stored: Stored, hint: Hint = NO_HINT) -> Stored:
        """Validate the drop, write down what follows, and start the copy of an accepted one.

        The first attempt to copy is written in the same request as the verdict. Where as many
        copies as may be are under way, the run is `validated` and waits for the tick. Where
        somebody is at work on the drop, nothing is done.

        Raises:
            WorkerLost: another worker held the drop and fell silent; to be counted by the caller.
            Stale: another worker took over, or the run was cancelled meanwhile.
        """
        validated = self._advance(stored, redelivered=hint.redelivered)
        if validated.run.state is State.COPYING:
            return self.copies.start(validated)
        return validated

    def _advance(self, stored: Stored, *, redelivered: bool) -> Stored:
        run_id = stored.run.run_id
        with self._lock:
            if run_id in self._busy or self._held(stored.run):
                return stored
            self._busy.add(run_id)
        try:
            self._raise_if_lease_expired(stored.run)
            relocation.relocate(stored.run, self.context.lake)
            if stored.run.source.parts is None and self.job.takes(stored.run):
                answer = self.job.step(stored, self._hold, new_lease(self.context))
                if answer is not None:
                    return self._answered(answer)
            lease_keeper = self._hold(self._begin(stored))
            if redelivered or stored.run.faults:
                lease_keeper.renew()
            return self._attempt(lease_keeper)
        finally:
            self._busy.discard(run_id)

    def _attempt(self, lease_keeper: LeaseKeeper) -> Stored:
        """Validate into places of this attempt, and conclude; clear them if that is too late."""
        contract = self._contract(lease_keeper.stored.run)
        places = ValidationPaths(lease_keeper.stored.run, new_attempt())
        last = last_look(lease_keeper.stored.run, self._patience(contract), self.context.clock())
        try:
            report = self._validate(places, contract, lease_keeper.keep, last=last)
        except Retryable:
            lease_keeper.release()
            raise
        try:
            return self._conclude(lease_keeper.stored, report, places, contract, last=last)
        except Stale:
            self._clear(places, report)
            raise

    def _clear(self, places: ValidationPaths, report: Report) -> None:
        """Delete what an attempt wrote that does not count; its places are nobody else's."""
        if report.rejects or report.parquet or report.verdict == "refused":
            with suppress(Retryable):  # it lies there in nobody's way
                places.clear(self.context.lake)

    def _contract(self, run: Run) -> Contract | None:
        """The deployed contract of a drop; None where no dataset ever had its name.

        Raises:
            ContractMissing: there is one and it is wrong, or there was one and it is not deployed
                any more.
        """
        contract = self.context.contracts.deployed.get(run.dataset)
        if contract is not None or not protocol.is_dataset(run.dataset):
            return contract
        if problem := self.context.contracts.problem_of(run.dataset):
            raise contract_missing(run.dataset, problem)
        if self.context.contracts.ever(run.dataset):
            raise ContractMissing(
                f"dataset {run.dataset} had a contract, and none is deployed now: its drops wait "
                "until there is one"
            )
        return None

    def _answered(self, answer: Answer) -> Stored:
        """Conclude if the job has answered, and clear away what it leaves then."""
        if answer.report is None or answer.places is None:
            if answer.stored.run.state is State.FAILED:
                self.job.tidy(answer.stored.run)
            return answer.stored
        concluded = self._conclude(
            answer.stored, answer.report, answer.places, answer.contract, last=True
        )
        self.job.tidy(concluded.run)
        return concluded

    def _hold(self, stored: Stored) -> LeaseKeeper:
        return LeaseKeeper(stored, self.context)

    def _held(self, run: Run) -> bool:
        """Whether another process is at work on the drop, or it waits for what it refers to.

        A lease of this very process is one that an interruption left, such as a lake that did not
        answer: it need not run out first.
        """
        now, lease = self.context.clock(), run.lease
        if lease is None:
            return run.postponed is not None and holds(run.postponed, now, LONGEST_WAIT)
        return lease.owner != self.context.worker and holds(
            lease.until, now, self.context.rules.validation.lease
        )

    def _raise_if_lease_expired(self, run: Run) -> None:
        lease = run.lease
        if lease is None or lease.owner == self.context.worker:
            return
        # One that ran out long ago, or is yet to begin, is of a worker whose clock is not ours.
        if timedelta(0) <= self.context.clock() - lease.until <= _PLAUSIBLE:
            raise WorkerLost(
                f"worker {lease.owner} fell silent while it validated the file: "
                f"its lease ran out at {lease.until:%H:%M:%S}"
            )

    def _conclude(
        self,
        stored: Stored,
        report: Report,
        places: ValidationPaths,
        contract: Contract | None,
        *,
        last: bool,
    ) -> Stored:
        """What the report makes of the run; `last` says that it waits for nothing any more."""
        until = postponement(stored.run, report, self._patience(contract), self.context.clock())
        if until is not None and not last:
            return self._postpone(stored, report, places, until)
        if contract is not None and report.verdict != "refused":
            report = without_loss(report, contract, self.context.lake)
            if report.verdict == "refused":
                self.context.lake.delete_folder(places.accepted)
        if report.verdict == "refused":
            return self._refuse(stored, report, places, contract)
        return self._accept(stored, report, places, contract)

    def _patience(self, contract: Contract | None) -> timedelta:
        contract_wait = contract.delivery.reference_wait if contract else None
        return (
            self.context.rules.validation.reference_wait if contract_wait is None else contract_wait
        )

    def _postpone(
        self, stored: Stored, report: Report, places: ValidationPaths, until: datetime
    ) -> Stored:
        """Let the drop wait, and clear away what this attempt has written beside it."""
        run = stored.run
        cause = f"{missing(report)}; validated again at {until:%H:%M:%S}"
        waiting = self.context.manifest.update(
            stored, run.apply(Event.POSTPONE, cause, self.context.clock(), postponed=until)
        )
        self._clear(places, report)
        return waiting

    def _begin(self, stored: Stored) -> Stored:
        """The run in `validating`, not written so yet."""
        cause = "validating against the contract"
        if failed := sum(stored.run.faults.values()):
            cause += f" again; attempts that failed: {failed}"
        elif stored.run.postponed:
            cause += " again"
        run = stored.run.apply(Event.START_VALIDATION, cause, self.context.clock(), judging=None)
        return replace(stored, run=run)

    def _validate(
        self,
        places: ValidationPaths,
        contract: Contract | None,
        keep: Callable[[int], None],
        *,
        last: bool,
    ) -> Report:
        run = places.run
        if contract is None:
            return no_contract(run, sorted(self.context.contracts.deployed))
        parts = (
            FolderParts(self.context.lake, places.drop, contract.hints)
            if run.source.parts
            else None
        )
        if parts and parts.problem:
            return refused(run, parts.problem)
        from landfall.validation import validate  # noqa: PLC0415 - a cold start does without
        from landfall.validation.first_lines import with_first_lines  # noqa: PLC0415 - likewise

        source = parts or LakeSource(self.context.lake, places.drop, run.source.size)
        name = parts.name if parts else run.name
        report = validate(
            source,
            contract,
            name=name,
            outputs=LakeOutputs(self.context.lake, places, parts),
            on_progress=keep,
            references=LakeReferences(self.context.lake, self.copied, fresh=last),
        )
        report = with_first_lines(report, contract, source, name=name, on_progress=keep)
        if parts:
            return parts.located(report, run.name)
        return self._lookalike(report, places)

    def _lookalike(self, report: Report, places: ValidationPaths) -> Report:
        """The report with the dataset that a file in the wrong folder seems to be of."""
        from landfall.validation import lookalike  # noqa: PLC0415 - few drops are refused so

        if not lookalike.is_about_header(report):
            return report
        length = min(lookalike.HEAD, places.run.source.size)
        head = self.context.lake.read(places.drop, 0, length) if length else b""
        return lookalike.with_lookalike(report, head, self.context.contracts.deployed)

    def _refuse(
        self, stored: Stored, report: Report, places: ValidationPaths, contract: Contract | None
    ) -> Stored:
        run, digest = stored.run, contract.digest if contract else None
        path = f"{places.findings}/{paths.REPORT}"
        final = run.apply(
            Event.REFUSE,
            refusal(report),
            self.context.clock(),
            verdict=verdict(places, report, path, digest),
            **relocation.to_quarantine(run),
        )
        return self.context.manifest.end(stored, final, report.to_json().encode())

    def _accept(
        self, stored: Stored, report: Report, places: ValidationPaths, contract: Contract | None
    ) -> Stored:
        run = stored.run
        if contract is not None:
            self.context.contracts.keep(contract)  # before a run depends on it
        path = paths.content_document(run.dataset, report.sha256 or "")
        short_verdict = verdict(places, report, path, contract.digest if contract else None)
        if other := self.context.contents.holder(
            run, short_verdict.sha256, report.to_dict(), places.attempt, contract
        ):
            cause = f"the same content was already accepted as run {other}"
            path = f"{places.own}/{paths.REPORT}"
            self.context.lake.delete_folder(places.accepted)
            short_verdict = replace(short_verdict, report=path, parquet=None)
            final = run.apply(Event.REPEAT, cause, self.context.clock(), verdict=short_verdict)
            return self.context.manifest.end(stored, final, report.to_json().encode())
        rejected = f", {report.rejected} rejected" if report.rejected else ""
        cause = f"{report.accepted} of {report.rows} rows accepted{rejected}"
        accepted = run.apply(
            Event.ACCEPT, cause, self.context.clock(), verdict=short_verdict, content_taken_by=None
        )
        if not self.context.copy_limit.admit():
            return self.context.manifest.update(stored, accepted)
        return self.context.manifest.update(
            stored, copy.plan(accepted, self.context.clock, "attempt 1 written down")
        )


def new_lease(context: Context) -> Lease:
    """A lease of this worker from now on."""
    until = context.clock() + context.rules.validation.lease
    return Lease(owner=context.worker, until=until)


_PLAUSIBLE = timedelta(hours=1)
"""A lease that ran out within it says that its worker died; the tick looks far more often."""


class LeaseKeeper:
    """Holds a run while its file is being validated: by a lease, once that takes longer."""

    def __init__(self, stored: Stored, context: Context) -> None:
        self.stored = stored
        self._context = context
        self._write_at = context.clock() + min(
            context.rules.validation.moment, context.rules.validation.lease / 2
        )

    def keep(self, _bytes_read: int) -> None:
        """Write the lease, and renew it at half its time; called by the engine in every phase.

        A lake that does not answer is asked again a little later, as long as the lease holds.

        Raises:
            Stale: another worker took over, or the run was moved.
        """
        now = self._context.clock()
        if now < self._write_at:
            return
        try:
            self.renew()
        except Stale:
            raise
        except Retryable:
            lease = self.stored.run.lease
            if lease is None or now >= lease.until:
                raise
            self._write_at = now + self._context.rules.validation.lease / 8

    def renew(self) -> None:
        """Write the lease now."""
        run = replace(self.stored.run, lease=new_lease(self._context))
        self.stored = self._context.manifest.update(self.stored, run)
        self._write_at = self._context.clock() + self._context.rules.validation.lease / 2

    def release(self) -> None:
        """Give a written lease back, where that can be said: the next need not wait for its end."""
        if self.stored.run.lease is not None:
            with suppress(Retryable):
                self._context.manifest.update(self.stored, replace(self.stored.run, lease=None))
