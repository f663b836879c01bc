"""Records on their way from a reader to the judge."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ingest.validate.report import Columns, Format
from ingest.validate.streams import Writer

if TYPE_CHECKING:  # it knows what is here
    from ingest.validate.screening import Look, Screening


@dataclass(frozen=True)
class Broken:
    """A record whose form is at fault: the rule, the field where it shows, what stands there."""

    rule: str
    field: int | None
    value: str | None


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

    def screen(self, screening: "Screening") -> "Look | None":  # noqa: ARG002 - see ``Records``
        """Only delimited text is screened."""
        return None

    def some(self, indexes: Sequence[int]) -> "Records":
        """What is not screened is judged whole."""
        raise NotImplementedError


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

    def screen(self, screening: "Screening", /) -> "Look | None":
        """What might be wrong; None if all of it must be judged."""

    def some(self, indexes: Sequence[int]) -> "Records":
        """Some records of a screenable batch."""


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
