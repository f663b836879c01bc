"""What becomes of a run whose step could not be done: it is counted, waits, or is asked again."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ingest.errors import Blocked, Collision, Retryable, WorkerLost
from ingest.log import log, once
from ingest.runs.messages import Advance, Message
from ingest.runs.register import Stored
from ingest.runs.run import Run
from ingest.runs.states import COMMANDS, Command, Event
from ingest.stages.base import Context
from landfall.protocol import State

LONG = frozenset({Command.CLAIM, Command.VALIDATE})
"""Commands of which one step may do several: what they have claimed is not written by itself."""


@dataclass(frozen=True)
class StepFailures:
    """Draws the conclusion from the error of a step."""

    context: Context

    def handle(self, seen: Run, error: Exception) -> list[Message]:
        """Write down what the error of a step means for the run that it was done on.

        Raises:
            Retryable: the queue shall bring the message again.
        """
        match error:
            case WorkerLost():
                return self._lost(seen, error)
            case Blocked():
                self._wait(seen, error)
            case Retryable():
                raise error
            case Collision():
                once(log.error, f"run {seen.run_id} is set aside: {error}")
            case _:  # a bug must not lose a run: it is counted
                self._failed(seen, error)
        return []

    def _lost(self, seen: Run, error: WorkerLost) -> list[Message]:
        """Count a worker that fell silent, if it is still its lease that the document has."""
        stored = self.context.manifest.get(seen.run_id, fresh=True)
        if stored.run.final or stored.run.lease != seen.lease:
            return []
        log.warning("run %s: %s", seen.run_id, error)
        return [] if self._count(stored, error).final else [Advance(seen.run_id)]

    def _wait(self, seen: Run, error: Blocked) -> None:
        """Write down what a run waits for; one that has waited for long enough has failed."""
        stored = self.context.manifest.get(seen.run_id, fresh=True)
        if not stored.run.final and self._same_step(seen, stored.run):
            now, longest = self.context.clock(), self.context.rules.max_blocked
            self.context.manifest.hold_up(stored, str(error), now, longest)

    def _failed(self, seen: Run, error: Exception) -> None:
        """Count a failure that no outside can be blamed for; the last of too many ends the run.

        It is not counted where somebody else has moved the run meanwhile: then it was not the run
        as it is now that failed.

        Raises:
            Retryable: there were not enough yet; the queue brings the message again until there
                are.
        """
        log.error("run %s: %s failed", seen.run_id, seen.state, exc_info=error)
        stored = self.context.manifest.get(seen.run_id, fresh=True)
        if not self._same_step(seen, stored.run):
            return
        run = self._count(stored, error)
        if not run.final:
            raise Retryable(f"run {run.run_id}: {run.state} failed: {error}") from error

    def _same_step(self, seen: Run, run: Run) -> bool:
        """Whether a run is still where a step of this worker began, but for what that wrote."""
        lease = run.lease
        others = lease and lease.owner != self.context.worker and lease.until > self.context.clock()
        begun = {seen.state}
        if COMMANDS[seen.state] in LONG:
            begun |= {State.CLAIMED, State.VALIDATING}
        return (
            not others
            and run.state in begun
            and run.reopened == seen.reopened
            and (run.copy and run.copy.attempt_id) == (seen.copy and seen.copy.attempt_id)
        )

    def _count(self, stored: Stored, error: Exception) -> Run:
        """Add a fault of the run's state; the last of too many ends it."""
        run, step = stored.run, str(stored.run.state)
        count = run.faults.get(step, 0) + 1
        counted = replace(run, faults={**run.faults, step: count}, lease=None)
        if count < self.context.rules.max_faults:
            return self.context.manifest.update(stored, counted).run
        cause = f"{step} failed {count} times; last: {type(error).__name__}: {error}"
        ended = counted.apply(Event.FAIL, cause, self.context.clock())
        return self.context.manifest.end(stored, ended).run
