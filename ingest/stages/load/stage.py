"""The load of a dataset's copied drops into silver and gold, by one Databricks job run at a time.

The batch document `current.json` of a dataset is created if absent: that makes it the one load of
the dataset. While it stands, copied drops gather; when its load has ended it is filed, and the next
batch can be frozen. The job's idempotency token is made of batch and attempt, so asking Databricks
to start it again after a crash finds the run that is already there.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from ingest import paths
from ingest.errors import AlreadyExists, NotFound, Refused, Retryable, Stale
from ingest.ports import Clock, JobRun, JobService, Lake
from ingest.runs.register import Register, Stored
from ingest.runs.run import Load, Run
from ingest.runs.states import Event
from ingest.stages.claim import end
from ingest.stages.load.batch import Batch, drop_of, dump, parse
from ingest.stages.load.batching import Limits, choose
from ingest.stages.load.failure_budget import FailureBudget
from landfall.protocol import State


@dataclass(frozen=True)
class LoadRules:
    """Limits of a batch, of loads at once, and how often one is tried before it is halved."""

    limits: Limits = field(default_factory=Limits)
    max_loads: int = 10
    max_attempts: int = 2
    backoff: timedelta = timedelta(seconds=30)
    longest_backoff: timedelta = timedelta(minutes=5)
    max_interruptions: int = 16


@dataclass
class _Gathering:
    """How many drops a batch waits for, and until when."""

    others: int
    until: datetime


class BatchLoader:
    """Forms, starts, watches and finishes the batches of all datasets."""

    def __init__(
        self,
        *,
        lake: Lake,
        manifest: Register,
        loader: JobService,
        clock: Clock,
        rules: LoadRules,
        spark_lake: str,
    ) -> None:
        self._lake = lake
        self._manifest = manifest
        self._loader = loader
        self._clock = clock
        self._rules = rules
        self._spark_lake = spark_lake
        # What this process remembers, to spare a request per look. It may be old: every write that
        # follows from it is conditional on an ETag, and the tick looks afresh.
        self._job_runs: dict[str, int] = {}  # token -> job run
        self._frozen: dict[str, tuple[Batch, str]] = {}  # dataset -> its current batch
        self._arrived: set[str] = set()  # datasets with drops copied since their batch was frozen
        self._gathering: dict[str, _Gathering] = {}
        self._busy: set[str] = set()  # datasets whose load a thread of this process is at
        self._lock = threading.Lock()

    def arrived(self, dataset: str) -> bool:
        """A drop of the dataset has been copied; says whether its load is worth a look now.

        It is not while a load of the dataset runs, nor while others that the batch waits for are
        still on their way; the tick looks in any case.
        """
        self._arrived.add(dataset)
        if gathering := self._gathering.get(dataset):
            gathering.others -= 1
            return gathering.others <= 0 or self._clock() >= gathering.until
        return dataset not in self._frozen

    def step(self, dataset: str, table: Mapping[str, Any], limits: Limits | None = None) -> bool:
        """Take the dataset's load one step further; says whether there is more to do at once.

        What this process does not know to wait, because another copied it, the next tick finds.
        While one thread of it is at a dataset's load, the others let it: two would only stand in
        each other's way.

        Raises:
            Retryable: a service did not answer, or another worker was faster.
        """
        with self._lock:
            if dataset in self._busy:
                return False
            self._busy.add(dataset)
        try:
            return self._step(dataset, table, limits or self._rules.limits)
        finally:
            self._busy.discard(dataset)

    def _step(self, dataset: str, table: Mapping[str, Any], limits: Limits) -> bool:
        current = self._frozen.get(dataset) or self._form(dataset, table, limits)
        if current is None:
            return False
        self._frozen[dataset] = current
        try:
            moved = self._watch(*current)
        except Retryable:
            self._frozen.pop(dataset, None)
            raise
        if moved:
            self._frozen.pop(dataset, None)
        return moved and dataset in self._arrived

    def _watch(self, batch: Batch, etag: str) -> bool:
        """Look at the batch's job run; says whether that moved the batch."""
        if batch.not_before and self._clock() < datetime.fromisoformat(batch.not_before):
            return False
        try:
            job_run_id = self._start(batch)
        except Refused as error:
            self._give_up(batch, etag, f"Databricks refused to start the load: {error}")
            return True
        observed = self._loader.observe(job_run_id)
        if observed is None:
            observed = JobRun(job_run_id, "interrupted", "the job run is not known any more")
        if observed.status == "running":
            return False
        if observed.status == "succeeded":
            self._finish(batch, etag, observed)
        else:
            self._fail(batch, etag, observed)
        return True

    def _current(self, dataset: str) -> tuple[Batch, str] | None:
        try:
            body, etag = self._lake.get(paths.current_batch(dataset))
        except NotFound:
            return None
        return parse(body), etag

    def _form(
        self, dataset: str, table: Mapping[str, Any], limits: Limits
    ) -> tuple[Batch, str] | None:
        """Freeze the copied drops into a batch.

        The members are marked `loading` first and frozen second. A crash between the two leaves
        members without a batch. A dataset has one batch at a time and closes it after its members,
        so a loading run without a batch is always such an orphan, and joins the next one.
        """
        active = list(self._manifest.active())
        loading = any(run.state is State.LOADING and run.dataset == dataset for run in active)
        if loading and (current := self._current(dataset)):
            return current
        now = self._clock()
        choice = choose(active, dataset, limits, self._rules.max_loads, now)
        self._gathering.pop(dataset, None)
        if choice.until:
            self._gathering[dataset] = _Gathering(choice.coming, choice.until)
        waiting = choice.members
        if not waiting:
            return None
        self._arrived.discard(dataset)
        stamp = f"{now:%Y%m%dT%H%M%SZ}"
        seed = hashlib.sha256("\n".join([stamp, *waiting]).encode()).hexdigest()[:8]
        batch_id = f"{stamp}-{dataset}-{seed}"
        members = self._marked(waiting, batch_id, in_order=limits.ordered)
        if not members:
            return None
        batch = Batch(
            batch_id=batch_id,
            dataset=dataset,
            attempt=1,
            created=now.isoformat(),
            table=table,
            drops=tuple(drop_of(run) for run in members),
        )
        path = paths.current_batch(dataset)
        try:
            etag = self._lake.put(path, dump(batch), if_absent=True)
        except AlreadyExists:
            return self._current(dataset)
        return batch, etag

    def _marked(self, waiting: Iterable[str], batch_id: str, *, in_order: bool) -> list[Run]:
        """The runs that could be marked as members; the others are left for the next batch.

        Where order counts, nobody overtakes one that could not.

        Raises:
            Retryable: none could be.
        """
        members: list[Run] = []
        failures = FailureBudget()
        with suppress(Retryable):
            for run_id in waiting:
                with failures.tolerate():
                    if run := self._mark(run_id, batch_id):
                        members.append(run)
                if in_order and failures.last:
                    break
        if not members:
            failures.settle()
        return members

    def _mark(self, run_id: str, batch_id: str) -> Run | None:
        for fresh in (False, True):
            stored = self._manifest.find(run_id, fresh=fresh)
            if stored is None or stored.run.final:
                return None
            if stored.run.state is State.LOADING and fresh:
                return stored.run
            if stored.run.state is not State.COPIED:
                continue
            cause = f"joined batch {batch_id}"
            loading = stored.run.apply(
                Event.START_LOAD, cause, self._clock(), load=Load(batch_id=batch_id)
            )
            try:
                return self._manifest.update(stored, loading).run
            except Stale:
                continue
        return None

    def _start(self, batch: Batch) -> int:
        job_run_id = self._job_runs.get(batch.token)
        if job_run_id is None:
            parameters = {
                "lake": self._spark_lake,
                "dataset": batch.dataset,
                "batch_id": batch.batch_id,
                "batch": paths.current_batch(batch.dataset),
            }
            job_run_id = self._loader.start(batch.token, parameters)
            self._job_runs[batch.token] = job_run_id
        return job_run_id

    def _finish(self, batch: Batch, etag: str, observed: JobRun) -> None:
        result = self._result(batch)

        def finish(member: Stored) -> None:
            of_run = {**result.get("by_run", {}).get(member.run.run_id, {})}
            load = Load(
                batch_id=batch.batch_id,
                job_run_id=observed.job_run_id,
                result={**_counts(result, alone=len(batch.drops) == 1), **of_run}
                | {"url": observed.url, "tables": result.get("tables", {})}
                | ({"served": result["served"]} if "served" in result else {}),
            )
            cause = f"loaded by job run {observed.job_run_id} in batch {batch.batch_id}"
            done = member.run.apply(Event.FINISH_LOAD, cause, self._clock(), load=load)
            end(member, done, self._manifest)

        self._each(self._waiting(batch), finish)
        self._close(batch, etag)

    def _result(self, batch: Batch) -> Mapping[str, Any]:
        """What the job said of the batch; empty where it left nothing."""
        folder = paths.results_folder(batch.dataset, batch.batch_id)
        for entry in self._lake.list(folder):
            if "/part-" in entry.version.path[len(folder) - 1 :]:
                body, _ = self._lake.get(entry.version.path)
                found: dict[str, Any] = json.loads(body)
                return found
        return {}

    def _fail(self, batch: Batch, etag: str, observed: JobRun) -> None:
        """Try the batch again after a while; give it up when it has failed often enough.

        An interrupted job run has said nothing of the data: it is tried again for more than an
        hour before it counts as a failure.
        """
        cause = f"job run {observed.job_run_id} {observed.status}: {observed.message}"
        rules, failures, interruptions = self._rules, batch.failures, batch.interruptions
        if observed.status == "interrupted" and interruptions < rules.max_interruptions:
            interruptions += 1
            wait = min(rules.backoff * 2 ** (interruptions - 1), rules.longest_backoff)
        else:
            failures += 1
            wait = rules.backoff * failures
        if failures >= rules.max_attempts:
            self._give_up(batch, etag, cause)
            return
        again = replace(
            batch,
            attempt=batch.attempt + 1,
            failures=failures,
            interruptions=interruptions,
            not_before=(self._clock() + wait).isoformat(),
        )
        self._rewrite(again, etag)

    def _give_up(self, batch: Batch, etag: str, cause: str) -> None:
        """Fail a batch of one; halve a larger one, so that the drop that poisons it ends alone."""
        waiting = self._waiting(batch)
        if len(waiting) <= 1:

            def fail(member: Stored) -> None:
                end(member, member.run.apply(Event.FAIL, cause, self._clock()), self._manifest)

            self._each(waiting, fail)
            self._close(batch, etag)
            return
        kept, others = waiting[: len(waiting) // 2], waiting[len(waiting) // 2 :]
        smaller = replace(
            batch,
            batch_id=f"{batch.batch_id}.{len(kept)}",
            attempt=1,
            failures=0,
            interruptions=0,
            not_before=None,
            drops=tuple(drop for drop in batch.drops if drop["run_id"] in kept),
        )
        self._rewrite(smaller, etag)
        self.arrived(batch.dataset)  # the other half
        back = f"put back: batch {batch.batch_id} failed and is tried in halves ({cause})"

        def put_back(member: Stored) -> None:
            returned = member.run.apply(Event.PUT_BACK, back, self._clock(), load=None)
            self._manifest.update(member, returned)

        self._each(others, put_back)  # one that this misses joins the next batch all the same

    def _waiting(self, batch: Batch) -> list[str]:
        """The batch's runs that still wait for its end, in its order.

        Found by one list call, so that a try after a failure begins where the one before ended.
        """
        members = [str(drop["run_id"]) for drop in batch.drops]
        if len(members) == 1:
            return members
        loading = {run.run_id for run in self._manifest.active() if run.state is State.LOADING}
        return [run_id for run_id in members if run_id in loading]

    def _each(self, run_ids: Iterable[str], do: Callable[[Stored], None]) -> None:
        """Do it for each of these runs that is loading.

        Raises:
            Retryable: for some it could not be done.
        """
        failures = FailureBudget()
        for run_id in run_ids:
            with failures.tolerate():
                for fresh in (False, True):
                    stored = self._manifest.find(run_id, fresh=fresh)
                    if stored and stored.run.state is State.LOADING:
                        do(stored)
                        break
        failures.settle()

    def _rewrite(self, batch: Batch, etag: str) -> None:
        self._lake.put(paths.current_batch(batch.dataset), dump(batch), if_match=etag)

    def _close(self, batch: Batch, etag: str) -> None:
        self._job_runs.pop(batch.token, None)
        source = paths.current_batch(batch.dataset)
        target = paths.done_batch(batch.dataset, batch.batch_id)
        try:
            self._lake.rename(source, target, etag=etag)
        except NotFound:
            return  # closed before, by an answer that was lost or by somebody else


def _counts(result: Mapping[str, Any], *, alone: bool) -> dict[str, Any]:
    """The batch's counts; they are the drop's own only where it was alone in its batch."""
    names = ("rows_in", "inserted", "updated", "unchanged", "orphans", "unenforced")
    counts = {name: result[name] for name in names if name in result}
    return counts if alone else {"batch": counts}
