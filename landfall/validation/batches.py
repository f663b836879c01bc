"""Records on their way from a reader to the record validator."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from landfall.validation.prefilter.facts import Fact
from landfall.validation.readers.splitting import MalformedRecord
from landfall.validation.report import Columns, Format
from landfall.validation.streams import Writer

if TYPE_CHECKING:  # they know what is here, or are loaded for large blocks alone
    from landfall.validation.columns import Key
    from landfall.validation.readers.record_index import RecordIndex
    from landfall.validation.references import Reference


class ScannableBlock(Protocol):
    """A block of text that can be prefiltered: whole records, the first at its beginning."""

    @property
    def data(self) -> bytes:
        """Its bytes."""

    def record_index(self) -> "RecordIndex | None":
        """Where its records are; None if too much of it is odd."""


class ScanResult(Protocol):
    """What a prefilter found in a block: row count, candidates, and facts about the others."""

    @property
    def rows(self) -> int:
        """Records in all."""

    @property
    def candidates(self) -> Sequence[int]:
        """Those that might break a rule, ascending."""

    @property
    def lines(self) -> Sequence[int]:
        """The physical line where each begins, from 0."""

    def bytes(self, index: int, /) -> tuple[int, int]:
        """Where one begins and ends in the block."""

    @property
    def measured(self) -> Sequence[tuple[int, Any, Any, Any]]:
        """Count, sum and extremes of each gauge that is summed, over all but the candidates."""

    @property
    def facts(self) -> dict[int, Fact]:
        """By position of a column, of all but the candidates; none if there are no others."""

    def repeated(self, key: "Key", validated: Sequence[Hashable], /) -> list[int]:
        """Records whose key was seen before; `validated` are the candidates' keys."""

    def orphans(self, reference: "Reference", validated: Sequence[Hashable], /) -> list[int]:
        """Records that refer to what is not there."""


class Prefilter(Protocol):
    """What marks the records of a block that might break a rule."""

    smallest: int
    """Bytes from which on a block is worth it."""

    def scan(self, block: ScannableBlock, /) -> ScanResult | None:
        """What might be wrong in a block; None if it cannot say. Any thread may ask."""


class RecordSubset(Protocol):
    """Records apart from their batch."""

    @property
    def rows(self) -> Sequence[Sequence[Any]]:
        """As in `ParsedBatch`."""

    @property
    def broken(self) -> dict[int, MalformedRecord]:
        """As in `ParsedBatch`."""

    def pick(self, positions: Sequence[int], /) -> "RecordSubset":
        """Some of them."""


@dataclass(frozen=True)
class ParsedSubset:
    """Records that are at hand; see `RecordSubset`."""

    rows: Sequence[Sequence[Any]]
    broken: dict[int, MalformedRecord]

    def pick(self, positions: Sequence[int]) -> "ParsedSubset":
        """Some of them."""
        found = {at: self.broken[one] for at, one in enumerate(positions) if one in self.broken}
        return ParsedSubset([self.rows[one] for one in positions], found)


@dataclass(frozen=True)
class ParsedBatch:
    """Some records in file order.

    `rows` has the cells of each in the order of the file's columns; a record in `broken` has
    none worth judging. `lines` has the physical line where each begins. `raw` and `span`
    give, for one record, its bytes as UTF-8 and its place in the file for a clean copy; they are
    asked in ascending order and only for rejects.
    """

    rows: Sequence[Sequence[Any]]
    lines: Sequence[int]
    raw: Callable[[int], bytes]
    span: Callable[[int], tuple[int, int]]
    broken: dict[int, MalformedRecord] = field(default_factory=dict)

    def line(self, index: int) -> int:
        """The physical line of one record."""
        return self.lines[index]

    def prefilter(self, prefilter: Prefilter) -> ScanResult | None:  # noqa: ARG002 - see `RecordBatch`
        """Only delimited text is prefiltered."""
        return None

    def some(self, indexes: Sequence[int]) -> RecordSubset:
        """Some of the records."""
        return ParsedSubset(self.rows, self.broken).pick(indexes)


class RecordBatch(Protocol):
    """A batch as the record validator takes it; rows may be made only when they are asked for."""

    @property
    def rows(self) -> Sequence[Sequence[Any]]:
        """As in `ParsedBatch`."""

    def line(self, index: int, /) -> int:
        """The physical line where one record begins."""

    @property
    def broken(self) -> dict[int, MalformedRecord]:
        """As in `ParsedBatch`."""

    def raw(self, index: int, /) -> bytes:
        """As in `ParsedBatch`."""

    def span(self, index: int, /) -> tuple[int, int]:
        """As in `ParsedBatch`."""

    def prefilter(self, prefilter: Prefilter, /) -> ScanResult | None:
        """What might be wrong; None if all of it must be validated."""

    def some(self, indexes: Sequence[int], /) -> RecordSubset:
        """Some of the records."""


class Reader(Protocol):
    """One format: from a stream of content to batches of records.

    `start` comes first, then `batches` once; or, on a fresh reader, `copy` alone.
    """

    typed: bool
    """Whether cells are values with a type of their own, or text."""
    names: Sequence[str]
    """The file's columns in the order of `ParsedBatch.rows`; known after `start`."""
    head: bytes
    """What stands before the first record, as UTF-8, and belongs before any selection."""

    @property
    def format(self) -> Format:
        """How the file is written; complete after `start`."""

    @property
    def columns(self) -> Columns:
        """The file's columns against the contract's; complete after the last batch."""

    @property
    def rejects_format(self) -> Format:
        """How rejected records are written."""

    @property
    def clean_format(self) -> Format:
        """How a clean copy is written."""

    def start(self) -> None:
        """Read what stands before the records; Refusal if it is not the contract's."""

    def batches(self) -> Iterator[RecordBatch]:
        """All records; Refusal where they can no longer be told apart."""

    def copy(self, rejected: Iterator[tuple[int, int]], writer: Writer) -> None:
        """Write all that is not `rejected`."""
