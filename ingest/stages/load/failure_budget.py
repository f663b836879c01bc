"""Failures among many requests of one kind: single ones are passed over, a row of them is not.

Work on a batch of hundreds asks the lake hundreds of times. Were the first failure to end it, then
with one request in twenty failing it would hardly ever come to its end.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ingest.errors import Retryable

ROW = 3
"""So many failures one after the other say that the other side is away."""


@dataclass
class FailureBudget:
    """What has failed so far."""

    last: Retryable | None = None
    _in_a_row: int = 0

    @contextmanager
    def tolerate(self) -> Iterator[None]:
        """Pass over one failure of the block.

        Raises:
            Retryable: it was the last of `ROW` in a row.
        """
        try:
            yield
        except Retryable as error:
            self.last = error
            self._in_a_row += 1
            if self._in_a_row >= ROW:
                raise
        else:
            self._in_a_row = 0

    def settle(self) -> None:
        """Own up to what was passed over.

        Raises:
            Retryable: something was.
        """
        if self.last is not None:
            raise self.last
