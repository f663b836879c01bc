"""Cuts delimited text into records: RFC 4180 with any delimiter, quote and escape.

Two ways with one result. Text without a quote is split line by line, fast. Text with quotes is
walked record by record: a quoted field may hold delimiters and line ends; a quote inside an
unquoted field, or text after a closing quote, is a fault of that record and of no other.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

_CSV_LIMIT = 100_000
"""Longest line given to the csv module, which refuses longer fields."""


@dataclass(frozen=True)
class MalformedRecord:
    """A record whose form is at fault: the rule, the field where it shows, what stands there."""

    rule: str
    field: int | None
    value: str | None


class UnclosedQuote(Exception):
    """A quote opened in the last record is not closed in this text."""


@dataclass
class Split:
    """Records of one text.

    `starts` and `ends` are offsets into the text, line end included; `lines` counts from 0
    at the text's beginning. `consumed` is where the first incomplete record begins.
    """

    rows: list[list[str]] = field(default_factory=list)
    lines: Sequence[int] = ()
    starts: Sequence[int] | None = None
    ends: Sequence[int] | None = None
    broken: dict[int, MalformedRecord] = field(default_factory=dict)
    consumed: int = 0
    newlines: int = 0


class Splitter:
    """Splits text of one dialect; `escape` None means a quote inside quotes is doubled."""

    def __init__(self, delimiter: str, quote: str, escape: str | None) -> None:
        self.delimiter = delimiter
        self.quote = quote
        self.escape = escape
        d, q = re.escape(delimiter), re.escape(quote)
        if escape is None:
            inner = rf"(?:[^{q}]++|{q}{q})*+"
        else:
            e = re.escape(escape)
            inner = rf"(?:[^{q}{e}]++|{e}.|{q}{q})*+"
        self._quoted = re.compile(rf"{q}({inner}){q}", re.DOTALL)
        self._plain = re.compile(rf"[^{d}\n]*+")
        # A whole line in good form; the csv module alone would forgive stray quotes.
        cell = rf"(?:{q}(?:[^{q}\r\n]++|{q}{q})*+{q}|[^{q}{d}\r\n]*+)"
        self._good_line = re.compile(rf"{cell}(?:{d}{cell})*+")

    def split(self, text: str, *, final: bool) -> Split:
        """Cut `text`, which ends at a line end unless `final`.

        With `final` False an incomplete record at the end is left, see `consumed`.

        Raises:
            UnclosedQuote: `final` and the last record has an open quote. `args` has the
                number of line ends before it.
        """
        if self.quote in text:
            return self._walk(text, final=final)
        return self._lines(text)

    def first(
        self, text: str, *, final: bool
    ) -> tuple[list[str], int, MalformedRecord | None] | None:
        """The first record of `text`, where it ends, its fault; None if it is cut off.

        Raises:
            UnclosedQuote: cut off, and `final`.
        """
        found = self._record(text, 0)
        if found is None and final:
            raise UnclosedQuote(0)
        return found

    def _lines(self, text: str) -> Split:
        found = Split(consumed=len(text), newlines=text.count("\n"))
        lines = text.split("\n")
        if not lines[-1]:
            lines.pop()  # what follows the last line end is no record
        stray: list[int] = []
        if "\r" in text:
            lines = [line.removesuffix("\r") for line in lines]
            stray = [index for index, line in enumerate(lines) if "\r" in line]
        numbers: Sequence[int] = range(len(lines))
        if "" in lines:
            numbers = [index for index, line in enumerate(lines) if line]
            wanted = set(stray)
            stray = [at for at, index in enumerate(numbers) if index in wanted]
            lines = [line for line in lines if line]
        delimiter = self.delimiter
        found.rows = [line.split(delimiter) for line in lines]
        found.lines = numbers
        found.broken = {index: _stray_return(lines[index]) for index in stray}
        return found

    def _walk(self, text: str, *, final: bool) -> Split:
        found = Split()
        numbers: list[int] = []
        starts: list[int] = []
        ends: list[int] = []
        position, length = 0, len(text)
        while position < length:
            line_end = text.find("\n", position)
            stop = length if line_end < 0 else line_end
            after = min(stop + 1, length)
            line = text[position : stop - 1 if text[stop - 1 : stop] == "\r" else stop]
            broken: MalformedRecord | None = None
            if not line:
                row = None
            elif self.quote not in line:
                row = line.split(self.delimiter)
                if "\r" in line:
                    broken = _stray_return(line)
            elif self.escape is None and len(line) < _CSV_LIMIT and self._good_line.fullmatch(line):
                row = next(csv.reader((line,), delimiter=self.delimiter, quotechar=self.quote))
            else:
                walked = self._record(text, position)
                if walked is None:
                    if final:
                        raise UnclosedQuote(found.newlines)
                    break
                row, after, broken = walked
            if row is not None:
                if broken is not None:
                    found.broken[len(found.rows)] = broken
                found.rows.append(row)
                numbers.append(found.newlines)
                starts.append(position)
                ends.append(after)
            found.newlines += text.count("\n", position, after)
            position = after
        found.lines, found.starts, found.ends = numbers, starts, ends
        found.consumed = position
        return found

    def _record(
        self, text: str, position: int
    ) -> tuple[list[str], int, MalformedRecord | None] | None:
        """One record field by field, where it ends, and its first fault; None if cut off."""
        row: list[str] = []
        broken: MalformedRecord | None = None
        while True:
            start = position
            if text.startswith(self.quote, position):
                match = self._quoted.match(text, position)
                if match is None:
                    return None
                value = self._unquoted(match.group(1))
                position = match.end()
            else:
                value = ""
            rest = self._plain.match(text, position)
            tail = "" if rest is None else rest.group()
            position += len(tail)
            at_end = position >= len(text) or text[position] == "\n"
            if at_end and tail.endswith("\r"):
                tail = tail[:-1]
            opened = text.startswith(self.quote, start)
            if broken is None and tail and (opened or self.quote in tail):
                shown = text[start:position].rstrip("\r")
                broken = MalformedRecord("quote", len(row), shown)
            elif broken is None and "\r" in tail:
                broken = MalformedRecord("newline", len(row), tail)
            row.append(value + tail)
            if at_end:
                return row, min(position + 1, len(text)), broken
            position += len(self.delimiter)

    def _unquoted(self, inner: str) -> str:
        if self.escape is not None and self.escape in inner:
            inner = re.sub(re.escape(self.escape) + "(.)", r"\1", inner, flags=re.DOTALL)
        return inner.replace(self.quote * 2, self.quote)


def _stray_return(line: str) -> MalformedRecord:
    """A carriage return alone: some readers end the record there, so none may load it."""
    return MalformedRecord("newline", None, line)
