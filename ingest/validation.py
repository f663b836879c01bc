"""The validation of a claimed drop: under a lease, with its report and rejects left in the lake.

The engine in `ingest.validate` judges; here its verdict becomes the run's next state. Several
workers may end up judging the same drop when a lease runs out. They write the same files, and the
conditional write of the record lets one of them conclude.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta

from ingest import copy, paths
from ingest.claim import end
from ingest.contracts import Contract
from ingest.errors import AlreadyExists, NotFound, Stale
from ingest.manifest import Manifest, Stored
from ingest.ports import BinaryWriter, Clock, Lake
from ingest.run import Lease, Run, Verdict
from ingest.states import Event, State
from ingest.validate import Format, Problem, Report, validate


@dataclass(frozen=True)
class ValidationRules:
    """How long a worker may be silent before another takes its drop over."""

    lease: timedelta = timedelta(minutes=5)


@dataclass(frozen=True)
class LakeSource:
    """A file of the lake as the engine reads it."""

    lake: Lake
    path: str
    size: int

    def stream(self) -> Iterator[bytes]:
        """A fresh pass over its bytes."""
        return self.lake.stream(self.path)

    def read(self, offset: int, length: int) -> bytes:
        """A range of its bytes."""
        return self.lake.read(self.path, offset, length)


@dataclass(frozen=True)
class Layout:
    """Where the drop of a run and what validation makes of it stand in the lake."""

    run: Run

    @property
    def drop(self) -> str:
        """The claimed file."""
        if self.run.raw is None:
            raise ValueError(f"run {self.run.run_id} is {self.run.state} without its file")
        return self.run.raw

    @property
    def name(self) -> str:
        """Its name in raw."""
        return self.drop.rsplit("/", 1)[-1]

    @property
    def _plain_name(self) -> str:
        """The name without the mark of a compression: what is written out is never compressed."""
        stem, dot, suffix = self.name.rpartition(".")
        return stem if dot and suffix in ("gz", "zst", "zstd") else self.name

    @property
    def quarantine(self) -> str:
        """The folder of what was refused."""
        return paths.quarantine_folder(self.run.dataset, self.run.run_id)

    @property
    def raw(self) -> str:
        """The folder of the claimed file."""
        return paths.raw_folder(self.run.dataset, self.run.run_id)

    @property
    def rejects(self) -> str:
        """The rejected records, with the suffix of the file that they come from."""
        _, dot, suffix = self._plain_name.rpartition(".")
        return f"{self.quarantine}/rejects{dot}{suffix if dot else ''}"

    @property
    def clean(self) -> str:
        """The drop without its rejected records."""
        return f"{self.raw}/clean/{self._plain_name}"


@dataclass(frozen=True)
class LakeOutputs:
    """Where the engine's by-products go: rejects to quarantine, the clean copy beside the drop."""

    lake: Lake
    layout: Layout

    def rejects(self) -> AbstractContextManager[BinaryWriter]:
        """The rejected records as they came."""
        return self.lake.writer(self.layout.rejects)

    def reasons(self) -> AbstractContextManager[BinaryWriter]:
        """One JSON object a rejected record."""
        return self.lake.writer(f"{self.layout.rejects}.reasons.jsonl")

    def clean(self) -> AbstractContextManager[BinaryWriter]:
        """The drop without its rejected records."""
        return self.lake.writer(self.layout.clean)


@dataclass(frozen=True)
class ValidationStage:
    """Judges claimed drops; `worker` names this process in leases."""

    lake: Lake
    manifest: Manifest
    contracts: Mapping[str, Contract]
    clock: Clock
    rules: ValidationRules
    worker: str
    _busy: set[str] = field(default_factory=set)

    def may_start(self, run: Run) -> bool:
        """Whether nobody is at work on the drop.

        A lease of this very process holds while the work goes on; after an interruption, such as a
        lake that did not answer, it need not run out first.
        """
        lease = run.lease
        if lease is None or lease.until <= self.clock():
            return True
        return lease.owner == self.worker and run.run_id not in self._busy

    def advance(self, stored: Stored) -> Stored:
        """Judge the drop and write down what follows.

        An accepted run comes back in `copying`: its first attempt is written in the same request,
        and the caller starts it.

        Raises:
            Stale: another worker took over, or the run was cancelled meanwhile.
        """
        if not self.may_start(stored.run):
            return stored
        run_id = stored.run.run_id
        self._busy.add(run_id)
        try:
            tenure = _Tenure(self._lease(stored), self)
            report = self._judge(tenure.stored.run, tenure.keep)
            return self._conclude(tenure.stored, report)
        finally:
            self._busy.discard(run_id)

    def _conclude(self, stored: Stored, report: Report) -> Stored:
        if report.verdict == "refused":
            return self._refuse(stored, report)
        return self._accept(stored, report)

    def _lease(self, stored: Stored) -> Stored:
        takeover = stored.run.state is State.VALIDATING
        cause = "lease expired: taken over" if takeover else "judging against the contract"
        run = stored.run.apply(Event.START_VALIDATION, cause, self.clock(), lease=self.new_lease())
        return self.manifest.update(stored, run)

    def new_lease(self) -> Lease:
        """A lease of this worker from now on."""
        return Lease(owner=self.worker, until=self.clock() + self.rules.lease)

    def _judge(self, run: Run, keep: Callable[[int], None]) -> Report:
        contract = self.contracts.get(run.dataset)
        if contract is None:
            return _no_contract(run, sorted(self.contracts))
        layout = Layout(run)
        source = LakeSource(self.lake, layout.drop, run.source.size)
        outputs = LakeOutputs(self.lake, layout)
        return validate(source, contract, name=run.name, outputs=outputs, on_progress=keep)

    def _refuse(self, stored: Stored, report: Report) -> Stored:
        run, layout = stored.run, Layout(stored.run)
        verdict = self._note(run, report, layout.quarantine)
        target = f"{layout.quarantine}/{layout.name}"
        try:
            self.lake.rename(layout.drop, target)
        except NotFound:
            if self.lake.head(target) is None:
                raise
        final = run.apply(Event.REFUSE, _refusal(report), self.clock(), raw=target, verdict=verdict)
        return end(stored, final, self.manifest)

    def _accept(self, stored: Stored, report: Report) -> Stored:
        run = stored.run
        verdict = self._note(run, report, Layout(run).raw)
        if other := self.holder_of_content(run, verdict.sha256):
            cause = f"the same content was already accepted as run {other}"
            final = run.apply(Event.REPEAT, cause, self.clock(), verdict=verdict)
            return end(stored, final, self.manifest)
        rejected = f", {report.rejected} rejected" if report.rejected else ""
        cause = f"{report.accepted} of {report.rows} rows accepted{rejected}"
        accepted = run.apply(Event.ACCEPT, cause, self.clock(), verdict=verdict)
        return self.manifest.update(
            stored, copy.plan(accepted, self.clock, "attempt 1 written down")
        )

    def _note(self, run: Run, report: Report, folder: str) -> Verdict:
        path = f"{folder}/report.json"
        self.lake.put(path, report.to_json().encode())
        layout = Layout(run)
        return Verdict(
            verdict=report.verdict,
            rows=report.rows,
            accepted=report.accepted,
            rejected=report.rejected,
            sha256=report.sha256 or "",
            report=path,
            rejects=layout.rejects if report.rejects else None,
            copy_from=layout.clean if report.clean else layout.drop,
            format=asdict(report.clean or report.format),
            problem=report.problem.reason if report.problem else None,
        )

    def holder_of_content(self, run: Run, sha256: str) -> str | None:
        """The other run by which this content is already accepted; notes this run where none is."""
        path = paths.content_document(run.dataset, sha256)
        body = json.dumps({"run_id": run.run_id}).encode()
        try:
            self.lake.put(path, body, if_absent=True)
        except AlreadyExists:
            found, etag = self.lake.get(path)
            holder = str(json.loads(found)["run_id"])
            if holder == run.run_id:
                return None
            other = self.manifest.find(holder, fresh=True)
            if other and (not other.run.final or other.run.state is State.SUCCEEDED):
                return holder
            try:
                self.lake.put(path, body, if_match=etag)
            except Stale:
                return self.holder_of_content(run, sha256)
        return None


class _Tenure:
    """Keeps the lease of a run alive while its file is being judged."""

    def __init__(self, stored: Stored, stage: ValidationStage) -> None:
        self.stored = stored
        self._stage = stage
        self._renew_at = self._half_life()

    def keep(self, _bytes_read: int) -> None:
        """Renew at half of the lease; called by the engine as it reads."""
        if self._stage.clock() < self._renew_at:
            return
        run = replace(self.stored.run, lease=self._stage.new_lease())
        self.stored = self._stage.manifest.update(self.stored, run)
        self._renew_at = self._half_life()

    def _half_life(self) -> datetime:
        return self._stage.clock() + self._stage.rules.lease / 2


def _refusal(report: Report) -> str:
    if report.problem:
        action = report.problem.action
        return f"{report.problem.reason.rstrip('.')}. {action[:1].upper()}{action[1:]}"
    worst = max(report.checks, key=lambda check: check.failed)
    return (
        f"{report.rejected} of {report.rows} rows break the contract, more than the "
        f"{report.max_rejected_ratio:.2%} it tolerates; most often {worst.rule}"
        f" on {worst.column or 'the record'} ({worst.failed} rows)"
    )


def _no_contract(run: Run, known: list[str]) -> Report:
    where = f"landing/{run.dataset}/" if run.dataset != paths.UNASSIGNED else "landing/"
    return Report(
        dataset=run.dataset,
        name=run.name,
        verdict="refused",
        rows=0,
        accepted=0,
        rejected=0,
        bytes=run.source.size,
        sha256=None,
        format=Format(),
        problem=Problem(
            reason=f"no data contract speaks for files in {where}",
            action="Drop it in the folder of a known dataset "
            f"({', '.join(f'landing/{name}/' for name in known)}), or add a contract.",
        ),
    )
