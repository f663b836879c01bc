"""Reader of delimited text such as CSV: from chunks of content to batches of records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from landfall.contract.model import Contract
from landfall.validation.batches import RecordBatch
from landfall.validation.prefilter import kernel
from landfall.validation.problems import MAX_RECORD, Refusal, record_too_long, unclosed_quote
from landfall.validation.readers import plain
from landfall.validation.readers.comments import Comments
from landfall.validation.readers.header import (
    check_header,
    choose_delimiter,
    delimiter_of_width,
)
from landfall.validation.readers.opening import Opened
from landfall.validation.readers.plain import Block
from landfall.validation.readers.splitting import Splitter, UnclosedQuote
from landfall.validation.report import Columns, Format

if TYPE_CHECKING:  # loaded only for large blocks
    from landfall.validation.prefilter.kernel.library import Library
    from landfall.validation.readers.record_index import RecordIndex

_T = TypeVar("_T")

BLOCK = 2 << 20
"""Bytes validated at a time."""


class Delimited:
    """Reads delimited text; call `start`, then `batches` once."""

    typed = False
    mixed = False

    def __init__(self, opened: Opened, contract: Contract) -> None:
        self._contract = contract
        self._blocks = blocks(opened.chunks)
        self._suffix = opened.suffix
        self._rest = b""
        self._ended = False
        self._line = 1
        self._splitter = Splitter(",", contract.hints.quote, contract.hints.escape)
        comment = contract.hints.comment
        self._comments = None if comment is None else Comments(comment)
        self.format = opened.format
        self.head = b""
        self.names: Sequence[str] = ()
        self.columns = Columns()

    @property
    def rejects_format(self) -> Format:
        """Format of rejects: as the file, but not compressed."""
        return replace(self.format, compression="none")

    def start(self) -> None:
        """Read the header.

        Raises:
            Refusal: the header does not fit the contract, or there is none.
        """
        lead = self._skip_lines()
        self._line = 1 + lead.count(b"\n")
        split = self._header()
        data = self._rest
        if not self._contract.hints.header:
            self._refuse_header(split)
            self.names = [column.name for column in self._contract.columns]
            self.columns = Columns()
            self.head = lead
            return
        head = data[: _length(data, split.text[: split.end])]
        if not head.isascii():
            try:
                head.decode()
            except UnicodeDecodeError as error:
                raise Refusal(
                    f"the header is not UTF-8: byte {error.start} is {head[error.start]:#04x}",
                    "save the file as UTF-8",
                    line=self._line,
                ) from error
        try:
            self.columns = check_header(
                split.names, split.line, self._splitter.delimiter, self._contract
            )
        except Refusal as refusal:
            at = self._line + split.text[: split.start].count("\n")
            refusal.problem = replace(refusal.problem, line=at)
            raise
        known_as = {given: expected for expected, given in self.columns.renamed.items()}
        self.names = [known_as.get(name, name) for name in split.names]
        self.head = lead + head
        self._rest = data[len(head) :]
        self._line += head.count(b"\n")

    def _skip_lines(self) -> bytes:
        """Take the lines before the header off the rest, and return them.

        Raises:
            Refusal: there are fewer, or one is too long.
        """
        wanted = self._contract.hints.skip_lines
        if not wanted:
            return b""
        data = b""
        while data.count(b"\n") < wanted and not self._ended:
            data = self._read_more()
            if len(data) > MAX_RECORD * wanted:
                raise record_too_long(1 + data.count(b"\n"))
        end = 0
        for line in range(wanted):
            end = data.find(b"\n", end) + 1
            if not end:
                raise Refusal(
                    f"the file ends on line {line + 1}, and the contract skips {wanted} lines "
                    "before the header",
                    "send it again whole, or correct skipLines in the contract",
                    line=line + 1,
                )
        self._rest = data[end:]
        return data[:end]

    def _refuse_header(self, first: _Header) -> None:
        """Raise Refusal if the first record of a file without a header is one."""
        columns = self._contract.columns
        names = [name.strip().casefold() for name in first.names]
        if names in (
            [column.name.casefold() for column in columns],
            [column.source.casefold() for column in columns],
        ):
            raise Refusal(
                "the first line has the names of the columns, and the contract says that there is "
                "no header",
                "send the records alone, or leave `header: false` out of the contract",
                line=self._line,
            )

    def _header(self) -> _Header:
        """Return the first record; read as many blocks as it needs."""
        data = self._rest
        while True:
            data = data or self._read_more()
            if not data:
                raise Refusal("the file is empty", "send it again with its header and records")
            if self._comments is not None:
                data = self._rest = self._comments.blanked(data, self._splitter, final=self._ended)
            if len(data) > MAX_RECORD and data.find(b"\n", 0, MAX_RECORD) < 0:
                raise record_too_long(1)
            cut = len(data) if self._ended else data.rfind(b"\n") + 1
            text = data[:cut].decode("utf-8", "surrogateescape")
            skipped = len(text) - len(text.lstrip("\r\n"))
            first = text[skipped : skipped + MAX_RECORD]
            line = first.split("\n", 1)[0].rstrip("\r")
            if not line:
                if self._ended:
                    raise Refusal(
                        "the file has only blank lines", "send it again with its header and records"
                    )
                data = b""
                continue
            self._set_delimiter(line)
            header = self._first_record(text, skipped)
            if header is not None:
                return header
            data = b""

    def _first_record(self, text: str, skipped: int) -> _Header | None:
        at = self._line + text[:skipped].count("\n")
        try:
            split = self._splitter.first(text[skipped:], final=self._ended)
        except UnclosedQuote:
            raise Refusal(
                "a quote in the header is not closed", "close it, or double it", line=at
            ) from None
        if split is None:
            if len(text) > MAX_RECORD:
                raise record_too_long(1)
            return None
        names, end, broken = split
        line = text[skipped : skipped + end].rstrip("\r\n")
        if broken is not None:
            if broken.rule == "newline":
                raise Refusal(
                    "the lines end in a carriage return alone",
                    "save the file with LF or CRLF line ends",
                    line=at,
                )
            masked = any(column.masked for column in self._contract.columns)
            where = "" if masked else f" in {broken.value!r}"
            raise Refusal(
                f"the header has a stray quote{where}",
                "quote whole fields only",
                line=at,
            )
        return _Header(text, skipped, skipped + end, line, names)

    def _set_delimiter(self, line: str) -> None:
        hints = self._contract.hints
        delimiter = hints.delimiter or ("\t" if self._suffix in {"tsv", "tab"} else None)
        if delimiter is None and not hints.header:
            delimiter = delimiter_of_width(line, len(self._contract.columns))
        if delimiter is None:
            delimiter = choose_delimiter(line, self._contract)
        if delimiter != self._splitter.delimiter:
            self._splitter = Splitter(delimiter, hints.quote, hints.escape)
        self.format = replace(
            self.format,
            delimiter=delimiter,
            quote=hints.quote,
            escape=hints.escape or hints.quote,
        )

    def _read_more(self) -> bytes:
        """Append the next block to the rest; return both."""
        block = next(self._blocks, None)
        if block is None:
            self._ended = True
        else:
            self._rest += block
        return self._rest

    def batches(self) -> Iterator[RecordBatch]:
        """Yield all records after the header.

        Raises:
            Refusal: a quote is never closed, or a record is too long.
        """
        pending = bool(self._rest)
        while pending or not self._ended:
            data = self._rest if pending else self._read_more()
            pending = False
            if self._comments is not None:
                data = self._comments.blanked(data, self._splitter, final=self._ended)
            cut = len(data) if self._ended else data.rfind(b"\n") + 1
            block = data[:cut]
            if block:
                batch, used = self._batch(block)
                self._rest = data[used:]
                yield batch
            if len(self._rest) > MAX_RECORD:
                raise record_too_long(self._line)

    def _batch(self, data: bytes) -> tuple[RecordBatch, int]:
        line = self._line
        record_index = split = None
        used, newlines = len(data), 0
        library = self._kernel(data)
        if self._splitter.quote.encode() not in data:
            newlines = data.count(b"\n") if library is None else library.newlines(data, used)
        elif library is not None:
            used = self._complete_length(data, library)
            newlines = library.newlines(data, used)
        elif record_index := self._index_records(data):
            used, newlines = record_index.consumed, record_index.newlines
        else:
            text = data.decode("utf-8", "surrogateescape")
            split = self._try(lambda: self._splitter.split(text, final=self._ended))
            used, newlines = _length(data, text[: split.consumed]), split.newlines
        self._line += newlines
        kept = data if used == len(data) else data[:used]
        return Block(kept, line, self._splitter, record_index=record_index, split=split), used

    def _kernel(self, data: bytes) -> Library | None:
        """Return the kernel, if it can find the records of a block."""
        splitter = self._splitter
        if len(data) < min(plain.SMALLEST, kernel.SMALLEST):
            return None
        if not kernel.is_plain(splitter.delimiter, splitter.quote, splitter.escape):
            return None
        return kernel.loaded()

    def _complete_length(self, data: bytes, library: Library) -> int:
        """Return the start of the first incomplete record."""
        whole = library.whole(data, self._splitter.delimiter, self._splitter.quote)
        if self._ended and whole < len(data):
            raise unclosed_quote(self._line + data.count(b"\n", 0, whole))
        return whole

    def _index_records(self, data: bytes) -> RecordIndex | None:
        """Return the record index of a block with quotes; None if the block is too small."""
        # More than two blocks are one very long record.
        if not plain.SMALLEST <= len(data) <= 2 * BLOCK:
            return None
        from landfall.validation.readers.record_index import index_records  # noqa: PLC0415 - costs more than a small file

        return self._try(lambda: index_records(data, self._splitter, final=self._ended))

    def _try(self, cut: Callable[[], _T]) -> _T:
        try:
            return cut()
        except UnclosedQuote as error:
            raise unclosed_quote(self._line + int(error.args[0])) from None


class _Header:
    def __init__(self, text: str, start: int, end: int, line: str, names: list[str]) -> None:
        self.text = text
        self.start = start
        self.end = end
        self.line = line
        self.names = names


def _length(data: bytes, text: str) -> int:
    """Return the bytes that `text`, the beginning of `data`, takes in it."""
    if len(text) == len(data):
        return len(data)
    return len(text.encode("utf-8", "surrogateescape"))


def blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the bytes in blocks of at least `BLOCK`; only the last one may be smaller."""
    held: list[bytes] = []
    length = 0
    for chunk in chunks:
        held.append(chunk)
        length += len(chunk)
        if length >= BLOCK:
            yield b"".join(held)
            held, length = [], 0
    if held:
        yield b"".join(held)
