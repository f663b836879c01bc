"""Finds duplicate keys: over any number of records, in bounded memory.

Keys of a small file are in a Python set. More keys are numbers in sorted runs, which are merged
when they have similar lengths, so that there are few runs. An integer key takes 8 bytes; any other
key takes 16 bytes, two hashes of 64 bits with different seeds (two different keys among 10 million
share both with a probability below 1e-24).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # both take longer to load than a small file to validate
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    Numbers = npt.NDArray[np.int64]

SMALL = 200_000
"""Most keys that are held in a set; more keys take less memory in runs."""

_LEVEL = 4
"""Number of runs of similar length that are merged into one."""
_SEEDS = (0x5BD1E995, 0x27D4EB2F)


class Seen:
    """The keys of all records so far; with `whole_numbers` every key is a 64-bit integer.

    Other keys are canonical texts.
    """

    def __init__(self, *, whole_numbers: bool, small: int = SMALL) -> None:
        self._whole_numbers = whole_numbers
        self._small = small
        self._set: set[Hashable] = set()
        self._runs: _Runs | None = None

    def repeated(self, keys: Sequence[Hashable]) -> list[int]:
        """Return positions in `keys` whose key was seen before, in this call or an earlier one.

        None is not a key and is never a duplicate.
        """
        if self._runs is None:
            duplicates = self._repeated_in_set(keys)
            if len(self._set) > self._small:
                self._begin_runs()
            return duplicates
        return self.repeated_in(self._series(list(keys)))

    def repeated_in(self, keys: pl.Series) -> list[int]:
        """Return the same for a column of integers or of text."""
        import numpy as np  # noqa: PLC0415 - already loaded

        if self._runs is None:
            self._begin_runs()
        assert self._runs is not None  # noqa: S101 - for the type checker
        positions = np.arange(len(keys))
        if keys.null_count():
            positions = np.flatnonzero(keys.is_not_null().to_numpy())
            keys = keys.drop_nulls()
        return positions[self._runs.add(*self._numbered(keys))].tolist()  # type: ignore[no-any-return]

    def orphans_in(self, keys: pl.Series) -> list[int]:
        """Return positions of keys that have not been seen; add none; None is not a key."""
        import numpy as np  # noqa: PLC0415 - already loaded

        if self._runs is None:
            self._begin_runs()
        assert self._runs is not None  # noqa: S101 - for the type checker
        positions = np.flatnonzero(keys.is_not_null().to_numpy())
        known = self._runs.known(*self._numbered(keys.drop_nulls()))
        return positions[~known].tolist()  # type: ignore[no-any-return]

    def orphans_among(self, numbers: Any, absent: Any) -> list[int]:
        """Return the same for an array of integers, with flags where there is no key."""
        import numpy as np  # noqa: PLC0415 - already loaded

        if self._runs is None:
            self._begin_runs()
        assert self._runs is not None  # noqa: S101 - for the type checker
        positions = np.flatnonzero(np.frombuffer(absent, np.uint8) == 0)
        known = self._runs.known(np.frombuffer(numbers, np.int64)[positions], None)
        return positions[~known].tolist()  # type: ignore[no-any-return]

    def __len__(self) -> int:
        return len(self._set) if self._runs is None else len(self._runs)

    def _repeated_in_set(self, keys: Sequence[Hashable]) -> list[int]:
        distinct = set(keys)
        distinct.discard(None)
        known = distinct & self._set
        self._set |= distinct
        if len(distinct) == len(keys) and not known:
            return []
        duplicates = []
        for position, key in enumerate(keys):
            if key is None:
                continue
            if key in known:
                duplicates.append(position)
            else:
                known.add(key)
        return duplicates

    def _begin_runs(self) -> None:
        self._runs = _Runs()
        if self._set:
            self._runs.add(*self._numbered(self._series(list(self._set))))
        self._set = set()

    def _series(self, keys: list[Hashable]) -> pl.Series:
        import polars as pl  # noqa: PLC0415 - loaded only for large files

        return pl.Series(keys, dtype=pl.Int64 if self._whole_numbers else pl.String)

    def _numbered(self, keys: pl.Series) -> tuple[Numbers, Numbers | None]:
        """Return keys as numbers to sort by, and second hashes to distinguish them."""
        import numpy as np  # noqa: PLC0415 - likewise

        if self._whole_numbers:
            return keys.to_numpy(), None
        first, second = (keys.hash(seed).to_numpy().view(np.int64) for seed in _SEEDS)
        return first, second


class KeyLog:
    """Keys that are compared elsewhere: it keeps those of one batch and finds no duplicates."""

    def __init__(self) -> None:
        self.by_index: dict[int, Hashable] = {}

    def note(self, indexes: Sequence[int], keys: Sequence[Hashable]) -> None:
        """Keep the keys of these records of the batch."""
        self.by_index.update(zip(indexes, keys, strict=True))

    def repeated(self, keys: Sequence[Hashable]) -> list[int]:
        """Return nothing; see `note`."""
        del keys
        return []

    def repeated_in(self, keys: pl.Series) -> list[int]:
        """Keep the keys of all records of the batch; return nothing."""
        self.note(range(len(keys)), keys.to_list())
        return []

    def __len__(self) -> int:
        return 0


class _Runs:
    """Sorted arrays of distinct numbers, with their second hashes if there are any."""

    def __init__(self) -> None:
        import numpy as np  # noqa: PLC0415 - loaded only for large files

        self._np: Any = np
        self._runs: list[tuple[Numbers, Numbers | None]] = []

    def add(self, keys: Numbers, more: Numbers | None) -> Numbers:
        """Add keys; return the positions of duplicates, ascending."""
        np = self._np
        if more is None:
            order, ordered, further = None, np.sort(keys), None
        else:
            order = np.lexsort((more, keys))
            ordered, further = keys[order], more[order]
        same = ordered[1:] == ordered[:-1]
        if further is not None:
            same &= further[1:] == further[:-1]
        known = self.known(ordered, further)
        if not same.any() and not known.any():
            self._add(ordered, further)
            none: Numbers = np.zeros(0, np.int64)
            return none
        if order is None:
            order = np.argsort(keys, kind="stable")
        # The order is stable: the first of equal keys in this call comes first.
        repeats = np.concatenate((np.zeros(1, bool), same)) | known
        self._add(ordered[~repeats], None if further is None else further[~repeats])
        duplicates: Numbers = np.sort(order[repeats])
        return duplicates

    def __len__(self) -> int:
        return sum(len(keys) for keys, _ in self._runs)

    def known(self, keys: Numbers, further: Numbers | None) -> Any:
        """Return flags of the keys that are present."""
        np = self._np
        known = np.zeros(len(keys), bool)
        for run, more in self._runs:
            at = np.searchsorted(run, keys)
            if more is None or further is None:
                np.minimum(at, len(run) - 1, out=at)
                known |= run[at] == keys
                continue
            active = np.ones(len(keys), bool)
            while active.any():  # one round, except for keys that share only the first hash
                active &= at < len(run)
                np.minimum(at, len(run) - 1, out=at)
                active &= run[at] == keys
                known |= active & (more[at] == further)
                active &= ~known
                at += 1
        return known

    def _add(self, ordered: Numbers, further: Numbers | None) -> None:
        np = self._np
        if not len(ordered):
            return
        self._runs.append((ordered, further))
        while True:
            last = len(self._runs[-1][0])
            similar = [run for run in self._runs if len(run[0]) < 2 * last]
            if len(similar) < _LEVEL:
                return
            self._runs = [run for run in self._runs if len(run[0]) >= 2 * last]
            keys = np.concatenate([run[0] for run in similar])
            if further is None:
                del similar  # free the largest array before sorting its copy
                keys.sort()
                self._runs.append((keys, None))
                continue
            more = np.concatenate([run[1] for run in similar if run[1] is not None])
            order = np.argsort(keys, kind="stable")
            self._runs.append((keys[order], more[order]))
