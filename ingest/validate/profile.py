"""What the values of each column are like, gathered while they are judged.

Counts, nulls and extremes are of all records in good form whose value is one of the column's type,
rejected or not. Distinct values are counted as long as they are few, then estimated from their
hashes. Quantiles and pictures come from an even sample of the records.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any, Protocol

from ingest.validate.columns import Cells, as_text
from ingest.validate.report import Profile

if TYPE_CHECKING:  # both take longer to load than a small file to judge
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    from ingest.validate.screening import Look

    Flags = npt.NDArray[np.bool_]
    Hashes = npt.NDArray[np.uint64]
    Slots = npt.NDArray[np.uint16]

EXACT = 4096
"""Distinct values that are counted one by one."""
SAMPLE = 4000
"""Records of the sample at most; half of them at least."""

_SLOTS = 1 << 16
_LOW = 1 << 14
_FIRST_LIMIT = 1 << 58
_BINS = 20
_TOP = 8
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_SEED = 0x9E3779B9
_SHOWN = 60


class Distinct:
    """How many different values there are.

    Counted while they are few and come as values; else estimated within some 2 %: from the share
    of 65,536 slots that their hashes leave empty, and where nearly all are taken from how many
    different hashes lie below a limit.
    """

    def __init__(self) -> None:
        self._few: set[Any] | None = set()
        self._taken: Flags | None = None
        self._low: set[int] = set()
        self._limit = _FIRST_LIMIT

    def add(self, values: Iterable[Any]) -> None:
        """Take values in, all of them numbers or all of them text."""
        held = list(values) if self._few is None else self._few
        if self._few is not None:
            self._few.update(values)
            if len(self._few) <= EXACT:
                return
        if held:
            self.add_hashes(*hashes(list(held)))

    def add_hashes(self, slots: "Slots", low: "Hashes") -> None:
        """Take in what ``hashes`` made of some values."""
        import numpy as np  # noqa: PLC0415 - so many values come from a large file

        if self._taken is None:
            held, self._few = self._few, None
            self._taken = np.zeros(_SLOTS, bool)
            if held:
                self.add_hashes(*hashes(list(held)))
        self._taken[slots] = True
        self._low.update(low[low < self._limit].tolist())
        while len(self._low) > _LOW:
            self._limit //= 2
            self._low = {one for one in self._low if one < self._limit}

    @property
    def exact(self) -> bool:
        """Whether every one was counted."""
        return self._few is not None

    def count(self) -> int:
        """How many."""
        if self._few is not None:
            return len(self._few)
        if self._taken is None:  # pragma: no cover - one of them is there
            return 0
        free = _SLOTS - int(self._taken.sum())
        if free > _SLOTS // 20:
            return round(-_SLOTS * math.log(free / _SLOTS))
        return round(len(self._low) * 2.0**64 / self._limit)


def hashes(values: "Sequence[Any] | pl.Series") -> "tuple[Slots, Hashes]":
    """Slots and low hashes of numbers or text; equal values give equal ones."""
    import numpy as np  # noqa: PLC0415 - whoever has so many values has loaded it
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


def _column_of(values: "Sequence[Any]") -> "pl.Series":
    import polars as pl  # noqa: PLC0415 - likewise

    whole = all(isinstance(value, int) for value in values)
    if whole:
        return pl.Series(list(values), dtype=pl.Int64)
    return pl.Series([str(value) for value in values], dtype=pl.String)


class Count(Protocol):
    """How many different values there are."""

    @property
    def exact(self) -> bool:
        """Whether every one was counted."""

    def count(self) -> int:
        """How many."""


class Found(Protocol):
    """What is known of a column's values, all of them counted."""

    @property
    def cells(self) -> Cells:
        """The column."""

    @property
    def count(self) -> int:
        """Values that are one of the column's type."""

    @property
    def nulls(self) -> int:
        """Missing ones."""

    @property
    def distinct(self) -> Count:
        """Different ones."""

    @property
    def least(self) -> Any:
        """The smallest; ``most`` the largest."""

    @property
    def most(self) -> Any:
        """See ``least``."""


class _Column:
    def __init__(self, cells: Cells) -> None:
        self.cells = cells
        self.count = self.nulls = 0
        self.distinct = Distinct()
        self.least: Any = None
        self.most: Any = None

    def extend(self, values: Sequence[Any]) -> None:
        """Widen the extremes."""
        if values:
            least, most = min(values), max(values)
            self.least = least if self.least is None else min(least, self.least)
            self.most = most if self.most is None else max(most, self.most)


class Profiler:
    """Gathers the profiles of all columns of a file."""

    def __init__(self, cells: Sequence[Cells]) -> None:
        self._columns = [_Column(one) for one in cells]
        self._sample: list[list[Sequence[Any]] | pl.DataFrame] = []
        self._sampled = 0
        self._stride = 1
        self._record = 0

    def take_cells(self, table: Sequence[Sequence[Any]]) -> None:
        """Records in good form, column by column."""
        if not table:
            return
        rows = len(table[0])
        picked = self._picked(rows)
        for column in self._columns:
            cells = table[column.cells.position]
            counts = Counter(map(_hashable, cells))
            missing = counts.pop(None, 0) + counts.pop("", 0)
            sound = column.cells.sound_values(list(counts))
            column.nulls += missing
            column.count += sum(counts[cell] for cell in sound)
            column.distinct.add(_canonical(cell, value) for cell, value in sound.items())
            column.extend(list(sound.values()))
        if picked:
            kept = [table[column.cells.position] for column in self._columns]
            self._keep([cells[picked.start :: picked.step] for cells in kept], len(picked))

    def take_look(self, look: "Look") -> None:
        """The records of a block that were not judged one by one."""
        rows = look.rows - len(look.suspects)
        picked: Sequence[int] = self._picked(look.rows)
        if look.suspects:
            suspects = set(look.suspects)
            picked = [at for at in picked if at not in suspects]
        for column in self._columns if look.facts else ():
            fact = look.facts[column.cells.position]
            column.nulls += fact.nulls
            column.count += rows - fact.nulls
            column.extend([value for value in (fact.least, fact.most) if value is not None])
            if fact.distinct is not None:
                column.distinct.add(fact.distinct)
            elif fact.hashes is not None:
                column.distinct.add_hashes(*fact.hashes)
        if picked:
            self._keep(look.frame[list(picked)], len(picked))

    def _picked(self, rows: int) -> range:
        """Positions of the next ``rows`` records that belong to the sample."""
        first = -self._record % self._stride
        self._record += rows
        return range(first, rows, self._stride)

    def _keep(self, some: "list[Sequence[Any]] | pl.DataFrame", records: int) -> None:
        self._sample.append(some)
        self._sampled += records
        while self._sampled > SAMPLE:
            self._stride *= 2
            self._sampled = 0
            for at, part in enumerate(self._sample):
                if isinstance(part, list):
                    thin: list[Sequence[Any]] | pl.DataFrame = [cells[::2] for cells in part]
                else:
                    thin = part[list(range(0, len(part), 2))]
                self._sample[at] = thin
                self._sampled += len(thin[0]) if isinstance(thin, list) else len(thin)

    def profiles(self) -> tuple[Profile, ...]:
        """One a column, in the contract's order."""
        return tuple(
            profile_of(
                column, [value for part in self._sample for value in _values(part, at, column)]
            )
            for at, column in enumerate(self._columns)
        )


def _values(part: "list[Sequence[Any]] | pl.DataFrame", at: int, column: _Column) -> list[Any]:
    """What one column has in a part of the sample."""
    if isinstance(part, list):
        return column.cells.values(part[at])
    cells = part[str(column.cells.position)].to_list()
    return cells if any(isinstance(one, int) for one in cells[:1]) else column.cells.values(cells)


def profile_of(column: Found, values: Sequence[Any]) -> Profile:
    """The profile of a column from what was counted and the values of a sample."""
    kind = column.cells.column.logical_type
    found: dict[str, Any] = {
        "column": column.cells.column.name,
        "type": kind,
        "count": column.count,
        "nulls": column.nulls,
        "distinct": min(column.distinct.count(), column.count),
        "exact": column.distinct.exact,
    }
    if column.cells.column.masked:
        return Profile(**found, masked=True)
    sample = sorted(value for value in values if value is not None)
    found |= {"least": _shown(column.least), "most": _shown(column.most)}
    if kind in {"integer", "number", "date", "timestamp"} and sample:
        last = len(sample) - 1
        found["quantiles"] = {
            f"{100 * share:g}": _shown(sample[round(share * last)]) for share in _QUANTILES
        }
        found["histogram"] = tuple(_histogram(sample))
    else:
        top = Counter(map(_shown, sample)).most_common(_TOP)
        found["top"] = tuple((value, round(times / len(sample), 4)) for value, times in top)
    return Profile(**found)


def _histogram(ordered: Sequence[Any]) -> list[int]:
    """Values in bins of equal width between the 1 % that are smallest and largest."""
    numbers = [_number(value) for value in ordered]
    edge = len(numbers) // 100
    low, high = numbers[edge], numbers[-1 - edge]
    width = (high - low) / _BINS or 1
    if isinstance(ordered[0], int):  # a bin holds as many whole numbers as any other
        width = max(1, math.ceil((high - low + 1) / _BINS))
    bins = [0] * min(_BINS, int((high - low) / width) + 1)
    for number in numbers:
        bins[max(0, min(len(bins) - 1, int((number - low) / width)))] += 1
    return bins


def _number(value: Any) -> float:
    if isinstance(value, datetime):
        return value.timestamp()
    return float(value.toordinal() if isinstance(value, date) else value)


def _shown(value: Any) -> Any:
    if isinstance(value, (date, datetime, time)):
        return value.isoformat()
    if isinstance(value, str):
        text = (as_text(value) or "").encode("utf-8", "surrogateescape")
        shown = text.decode("utf-8", "backslashreplace")
        return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "..."
    return value


def _canonical(cell: Any, value: Any) -> Any:
    return value if isinstance(value, int) and not isinstance(value, bool) else str(cell)


def _hashable(cell: Any) -> Any:
    """Nested JSON is no value of any type and only has to be counted apart."""
    return repr(cell) if isinstance(cell, (dict, list)) else cell
