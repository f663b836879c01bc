"""The validation of a claimed drop, with its report and rejects left in the lake.

The engine in `ingest.validate` judges; here its verdict becomes the run's next state. Several
workers may judge the same drop at once. They write the same files, and the conditional write of the
record lets one of them conclude. So a lease only saves work, and one is written only when a drop
takes longer than a moment; most are judged before.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from typing import Any

from ingest import copy, paths
from ingest.claim import end
from ingest.contracts import Contract
from ingest.errors import AlreadyExists, NotFound, Stale
from ingest.gate import CopyGate
from ingest.log import log
from ingest.manifest import Manifest, Stored
from ingest.parts import Parts
from ingest.ports import BinaryWriter, Clock, Lake
from ingest.references import LakeReferences, LakeSource
from ingest.run import Lease, Run, Verdict
from ingest.states import Event, State
from ingest.validate import Format, Problem, Report, validate
from ingest.validate.header import nearest
from ingest.validation_job import Answer, ValidationJob


@dataclass(frozen=True)
class ValidationRules:
    """How long a worker may be silent before another takes its drop over.

    A drop that is judged within `moment` is judged without a lease.
    """

    lease: timedelta = timedelta(minutes=5)
    moment: timedelta = timedelta(seconds=10)


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
    def copied(self) -> str:
        """What of it is copied: the file, or the pattern of a folder's files."""
        parts = self.run.source.parts
        return f"{self.drop}/{parts}" if parts else self.drop

    @property
    def name(self) -> str:
        """Its name, as it was delivered as far as that can be kept."""
        return paths.safe_name(self.run.source.path)

    @property
    def _plain_name(self) -> str:
        """The name without the mark of a compression: what is written out is never compressed."""
        if parts := self.run.source.parts:
            return f"{self.name}{parts.removeprefix('*')}"
        stem, dot, suffix = self.name.rpartition(".")
        return stem if dot and suffix in ("gz", "zst", "zstd") else self.name

    @property
    def quarantine(self) -> str:
        """The folder of what was refused."""
        return paths.quarantine_folder(self.run.dataset, self.run.run_id)

    @property
    def raw(self) -> str:
        """The folder of what goes with an accepted drop."""
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
    parts: Parts | None = None

    def rejects(self) -> AbstractContextManager[BinaryWriter]:
        """The rejected records as they came."""
        return self.lake.writer(self.layout.rejects)

    def reasons(self) -> AbstractContextManager[BinaryWriter]:
        """One JSON object a rejected record."""
        path = f"{self.layout.rejects}.reasons.jsonl"
        return self._located(path, self.parts) if self.parts else self.lake.writer(path)

    @contextmanager
    def _located(self, path: str, parts: Parts) -> Iterator[BinaryWriter]:
        with self.lake.writer(path) as sink, parts.reasons(sink) as writer:
            yield writer

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
    gate: CopyGate
    job: ValidationJob
    _busy: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def advance(self, stored: Stored) -> Stored | None:
        """Judge the drop and write down what follows; None where somebody is at work on it.

        An accepted run comes back in `copying`: its first attempt is written in the same request,
        and the caller starts it. Where as many copies as may be are under way, it comes back
        `validated` and waits for the tick.

        Raises:
            Stale: another worker took over, or the run was cancelled meanwhile.
        """
        run_id = stored.run.run_id
        with self._lock:
            if run_id in self._busy or self._leased(stored.run):
                return None
            self._busy.add(run_id)
        try:
            if stored.run.source.parts is None and self.job.takes(stored.run):
                answer = self.job.step(stored, Layout(stored.run), self._hold, self.new_lease())
                if answer is not None:
                    return self._answered(answer)
            tenure = self._hold(self._begin(stored))
            report = self._judge(tenure.stored.run, tenure.keep)
            return self._conclude(tenure.stored, report)
        finally:
            self._busy.discard(run_id)

    def _answered(self, answer: Answer) -> Stored:
        """Conclude if the job has answered, and clear away what it leaves then."""
        if answer.report is None:
            if answer.stored.run.state is State.FAILED:
                self.job.tidy(answer.stored.run)
            return answer.stored
        concluded = self._conclude(answer.stored, answer.report)
        self.job.tidy(concluded.run)
        return concluded

    def _hold(self, stored: Stored) -> _Tenure:
        return _Tenure(stored, self)

    def _leased(self, run: Run) -> bool:
        """Whether another process is at work on the drop.

        A lease of this very process is one that an interruption left, such as a lake that did not
        answer: it need not run out first.
        """
        lease = run.lease
        return lease is not None and lease.until > self.clock() and lease.owner != self.worker

    def _conclude(self, stored: Stored, report: Report) -> Stored:
        if report.verdict == "refused":
            return self._refuse(stored, report)
        return self._accept(stored, report)

    def _begin(self, stored: Stored) -> Stored:
        """The run in `validating`, not written so yet."""
        takeover = stored.run.state is State.VALIDATING
        cause = "lease expired: taken over" if takeover else "judging against the contract"
        run = stored.run.apply(Event.START_VALIDATION, cause, self.clock(), judging=None)
        return replace(stored, run=run)

    def new_lease(self) -> Lease:
        """A lease of this worker from now on."""
        return Lease(owner=self.worker, until=self.clock() + self.rules.lease)

    def _judge(self, run: Run, keep: Callable[[int], None]) -> Report:
        contract = self.contracts.get(run.dataset)
        if contract is None:
            return _no_contract(run, sorted(self.contracts))
        layout = Layout(run)
        parts = Parts(self.lake, layout.drop) if run.source.parts else None
        if parts and parts.problem:
            return _refused(run, parts.problem)
        report = validate(
            parts or LakeSource(self.lake, layout.drop, run.source.size),
            contract,
            name=parts.name if parts else run.name,
            outputs=LakeOutputs(self.lake, layout, parts),
            on_progress=keep,
            references=LakeReferences(self.lake, self.manifest),
        )
        return parts.located(report, run.name) if parts else report

    def _refuse(self, stored: Stored, report: Report) -> Stored:
        run, layout = stored.run, Layout(stored.run)
        path = f"{layout.quarantine}/{_REPORT}"
        self.lake.put(path, report.to_json().encode())
        final = run.apply(
            Event.REFUSE,
            _refusal(report),
            self.clock(),
            raw=f"{layout.quarantine}/{layout.name}",
            verdict=_verdict(layout, report, path),
        )
        return self.put_away(self.manifest.update(stored, final))

    def put_away(self, stored: Stored) -> Stored:
        """Tidy up after a final run: a refused file goes to quarantine, the document is filed.

        The verdict is written before, so a file in quarantine has always been refused, and whoever
        finds a final run among the active ones finishes this.
        """
        run = stored.run
        archived = paths.archived_document(run.run_id)
        if stored.path == archived:
            return stored
        if run.state is State.QUARANTINED and run.raw is not None:
            source = paths.raw_file(run.dataset, run.run_id, run.source.path)
            try:
                self.lake.rename(source, run.raw)
            except NotFound:
                log.info("run %s: its file is not in raw any more", run.run_id)
        self.manifest.file(stored)
        return replace(stored, path=archived)

    def _accept(self, stored: Stored, report: Report) -> Stored:
        run, layout = stored.run, Layout(stored.run)
        path = paths.content_document(run.dataset, report.sha256 or "")
        verdict = _verdict(layout, report, path)
        if other := self.holder_of_content(run, verdict.sha256, report.to_dict()):
            cause = f"the same content was already accepted as run {other}"
            path = f"{layout.raw}/{_REPORT}"
            self.lake.put(path, report.to_json().encode())
            verdict = replace(verdict, report=path)
            final = run.apply(Event.REPEAT, cause, self.clock(), verdict=verdict)
            return end(stored, final, self.manifest)
        rejected = f", {report.rejected} rejected" if report.rejected else ""
        cause = f"{report.accepted} of {report.rows} rows accepted{rejected}"
        accepted = run.apply(Event.ACCEPT, cause, self.clock(), verdict=verdict)
        if not self.gate.admit():
            return self.manifest.update(stored, accepted)
        return self.manifest.update(
            stored, copy.plan(accepted, self.clock, "attempt 1 written down")
        )

    def holder_of_content(self, run: Run, sha256: str, report: Mapping[str, Any]) -> str | None:
        """The other run by which this content is already accepted; notes this run where none is.

        The note carries the report, which saves a file for each accepted drop. When a content
        passes on from a run that failed, that run's report goes to its own folder first.
        """
        path = paths.content_document(run.dataset, sha256)
        body = _note(run.run_id, report)
        try:
            self.lake.put(path, body, if_absent=True)
        except AlreadyExists:
            found, etag = self.lake.get(path)
            note = json.loads(found)
            holder = str(note["run_id"])
            if holder != run.run_id:
                other = self.manifest.find(holder, fresh=True)
                if other and (not other.run.final or other.run.state is State.SUCCEEDED):
                    return holder
                if "report" in note:
                    kept = json.dumps(note["report"], ensure_ascii=False, indent=2)
                    folder = paths.raw_folder(run.dataset, holder)
                    self.lake.put(f"{folder}/{_REPORT}", kept.encode())
            try:
                self.lake.put(path, body, if_match=etag)
            except Stale:
                return self.holder_of_content(run, sha256, report)
        return None

    def report(self, run: Run) -> Mapping[str, Any]:
        """The report of a judged run, from where it is kept.

        Raises:
            NotFound: it has not been judged yet.
        """
        if run.verdict is None:
            raise NotFound(f"run {run.run_id} is {run.state}: it has no report yet")
        found: dict[str, Any] = json.loads(self.lake.get(run.verdict.report)[0])
        if "run_id" not in found:
            return found
        if found["run_id"] == run.run_id:
            noted: dict[str, Any] = found["report"]
            return noted
        folder = paths.raw_folder(run.dataset, run.run_id)
        kept: dict[str, Any] = json.loads(self.lake.get(f"{folder}/{_REPORT}")[0])
        return kept


_REPORT = "report.json"


def _note(run_id: str, report: Mapping[str, Any]) -> bytes:
    note = {"run_id": run_id, "report": report}
    return json.dumps(note, ensure_ascii=False, indent=2).encode()


def _verdict(layout: Layout, report: Report, path: str) -> Verdict:
    return Verdict(
        verdict=report.verdict,
        rows=report.rows,
        accepted=report.accepted,
        rejected=report.rejected,
        sha256=report.sha256 or "",
        report=path,
        rejects=layout.rejects if report.rejects else None,
        copy_from=layout.clean if report.clean else layout.copied,
        format=asdict(report.clean or report.format),
        problem=report.problem.reason if report.problem else None,
        drifted=_drifted(report),
    )


class _Tenure:
    """Holds a run while its file is being judged: by a lease, once that takes longer."""

    def __init__(self, stored: Stored, stage: ValidationStage) -> None:
        self.stored = stored
        self._stage = stage
        self._write_at = stage.clock() + min(stage.rules.moment, stage.rules.lease / 2)

    def keep(self, _bytes_read: int) -> None:
        """Write the lease, and renew it at half its time; called by the engine as it reads."""
        if self._stage.clock() < self._write_at:
            return
        run = replace(self.stored.run, lease=self._stage.new_lease())
        self.stored = self._stage.manifest.update(self.stored, run)
        self._write_at = self._stage.clock() + self._stage.rules.lease / 2


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


def _drifted(report: Report) -> dict[str, Any]:
    """How the columns of what is copied differ from the contract's: what its mapping must know.

    JSON names its values record by record, and a clean copy made of Parquet has the contract's
    names.
    """
    kind, columns = (report.clean or report.format).kind, report.columns
    found: dict[str, Any] = {"missing": list(columns.missing)}
    if kind == report.format.kind:
        found |= {"renamed": columns.renamed, "loaded": list(columns.loaded)}
    return {key: value for key, value in found.items() if value}


def _no_contract(run: Run, known: list[str]) -> Report:
    where = f"landing/{run.dataset}/" if run.dataset != paths.UNASSIGNED else "landing/"
    near = nearest(run.dataset, known)
    meant = f"landing/{near}/ may be meant" if near else f"there are {', '.join(known)}"
    return _refused(
        run,
        Problem(
            reason=f"no data contract speaks for files in {where}",
            action=f"Drop it in the folder of a known dataset ({meant}), or add a contract.",
        ),
    )


def _refused(run: Run, problem: Problem) -> Report:
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
        problem=problem,
    )
