"""Records on their way from a reader to the judge."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ingest.validate.facts import Fact
from ingest.validate.report import Columns, Format
from ingest.validate.splitting import Broken
from ingest.validate.streams import Writer

if TYPE_CHECKING:  # they know what is here, or are loaded for large blocks alone
    from ingest.validate.columns import Key
    from ingest.validate.references import Reference
    from ingest.validate.survey import Survey


class Screenable(Protocol):
    """A block of text that can be screened: whole records, the first at its beginning."""

    @property
    def data(self) -> bytes:
        """Its bytes."""

    def survey(self) -> "Survey | None":
        """Where its records are; None if too much of it is odd."""


class Look(Protocol):
    """What a screen saw of a block: how many records, which to judge, what the others are like."""

    @property
    def rows(self) -> int:
        """Records in all."""

    @property
    def suspects(self) -> Sequence[int]:
        """Those that might break a rule, ascending."""

    @property
    def lines(self) -> Sequence[int]:
        """The physical line where each begins, from 0."""

    def bytes(self, index: int, /) -> tuple[int, int]:
        """Where one begins and ends in the block."""

    @property
    def measured(self) -> Sequence[tuple[int, Any, Any, Any]]:
        """Count, sum and extremes of each gauge that is summed, over all but the suspects."""

    @property
    def facts(self) -> dict[int, Fact]:
        """By position of a column, of all but the suspects; none if there are no others."""

    def repeated(self, key: "Key", judged: Sequence[Hashable], /) -> list[int]:
        """Records whose key was seen before; ``judged`` are the suspects' keys."""

    def strangers(self, reference: "Reference", judged: Sequence[Hashable], /) -> list[int]:
        """Records that refer to what is not there."""


class Screen(Protocol):
    """What marks the records of a block that might break a rule."""

    smallest: int
    """Bytes from which on a block is worth it."""

    def look(self, block: Screenable, /) -> Look | None:
        """What might be wrong in a block; None if it cannot say. Any thread may ask."""


class Some(Protocol):
    """Records apart from their batch."""

    @property
    def rows(self) -> Sequence[Sequence[Any]]:
        """As in ``Batch``."""

    @property
    def broken(self) -> dict[int, Broken]:
        """As in ``Batch``."""

    def pick(self, positions: Sequence[int], /) -> "Some":
        """Some of them."""


@dataclass(frozen=True)
class Few:
    """Records that are at hand; see ``Some``."""

    rows: Sequence[Sequence[Any]]
    broken: dict[int, Broken]

    def pick(self, positions: Sequence[int]) -> "Few":
        """Some of them."""
        found = {at: self.broken[one] for at, one in enumerate(positions) if one in self.broken}
        return Few([self.rows[one] for one in positions], found)


@dataclass(frozen=True)
class Batch:
    """Some records in file order.

    ``rows`` has the cells of each in the order of the file's columns; a record in ``broken`` has
    none worth judging. ``lines`` has the physical line where each begins. ``raw`` and ``span``
    give, for one record, its bytes as UTF-8 and its place in the file for a clean copy; they are
    asked in ascending order and only for rejects.
    """

    rows: Sequence[Sequence[Any]]
    lines: Sequence[int]
    raw: Callable[[int], bytes]
    span: Callable[[int], tuple[int, int]]
    broken: dict[int, Broken] = field(default_factory=dict)

    def line(self, index: int) -> int:
        """The physical line of one record."""
        return self.lines[index]

    def screen(self, screen: Screen) -> Look | None:  # noqa: ARG002 - see ``Records``
        """Only delimited text is screened."""
        return None

    def some(self, indexes: Sequence[int]) -> Some:
        """Some of the records."""
        return Few(self.rows, self.broken).pick(indexes)


class Records(Protocol):
    """A batch as the judge takes it; rows may be made only when they are asked for."""

    @property
    def rows(self) -> Sequence[Sequence[Any]]:
        """As in ``Batch``."""

    def line(self, index: int, /) -> int:
        """The physical line where one record begins."""

    @property
    def broken(self) -> dict[int, Broken]:
        """As in ``Batch``."""

    def raw(self, index: int, /) -> bytes:
        """As in ``Batch``."""

    def span(self, index: int, /) -> tuple[int, int]:
        """As in ``Batch``."""

    def screen(self, screen: Screen, /) -> Look | None:
        """What might be wrong; None if all of it must be judged."""

    def some(self, indexes: Sequence[int], /) -> Some:
        """Some of the records."""


class Reader(Protocol):
    """One format: from a stream of content to batches of records.

    ``start`` comes first, then ``batches`` once; or, on a fresh reader, ``copy`` alone.
    """

    typed: bool
    """Whether cells are values with a type of their own, or text."""
    names: Sequence[str]
    """The file's columns in the order of ``Batch.rows``; known after ``start``."""
    head: bytes
    """What stands before the first record, as UTF-8, and belongs before any selection."""

    @property
    def format(self) -> Format:
        """How the file is written; complete after ``start``."""

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

    def batches(self) -> Iterator[Records]:
        """All records; Refusal where they can no longer be told apart."""

    def copy(self, rejected: Iterator[tuple[int, int]], writer: Writer) -> None:
        """Write all that is not ``rejected``."""
