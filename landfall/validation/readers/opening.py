"""Detects the kind, compression and encoding of a file from its content and name.

The content decides. If the name says something else, the file is refused, because one of the two is
wrong.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from landfall.contract.model import Hints
from landfall.validation.problems import Refusal, encrypted
from landfall.validation.readers.decoding import (
    GZIP_MAGIC,
    ZSTD_MAGIC,
    decompress_gzip,
    decompress_zstd,
    transcode,
)
from landfall.validation.report import Format
from landfall.validation.streams import ByteSource

PARQUET_MAGIC = b"PAR1"
_ENCRYPTED_MAGIC = b"PARE"
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
"""Beginnings of a ZIP archive, with members and without."""
_HEAD = 1 << 12

_SUFFIXES = {
    "csv": "csv",
    "tsv": "csv",
    "tab": "csv",
    "txt": "csv",
    "json": "json",
    "jsonl": "json",
    "ndjson": "json",
    "parquet": "parquet",
    "xlsx": "xlsx",
    "xlsm": "xlsx",
}
_HINTED = {"csv": "csv", "json": "json", "jsonl": "json"}
"""Expected kind by the contract's format, for files whose name says nothing."""
_UNSUPPORTED = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive or an Excel workbook",
    b"PK\x05\x06": "an empty ZIP archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook (.xls), or one with a password",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"BZh": "bzip2 data",
    b"\xfd7zXZ": "xz data",
    b"ORC": "an ORC file",
    b"Obj\x01": "an Avro file",
    b"SQLite format 3": "an SQLite database",
    b"\x7fELF": "a program",
}
_COMPRESSIONS = (
    ((".gz", ".gzip"), "gzip", GZIP_MAGIC, decompress_gzip),
    ((".zst", ".zstd"), "zstd", ZSTD_MAGIC, decompress_zstd),
)
_NAMES = {
    "utf-8": "UTF-8",
    "ascii": "US-ASCII",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16BE",
    "latin-1": "ISO-8859-1",
    "cp1252": "WINDOWS-1252",
}
"""Data Factory's names of encodings by Python's names."""


@dataclass(frozen=True)
class Opened:
    """The format of a file, and a stream of its content as UTF-8 without a byte order mark.

    `codec` is Python's name of the file's encoding and `mark` its byte order mark, so that records
    can be written as in the file. The `chunks` of Parquet and of a workbook are the raw bytes.
    """

    format: Format
    chunks: Iterator[bytes]
    codec: str
    mark: bytes
    suffix: str


def open_stream(
    chunks: Iterable[bytes], name: str, hints: Hints, source: ByteSource | None = None
) -> Opened:
    """Detect the format from the beginning of `chunks`.

    `source` has the same bytes, for ZIP archives and workbooks, whose directory is at their end;
    without it they are refused.

    Raises:
        Refusal: empty, of an unsupported kind, or not what `name` says.
    """
    stream = iter(chunks)
    head, stream = _peek(stream)
    if not head:
        raise Refusal("the file is empty", "send it again with its header and records")
    stem = name.lower()
    compression = "none"
    for suffixes, kind, magic, opener in _COMPRESSIONS:
        named = stem.endswith(suffixes)
        if named:
            stem = stem.rpartition(".")[0]
            if not head.startswith(magic):
                raise Refusal(
                    f"the name ends in {suffixes[0]} but the content is not {kind}",
                    f"compress the file, or drop {suffixes[0]} from its name",
                )
        if head.startswith(magic):
            compression = kind
            head, stream = _peek(opener(stream))
            if not head:
                raise Refusal("the file is empty", "send it again with its header and records")
            break
    if source is not None and compression == "none" and head.startswith(ZIP_MAGIC):
        return _open_archive(stream, stem, hints, source)
    if stem.endswith(".zip"):
        raise Refusal(
            "the name ends in .zip but the content is not a ZIP archive",
            "pack the file, or drop .zip from its name",
        )
    return _open_plain(head, stream, stem, hints, compression)


def _open_archive(stream: Iterator[bytes], stem: str, hints: Hints, source: ByteSource) -> Opened:
    """Open a workbook, or the one file in an archive."""
    from landfall.validation.readers import archives  # noqa: PLC0415 - most drops are CSV

    suffix = stem.rpartition(".")[2] if "." in stem else ""
    if _SUFFIXES.get(suffix, "xlsx") != "xlsx":
        raise Refusal(
            f"the name ends in .{suffix} but the content is a ZIP archive or an Excel workbook",
            "unpack it, or name it .zip or .xlsx after what it is",
        )
    archive = archives.open_archive(source)
    if archives.is_workbook(archive):
        if suffix == "zip":
            raise Refusal("the content is an Excel workbook", "name the file .xlsx")
        return Opened(Format("xlsx"), stream, "", b"", suffix)
    if suffix in _SUFFIXES:
        raise Refusal("the name says Excel but the content is a ZIP archive", "name the file .zip")
    member = archives.only_member(archive)
    for _ in stream:
        """Read every byte, so that the hash is of the whole file."""
    head, content = _peek(archives.unpacked(archive, member))
    if not head:
        raise Refusal("the file is empty", "send it again with its header and records")
    if head.startswith((*ZIP_MAGIC, GZIP_MAGIC, ZSTD_MAGIC)):
        raise Refusal(
            f"{member.filename!r} in the archive is packed once more", "send it packed once"
        )
    return _open_plain(head, content, member.filename.lower(), hints, "zip")


def _open_plain(
    head: bytes, stream: Iterator[bytes], stem: str, hints: Hints, compression: str
) -> Opened:
    """Open content that is packed no more."""
    suffix = stem.rpartition(".")[2] if "." in stem else ""
    expected = _SUFFIXES.get(suffix) or _HINTED.get(hints.kind or "")
    _refuse_unsupported(head, expected)
    if head.startswith(PARQUET_MAGIC):
        if compression != "none":
            raise Refusal(
                "a Parquet file is compressed inside", f"send it without {compression} around it"
            )
        return Opened(Format("parquet"), stream, "", b"", suffix)
    codec, mark = _encoding(head, hints)
    stream = _without(stream, len(mark))
    if codec != "utf-8":
        head, stream = _peek(transcode(stream, codec))
    else:
        head = head[len(mark) :]
    kind = _text_kind(head, expected)
    return Opened(
        Format(kind, encoding=_NAMES[codec], compression=compression), stream, codec, mark, suffix
    )


def _peek(stream: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Return the first bytes, enough to detect the format, and the whole stream."""
    held: list[bytes] = []
    length = 0
    for chunk in stream:
        held.append(chunk)
        length += len(chunk)
        if length >= _HEAD:
            break
    return b"".join(held)[:_HEAD], chain(held, stream)


def _refuse_unsupported(head: bytes, expected: str | None) -> None:
    for magic, what in _UNSUPPORTED.items():
        if head.startswith(magic):
            raise Refusal(f"the content is {what}", "send CSV, JSON, Parquet or .xlsx")
    if head.startswith(_ENCRYPTED_MAGIC):
        raise encrypted()
    is_parquet = head.startswith(PARQUET_MAGIC)
    if is_parquet and expected not in {None, "parquet"}:
        raise Refusal(
            f"the content is Parquet but the name says {expected}", "name the file .parquet"
        )
    if expected == "xlsx":
        raise Refusal(
            "the name says Excel but the content is no workbook",
            "save it as .xlsx, or name the file after what it is",
        )
    if expected == "parquet" and not is_parquet:
        raise Refusal(
            "the name ends in .parquet but the content is not Parquet",
            "write the file as Parquet, or name it after what it is",
        )


def _encoding(head: bytes, hints: Hints) -> tuple[str, bytes]:
    """Return codec and byte order mark; a mark in the file overrides the contract."""
    for mark, codec in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF32_LE, ""),
        (codecs.BOM_UTF32_BE, ""),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if head.startswith(mark):
            if not codec:
                raise Refusal("the text is UTF-32", "save the file as UTF-8")
            return codec, mark
    codec = hints.encoding or "utf-8"
    if codec == "utf-16":
        codec = "utf-16-le"  # without a mark, as Windows writes it
    if codec in {"utf-8", "ascii"} and _looks_like_utf16(head):
        raise Refusal(
            "the text looks like UTF-16 without a byte order mark",
            "save the file as UTF-8, or as UTF-16 with a byte order mark",
        )
    return codec, b""


def _looks_like_utf16(head: bytes) -> bool:
    """Whether every second byte is mostly NUL, as in UTF-16 text of Latin letters."""
    pairs = len(head) // 2
    return pairs > 1 and max(head[0::2].count(0), head[1::2].count(0)) * 10 > pairs * 7


def _without(stream: Iterator[bytes], length: int) -> Iterator[bytes]:
    """Yield the stream without its first `length` bytes."""
    for chunk in stream:
        if length:
            taken = min(length, len(chunk))
            length -= taken
            if taken == len(chunk):
                continue
            yield chunk[taken:]
        else:
            yield chunk


def _text_kind(head: bytes, expected: str | None) -> str:
    first = head.lstrip(b" \t\r\n")[:1]
    if expected == "json":
        if first == b"[":
            return "json"
        if first == b"{":
            return "jsonl"
        shown = first.decode("latin-1")
        raise Refusal(
            f"the name says JSON but the content begins with {shown!r}",
            "write one object a line, or an array of objects",
        )
    if expected is None and first == b"{":
        return "jsonl"
    if expected is None and first == b"[":
        return "json"
    return "csv"
