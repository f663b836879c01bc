"""The copy of what was accepted of a drop to bronze, by a Data Factory pipeline run.

What is copied is the Parquet that validation has written, byte for byte: the pipeline knows neither
formats nor columns.

`createRun` has no idempotency of its own, so the hand-over is: write the attempt down, then POST
once, then look. An attempt that nobody can find after a grace time is replaced by a new one; the
fence lets only one pipeline run of the current attempt through, so a late start copies nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from ingest import paths
from ingest.errors import AccessDenied, OutcomeUnknown, Refused, Retryable, Stale, Throttled
from ingest.log import log
from ingest.ports import Clock, CopyRun
from ingest.runs.register import Stored
from ingest.runs.run import Copy, Run
from ingest.runs.states import Event
from ingest.stages.base import NO_HINT, Context, Hint
from landfall.protocol import State

RUNNING = frozenset({"Queued", "InProgress", "Canceling"})
CLOCK_SKEW = timedelta(minutes=5)
"""How far Data Factory's clock may be behind ours when we look for a run by its time."""


def plan(run: Run, clock: Clock, cause: str) -> Run:
    """The run with a fresh attempt written down; nothing is started yet."""
    number = run.copy.number + 1 if run.copy else 1
    attempt_id = paths.copy_attempt(run.run_id, number)
    attempt = Copy(
        number=number,
        attempt_id=attempt_id,
        intent_at=clock(),
        failures=run.copy.failures if run.copy else 0,
        folder=paths.bronze_folder(run.dataset, run.run_id, attempt_id),
    )
    return run.apply(Event.START_COPY, cause, clock(), copy=attempt)


def parameters(run: Run) -> dict[str, str]:
    """The parameters of the pipeline `ingest_drop` for the run's current attempt."""
    if run.verdict is None or run.verdict.parquet is None or run.copy is None:
        raise ValueError(f"run {run.run_id} is {run.state}: there is nothing to copy yet")
    accepted_container, accepted_folder = paths.split(run.verdict.parquet["folder"])
    bronze_container, bronze_folder = paths.split(run.bronze)
    return {
        "runId": run.run_id,
        "attemptId": run.copy.attempt_id,
        "dataset": run.dataset,
        "acceptedContainer": accepted_container,
        "acceptedFolder": accepted_folder,
        "bronzeContainer": bronze_container,
        "bronzeFolder": bronze_folder,
    }


@dataclass(frozen=True)
class FenceAnswer:
    """The fence's answer to a pipeline run that asks whether it may copy."""

    granted: bool
    reason: str


@dataclass(frozen=True)
class CopyStage:
    """Starts the copies of runs, lets one pipeline run each through, and watches them end."""

    context: Context

    def advance(self, stored: Stored, _hint: Hint = NO_HINT) -> Stored:
        """Start the copy of a run that has waited for room, or watch the one that is under way."""
        return self.plan(stored) if stored.run.state is State.VALIDATED else self.watch(stored)

    def start(self, stored: Stored) -> Stored:
        """POST the attempt that the run's document names, once.

        The pipeline run's id is not written here: the fence writes it as the run begins, or
        `watch` when it finds the run by its attempt. A start that Data Factory refuses for good
        ends the run. One that it refuses to this app is written down: the run waits for a person,
        and the same attempt is started again from time to time. Should it have started after all,
        the fence lets one pipeline run through. A drop that an earlier release has accepted is
        validated again: it left nothing that could be copied.
        """
        if _left_nothing(stored.run):
            return self._validate_again(stored)
        try:
            self.context.copier.start(parameters(stored.run))
        except (Throttled, OutcomeUnknown):
            pass  # `watch` looks for the attempt, and replaces it when it never came to life
        except AccessDenied as error:
            now, longest = self.context.clock(), self.context.rules.max_blocked
            return self.context.manifest.hold_up(stored, str(error), now, longest)
        except Refused as error:
            return self._end(stored, f"Data Factory refused to start the copy: {error}")
        if stored.run.blocked is None:
            return stored
        attempt = replace(_attempt(stored.run), intent_at=self.context.clock())
        return self.context.manifest.update(stored, replace(stored.run, copy=attempt, blocked=None))

    def plan(self, stored: Stored, cause: str = "a new attempt") -> Stored:
        """Write down a fresh attempt for an accepted drop, and start it; see `start`."""
        if _left_nothing(stored.run):
            return self._validate_again(stored)
        return self.start(
            self.context.manifest.update(stored, plan(stored.run, self.context.clock, cause))
        )

    def _validate_again(self, stored: Stored) -> Stored:
        run = stored.run
        again = run.apply(
            Event.VALIDATE_AGAIN,
            "accepted by an earlier release, which left no Parquet of its records",
            self.context.clock(),
            verdict=None,
            judging=None,
        )
        return self.context.manifest.update(stored, again)

    def fence(self, run_id: str, attempt_id: str, adf_run_id: str) -> FenceAnswer:
        """Let one pipeline run of the current attempt through; asking again gives the same answer.

        A remembered document is only good for the write that grants: a refusal, and that it was
        granted before, is said of the document as it stands.

        Raises:
            NotFound: there is no such run.
            Stale: others keep writing the run's document; ask again.
        """
        for fresh in (False, True, True, True):
            stored = self.context.manifest.get(run_id, fresh=fresh)
            refusal = _refusal(stored.run, attempt_id, adf_run_id)
            granted = stored.run.copy and stored.run.copy.adf_run_id == adf_run_id
            if not fresh and (refusal or granted):
                continue
            if refusal:
                return FenceAnswer(False, refusal)
            if granted:
                return FenceAnswer(True, "already granted to this pipeline run")
            try:
                self.context.manifest.update(stored, self._adopted(stored.run, adf_run_id))
            except Stale:
                continue
            return FenceAnswer(True, "first pipeline run of the current attempt")
        raise Stale(f"run {run_id} is being written by others; ask again")

    def watch(self, stored: Stored) -> Stored:
        """Look at the current attempt and draw the conclusion."""
        attempt = _attempt(stored.run)
        adf_run_id = attempt.adf_run_id
        if adf_run_id is None:
            adf_run_id = self._find(attempt)
            if adf_run_id is None:
                return self._unstarted(stored)
            stored = self.context.manifest.update(stored, self._adopted(stored.run, adf_run_id))
        observed = self.context.copier.observe(adf_run_id)
        if observed is None:
            cause = f"pipeline run {adf_run_id} is not known to Data Factory any more"
            return self._failed(stored, cause)
        if observed.copied or observed.status == "Succeeded":
            return self._copied(stored, observed)
        if observed.status in RUNNING:
            return stored
        cause = f"pipeline run {adf_run_id} {observed.status.lower()}: {observed.message}"
        return self._failed(stored, cause)

    def _unstarted(self, stored: Stored) -> Stored:
        """What becomes of an attempt of which there is no pipeline run."""
        attempt = _attempt(stored.run)
        if stored.run.blocked:
            return self.start(stored)
        if self.context.clock() - attempt.intent_at < self.context.rules.copy.grace:
            return stored
        return self.plan(stored, f"attempt {attempt.attempt_id} never started")

    def stop(self, run: Run) -> None:
        """Stop the pipeline run of a cancelled run, as far as Data Factory answers.

        Where it does not, the fence stops one that has not begun to copy; one that has writes to a
        folder that nobody loads.
        """
        if run.copy is None or run.copy.rows is not None:
            return
        try:
            adf_run_id = run.copy.adf_run_id or self._find(run.copy)
            if adf_run_id:
                self.context.copier.cancel(adf_run_id)
        except Retryable as error:
            log.warning("run %s is cancelled, its pipeline run goes on: %s", run.run_id, error)

    def _adopted(self, run: Run, adf_run_id: str) -> Run:
        return replace(
            run,
            copy=replace(_attempt(run), adf_run_id=adf_run_id),
            updated=self.context.clock(),
            blocked=None,
        )

    def _find(self, attempt: Copy) -> str | None:
        seen = self.context.copier.find(attempt.intent_at - CLOCK_SKEW, {attempt.attempt_id})
        return next((r.adf_run_id for r in seen if r.attempt_id == attempt.attempt_id), None)

    def _copied(self, stored: Stored, observed: CopyRun) -> Stored:
        run, verdict = stored.run, stored.run.verdict
        accepted = verdict.accepted if verdict else None
        if observed.rows is not None and accepted is not None and observed.rows != accepted:
            cause = f"Data Factory copied {observed.rows} rows where validation accepted {accepted}"
            return self._end(stored, cause)
        size = verdict.parquet["size"] if verdict and verdict.parquet else None
        if observed.size is not None and size is not None and observed.size != size:
            cause = f"Data Factory wrote {observed.size} bytes where validation wrote {size}"
            return self._failed(stored, cause)
        attempt = replace(_attempt(run), rows=accepted)
        cause = f"pipeline run {observed.adf_run_id} copied {accepted} rows to bronze"
        copied = run.apply(Event.FINISH_COPY, cause, self.context.clock(), copy=attempt)
        return self.context.manifest.update(stored, copied)

    def _failed(self, stored: Stored, cause: str) -> Stored:
        attempt = _attempt(stored.run)
        failures = attempt.failures + 1
        if failures >= self.context.rules.copy.max_failures:
            return self._end(stored, f"copy failed {failures} times; last: {cause}")
        counted = replace(stored.run, copy=replace(attempt, failures=failures))
        return self.plan(replace(stored, run=counted), cause)

    def _end(self, stored: Stored, cause: str) -> Stored:
        final = stored.run.apply(Event.FAIL, cause, self.context.clock())
        return self.context.manifest.end(stored, final)


def _attempt(run: Run) -> Copy:
    if run.copy is None:
        raise ValueError(f"run {run.run_id} is {run.state} without an attempt to copy it")
    return run.copy


def _left_nothing(run: Run) -> bool:
    """Whether the release that accepted a drop wrote no Parquet of it."""
    return run.verdict is not None and run.verdict.parquet is None


def _refusal(run: Run, attempt_id: str, adf_run_id: str) -> str | None:
    if run.state is not State.COPYING or run.copy is None:
        return f"run {run.run_id} is {run.state}"
    if run.copy.attempt_id != attempt_id:
        return f"attempt {attempt_id} was replaced by {run.copy.attempt_id}"
    if run.copy.adf_run_id not in (None, adf_run_id):
        return f"attempt {attempt_id} belongs to pipeline run {run.copy.adf_run_id}"
    return None
