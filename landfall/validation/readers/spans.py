"""Ranges of rejected records, merged and stored compactly for the clean copy."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

from landfall.validation.problems import Refusal

MAX_SPANS = 4_000_000
"""Most separate ranges; each takes 16 bytes."""


class Spans:
    """Half-open ranges in ascending order; adjacent ranges are merged."""

    def __init__(self) -> None:
        self._starts = array("q")
        self._ends = array("q")

    def extend(self, spans: Iterable[tuple[int, int]]) -> None:
        """Add ranges after the last one.

        Raises:
            Refusal: there are more than `MAX_SPANS` ranges.
        """
        for start, end in spans:
            if self._ends and self._ends[-1] == start:
                self._ends[-1] = end
                continue
            if len(self._starts) >= MAX_SPANS:
                raise Refusal(
                    f"more than {MAX_SPANS:,} records break the contract",
                    "fix the export; the reasons file lists what was found so far",
                )
            self._starts.append(start)
            self._ends.append(end)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._starts, self._ends, strict=True)


def without(chunks: Iterable[bytes], spans: Iterable[tuple[int, int]]) -> Iterator[bytes]:
    """Yield the bytes of `chunks` that are in none of `spans`."""
    ranges = iter(spans)
    start, end = next(ranges, (None, None))
    offset = 0
    for chunk in chunks:
        at = 0
        stop = offset + len(chunk)
        while start is not None and end is not None and start < stop:
            if start > offset + at:
                yield chunk[at : start - offset]
            at = min(end, stop) - offset
            if end > stop:
                break
            start, end = next(ranges, (None, None))
        if at < len(chunk):
            yield chunk[at:]
        offset = stop
