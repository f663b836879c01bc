"""Chance without state: each draw is a function of seed, stream and index alone.

So any record can be made without those before it, files can be split anywhere, and memory does not
grow. Only integers and plain arithmetic are used on arrays, because the last bit of a logarithm
differs between processors and releases, and the same seed must give the same bytes.
"""

from collections.abc import Sequence
from math import exp, log
from statistics import NormalDist
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Words = NDArray[np.uint64]
Flags = NDArray[np.bool_]

STEPS = 4096
"""Entries of a table of quantiles: fine enough for a tail of one in eight thousand."""

_ODD = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def words(seed: int, stream: str, index: NDArray[Any]) -> Words:
    """64 even bits for every index of a stream: splitmix64 of it, twice."""
    start = np.uint64((seed * 0x9E3779B97F4A7C15 + crc32(stream.encode())) & (2**64 - 1))
    return _mixed(_mixed(index.astype(np.uint64) * _ODD + start) ^ start)


def _mixed(value: Words) -> Words:
    value = (value ^ (value >> np.uint64(30))) * _FIRST
    value = (value ^ (value >> np.uint64(27))) * _SECOND
    return value ^ (value >> np.uint64(31))


def below(bits: Words, bound: int | Ints) -> Ints:
    """Whole numbers from 0 to below `bound`, evenly; `bound` less than 2**31."""
    high = bits >> np.uint64(32)
    return ((high * np.asarray(bound).astype(np.uint64)) >> np.uint64(32)).astype(np.int64)


def share(bits: Words, part: float) -> Flags:
    """True for a `part` of the draws."""
    return (bits >> np.uint64(32)) < np.uint64(int(part * 2**32))


def weighted(bits: Words, weights: Sequence[int] | Ints) -> Ints:
    """Positions of `weights`, each as often as it weighs; their sum less than 2**31."""
    edges = np.cumsum(np.asarray(weights, dtype=np.int64))
    return np.searchsorted(edges, below(bits, int(edges[-1])), side="right").astype(np.int64)


def from_table(bits: Words, table: Ints) -> Ints:
    """A draw from a distribution given by its `STEPS` quantiles."""
    return table[(bits >> np.uint64(52)).astype(np.int64)]


def lognormal(median: float, sigma: float) -> Ints:
    """Quantiles, in whole units, of a value that is as often half as double its median."""
    bell = NormalDist()
    return np.array(
        [round(median * exp(sigma * bell.inv_cdf(q))) for q in _quantiles()],
        dtype=np.int64,
    )


def pareto(alpha: float, most: int) -> Ints:
    """Quantiles of 1 or more with a heavy tail, `most` at the most."""
    return np.array([min(most, int((1 - q) ** (-1 / alpha))) for q in _quantiles()], dtype=np.int64)


def normal(scale: float) -> Ints:
    """Quantiles of a bell around 0, in whole units."""
    bell = NormalDist(0, scale)
    return np.array([round(bell.inv_cdf(q)) for q in _quantiles()], dtype=np.int64)


def gumbel(scale: float) -> Ints:
    """Quantiles of Gumbel's distribution: with it added, the greatest score is a soft choice."""
    return np.array([round(-scale * log(-log(q))) for q in _quantiles()], dtype=np.int64)


def _quantiles() -> list[float]:
    return [(step + 0.5) / STEPS for step in range(STEPS)]
