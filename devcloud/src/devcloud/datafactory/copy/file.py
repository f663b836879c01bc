"""A file, of whatever store."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Protocol


class ReadableFile(Protocol):
    """A file of some store; counts what goes over the wire."""

    @property
    def name(self) -> str:
        """For messages."""
        ...

    @property
    def bytes_read(self) -> int:
        """So far."""
        ...

    def chunks(self) -> Iterator[bytes]:
        """Its bytes from the beginning."""
        ...

    def random_access(self) -> io.RawIOBase:
        """A seekable reader.

        Raises:
            CopyError: the store has none.
        """
        ...
