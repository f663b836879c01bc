"""Cuts a JSON array into the texts of its elements, without reading it whole."""

import codecs
import re
from collections.abc import Iterable, Iterator

from landfall.validation.problems import MAX_RECORD, Refusal, too_long
from landfall.validation.readers.delimited import blocks

_SPACE = re.compile(r"[ \t\r\n]*+")
# A string, closed or cut off; or one of the characters that give an array its shape.
_SHAPE = re.compile(r'"(?:[^"\\]++|\\.)*+(?P<closed>")?|[\[\]{},]', re.DOTALL)


class Elements:
    """Iterates over blocks of elements, each with its text and the line where it begins.

    Elements are told apart by brackets and strings alone, so that a malformed one harms no other.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._blocks = blocks(chunks)
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._text = ""
        self._at = 0
        self._line = 1
        self._ended = False
        self._begun = False

    def __iter__(self) -> Iterator[list[tuple[str, int]]]:
        """Blocks of elements.

        Raises:
            Refusal: the array does not end, ends early, or has something between elements.
        """
        self._expect_start()
        closed = False
        while not closed:
            found, closed = self._block()
            if found:
                yield found
            if closed:
                break
            if len(self._text) - self._at > MAX_RECORD:
                raise too_long(self._line)
            if self._ended:
                raise Refusal(
                    f"the array that began on line 1 is not closed; the file ends on line "
                    f"{self._line}",
                    "the file is incomplete: send it again whole",
                    line=self._line,
                )
            self._more()
        self._expect_end()

    def _more(self) -> None:
        block = next(self._blocks, None)
        self._ended = block is None
        self._text = self._text[self._at :] + self._decoder.decode(block or b"", self._ended)
        self._at = 0

    def _move(self, to: int) -> None:
        self._line += self._text.count("\n", self._at, to)
        self._at = to

    def _skip_space(self) -> str:
        """The next character that means something, "" at the end of the text at hand."""
        space = _SPACE.match(self._text, self._at)
        self._move(self._at if space is None else space.end())
        return self._text[self._at : self._at + 1]

    def _expect_start(self) -> None:
        while not (char := self._skip_space()) and not self._ended:
            self._more()
        if char != "[":
            raise Refusal("the content is no JSON array", "write an array of objects", line=1)
        self._move(self._at + 1)
        while not (char := self._skip_space()) and not self._ended:
            self._more()

    def _block(self) -> tuple[list[tuple[str, int]], bool]:
        """Complete elements of the text at hand, and whether the array is closed behind them."""
        found: list[tuple[str, int]] = []
        if not self._begun and self._text.startswith("]", self._at):
            self._move(self._at + 1)
            return found, True
        while True:
            self._skip_space()
            end = self._element_end()
            if end is None:
                return found, False
            self._begun = True
            text = self._text[self._at : end].rstrip(" \t\r\n")
            found.append((text, self._line))
            self._move(end)
            closing = self._text[end] == "]"
            self._move(end + 1)
            if closing:
                return found, True

    def _element_end(self) -> int | None:
        """Where the comma or bracket behind the element stands; None if not in the text yet."""
        depth = 0
        for match in _SHAPE.finditer(self._text, self._at):
            mark = match.group()
            if mark[0] == '"':
                if match.group("closed") is None:
                    return None
            elif mark in "[{":
                depth += 1
            elif depth == 0:
                if mark != "}":
                    return match.start()
            elif mark != ",":
                depth -= 1
        return None

    def _expect_end(self) -> None:
        while not (char := self._skip_space()) and not self._ended:
            self._more()
        if char:
            raise Refusal(
                f"something follows the array on line {self._line}",
                "write one array a file, or one object a line",
                line=self._line,
            )
