"""Where the records of a block of text lie, and blocks that are split only as far as asked."""

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING

from landfall.validation.batches import ParsedSubset, Prefilter, RecordSubset, ScanResult
from landfall.validation.readers.splitting import MalformedRecord, Split, Splitter

if TYPE_CHECKING:  # numpy is only loaded for blocks that are prefiltered
    from landfall.validation.readers.record_index import RecordIndex

SMALLEST = 256 << 10
"""Bytes from which on a block is worth loading numpy and Polars for."""


class Block:
    """Records of some bytes: split as a whole, or, once prefiltered, only those asked for.

    `line` and `offset` are the physical line and the place in the file where it begins. It
    ends where a record does. See `Records`.
    """

    def __init__(
        self,
        data: bytes,
        line: int,
        offset: int,
        splitter: Splitter,
        *,
        record_index: "RecordIndex | None" = None,
        split: Split | None = None,
    ) -> None:
        self._data = data
        self._line = line
        self._offset = offset
        self._splitter = splitter
        self._index_records = record_index
        self._whole = split
        self._places: Places | ScanResult | None = None

    @property
    def data(self) -> bytes:
        """All of it."""
        return self._data

    def record_index(self) -> "RecordIndex | None":
        """Where its records are; None if too much of it is odd."""
        if self._index_records is None:
            from landfall.validation.readers.record_index import index_records  # noqa: PLC0415 - see SMALLEST

            self._index_records = index_records(self._data, self._splitter, final=True)
        return self._index_records

    def prefilter(self, prefilter: Prefilter) -> ScanResult | None:
        """What might be wrong in it; None if all of it is to be validated."""
        if not self._data or self._whole is not None:
            return None
        if len(self._data) < min(SMALLEST, prefilter.smallest):
            return None
        scan = prefilter.scan(self)
        if scan is not None:
            self._places = scan
        return scan

    @property
    def _split(self) -> Split:
        if self._whole is None:
            text = self._data.decode("utf-8", "surrogateescape")
            self._whole = self._splitter.split(text, final=True)
        return self._whole

    @property
    def rows(self) -> list[list[str]]:
        """All records, split."""
        return self._split.rows

    @property
    def broken(self) -> dict[int, MalformedRecord]:
        """Records out of form."""
        return self._split.broken

    def line(self, index: int) -> int:
        """The physical line of one record."""
        return self._line + int(self._where.lines[index])

    @property
    def _where(self) -> "Places | ScanResult":
        if self._places is None:
            self._places = Places(self._data, self._split)
        return self._places

    def raw(self, index: int) -> bytes:
        """The bytes of one record."""
        start, end = self._where.bytes(index)
        return self._data[start:end]

    def span(self, index: int) -> tuple[int, int]:
        """Where it lies in the file."""
        start, end = self._where.bytes(index)
        return self._offset + start, self._offset + end

    def some(self, indexes: Sequence[int]) -> RecordSubset:
        """Some of the records."""
        if self._whole is not None:
            return ParsedSubset(self._whole.rows, self._whole.broken).pick(indexes)
        return _Cut([self.raw(index) for index in indexes], self._splitter)


class _Cut:
    """Records as they came, split when somebody asks."""

    def __init__(self, raw: Sequence[bytes], splitter: Splitter) -> None:
        self._raw = raw
        self._splitter = splitter

    @cached_property
    def _split(self) -> Split:
        text = b"".join(part if part.endswith(b"\n") else part + b"\n" for part in self._raw)
        return self._splitter.split(text.decode("utf-8", "surrogateescape"), final=True)

    @property
    def rows(self) -> list[list[str]]:
        """Their cells."""
        return self._split.rows

    @property
    def broken(self) -> dict[int, MalformedRecord]:
        """Those out of form."""
        return self._split.broken

    def pick(self, positions: Sequence[int]) -> "_Cut":
        """Some of them."""
        return _Cut([self._raw[at] for at in positions], self._splitter)


class Places:
    """Where split records lie in bytes, worked out only when a reject asks."""

    def __init__(self, data: bytes, split: Split) -> None:
        self._data = data
        self._split = split
        self._starts: list[int] | None = None
        self._text: str | None = None
        self._known = (0, 0)
        self.lines = split.lines

    def bytes(self, index: int) -> tuple[int, int]:
        """Where a record begins and ends in the block."""
        split = self._split
        if split.starts is None or split.ends is None:
            if self._starts is None:
                lengths = (len(line) + 1 for line in self._data.split(b"\n"))
                self._starts = list(accumulate(lengths, initial=0))
            line = split.lines[index]
            return self._starts[line], min(self._starts[line + 1], len(self._data))
        return self._to_bytes(split.starts[index]), self._to_bytes(split.ends[index])

    def _to_bytes(self, position: int) -> int:
        """Byte offset of a text offset, counted on from the last one asked."""
        if self._data.isascii():
            return position
        if self._text is None:
            self._text = self._data.decode("utf-8", "surrogateescape")
        at, size = self._known if self._known[0] <= position else (0, 0)
        size += len(self._text[at:position].encode("utf-8", "surrogateescape"))
        self._known = (position, size)
        return size
