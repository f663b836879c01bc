"""Interfaces between readers, prefilters and the record validator: batches of records."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from landfall.validation.prefilter.facts import Fact
from landfall.validation.readers.splitting import MalformedRecord
from landfall.validation.report import Columns, Format

if TYPE_CHECKING:  # circular imports, or loaded only for large blocks
    import polars as pl

    from landfall.validation.columns import Key
    from landfall.validation.metrics import Metric
    from landfall.validation.readers.record_index import RecordIndex
    from landfall.validation.references import Reference


class ScannableBlock(Protocol):
    """A block of text that can be prefiltered: complete records, the first at offset 0."""

    @property
    def data(self) -> bytes:
        """The bytes of the block."""

    def record_index(self) -> RecordIndex | None:
        """Return where its records are; None if too many lines are irregular."""


class ScanResult(Protocol):
    """Result of a prefilter for a block: row count, candidates, facts about the other records."""

    @property
    def rows(self) -> int:
        """Number of records."""

    @property
    def candidates(self) -> Sequence[int]:
        """Positions of records that might break a rule, ascending."""

    @property
    def lines(self) -> Sequence[int]:
        """The physical line of each record, from 0."""

    def byte_range(self, index: int, /) -> tuple[int, int]:
        """Return start and end of a record in the block."""

    @property
    def measured(self) -> Sequence[tuple[int, Any, Any, Any]]:
        """Count, sum and extremes of each summed metric, over all records but the candidates."""

    @property
    def matched(self) -> Sequence[tuple[Metric, list[int]]]:
        """Other records than candidates of which a quality rule allows none, by its metric."""

    @property
    def facts(self) -> dict[int, Fact]:
        """Facts by column position, over all records but the candidates."""

    @property
    def cells(self) -> pl.DataFrame | None:
        """The contract's columns by their position in the file, as they were parsed; None if not.

        They are text, or values where they are valid; irregular records have any values.
        """

    @property
    def values(self) -> pl.DataFrame | None:
        """The values of all columns by their position in the file, if they were kept.

        Those of candidates are undefined.
        """

    def repeated(self, key: Key, validated: Sequence[Hashable], /) -> list[int]:
        """Return records whose key was seen before; `validated` are the candidates' keys."""

    def orphans(self, reference: Reference, validated: Sequence[Hashable], /) -> list[int]:
        """Return records whose foreign key is not in the other dataset."""


class Prefilter(Protocol):
    """Marks the records of a block that might break a rule."""

    smallest: int
    """Bytes from which on a block is prefiltered."""
    keeps_values: bool
    """Whether the values of all columns are wanted; set before the first scan."""

    def scan(self, block: ScannableBlock, /) -> ScanResult | None:
        """Scan a block; return None if it cannot be scanned. Safe to call from any thread."""


class RecordSubset(Protocol):
    """Selected records of a batch."""

    @property
    def rows(self) -> Sequence[Sequence[Any]]:
        """As in `ParsedBatch`."""

    @property
    def broken(self) -> dict[int, MalformedRecord]:
        """As in `ParsedBatch`."""

    def pick(self, positions: Sequence[int], /) -> RecordSubset:
        """Return the records at these positions."""


@dataclass(frozen=True)
class ParsedSubset:
    """Parsed records; see `RecordSubset`."""

    rows: Sequence[Sequence[Any]]
    broken: dict[int, MalformedRecord]

    def pick(self, positions: Sequence[int]) -> ParsedSubset:
        """Return the records at these positions."""
        broken = {
            at: self.broken[position]
            for at, position in enumerate(positions)
            if position in self.broken
        }
        return ParsedSubset([self.rows[position] for position in positions], broken)


@dataclass(frozen=True)
class ParsedBatch:
    """Parsed records in file order.

    `rows` has the cells of each record in the order of the file's columns; the cells of a record in
    `broken` are not validated. `lines` has the physical line of each record. `raw`
    returns the bytes of a record as UTF-8; it is called in ascending order and only for rejects.
    `size` is how many they are, as far as that is known without writing them.
    """

    rows: Sequence[Sequence[Any]]
    lines: Sequence[int]
    raw: Callable[[int], bytes]
    size: Callable[[int], int]
    broken: dict[int, MalformedRecord] = field(default_factory=dict)

    def line(self, index: int) -> int:
        """Return the physical line of a record."""
        return self.lines[index]

    def prefilter(self, prefilter: Prefilter) -> ScanResult | None:  # noqa: ARG002 - see `RecordBatch`
        """Return None: only delimited text is prefiltered."""
        return None

    def subset(self, indexes: Sequence[int]) -> RecordSubset:
        """Return the records at these positions."""
        return ParsedSubset(self.rows, self.broken).pick(indexes)


class RecordBatch(Protocol):
    """A batch for the record validator; rows may be parsed lazily."""

    @property
    def rows(self) -> Sequence[Sequence[Any]]:
        """As in `ParsedBatch`."""

    def line(self, index: int, /) -> int:
        """Return the physical line of a record."""

    @property
    def broken(self) -> dict[int, MalformedRecord]:
        """As in `ParsedBatch`."""

    def raw(self, index: int, /) -> bytes:
        """As in `ParsedBatch`."""

    def size(self, index: int, /) -> int:
        """As in `ParsedBatch`."""

    def prefilter(self, prefilter: Prefilter, /) -> ScanResult | None:
        """Scan the batch; return None if all records must be validated."""

    def subset(self, indexes: Sequence[int], /) -> RecordSubset:
        """Return the records at these positions."""


def regular(batch: RecordBatch, width: int) -> list[int]:
    """Return the positions of the records of a batch that are well-formed and have all fields."""
    broken = batch.broken
    return [
        index for index, row in enumerate(batch.rows) if index not in broken and len(row) == width
    ]


class FileShape(Protocol):
    """What the record validator has to know of a file."""

    @property
    def typed(self) -> bool:
        """Whether cells are typed values, or text."""

    @property
    def mixed(self) -> bool:
        """Whether a typed cell may spell a value of another type as text."""

    @property
    def names(self) -> Sequence[str]:
        """The file's columns in the order of `ParsedBatch.rows`."""

    @property
    def format(self) -> Format:
        """Format of the file."""

    @property
    def columns(self) -> Columns:
        """Differences to the contract's columns."""


class Reader(Protocol):
    """Reads one file format: from a stream of content to batches of records.

    Call `start`, then `batches` once.
    """

    typed: bool
    """Whether cells are typed values, or text."""
    mixed: bool
    """Whether a typed cell may spell a value of another type as text."""
    names: Sequence[str]
    """The file's columns in the order of `ParsedBatch.rows`; set by `start`."""
    head: bytes
    """The content before the first record, as UTF-8; it is written before rejects."""

    @property
    def format(self) -> Format:
        """Format of the file; complete after `start`."""

    @property
    def columns(self) -> Columns:
        """Differences to the contract's columns; complete after the last batch."""

    @property
    def rejects_format(self) -> Format:
        """Format of the rejected records."""

    def start(self) -> None:
        """Read the header or schema; raise Refusal if it does not fit the contract."""

    def batches(self) -> Iterator[RecordBatch]:
        """Yield all records; raise Refusal where they cannot be separated any more."""
