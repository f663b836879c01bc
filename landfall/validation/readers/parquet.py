"""Reader of Parquet: one row group at a time, by byte ranges.

Polars reads whole files. So each row group is passed to it as a file of its own: the bytes of the
group after the magic number, and a footer with only that group and shifted offsets.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from landfall.contract.domains import (
    EPOCH,
    FIRST_DAY,
    FIRST_INSTANT,
    LAST_DAY,
    LAST_INSTANT,
    MICROSECOND,
)
from landfall.contract.model import Column, Contract
from landfall.validation.batches import ParsedBatch
from landfall.validation.columns import Inexpressible
from landfall.validation.problems import MAX_RECORD, Refusal
from landfall.validation.readers import thrift
from landfall.validation.readers.footer import (
    AGAIN,
    Expansion,
    add_declared,
    group_as_file,
    groups_of,
    read_footer,
    schema_of,
    without_metadata,
)
from landfall.validation.readers.header import check_columns
from landfall.validation.readers.opening import Opened
from landfall.validation.report import Columns, Format
from landfall.validation.streams import ByteSource

_ROWS = 10_000
_BATCH_BYTES = 16 << 20
"""Most bytes of text in a batch of records, unless one record has more."""


class Parquet:
    """Reads a Parquet file; a record's line is its number, counted from 1."""

    typed = True
    mixed = False
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
        textual = [name for name in self.columns.loaded if not _is_opaque(schema[name])]
        self.columns = replace(self.columns, loaded=tuple(textual))
        self.names = [*self.names, *textual]
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
        expansion = Expansion(self._source.size)
        add_declared(self._footer, self._read_names, expansion)
        for frame in self._frames():
            lengths = _text_lengths(frame)
            expansion.add(int(lengths.sum()))
            if (lengths > MAX_RECORD).any():
                raise _too_long(number + 1 + int(np.argmax(lengths > MAX_RECORD)))
            for part in _parts(frame, lengths):
                yield self._batch(python_rows(self._normalized(part)), number)
                number += len(part)

    @property
    def _read_names(self) -> list[str]:
        """Names in the file of the columns that are read."""
        return [*(name for name, _ in self._present), *self.columns.loaded]

    def _batch(self, rows: list[tuple[Any, ...]], number: int) -> ParsedBatch:
        return ParsedBatch(
            rows,
            range(number + 1, number + 1 + len(rows)),
            lambda index: self._line(rows[index]),
            lambda _: 1,
        )

    def _line(self, row: tuple[Any, ...]) -> bytes:
        return json_line(self.names, row)

    def _schema(self) -> dict[str, pl.DataType]:
        try:
            return dict(schema_of(self._footer))
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
            yield frame

    def _normalized(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.select(
            normalized(name, frame.schema[name], column).alias(column.name)
            for name, column in self._present
        ).hstack(frame.select(pl.col(name).cast(pl.String) for name in self.columns.loaded))

    def _frame(self, group: thrift.Struct) -> pl.DataFrame:
        names = self._read_names
        categories = [name for name in names if _is_categorical(self.schema[name])]
        # Polars would hash each value of a column that Arrow's schema calls a dictionary.
        footer = without_metadata(self._footer) if categories else self._footer
        data = group_as_file(self._source, footer, group, names)
        frame = pl.read_parquet(io.BytesIO(data), columns=names)
        types = {name: self.schema[name] for name in names if name not in categories}
        return frame.cast(types) if categories else frame  # type: ignore[arg-type]


def _text_lengths(frame: pl.DataFrame) -> npt.NDArray[np.int64]:
    """Return the bytes of text of each record. Many records may share one text in memory."""
    lengths = np.zeros(len(frame), np.int64)
    for column in frame.iter_columns():
        if column.dtype == pl.String:
            lengths += column.str.len_bytes().fill_null(0).to_numpy()
    return lengths


def _parts(frame: pl.DataFrame, lengths: npt.NDArray[np.int64]) -> Iterator[pl.DataFrame]:
    """Yield a frame in slices whose values fit into memory, each one by itself."""
    ends = np.cumsum(lengths)
    start = before = 0
    while start < len(frame):
        fitting = int(np.searchsorted(ends, before + _BATCH_BYTES, side="right"))
        end = min(max(fitting, start + 1), start + _ROWS)
        yield frame.slice(start, end - start)
        start, before = end, int(ends[end - 1])


def _too_long(number: int) -> Refusal:
    """Return the refusal of a file with a record that is too long."""
    return Refusal(
        f"record {number} of the Parquet file is longer than {MAX_RECORD >> 20} MiB",
        "leave out what is no value of a table, or shorten it",
        line=number,
    )


def _is_categorical(dtype: pl.DataType) -> bool:
    return isinstance(dtype, (pl.Categorical, pl.Enum))


def _is_opaque(dtype: pl.DataType) -> bool:
    """Whether no text can say what a column holds."""
    return dtype.is_nested() or isinstance(dtype, (pl.Binary, pl.Object))


def _is_compatible(dtype: pl.DataType, column: Column, policy: str) -> bool:
    """Whether values of the file's type are accepted for a column, by the policy of drift."""
    if isinstance(dtype, pl.Null) or policy == "discard":
        return True
    if policy == "evolve" and isinstance(dtype, (pl.String, pl.Categorical, pl.Enum)):
        return True
    if policy == "evolve" and column.logical_type == "string" and dtype.is_integer():
        return True
    if isinstance(dtype, pl.Datetime) and column.timezone is not None:
        # As a text without its offset, or with one, would be refused.
        return (
            column.logical_type == "timestamp" and (dtype.time_zone is not None) == column.timezone
        )
    return type(dtype).__name__ in column.domain.parquet


_PLAIN = (pl.String, pl.Boolean, pl.Null, pl.Categorical, pl.Enum)
"""Types besides numbers and moments whose values Python holds."""


def normalized(name: str, dtype: pl.DataType, column: Column) -> pl.Expr:
    """Convert a column to types that `python_rows` supports."""
    expression = pl.col(name)
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        return expression.dt.convert_time_zone("UTC")
    if isinstance(dtype, (pl.Categorical, pl.Enum)):
        return expression.cast(pl.String)
    if isinstance(dtype, pl.Decimal) and column.logical_type == "integer":
        return expression if dtype.scale else expression.cast(pl.Int128)
    return expression


def python_rows(frame: pl.DataFrame) -> list[tuple[Any, ...]]:
    """Return the records of a frame; cells that Python has no value for are `Inexpressible`."""
    foreign = {
        name: mask
        for name, dtype in frame.schema.items()
        if (expression := _foreign(name, dtype)) is not None
        and (mask := frame.select(expression.fill_null(value=False)).to_series()).any()
    }
    if not foreign:
        return frame.rows()
    kept = frame.with_columns(
        pl.when(~mask).then(pl.col(name)).alias(name)
        if frame.schema[name].base_type() in _MOMENTS
        else pl.lit(None).alias(name)
        for name, mask in foreign.items()
    )
    rows = [list(row) for row in kept.rows()]
    for name, mask in foreign.items():
        position, dtype = frame.columns.index(name), frame.schema[name]
        at = mask.arg_true()
        texts = _texts_of(frame[name].gather(at), dtype)
        for index, text in zip(at.to_list(), texts, strict=True):
            rows[index][position] = Inexpressible(text)
    return [tuple(row) for row in rows]


_MOMENTS = (pl.Date, pl.Datetime, pl.Time)
_PER_SECOND = {"ms": 10**3, "us": 10**6, "ns": 10**9}


def _foreign(name: str, dtype: pl.DataType) -> pl.Expr | None:
    """Return the expression that is true for cells that Python has no value for."""
    column = pl.col(name)
    if isinstance(dtype, pl.Date):
        return ~column.is_between(pl.lit(FIRST_DAY), pl.lit(LAST_DAY))
    if isinstance(dtype, pl.Time):
        return column.to_physical() % 1000 != 0
    if isinstance(dtype, pl.Datetime):
        unit, count = _PER_SECOND[dtype.time_unit], column.to_physical()
        if dtype.time_unit == "ns":  # all within the years 1677 to 2262
            return count % 1000 != 0
        first, last = (
            (moment - EPOCH) // MICROSECOND * unit // 10**6
            for moment in (FIRST_INSTANT, LAST_INSTANT)
        )
        return ~count.is_between(first, last)
    if dtype.is_numeric() or isinstance(dtype, _PLAIN):
        return None
    return column.is_not_null()


def _texts_of(column: pl.Series, dtype: pl.DataType) -> list[str]:
    """Return what is shown of inexpressible cells: a count of units, or the type."""
    if isinstance(dtype, pl.Time):
        return list(column.dt.strftime("%H:%M:%S%.9f"))
    if isinstance(dtype, pl.Datetime) and dtype.time_unit == "ns":
        return list(column.dt.strftime("%Y-%m-%dT%H:%M:%S%.9f"))
    unit = dtype.time_unit if isinstance(dtype, pl.Datetime) else "days"
    if dtype.base_type() in _MOMENTS:
        return [f"{count} {unit} from 1970-01-01" for count in column.to_physical().to_list()]
    return [f"a value of the type {dtype}"] * len(column)


def json_line(names: Sequence[str], row: Sequence[Any]) -> bytes:
    """Return a record as one line of JSON Lines."""
    pairs = (
        f"{json.dumps(name, ensure_ascii=False)}: {_json(value)}"
        for name, value in zip(names, row, strict=True)
    )
    return f"{{{', '.join(pairs)}}}\n".encode()


def _json(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return json.dumps(value, ensure_ascii=False, default=_iso)


def _iso(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
