"""Files without the records of one subject: drops in each format, rejects, accepted Parquet.

A file is looked through first; only one that has records of the subject is written again. Text
keeps its encoding, its byte order mark, its compression and the bytes of all other records. Parquet
is in `parquet`.
"""

from __future__ import annotations

import codecs
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import IO, Protocol, cast

from landfall.contract.model import Contract, Drift
from landfall.erasure.subject import Found, Matcher, Subject, has_tokens
from landfall.validation.batches import Reader
from landfall.validation.problems import Refusal
from landfall.validation.readers.choice import reader_of
from landfall.validation.readers.opening import Opened, open_stream
from landfall.validation.streams import ByteSource, Writer

_HEAD = 8
_OVERLAP = 1 << 12
"""More bytes than a key has, so that none is missed between two chunks."""
_WRITTEN = frozenset({"csv", "json", "jsonl", "parquet"})
_OPAQUE = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"7z\xbc\xaf", b"BZh", b"\xfd7zXZ", b"%PDF")
"""Beginnings of files whose bytes do not show the texts that they hold."""


class Unreadable(Exception):
    """A file cannot be read as records.

    Attributes:
        has_key: whether its bytes have the subject's key; None where bytes tell nothing.
    """

    def __init__(self, reason: str, *, has_key: bool | None) -> None:
        super().__init__(reason)
        self.has_key = has_key


def find(source: ByteSource, contract: Contract, name: str, subject: Subject) -> Found:
    """Return the subject's records in a drop, or in the rejects of one.

    Raises:
        Unreadable: it is not what its name or its contract says; it says whether it has the key.
    """
    cells: dict[str, set[str]] = defaultdict(set)
    records, rewritable = 0, True
    for opened, reader, matcher in _opened(source, contract, name, subject):
        rewritable = opened.format.kind in _WRITTEN
        try:
            for batch in reader.batches():
                for position in matcher.positions(batch):
                    records += 1
                    for column, text in matcher.cells(batch, position):
                        cells[column].add(text)
        except Refusal as refusal:
            raise _unreadable(source, subject, refusal) from refusal
    texts_by_column = {column: frozenset(texts) for column, texts in cells.items()}
    return Found(records, texts_by_column, rewritable)


def rewrite(
    source: ByteSource, contract: Contract, name: str, subject: Subject, writer: Writer
) -> None:
    """Write a file that `find` has read without the subject's records."""
    for opened, reader, matcher in _opened(source, contract, name, subject):
        if opened.format.kind == "parquet":
            from landfall.erasure.parquet import rewrite_drop  # noqa: PLC0415 - loads Polars

            rewrite_drop(source, reader, matcher, writer)
            return
        text = _TextWriter(opened, _packer(opened, source), writer)
        text.write(reader.head)
        array = opened.format.kind == "json"
        text.write(b"[\n" if array else b"")
        separator = b""
        for batch in reader.batches():
            drop = set(matcher.positions(batch))
            data: bytes | None = getattr(batch, "data", None)
            if not drop and data is not None:
                text.write(data)
                continue
            for index in range(len(batch.rows)):
                raw = batch.raw(index)
                if index in drop:
                    continue
                if array:
                    text.write(separator + raw.rstrip(b"\n"))
                    separator = b",\n"
                else:
                    text.write(raw)
        text.write(b"\n]\n" if array else b"")
        text.finish()


def _opened(
    source: ByteSource, contract: Contract, name: str, subject: Subject
) -> Iterator[tuple[Opened, Reader, Matcher]]:
    """Yield a started reader of the file, by a contract that takes it as it is.

    A file that was refused for its columns is read by the subject's columns alone.
    """
    drift = Drift(extra="discard", reordered="evolve", missing="evolve", changed="discard")
    lenient = replace(contract, drift=drift)
    own = tuple(replace(contract.column(each), required=False) for each in subject.values)
    refused: Refusal | None = None
    by_key = replace(lenient, columns=own, key=(), rules=(), relationships=())
    # Without a header the place of a column says which it is: all of them are needed.
    for tried in (lenient, by_key) if contract.hints.header else (lenient,):
        try:
            opened = open_stream(source.stream(), name, tried.hints, source)
            reader = reader_of(opened, tried, source)
            reader.start()
        except Refusal as refusal:
            refused = refused or refusal
            continue
        if set(subject.values) <= set(reader.names):
            yield opened, reader, Matcher(subject, contract, reader)
            return
    if refused is None:
        refused = Refusal("it lacks the columns of the key", "")
    raise _unreadable(source, subject, refused) from refused


def _unreadable(source: ByteSource, subject: Subject, refusal: Refusal) -> Unreadable:
    left, rest, head = list(subject.tokens), b"", b""
    for chunk in source.stream():
        head = (head + chunk)[:_HEAD]
        window = rest + chunk.replace(b"\0", b"")  # UTF-16 of ASCII, too
        left = [token for token in left if not has_tokens(window, [token])]
        rest = window[-_OVERLAP:]
    packed = head.startswith((*_OPAQUE, b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1"))
    return Unreadable(refusal.problem.reason, has_key=not left if not packed else None)


class _Packer(Protocol):
    """Packs what is written to a file; `flush` ends it. Both return what is ready."""

    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


class _Plain:
    """Leaves content as it is."""

    def compress(self, data: bytes) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


class _Sink(bytearray):
    """Takes what a ZIP archive writes, front to end."""

    def write(self, data: bytes) -> int:
        """Take all of it."""
        self.extend(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: it is taken already."""

    def taken(self) -> bytes:
        """Return what was written since the last call."""
        ready = bytes(self)
        self.clear()
        return ready


class _Zip:
    """Packs content as the one member of a ZIP archive."""

    def __init__(self, name: str) -> None:
        self._sink = _Sink()
        self._archive = zipfile.ZipFile(cast("IO[bytes]", self._sink), "w", zipfile.ZIP_DEFLATED)
        self._member = self._archive.open(name, "w", force_zip64=True)

    def compress(self, data: bytes) -> bytes:
        self._member.write(data)
        return self._sink.taken()

    def flush(self) -> bytes:
        self._member.close()
        self._archive.close()
        return self._sink.taken()


def _packer(opened: Opened, source: ByteSource) -> _Packer:
    """Return what compresses as the file was compressed."""
    match opened.format.compression:
        case "gzip":
            return zlib.compressobj(wbits=31)
        case "zstd":
            import zstandard  # noqa: PLC0415 - most drops are not zstd

            packer: _Packer = zstandard.ZstdCompressor().compressobj()
            return packer
        case "zip":
            from landfall.validation.readers import archives  # noqa: PLC0415 - likewise

            return _Zip(archives.only_member(archives.open_archive(source)).filename)
    return _Plain()


class _TextWriter:
    """Writes UTF-8 text in the encoding and the compression of an opened file."""

    def __init__(self, opened: Opened, packer: _Packer, writer: Writer) -> None:
        self._codec = opened.codec
        self._writer = writer
        self._packer = packer
        self._put(self._packer.compress(opened.mark))

    def write(self, utf8: bytes) -> None:
        """Write a part that ends between two characters."""
        plain = self._codec in {"", "utf-8"}
        text = utf8 if plain else codecs.encode(utf8.decode(), self._codec)
        self._put(self._packer.compress(text))

    def finish(self) -> None:
        """Write what the compression still holds."""
        self._put(self._packer.flush())

    def _put(self, data: bytes) -> None:
        if data:
            self._writer.write(data)
