"""Stateless random numbers: each draw is a function of seed, stream and index.

So a record can be generated without those before it, files can be split anywhere, and memory does
not grow. Arrays use only integers and plain arithmetic, because the last bit of a logarithm differs
between processors and releases, and the same seed must give the same bytes.
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
"""Entries of a table of quantiles."""

_ODD = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def words(seed: int, stream: str, index: NDArray[Any]) -> Words:
    """Return 64 random bits for every index of a stream: splitmix64, twice."""
    start = np.uint64((seed * 0x9E3779B97F4A7C15 + crc32(stream.encode())) & (2**64 - 1))
    return _mixed(_mixed(index.astype(np.uint64) * _ODD + start) ^ start)


def _mixed(value: Words) -> Words:
    value = (value ^ (value >> np.uint64(30))) * _FIRST
    value = (value ^ (value >> np.uint64(27))) * _SECOND
    return value ^ (value >> np.uint64(31))


def below(bits: Words, bound: int | Ints) -> Ints:
    """Return uniform integers from 0 to below `bound`, which is less than 2**31."""
    high = bits >> np.uint64(32)
    return ((high * np.asarray(bound).astype(np.uint64)) >> np.uint64(32)).astype(np.int64)


def share(bits: Words, part: float) -> Flags:
    """Return flags that are true for a share `part` of the draws."""
    return (bits >> np.uint64(32)) < np.uint64(int(part * 2**32))


def weighted(bits: Words, weights: Sequence[int] | Ints) -> Ints:
    """Return positions of `weights` by weight; their sum is less than 2**31."""
    edges = np.cumsum(np.asarray(weights, dtype=np.int64))
    return np.searchsorted(edges, below(bits, int(edges[-1])), side="right").astype(np.int64)


def from_table(bits: Words, table: Ints) -> Ints:
    """Draw from a distribution given by its `STEPS` quantiles."""
    return table[(bits >> np.uint64(52)).astype(np.int64)]


def lognormal(median: float, sigma: float) -> Ints:
    """Return integer quantiles of a log-normal distribution."""
    bell = NormalDist()
    return np.array(
        [round(median * exp(sigma * bell.inv_cdf(q))) for q in _quantiles()],
        dtype=np.int64,
    )


def pareto(alpha: float, most: int) -> Ints:
    """Return integer quantiles of a Pareto distribution from 1 to `most`."""
    return np.array([min(most, int((1 - q) ** (-1 / alpha))) for q in _quantiles()], dtype=np.int64)


def normal(scale: float) -> Ints:
    """Return integer quantiles of a normal distribution around 0."""
    bell = NormalDist(0, scale)
    return np.array([round(bell.inv_cdf(q)) for q in _quantiles()], dtype=np.int64)


def exponential(mean: float) -> Ints:
    """Return integer quantiles of an exponential distribution."""
    return np.array([round(-mean * log(1 - q)) for q in _quantiles()], dtype=np.int64)


def gamma(shape: float, mean: float) -> Ints:
    """Return integer quantiles of a gamma distribution, by Wilson and Hilferty's approximation."""
    bell, ninth = NormalDist(), 1 / (9 * shape)
    cubes = [max(0.0, 1 - ninth + bell.inv_cdf(q) * ninth**0.5) ** 3 for q in _quantiles()]
    return np.array([round(mean * cube) for cube in cubes], dtype=np.int64)


def gumbel(scale: float) -> Ints:
    """Return integer quantiles of a Gumbel distribution, for a softmax choice by scores."""
    return np.array([round(-scale * log(-log(q))) for q in _quantiles()], dtype=np.int64)


def _quantiles() -> list[float]:
    return [(step + 0.5) / STEPS for step in range(STEPS)]
