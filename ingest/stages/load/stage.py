"""The load of a dataset's copied drops into silver and gold, by one Databricks job run at a time.

The batch document `current.json` of a dataset is created if absent: that makes it the one load of
the dataset. While it stands, copied drops gather; when its load has ended it is filed, and the next
batch can be formed. The job's idempotency token is made of batch and attempt, so asking Databricks
to start it again after a crash finds the run that is already there; no two batches have one id.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from ingest import paths
from ingest.errors import AccessDenied, ContractMissing, Damaged, Refused, Retryable
from ingest.log import log, once
from ingest.ports import JobRun
from ingest.runs.register import Stored
from ingest.runs.run import holds
from ingest.stages.base import NO_HINT, Context, Hint
from ingest.stages.load.batch import Batch, drop_of, new_id
from ingest.stages.load.batching import Limits, choose
from ingest.stages.load.documents import BatchDocuments, CurrentBatch
from ingest.stages.load.ending import BatchEnding
from ingest.stages.load.members import BatchMembers, contract_of
from landfall.protocol import State

TableOf = Callable[[str | None], Mapping[str, Any]]
"""Key and columns by the contract of a digest; by the deployed contract where there is none."""

_BELIEVED = timedelta(seconds=10)
"""How long a process that saw a load run does not look again because a drop was copied."""
_MANY = 1_000_000
_FORMING = timedelta(seconds=30)
"""How long whoever has written a batch has to mark its members, before others take those it has."""


@dataclass
class _Quiet:
    """Until when a look is not worth it, unless `others` more are copied; None: a load runs."""

    others: int | None
    until: datetime


class BatchLoader:
    """Forms, starts, watches and finishes the batches of all datasets.

    Each step reads `current.json` and decides on it; every write that follows is conditional on its
    ETag, and a member is ended or put back only if its document says that it is in this batch. So a
    worker that stood still, however long, finds nothing that it could still change.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._documents = BatchDocuments(context.lake)
        self._members = BatchMembers(context)
        self._ending = BatchEnding(context, self._documents, self._members)
        # Hints: when a look is worth its requests, and which job run a token has started.
        # They may be old or lost: the tick looks in any case.
        self._job_runs: dict[str, tuple[str, int]] = {}  # dataset -> token, job run
        self._quiet: dict[str, _Quiet] = {}
        self._arrived: set[str] = set()  # datasets with drops copied since their batch was formed
        self._busy: set[str] = set()  # datasets whose load a thread of this process is at
        self._lock = threading.Lock()

    def arrived(self, dataset: str) -> bool:
        """A drop of the dataset has been copied; says whether its load is worth a look now.

        It is not while a load of the dataset runs, nor while others that the batch waits for are
        still on their way; the tick looks in any case.
        """
        self._arrived.add(dataset)
        quiet = self._quiet.get(dataset)
        if quiet is not None and self._context.clock() < quiet.until:
            if quiet.others is None:
                return False
            quiet.others -= 1
            if quiet.others > 0:
                return False
        self._quiet[dataset] = _Quiet(_MANY, self._context.clock() + _BELIEVED)  # one look for all
        return True

    def step(
        self,
        dataset: str,
        table: TableOf,
        limits: Limits | None = None,
        unclaimed: Callable[[], str | None] = lambda: None,
    ) -> bool:
        """Take the dataset's load one step further; says whether there is more to do at once.

        `table` gives the table of the contract of a digest, or of the deployed one; `unclaimed`
        gives what `choose` takes by that name, where order counts. What this process does not know
        to wait, because another copied it, the next tick finds. While one thread of it is at a
        dataset's load, the others let it: two would only stand in each other's way.

        Raises:
            Retryable: a service did not answer, or another worker was faster.
            Damaged: the batch cannot be read.
        """
        with self._lock:
            if dataset in self._busy:
                return False
            self._busy.add(dataset)
        try:
            return self._step(dataset, table, limits or self._context.rules.load.limits, unclaimed)
        finally:
            self._busy.discard(dataset)

    def blocked(self, dataset: str) -> str | None:
        """Why the batch of a dataset can be neither started nor watched; None where it can."""
        current = self._documents.read(dataset)
        blocked = current.batch.blocked if current else None
        return blocked["cause"] if blocked else None

    def _step(
        self,
        dataset: str,
        table: TableOf,
        limits: Limits,
        unclaimed: Callable[[], str | None],
    ) -> bool:
        # The job run is asked first and the batch read then, so that what is concluded from its
        # end is concluded of the batch as it stood then.
        seen = self._seen(dataset)
        # A list call tells whether there is a batch, and what may be in the next. Where this
        # process has seen one, a look at its document saves that call.
        running = dataset in self._quiet and self._quiet[dataset].others is None
        current = self._documents.read(dataset) if seen or running else None
        current = current or self._form(dataset, table, limits, unclaimed)
        if current is None:
            return False
        self._quiet[dataset] = _Quiet(None, self._context.clock() + _BELIEVED)
        try:
            moved = self._watch(current, seen, in_order=limits.ordered)
        except AccessDenied as error:
            moved = self._ending.block(current.batch, current.etag, str(error))
        except Retryable:
            self._quiet.pop(dataset, None)
            raise
        if moved:
            self._quiet.pop(dataset, None)
            self._job_runs.pop(dataset, None)  # of an attempt that has ended
        return moved and dataset in self._arrived

    def _seen(self, dataset: str) -> dict[str, JobRun]:
        """How the job run is that this process has started for a dataset, by its token."""
        if dataset not in self._job_runs:
            return {}
        token, job_run_id = self._job_runs[dataset]
        try:
            return {token: self._observe(job_run_id)}
        except AccessDenied:
            return {}  # asked again, when it can be said in the batch

    def _observe(self, job_run_id: int) -> JobRun:
        observed = self._context.loader.observe(job_run_id)
        if observed is None:
            return JobRun(job_run_id, "interrupted", "the job run is not known any more")
        return observed

    def _watch(self, current: CurrentBatch, seen: Mapping[str, JobRun], *, in_order: bool) -> bool:
        """Look at the batch's job run; says whether that moved the batch."""
        batch, etag = current.batch, current.etag
        if batch.not_before and self._context.clock() < datetime.fromisoformat(batch.not_before):
            return False
        observed = seen.get(batch.token)
        if observed is None:
            if not batch.formed:
                formed = self._joined(current, in_order=in_order)
                if isinstance(formed, bool):
                    return formed
                batch, etag = formed.batch, formed.etag
            try:
                observed = self._observe(self._start(batch))
            except Refused as error:
                observed = JobRun(0, "refused", f"Databricks refused to start the load: {error}")
                return self._ended(batch, etag, observed)
            if observed.status != "running":
                self._documents.confirm(batch, etag)  # it was read before the job run was asked
        if observed.status == "running":
            if batch.blocked:
                self._documents.rewrite(replace(batch, blocked=None), etag)
            return False
        return self._ended(batch, etag, observed)

    def _ended(self, batch: Batch, etag: str, observed: JobRun) -> bool:
        """Draw the conclusion from the end of a job run, or from a start that was refused."""
        if self._ending.conclude(batch, etag, observed):
            self._arrived.add(batch.dataset)
        return True

    def _form(
        self,
        dataset: str,
        table: TableOf,
        limits: Limits,
        unclaimed: Callable[[], str | None],
    ) -> CurrentBatch | None:
        """Write down a batch of the copied drops, if there is none, and mark its members.

        The batch is written first, if absent: then only this batch can take members. It counts as
        formed when all of them are marked `loading` in it. A worker that finds one that was left
        half-formed takes those that are marked, and the others join the next. So do runs that are
        loading in a batch that is not current.
        """
        # Landing first: what is claimed meanwhile is among the runs then.
        waiting = unclaimed() if limits.ordered else None
        active = list(self._context.manifest.active())
        loading = any(run.state is State.LOADING and run.dataset == dataset for run in active)
        if loading and (current := self._documents.read(dataset)):
            return current
        now = self._context.clock()
        choice = choose(
            active, dataset, limits, self._context.rules.load.max_loads, now, unclaimed=waiting
        )
        self._quiet.pop(dataset, None)
        if choice.until:
            self._quiet[dataset] = _Quiet(choice.coming, choice.until)
        if not choice.members:
            return None
        self._arrived.discard(dataset)
        members = self._members.read(choice.members, in_order=limits.ordered)
        if not members:
            return None
        digest = contract_of(members[0])
        batch = Batch(
            batch_id=new_id(dataset, now),
            dataset=dataset,
            attempt=1,
            created=now.isoformat(),
            table=table(digest),
            drops=tuple(drop_of(run) for run in members if contract_of(run) == digest),
            contract=digest,
            gold=self._context.gold.keep(),
        )
        return self._documents.create(batch)

    def _joined(self, current: CurrentBatch, *, in_order: bool) -> CurrentBatch | bool:
        """The batch with its members, all of them marked.

        True where it has none and was closed for it, False where another worker is at it.

        Raises:
            Retryable: none could be marked, or another worker was faster.
        """
        batch = current.batch
        members = self._members
        drops = members.enlist(batch, in_order=in_order) if current.new else members.marked(batch)
        if drops == list(batch.drops):
            return current
        created = datetime.fromisoformat(batch.created)
        if not current.new and holds(created + _FORMING, self._context.clock(), _FORMING):
            return False
        if not drops:
            self._documents.close(batch, current.etag)
            return True
        joined = replace(batch, drops=tuple(drops))
        return CurrentBatch(joined, self._documents.rewrite(joined, current.etag))

    def _start(self, batch: Batch) -> int:
        """The job run of the batch's attempt; the token finds one that is started already."""
        parameters = {
            "lake": self._context.spark_lake,
            "dataset": batch.dataset,
            "batch_id": batch.batch_id,
            "batch": paths.current_batch(batch.dataset),
        }
        job_run_id = self._context.loader.start(batch.token, parameters)
        self._job_runs[batch.dataset] = (batch.token, job_run_id)
        return job_run_id


class LoadStage:
    """The loads of all datasets, by the contracts in force."""

    def __init__(self, context: Context) -> None:
        self.batches = BatchLoader(context)
        self._context = context

    def advance(self, stored: Stored, _hint: Hint = NO_HINT) -> Stored:
        """Nothing for a single run: a load is a step of its dataset, see `step`."""
        return stored

    def step(self, dataset: str) -> bool:
        """Take the load of a dataset's copied drops one step further; says whether there is more.

        Raises:
            Retryable: a service did not answer, or another worker was faster.
        """

        def table(digest: str | None) -> Mapping[str, Any]:
            return self._context.contracts.of(dataset, digest).table()

        def unclaimed() -> str | None:
            return self._context.landing.oldest(dataset)

        try:
            return self.batches.step(dataset, table, self.limits_of(dataset), unclaimed)
        except (ContractMissing, Damaged) as error:
            once(log.error, f"the load of {dataset} waits: {error}")
            return False

    def limits_of(self, dataset: str) -> Limits:
        """The limits of a dataset's batches: its contract's, else the service's."""
        limits = self._context.rules.load.limits
        contract = self._context.contracts.deployed.get(dataset)
        return limits.of(contract.delivery) if contract else limits
