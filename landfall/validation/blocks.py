"""Where records begin in a block of lines, whatever the blocks before it hold.

A file is read in blocks that end at line ends, by many tasks at once. Whether a line begins a
record depends on all lines before it: a quoted field may hold line ends, while a stray quote opens
nothing. But only one thing of the past matters: whether a quoted field is open. So each block is
walked for both answers, and the walks are chained in the order of the blocks. That is exact, and
the chain is as short as the file has blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from landfall.validation.problems import MAX_RECORD
from landfall.validation.readers.splitting import Splitter


@dataclass
class Walk:
    """What a block does to one answer.

    Attributes:
        inside: whether a quoted field is open behind the block.
        begins: the last line at which a record begins, counted from 0; None where none does.
        size: bytes from there to the end of the block; of the whole block where none begins.
    """

    inside: bool
    begins: int | None = None
    size: int = 0

    def step(self, line: int, size: int, *, after: bool) -> None:
        """Take in a line of so many bytes, behind which a quoted field is open or not."""
        if not self.inside:
            self.begins, self.size = line, 0
        self.size += size
        self.inside = after


@dataclass
class Survey:
    """A block as it looks from outside: its lines, and its walk for both answers."""

    lines: int = 0
    walks: tuple[Walk, Walk] = field(
        default_factory=lambda: (Walk(inside=False), Walk(inside=True))
    )

    def take(self, lines: Sequence[bytes | None], splitter: Splitter | None) -> None:
        """Take in the next lines, each without its line feed, None where it is too long to hold.

        Without a splitter every line is a record.
        """
        quote = b"" if splitter is None else splitter.quote.encode()
        for line in lines:
            size = MAX_RECORD + 1 if line is None else len(line) + 1
            text = None
            if splitter is not None and line is not None and quote in line:
                text = line.decode("utf-8", "surrogateescape") + "\n"
            for walk in self.walks:
                after = walk.inside
                if splitter is not None and text is not None:
                    after = splitter.ends_inside(text, inside=walk.inside)
                walk.step(self.lines, size, after=after)
            self.lines += 1


@dataclass(frozen=True)
class Entry:
    """How a block begins: the number of its first line, and whether a quoted field is open."""

    line: int
    inside: bool


@dataclass
class Chain:
    """All blocks in the order of the file.

    Attributes:
        entries: how each block begins, by its place in the file.
        lines: of the whole file.
        open_line: where the record begins whose quote is never closed; None where all are.
        open_size: bytes of that record.
    """

    entries: dict[int, Entry] = field(default_factory=dict)
    lines: int = 0
    open_line: int | None = None
    open_size: int = 0


def chained(surveys: Mapping[int, Survey]) -> Chain:
    """Put blocks together, given by their place in the file."""
    chain = Chain()
    inside, line, begins, size = False, 1, 1, 0
    for start in sorted(surveys):
        survey = surveys[start]
        chain.entries[start] = Entry(line, inside)
        walk = survey.walks[inside]
        if walk.begins is None:
            size += walk.size
        else:
            begins, size = line + walk.begins, walk.size
        line += survey.lines
        inside = walk.inside
    chain.lines = line - 1
    if inside:
        chain.open_line, chain.open_size = begins, size
    return chain


@dataclass(frozen=True)
class Piece:
    """A record, or what one block has of it.

    Attributes:
        line: where it begins; of a continuation, the block's first line.
        raw: its bytes without the last line feed; None where there are too many to hold.
        head: it begins in this block; tail: it ends in this block.
    """

    line: int
    raw: bytes | None
    head: bool = True
    tail: bool = True


class Cutter:
    """Cuts the lines of one block into records; the pieces at its edges are told apart."""

    def __init__(self, splitter: Splitter | None, entry: Entry) -> None:
        self._splitter = splitter
        self._quote = b"" if splitter is None else splitter.quote.encode()
        self._inside = entry.inside
        self._head = not entry.inside
        self._line = self._begun = entry.line
        self._held: list[bytes] = []
        self._size = 0

    def cut(self, lines: Iterable[bytes | None]) -> Iterator[Piece]:
        """The records that end in these lines, blank ones aside; None is a line too long to hold.

        What a line too long does to quotes does not matter: its record ends the validation.
        """
        for line in lines:
            if not self._inside:
                self._begun, self._head = self._line, True
            self._line += 1
            if line is None:
                yield Piece(self._begun, None)
                continue
            plain = self._splitter is None or self._quote not in line
            if plain and not self._inside:
                if self._counts(line):
                    yield Piece(self._begun, line)
                continue
            self._hold(line)
            if not plain and self._splitter is not None:
                text = line.decode("utf-8", "surrogateescape") + "\n"
                self._inside = self._splitter.ends_inside(text, inside=self._inside)
            if not self._inside:
                yield self._release(tail=True)

    def rest(self) -> Piece | None:
        """What the block has of a record that ends in a later one."""
        return self._release(tail=False) if self._inside and self._size else None

    def _counts(self, line: bytes) -> bool:
        """Whether a line is a record; blank ones are none."""
        return bool(line.strip(b" \t\r")) if self._splitter is None else line not in {b"", b"\r"}

    def _hold(self, line: bytes) -> None:
        self._size += len(line) + 1
        if self._size <= MAX_RECORD + 1:
            self._held.append(line)
        else:  # what is too long is forgotten, but not that it was there
            self._held.clear()

    def _release(self, *, tail: bool) -> Piece:
        raw = b"\n".join(self._held) if self._size <= MAX_RECORD + 1 else None
        piece = Piece(self._begun, raw, self._head, tail)
        self._held, self._size = [], 0
        return piece


def stitched(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Whole records from the pieces at the edges of blocks, given in the order of their lines."""
    held: list[Piece] = []
    for piece in pieces:
        if piece.head:
            held = []
        held.append(piece)
        if piece.tail:
            parts = [part.raw for part in held]
            known = [part for part in parts if part is not None]
            raw = b"\n".join(known) if len(known) == len(parts) else None
            if raw is not None and len(raw) > MAX_RECORD:
                raw = None
            yield Piece(held[0].line, raw)
            held = []
