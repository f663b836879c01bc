"""Which keys have been seen before: exact, over any number of records, in bounded memory.

A Python set serves small files. Beyond ``SMALL`` keys they go to sorted runs of numbers that are
merged when they grow alike, so that there are only ever a few: 8 bytes a whole number, 16 bytes
any other key, which stands as a 128-bit digest (two different keys among 10 million share one
with a probability below 1e-24).
"""

from collections.abc import Hashable, Iterable, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # Polars takes longer to load than a small file to judge
    import polars as pl

SMALL = 200_000
"""Keys held in a plain set; more cost more memory there than in runs."""


class Seen:
    """The keys of all records so far. ``whole_numbers``: every key is a 64-bit integer."""

    def __init__(self, *, whole_numbers: bool, small: int = SMALL) -> None:
        self._whole_numbers = whole_numbers
        self._small = small
        self._few: set[Hashable] = set()
        self._runs: _Runs | None = None

    def repeated(self, keys: Sequence[Hashable]) -> list[int]:
        """Positions in ``keys`` whose key was seen before, in this call or an earlier one.

        A key of None is no key: it repeats nothing.
        """
        distinct = set(keys)
        distinct.discard(None)
        known = self._known(distinct)
        self._add(distinct - known if known else distinct)
        if len(distinct) == len(keys) and not known:
            return []
        again = []
        met = known
        for position, key in enumerate(keys):
            if key is None:
                continue
            if key in met:
                again.append(position)
            else:
                met.add(key)
        return again

    def take(self, column: "pl.Series") -> bool:
        """Take a whole column of whole numbers in, if none of them repeats; say whether it was."""
        if self._runs is None:
            keys = column.to_list()
            distinct = set(keys)
            if len(distinct) != len(keys) or not distinct.isdisjoint(self._few):
                return False
            self._add(distinct)
            return True
        if column.null_count() or column.n_unique() != len(column) or self._runs.hits(column):
            return False
        self._runs.append(column)
        return True

    def _known(self, distinct: set[Hashable]) -> set[Hashable]:
        if self._runs is None:
            return distinct & self._few
        return self._runs.known(self._numbered(distinct))

    def _add(self, fresh: set[Hashable]) -> None:
        if self._runs is not None:
            self._runs.add(self._numbered(fresh))
            return
        self._few |= fresh
        if len(self._few) > self._small:
            self._runs = _Runs(wide=not self._whole_numbers)
            self._runs.add(self._numbered(self._few))
            self._few = set()

    def _numbered(self, keys: Iterable[Hashable]) -> dict[int, Hashable]:
        if self._whole_numbers:
            return {key: key for key in keys}  # type: ignore[misc]
        return {_digest(key): key for key in keys}


class _Runs:
    """Sorted columns of distinct numbers; the later ones are shorter."""

    def __init__(self, *, wide: bool) -> None:
        import polars as pl  # noqa: PLC0415 - only a large file pays for it

        self._pl = pl
        self._type = pl.Int128 if wide else pl.Int64
        self._runs: list[pl.Series] = []

    def known(self, numbers: dict[int, Hashable]) -> set[Hashable]:
        """The keys of ``numbers`` that a run holds."""
        return {numbers[number] for number in self.hits(self._series(numbers))}

    def hits(self, wanted: "pl.Series") -> list[int]:
        """Those of ``wanted`` that a run holds."""
        wanted = wanted.sort()  # neighbours are then found near each other
        found: list[int] = []
        for run in self._runs:
            at = run.search_sorted(wanted).clip(upper_bound=len(run) - 1)
            found += wanted.filter(run.gather(at) == wanted).to_list()
        return found

    def add(self, numbers: dict[int, Hashable]) -> None:
        """Take ``numbers`` in; none of them is in a run yet."""
        self.append(self._series(numbers))

    def _series(self, numbers: Iterable[int]) -> "pl.Series":
        return self._pl.Series(list(numbers), dtype=self._type)

    def append(self, fresh: "pl.Series") -> None:
        """Take numbers in as a run of their own, merged with those of like length."""
        if fresh.is_empty():
            return
        self._runs.append(fresh.sort())
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            last = self._runs.pop()
            self._runs[-1] = self._runs[-1].append(last).rechunk().sort()


def _digest(key: Hashable) -> int:
    data = blake2b(repr(key).encode("utf-8", "surrogateescape"), digest_size=16).digest()
    return int.from_bytes(data, signed=True)
