"""What other datasets hold, for contracts that refer to them: read from their silver tables.

A silver table is read as it stands when a drop is judged: the newest checkpoint of its log, the
commits after it, and of each file that they leave only the columns that are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingest import paths
from ingest.delta import Unreadable, live_files
from ingest.ports import Lake
from ingest.validate import NotThere

if TYPE_CHECKING:  # Polars takes longer to load than a small file to judge
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


@dataclass(frozen=True)
class SilverReferences:
    """The silver tables of a lake."""

    lake: Lake

    def values(self, dataset: str, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """These columns of a dataset, row group by row group.

        A row that a merge replaced may still come, as a table may mark rows as gone beside its
        files; its key is in silver all the same.

        Raises:
            NotThere: it has no silver table in this lake, or one that is not understood.
        """
        from ingest.validate.footer import frames  # noqa: PLC0415 - loads Polars

        table = f"{paths.SILVER}/{dataset}"
        try:
            files = live_files(self.lake, table)
        except Unreadable as error:
            raise NotThere(f"the silver table of {dataset} cannot be read: {error}") from error
        if files is None:
            raise NotThere(f"dataset {dataset} is not in the lake yet")
        for file in files:
            source = LakeSource(self.lake, f"{table}/{file.path}", file.size)
            try:
                yield from frames(source, columns)
            except ValueError as error:
                raise NotThere(
                    f"the silver table of {dataset} cannot be read: {file.path}: {error}"
                ) from error
