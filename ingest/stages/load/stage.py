"""The load of a dataset's copied drops into silver and gold, by one Databricks job run at a time.

The batch document `current.json` of a dataset is created if absent: that makes it the one load of
the dataset. While it stands, copied drops gather; when its load has ended it is filed, and the next
batch can be formed. The job's idempotency token is made of batch and attempt, so asking Databricks
to start it again after a crash finds the run that is already there; no two batches have one id.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from ingest import paths
from ingest.errors import (
    AccessDenied,
    AlreadyExists,
    Damaged,
    NotFound,
    Refused,
    Retryable,
    Stale,
)
from ingest.gold_store import GoldStore
from ingest.log import log, once
from ingest.ports import Clock, JobRun, JobService, Lake
from ingest.runs.register import Register, Stored
from ingest.runs.run import Load, Run, holds
from ingest.runs.states import Event
from ingest.stages.claim import end
from ingest.stages.load.batch import Batch, drop_of, dump, new_id, parse
from ingest.stages.load.batching import READY, Limits, choose
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
    max_blocked: timedelta = timedelta(days=3)


TableOf = Callable[[str | None], Mapping[str, Any]]
"""Key and columns by the contract of a digest; by the deployed contract where there is none."""


class _Current(NamedTuple):
    """A batch as it was read, and whether this very step has written it."""

    batch: Batch
    etag: str
    new: bool = False


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

    def __init__(
        self,
        *,
        lake: Lake,
        manifest: Register,
        loader: JobService,
        clock: Clock,
        rules: LoadRules,
        spark_lake: str,
        gold: GoldStore,
    ) -> None:
        self._lake = lake
        self.gold = gold
        self._manifest = manifest
        self._loader = loader
        self._clock = clock
        self._rules = rules
        self._spark_lake = spark_lake
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
        if quiet is not None and self._clock() < quiet.until:
            if quiet.others is None:
                return False
            quiet.others -= 1
            if quiet.others > 0:
                return False
        self._quiet[dataset] = _Quiet(_MANY, self._clock() + _BELIEVED)  # one look for all
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
            return self._step(dataset, table, limits or self._rules.limits, unclaimed)
        finally:
            self._busy.discard(dataset)

    def blocked(self, dataset: str) -> str | None:
        """Why the batch of a dataset can be neither started nor watched; None where it can."""
        current = self._current(dataset)
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
        current = self._current(dataset) if seen or running else None
        current = current or self._form(dataset, table, limits, unclaimed)
        if current is None:
            return False
        self._quiet[dataset] = _Quiet(None, self._clock() + _BELIEVED)
        try:
            moved = self._watch(current, seen, in_order=limits.ordered)
        except AccessDenied as error:
            moved = self._block(current.batch, current.etag, str(error))
        except Retryable:
            self._quiet.pop(dataset, None)
            raise
        if moved:
            self._quiet.pop(dataset, None)
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
        observed = self._loader.observe(job_run_id)
        if observed is None:
            return JobRun(job_run_id, "interrupted", "the job run is not known any more")
        return observed

    def _watch(self, current: _Current, seen: Mapping[str, JobRun], *, in_order: bool) -> bool:
        """Look at the batch's job run; says whether that moved the batch."""
        batch, etag = current.batch, current.etag
        if batch.not_before and self._clock() < datetime.fromisoformat(batch.not_before):
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
                self._give_up(batch, etag, f"Databricks refused to start the load: {error}")
                return True
            if observed.status != "running":
                self._confirm(batch, etag)  # it was read before the job run was asked
        if observed.status == "running":
            if batch.blocked:
                self._rewrite(replace(batch, blocked=None), etag)
            return False
        if observed.status == "succeeded":
            self._finish(batch, etag, observed)
        else:
            self._fail(batch, etag, observed)
        return True

    def _block(self, batch: Batch, etag: str, cause: str) -> bool:
        """Say in the batch why it can go no further; give it up when that lasts too long."""
        now = self._clock()
        since = datetime.fromisoformat(batch.blocked["since"]) if batch.blocked else now
        if now - since < self._rules.max_blocked:
            once(log.error, f"the load of {batch.dataset} waits: {cause}")
            blocked = {"since": since.isoformat(), "cause": cause}
            again = (now + self._rules.longest_backoff).isoformat()
            self._rewrite(replace(batch, blocked=blocked, not_before=again), etag)
            return False
        lasted = f"waited for {self._rules.max_blocked}: {cause}"
        self._confirm(batch, etag)
        self._end_members(self._waiting(batch), batch, lasted)
        self._close(batch, etag)
        return True

    def _current(self, dataset: str) -> _Current | None:
        try:
            body, etag = self._lake.get(paths.current_batch(dataset))
        except NotFound:
            return None
        return _Current(parse(body), etag)

    def _confirm(self, batch: Batch, etag: str) -> None:
        """See that the batch is still what was read of it.

        Raises:
            Stale: it is not.
        """
        current = self._current(batch.dataset)
        if current is None or current.etag != etag:
            raise Stale(f"batch {batch.batch_id} has been changed by another worker")

    def _form(
        self,
        dataset: str,
        table: TableOf,
        limits: Limits,
        unclaimed: Callable[[], str | None],
    ) -> _Current | None:
        """Write down a batch of the copied drops, if there is none, and mark its members.

        The batch is written first, if absent: then only this batch can take members. It counts as
        formed when all of them are marked `loading` in it. A worker that finds one that was left
        half-formed takes those that are marked, and the others join the next. So do runs that are
        loading in a batch that is not current.
        """
        # Landing first: what is claimed meanwhile is among the runs then.
        waiting = unclaimed() if limits.ordered else None
        active = list(self._manifest.active())
        loading = any(run.state is State.LOADING and run.dataset == dataset for run in active)
        if loading and (current := self._current(dataset)):
            return current
        now = self._clock()
        choice = choose(active, dataset, limits, self._rules.max_loads, now, unclaimed=waiting)
        self._quiet.pop(dataset, None)
        if choice.until:
            self._quiet[dataset] = _Quiet(choice.coming, choice.until)
        if not choice.members:
            return None
        self._arrived.discard(dataset)
        members = self._members(choice.members, in_order=limits.ordered)
        if not members:
            return None
        digest = _digest(members[0])
        batch = Batch(
            batch_id=new_id(dataset, now),
            dataset=dataset,
            attempt=1,
            created=now.isoformat(),
            table=table(digest),
            drops=tuple(drop_of(run) for run in members if _digest(run) == digest),
            contract=digest,
            gold=self.gold.keep(),
        )
        path = paths.current_batch(dataset)
        try:
            etag = self._lake.put(path, dump(batch), if_absent=True)
        except AlreadyExists:
            return self._current(dataset)
        return _Current(batch, etag, new=True)

    def _members(self, run_ids: Iterable[str], *, in_order: bool) -> list[Run]:
        """The runs of a batch that is to be; those that cannot be read are left for the next.

        Raises:
            Retryable: none could be.
        """
        members: list[Run] = []
        failures = FailureBudget()
        with suppress(Retryable):
            for run_id in run_ids:
                with failures.tolerate():
                    if stored := self._find(run_id):
                        members.append(stored.run)
                if in_order and failures.last:
                    break
        if not members:
            failures.settle()
        return members

    def _find(self, run_id: str, *, fresh: bool = False) -> Stored | None:
        """A run; None where it is not known, or its document cannot be read."""
        try:
            return self._manifest.find(run_id, fresh=fresh)
        except Damaged as error:
            once(log.error, f"run {run_id} is set aside: {error}")
            return None

    def _joined(self, current: _Current, *, in_order: bool) -> _Current | bool:
        """The batch with its members, all of them marked.

        True where it has none and was closed for it, False where another worker is at it.

        Raises:
            Retryable: none could be marked, or another worker was faster.
        """
        batch = current.batch
        drops = self._enlisted(batch, in_order=in_order) if current.new else self._marked(batch)
        if drops == list(batch.drops):
            return current
        created = datetime.fromisoformat(batch.created)
        if not current.new and holds(created + _FORMING, self._clock(), _FORMING):
            return False
        if not drops:
            self._close(batch, current.etag)
            return True
        joined = replace(batch, drops=tuple(drops))
        return _Current(joined, self._rewrite(joined, current.etag))

    def _enlisted(self, batch: Batch, *, in_order: bool) -> list[Mapping[str, Any]]:
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

    def _marked(self, batch: Batch) -> list[Mapping[str, Any]]:
        """The drops of a batch that are marked as its members.

        Nobody else marks what the worker that wrote the batch has not: the job run of its token may
        have ended, and a drop that was taken up again since was not in it.
        """
        members = {str(drop["run_id"]): drop for drop in batch.drops}
        if len(members) == 1:  # reading the one document costs less than a list
            (run_id,) = members
            stored = self._find(run_id, fresh=True)
            folders = {run_id: stored.run.bronze} if stored and batch.holds(stored.run) else {}
        else:
            folders = {
                run.run_id: run.steering.get("bronze")
                or paths.bronze_folder(batch.dataset, run.run_id)
                for run in self._manifest.active()
                if run.state is State.LOADING and run.steering.get("batch_id") == batch.batch_id
            }
        return [drop for name, drop in members.items() if folders.get(name) == drop["bronze"]]

    def _mark(self, run_id: str, batch: Batch) -> Run | None:
        """Mark a drop as a member; None for one that has ended, or cannot be in this batch."""
        for fresh in (False, True):
            stored = self._find(run_id, fresh=fresh)
            run = stored.run if stored else None
            if stored is None or run is None or _digest(run) != batch.contract:
                continue
            if batch.holds(run) and fresh:
                return run
            if run.state not in READY or batch.holds(run):
                continue
            cause = f"joined batch {batch.batch_id}"
            load = Load(batch_id=batch.batch_id)
            loading = run.apply(Event.START_LOAD, cause, self._clock(), load=load)
            try:
                return self._manifest.update(stored, loading).run
            except Stale:
                if fresh:
                    raise
        return None

    def _start(self, batch: Batch) -> int:
        """The job run of the batch's attempt; the token finds one that is started already."""
        parameters = {
            "lake": self._spark_lake,
            "dataset": batch.dataset,
            "batch_id": batch.batch_id,
            "batch": paths.current_batch(batch.dataset),
        }
        job_run_id = self._loader.start(batch.token, parameters)
        self._job_runs[batch.dataset] = (batch.token, job_run_id)
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
                | {name: result[name] for name in ("served", "unbuilt") if name in result},
            )
            cause = f"loaded by job run {observed.job_run_id} in batch {batch.batch_id}"
            if unbuilt := result.get("unbuilt"):
                cause += f"; not built: {', '.join(sorted(unbuilt))}"
            done = member.run.apply(Event.FINISH_LOAD, cause, self._clock(), load=load)
            end(member, done, self._manifest)

        self._each(self._waiting(batch), batch, finish)
        self._close(batch, etag)

    def _result(self, batch: Batch) -> Mapping[str, Any]:
        """What the job said of the batch; empty where it left nothing."""
        folder = paths.results_folder(batch.dataset, batch.batch_id)
        for entry in self._lake.list(folder):
            if "/part-" in entry.version.path[len(folder) - 1 :]:
                body, _ = self._lake.get(entry.version.path)
                result: dict[str, Any] = json.loads(body)
                return result
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
            blocked=None,
        )
        self._rewrite(again, etag)

    def _give_up(self, batch: Batch, etag: str, cause: str) -> None:
        """Fail a batch of one; halve a larger one, so that the drop that poisons it ends alone."""
        waiting = self._waiting(batch)
        if len(batch.drops) == 1:
            self._end_members(waiting, batch, cause)
            self._close(batch, etag)
            return
        if not waiting:
            self._close(batch, etag)
            return
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
        self._rewrite(smaller, etag)
        self._arrived.add(batch.dataset)  # the other half
        back = f"put back: batch {batch.batch_id} failed and is tried in halves ({cause})"

        def put_back(member: Stored) -> None:
            returned = member.run.apply(Event.PUT_BACK, back, self._clock(), load=None)
            self._manifest.update(member, returned)

        # One that this misses joins the next batch all the same.
        self._each(others, batch, put_back)

    def _end_members(self, run_ids: Iterable[str], batch: Batch, cause: str) -> None:
        def fail(member: Stored) -> None:
            end(member, member.run.apply(Event.FAIL, cause, self._clock()), self._manifest)

        self._each(run_ids, batch, fail)

    def _waiting(self, batch: Batch) -> list[str]:
        """The batch's runs that still wait for its end, in its order.

        Found by one list call, so that a try after a failure begins where the one before ended.
        """
        members = [str(drop["run_id"]) for drop in batch.drops]
        if len(members) == 1:
            return members
        loading = {run.run_id for run in self._manifest.active() if run.state is State.LOADING}
        return [run_id for run_id in members if run_id in loading]

    def _each(self, run_ids: Iterable[str], batch: Batch, do: Callable[[Stored], None]) -> None:
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
                    stored = self._find(run_id, fresh=fresh)
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

    def _rewrite(self, batch: Batch, etag: str) -> str:
        token, _ = self._job_runs.get(batch.dataset, ("", 0))
        if token != batch.token:
            self._job_runs.pop(batch.dataset, None)
        return self._lake.put(paths.current_batch(batch.dataset), dump(batch), if_match=etag)

    def _close(self, batch: Batch, etag: str) -> None:
        self._job_runs.pop(batch.dataset, None)
        source = paths.current_batch(batch.dataset)
        target = paths.done_batch(batch.dataset, batch.batch_id)
        try:
            self._lake.rename(source, target, etag=etag)
        except NotFound:
            return  # closed before, by an answer that was lost or by somebody else


def _digest(run: Run) -> str | None:
    """The contract by which a run was validated."""
    return run.verdict.digest if run.verdict else None


def _counts(result: Mapping[str, Any], *, alone: bool) -> dict[str, Any]:
    """The batch's counts; they are the drop's own only where it was alone in its batch."""
    names = ("rows_in", "inserted", "updated", "unchanged", "orphans", "unenforced")
    counts = {name: result[name] for name in names if name in result}
    return counts if alone else {"batch": counts}
