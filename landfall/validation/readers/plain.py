"""Blocks of delimited text whose records are parsed lazily."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from landfall.validation.batches import ParsedSubset, Prefilter, RecordSubset, ScanResult
from landfall.validation.readers.splitting import MalformedRecord, Split, Splitter

if TYPE_CHECKING:  # numpy is only loaded for blocks that are prefiltered
    from landfall.validation.readers.record_index import RecordIndex

SMALLEST = 256 << 10
"""Bytes from which on numpy and Polars are loaded for a block."""


class Block:
    """Records of a block: parsed as a whole or, if prefiltered, only those that are requested.

    `line` is the physical line of the block in the file. It ends with a complete record. See
    `RecordBatch`.
    """

    def __init__(
        self,
        data: bytes,
        line: int,
        splitter: Splitter,
        *,
        record_index: RecordIndex | None = None,
        split: Split | None = None,
    ) -> None:
        self._data = data
        self._line = line
        self._splitter = splitter
        self._record_index = record_index
        self._whole = split
        self._byte_ranges: ByteRanges | ScanResult | None = None

    @property
    def data(self) -> bytes:
        """The bytes of the block."""
        return self._data

    def record_index(self) -> RecordIndex | None:
        """Return where its records are; None if too many lines are irregular."""
        if self._record_index is None:
            from landfall.validation.readers.record_index import index_records  # noqa: PLC0415 - see SMALLEST

            self._record_index = index_records(self._data, self._splitter, final=True)
        return self._record_index

    def prefilter(self, prefilter: Prefilter) -> ScanResult | None:
        """Scan the block; return None if all records must be validated."""
        if not self._data or self._whole is not None:
            return None
        if len(self._data) < min(SMALLEST, prefilter.smallest):
            return None
        scan = prefilter.scan(self)
        if scan is not None:
            self._byte_ranges = scan
        return scan

    @property
    def _split(self) -> Split:
        if self._whole is None:
            text = self._data.decode("utf-8", "surrogateescape")
            self._whole = self._splitter.split(text, final=True)
        return self._whole

    @property
    def rows(self) -> list[list[str]]:
        """Cells of all records."""
        return self._split.rows

    @property
    def broken(self) -> dict[int, MalformedRecord]:
        """Malformed records."""
        return self._split.broken

    def line(self, index: int) -> int:
        """Return the physical line of a record."""
        return self._line + int(self._ranges_or_scan.lines[index])

    @property
    def _ranges_or_scan(self) -> ByteRanges | ScanResult:
        if self._byte_ranges is None:
            self._byte_ranges = ByteRanges(self._data, self._split)
        return self._byte_ranges

    def raw(self, index: int) -> bytes:
        """Return the bytes of a record."""
        start, end = self._ranges_or_scan.byte_range(index)
        return self._data[start:end]

    def size(self, index: int) -> int:
        """Return how many bytes a record has."""
        start, end = self._ranges_or_scan.byte_range(index)
        return end - start

    def subset(self, indexes: Sequence[int]) -> RecordSubset:
        """Return the records at these positions."""
        if self._whole is not None:
            return ParsedSubset(self._whole.rows, self._whole.broken).pick(indexes)
        return _RawSubset([self.raw(index) for index in indexes], self._splitter)


class _RawSubset:
    """Raw records, parsed on demand."""

    def __init__(self, raw: Sequence[bytes], splitter: Splitter) -> None:
        self._raw = raw
        self._splitter = splitter

    @cached_property
    def _split(self) -> Split:
        text = b"".join(part if part.endswith(b"\n") else part + b"\n" for part in self._raw)
        return self._splitter.split(text.decode("utf-8", "surrogateescape"), final=True)

    @property
    def rows(self) -> list[list[str]]:
        """Cells of the records."""
        return self._split.rows

    @property
    def broken(self) -> dict[int, MalformedRecord]:
        """Malformed records."""
        return self._split.broken

    def pick(self, positions: Sequence[int]) -> _RawSubset:
        """Return the records at these positions."""
        return _RawSubset([self._raw[at] for at in positions], self._splitter)


class ByteRanges:
    """Byte ranges of parsed records, computed on demand."""

    def __init__(self, data: bytes, split: Split) -> None:
        self._data = data
        self._split = split
        self.lines = split.lines

    def byte_range(self, index: int) -> tuple[int, int]:
        """Return start and end of a record in the block."""
        if self._split.starts is None or self._split.ends is None:
            line = self._split.lines[index]
            return self._line_starts[line], min(self._line_starts[line + 1], len(self._data))
        return self._starts[index], self._ends[index]

    @cached_property
    def _line_starts(self) -> list[int]:
        lengths = (len(line) + 1 for line in self._data.split(b"\n"))
        return list(accumulate(lengths, initial=0))

    @cached_property
    def _starts(self) -> Sequence[int]:
        return self._in_bytes(self._split.starts or ())

    @cached_property
    def _ends(self) -> Sequence[int]:
        return self._in_bytes(self._split.ends or ())

    def _in_bytes(self, positions: Sequence[int]) -> Sequence[int]:
        """Return the byte offsets of ascending text offsets."""
        if self._data.isascii():  # looked at once: it reads the whole block
            return positions
        text = self._data.decode("utf-8", "surrogateescape")
        between = (
            len(text[start:end].encode("utf-8", "surrogateescape"))
            for start, end in pairwise((0, *positions))
        )
        return list(accumulate(between))
