"""Reader of Parquet: one row group at a time, by byte ranges.

Polars reads whole files. So each row group is passed to it as a file of its own: the bytes of the
group after the magic number, and a footer with only that group and shifted offsets.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from landfall.contract.model import Column, Contract
from landfall.validation.batches import ParsedBatch
from landfall.validation.problems import Refusal
from landfall.validation.readers import thrift
from landfall.validation.readers.footer import (
    AGAIN,
    assemble,
    group_as_file,
    groups_of,
    read_footer,
    without_groups,
)
from landfall.validation.readers.header import check_columns
from landfall.validation.readers.opening import Opened
from landfall.validation.report import Columns, Format
from landfall.validation.streams import ByteSource, Writer

_ROWS = 10_000


class Parquet:
    """Reads a Parquet file; a record's line is its number, counted from 1."""

    typed = True
    head = b""

    def __init__(self, opened: Opened, contract: Contract, source: ByteSource) -> None:
        self._contract = contract
        self._source = source
        self._chunks = opened.chunks
        self._footer: thrift.Struct = []
        self.format = opened.format
        self.names: Sequence[str] = [column.name for column in contract.columns]
        self._present: list[tuple[str, Column]] = []
        self.columns = Columns()
        self.schema: dict[str, pl.DataType] = {}

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
            Refusal: there is none, it is damaged, or its columns do not fit the contract.
        """
        for _ in self._chunks:
            """Read every byte, so that the hash is of the whole file."""
        self._footer = read_footer(self._source)
        self.schema = schema = self._schema()
        self.columns = check_columns(list(schema), self._contract)
        present = [c for c in self._contract.columns if c.name not in self.columns.missing]
        self.names = [column.name for column in present]
        self._present = [(self.columns.renamed.get(c.name, c.name), c) for c in present]
        for name, column in self._present:
            if not _is_compatible(schema[name], column, self._contract.drift.changed):
                raise Refusal(
                    f"column {name!r} is {schema[name]} in the file, "
                    f"the contract says {column.logical_type}",
                    f"write {name!r} as {column.logical_type}",
                    column=column.name,
                )

    def batches(self) -> Iterator[ParsedBatch]:
        """Yield all records."""
        number = 0
        for frame in self._frames():
            for start in range(0, len(frame), _ROWS):
                part = frame.slice(start, _ROWS)
                yield self._batch(part.rows(), number)
                number += len(part)

    def _batch(self, rows: list[tuple[Any, ...]], number: int) -> ParsedBatch:
        return ParsedBatch(
            rows,
            range(number + 1, number + 1 + len(rows)),
            lambda index: self._line(rows[index]),
            lambda index: (number + index, number + index + 1),
        )

    def copy(self, rejected: Iterator[tuple[int, int]], writer: Writer) -> None:
        """Write all records that are not `rejected` as JSON Lines."""
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
        record = dict(zip(self.names, row, strict=True))
        return json.dumps(record, ensure_ascii=False, default=_iso).encode() + b"\n"

    def _schema(self) -> dict[str, pl.DataType]:
        empty = assemble(b"", without_groups(self._footer))
        try:
            return dict(pl.read_parquet_schema(io.BytesIO(empty)))
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
            raise Refusal(f"the Parquet schema cannot be read: {error}", AGAIN) from error

    def _frames(self) -> Iterator[pl.DataFrame]:
        for index, group in enumerate(groups_of(self._footer)):
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
                    f"row group {index + 1} of the Parquet file cannot be read: {error}", AGAIN
                ) from error
            yield frame.select(
                _normalized(name, frame.schema[name]).alias(column.name)
                for name, column in self._present
            )

    def _frame(self, group: thrift.Struct) -> pl.DataFrame:
        names = [name for name, _ in self._present]
        data = group_as_file(self._source, self._footer, group, names)
        return pl.read_parquet(io.BytesIO(data), columns=names)


def _is_compatible(dtype: pl.DataType, column: Column, policy: str) -> bool:
    """Whether values of the file's type are accepted for a column, by the policy of drift."""
    if isinstance(dtype, pl.Null) or policy == "discard":
        return True
    if policy == "evolve" and isinstance(dtype, (pl.String, pl.Categorical, pl.Enum)):
        return True
    if policy == "evolve" and column.logical_type == "string" and dtype.is_integer():
        return True
    return {
        "string": isinstance(dtype, (pl.String, pl.Categorical, pl.Enum)),
        "integer": dtype.is_integer(),
        "number": dtype.is_numeric(),
        "boolean": isinstance(dtype, pl.Boolean),
        "date": isinstance(dtype, pl.Date),
        "timestamp": isinstance(dtype, pl.Datetime),
        "time": isinstance(dtype, pl.Time),
    }[column.logical_type]


def _normalized(name: str, dtype: pl.DataType) -> pl.Expr:
    """Convert a column to Python values that the record validator supports."""
    expression = pl.col(name)
    if dtype.is_decimal():
        return expression.cast(pl.Float64)
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        return expression.dt.convert_time_zone("UTC")
    if isinstance(dtype, (pl.Categorical, pl.Enum)):
        return expression.cast(pl.String)
    return expression


def _iso(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
