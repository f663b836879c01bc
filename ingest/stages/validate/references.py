"""What other datasets hold, for contracts that refer to them: silver, and what is on its way there.

A silver table is read as it stands when a drop is validated: the newest checkpoint of its log, the
commits after it, and of each file that they leave only the columns that are asked for. Drops that
are copied and not loaded yet are read from bronze, as two datasets are often delivered together.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ingest import paths
from ingest.errors import Retryable
from ingest.ports import Clock, Lake
from ingest.runs.register import Register
from ingest.stages.validate.delta import Unreadable, live_files
from landfall.protocol import State
from landfall.validation import ReferenceUnavailable

if TYPE_CHECKING:  # Polars takes longer to load than a small file to validate
    import polars as pl


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


class CopiedDrops:
    """Where the drops stand that are copied and not loaded yet, by dataset, as one list showed it.

    What was listed lately serves several validations of this process: a burst would else list all
    runs for each of its drops. An older list may lack a drop; then records that refer to it count
    as missing, and the drop that has them is validated again on a fresh list.
    """

    def __init__(self, manifest: Register, clock: Clock) -> None:
        self._manifest = manifest
        self._clock = clock
        self._lock = threading.Lock()
        self._at: datetime | None = None
        self._folders: dict[str, list[str]] = {}

    def folders(self, dataset: str, *, fresh: bool) -> list[str]:
        """The folders in bronze of a dataset; costs a list call, unless an older list will do."""
        with self._lock:
            if fresh or self._at is None or self._clock() - self._at >= _LATELY:
                self._at = self._clock()
                self._folders = self._listed()
            return self._folders.get(dataset, [])

    def _listed(self) -> dict[str, list[str]]:
        copied: dict[str, list[str]] = defaultdict(list)
        for run in self._manifest.active():
            if run.state in {State.COPIED, State.LOADING}:
                folder = run.steering.get("bronze")
                copied[run.dataset].append(
                    str(folder or paths.bronze_folder(run.dataset, run.run_id))
                )
        return dict(copied)


_LATELY = timedelta(seconds=10)


@dataclass(frozen=True)
class LakeReferences:
    """The datasets of a lake.

    `fresh` says that a list of the copied drops has to be a new one: what is concluded is final.
    """

    lake: Lake
    copied: CopiedDrops
    fresh: bool = True

    def values(self, dataset: str, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """These columns of a dataset, row group by row group.

        A row that a merge replaced may still come, as a table may mark rows as gone beside its
        files; its key is in silver all the same.

        Raises:
            NotThere: nothing of it is in this lake, or its silver table is not understood.
        """
        from landfall.validation.readers.footer import frames  # noqa: PLC0415 - loads Polars

        # Asked first: what is loaded meanwhile is found twice, and never missed.
        waiting = self.copied.folders(dataset, fresh=self.fresh)
        table = f"{paths.SILVER}/{dataset}"
        with _of_others(f"the silver table of {dataset} cannot be read"):
            files = live_files(self.lake, table)
        if files is None and not waiting:
            raise ReferenceUnavailable(f"dataset {dataset} is not in the lake yet")
        for file in files or ():
            source = LakeSource(self.lake, f"{table}/{file.path}", file.size)
            with _of_others(f"the silver table of {dataset} cannot be read: {file.path}"):
                yield from frames(source, columns)
        for folder in waiting:
            for entry in self.lake.list(f"{folder}/"):
                copied = LakeSource(self.lake, entry.version.path, entry.version.size)
                # It lacks the column, or is damaged: its own load tells.
                with suppress(ReferenceUnavailable), _of_others(entry.version.path):
                    yield from frames(copied, columns)


@contextmanager
def _of_others(what: str) -> Iterator[None]:
    """Whatever is wrong with another dataset's files is no fault of the drop that refers to it.

    Raises:
        NotThere: something is; it says what.
        Retryable: the lake did not answer.
    """
    try:
        yield
    except (GeneratorExit, Retryable, ReferenceUnavailable):
        raise
    except Exception as error:  # damaged files fail in every place that reads them
        why = str(error) if isinstance(error, Unreadable | ValueError) else repr(error)
        raise ReferenceUnavailable(f"{what}: {why}") from error
