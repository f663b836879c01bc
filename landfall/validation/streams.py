"""Interfaces between validation and storage: byte sources, outputs and references."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # Polars takes longer to load than a small file to validate
    import polars as pl


class Writer(Protocol):
    """A binary output; its return value is ignored."""

    def write(self, data: bytes, /) -> object:
        """Write all of `data`."""


class ByteSource(Protocol):
    """A file that does not change while it is validated."""

    @property
    def size(self) -> int:
        """Length in bytes."""

    def stream(self) -> Iterator[bytes]:
        """Yield all bytes from the start, in chunks of any size."""

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes of a range; fewer only at the end of the file."""


class Outputs(Protocol):
    """Outputs of a validation; each is opened only if there is something to write.

    The context manager exits normally if the output is complete; on an exception it is discarded.
    """

    def rejects(self) -> AbstractContextManager[Writer]:
        """Open the output of rejected records as in the file, after the header."""

    def reasons(self) -> AbstractContextManager[Writer]:
        """Open the output of reasons: JSON Lines, with line and faults of each rejected record."""

    def accepted(self) -> AbstractContextManager[Writer] | None:
        """Open the output of the accepted records, typed Parquet; None if it is not needed."""


class ReferenceUnavailable(Exception):
    """The other dataset or its columns cannot be read; the message says why."""


class References(Protocol):
    """Provides the values of other datasets."""

    def values(self, dataset: str, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Yield these columns of a dataset in frames; raise ReferenceUnavailable if it cannot."""
