"""Parquet as a reader: one row group at a time, by ranges, whatever the size of the file.

Polars reads whole files. So each row group is given to it as a small file of its own: the bytes
of the group behind the magic, and the footer with that group alone and its offsets moved.
Specification: parquet.thrift in Apache Parquet; the field numbers below are from there.
"""

import io
import json
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

import polars as pl

from ingest.contract.model import Column, Contract
from ingest.validate import thrift
from ingest.validate.batches import Batch
from ingest.validate.header import check_columns
from ingest.validate.opening import PARQUET_MAGIC, Opened
from ingest.validate.problems import Refusal
from ingest.validate.report import Columns, Format
from ingest.validate.streams import Source, Writer

MAX_FOOTER = 64 << 20
MAX_GROUP = 512 << 20
"""Uncompressed bytes of a row group that are held at once."""

_ROWS = 10_000
_TAIL = 8
_ROW_GROUPS, _ROW_COUNT = 4, 3
_COLUMNS, _BYTES, _GROUP_OFFSET = 1, 2, 5
_CHUNK_OFFSET, _META = 2, 3
_INDEXES = frozenset({4, 5, 6, 7})
_COMPRESSED, _DATA, _INDEX, _DICTIONARY, _BLOOM = 7, 9, 10, 11, frozenset({14, 15})
_AGAIN = "write the file again, with a Parquet writer of today, and send it whole"


class Parquet:
    """Reads a Parquet file; a record's line is its number, counted from 1."""

    typed = True
    head = b""

    def __init__(self, opened: Opened, contract: Contract, source: Source) -> None:
        self._contract = contract
        self._source = source
        self._passing = opened.chunks
        self._footer: thrift.Struct = []
        self.format = opened.format
        self.names: Sequence[str] = [column.name for column in contract.columns]
        self.columns = Columns()

    @property
    def rejects_format(self) -> Format:
        """One JSON object a line."""
        return Format("jsonl", encoding="UTF-8")

    @property
    def clean_format(self) -> Format:
        """One JSON object a line, in UTF-8."""
        return Format("jsonl", encoding="UTF-8")

    def start(self) -> None:
        """Read the footer.

        Raises:
            Refusal: there is none, it is damaged, or its columns are not the contract's.
        """
        for _ in self._passing:
            """Let every byte pass the meter: the hash is of the whole file."""
        self._footer = self._read_footer()
        schema = self._schema()
        self.columns = check_columns(list(schema), self._contract)
        for column in self._contract.columns:
            if not _fits(schema[column.name], column):
                raise Refusal(
                    f"column {column.name!r} is {schema[column.name]} in the file, "
                    f"the contract says {column.logical_type}",
                    f"write {column.name!r} as {column.logical_type}",
                    column=column.name,
                )

    def batches(self) -> Iterator[Batch]:
        """All records."""
        number = 0
        for frame in self._frames():
            for start in range(0, len(frame), _ROWS):
                part = frame.slice(start, _ROWS)
                yield self._batch(part.rows(), number)
                number += len(part)

    def _batch(self, rows: list[tuple[Any, ...]], number: int) -> Batch:
        return Batch(
            rows,
            range(number + 1, number + 1 + len(rows)),
            lambda index: self._line(rows[index]),
            lambda index: (number + index, number + index + 1),
        )

    def copy(self, rejected: Iterator[tuple[int, int]], writer: Writer) -> None:
        """Write all other records as JSON Lines."""
        self.start()
        start, end = next(rejected, (-1, -1))
        number = 0
        for frame in self._frames():
            for row in frame.iter_rows():
                if number == end:
                    start, end = next(rejected, (-1, -1))
                if not start <= number < end:
                    writer.write(self._line(row))
                number += 1

    def _line(self, row: tuple[Any, ...]) -> bytes:
        found = dict(zip(self.names, row, strict=True))
        return json.dumps(found, ensure_ascii=False, default=_iso).encode() + b"\n"

    def _read_footer(self) -> thrift.Struct:
        size = self._source.size
        tail = self._source.read(max(size - _TAIL, 0), _TAIL)
        length = int.from_bytes(tail[:4], "little")
        if tail[4:] != PARQUET_MAGIC or length > size - _TAIL - len(PARQUET_MAGIC):
            raise Refusal("the Parquet file has no footer: it is cut off or damaged", _AGAIN)
        if length > MAX_FOOTER:
            raise Refusal(f"the Parquet footer is larger than {MAX_FOOTER >> 20} MiB", _AGAIN)
        try:
            return thrift.decode(self._source.read(size - _TAIL - length, length))
        except ValueError as error:
            raise Refusal(f"the Parquet footer is damaged: {error}", _AGAIN) from error

    def _schema(self) -> dict[str, pl.DataType]:
        empty = deepcopy(self._footer)
        thrift.put(empty, _ROW_COUNT, 0)
        thrift.put(empty, _ROW_GROUPS, thrift.Items(thrift.STRUCT, []))
        try:
            return dict(pl.read_parquet_schema(io.BytesIO(_file(b"", empty))))
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
            raise Refusal(f"the Parquet schema cannot be read: {error}", _AGAIN) from error

    def _frames(self) -> Iterator[pl.DataFrame]:
        groups = thrift.get(self._footer, _ROW_GROUPS)
        for index, group in enumerate(groups.values if groups is not None else []):
            try:
                frame = self._frame(group)
            except (
                pl.exceptions.PolarsError,
                pl.exceptions.PanicException,
                OSError,
                TypeError,
                ValueError,
            ) as error:
                raise Refusal(
                    f"row group {index + 1} of the Parquet file cannot be read: {error}", _AGAIN
                ) from error
            yield frame.select(
                _as_judged(frame.schema[column.name], column) for column in self._contract.columns
            )

    def _frame(self, group: thrift.Struct) -> pl.DataFrame:
        group = deepcopy(group)
        if (thrift.get(group, _BYTES) or 0) > MAX_GROUP:
            raise Refusal(
                f"a row group of the Parquet file is larger than {MAX_GROUP >> 20} MiB",
                "write smaller row groups, of a million rows at most",
            )
        chunks = thrift.get(group, _COLUMNS).values
        starts, ends = [], []
        for chunk in chunks:
            meta = thrift.get(chunk, _META)
            offsets = [thrift.get(meta, _DATA), thrift.get(meta, _DICTIONARY)]
            starts.append(min(offset for offset in offsets if offset))
            ends.append(starts[-1] + thrift.get(meta, _COMPRESSED))
        start, end = min(starts), max(ends)
        if not 0 < start <= end <= self._source.size:
            raise ValueError("its offsets lie outside the file")
        moved = start - len(PARQUET_MAGIC)
        for chunk in chunks:
            _move(chunk, moved)
        group[:] = [field for field in group if field.id != _GROUP_OFFSET]
        footer = deepcopy([field for field in self._footer if field.id != _ROW_GROUPS])
        groups = thrift.Field(_ROW_GROUPS, thrift.LIST, thrift.Items(thrift.STRUCT, [group]))
        footer = sorted([*footer, groups], key=lambda field: field.id)
        thrift.put(footer, _ROW_COUNT, thrift.get(group, 3))
        data = self._source.read(start, end - start)
        return pl.read_parquet(io.BytesIO(_file(data, footer)), columns=list(self.names))


def _file(data: bytes, footer: thrift.Struct) -> bytes:
    encoded = thrift.encode(footer)
    length = len(encoded).to_bytes(4, "little")
    return PARQUET_MAGIC + data + encoded + length + PARQUET_MAGIC


def _move(chunk: thrift.Struct, by: int) -> None:
    """Shift the offsets of a column chunk and forget the indexes that lie elsewhere."""
    chunk[:] = [field for field in chunk if field.id not in _INDEXES]
    meta = thrift.get(chunk, _META)
    meta[:] = [field for field in meta if field.id not in _BLOOM]
    for field_id in (_DATA, _INDEX, _DICTIONARY):
        offset = thrift.get(meta, field_id)
        if offset:
            thrift.put(meta, field_id, offset - by)
    thrift.put(chunk, _CHUNK_OFFSET, 0)


def _fits(found: pl.DataType, column: Column) -> bool:
    """Whether every value of the file's type is of the contract's type."""
    if isinstance(found, pl.Null):
        return True
    return {
        "string": isinstance(found, (pl.String, pl.Categorical, pl.Enum)),
        "integer": found.is_integer(),
        "number": found.is_numeric(),
        "boolean": isinstance(found, pl.Boolean),
        "date": isinstance(found, pl.Date),
        "timestamp": isinstance(found, pl.Datetime),
        "time": isinstance(found, pl.Time),
    }[column.logical_type]


def _as_judged(found: pl.DataType, column: Column) -> pl.Expr:
    """The column as the Python values that the judge knows."""
    expression = pl.col(column.name)
    if found.is_decimal():
        return expression.cast(pl.Float64)
    if isinstance(found, pl.Datetime) and found.time_zone is not None:
        return expression.dt.convert_time_zone("UTC")
    if isinstance(found, (pl.Categorical, pl.Enum)):
        return expression.cast(pl.String)
    return expression


def _iso(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
