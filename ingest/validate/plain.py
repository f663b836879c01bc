"""Where the records of a block of text lie, and blocks that are split only as far as asked."""

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate

from ingest.validate.batches import Batch, Broken
from ingest.validate.splitting import Split, Splitter


class PlainLines:
    """Records of a block without quotes: each is a line, or blank. See ``Records``."""

    def __init__(self, block: bytes, line: int, offset: int, splitter: Splitter) -> None:
        self._block = block
        self._line = line
        self._offset = offset
        self._splitter = splitter
        self._screened = False

    @cached_property
    def _split(self) -> Split:
        return self._splitter.split(self._block.decode("utf-8", "surrogateescape"), final=True)

    @cached_property
    def _starts(self) -> list[int]:
        """Where each physical line begins, and where the block ends."""
        lengths = (len(line) + 1 for line in self._physical)
        return list(accumulate(lengths, initial=0))

    @cached_property
    def _physical(self) -> list[bytes]:
        return self._block.split(b"\n")

    @property
    def rows(self) -> list[list[str]]:
        """All records, split."""
        return self._split.rows

    @property
    def broken(self) -> dict[int, Broken]:
        """Records out of form."""
        return self._split.broken

    @property
    def lines(self) -> Sequence[int]:
        """The physical line of each record."""
        numbers = self._numbers
        if isinstance(numbers, range):
            return range(self._line, self._line + len(numbers))
        return [self._line + number for number in numbers]

    @property
    def _numbers(self) -> Sequence[int]:
        # A screenable block has no blank lines.
        return range(len(self._physical)) if self._screened else self._split.lines

    def raw(self, index: int) -> bytes:
        """The bytes of one record."""
        start, end = self._bytes(index)
        return self._block[start:end]

    def span(self, index: int) -> tuple[int, int]:
        """Where it lies in the file."""
        start, end = self._bytes(index)
        return self._offset + start, self._offset + end

    def _bytes(self, index: int) -> tuple[int, int]:
        line = self._numbers[index]
        return self._starts[line], min(self._starts[line + 1], len(self._block))

    def screenable(self) -> bytes | None:
        """The block with plain line ends, if every line is a record."""
        block = self._block
        if b"\r" in block:
            if block.count(b"\r") != block.count(b"\r\n"):
                return None
            block = block.replace(b"\r\n", b"\n")
        if block.startswith(b"\n") or b"\n\n" in block:
            return None
        self._screened = True
        return block

    def some(self, indexes: Sequence[int]) -> Batch:
        """Some records, by the numbers of their lines."""
        text = b"\n".join(self._physical[index] for index in indexes)
        split = self._splitter.split(text.decode("utf-8", "surrogateescape"), final=True)
        return Batch(split.rows, (), self.raw, self.span, split.broken)


class Places:
    """Where records of one block lie in bytes, worked out only when a reject asks."""

    def __init__(self, block: bytes, text: str, split: Split, offset: int) -> None:
        self._block = block
        self._text = text
        self._split = split
        self._offset = offset
        self._starts: list[int] | None = None
        self._ascii = len(block) == len(text)
        self._known = (0, 0)

    def raw(self, index: int) -> bytes:
        """The bytes of one record."""
        start, end = self._bytes(index)
        return self._block[start:end]

    def span(self, index: int) -> tuple[int, int]:
        """Where it lies in the file."""
        start, end = self._bytes(index)
        return self._offset + start, self._offset + end

    def _bytes(self, index: int) -> tuple[int, int]:
        split = self._split
        if split.starts is None or split.ends is None:
            if self._starts is None:
                lengths = (len(line) + 1 for line in self._block.split(b"\n"))
                self._starts = list(accumulate(lengths, initial=0))
            line = split.lines[index]
            return self._starts[line], min(self._starts[line + 1], len(self._block))
        return self._to_bytes(split.starts[index]), self._to_bytes(split.ends[index])

    def _to_bytes(self, position: int) -> int:
        """Byte offset of a text offset, counted on from the last one asked."""
        if self._ascii:
            return position
        at, size = self._known if self._known[0] <= position else (0, 0)
        size += len(self._text[at:position].encode("utf-8", "surrogateescape"))
        self._known = (position, size)
        return size
