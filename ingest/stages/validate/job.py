"""The validation of a drop too large for a worker: by a Databricks job, while the run waits.

The worker validates the beginning of the file, writes the plan of its contract into a folder of
this attempt, starts the job, and streams the file once for its hash; then nobody holds the run. The
job's idempotency token is made of run and attempt, so a start that is asked for again finds the job
run that is there. When the job has ended, its answer and files become the same report, rejects and
Parquet of the accepted records as those of the engine in `landfall.validation`.

The hash is taken here and not by the job: SHA-256 takes the bytes one after the other, so a cluster
could not share the work, and both engines must know a content by the same hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from ingest import paths
from ingest.errors import AlreadyExists, NotFound, Refused, Retryable, Stale
from ingest.job_output import document_of, part_of
from ingest.log import log
from ingest.ports import JobRun
from ingest.runs.register import Stored
from ingest.runs.run import Lease, Run, ValidationAttempt
from ingest.runs.states import Event
from ingest.stages.base import Context
from ingest.stages.validate.outputs import ACCEPTED, ValidationPaths
from ingest.stages.validate.references import LakeSource
from landfall.contract.folder import Contract
from landfall.protocol import State
from landfall.validation import Report
from landfall.validation.problems import AnswerError

if TYPE_CHECKING:  # they know what is here
    from landfall.validation.remote import RemoteValidation


class LeaseHolder(Protocol):
    """What holds a run while its file is read; see `ingest.stages.validate.stage`."""

    stored: Stored

    def keep(self, bytes_read: int, /) -> None:
        """Renew the lease when it is time."""


@dataclass(frozen=True)
class Answer:
    """The run as it stands now, with its report where the job has ended well."""

    stored: Stored
    report: Report | None = None
    places: ValidationPaths | None = None
    contract: Contract | None = None


@dataclass(frozen=True)
class ValidationJob:
    """Hands drops to the job and takes its answers."""

    context: Context

    def takes(self, run: Run) -> bool:
        """Whether a run waits for the job, or its drop is large enough to be handed to it."""
        if run.state is State.VALIDATING and run.judging is not None:
            return True
        return (
            run.source.size > self.context.rules.validation_job.above
            and run.dataset in self.context.contracts.deployed
        )

    def step(
        self, stored: Stored, hold: Callable[[Stored], LeaseHolder], lease: Lease
    ) -> Answer | None:
        """Take the validation one step further; None where the file is not for the job.

        Raises:
            Stale: another worker was faster, or the run was cancelled meanwhile.
            Retryable: a side did not answer.
        """
        run = stored.run
        judging = run.judging if run.state is State.VALIDATING else None
        if judging is None or judging.job_run_id is None:
            if judging and judging.not_before and self.context.clock() < judging.not_before:
                return Answer(stored)
            contract = self.context.contracts.of(run.dataset, None)
            remote = self._prepare(run, contract)
            if remote is None:
                return None
            last = judging or run.judging or ValidationAttempt(0)
            number = judging.number if judging else last.number + 1
            fresh = replace(
                last if judging else ValidationAttempt(number, sha256=last.sha256),
                attempt=_attempt(run, number, contract),
                digest=contract.digest,
            )
            self.context.contracts.keep(contract)
            stored = self._start(stored, fresh, remote, lease)
            if stored.run.final or stored.run.judging is None:
                return Answer(stored)
        if stored.run.judging and stored.run.judging.sha256 is None:
            stored = self._hash(hold(stored))
        return self._watch(stored)

    def stop(self, run: Run) -> None:
        """Stop the job run of a run that was cancelled; one that has ended is left as it is."""
        if run.verdict is None and run.judging and run.judging.job_run_id is not None:
            self.context.validator.cancel(run.judging.job_run_id)

    def tidy(self, run: Run) -> None:
        """Delete what the attempt has left that nobody needs any more; only its own folder."""
        if run.judging is not None:
            self.context.lake.delete_folder(_folder(run, run.judging))

    def _prepare(self, run: Run, contract: Contract) -> RemoteValidation | None:
        from landfall.validation.remote import prepare  # noqa: PLC0415 - few drops are so large

        source = LakeSource(self.context.lake, _drop(run), run.source.size)
        return prepare(source, contract, run.name)

    def _start(
        self, stored: Stored, judging: ValidationAttempt, remote: RemoteValidation, lease: Lease
    ) -> Stored:
        run = stored.run
        plan = f"{_folder(run, judging)}/plan.json"
        text = json.dumps(remote.plan(_drop(run)), indent=1)
        try:
            self.context.lake.put(plan, text.encode(), if_absent=True)
        except AlreadyExists:
            log.info("run %s: attempt %d to validate it is planned", run.run_id, judging.number)
        try:
            parameters = {"lake": self.context.spark_lake, "plan": plan}
            job_run_id = self.context.validator.start(_token(run, judging), parameters)
        except Refused as error:
            return self._failed(
                stored,
                judging,
                f"Databricks refused to start {self.context.validation_job}: {error}",
            )
        cause = (
            f"{run.source.size} bytes, more than {self.context.rules.validation_job.above}: "
            f"validated by job run {job_run_id} of {self.context.validation_job}"
        )
        started = run.apply(
            Event.START_VALIDATION,
            cause,
            self.context.clock(),
            lease=lease if judging.sha256 is None else None,
            judging=replace(judging, job_run_id=job_run_id, not_before=None),
        )
        try:
            return self.context.manifest.update(stored, started)
        except Stale:
            self._stop_orphan(run.run_id, job_run_id)
            raise

    def _stop_orphan(self, run_id: str, job_run_id: int) -> None:
        """Stop a job run that was started as its run was being cancelled."""
        current = self.context.manifest.find(run_id, fresh=True)
        if current and current.run.state is State.CANCELLED:
            try:
                self.context.validator.cancel(job_run_id)
            except Retryable as error:
                log.warning("job run %d of cancelled run %s goes on: %s", job_run_id, run_id, error)

    def _hash(self, lease_keeper: LeaseHolder) -> Stored:
        """Stream the file once for its hash, and write it down."""
        digest = hashlib.sha256()
        done = 0
        for chunk in self.context.lake.stream(_drop(lease_keeper.stored.run)):
            digest.update(chunk)
            done += len(chunk)
            lease_keeper.keep(done)
        run = lease_keeper.stored.run
        judging = run.judging and replace(
            run.judging, sha256=digest.hexdigest(), url=self._observed(run.judging).url
        )
        return self.context.manifest.update(
            lease_keeper.stored, replace(run, judging=judging, lease=None)
        )

    def _watch(self, stored: Stored) -> Answer:
        judging = stored.run.judging
        if judging is None:  # pragma: no cover - it was started
            return Answer(stored)
        observed = self._observed(judging)
        if observed.status == "running":
            return Answer(stored)
        if observed.status != "succeeded":
            cause = f"{self._job_run(judging)} failed: {observed.message}"
            return Answer(self._failed(stored, judging, cause))
        contract = self.context.contracts.of(stored.run.dataset, judging.digest)
        places = ValidationPaths(stored.run, judging.attempt or f"judging{judging.number}")
        try:
            report = self._report(stored.run, judging, places, contract)
        except AnswerError as error:
            cause = f"{self._job_run(judging)} left no answer to use: {error}"
            return Answer(self._failed(stored, judging, cause))
        return Answer(stored, report, places, contract)

    def _job_run(self, judging: ValidationAttempt) -> str:
        """The job run of an attempt, as people are told of it."""
        return f"job run {judging.job_run_id} of {self.context.validation_job}"

    def _observed(self, judging: ValidationAttempt) -> JobRun:
        job_run_id = judging.job_run_id or 0
        return self.context.validator.observe(job_run_id) or JobRun(
            job_run_id, "failed", "the job run is not known any more"
        )

    def _failed(self, stored: Stored, judging: ValidationAttempt, cause: str) -> Stored:
        """Plan another attempt, or end the run where there were enough."""
        run, failures = stored.run, judging.failures + 1
        if failures >= self.context.rules.validation_job.max_attempts:
            final = run.apply(Event.FAIL, cause, self.context.clock(), judging=judging)
            return self.context.manifest.end(stored, final)
        again = ValidationAttempt(
            number=judging.number + 1,
            failures=failures,
            sha256=judging.sha256,
            not_before=self.context.clock() + self.context.rules.validation_job.backoff * failures,
        )
        waiting = run.apply(
            Event.START_VALIDATION,
            f"{cause}; it is tried again",
            self.context.clock(),
            judging=again,
        )
        planned = self.context.manifest.update(stored, waiting)
        self.context.lake.delete_folder(_folder(run, judging))
        return planned

    def _report(
        self, run: Run, judging: ValidationAttempt, places: ValidationPaths, contract: Contract
    ) -> Report:
        folder = _folder(run, judging)
        answer = document_of(self.context.lake, f"{folder}/result")
        if answer is None:
            raise AnswerError(f"there is none in {folder}/result")
        remote = self._prepare(run, contract)
        if remote is None:
            raise AnswerError("the contract is not for the job")
        report = remote.report(
            answer,
            name=run.name,
            size=run.source.size,
            sha256=judging.sha256 or "",
            parquet=self._parquet(folder, places),
            seconds=round((self.context.clock() - run.updated).total_seconds(), 3),
        )
        if report.rejects:
            self._move(f"{folder}/rejects", places.rejects)
            self._move(f"{folder}/reasons", f"{places.rejects}.reasons.jsonl")
        if report.parquet:
            self._move_folder(f"{folder}/{ACCEPTED}", places.accepted)
        return report

    def _parquet(self, folder: str, places: ValidationPaths) -> tuple[int, int]:
        """How many Parquet files the job wrote of the accepted records, and their bytes in sum."""
        for place in (f"{folder}/{ACCEPTED}", places.accepted):  # it may have been moved before
            versions = [entry.version for entry in self.context.lake.list(f"{place}/")]
            sizes = [version.size for version in versions if version.path.endswith(".parquet")]
            if sizes:
                return len(sizes), sum(sizes)
        return 0, 0

    def _move_folder(self, folder: str, target: str) -> None:
        """Bring a folder to its place; it may be there already."""
        try:
            self.context.lake.rename(folder, target)
        except NotFound:
            if next(iter(self.context.lake.list(f"{target}/")), None) is None:
                raise

    def _move(self, folder: str, target: str) -> None:
        """Bring the one part file of a folder to its place; it may be there already."""
        part = part_of(self.context.lake, folder)
        if part is None:
            return
        try:
            self.context.lake.rename(part, target)
        except NotFound:
            if self.context.lake.head(target) is None:
                raise


def _attempt(run: Run, number: int, contract: Contract) -> str:
    """Names an attempt: the same after a crash, and another for another contract or a replay."""
    return f"j{number}-{run.reopened}-{contract.digest[:8]}"


def _drop(run: Run) -> str:
    if run.raw is None:
        raise ValueError(f"run {run.run_id} is {run.state} without its file")
    return run.raw


def _folder(run: Run, judging: ValidationAttempt) -> str:
    folder = paths.judging_folder(run.dataset, run.run_id)
    return f"{folder}/{judging.attempt or judging.number}"


def _token(run: Run, judging: ValidationAttempt) -> str:
    attempt = judging.attempt or judging.number
    return hashlib.sha256(f"{run.run_id}\n{attempt}".encode()).hexdigest()
