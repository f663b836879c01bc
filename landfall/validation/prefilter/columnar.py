"""Prefilters blocks of delimited text with Polars: marks the records that might break a rule.

It may mark a valid record, but it never misses an invalid one. Polars parses whole blocks. Required
integer columns are parsed as integers; every other column stays text, and its distinct cells are
validated by the column's validator. Records that Polars might parse differently are known from the
record index; Polars gets a filler in their place.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from landfall.contract.model import Column
from landfall.validation.batches import ScannableBlock
from landfall.validation.block_parser import parse_block
from landfall.validation.columns import Cells, Key
from landfall.validation.keys import KeyLog, Seen
from landfall.validation.metrics import Metric, Metrics
from landfall.validation.prefilter.conditions import measured
from landfall.validation.prefilter.expressions import expression
from landfall.validation.prefilter.facts import Fact
from landfall.validation.profile import hashes
from landfall.validation.references import Reference
from landfall.validation.rules import whole_range
from landfall.validation.typed import clean_texts

EXACT = 4096
"""Most distinct values of a block that its profile counts exactly."""

if TYPE_CHECKING:  # loaded only for large blocks
    from landfall.validation.readers.record_index import RecordIndex


class ColumnarPrefilter:
    """Prefilters the blocks of one file; `names` are its columns in file order."""

    smallest = 256 << 10
    keeps_values = False

    def __init__(
        self,
        names: Sequence[str],
        cells: Sequence[Cells],
        keys: Sequence[Key],
        delimiter: str,
        quote: str,
        *,
        metrics: Metrics,
    ) -> None:
        self._cells = cells
        self._metrics = metrics
        self._width = len(names)
        self.possible = self._width > 1
        in_wide_keys = {
            part.column.name for key in keys if not key.whole_numbers for part in key.cells
        }
        self._typed = [
            column_cells
            for column_cells in cells
            if _is_plain(column_cells.column) and column_cells.column.name not in in_wide_keys
        ]
        last = {column_cells.position: column_cells.column for column_cells in cells}.get(
            self._width - 1
        )
        self._ends_filled = last is not None and last.required
        self._delimiter = delimiter
        self._quote = quote
        self._filler = delimiter.encode() * (self._width - 1)

    def scan(self, block: ScannableBlock) -> ColumnarScan | None:
        """Scan `block`; return None if it cannot be scanned."""
        record_index = block.record_index() if self.possible else None
        if record_index is None:
            return None
        text = record_index.prefiltered(block.data, self._filler)
        typed = [] if record_index.padded else self._typed
        frame = self._parse(text, typed, quoted=record_index.quoted)
        rows = len(record_index.starts)
        if frame is None or len(frame) != rows:
            return None
        summary = self._summary(frame, typed)
        candidates = self._candidates(frame, typed, summary)
        candidates.update(record_index.odd.tolist())
        self._add_ragged(block.data, text, record_index, candidates)
        sums: list[tuple[int, Any, Any, Any]] = []
        if self._metrics.needed:
            values = self._metrics.frame(frame)
            candidates |= self._condition_candidates(values)
            sums = self._measured(values, candidates)
        listed = sorted(candidates)
        kept = frame
        if listed:
            kept = _without(frame, listed)
            summary = self._summary(kept, typed)
        return ColumnarScan(frame, record_index, listed, sums, self._facts(kept, typed, summary))

    def _parse(self, text: bytes, typed: Sequence[Cells], *, quoted: bool) -> pl.DataFrame | None:
        numbers = {column_cells.position for column_cells in typed}
        schema = {
            str(position): pl.Int64 if position in numbers else pl.String
            for position in range(self._width + 1)  # the last one takes surplus fields
        }
        positions = {column_cells.position for column_cells in self._cells} | {self._width}
        quote = self._quote if quoted else None
        return parse_block(text, schema, positions, delimiter=self._delimiter, quote=quote)

    def _candidates(
        self, frame: pl.DataFrame, typed: Sequence[Cells], summary: dict[str, Any]
    ) -> set[int]:
        marks = []
        if summary["long"]:  # some surplus fields are not empty
            marks.append(pl.col(str(self._width)) != "")
        for column_cells in typed:
            low, high = whole_range(column_cells.column)
            name = str(column_cells.position)
            least, most = summary[f"{name} least"], summary[f"{name} most"]
            if summary[f"{name} null"] or least < low or most > high:
                marks.append(~pl.col(name).is_between(low, high).fill_null(value=False))
        for column_cells in _text_columns(self._cells, typed):
            name = str(column_cells.position)
            if bad := column_cells.invalid({cell for cell in summary[name] if cell is not None}):
                marks.append(pl.col(name).is_in(list(bad)))
        if not marks:
            return set()
        flagged = frame.select(pl.any_horizontal(marks).fill_null(value=False).arg_true())
        return set(flagged.to_series().to_list())

    def _condition_candidates(self, values: pl.DataFrame) -> set[int]:
        """Return records that match the condition of a per-record rule."""
        conditions = [expression(metric.rule.condition) for metric in self._metrics.per_record]
        if not conditions:
            return set()
        return set(values.select(pl.any_horizontal(conditions).arg_true()).to_series().to_list())

    def _measured(
        self, values: pl.DataFrame, candidates: set[int]
    ) -> list[tuple[int, Any, Any, Any]]:
        """Return count, sum and extremes of each summed metric, without the candidates."""
        return measured(self._metrics, _without(values, list(candidates)) if candidates else values)

    def _add_ragged(
        self, block: bytes, text: bytes, record_index: RecordIndex, candidates: set[int]
    ) -> None:
        """Add records with too few or too many fields to the candidates."""
        delimiter, expected = self._delimiter.encode(), self._width - 1
        data = np.frombuffer(text, np.uint8)
        is_delimiter = data == ord(delimiter)
        if self._ends_filled and not record_index.quoted:
            # A record with too few fields lacks the last one, which is required: it is a candidate.
            # So if the other records have the expected delimiters in sum, none has too many.
            left = np.count_nonzero(is_delimiter) - expected * len(record_index.odd)
            regular = candidates.difference(record_index.odd.tolist())
            for index in regular:
                left -= block.count(delimiter, record_index.starts[index], record_index.ends[index])
            if left == expected * (len(record_index.starts) - len(candidates)):
                return
        ends = np.flatnonzero(data == ord("\n")) + 1
        if len(ends) < len(record_index.starts):
            ends = np.append(ends, len(data))
        at = np.flatnonzero(is_delimiter)
        if record_index.quoted:
            quotes = np.flatnonzero(data == ord(self._quote))
            at = at[np.searchsorted(quotes, at) & 1 == 0]
        counts = np.diff(np.searchsorted(at, ends), prepend=0)
        candidates.update(np.flatnonzero(counts != expected).tolist())

    def _summary(self, frame: pl.DataFrame, typed: Sequence[Cells]) -> dict[str, Any]:
        """Return extremes of integer columns and distinct cells of text columns, in one query."""
        expressions = [(pl.col(str(self._width)) != "").any().alias("long")]
        for column_cells in typed:
            name = str(column_cells.position)
            expressions += [
                pl.col(name).null_count().alias(f"{name} null"),
                pl.col(name).min().fill_null(0).alias(f"{name} least"),
                pl.col(name).max().fill_null(0).alias(f"{name} most"),
            ]
        text_columns = _text_columns(self._cells, typed)
        expressions += [
            pl.col(str(column_cells.position)).unique().implode() for column_cells in text_columns
        ]
        return frame.select(expressions).row(0, named=True)

    def _facts(
        self,
        frame: pl.DataFrame,
        typed: Sequence[Cells],
        summary: dict[str, Any],
    ) -> dict[int, Fact]:
        """Return the facts for the profile of a frame of valid records."""
        facts: dict[int, Fact] = {}
        for column_cells in typed if len(frame) else ():
            name = str(column_cells.position)
            least, most = summary[f"{name} least"], summary[f"{name} most"]
            facts[column_cells.position] = _typed_fact(frame[name], least, most)
        text_columns = _text_columns(self._cells, typed)
        empty = [
            name
            for column_cells in text_columns
            if "" in summary[name := str(column_cells.position)]
        ]
        times = frame.select((pl.col(name) == "").sum() for name in empty).row(0) if empty else ()
        nulls = dict(zip(empty, times, strict=True))
        for column_cells in text_columns if len(frame) else ():
            name = str(column_cells.position)
            distinct = None if len(summary[name]) > EXACT else summary[name]
            facts[column_cells.position] = _fact(
                column_cells, nulls.get(name, 0), distinct, frame[name]
            )
        return facts


def _typed_fact(column: pl.Series, least: Any, most: Any) -> Fact:
    if least is None or most is None:
        return Fact(0, None, None, [])
    if most - least >= EXACT:
        # The first rows mostly show already that there are too many.
        many = column.head(2 * EXACT).n_unique() > EXACT
        distinct = None if many or len(unique := column.unique()) > EXACT else unique.to_list()
        return Fact(0, least, most, distinct, hashes(column) if distinct is None else None)
    present = np.zeros(most - least + 1, bool)
    present[column.to_numpy() - least] = True
    return Fact(0, least, most, (np.flatnonzero(present) + least).tolist())


def _fact(cells: Cells, nulls: int, distinct: list[str] | None, column: pl.Series) -> Fact:
    cleaned = cells.column.cleaning.changes
    if distinct is None:
        kept = cells.series(column)
        counted = kept
        if not kept.dtype.is_integer():
            counted = clean_texts(cells.column, column) if cleaned else column
        nulls = kept.null_count()
        if not cleaned or counted.n_unique() > EXACT:
            return Fact(nulls, kept.min(), kept.max(), None, hashes(counted))
        return Fact(nulls, kept.min(), kept.max(), counted.unique().drop_nulls().to_list())
    known = cells.valid_values(distinct)
    if cleaned:
        nulls = clean_texts(cells.column, column).null_count()
    values = list(known.values())
    if not values:
        return Fact(nulls, None, None, [])
    texts = [cells.canonical(cell, value) for cell, value in known.items()]
    return Fact(nulls, min(values), max(values), texts)


def _without(frame: pl.DataFrame, candidates: list[int]) -> pl.DataFrame:
    keep = np.ones(len(frame), bool)
    keep[candidates] = False
    return frame.filter(keep)


def _text_columns(cells: Sequence[Cells], typed: Sequence[Cells]) -> list[Cells]:
    """Return the columns that are parsed as text."""
    numbers = {column_cells.position for column_cells in typed}
    return [column_cells for column_cells in cells if column_cells.position not in numbers]


class ColumnarScan:
    """Scan of a block by Polars; see `batches.ScanResult`.

    `frame` has the columns of the file; the values of candidates are undefined.
    """

    def __init__(
        self,
        frame: pl.DataFrame,
        record_index: RecordIndex,
        candidates: list[int],
        measured: list[tuple[int, Any, Any, Any]],
        facts: dict[int, Fact],
    ) -> None:
        self.facts = facts
        self.measured = measured
        self.matched: Sequence[tuple[Metric, list[int]]] = ()
        self.rows = len(record_index.starts)
        self.candidates = candidates
        self.lines: Sequence[int] = record_index.lines  # type: ignore[assignment]
        self.cells: pl.DataFrame | None = frame
        self.values: pl.DataFrame | None = None
        self._frame = frame
        self._record_index = record_index

    def byte_range(self, index: int) -> tuple[int, int]:
        """Return start and end of a record in the block."""
        return int(self._record_index.starts[index]), int(self._record_index.ends[index])

    def repeated(self, key: Key, validated: Sequence[Hashable]) -> list[int]:
        """Return records whose key was seen before; `validated` are the candidates' keys."""
        seen = key.seen
        if not isinstance(seen, (Seen, KeyLog)):  # pragma: no cover - ensured by `prefilter_of`
            raise TypeError("the keys of a Polars prefilter are in keys.Seen")
        return seen.repeated_in(self._keys(key, validated))

    def orphans(self, reference: Reference, validated: Sequence[Hashable]) -> list[int]:
        """Return records whose foreign key is not in the other dataset."""
        return reference.orphans(self._keys(reference.key, validated))

    def _keys(self, key: Key, validated: Sequence[Hashable]) -> pl.Series:
        keys = key.of_columns(lambda cells: cells.of_frame(self._frame))
        if not self.candidates:
            return keys
        return keys.scatter(self.candidates, type(keys)(validated, dtype=keys.dtype))


def _is_plain(column: Column) -> bool:
    """Whether a column has only required integers within bounds."""
    return (
        column.logical_type == "integer"
        and column.required
        and not column.enum
        and column.multiple_of is None
        and not column.cleaning.changes
    )
