"""The prefilter in front of the record validator: which records of a block might break a rule.

It may mark a sound record, it never passes a faulty one. Polars parses whole blocks; whole
numbers that must be there are typed on the way, every other column stays text whose distinct
cells go to the record validator of that column. Records that Polars might read otherwise than the
contract does were found by the survey; it sees a filler in their place.
"""

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

from landfall.contract.model import Column
from landfall.validation.batches import ScannableBlock
from landfall.validation.columns import Cells, Key
from landfall.validation.conditions import expression
from landfall.validation.keys import Seen
from landfall.validation.metrics import Metrics
from landfall.validation.prefilter.facts import Fact
from landfall.validation.profile import hashes
from landfall.validation.references import Reference
from landfall.validation.rules import whole_range

EXACT = 4096
"""Distinct cells of a block that are looked at one by one for its profile."""

if TYPE_CHECKING:  # Polars and numpy take longer to load than a small file to validate
    import polars as pl

    from landfall.validation.readers.record_index import RecordIndex


class ColumnarPrefilter:
    """Compiled once for a file: names in file order, and the columns and keys to validate."""

    smallest = 256 << 10

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
        self._gauges = metrics
        self._width = len(names)
        self.possible = self._width > 1
        in_wide_keys = {
            part.column.name for key in keys if not key.whole_numbers for part in key.cells
        }
        self._typed = [
            one for one in cells if _is_plain(one.column) and one.column.name not in in_wide_keys
        ]
        last = {one.position: one.column for one in cells}.get(self._width - 1)
        self._ends_filled = last is not None and last.required
        self._delimiter = delimiter
        self._quote = quote
        self._filler = delimiter.encode() * (self._width - 1)

    def scan(self, block: ScannableBlock) -> "ColumnarScan | None":
        """What might be wrong in `block`; None if it cannot say."""
        record_index = block.record_index() if self.possible else None
        if record_index is None:
            return None
        text = record_index.prefiltered(block.data, self._filler)
        typed = [] if record_index.padded else self._typed
        frame = self._parse(text, typed, quoted=record_index.quoted)
        rows = len(record_index.starts)
        if frame is None or len(frame) != rows:
            return None
        seen = self._summary(frame, typed)
        candidates = self._candidates(frame, typed, seen)
        candidates.update(record_index.odd.tolist())
        self._add_ragged(block.data, text, record_index, candidates)
        measured: list[tuple[int, Any, Any, Any]] = []
        if self._gauges.needed:
            values = self._gauges.frame(frame)
            candidates |= self._conditional(values)
            measured = self._measured(values, candidates)
        listed = sorted(candidates)
        kept = frame
        if listed:
            kept = _without(frame, listed)
            seen = self._summary(kept, typed)
        return ColumnarScan(frame, record_index, listed, measured, self._facts(kept, typed, seen))

    def _parse(self, text: bytes, typed: Sequence[Cells], *, quoted: bool) -> "pl.DataFrame | None":
        import polars as pl  # noqa: PLC0415 - only large blocks are prefiltered

        numbers = {one.position for one in typed}
        schema = {
            str(position): pl.Int64 if position in numbers else pl.String
            for position in range(self._width + 1)  # the last one shows what is too long
        }
        try:
            return pl.read_csv(
                text,
                has_header=False,
                schema=schema,
                separator=self._delimiter,
                quote_char=self._quote if quoted else None,
                ignore_errors=True,
                empty_string_is_null=False,
                extra_columns="ignore",
                missing_columns="insert",
                columns=sorted({one.position for one in self._cells} | {self._width}),
            )
        except pl.exceptions.PolarsError:
            return None

    def _candidates(
        self, frame: "pl.DataFrame", typed: Sequence[Cells], seen: dict[str, Any]
    ) -> set[int]:
        import polars as pl  # noqa: PLC0415 - loaded by now

        marks = []
        if seen["long"]:  # as far as that shows
            marks.append(pl.col(str(self._width)) != "")
        for one in typed:
            low, high = whole_range(one.column)
            name = str(one.position)
            least, most = seen[f"{name} least"], seen[f"{name} most"]
            if seen[f"{name} null"] or least < low or most > high:
                marks.append(~pl.col(name).is_between(low, high).fill_null(value=False))
        for one in _others(self._cells, typed):
            name = str(one.position)
            if bad := one.unsound({cell for cell in seen[name] if cell is not None}):
                marks.append(pl.col(name).is_in(list(bad)))
        if not marks:
            return set()
        found = frame.select(pl.any_horizontal(marks).fill_null(value=False).arg_true())
        return set(found.to_series().to_list())

    def _conditional(self, values: "pl.DataFrame") -> set[int]:
        """Records of which a condition is true that may be true of none."""
        import polars as pl  # noqa: PLC0415 - loaded by now

        found = [expression(metric.rule.condition) for metric in self._gauges.per_record]
        if not found:
            return set()
        return set(values.select(pl.any_horizontal(found).arg_true()).to_series().to_list())

    def _measured(
        self, values: "pl.DataFrame", candidates: set[int]
    ) -> list[tuple[int, Any, Any, Any]]:
        """Count, sum and extremes of each summed gauge, over all records but the candidates."""
        if not self._gauges.summed:
            return []
        if candidates:
            values = _without(values, list(candidates))
        wanted = [
            expr.alias(f"{at} {part}")
            for at, metric in enumerate(self._gauges.summed)
            for part, expr in enumerate(metric.over())
        ]
        row = values.select(wanted).row(0)
        return [row[at : at + 4] for at in range(0, len(row), 4)]

    def _add_ragged(
        self, block: bytes, text: bytes, record_index: "RecordIndex", candidates: set[int]
    ) -> None:
        """Mark the other records with too few or too many fields, if there are any."""
        import numpy as np  # noqa: PLC0415 - loaded by now

        delimiter, wanted = self._delimiter.encode(), self._width - 1
        data = np.frombuffer(text, np.uint8)
        is_delimiter = data == ord(delimiter)
        if self._ends_filled and not record_index.quoted:
            # Nobody else is too short: that record would lack its last field, which is required.
            # So if the others have as many delimiters as they should, none is too long either.
            left = np.count_nonzero(is_delimiter) - wanted * len(record_index.odd)
            others = candidates.difference(record_index.odd.tolist())
            for index in others:
                left -= block.count(delimiter, record_index.starts[index], record_index.ends[index])
            if left == wanted * (len(record_index.starts) - len(candidates)):
                return
        ends = np.flatnonzero(data == ord("\n")) + 1
        if len(ends) < len(record_index.starts):
            ends = np.append(ends, len(data))
        at = np.flatnonzero(is_delimiter)
        if record_index.quoted:
            quotes = np.flatnonzero(data == ord(self._quote))
            at = at[np.searchsorted(quotes, at) & 1 == 0]
        counts = np.diff(np.searchsorted(at, ends), prepend=0)
        candidates.update(np.flatnonzero(counts != wanted).tolist())

    def _summary(self, frame: "pl.DataFrame", typed: Sequence[Cells]) -> dict[str, Any]:
        """Extremes of typed columns and distinct cells of the others, in one query."""
        import polars as pl  # noqa: PLC0415 - loaded by now

        wanted = [(pl.col(str(self._width)) != "").any().alias("long")]
        for one in typed:
            name = str(one.position)
            wanted += [
                pl.col(name).null_count().alias(f"{name} null"),
                pl.col(name).min().fill_null(0).alias(f"{name} least"),
                pl.col(name).max().fill_null(0).alias(f"{name} most"),
            ]
        others = _others(self._cells, typed)
        wanted += [pl.col(str(one.position)).unique().implode() for one in others]
        return frame.select(wanted).row(0, named=True)

    def _facts(
        self,
        frame: "pl.DataFrame",
        typed: Sequence[Cells],
        seen: dict[str, Any],
    ) -> "dict[int, Fact]":
        """What a profile needs to know of the records of a frame, all of which are sound."""
        import polars as pl  # noqa: PLC0415 - loaded by now

        facts: dict[int, Fact] = {}
        for one in typed if len(frame) else ():
            name = str(one.position)
            least, most = seen[f"{name} least"], seen[f"{name} most"]
            facts[one.position] = _typed_fact(frame[name], least, most)
        others = _others(self._cells, typed)
        empty = [name for one in others if "" in seen[name := str(one.position)]]
        times = frame.select((pl.col(name) == "").sum() for name in empty).row(0) if empty else ()
        nulls = dict(zip(empty, times, strict=True))
        for one in others if len(frame) else ():
            name = str(one.position)
            distinct = None if len(seen[name]) > EXACT else seen[name]
            facts[one.position] = _fact(one, nulls.get(name, 0), distinct, frame[name])
        return facts


def _typed_fact(column: "pl.Series", least: Any, most: Any) -> Fact:
    if least is None or most is None:
        return Fact(0, None, None, [])
    if most - least >= EXACT:
        # Mostly the beginning shows that they are too many.
        many = column.head(2 * EXACT).n_unique() > EXACT
        distinct = None if many or len(found := column.unique()) > EXACT else found.to_list()
        return Fact(0, least, most, distinct, hashes(column) if distinct is None else None)
    import numpy as np  # noqa: PLC0415 - loaded by now

    there = np.zeros(most - least + 1, bool)
    there[column.to_numpy() - least] = True
    return Fact(0, least, most, (np.flatnonzero(there) + least).tolist())


def _fact(cells: Cells, nulls: int, distinct: list[str] | None, column: "pl.Series") -> Fact:
    if distinct is None:
        kept = cells.series(column)
        taken = hashes(kept if kept.dtype.is_integer() else column)
        return Fact(nulls, kept.min(), kept.max(), None, taken)
    known = cells.sound_values(distinct)
    values = list(known.values())
    if not values:
        return Fact(nulls, None, None, [])
    if cells.column.logical_type == "integer":
        return Fact(nulls, min(values), max(values), values)
    return Fact(nulls, min(values), max(values), list(known))


def _without(frame: "pl.DataFrame", candidates: list[int]) -> "pl.DataFrame":
    import numpy as np  # noqa: PLC0415 - loaded by now

    keep = np.ones(len(frame), bool)
    keep[candidates] = False
    return frame.filter(keep)


def _others(cells: Sequence[Cells], typed: Sequence[Cells]) -> list[Cells]:
    """Those columns that stay text."""
    numbers = {one.position for one in typed}
    return [one for one in cells if one.position not in numbers]


class ColumnarScan:
    """What the prefilter saw of a block; see `batches.ColumnarScan`.

    `frame` has the columns of the file; what stands at candidates means nothing.
    """

    def __init__(
        self,
        frame: "pl.DataFrame",
        record_index: "RecordIndex",
        candidates: list[int],
        measured: list[tuple[int, Any, Any, Any]],
        facts: "dict[int, Fact]",
    ) -> None:
        self.facts = facts
        self.measured = measured
        self.rows = len(record_index.starts)
        self.candidates = candidates
        self.lines: Sequence[int] = record_index.lines  # type: ignore[assignment]
        self._frame = frame
        self._index_records = record_index

    def bytes(self, index: int) -> tuple[int, int]:
        """Where a record begins and ends in the block."""
        return int(self._index_records.starts[index]), int(self._index_records.ends[index])

    def repeated(self, key: Key, validated: Sequence[Hashable]) -> list[int]:
        """Records whose key was seen before; `validated` are the candidates' keys."""
        seen = key.seen
        if not isinstance(seen, Seen):  # pragma: no cover - the jury sees to it
            raise TypeError("a key of a column is kept by its column's numbers")
        return seen.repeated_in(self._keys(key, validated))

    def orphans(self, reference: Reference, validated: Sequence[Hashable]) -> list[int]:
        """Records that refer to what is not there."""
        return reference.orphans(self._keys(reference.key, validated))

    def _keys(self, key: Key, validated: Sequence[Hashable]) -> "pl.Series":
        keys = key.of_columns(lambda cells: cells.of_frame(self._frame))
        if not self.candidates:
            return keys
        return keys.scatter(self.candidates, type(keys)(validated, dtype=keys.dtype))


def _is_plain(column: Column) -> bool:
    """Whether all that is asked is a whole number within bounds."""
    return (
        column.logical_type == "integer"
        and column.required
        and not column.enum
        and column.multiple_of is None
    )
