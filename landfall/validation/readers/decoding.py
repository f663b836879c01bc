"""Decodes the bytes of a file to UTF-8: hashes, decompresses and transcodes them."""

from __future__ import annotations

import codecs
import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator

from landfall.validation.problems import MAX_RATIO, Refusal

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
FREE_BYTES = 16 << 20
"""Decompressed bytes up to which the ratio is not checked."""

_PIECE = 1 << 20
_ZSTD_PIECE = 256
"""Bytes of zstd decompressed at a time; three bytes may expand to 128 KiB."""
_ZSTD_WINDOW = 64 << 20
"""Largest window of a zstd decompressor; the highest levels of zstd need more."""


class Meter:
    """Counts and hashes bytes, and reports progress."""

    def __init__(self, on_progress: Callable[[int], None]) -> None:
        self._on_progress = on_progress
        self._hash = hashlib.sha256()
        self.bytes = 0

    def count(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the chunks unchanged, and count them."""
        for chunk in chunks:
            self._hash.update(chunk)
            self.bytes += len(chunk)
            self._on_progress(self.bytes)
            yield chunk

    def sha256(self) -> str:
        """Return the hash of the bytes so far."""
        return self._hash.hexdigest()


def decompress_gzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Decompress a gzip stream, member by member.

    Raises:
        Refusal: damaged, incomplete, followed by other data, or a decompression bomb.
    """
    inflater = zlib.decompressobj(wbits=31)
    read = produced = 0
    for chunk in chunks:
        read += len(chunk)
        pending = chunk
        while pending:
            if inflater.eof:
                pending = pending.lstrip(b"\0")  # padding after the last member
                if not pending:
                    break
                inflater = zlib.decompressobj(wbits=31)
            try:
                piece = inflater.decompress(pending, _PIECE)
            except zlib.error as error:
                raise Refusal(
                    f"the gzip data is damaged near byte {read}: {error}",
                    "compress the file again and send it again",
                ) from error
            produced += len(piece)
            pending = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
            _refuse_bomb("gzip", read - len(pending), produced)
            if piece:
                yield piece
    if not inflater.eof:
        raise Refusal(
            f"the gzip data ends too early, after {read} bytes",
            "the upload was cut off or the file is incomplete: send it again whole",
        )


def decompress_zstd(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Decompress a zstd stream, frame by frame.

    Raises:
        Refusal: as `decompress_gzip`, or the window is larger than `_ZSTD_WINDOW`.
    """
    import zstandard  # noqa: PLC0415 - most drops are not zstd

    opener = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    frame = opener.decompressobj()
    read = produced = 0
    for chunk in chunks:
        for start in range(0, len(chunk), _ZSTD_PIECE):
            pending = chunk[start : start + _ZSTD_PIECE]
            read += len(pending)
            while pending:
                if frame.eof:
                    frame = opener.decompressobj()
                try:
                    piece = frame.decompress(pending)
                except zstandard.ZstdError as error:
                    raise Refusal(
                        f"the zstd data is damaged near byte {read}: {error}",
                        "compress the file again, at level 19 or below, and send it again",
                    ) from error
                produced += len(piece)
                _refuse_bomb("zstd", read, produced)
                for at in range(0, len(piece), _PIECE):
                    yield piece[at : at + _PIECE]
                pending = frame.unused_data if frame.eof else b""
    if not frame.eof:
        raise Refusal(
            f"the zstd data ends too early, after {read} bytes",
            "the upload was cut off or the file is incomplete: send it again whole",
        )


def _refuse_bomb(kind: str, read: int, produced: int) -> None:
    if produced > FREE_BYTES and produced > MAX_RATIO * read:
        raise Refusal(
            f"the {kind} data expands more than {MAX_RATIO} times",
            "send the file uncompressed if it really holds so much",
        )


def transcode(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Transcode text of `encoding` to UTF-8.

    Raises:
        Refusal: a byte is invalid in that encoding.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    done = 0
    try:
        for chunk in chunks:
            yield decoder.decode(chunk).encode()
            done += len(chunk)
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError as error:
        raise Refusal(
            f"the bytes near {done} cannot be read as {encoding}: {error}",
            f"save the file as UTF-8, or as {encoding} throughout",
        ) from error
