"""From a file's bytes to UTF-8: decompression and decoding, chunk by chunk."""

from __future__ import annotations

import codecs
import io
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from devcloud.datafactory.copy.failure import CopyError

_GZIP = 16 + zlib.MAX_WBITS
_MOST_INFLATED = 1024 * 1024
# Data Factory's names of encodings -> Python's. UTF-8 and UTF-16 take a byte order mark away.
ENCODINGS = {
    "UTF-8": "utf-8-sig",
    "UTF-8 WITHOUT BOM": "utf-8",
    "UTF-16": "utf-16",
    "UTF-16BE": "utf-16-be",
    "UTF-32": "utf-32",
    "UTF-32BE": "utf-32-be",
    "US-ASCII": "ascii",
    "UTF-7": "utf-7",
    "ISO-8859-1": "latin-1",
    "ISO-8859-2": "iso8859-2",
    "ISO-8859-15": "iso8859-15",
    "WINDOWS-1250": "cp1250",
    "WINDOWS-1251": "cp1251",
    "WINDOWS-1252": "cp1252",
}


def codec(name: Any) -> str | None:
    """The compression that a dataset names: "gzip", or None.

    Raises:
        CopyError: one that is not supported.
    """
    compression = str(name or "none").lower()
    if compression == "none":
        return None
    if compression != "gzip":
        raise CopyError("UserErrorInvalidCompression", f"the compression {name!r} is not supported")
    return compression


def utf8(chunks: Iterable[bytes], encoding: Any, compression: str | None, name: str) -> _TextReader:
    """A reader of a file's text as UTF-8 bytes, without a byte order mark.

    Raises:
        CopyError: the encoding is not supported; while reading: the bytes are not of the encoding,
            or the gzip data is broken or ends early.
    """
    python_name = ENCODINGS.get(str(encoding or "UTF-8").upper())
    if python_name is None:
        raise CopyError("UserErrorInvalidEncoding", f"the encoding {encoding!r} is not supported")
    if compression is not None:
        chunks = _inflated(chunks, name)
    return _TextReader(_recoded(chunks, python_name, name))


def _inflated(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    inflater = zlib.decompressobj(_GZIP)
    begun = False
    try:
        for chunk in chunks:
            data = chunk
            while data:
                if inflater.eof:  # a further member
                    inflater = zlib.decompressobj(_GZIP)
                begun = True
                piece = inflater.decompress(data, _MOST_INFLATED)
                if piece:
                    yield piece
                data = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
    except zlib.error as error:
        raise CopyError("UserErrorInvalidGzip", f"'{name}' is not gzip: {error}") from error
    if begun and not inflater.eof:
        raise CopyError("UserErrorInvalidGzip", f"'{name}' ends in the middle of its gzip data")


def _recoded(chunks: Iterable[bytes], encoding: str, name: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    at = 0
    try:
        for chunk in chunks:
            text = decoder.decode(chunk)
            at += len(chunk)
            if text:
                yield text.encode()
        rest = decoder.decode(b"", final=True)
    except UnicodeError as error:
        raise CopyError(
            "UserErrorInvalidEncoding",
            f"'{name}' is not {encoding}: {error} (within the chunk after byte {at})",
        ) from error
    if rest:
        yield rest.encode()


class _TextReader(io.RawIOBase):
    """File object over chunks, with a look at the beginning before anybody reads."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        super().__init__()
        self._chunks = chunks
        self._held = b""

    def readable(self) -> bool:
        return True

    def peek(self, size: int) -> bytes:
        """The first bytes, up to a size; they will be read again."""
        parts = [self._held]
        held = len(self._held)
        while held < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            parts.append(chunk)
            held += len(chunk)
        self._held = b"".join(parts)
        return self._held[:size]

    def readinto(self, buffer: Any) -> int:
        if not self._held:
            self._held = next(self._chunks, b"")
        size = min(len(buffer), len(self._held))
        buffer[:size] = self._held[:size]
        self._held = self._held[size:]
        return size
