"""Drift of features: the population stability index between two samples.

PSI = sum over bins of (p - q) ln(p / q), with the shares p now and q then in bins that are the
deciles of the earlier sample (Siddiqi, Credit Risk Scorecards, 2006). Empty bins count as half a
row, so that the index is finite.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

WARN, STOP = 0.25, 0.40
"""Natural change stays below 0.14 from month to month; half of the orders lost gives 0.45."""

_BINS = 10


def edges_of(values: NDArray[np.float64]) -> list[float]:
    """Return the inner edges of the deciles of a sample, each once."""
    inner = np.quantile(values, np.linspace(0, 1, _BINS + 1)[1:-1])
    return [float(edge) for edge in np.unique(inner)]


def shares(values: NDArray[np.float64], edges: list[float]) -> NDArray[np.float64]:
    """Return the share of a sample in each bin; empty bins have half a row."""
    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
    filled = np.maximum(counts, 0.5)
    result: NDArray[np.float64] = filled / filled.sum()
    return result


def psi(now: NDArray[np.float64], then: NDArray[np.float64]) -> float:
    """Return the population stability index of two shares over the same bins."""
    return float(((now - then) * np.log(now / then)).sum())


def reference(features: pd.DataFrame) -> dict[str, dict[str, list[float]]]:
    """Return what later samples are compared with: edges and shares by feature."""
    bins = {}
    for name in features.columns:
        values = features[name].to_numpy(dtype=float)
        edges = edges_of(values)
        bins[str(name)] = {"edges": edges, "shares": shares(values, edges).tolist()}
    return bins


def compare(
    features: pd.DataFrame, known: Mapping[str, Mapping[str, list[float]]]
) -> dict[str, float]:
    """Return the index of each feature against a `reference`."""
    return {
        name: psi(
            shares(features[name].to_numpy(dtype=float), bins["edges"]), np.array(bins["shares"])
        )
        for name, bins in known.items()
        if name in features
    }
