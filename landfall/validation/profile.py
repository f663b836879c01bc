"""Profiles the values of each column during validation.

Counts, nulls and extremes are over all well-formed records with a value of the column's type,
rejected or not. Distinct values are counted as long as they are few, then estimated from their
hashes. Quantiles and histograms come from an even sample of the records.
"""

from __future__ import annotations

import math
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from landfall.validation.batches import RecordBatch, RecordSubset, ScanResult
from landfall.validation.columns import Cells, as_text
from landfall.validation.report import Profile

if TYPE_CHECKING:  # both take longer to load than a small file to validate
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    Flags = npt.NDArray[np.bool_]
    Hashes = npt.NDArray[np.uint64]
    Positions = npt.NDArray[np.uint16]

EXACT = 4096
"""Most distinct values that are counted exactly."""
SAMPLE = 4000
"""Most records of the sample; of a larger file it has at least half of this number."""

_CHARACTERS = 4 << 20
"""Most characters of a column's distinct values that are counted exactly."""
_SAMPLED = 16 << 20
"""Most bytes of the sample's records."""
_SLOTS = 1 << 16
_LOW = 1 << 14
_FIRST_LIMIT = 1 << 58
_BINS = 20
_TOP = 8
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_SEED = 0x9E3779B9
_SHOWN = 60


class Sketch(Protocol):
    """Estimates the number of distinct values that are too many to be counted exactly."""

    def add(self, values: Sequence[Any], /) -> None:
        """Add values, either all integers or all text."""

    def add_hashes(self, hashes: Any, /) -> None:
        """Add the hashes that a prefilter computed."""

    def state(self) -> tuple[int, int, int]:
        """Return slots taken by hashes, number of distinct hashes below a limit, and that limit."""


class Slots:
    """A sketch with the hashes of Polars."""

    def __init__(self) -> None:
        import numpy as np  # noqa: PLC0415 - loaded only for large files

        self._taken: Flags = np.zeros(_SLOTS, bool)
        self._low: set[int] = set()
        self._limit = _FIRST_LIMIT

    def add(self, values: Sequence[Any]) -> None:
        """Add values, either all integers or all text."""
        if values:
            self.add_hashes(hashes(values))

    def add_hashes(self, hashes: tuple[Positions, Hashes]) -> None:
        """Add the result of `hashes`."""
        slots, low = hashes
        self._taken[slots] = True
        self._low.update(low[low < self._limit].tolist())
        self._trim()

    def _trim(self) -> None:
        while len(self._low) > _LOW:
            self._limit //= 2
            self._low = {hash_ for hash_ in self._low if hash_ < self._limit}

    def to_dict(self) -> dict[str, Any]:
        """Return the sketch as JSON."""
        import numpy as np  # noqa: PLC0415 - already loaded

        taken = np.packbits(self._taken).tobytes()
        low = np.array(sorted(self._low), np.uint64).tobytes()
        return {
            "taken": b64encode(taken).decode(),
            "low": b64encode(low).decode(),
            "limit": self._limit,
        }

    def merge(self, document: Mapping[str, Any]) -> None:
        """Add what another sketch, given by its `to_dict`, has seen."""
        import numpy as np  # noqa: PLC0415 - already loaded

        taken = np.frombuffer(b64decode(document["taken"]), np.uint8)
        self._taken |= np.unpackbits(taken).astype(bool)
        low = np.frombuffer(b64decode(document["low"]), np.uint64)
        self._limit = min(self._limit, document["limit"])
        self._low = {hash_ for hash_ in (*self._low, *low.tolist()) if hash_ < self._limit}
        self._trim()

    def state(self) -> tuple[int, int, int]:
        """Return slots taken, hashes kept, and the limit."""
        return int(self._taken.sum()), len(self._low), self._limit


class Distinct:
    """Counts distinct values.

    The count is exact while the values are few. Then it is estimated within some 2 %: from the
    share of 65,536 slots that the hashes leave empty or, if nearly all slots are taken, from the
    number of distinct hashes below a limit.
    """

    def __init__(self, sketch: Callable[[], Sketch] = Slots) -> None:
        self._values: set[Any] = set()
        self._characters = 0
        self._begin = sketch
        self._sketch: Sketch | None = None

    def add(self, values: Iterable[Any]) -> None:
        """Add values, either all numbers or all text."""
        if self._sketch is not None:
            self._sketch.add(list(values))
            return
        fresh = set(values) - self._values
        self._values |= fresh
        self._characters += sum(len(value) for value in fresh if isinstance(value, str))
        if len(self._values) > EXACT or self._characters > _CHARACTERS:
            self._start_sketch()

    def add_hashes(self, hashes: Any) -> None:
        """Add hashes that a prefilter computed for the sketch."""
        self._start_sketch().add_hashes(hashes)

    def to_dict(self) -> dict[str, Any]:
        """Return the values or their sketch as JSON; only for the sketch of `Slots`."""
        if isinstance(self._sketch, Slots):
            return {"sketch": self._sketch.to_dict()}
        return {"values": list(self._values)}

    def merge(self, document: Mapping[str, Any]) -> None:
        """Add what another counter, given by its `to_dict`, has seen."""
        if "values" in document:
            self.add(document["values"])
        elif isinstance(sketch := self._start_sketch(), Slots):
            sketch.merge(document["sketch"])

    def _start_sketch(self) -> Sketch:
        if self._sketch is None:
            self._sketch = self._begin()
            self._sketch.add(list(self._values))
            self._values = set()
        return self._sketch

    @property
    def exact(self) -> bool:
        """Whether the count is exact."""
        return self._sketch is None

    def count(self) -> int:
        """Return the number of distinct values."""
        if self._sketch is None:
            return len(self._values)
        taken, low, limit = self._sketch.state()
        free = _SLOTS - taken
        if free > _SLOTS // 20:
            return round(-_SLOTS * math.log(free / _SLOTS))
        return round(low * 2.0**64 / limit)


def hashes(values: Sequence[Any] | pl.Series) -> tuple[Positions, Hashes]:
    """Return slots and low hashes of numbers or text; equal values have equal hashes."""
    import numpy as np  # noqa: PLC0415 - already loaded
    import polars as pl  # noqa: PLC0415 - likewise

    column = values if isinstance(values, pl.Series) else _column_of(values)
    column = column.drop_nulls()
    if column.dtype.is_integer():
        mixed = column.to_numpy().view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(32)
        mixed *= np.uint64(0xD6E8FEB86659FD93)
        mixed ^= mixed >> np.uint64(32)
    else:
        mixed = column.hash(_SEED).to_numpy()
    return (mixed >> np.uint64(48)).astype(np.uint16), mixed[mixed < _FIRST_LIMIT]


def _column_of(values: Sequence[Any]) -> pl.Series:
    import polars as pl  # noqa: PLC0415 - likewise

    whole = all(isinstance(value, int) for value in values)
    if whole:
        return pl.Series(list(values), dtype=pl.Int64)
    return pl.Series([str(value) for value in values], dtype=pl.String)


class Count(Protocol):
    """Counts distinct values."""

    @property
    def exact(self) -> bool:
        """Whether the count is exact."""

    def count(self) -> int:
        """Return the number of distinct values."""


class ColumnCounts(Protocol):
    """Counts and extremes of a column."""

    @property
    def cells(self) -> Cells:
        """The cells of the column."""

    @property
    def count(self) -> int:
        """Number of values of the column's type."""

    @property
    def nulls(self) -> int:
        """Number of null values."""

    @property
    def distinct(self) -> Count:
        """Number of distinct values."""

    @property
    def least(self) -> Any:
        """The smallest value."""

    @property
    def most(self) -> Any:
        """The largest value."""


class _Column:
    def __init__(self, cells: Cells, sketch: Callable[[], Sketch]) -> None:
        self.cells = cells
        self.count = self.nulls = 0
        self.distinct = Distinct(sketch)
        self.least: Any = None
        self.most: Any = None

    def extend(self, values: Sequence[Any]) -> None:
        """Update the extremes."""
        if values:
            least, most = min(values), max(values)
            self.least = least if self.least is None else min(least, self.least)
            self.most = most if self.most is None else max(most, self.most)


class Profiler:
    """Collects the profiles of all columns of a file."""

    def __init__(self, cells: Sequence[Cells], sketch: Callable[[], Sketch] = Slots) -> None:
        self._columns = [_Column(column_cells, sketch) for column_cells in cells]
        self.sample = RecordSample()

    @property
    def columns(self) -> Sequence[ColumnCounts]:
        """What was counted of each column."""
        return self._columns

    def add_records(self, table: Sequence[Sequence[Any]]) -> None:
        """Add well-formed records, given in column order."""
        if not table:
            return
        for column in self._columns:
            cells = table[column.cells.position]
            counts = Counter(map(_hashable, cells))
            for cell in column.cells.missing(list(counts)):
                column.nulls += counts.pop(cell)
            valid = column.cells.valid_values(list(counts))
            column.count += sum(counts[cell] for cell in valid)
            canonical = column.cells.canonical
            column.distinct.add(canonical(cell, value) for cell, value in valid.items())
            column.extend(list(valid.values()))

    def add_scan(self, scan: ScanResult) -> None:
        """Add the facts of the records that a prefilter passed."""
        rows = scan.rows - len(scan.candidates)
        for column in self._columns if scan.facts else ():
            fact = scan.facts[column.cells.position]
            column.nulls += fact.nulls
            column.count += rows - fact.nulls
            column.extend([value for value in (fact.least, fact.most) if value is not None])
            if fact.distinct is not None:
                column.distinct.add(fact.distinct)
            if fact.hashes is not None:
                column.distinct.add_hashes(fact.hashes)

    def profiles(self, width: int) -> tuple[Profile, ...]:
        """Return the profiles in the contract's column order; the file has `width` columns."""
        table = self.sample.table(width)
        return tuple(
            profile_of(column, column.cells.values_by_distinct(table[column.cells.position]))
            if table and not column.cells.column.masked
            else profile_of(column, ())
            for column in self._columns
        )


class RecordSample:
    """A sample of evenly spaced records, the same with and without a prefilter."""

    def __init__(self) -> None:
        self._parts: list[tuple[list[tuple[int, int]], RecordSubset]] = []
        self._size = self._bytes = 0
        self._stride = 1
        self._records = 0

    def add(self, records: int, batch: RecordBatch) -> None:
        """Add the sampled records of a batch."""
        first = -self._records % self._stride
        picked = range(first, records, self._stride)
        if picked:
            numbers = [(self._records + at, batch.size(at)) for at in picked]
            self._parts.append((numbers, batch.subset(picked)))
            self._size += len(numbers)
            self._bytes += sum(length for _, length in numbers)
        self._records += records
        while self._size > 1 and (self._size > SAMPLE or self._bytes > _SAMPLED):
            self._halve()

    def _halve(self) -> None:
        """Drop every second record of the sample."""
        self._stride *= 2
        parts = []
        for numbers, subset in self._parts:
            kept = [at for at, (number, _) in enumerate(numbers) if number % self._stride == 0]
            if kept:
                parts.append(([numbers[at] for at in kept], subset.pick(kept)))
        self._parts = parts
        self._size = sum(len(numbers) for numbers, _ in parts)
        self._bytes = sum(length for numbers, _ in parts for _, length in numbers)

    def table(self, width: int) -> list[Sequence[Any]]:
        """Return the cells of the well-formed records in column order."""
        rows = [
            row
            for _, subset in self._parts
            for at, row in enumerate(subset.rows)
            if at not in subset.broken and len(row) == width
        ]
        return list(zip(*rows, strict=True))


def profile_of(column: ColumnCounts, values: Sequence[Any]) -> Profile:
    """Return the profile of a column from its counts and the values of a sample."""
    kind = column.cells.column.logical_type
    profile: dict[str, Any] = {
        "column": column.cells.column.name,
        "type": kind,
        "count": column.count,
        "nulls": column.nulls,
        "distinct": min(column.distinct.count(), column.count),
        "exact": column.distinct.exact,
    }
    if column.cells.column.masked:
        return Profile(**profile, masked=True)
    sample = sorted(value for value in values if value is not None)
    profile |= {"least": _shown(column.least), "most": _shown(column.most)}
    if kind in {"integer", "number", "date", "timestamp"} and sample:
        last = len(sample) - 1
        profile["quantiles"] = {
            f"{100 * share:g}": _shown(sample[round(share * last)]) for share in _QUANTILES
        }
        profile["histogram"] = tuple(_histogram(sample))
    else:
        shown: Counter[Any] = Counter()
        for value, times in Counter(sample).items():
            shown[_shown(value)] += times
        top = shown.most_common(_TOP)
        profile["top"] = tuple((value, round(times / len(sample), 4)) for value, times in top)
    return Profile(**profile)


def _histogram(ordered: Sequence[Any]) -> list[int]:
    """Count values in bins of equal width; the smallest and largest 1 % go to the outer bins."""
    edge = len(ordered) // 100
    low, high = _number(ordered[edge]), _number(ordered[-1 - edge])
    width = (high - low) / _BINS or 1
    if isinstance(ordered[0], int):  # each bin has the same number of integers
        width = max(1, math.ceil((high - low + 1) / _BINS))
    bins = [0] * min(_BINS, int((high - low) / width) + 1)
    for value, times in Counter(ordered).items():
        bins[max(0, min(len(bins) - 1, int((_number(value) - low) / width)))] += times
    return bins


def _number(value: Any) -> float:
    if isinstance(value, datetime):
        return value.timestamp()
    return float(value.toordinal() if isinstance(value, date) else value)


def _shown(value: Any) -> Any:
    if isinstance(value, float):
        return value + 0.0  # there is no second zero
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, (date, datetime, time)):
        return value.isoformat()
    if isinstance(value, str):
        text = (as_text(value) or "").encode("utf-8", "surrogateescape")
        shown = text.decode("utf-8", "backslashreplace")
        return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "..."
    return value


def _hashable(cell: Any) -> Any:
    """Return a hashable cell; nested JSON is not a value of any type, so its text is enough."""
    return repr(cell) if isinstance(cell, (dict, list)) else cell
