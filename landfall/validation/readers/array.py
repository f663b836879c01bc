"""Splits a JSON array into the texts of its elements, without holding all of it in memory."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator

from landfall.validation.problems import MAX_RECORD, Refusal, record_too_long
from landfall.validation.readers.delimited import blocks

_SPACE = re.compile(r"[ \t\r\n]*+")
# A string, closed or incomplete; or one of the structural characters of JSON.
_STRUCTURE = re.compile(r'"(?:[^"\\]++|\\.)*+(?P<closed>")?|[\[\]{},]', re.DOTALL)


class Elements:
    """Iterates over blocks of elements, each with its text and its line.

    Elements are separated by brackets and strings only, so that a malformed one affects no other.
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
        """Yield blocks of elements.

        Raises:
            Refusal: the array is not closed, is malformed, or is followed by other content.
        """
        self._expect_start()
        closed = False
        while not closed:
            elements, closed = self._block()
            if elements:
                yield elements
            if closed:
                break
            if len(self._text) - self._at > MAX_RECORD:
                raise record_too_long(self._line)
            if self._ended:
                raise Refusal(
                    f"the array that began on line 1 is not closed; the file ends on line "
                    f"{self._line}",
                    "the file is incomplete: send it again whole",
                    line=self._line,
                )
            self._read_more()
        self._expect_end()

    def _read_more(self) -> None:
        block = next(self._blocks, None)
        self._ended = block is None
        self._text = self._text[self._at :] + self._decoder.decode(block or b"", self._ended)
        self._at = 0

    def _advance(self, to: int) -> None:
        self._line += self._text.count("\n", self._at, to)
        self._at = to

    def _skip_space(self) -> str:
        """Skip blanks; return the next character, "" at the end of the buffered text."""
        space = _SPACE.match(self._text, self._at)
        self._advance(self._at if space is None else space.end())
        return self._text[self._at : self._at + 1]

    def _expect_start(self) -> None:
        while not (char := self._skip_space()) and not self._ended:
            self._read_more()
        if char != "[":
            raise Refusal("the content is not a JSON array", "write an array of objects", line=1)
        self._advance(self._at + 1)
        while not (char := self._skip_space()) and not self._ended:
            self._read_more()

    def _block(self) -> tuple[list[tuple[str, int]], bool]:
        """Return complete elements of the buffered text, and whether the array is closed."""
        elements: list[tuple[str, int]] = []
        if not self._begun and self._text.startswith("]", self._at):
            self._advance(self._at + 1)
            return elements, True
        while True:
            self._skip_space()
            end = self._element_end()
            if end is None:
                return elements, False
            self._begun = True
            text = self._text[self._at : end].rstrip(" \t\r\n")
            elements.append((text, self._line))
            self._advance(end)
            closing = self._text[end] == "]"
            self._advance(end + 1)
            if closing:
                return elements, True

    def _element_end(self) -> int | None:
        """Return the place of the comma or bracket after the element; None if not buffered yet."""
        depth = 0
        for match in _STRUCTURE.finditer(self._text, self._at):
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
            self._read_more()
        if char:
            raise Refusal(
                f"something follows the array on line {self._line}",
                "write one array a file, or one object a line",
                line=self._line,
            )
