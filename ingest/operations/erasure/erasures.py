"""Erasures: asked for once, then done in small steps until nothing of the subject is left.

    waiting   until no run of a dataset concerned that landed before the request is at work
    files     all ended runs of that time, newest first, some at a time: see `files`
    tables    a Databricks job deletes from silver, its history and what rests on them in gold
    done      a protocol stays, in which the subject is a keyed hash

A pass counts only if none of those runs was taken up while it lasted; else it is begun again. So
what a load, a replay or a retry wrote meanwhile is erased too, and afterwards no file is left from
which one of them could bring the subject back. Every step may be done twice and by several workers:
a file that has been written again has nothing more to erase.

Drops that land after the request are new statements of their producer, and are left alone.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from ingest import paths
from ingest.contract_store import ContractStore, contract_missing
from ingest.errors import AlreadyExists, BadRequest, Blocked, Conflict, NotFound, Retryable
from ingest.job_output import document_of
from ingest.log import log
from ingest.operations.erasure.document import (
    DONE,
    FAILED,
    FILES,
    TABLES,
    WAIT,
    Erasure,
    dump,
    parse,
    protocol,
    without_values,
)
from ingest.ports import Clock, JobRun, JobService, Lake
from ingest.runs.document import Listed
from ingest.runs.messages import Erase, Message
from ingest.runs.register import Register
from landfall.contract.folder import Contract
from landfall.protocol import FINAL, LANDING, id_prefix

STEP = 10
"""Runs whose files one message looks through."""
PAUSE = timedelta(seconds=60)
"""Between two looks at what an erasure waits for."""
BACKOFF = timedelta(minutes=1)
MAX_ATTEMPTS = 5
SHOWN = 50

Staged = Callable[[str], tuple[list[str], frozenset[str]]]
"""Of a dataset: the folders where its extracts are staged, and the files on their way there."""


@dataclass(frozen=True)
class ErasureRequest:
    """What a person asks for; see `Erasure` for the fields."""

    dataset: str
    key: object
    cascade: bool = False
    keep_hours: int | None = None
    reason: str = ""
    by: str | None = None


@dataclass(frozen=True)
class Erasures:
    """Erases subjects; IO comes as arguments."""

    lake: Lake
    manifest: Register
    store: ContractStore
    clock: Clock
    jobs: JobService
    spark_lake: str
    staged: Staged
    _empty: dict[str, datetime] = field(default_factory=dict)
    """When this process last saw that none is open."""

    def preview(self, asked: ErasureRequest) -> dict[str, Any]:
        """What an erasure would be about: nothing is changed.

        Raises:
            NotFound: no such dataset. BadRequest: the key is none of its.
        """
        targets, references = self._targets(asked)
        before = self._before(self.clock())
        erased = [
            self._described(target)
            | {"runs": sum(1 for _ in self._runs_of(target["dataset"], before))}
            for target in targets
        ]
        left = [self._described(target) for target in references]
        return {"dry_run": True, "targets": erased, "references": left}

    def _described(self, target: Mapping[str, Any]) -> dict[str, Any]:
        """A target without its values, with how many rows of silver it is about."""
        return without_values(target) | {"in_silver": self._in_silver(target)}

    def start(self, erasure_id: str, asked: ErasureRequest) -> dict[str, Any]:
        """Write down an erasure; one of this id that is there already is answered as it is.

        Raises:
            NotFound: no such dataset. BadRequest: the key is none of its.
        """
        targets, references = self._targets(asked)
        subject = self._subject(targets[0])
        erasure = Erasure(
            erasure_id=erasure_id,
            subject=subject.keyed_hash(self._secret()),
            dataset=asked.dataset,
            targets=tuple(targets),
            references=tuple(references),
            cascade=asked.cascade,
            reason=asked.reason,
            by=asked.by,
            requested=self.clock().isoformat(),
            keep_hours=asked.keep_hours,
        )
        try:
            known = self.get(erasure_id)
        except NotFound:
            pass
        else:
            if (known["subject"], known["cascade"]) != (erasure.subject, erasure.cascade):
                raise BadRequest("this Idempotency-Key was used for another erasure", 422)
            return known
        self._empty.clear()
        try:
            self.lake.put(paths.erasure_document(erasure_id), dump(erasure), if_absent=True)
        except AlreadyExists:
            return self.get(erasure_id)
        log.info("erasure %s of %s: asked for by %s", erasure_id, asked.dataset, asked.by or "?")
        return protocol(erasure)

    def get(self, erasure_id: str) -> dict[str, Any]:
        """An erasure as it stands, without its key.

        Raises:
            NotFound: there is none of that id.
        """
        for ended in (False, True, False):
            try:
                body, _ = self.lake.get(paths.erasure_document(erasure_id, ended=ended))
            except NotFound:
                continue
            return protocol(parse(body))
        raise NotFound(f"there is no erasure {erasure_id}")

    def latest(self) -> list[dict[str, Any]]:
        """The open erasures, then the latest ended ones, the newest first."""
        entries = [e.version for e in self.lake.list(paths.ERASURES)]
        ended = [e.version for e in self.lake.list(paths.ERASURES_ENDED)]
        newest = sorted(ended, key=lambda version: version.modified, reverse=True)
        return [self.get(_id_of(version.path)) for version in [*entries, *newest][:SHOWN]]

    def open(self) -> Iterator[Message]:
        """A message for each erasure that is not done.

        It costs a list call, but for a tick soon after one that found none: those are most.
        """
        now = self.clock()
        if (seen := self._empty.get("at")) is not None and now - seen < PAUSE:
            return
        entries = list(self.lake.list(paths.ERASURES))
        if not entries:
            self._empty["at"] = now
        yield from (Erase(_id_of(entry.version.path)) for entry in entries)

    def step(self, erasure_id: str) -> bool:
        """Take an erasure one step further; returns whether the next step can follow at once.

        Raises:
            Retryable: another side did not answer, or another worker was faster.
        """
        path = paths.erasure_document(erasure_id)
        try:
            body, etag = self.lake.get(path)
        except NotFound:
            return False
        erasure, now = parse(body), self.clock()
        if erasure.ended:
            self._close(erasure)
            return False
        if erasure.not_before and now < datetime.fromisoformat(erasure.not_before):
            return False
        steps = {WAIT: self._wait, FILES: self._files, TABLES: self._tables}
        try:
            after = steps[erasure.stage](replace(erasure, not_before=None, waits=None))
        except Blocked as error:
            after = _later(erasure, str(error), now + PAUSE)
        if after != erasure:
            self.lake.put(path, dump(after), if_match=etag)
        if after.ended:
            self._close(after)
        return not after.ended and after.not_before is None

    # -- the stages -------------------------------------------------------------------------

    def _wait(self, erasure: Erasure) -> Erasure:
        """Begin a pass, if nothing of that time is at work."""
        now = self.clock()
        if busy := self._busy(erasure):
            return _later(erasure, busy, now + PAUSE)
        return replace(
            erasure,
            stage=FILES,
            passes=erasure.passes + 1,
            began=now.isoformat(),
            target=0,
            cursor=None,
            runs=0,
        )

    def _busy(self, erasure: Erasure) -> str | None:
        """What of the time before the request may still write; None where nothing does."""
        requested = datetime.fromisoformat(erasure.requested)
        before = self._before(requested)
        datasets = {target["dataset"] for target in erasure.targets}
        active = [
            run.run_id
            for run in self.manifest.active()
            if run.dataset in datasets and run.run_id < before and run.state not in FINAL
        ]
        if active:
            return f"{len(active)} runs that landed before the request are at work: {active[0]}"
        for dataset in sorted(datasets):
            for entry in self.lake.list(f"{LANDING}/{dataset}/"):
                path = entry.version.path
                if entry.version.modified <= requested and paths.is_drop(path):
                    return f"{path} landed before the request and is not claimed yet"
            folders, moving = self.staged(dataset)
            for folder in folders:
                for entry in self.lake.list(folder):
                    if entry.version.path in moving and entry.version.modified <= requested:
                        return f"an extract of before the request is on its way: {folder}"
        return None

    def _files(self, erasure: Erasure) -> Erasure:
        """Look through the files of the next runs of a dataset, or go on to the tables."""
        # Imported when it is first needed: it loads the engine of validation.
        from ingest.operations.erasure.files import Erased, FileErasure  # noqa: PLC0415

        if erasure.target == len(erasure.targets):
            return replace(erasure, stage=TABLES, target=0)
        target = erasure.targets[erasure.target]
        requested = datetime.fromisoformat(erasure.requested)
        erased = Erased()
        files = FileErasure(
            self.lake, self.manifest, self._subject(target), self._contract(target), erased
        )
        if erasure.cursor is None:
            self._leftovers(target["dataset"], requested, erased)
        runs, cursor = self.manifest.search(
            lambda _: True,
            limit=STEP,
            before=erasure.cursor or self._before(requested),
            dataset=target["dataset"],
        )
        for run in runs:
            try:
                files.of_run(run.run_id)
            except Retryable:
                raise
            except Exception:  # noqa: BLE001 - one run's trouble keeps no other from being erased
                log.exception("erasure %s: %s is left to a person", erasure.erasure_id, run.run_id)
                erased.unreadable.add(paths.raw_folder(run.dataset, run.run_id))
        done = cursor is None
        return replace(
            erasure,
            cursor=cursor,
            target=erasure.target + 1 if done else erasure.target,
            runs=erasure.runs + len(runs),
            places=_sum(erasure.places, erased.places),
            unreadable=tuple(sorted({*erasure.unreadable, *erased.unreadable})),
        )

    def _leftovers(self, dataset: str, requested: datetime, erased: Any) -> None:
        """Delete what failed extracts of a dataset have left: nobody reads it any more."""
        folders, moving = self.staged(dataset)
        for folder in folders:
            for entry in self.lake.list(folder):
                version = entry.version
                if version.path not in moving and version.modified <= requested:
                    self.lake.delete(version.path)
                    erased.note("raw, staged extracts", deleted=1)
        for entry in self.lake.list(f"{LANDING}/{dataset}/"):
            if entry.version.modified <= requested and not paths.is_drop(entry.version.path):
                erased.unreadable.add(entry.version.path)

    def _tables(self, erasure: Erasure) -> Erasure:
        """Start the job, or see how it went."""
        if erasure.job_run_id is None:
            token = f"{erasure.erasure_id}\n{erasure.passes}\n{erasure.attempt}"
            job_run_id = self.jobs.start(
                hashlib.sha256(token.encode()).hexdigest(), self._parameters(erasure)
            )
            started = replace(erasure, job_run_id=job_run_id)
            return _later(started, f"job run {job_run_id}", self.clock())
        observed = self.jobs.observe(erasure.job_run_id)
        if observed is not None and observed.status == "running":
            return _later(erasure, f"job run {erasure.job_run_id} {observed.url}", self.clock())
        result = document_of(self.lake, self._parameters(erasure)["result"])
        if observed is None or observed.status != "succeeded" or result is None:
            return self._failed(erasure, observed)
        merged = replace(erasure, tables=result, job_run_id=None, attempt=erasure.attempt + 1)
        if moved := self._moved(erasure):
            return _later(replace(merged, stage=WAIT), f"begun again: {moved}", self.clock())
        return replace(merged, stage=DONE, finished=self.clock().isoformat())

    def _parameters(self, erasure: Erasure) -> dict[str, str]:
        return {
            "lake": self.spark_lake,
            # Not the key itself: the platform keeps the parameters of a run.
            "erasure": paths.erasure_document(erasure.erasure_id),
            "result": paths.erasure_result(erasure.erasure_id, erasure.passes, erasure.attempt),
        }

    def _failed(self, erasure: Erasure, observed: JobRun | None) -> Erasure:
        """Try the job again after a while; a person is needed where it keeps failing."""
        why = f"{observed.status}: {observed.message}" if observed else "is not known any more"
        cause = f"job run {erasure.job_run_id} {why}"
        failures = erasure.failures + 1
        again = replace(
            erasure, failures=failures, attempt=erasure.attempt + 1, job_run_id=None, waits=cause
        )
        log.error("erasure %s: %s", erasure.erasure_id, cause)
        if failures >= MAX_ATTEMPTS:
            return replace(again, stage=FAILED, finished=self.clock().isoformat())
        return _later(again, cause, self.clock() + BACKOFF * failures)

    def _moved(self, erasure: Erasure) -> str | None:
        """A run of before the request that was at work while the pass lasted."""
        if busy := self._busy(erasure):
            return busy
        began = datetime.fromisoformat(str(erasure.began))
        before = self._before(datetime.fromisoformat(erasure.requested))
        for target in erasure.targets:
            for run in self._runs_of(target["dataset"], before):
                if run.updated >= began:
                    return f"run {run.run_id} was taken up meanwhile"
        return None

    def _close(self, erasure: Erasure) -> None:
        """Leave the protocol, and delete the document that has the key."""
        path = paths.erasure_document(erasure.erasure_id, ended=True)
        kept = replace(
            erasure,
            targets=tuple(without_values(target) for target in erasure.targets),
            references=tuple(without_values(target) for target in erasure.references),
        )
        with suppress(AlreadyExists):  # by a worker that died before it deleted the other
            self.lake.put(path, dump(kept), if_absent=True)
        self.lake.delete(paths.erasure_document(erasure.erasure_id))
        log.info("erasure %s: %s", erasure.erasure_id, erasure.stage)

    # -- whom it is about -------------------------------------------------------------------

    def _targets(self, asked: ErasureRequest) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """What is erased, the subject's own dataset first; and what refers to it and is left."""
        from landfall.erasure.subject import (  # noqa: PLC0415 - it loads the engine
            SubjectError,
            referring,
            subject_of,
        )

        contract = self.store.deployed.get(asked.dataset)
        if contract is None:
            known = ", ".join(sorted(self.store.deployed))
            raise NotFound(f"there is no dataset {asked.dataset!r}; there are: {known}")
        try:
            subject = subject_of(contract, asked.key)
        except SubjectError as error:
            raise BadRequest(str(error), 422) from None
        others = [self._target(each) for each in referring(subject, self.store.deployed)]
        own = self._target(subject)
        return ([own, *others], []) if asked.cascade else ([own], others)

    def _target(self, subject: Any) -> dict[str, Any]:
        """A subject as the documents and the job have it."""
        return {"dataset": subject.dataset, "values": dict(subject.values)}

    def _subject(self, target: Mapping[str, Any]) -> Any:
        from landfall.erasure.subject import Subject  # noqa: PLC0415 - see `_targets`

        return Subject(str(target["dataset"]), dict(target["values"]))

    def _contract(self, target: Mapping[str, Any]) -> Contract:
        dataset = str(target["dataset"])
        contract = self.store.deployed.get(dataset)
        if contract is None or not set(target["values"]) <= {c.name for c in contract.columns}:
            raise contract_missing(dataset, self.store.problem_of(dataset))
        return contract

    def _secret(self) -> bytes:
        """What keys are hashed with: made by the first erasure of this lake."""
        try:
            return self.lake.get(paths.ERASURE_SECRET)[0]
        except NotFound:
            pass
        try:
            self.lake.put(paths.ERASURE_SECRET, secrets.token_bytes(32), if_absent=True)
        except AlreadyExists:
            log.debug("another worker was faster")
        return self.lake.get(paths.ERASURE_SECRET)[0]

    def _before(self, moment: datetime) -> str:
        """What ids of runs are smaller than whose drops landed up to a time."""
        return id_prefix(moment + timedelta(seconds=1))

    def _runs_of(self, dataset: str, before: str) -> Iterator[Listed]:
        cursor: str | None = before
        while cursor is not None:
            runs, cursor = self.manifest.search(
                lambda _: True, limit=SHOWN * 10, before=cursor, dataset=dataset
            )
            yield from runs

    def _in_silver(self, target: Mapping[str, Any]) -> int | None:
        """How many rows of silver are the subject's; None where the table cannot be read here."""
        # A cold start does without these.
        from ingest.stages.validate.delta import Unreadable, live_files  # noqa: PLC0415
        from ingest.stages.validate.references import LakeSource  # noqa: PLC0415
        from landfall.erasure.subject import matching  # noqa: PLC0415
        from landfall.validation.readers.footer import frames  # noqa: PLC0415

        table = f"{paths.SILVER}/{target['dataset']}"
        subject, contract = self._subject(target), self._contract(target)
        try:
            files = live_files(self.lake, table) or []
            return sum(
                int(matching(subject, contract, frame).sum())
                for file in files
                for frame in frames(
                    LakeSource(self.lake, f"{table}/{file.path}", file.size), list(subject.values)
                )
            )
        except (Unreadable, ValueError, Conflict):
            return None


def _later(erasure: Erasure, why: str, moment: datetime) -> Erasure:
    return replace(erasure, waits=why, not_before=moment.isoformat())


def _sum(
    one: Mapping[str, Mapping[str, int]], other: Mapping[str, Mapping[str, int]]
) -> dict[str, dict[str, int]]:
    places = {place: dict(counts) for place, counts in one.items()}
    for place, counts in other.items():
        total = places.setdefault(place, {})
        for name, count in counts.items():
            total[name] = total.get(name, 0) + count
    return places


def _id_of(path: str) -> str:
    return path.rsplit("/", 1)[-1].removesuffix(".json")
