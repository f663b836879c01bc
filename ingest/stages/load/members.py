"""The members of a batch: runs are marked as loading in it, and ended or put back after it.

A member is touched only if its document says that it is loading in this batch, by a write on the
condition that it still does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ingest import paths
from ingest.errors import Damaged, Retryable, Stale
from ingest.log import log, once
from ingest.runs.register import Stored
from ingest.runs.run import Load, Run
from ingest.runs.states import Event
from ingest.stages.base import Context
from ingest.stages.load.batch import Batch, drop_of
from ingest.stages.load.batching import READY
from ingest.stages.load.failure_budget import FailureBudget
from landfall.protocol import State


@dataclass(frozen=True)
class BatchMembers:
    """Reads and moves the runs of batches."""

    context: Context

    def read(self, run_ids: Iterable[str], *, in_order: bool) -> list[Run]:
        """The runs of a batch that is to be; those that cannot be read are left for the next.

        Raises:
            Retryable: none could be.
        """
        members: list[Run] = []
        failures = FailureBudget()
        with suppress(Retryable):
            for run_id in run_ids:
                with failures.tolerate():
                    if stored := self.find(run_id):
                        members.append(stored.run)
                if in_order and failures.last:
                    break
        if not members:
            failures.settle()
        return members

    def find(self, run_id: str, *, fresh: bool = False) -> Stored | None:
        """A run; None where it is not known, or its document cannot be read."""
        try:
            return self.context.manifest.find(run_id, fresh=fresh)
        except Damaged as error:
            once(log.error, f"run {run_id} is set aside: {error}")
            return None

    def enlist(self, batch: Batch, *, in_order: bool) -> list[Mapping[str, Any]]:
        """Mark the drops of a batch that this very step has written down; those that could be.

        The others are left for the next batch. Where order counts, nobody overtakes one that could
        not be marked.

        Raises:
            Retryable: none could be.
        """
        drops: list[Mapping[str, Any]] = []
        failures = FailureBudget()
        with suppress(Retryable):
            for drop in batch.drops:
                with failures.tolerate():
                    if run := self._mark(str(drop["run_id"]), batch):
                        drops.append(drop_of(run))
                if in_order and failures.last:
                    break
        if not drops:
            failures.settle()
        return drops

    def marked(self, batch: Batch) -> list[Mapping[str, Any]]:
        """The drops of a batch that are marked as its members.

        Nobody else marks what the worker that wrote the batch has not: the job run of its token may
        have ended, and a drop that was taken up again since was not in it.
        """
        members = {str(drop["run_id"]): drop for drop in batch.drops}
        if len(members) == 1:  # reading the one document costs less than a list
            (run_id,) = members
            stored = self.find(run_id, fresh=True)
            folders = {run_id: stored.run.bronze} if stored and batch.holds(stored.run) else {}
        else:
            folders = {
                run.run_id: run.steering.get("bronze")
                or paths.bronze_folder(batch.dataset, run.run_id)
                for run in self.context.manifest.active()
                if run.state is State.LOADING and run.steering.get("batch_id") == batch.batch_id
            }
        return [drop for name, drop in members.items() if folders.get(name) == drop["bronze"]]

    def _mark(self, run_id: str, batch: Batch) -> Run | None:
        """Mark a drop as a member; None for one that has ended, or cannot be in this batch."""
        for fresh in (False, True):
            stored = self.find(run_id, fresh=fresh)
            run = stored.run if stored else None
            if stored is None or run is None or contract_of(run) != batch.contract:
                continue
            if batch.holds(run) and fresh:
                return run
            if run.state not in READY or batch.holds(run):
                continue
            cause = f"joined batch {batch.batch_id}"
            load = Load(batch_id=batch.batch_id)
            loading = run.apply(Event.START_LOAD, cause, self.context.clock(), load=load)
            try:
                return self.context.manifest.update(stored, loading).run
            except Stale:
                if fresh:
                    raise
        return None

    def waiting(self, batch: Batch) -> list[str]:
        """The batch's runs that still wait for its end, in its order.

        Found by one list call, so that a try after a failure begins where the one before ended.
        """
        members = [str(drop["run_id"]) for drop in batch.drops]
        if len(members) == 1:
            return members
        loading = {
            run.run_id for run in self.context.manifest.active() if run.state is State.LOADING
        }
        return [run_id for run_id in members if run_id in loading]

    def fail(self, run_ids: Iterable[str], batch: Batch, cause: str) -> None:
        """End these runs, which are loading in the batch, as failed."""

        def fail(member: Stored) -> None:
            final = member.run.apply(Event.FAIL, cause, self.context.clock())
            self.context.manifest.end(member, final)

        self.each(run_ids, batch, fail)

    def each(self, run_ids: Iterable[str], batch: Batch, do: Callable[[Stored], None]) -> None:
        """Do it for each of these runs that is loading in this batch.

        What is done begins with a conditional write on the document: one that is remembered from
        before that run went another way is found out.

        Raises:
            Retryable: for some it could not be done.
        """
        failures = FailureBudget()
        for run_id in run_ids:
            with failures.tolerate():
                for fresh in (False, True):
                    stored = self.find(run_id, fresh=fresh)
                    if stored is None or not batch.holds(stored.run):
                        continue
                    try:
                        do(stored)
                    except Stale:
                        if fresh:
                            raise
                        continue
                    break
        failures.settle()


def contract_of(run: Run) -> str | None:
    """The contract by which a run was validated."""
    return run.verdict.digest if run.verdict else None
