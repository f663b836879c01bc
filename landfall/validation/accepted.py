"""The accepted records of a drop as typed Parquet: what is copied to bronze and loaded, as it is.

Each of the contract's columns has one physical type, whatever the format of the drop; a column that
the drop lacks is null. Columns of a drop that the contract does not have, and that it says to load,
follow as text. Two more columns say where a record stood: `_record`, its number in the drop from 1,
counted with the rejected ones, and `_line`, its line as in the report.

A block of text that was prefiltered becomes typed columns as a whole. All other records, and those
of a block that a vectorised parser could misread, are read by the parsers that validated them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self

import numpy as np
import polars as pl

from landfall.contract.model import Contract
from landfall.protocol import LINE, RECORD
from landfall.validation.batches import Reader, RecordBatch, ScanResult
from landfall.validation.block_parser import parse_block
from landfall.validation.columns import Cells
from landfall.validation.readers.plain import Block
from landfall.validation.report import AcceptedParquet
from landfall.validation.row_groups import RowGroupWriter
from landfall.validation.streams import Writer
from landfall.validation.typed import stored, stored_schema, value_series, value_type

_PLACES = {RECORD: pl.Int64(), LINE: pl.Int64()}
_AHEAD = 2
_AT_ONCE = 20_000
"""Most records that are parsed one by one and held as Python values at a time."""


def accepted_schema(contract: Contract, loaded: Sequence[str] = ()) -> pl.Schema:
    """Return names and types of the accepted Parquet.

    `loaded` are columns of the drop that the contract does not have.
    """
    columns = stored_schema(contract)
    return pl.Schema({**columns, **dict.fromkeys(loaded, pl.String()), **_PLACES})


class AcceptedWriter:
    """Writes the accepted records of a reader's batches, in file order, in bounded memory.

    Blocks that were prefiltered become typed columns in a thread of their own, while the blocks
    after them are validated; at most `_AHEAD` of them wait for it.
    """

    def __init__(
        self, contract: Contract, reader: Reader, columns: Sequence[Cells], writer: Writer
    ) -> None:
        """`columns` are those of the contract, in its order; they validate the same reader."""
        at = {name: index for index, name in enumerate(reader.names)}
        self._loaded = {name: at[name] for name in reader.columns.loaded if name in at}
        self._stored = StoredRecords(columns, self._loaded, typed=reader.typed)
        self._columns = self._stored.columns
        self._schema = accepted_schema(contract, tuple(self._loaded))
        self._width = len(reader.names)
        self._delimiter = reader.format.delimiter or ","
        self._quote = reader.format.quote or '"'
        self._records = 0
        self._groups = RowGroupWriter(writer, self._schema)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="accepted")
        self._waiting: deque[Future[None]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def add(
        self, batch: RecordBatch, rows: int, rejected: Sequence[int], scan: ScanResult | None
    ) -> None:
        """Add the records of a batch, of which there are `rows`, but the `rejected` ones.

        `rejected` are ascending positions in the batch; `scan` is the result of its prefilter.
        Call it for every batch, in file order.
        """
        kept = np.ones(rows, bool)
        kept[np.asarray(rejected, np.int64)] = False
        records, self._records = self._records, self._records + rows
        if scan is None:
            self._wait(0)
            self._add(batch, np.flatnonzero(kept), records, None)
            return
        self._wait(_AHEAD)
        self._waiting.append(
            self._pool.submit(self._add, batch, np.flatnonzero(kept), records, scan)
        )

    def finish(self) -> AcceptedParquet:
        """Write what is left; nothing may be added after it."""
        self._wait(0)
        return self._groups.finish()

    def _wait(self, left: int) -> None:
        """Wait until no more than `left` blocks are still to be written."""
        while len(self._waiting) > left:
            self._waiting.popleft().result()

    def _add(self, batch: RecordBatch, kept: Any, records: int, scan: ScanResult | None) -> None:
        """Write the `kept` records of a batch before which there were so many records."""
        for frame in self._frames(batch, kept, scan):
            number = pl.Series(RECORD, frame[RECORD] + records, pl.Int64())
            self._groups.add(frame.with_columns(number))

    def _frames(
        self, batch: RecordBatch, kept: Any, scan: ScanResult | None
    ) -> Iterator[pl.DataFrame]:
        if scan is not None and scan.values is not None:
            yield self._of_values(batch, kept, scan, scan.values)
            return
        if scan is not None and isinstance(batch, Block) and self._width > 1:
            frame = self._of_block(batch, kept, scan)
            if frame is not None:
                yield frame
                return
        for start in range(0, len(kept), _AT_ONCE):
            yield self._of_records(batch, kept[start : start + _AT_ONCE])

    def _of_records(self, batch: RecordBatch, kept: Any) -> pl.DataFrame:
        """Return records that are read one by one."""
        indexes = kept.tolist()
        rows = batch.subset(indexes).rows if indexes else []
        lines = [batch.line(index) for index in indexes]
        return self._placed(self._stored.of_rows(rows), kept, lines)

    def _of_values(
        self, batch: RecordBatch, kept: Any, scan: ScanResult, values: pl.DataFrame
    ) -> pl.DataFrame:
        """Return records whose values the prefilter read; its candidates are read one by one."""
        candidates = np.asarray(scan.candidates, np.int64)
        regular = np.setdiff1d(kept, candidates, assume_unique=True)
        if len(regular) < len(values):
            values = values[regular]
        columns = [column.of_values(values) for column in self._columns]
        for name, position in self._loaded.items():
            columns.append(values[str(position)].alias(name))
        lines = np.asarray(scan.lines, np.int64)
        before = batch.line(0) - int(lines[0]) if len(lines) else 0
        frame = self._placed(columns, regular, lines[regular] + before)
        if len(regular) == len(kept):
            return frame
        others = np.intersect1d(kept, candidates, assume_unique=True)
        return pl.concat([frame, self._of_records(batch, others)]).sort(RECORD)

    def _of_block(self, block: Block, kept: Any, scan: ScanResult) -> pl.DataFrame | None:
        """Return records of a block that is parsed as a whole; None if it cannot be."""
        index = block.record_index()
        if index is None or not len(kept):
            return None
        cells = scan.cells if not self._loaded else None  # a scan has the contract's columns alone
        if cells is None:
            filler = self._delimiter.encode() * (self._width - 1)
            text = index.prefiltered(block.data, filler)
            cells = self._parsed(text, quoted=index.quoted, padded=index.padded)
        if cells is None or len(cells) != len(index.starts):
            return None
        regular = np.setdiff1d(kept, index.odd, assume_unique=True)
        odd = np.intersect1d(kept, index.odd, assume_unique=True)
        if len(regular) < len(cells):
            cells = cells[regular]
        try:
            columns = [column.of_column(cells) for column in self._columns]
        except (pl.exceptions.PolarsError, _Unlike):
            return None
        for name, position in self._loaded.items():
            texts = cells[str(position)]
            columns.append(texts.set(texts == "", None).alias(name))
        lines = index.lines[regular] - index.lines[0] + block.line(0)
        frame = self._placed(columns, regular, lines)
        if len(odd):
            frame = pl.concat([frame, self._of_records(block, odd)]).sort(RECORD)
        return frame

    def _parsed(self, text: bytes, *, quoted: bool, padded: bool) -> pl.DataFrame | None:
        schema: dict[str, Any] = {str(at): pl.String for at in range(self._width)}
        if not padded:
            schema |= {str(c.position): c.parsed for c in self._columns if c.parsed is not None}
        wanted = {c.position for c in self._columns if c.position >= 0} | {*self._loaded.values()}
        quote = self._quote if quoted else None
        return parse_block(text, schema, wanted, delimiter=self._delimiter, quote=quote)

    def _placed(self, columns: list[pl.Series], kept: Any, lines: Any) -> pl.DataFrame:
        """Return the columns with the line of each record and its number in the batch."""
        places = [
            pl.Series(RECORD, kept + 1, pl.Int64()),
            pl.Series(LINE, lines, pl.Int64()),
        ]
        return pl.DataFrame([*columns, *places], schema=self._schema)


class StoredRecords:
    """Makes stored columns of records that are read one by one.

    Args:
        columns: those of the contract, in its order.
        loaded: positions in the file of the columns that the contract does not have, by name.
        typed: whether the file has types.
    """

    def __init__(self, columns: Sequence[Cells], loaded: Mapping[str, int], *, typed: bool) -> None:
        self.columns = [_TypedColumn(cells, typed=typed) for cells in columns]
        self._loaded = loaded
        self._typed = typed

    def of_rows(self, rows: Sequence[Sequence[Any]]) -> list[pl.Series]:
        """Return the columns of the contract, and then the loaded ones as text."""
        table = list(zip(*rows, strict=True))
        columns = [column.of_cells(table, len(rows)) for column in self.columns]
        columns += [
            pl.Series(name, list(map(self._text, table[position])) if table else [], pl.String())
            for name, position in self._loaded.items()
        ]
        return columns

    def _text(self, cell: Any) -> str | None:
        """Return a cell of a column that the contract does not have, as text that can be stored."""
        if cell is None or (cell == "" and not self._typed):
            return None
        text = cell if isinstance(cell, str) else str(cell)
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


class _Unlike(Exception):
    """A column was parsed to fewer values than it has."""


class _TypedColumn:
    """One column of the contract: makes stored columns of its cells."""

    def __init__(self, cells: Cells, *, typed: bool) -> None:
        column = cells.column
        self.position = cells.position
        self.parsed: pl.DataType | None = None
        """The type to which a parser of text may read its cells at once."""
        self._cells = cells
        self._column = column
        self._dtype = value_type(column)
        self._cleaned = column.cleaning.changes
        # A text that is empty is not missing in a format with types.
        self._keeps_empty = typed and column.logical_type == "string" and not self._cleaned
        if column.required and not self._cleaned and self._dtype in (pl.Int64, pl.Float64):
            self.parsed = self._dtype

    def of_cells(self, table: Sequence[Sequence[Any]], rows: int) -> pl.Series:
        """Return the values of cells in column order, by the reader that validated them."""
        if not table or self.position < 0:
            return self._nulls(rows)
        cells = table[self.position]
        values = self._cells.values_by_distinct(cells)
        if self._keeps_empty:
            pairs = zip(cells, values, strict=True)
            values = ["" if cell == "" else value for cell, value in pairs]
        return self._stored(pl.Series(values, dtype=self._dtype))

    def of_column(self, frame: pl.DataFrame) -> pl.Series:
        """Return the values of a whole column of valid text.

        Raises:
            _Unlike, polars.exceptions.PolarsError: they must be read one by one.
        """
        if self.position < 0:
            return self._nulls(len(frame))
        cells = frame[str(self.position)]
        values = value_series(self._column, cells)
        filled = len(cells) if cells.dtype != pl.String else int((cells != "").sum())
        if len(values) - values.null_count() != filled and not self._cleaned:
            raise _Unlike
        return self._stored(values)

    def of_values(self, frame: pl.DataFrame) -> pl.Series:
        """Return a whole column whose values were read."""
        if self.position < 0:
            return self._nulls(len(frame))
        return self._stored(frame[str(self.position)])

    def _nulls(self, rows: int) -> pl.Series:
        return self._stored(pl.Series([None], dtype=self._dtype).new_from_index(0, rows))

    def _stored(self, values: pl.Series) -> pl.Series:
        return stored(self._column, values).alias(self._column.name)
