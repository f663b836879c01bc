"""Record batches written as a file of the sink's format: Parquet, delimited text or JSON."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from devcloud.datafactory.copy.delimited import TextDialect
from devcloud.datafactory.copy.failure import CopyError
from devcloud.datafactory.copy.json_text import dump
from devcloud.datafactory.copy.lake import BlockWriter

_GROUP_ROWS = 131_072
GROUP_BYTES = 8 * 1024 * 1024
"""Of a row group, before it is encoded; that takes several times as much memory."""
_CODECS: dict[str, Any] = {"snappy": "snappy", "gzip": "gzip", "none": "none", "": "snappy"}
_UTF8 = ("", "utf-8", "utf-8 without bom")
_LINE = "\r\n"  # what Copy ends the rows of delimited text with

Batches = Iterator[pa.RecordBatch]


def write(
    batches: Batches,
    writer: BlockWriter,
    kind: str,
    properties: dict[str, Any],
    settings: Mapping[str, Any],
    *,
    group_bytes: int = GROUP_BYTES,
) -> int:
    """Write batches to a file, which is not yet published; the number of rows.

    Args:
        batches: at least one, all of one schema.
        writer: of the file.
        kind: type of the sink's dataset.
        properties: typeProperties of that dataset, evaluated.
        settings: `formatSettings` of the sink, evaluated.
        group_bytes: size of Parquet's row groups.

    Raises:
        CopyError: the source has nothing, or the sink asks for what is not supported.
    """
    first = next(batches, None)
    if first is None:
        raise CopyError("UserErrorEmptySource", "the source has no header and no rows")
    every = itertools.chain([first], batches)
    if kind == "Parquet":
        return _parquet(every, writer, properties, group_bytes)
    _only_plain_utf8(properties)
    if kind == "Json":
        return _json(every, writer, str(settings.get("filePattern", "setOfObjects")))
    return _delimited(every, writer, TextDialect.read(properties), settings)


def _parquet(
    batches: Batches, writer: BlockWriter, properties: dict[str, Any], group_bytes: int
) -> int:
    """Row groups of bounded size."""
    codec = str(properties.get("compressionCodec", "snappy")).lower()
    if codec not in _CODECS:
        raise CopyError("UserErrorInvalidCompression", f"{codec!r} is not supported here")
    first = next(batches)
    parquet = pq.ParquetWriter(
        pa.PythonFile(writer, mode="w"),
        first.schema,
        compression=_CODECS[codec],
        use_deprecated_int96_timestamps=True,  # as Data Factory writes DateTime
    )
    try:
        rows = 0
        for table in _groups(itertools.chain([first], batches), group_bytes):
            parquet.write_table(table)
            rows += table.num_rows
    except BaseException:
        with suppress(Exception):  # else it tries when it is collected, and complains
            parquet.close()
        raise
    parquet.close()
    return rows


def _groups(batches: Batches, group_bytes: int) -> Iterator[pa.Table]:
    """The rows in tables of about the size of a row group."""
    pending: list[pa.RecordBatch] = []
    for batch in batches:
        pending.append(batch)
        size = sum(each.nbytes for each in pending)
        if size >= group_bytes or sum(each.num_rows for each in pending) >= _GROUP_ROWS:
            yield pa.Table.from_batches(pending)
            pending = []
    if pending:
        yield pa.Table.from_batches(pending)


def _delimited(
    batches: Batches, writer: BlockWriter, dialect: TextDialect, settings: Mapping[str, Any]
) -> int:
    always = settings.get("quoteAllText", False) in (True, "true", "True")
    rows = 0
    for number, batch in enumerate(batches):
        if number == 0 and dialect.header:
            names = [_field(name, dialect, always=always) for name in batch.schema.names]
            writer.write((dialect.delimiter.join(names) + _LINE).encode())
        lines = [
            dialect.delimiter.join(_field(value, dialect, always=always) for value in row) + _LINE
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True)
        ]
        writer.write("".join(lines).encode())
        rows += batch.num_rows
    return rows


def _field(value: Any, dialect: TextDialect, *, always: bool) -> str:
    """A value of a row; null is the dataset's text for it, never quoted."""
    if value is None:
        return dialect.null
    text = _text(value)
    special = (dialect.delimiter, dialect.quote, dialect.escape, "\r", "\n")
    plain = not any(mark and mark in text for mark in special) and text != dialect.null
    if not dialect.quote or (plain and not (always and isinstance(value, str))):
        return text
    if dialect.escape and dialect.escape != dialect.quote:
        text = text.replace(dialect.escape, dialect.escape * 2)
    quoted = text.replace(dialect.quote, (dialect.escape or dialect.quote) + dialect.quote)
    return f"{dialect.quote}{quoted}{dialect.quote}"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}.{value.microsecond:06}0"
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)  # noqa: PLR2004
    if isinstance(value, list | dict):
        return dump(value, _plain)
    return value.hex() if isinstance(value, bytes) else str(value)


def _json(batches: Batches, writer: BlockWriter, pattern: str) -> int:
    return write_json((row for batch in batches for row in batch.to_pylist()), writer, pattern)


def write_json(documents: Iterator[Any], writer: BlockWriter, pattern: str) -> int:
    """Write objects to a JSON file, which is not yet published; how many there were.

    Args:
        documents: of JSON's types, and those that Arrow gives.
        writer: of the file.
        pattern: "setOfObjects", one a line, or "arrayOfObjects".

    Raises:
        CopyError: the pattern is another.
    """
    if pattern not in ("setOfObjects", "arrayOfObjects"):
        raise CopyError("UserErrorInvalidFilePattern", f"{pattern!r} is not supported here")
    array = pattern == "arrayOfObjects"
    rows = 0
    for document in documents:
        before = ("[" if rows == 0 else ",") if array else ""
        writer.write(f"{before}{dump(document, _plain)}{'' if array else _LINE}".encode())
        rows += 1
    if array:
        writer.write(b"]" if rows else b"[]")
    return rows


def _plain(value: Any) -> Any:
    """What JSON has no type for."""
    if isinstance(value, datetime):
        fraction = f".{value.microsecond:06}0" if value.microsecond else ""
        return f"{value:%Y-%m-%dT%H:%M:%S}{fraction}Z"
    return _text(value)


def _only_plain_utf8(properties: dict[str, Any]) -> None:
    encoding = str(properties.get("encodingName") or "")
    if encoding.lower() not in _UTF8:
        raise CopyError("UserErrorInvalidDataset", f"text is written in UTF-8, not in {encoding}")
    compression = properties.get("compressionCodec") or properties.get("compression")
    if str(compression or "none").lower() != "none":
        raise CopyError("UserErrorInvalidCompression", "text is written without compression here")
