"""Where bytes come from and where findings go: the seam between validation and any storage."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # Polars takes longer to load than a small file to validate
    import polars as pl


class Writer(Protocol):
    """A binary sink; what it returns is of no interest."""

    def write(self, data: bytes, /) -> object:
        """Take `data` whole."""


class ByteSource(Protocol):
    """A file that does not change while it is validated."""

    @property
    def size(self) -> int:
        """Its length in bytes."""

    def stream(self) -> Iterator[bytes]:
        """A fresh pass over all bytes, in chunks of any size."""

    def read(self, offset: int, length: int) -> bytes:
        """The bytes of one range; shorter only at the end of the file."""


class Outputs(Protocol):
    """Where findings are written; each is opened only if there is something to write.

    A sink is left normally when it is complete, and by an exception when it must be discarded.
    """

    def rejects(self) -> AbstractContextManager[Writer]:
        """The rejected records as they came, the header first."""

    def reasons(self) -> AbstractContextManager[Writer]:
        """JSON Lines, one object a rejected record: line and faults."""

    def clean(self) -> AbstractContextManager[Writer] | None:
        """The file without its rejected records; None where nobody wants it."""


class ReferenceUnavailable(Exception):
    """The other dataset, or these columns of it, cannot be looked at; says why."""


class References(Protocol):
    """Where the values of other datasets are found."""

    def values(self, dataset: str, columns: Sequence[str]) -> "Iterator[pl.DataFrame]":
        """These columns of a dataset, in pieces; NotThere before the first or between two."""
