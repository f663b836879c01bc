"""Indexes the records of a block, and finds irregular records that Polars could misread.

A vectorised parser is exact for regular lines and lenient for others. Irregular lines are few, even
in a bad file: a stray quote, invalid bytes, blanks before a number. They are found here by their
bytes, record by record, so that only they are parsed another way.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from landfall.validation.readers.splitting import Splitter, UnclosedQuote

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_LF, _CR = 10, 13
_SKIPPED = b"+ \t\x0b\x0c"
"""Characters that Polars skips before a number."""
_FEW = 0.05
"""Share of lines up to which irregular lines go to the record validator."""
_MANY = 0.4
"""Share of irregular lines from which on the prefilter saves no time."""
_WINDOW = 1 << 16


@dataclass(frozen=True)
class RecordIndex:
    """The records of a block, in order.

    `starts` and `ends` are byte offsets, line ends included; `lines` are physical lines from 0.
    `odd` are positions of irregular records, which are always validated. `quoted` says that other
    records have well-formed quoted fields; `padded` says that numbers may begin with characters
    that a parser skips. `consumed` is the start of the first incomplete record.
    """

    starts: Numbers
    ends: Numbers
    lines: Numbers
    odd: Numbers
    quoted: bool
    padded: bool
    consumed: int
    newlines: int

    def prefiltered(self, block: bytes, filler: bytes) -> bytes:
        """Return the block for the parser: LF line ends, `filler` in place of irregular records."""
        whole = block[: self.consumed]
        contiguous = not len(self.odd) and len(self.starts) and self.starts[0] == 0
        if contiguous and np.array_equal(self.starts[1:], self.ends[:-1]):
            text = whole if self.ends[-1] == len(whole) else whole[: self.ends[-1]]
        else:
            text = self._pieces(block, filler)
        return text.replace(b"\r\n", b"\n") if b"\r" in text else text

    def _pieces(self, block: bytes, filler: bytes) -> bytes:
        pieces: list[bytes] = []
        at = 0
        breaks = np.flatnonzero(self.starts[1:] != self.ends[:-1]) + 1
        odd = set(self.odd.tolist())
        for index in sorted(odd | set(breaks.tolist())):
            if index > at:
                pieces.append(block[self.starts[at] : self.ends[index - 1]])
            at = index
            if index in odd:
                pieces.append(filler + b"\n")
                at = index + 1
        if at < len(self.starts):
            pieces.append(block[self.starts[at] : self.ends[-1]])
        return b"".join(pieces)


def index_records(block: bytes, splitter: Splitter, *, final: bool) -> RecordIndex | None:
    """Index a block that begins with a record; return None if too many lines are irregular.

    Raises:
        UnclosedQuote: `final`, and the last record has an open quote.
    """
    data = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(data == _LF) + 1
    if not block.endswith(b"\n"):
        ends = np.append(ends, len(block))
    starts = np.concatenate((np.zeros(1, ends.dtype), ends[:-1]))
    kept = ends - starts > 1
    kept[-1] |= not block.endswith(b"\n")
    odd = np.zeros(len(ends), bool)
    if b"\r" in block:
        _mark_returns(data, starts, ends, kept, odd)
    _mark_invalid_bytes(block, ends, odd)
    padded = _mark_skipped(block, data, ends, odd, splitter)
    if odd.sum() > _MANY * len(odd):
        return None
    newlines = len(ends) if block.endswith(b"\n") else len(ends) - 1
    quoted, consumed = False, len(block)
    last = ends
    if splitter.quote.encode() in block:
        walk = _QuoteScan(block, data, starts, ends, splitter, final=final)
        if not walk.mark(kept, odd):
            return None
        last, quoted, consumed = walk.ends, walk.quoted, walk.consumed
        if consumed < len(block):
            newlines = int(np.searchsorted(starts, consumed))
            kept[newlines:] = False
    lines = np.flatnonzero(kept)
    if len(lines) and block.startswith(codecs.BOM_UTF8, starts[lines[0]]):
        odd[lines[0]] = True  # a parser would skip the byte order mark
    return RecordIndex(
        starts[lines],
        last[lines],
        lines,
        np.flatnonzero(odd[lines]),
        quoted,
        padded,
        consumed,
        newlines,
    )


def _lines_of(positions: Any, ends: Numbers) -> Any:
    """Return the line of each position."""
    return np.searchsorted(ends, positions, side="right")


def _mark_returns(
    data: npt.NDArray[np.uint8], starts: Numbers, ends: Numbers, kept: Flags, odd: Flags
) -> None:
    """Drop lines with only a carriage return; mark lines with one that is not at their end."""
    ended = data[ends - 1] == _LF
    kept &= ~((ends - starts == 1 + ended) & (data[starts] == _CR))
    returns = np.flatnonzero(data == _CR)
    after = np.minimum(returns + 1, len(data) - 1)
    stray = returns[(data[after] != _LF) | (after == returns)]
    odd[_lines_of(stray, ends)] = True


def _mark_invalid_bytes(block: bytes, ends: Numbers, odd: Flags) -> None:
    """Mark lines with bytes that are not UTF-8."""
    if block.isascii():
        return
    view, at = memoryview(block), 0
    while at < len(block):
        try:
            str(view[at:], "utf-8")
        except UnicodeDecodeError as error:
            line = int(_lines_of(at + error.start, ends))
            odd[line] = True
            at = int(ends[line])
        else:
            return


def _mark_skipped(
    block: bytes, data: npt.NDArray[np.uint8], ends: Numbers, odd: Flags, splitter: Splitter
) -> bool:
    """Mark lines with a field that begins with a skipped character; return True if too many."""
    delimiter, quote = ord(splitter.delimiter), ord(splitter.quote)
    flagged = np.zeros(len(odd), bool)
    for char in _SKIPPED:
        if char == delimiter or char not in block:
            continue
        places = np.flatnonzero(data == char)
        before = data[np.maximum(places - 1, 0)]
        begins = (before == delimiter) | (before == _LF) | (before == quote) | (places == 0)
        if begins.any():
            flagged[_lines_of(places[begins], ends)] = True
    if flagged.sum() > _FEW * len(flagged):
        return True
    odd |= flagged
    return False


class _QuoteScan:
    """Finds records with quotes: well-formed single lines, and records parsed one by one."""

    def __init__(
        self,
        block: bytes,
        data: npt.NDArray[np.uint8],
        starts: Numbers,
        ends: Numbers,
        splitter: Splitter,
        *,
        final: bool,
    ) -> None:
        self._block = block
        self._data = data
        self._starts = starts
        self._line_ends = ends
        self._splitter = splitter
        self._final = final
        self.ends = ends.copy()
        self.quoted = False
        self.consumed = len(block)

    def mark(self, kept: Flags, odd: Flags) -> bool:
        """Remove inner lines of records from `kept`, add to `odd`; return False if too many."""
        quotes = np.flatnonzero(self._data == ord(self._splitter.quote))
        of_line = _lines_of(quotes, self._line_ends)
        with_quote = np.unique(of_line)
        if self._splitter.escape is not None:
            malformed = with_quote
        else:
            malformed = self._malformed(quotes, of_line, len(kept))
        if len(malformed) > _MANY * len(kept):
            return False
        if len(with_quote) > _FEW * len(kept):
            self.quoted = self._splitter.escape is None
        else:
            odd[with_quote] = True
        odd[malformed] = True
        next_line = 0
        for line in malformed.tolist():
            if line < next_line:
                continue  # within the previous record
            next_line = self._end_of_record(line)
            if next_line < 0:
                kept[line:] = False
                return True
            kept[line + 1 : next_line] = False
            self.ends[line] = self._line_ends[next_line - 1]
        return True

    def _malformed(self, quotes: Numbers, of_line: Numbers, lines: int) -> Numbers:
        """Return lines whose quotes do not conform to RFC 4180, each line by itself."""
        counts = np.bincount(of_line, minlength=lines)
        first = np.concatenate((np.zeros(1, np.int64), np.cumsum(counts)[:-1]))
        closing = ((np.arange(len(quotes)) - first[of_line]) & 1).astype(bool)
        delimiter, quote = ord(self._splitter.delimiter), ord(self._splitter.quote)
        before = self._data[np.maximum(quotes - 1, 0)]
        opens = (before == delimiter) | (before == _LF) | (before == quote) | (quotes == 0)
        after = self._data[np.minimum(quotes + 1, len(self._data) - 1)]
        at_end = quotes == len(self._data) - 1
        closes = (after == delimiter) | (after == _LF) | (after == _CR) | (after == quote) | at_end
        wrong = np.where(closing, ~closes, ~opens)
        # A quote directly after a closing quote must continue the field.
        flagged = np.zeros(lines, bool)
        flagged[of_line[wrong]] = True
        flagged[np.flatnonzero(counts & 1)] = True
        return np.flatnonzero(flagged)

    def _end_of_record(self, line: int) -> int:
        """Return the line after the record that begins on `line`; -1 if it is incomplete."""
        start, window = int(self._starts[line]), _WINDOW
        while True:
            piece = self._block[start : start + window]
            whole = start + window >= len(self._block)
            cut = len(piece) if whole else piece.rfind(b"\n") + 1
            text = piece[:cut].decode("utf-8", "surrogateescape")
            try:
                record = self._splitter.first(text, final=False) if text else None
            except UnclosedQuote:  # pragma: no cover - only raised when final
                record = None
            if record is not None:
                size = len(text[: record[1]].encode("utf-8", "surrogateescape"))
                return int(np.searchsorted(self._starts, start + size))
            if whole:
                break
            window *= 8
        if self._final:
            raise UnclosedQuote(line)
        self.consumed = start
        return -1
