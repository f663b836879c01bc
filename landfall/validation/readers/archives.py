"""ZIP archives, read by byte ranges of their source: one member as a file, within bounds.

The directory of an archive says how large each member is, and no more than that is unpacked. So an
archive that expands too far is refused before anything of it is unpacked.
"""

from __future__ import annotations

import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from landfall.validation.problems import MAX_RATIO, Refusal
from landfall.validation.readers.decoding import FREE_BYTES
from landfall.validation.streams import ByteSource

if TYPE_CHECKING:  # what a buffer writes into
    from _typeshed import WriteableBuffer

BINARY_BOOK = "xl/workbook.bin"
_BOOKS = frozenset({"xl/workbook.xml", BINARY_BOOK})
"""The parts by which an archive is known as a workbook."""
DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    OSError,
)
"""What reading a damaged archive, or one packed in an unknown way, raises."""
_BUFFER = 1 << 20
_PIECE = 1 << 20
_ENCRYPTED = 1
_MOST_MEMBERS = 10_000
_LISTED = 5
_AGAIN = "pack the file again and send it again"


class _SourceFile(io.RawIOBase):
    """A source as a file that can be sought."""

    def __init__(self, source: ByteSource) -> None:
        super().__init__()
        self._source = source
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._source.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        length = min(len(view), max(0, self._source.size - self._at))
        data = self._source.read(self._at, length) if length else b""
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


def as_file(source: ByteSource) -> io.BufferedReader:
    """Return a source as a file that can be sought; it is read in pieces of one MiB."""
    return io.BufferedReader(_SourceFile(source), _BUFFER)


def open_archive(source: ByteSource) -> zipfile.ZipFile:
    """Open an archive.

    Raises:
        Refusal: it is damaged, has very many members, or expands too far.
    """
    try:
        archive = zipfile.ZipFile(as_file(source))
    except DAMAGED as error:
        raise Refusal(f"the ZIP archive is damaged: {error}", _AGAIN) from error
    members = archive.infolist()
    if len(members) > _MOST_MEMBERS:
        raise Refusal(
            f"the archive has {len(members):,} members", "send one file in an archive, or none"
        )
    unpacked = sum(member.file_size for member in members)
    if unpacked > FREE_BYTES and unpacked > MAX_RATIO * source.size:
        raise Refusal(
            f"the ZIP archive expands more than {MAX_RATIO} times",
            "send the file unpacked if it really holds so much",
        )
    return archive


def is_workbook(archive: zipfile.ZipFile) -> bool:
    """Whether an archive is a workbook of Excel, of any kind."""
    return not _BOOKS.isdisjoint(archive.namelist())


def only_member(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """Return the one file of an archive; folders and what macOS and Windows add are passed over.

    Raises:
        Refusal: it has none or several, or it is encrypted.
    """
    files = [member for member in archive.infolist() if not _is_beside(member)]
    if not files:
        raise Refusal("the archive holds no file", "put the file into it and send it again")
    if len(files) > 1:
        shown = ", ".join(repr(member.filename) for member in files[:_LISTED])
        more = f" and {len(files) - _LISTED} more" if len(files) > _LISTED else ""
        raise Refusal(
            f"the archive holds {len(files)} files: {shown}{more}",
            "send each file by itself, or in an archive of its own",
        )
    if files[0].flag_bits & _ENCRYPTED:
        raise Refusal(
            f"{files[0].filename!r} in the archive has a password", "pack it without a password"
        )
    return files[0]


def unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield the content of a member.

    Raises:
        Refusal: it is damaged, or packed in a way that is not known here.
    """
    try:
        with archive.open(member) as file:
            while piece := file.read(_PIECE):
                yield piece
    except DAMAGED as error:
        raise Refusal(
            f"{member.filename!r} in the archive cannot be unpacked: {error}", _AGAIN
        ) from error


def _is_beside(member: zipfile.ZipInfo) -> bool:
    parts = member.filename.split("/")
    return (
        member.is_dir()
        or "__MACOSX" in parts
        or parts[-1] in {".DS_Store", "Thumbs.db", "desktop.ini"}
    )
