"""What the stages need of the outside: the lake, Data Factory, Databricks, a clock.

Stages take these as arguments; `ingest.azure` fulfils them with the Azure and Databricks SDKs.
Every method may raise `Retryable` when the other side does not answer as it should.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

Clock = Callable[[], datetime]
"""The time now, in UTC."""


@dataclass(frozen=True)
class Version:
    """One version of a stored file: `etag` without quotes, `size` in bytes.

    `pending` says that a server-side copy is still writing it.
    """

    path: str
    etag: str
    size: int
    modified: datetime
    pending: bool = False


@dataclass(frozen=True)
class ListEntry:
    """One file of a listing, with its metadata where that was asked for."""

    version: Version
    metadata: Mapping[str, str] = field(default_factory=dict)


class BinaryWriter(Protocol):
    """The write half of a binary file."""

    def write(self, data: bytes, /) -> int:
        """Take all of `data`."""


class Lake(Protocol):
    """An ADLS Gen2 account; paths are `container/key`."""

    def head(self, path: str) -> Version | None:
        """The current version of a file; None where there is none."""

    def get(self, path: str) -> tuple[bytes, str]:
        """A small file whole, and its ETag. Raises NotFound."""

    def put(
        self,
        path: str,
        data: bytes,
        *,
        if_match: str | None = None,
        if_absent: bool = False,
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        """Write a file whole, atomically, in one request; returns the new ETag.

        Raises:
            AlreadyExists: `if_absent`, and it is there.
            Stale: `if_match`, and the file has another ETag or is gone.
        """

    def stream(self, path: str) -> Iterator[bytes]:
        """A file's bytes in order, in chunks; of one version throughout. Raises NotFound."""

    def read(self, path: str, offset: int, length: int) -> bytes:
        """A range of a file; shorter at its end."""

    def writer(self, path: str) -> AbstractContextManager[BinaryWriter]:
        """Write a file of any size; it appears, whole, when the block is left normally."""

    def rename(
        self, source: str, target: str, *, etag: str | None = None, if_absent: bool = False
    ) -> None:
        """Move one file or folder atomically, only if it still has `etag`; replaces a target.

        The target's folder is made where there is none yet.

        Raises:
            NotFound: no such source.
            Stale: the source has another ETag.
        """

    def delete(self, path: str, *, etag: str | None = None) -> None:
        """Delete a file, only if it still has `etag`; one that is gone is left gone.

        Raises:
            Stale: the file has another ETag.
        """

    def delete_folder(self, path: str) -> None:
        """Delete a folder with all that is in it; one that is gone is left gone."""

    def upload_url(self, path: str, until: datetime) -> str:
        """An address by which anybody may create this one file until then, and do nothing else."""

    def list(
        self, prefix: str, *, metadata: bool = False, page: int | None = None
    ) -> Iterator[ListEntry]:
        """All files below a prefix, in the order of their names; nothing where there are none.

        `page` is how many are asked for at once, where the caller expects to stop early.
        """

    def folders(self, prefix: str) -> Iterator[str]:
        """The names of the folders right below a prefix that ends in `/`."""


@dataclass(frozen=True)
class CopyRun:
    """A Data Factory pipeline run as last observed.

    `status` is Queued, InProgress, Succeeded, Failed, Canceling or Cancelled. `size` is the bytes
    that the Copy activity wrote, where it has finished; `copied` says that it succeeded, which can
    be true before the pipeline run itself has ended. `rows` is of the pipeline of earlier releases,
    which counted rows.
    """

    adf_run_id: str
    status: str
    attempt_id: str | None
    message: str = ""
    copied: bool = False
    size: int | None = None
    rows: int | None = None


class CopyService(Protocol):
    """Data Factory, as far as a copy needs it."""

    def start(self, parameters: Mapping[str, Any]) -> str:
        """Start the copy pipeline once; returns the pipeline run's id.

        Raises:
            Throttled: it did not start; so the other side said.
            OutcomeUnknown: it may have started.
            Refused: it did not start and will not.
        """

    def find(self, since: datetime, attempts: Collection[str]) -> list[CopyRun]:
        """Runs of the copy pipeline that changed since then, in bulk, oldest first.

        It may stop when all of those attempts were seen.
        """

    def observe(self, adf_run_id: str) -> CopyRun | None:
        """One run with its Copy activity; None where Data Factory does not know it (any more)."""

    def cancel(self, adf_run_id: str) -> None:
        """Stop a run; one that has ended is left as it is."""


@dataclass(frozen=True)
class JobRun:
    """A Databricks job run as last observed: running, succeeded, failed or interrupted.

    Interrupted is one that ended for want of machines or of the platform, before it could say
    anything of its data.
    """

    job_run_id: int
    status: str
    message: str = ""
    url: str = ""


class JobService(Protocol):
    """One job of Databricks."""

    def start(self, token: str, parameters: Mapping[str, str]) -> int:
        """Start the job, or find the run that this token already started; returns its id.

        Raises:
            Refused: it did not start and will not.
        """

    def observe(self, job_run_id: int) -> JobRun | None:
        """One job run; None where Databricks does not know it (any more)."""

    def active(self) -> frozenset[int]:
        """The ids of all its runs that have not ended, in bulk."""

    def cancel(self, job_run_id: int) -> None:
        """Stop a run; one that has ended is left as it is."""
