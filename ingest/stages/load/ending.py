"""What the end of a job run makes of a batch and its members."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ingest import paths
from ingest.job_output import document_of
from ingest.log import log, once
from ingest.ports import JobRun
from ingest.runs.register import Stored
from ingest.runs.run import Load
from ingest.runs.states import Event
from ingest.stages.base import Context
from ingest.stages.load.batch import Batch
from ingest.stages.load.documents import BatchDocuments
from ingest.stages.load.members import BatchMembers


@dataclass(frozen=True)
class BatchEnding:
    """Finishes batches whose job run has ended, tries failed ones again, halves and gives up."""

    context: Context
    documents: BatchDocuments
    members: BatchMembers

    def conclude(self, batch: Batch, etag: str, observed: JobRun) -> bool:
        """Finish a batch whose job run succeeded, try or halve another again, or give it up.

        Says whether runs were put back, to be loaded next.
        """
        if observed.status == "succeeded":
            self._finish(batch, etag, observed)
            return False
        if observed.status == "refused":
            return self._give_up(batch, etag, observed.message)
        return self._fail(batch, etag, observed)

    def _finish(self, batch: Batch, etag: str, observed: JobRun) -> None:
        """End the members of a batch that is loaded, and file it."""
        folder = paths.results_folder(batch.dataset, batch.batch_id)
        # Empty where the job left nothing.
        result = document_of(self.context.lake, folder) or {}

        def finish(member: Stored) -> None:
            of_run = {**result.get("by_run", {}).get(member.run.run_id, {})}
            load = Load(
                batch_id=batch.batch_id,
                job_run_id=observed.job_run_id,
                result={**_counts(result, alone=len(batch.drops) == 1), **of_run}
                | {"url": observed.url, "tables": result.get("tables", {})}
                | {name: result[name] for name in ("served", "unbuilt") if name in result},
            )
            cause = f"loaded by job run {observed.job_run_id} in batch {batch.batch_id}"
            if unbuilt := result.get("unbuilt"):
                cause += f"; not built: {', '.join(sorted(unbuilt))}"
            done = member.run.apply(Event.FINISH_LOAD, cause, self.context.clock(), load=load)
            self.context.manifest.end(member, done)

        self.members.each(self.members.waiting(batch), batch, finish)
        self.documents.close(batch, etag)

    def _fail(self, batch: Batch, etag: str, observed: JobRun) -> bool:
        """Try the batch again after a while; give it up when it has failed often enough.

        An interrupted job run has said nothing of the data: it is tried again for more than an
        hour before it counts as a failure. Says whether runs were put back, to be loaded next.
        """
        cause = f"job run {observed.job_run_id} {observed.status}: {observed.message}"
        rules, failures, interruptions = (
            self.context.rules.load,
            batch.failures,
            batch.interruptions,
        )
        if observed.status == "interrupted" and interruptions < rules.max_interruptions:
            interruptions += 1
            wait = min(rules.backoff * 2 ** (interruptions - 1), rules.longest_backoff)
        else:
            failures += 1
            wait = rules.backoff * failures
        if failures >= rules.max_attempts:
            return self._give_up(batch, etag, cause)
        again = replace(
            batch,
            attempt=batch.attempt + 1,
            failures=failures,
            interruptions=interruptions,
            not_before=(self.context.clock() + wait).isoformat(),
            blocked=None,
        )
        self.documents.rewrite(again, etag)
        return False

    def _give_up(self, batch: Batch, etag: str, cause: str) -> bool:
        """Fail a batch of one; halve a larger one, so that the drop that poisons it ends alone.

        Says whether runs were put back, to be loaded next.
        """
        waiting = self.members.waiting(batch)
        if len(batch.drops) == 1:
            self.members.fail(waiting, batch, cause)
            self.documents.close(batch, etag)
            return False
        if not waiting:
            self.documents.close(batch, etag)
            return False
        kept = waiting[: max(1, len(waiting) // 2)]
        others = waiting[len(kept) :]
        smaller = replace(
            batch,
            batch_id=f"{batch.batch_id}.{len(kept)}",
            attempt=1,
            failures=0,
            interruptions=0,
            not_before=None,
            blocked=None,
            drops=tuple(drop for drop in batch.drops if drop["run_id"] in kept),
        )
        self.documents.rewrite(smaller, etag)
        back = f"put back: batch {batch.batch_id} failed and is tried in halves ({cause})"

        def put_back(member: Stored) -> None:
            returned = member.run.apply(Event.PUT_BACK, back, self.context.clock(), load=None)
            self.context.manifest.update(member, returned)

        # One that this misses joins the next batch all the same.
        self.members.each(others, batch, put_back)
        return True

    def block(self, batch: Batch, etag: str, cause: str) -> bool:
        """Say in the batch why it can go no further; give it up when that lasts too long."""
        now = self.context.clock()
        since = datetime.fromisoformat(batch.blocked["since"]) if batch.blocked else now
        if now - since < self.context.rules.max_blocked:
            once(log.error, f"the load of {batch.dataset} waits: {cause}")
            blocked = {"since": since.isoformat(), "cause": cause}
            again = (now + self.context.rules.load.longest_backoff).isoformat()
            self.documents.rewrite(replace(batch, blocked=blocked, not_before=again), etag)
            return False
        lasted = f"waited for {self.context.rules.max_blocked}: {cause}"
        self.documents.confirm(batch, etag)
        self.members.fail(self.members.waiting(batch), batch, lasted)
        self.documents.close(batch, etag)
        return True


def _counts(result: Mapping[str, Any], *, alone: bool) -> dict[str, Any]:
    """The batch's counts; they are the drop's own only where it was alone in its batch."""
    names = ("rows_in", "inserted", "updated", "unchanged", "orphans", "unenforced")
    counts = {name: result[name] for name in names if name in result}
    return counts if alone else {"batch": counts}
