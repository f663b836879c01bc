"""Splits delimited text into records: RFC 4180 with any delimiter, quote and escape.

Text without quotes is split line by line, which is fast. Text with quotes is parsed record by
record: a quoted field may contain delimiters and line ends; a quote inside an unquoted field, or
text after a closing quote, is a fault of only that record.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

_CSV_LIMIT = 100_000
"""Longest line that is parsed by the csv module, which has a limit on fields."""


@dataclass(frozen=True)
class MalformedRecord:
    """A malformed record: the broken rule, the position of the field, its value."""

    rule: str
    field: int | None
    value: str | None


class UnclosedQuote(Exception):
    """A quote of the last record is not closed in this text."""


@dataclass
class Split:
    """Records of one text.

    `starts` and `ends` are offsets in the text, line end included; `lines` counts from 0
    at the text's beginning. `consumed` is the start of the first incomplete record.
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
        self._inner = re.compile(inner, re.DOTALL)
        self._quoted = re.compile(rf"{q}({inner}){q}", re.DOTALL)
        self._plain = re.compile(rf"[^{d}\n]*+")
        # A well-formed line; the csv module alone would accept stray quotes.
        cell = rf"(?:{q}(?:[^{q}\r\n]++|{q}{q})*+{q}|[^{q}{d}\r\n]*+)"
        self._good_line = re.compile(rf"{cell}(?:{d}{cell})*+")

    def split(self, text: str, *, final: bool) -> Split:
        """Split `text`, which ends at a line end unless `final`.

        If `final` is False, an incomplete record at the end is not consumed.

        Raises:
            UnclosedQuote: `final`, and the last record has an open quote. `args` has the
                number of line ends before it.
        """
        if self.quote in text:
            return self._split_quoted(text, final=final)
        return self._split_lines(text)

    def ends_inside(self, line: str, *, inside: bool) -> bool:
        """Whether a quoted field is open after `line`, given whether one is open before it."""
        at = 0
        while True:
            if inside or line.startswith(self.quote, at):
                run = self._inner.match(line, at if inside else at + 1)
                at = len(line) if run is None else run.end()
                if not line.startswith(self.quote, at):
                    return True
                at += 1
                inside = False
            tail = self._plain.match(line, at)
            at = len(line) if tail is None else tail.end()
            if at >= len(line) or line[at] == "\n":
                return False
            at += 1

    def first(
        self, text: str, *, final: bool
    ) -> tuple[list[str], int, MalformedRecord | None] | None:
        """Return the first record of `text`, its end, and its fault; None if it is incomplete.

        Raises:
            UnclosedQuote: it is incomplete, and `final`.
        """
        record = self._record(text, 0)
        if record is None and final:
            raise UnclosedQuote(0)
        return record

    def _split_lines(self, text: str) -> Split:
        split = Split(consumed=len(text), newlines=text.count("\n"))
        lines = text.split("\n")
        if not lines[-1]:
            lines.pop()  # there is no record after the last line end
        stray: list[int] = []
        if "\r" in text:
            lines = [line.removesuffix("\r") for line in lines]
            stray = [index for index, line in enumerate(lines) if "\r" in line]
        numbers: Sequence[int] = range(len(lines))
        if "" in lines:
            numbers = [index for index, line in enumerate(lines) if line]
            stray_lines = set(stray)
            stray = [at for at, index in enumerate(numbers) if index in stray_lines]
            lines = [line for line in lines if line]
        delimiter = self.delimiter
        split.rows = [line.split(delimiter) for line in lines]
        split.lines = numbers
        split.broken = {index: _stray_return(lines[index]) for index in stray}
        return split

    def _split_quoted(self, text: str, *, final: bool) -> Split:
        split = Split()
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
                record = self._record(text, position)
                if record is None:
                    if final:
                        raise UnclosedQuote(split.newlines)
                    break
                row, after, broken = record
            if row is not None:
                if broken is not None:
                    split.broken[len(split.rows)] = broken
                split.rows.append(row)
                numbers.append(split.newlines)
                starts.append(position)
                ends.append(after)
            split.newlines += text.count("\n", position, after)
            position = after
        split.lines, split.starts, split.ends = numbers, starts, ends
        split.consumed = position
        return split

    def _record(
        self, text: str, position: int
    ) -> tuple[list[str], int, MalformedRecord | None] | None:
        """Parse one record; return it, its end, and its first fault; None if it is incomplete."""
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
    """Return the fault of a lone carriage return: some readers would end the record there."""
    return MalformedRecord("newline", None, line)
