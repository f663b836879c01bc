"""Writes frames as one Parquet file, a row group at a time.

Polars writes whole files. So each row group is written as a file of its own, and the pages of all
of them are put together under one footer: no more than one row group is ever in memory.
"""

from __future__ import annotations

import hashlib
import io

import polars as pl

from landfall.validation.readers import thrift
from landfall.validation.readers.footer import (
    GROUPS,
    ROWS,
    TAIL,
    encoded_footer,
    group_elsewhere,
    groups_of,
)
from landfall.validation.readers.opening import PARQUET_MAGIC
from landfall.validation.report import AcceptedParquet
from landfall.validation.streams import Writer

GROUP_ROWS = 128 << 10
"""Rows from which on a row group is written."""
GROUP_BYTES = 24 << 20
"""Bytes in memory from which on it is written, however few rows they are."""


class RowGroupWriter:
    """Writes frames of one schema to `writer`; call `add` for each, then `finish` once."""

    def __init__(self, writer: Writer, schema: pl.Schema) -> None:
        self._writer = writer
        self._hash = hashlib.sha256()
        self._size = 0
        self._rows = 0
        self._pending: list[pl.DataFrame] = []
        self._pending_rows = 0
        self._pending_bytes = 0
        self._groups: list[thrift.Struct] = []
        self._footer = _one_group(pl.DataFrame(schema=schema))[1]
        self._write(PARQUET_MAGIC)

    def add(self, frame: pl.DataFrame) -> None:
        """Take a frame; it is written with those after it, once they fill a row group."""
        if frame.is_empty():
            return
        self._pending.append(frame)
        self._pending_rows += len(frame)
        self._pending_bytes += int(frame.estimated_size())
        if self._pending_rows >= GROUP_ROWS or self._pending_bytes >= GROUP_BYTES:
            self._flush()

    def finish(self) -> AcceptedParquet:
        """Write what is pending, and the footer."""
        self._flush()
        thrift.put(self._footer, ROWS, self._rows)
        thrift.put(self._footer, GROUPS, thrift.Items(thrift.STRUCT, self._groups))
        self._write(encoded_footer(self._footer))
        return AcceptedParquet(self._rows, self._size, sha256=self._hash.hexdigest())

    def _flush(self) -> None:
        if not self._pending:
            return
        pages, footer = _one_group(pl.concat(self._pending, rechunk=False))
        by = self._size - len(PARQUET_MAGIC)
        self._groups += [group_elsewhere(group, by) for group in groups_of(footer)]
        self._rows += self._pending_rows
        self._pending, self._pending_rows, self._pending_bytes = [], 0, 0
        self._write(pages)

    def _write(self, data: bytes) -> None:
        self._hash.update(data)
        self._size += len(data)
        self._writer.write(data)


def _one_group(frame: pl.DataFrame) -> tuple[bytes, thrift.Struct]:
    """Return the pages of a frame as one row group, and the footer of the file with it alone."""
    file = io.BytesIO()
    frame.write_parquet(
        file, compression="zstd", compression_level=1, row_group_size=max(1, len(frame))
    )
    data = file.getbuffer()
    length = int.from_bytes(data[-TAIL : 4 - TAIL], "little")
    end = len(data) - TAIL - length
    return bytes(data[len(PARQUET_MAGIC) : end]), thrift.decode(bytes(data[end:-TAIL]))
