"""The outside of the service in memory: a lake, a factory and a workspace that keep the rules.

They are small and real: writes are conditional, renames atomic, a pipeline run asks the fence
before it copies, a token starts one job run, and a merge into silver changes a row once.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from ingest.errors import AlreadyExists, NotFound, Refused, Stale
from ingest.ports import BinaryWriter, Clock, CopyRun, JobRun, ListEntry, Version

MAX_METADATA = 8 * 1024
"""Bytes that Azure takes as the metadata of a blob."""


@dataclass(frozen=True)
class Blob:
    """One version of a file."""

    data: bytes
    etag: str
    modified: datetime
    metadata: Mapping[str, str]


@dataclass
class InMemoryLake:
    """`ingest.ports.Lake` in a dict."""

    clock: Clock
    files: dict[str, Blob] = field(default_factory=dict)
    writes: int = 0

    def head(self, path: str) -> Version | None:
        blob = self.files.get(path)
        return Version(path, blob.etag, len(blob.data), blob.modified) if blob else None

    def get(self, path: str) -> tuple[bytes, str]:
        blob = self._blob(path)
        return blob.data, blob.etag

    def put(
        self,
        path: str,
        data: bytes,
        *,
        if_match: str | None = None,
        if_absent: bool = False,
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        if if_absent and path in self.files:
            raise AlreadyExists(path)
        if sum(len(k) + len(v) for k, v in (metadata or {}).items()) > MAX_METADATA:
            raise Refused(f"{path}: the lake answered 400: MetadataTooLarge")
        if if_match is not None and (path not in self.files or self.files[path].etag != if_match):
            raise Stale(path)
        self.writes += 1
        etag = f"0x{self.writes:X}"
        # A blob's Last-Modified has whole seconds.
        modified = self.clock().replace(microsecond=0)
        self.files[path] = Blob(data, etag, modified, dict(metadata or {}))
        return etag

    def upload_url(self, path: str, until: datetime) -> str:
        return f"memory://{path}?until={until.isoformat()}"

    def stream(self, path: str) -> Iterator[bytes]:
        return iter([self._blob(path).data])

    def read(self, path: str, offset: int, length: int) -> bytes:
        return self._blob(path).data[offset : offset + length]

    @contextmanager
    def writer(self, path: str) -> Iterator[BinaryWriter]:
        buffer = io.BytesIO()
        yield buffer
        self.put(path, buffer.getvalue())

    def rename(
        self, source: str, target: str, *, etag: str | None = None, if_absent: bool = False
    ) -> None:
        below = [path for path in self.files if path.startswith(f"{source}/")]
        if if_absent and any(p == target or p.startswith(f"{target}/") for p in self.files):
            raise AlreadyExists(target)
        for path in below:
            self.files[f"{target}{path.removeprefix(source)}"] = self.files.pop(path)
        if below:
            return
        blob = self._blob(source)
        if etag is not None and blob.etag != etag:
            raise Stale(source)
        self.files[target] = self.files.pop(source)

    def delete(self, path: str, *, etag: str | None = None) -> None:
        if path in self.files and etag not in (None, self.files[path].etag):
            raise Stale(path)
        self.files.pop(path, None)

    def delete_folder(self, path: str) -> None:
        for name in [name for name in self.files if name.startswith(f"{path}/")]:
            del self.files[name]

    def list(
        self,
        prefix: str,
        *,
        metadata: bool = False,
        page: int | None = None,  # noqa: ARG002 - it has no pages
    ) -> Iterator[ListEntry]:
        for path in sorted(self.files):
            if path.startswith(prefix):
                version = self.head(path)
                assert version is not None
                yield ListEntry(version, self.files[path].metadata if metadata else {})

    def folders(self, prefix: str) -> Iterator[str]:
        below = {p[len(prefix) :] for p in self.files if p.startswith(prefix)}
        return iter(sorted({path.split("/")[0] for path in below if "/" in path}))

    def _blob(self, path: str) -> Blob:
        if path not in self.files:
            raise NotFound(path)
        return self.files[path]


def copy_accepted(lake: Any, asked: Mapping[str, Any]) -> int:
    """Do what the pipeline does: copy Parquet files as they are; how many bytes they have."""
    source = f"{asked['acceptedContainer']}/{asked['acceptedFolder']}/"
    sink = f"{asked['bronzeContainer']}/{asked['bronzeFolder']}/"
    size = 0
    for entry in list(lake.list(source)):
        path = entry.version.path
        if path.endswith(".parquet"):
            data = lake.get(path)[0]
            lake.put(sink + path.removeprefix(source), data)
            size += len(data)
    return size


def rows_of(parquet: bytes) -> list[str]:
    """The rows of a Parquet file of accepted records, as lines of CSV."""
    frame = pl.read_parquet(io.BytesIO(parquet)).drop("_record", "_line")
    return [",".join("" if cell is None else str(cell) for cell in row) for row in frame.rows()]


@dataclass
class Pipeline:
    """A pipeline run: `granted` is None until it has asked the fence."""

    name: str
    parameters: Mapping[str, Any]
    changed: datetime
    status: str = "Queued"
    granted: bool | None = None
    size: int | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing happens in it any more."""
        return self.status in ("Succeeded", "Failed", "Cancelled")


@dataclass
class InMemoryFactory:
    """`ingest.ports.CopyService`: pipeline runs move when a test lets them."""

    lake: InMemoryLake
    clock: Clock
    pipelines: dict[str, Pipeline] = field(default_factory=dict)
    wrote: list[str] = field(default_factory=list)
    started: int = 0

    def start(self, parameters: Mapping[str, Any]) -> str:
        self.started += 1
        name = f"adf-{self.started}"
        self.pipelines[name] = Pipeline(name, parameters, self.clock())
        return name

    def find(self, since: datetime, attempts: Collection[str]) -> list[CopyRun]:
        assert attempts
        return [_seen(run) for run in self.pipelines.values() if run.changed >= since]

    def observe(self, adf_run_id: str) -> CopyRun | None:
        found = self.pipelines.get(adf_run_id)
        return _seen(found) if found else None

    def cancel(self, adf_run_id: str) -> None:
        run = self.pipelines.get(adf_run_id)
        if run and not run.ended:
            self._end(run, "Cancelled")

    def move(self, run: Pipeline, fence: Callable[[str, str, str], bool], outcome: str) -> None:
        """Let a run ask the fence, or, once it was let through, end as told."""
        names = (str(run.parameters["runId"]), str(run.parameters["attemptId"]))
        if run.ended:
            return
        if run.granted is None:
            run.granted, run.status, run.changed = (
                fence(*names, run.name),
                "InProgress",
                self.clock(),
            )
            if not run.granted:
                self._end(run, "Failed")
        elif outcome == "Succeeded":
            self._copy(run)
        else:
            self._end(run, outcome)

    def _copy(self, run: Pipeline) -> None:
        run.size = copy_accepted(self.lake, run.parameters)
        self.wrote.append(str(run.parameters["attemptId"]))
        self._end(run, "Succeeded")

    def _end(self, run: Pipeline, status: str) -> None:
        run.status, run.changed = status, self.clock()


def _seen(run: Pipeline) -> CopyRun:
    return CopyRun(
        run.name,
        run.status,
        str(run.parameters["attemptId"]),
        message=run.status,
        copied=run.status == "Succeeded",
        size=run.size,
    )


@dataclass
class Job:
    """A job run, and what it has read of its batch: members, their bronze, their contract."""

    number: int
    parameters: Mapping[str, str]
    status: str = "running"
    members: tuple[str, ...] = ()
    bronze: Mapping[str, str] = field(default_factory=dict)
    contract: str | None = None


@dataclass
class InMemoryWorkspace:
    """`ingest.ports.JobService`: one job that merges a batch into silver.

    `silver` holds of each key the row that landed last, `changes` how often a drop changed a row.
    """

    lake: InMemoryLake
    tokens: dict[str, Job] = field(default_factory=dict)
    silver: dict[str, tuple[str, str]] = field(default_factory=dict)
    changes: dict[str, int] = field(default_factory=dict)

    def start(self, token: str, parameters: Mapping[str, str]) -> int:
        job = self.tokens.setdefault(token, Job(len(self.tokens) + 1, parameters))
        return job.number

    def observe(self, job_run_id: int) -> JobRun | None:
        job = next((j for j in self.tokens.values() if j.number == job_run_id), None)
        return JobRun(job.number, job.status, job.status) if job else None

    def active(self) -> frozenset[int]:
        return frozenset(job.number for job in self.tokens.values() if job.status == "running")

    def cancel(self, job_run_id: int) -> None:
        for job in self.tokens.values():
            if job.number == job_run_id and job.status == "running":
                job.status = "failed"

    def move(self, job: Job, outcome: str) -> None:
        """End a job run: `succeeded`, `failed` before it merged, or `late`: failed after."""
        if job.status != "running":
            return
        try:
            batch = json.loads(self.lake.get(job.parameters["batch"])[0])
        except NotFound:
            batch = {}
        if batch.get("batch_id") != job.parameters["batch_id"]:
            job.status = "failed"  # not current any more
            return
        job.members = tuple(drop["run_id"] for drop in batch["drops"])
        job.bronze = {drop["run_id"]: drop["bronze"] for drop in batch["drops"]}
        job.contract = batch.get("contract")
        if outcome != "failed":
            for drop in batch["drops"]:
                self._merge(batch["dataset"], drop)
        job.status = "succeeded" if outcome == "succeeded" else "failed"

    def _merge(self, dataset: str, drop: Mapping[str, Any]) -> None:
        rows = rows_of(self.lake.get(f"{drop['bronze']}/data.parquet")[0])
        statement = (drop["landed_at"], drop["run_id"])
        for key in (f"{dataset}/{row}" for row in rows):
            if self.silver.get(key, ("", "")) < statement:
                self.silver[key] = statement
                self.changes[drop["run_id"]] = self.changes.get(drop["run_id"], 0) + 1


class _Config:
    lake_connection_string = "AccountName=a;AccountKey=a2V5"


@dataclass
class InMemoryAccount:
    """The lake in memory as tests use a real one: each has its own, and its time is the clock's."""

    clock: Clock
    lake: InMemoryLake = field(init=False)
    config: _Config = field(default_factory=_Config)

    def __post_init__(self) -> None:
        self.lake = InMemoryLake(self.clock)

    def land(self, path: str, content: bytes) -> Version:
        """Write a file as a producer would; returns the landed version."""
        self.lake.put(path, content)
        version = self.lake.head(path)
        assert version is not None
        return version
