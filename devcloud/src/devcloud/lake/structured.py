"""Structured bodies (`XSM/1.0; properties=crc64`): content in segments, each with its CRC-64.

A message is its version (1 byte), its length (8), flags (2) and the number of segments (2); each
segment its number (2), its length (8), its content and a CRC (8); at the end a CRC of all content.
All numbers are little-endian. This is what the storage SDKs send and ask for to validate transfers.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator

from devcloud.lake.crc64 import crc64, joined
from devcloud.lake.errors import LakeError, not_implemented

NAME = "XSM/1.0; properties=crc64"
SEGMENT_BYTES = 4 << 20
_MESSAGE = struct.Struct("<BQHH")
_SEGMENT = struct.Struct("<HQ")
_CRC = struct.Struct("<Q")
_CRC_FLAG = 1


def check_name(value: str) -> None:
    """Refuse another form than the one there is.

    Raises:
        LakeError: NotImplemented.
    """
    if value.replace(" ", "").lower() != NAME.replace(" ", "").lower():
        raise not_implemented(f"x-ms-structured-body: {value}")


def message_length(length: int) -> int:
    """Bytes of the message that carries so much content."""
    each = _SEGMENT.size + _CRC.size
    return _MESSAGE.size + _segments(length) * each + length + _CRC.size


def encode(content: Iterator[bytes], length: int) -> Iterator[bytes]:
    """The message of a content that comes in pieces of `SEGMENT_BYTES`, the last one shorter."""
    yield _MESSAGE.pack(1, message_length(length), _CRC_FLAG, _segments(length))
    whole = 0
    for number, piece in enumerate(content, 1):
        crc = crc64(piece)
        yield _SEGMENT.pack(number, len(piece)) + piece + _CRC.pack(crc)
        whole = joined(whole, crc, len(piece))
    yield _CRC.pack(whole)


class Decoder:
    """Takes a message as it arrives and gives its content.

    Args:
        length: of the content, as the client announced it; None if it did not.
    """

    def __init__(self, length: int | None) -> None:
        self._announced = length
        self._parts = self._read()
        self._wanted = next(self._parts)
        self._buffer = bytearray()
        self._content: list[bytes] = []
        self._done = False

    def feed(self, data: bytes) -> bytes:
        """Take some of the message; the content in it.

        Raises:
            LakeError: Crc64Mismatch, or InvalidInput for what is no message.
        """
        self._buffer += data
        while not self._done and len(self._buffer) >= self._wanted:
            part = bytes(self._buffer[: self._wanted])
            del self._buffer[: self._wanted]
            try:
                self._wanted = self._parts.send(part)
            except StopIteration:
                self._done = True
        if self._done and self._buffer:
            raise _invalid("it is longer than it says")
        content = b"".join(self._content)
        self._content.clear()
        return content

    def finish(self) -> None:
        """Check that the message is complete.

        Raises:
            LakeError: InvalidInput.
        """
        if not self._done:
            raise _invalid("it is shorter than it says")

    def _read(self) -> Generator[int, bytes, None]:
        """Give how many bytes it wants, and be sent them."""
        version, _, flags, segments = _MESSAGE.unpack((yield _MESSAGE.size))
        if version != 1 or flags != _CRC_FLAG:
            raise _invalid(f"version {version}, flags {flags}")
        whole = total = 0
        for expected in range(1, segments + 1):
            number, length = _SEGMENT.unpack((yield _SEGMENT.size))
            if number != expected:
                raise _invalid(f"segment {number} in the place of {expected}")
            crc, left = 0, length
            while left:
                piece = yield min(left, SEGMENT_BYTES)
                left -= len(piece)
                crc = crc64(piece, crc)
                self._content.append(piece)
            whole = joined(whole, crc, length)
            total += length
            _check((yield _CRC.size), crc)
        _check((yield _CRC.size), whole)
        if self._announced not in (None, total):
            raise _invalid(f"{total} bytes, not {self._announced}")


def _check(given: bytes, crc: int) -> None:
    if given != _CRC.pack(crc):
        raise LakeError("Crc64Mismatch")


def _invalid(why: str) -> LakeError:
    return LakeError("InvalidInput", f"The structured body: {why}.")


def _segments(length: int) -> int:
    return -(-length // SEGMENT_BYTES)
