"""Parquet as a reader: one row group at a time, by ranges, whatever the size of the file.

Polars reads whole files. So each row group is given to it as a small file of its own: the bytes
of the group behind the magic, and the footer with that group alone and its offsets moved.
"""

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
    alone,
    assembled,
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
        self._passing = opened.chunks
        self._footer: thrift.Struct = []
        self.format = opened.format
        self.names: Sequence[str] = [column.name for column in contract.columns]
        self._here: list[tuple[str, Column]] = []
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
            Refusal: there is none, it is damaged, or its columns are not the contract's.
        """
        for _ in self._passing:
            """Let every byte pass the meter: the hash is of the whole file."""
        self._footer = read_footer(self._source)
        self.schema = schema = self._schema()
        self.columns = check_columns(list(schema), self._contract)
        here = [c for c in self._contract.columns if c.name not in self.columns.missing]
        self.names = [column.name for column in here]
        self._here = [(self.columns.renamed.get(c.name, c.name), c) for c in here]
        for name, column in self._here:
            if not _fits(schema[name], column, self._contract.drift.changed):
                raise Refusal(
                    f"column {name!r} is {schema[name]} in the file, "
                    f"the contract says {column.logical_type}",
                    f"write {name!r} as {column.logical_type}",
                    column=column.name,
                )

    def batches(self) -> Iterator[ParsedBatch]:
        """All records."""
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

    def _schema(self) -> dict[str, pl.DataType]:
        empty = assembled(b"", without_groups(self._footer))
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
                _as_validated(name, frame.schema[name]).alias(column.name)
                for name, column in self._here
            )

    def _frame(self, group: thrift.Struct) -> pl.DataFrame:
        names = [name for name, _ in self._here]
        data = alone(self._source, self._footer, group, names)
        return pl.read_parquet(io.BytesIO(data), columns=names)


def _fits(found: pl.DataType, column: Column, policy: str) -> bool:
    """Whether values of the file's type may be of the contract's type, by its policy of drift."""
    if isinstance(found, pl.Null) or policy == "discard":
        return True
    if policy == "evolve" and isinstance(found, (pl.String, pl.Categorical, pl.Enum)):
        return True
    if policy == "evolve" and column.logical_type == "string" and found.is_integer():
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


def _as_validated(name: str, found: pl.DataType) -> pl.Expr:
    """A column as the Python values that the record validator knows."""
    expression = pl.col(name)
    if found.is_decimal():
        return expression.cast(pl.Float64)
    if isinstance(found, pl.Datetime) and found.time_zone is not None:
        return expression.dt.convert_time_zone("UTC")
    if isinstance(found, (pl.Categorical, pl.Enum)):
        return expression.cast(pl.String)
    return expression


def _iso(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
