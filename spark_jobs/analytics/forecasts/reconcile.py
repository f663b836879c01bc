"""Forecasts that add up: categories to the total, countries to the same total.

Of all forecasts that add up the nearest is taken, with each series' distance weighted by the
inverse of its error's variance: x' = x - W A' (A W A')^-1 A x (Wickramasuriya et al. 2019, WLS).
It is for adding up, not for accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spark_jobs.analytics.forecasts.series import CATEGORY, COUNTRY, TOTAL, Floats

_ROUNDS = 4


def reconcile(forecasts: Floats, keys: Sequence[tuple[str, str]], scales: Floats) -> Floats:
    """Return forecasts that add up, none negative.

    Args:
        forecasts: a row for each key, a column for each day.
        keys: level and key.
        scales: the usual error of each series, of the forecasts' unit.
    """
    constraints = _constraints(keys)
    result = forecasts.copy()
    weights = np.maximum(scales, 1e-9) ** 2
    for _ in range(_ROUNDS):
        # A series that was clipped to 0 on a day keeps it; the others share the difference.
        for day in range(result.shape[1]):
            free = weights * (result[:, day] > 0) if _ else weights
            gap = constraints @ result[:, day]
            if np.abs(gap).max(initial=0) < 1e-9:  # noqa: PLR2004 - nothing to share
                continue
            spread = (free * constraints).T
            step, *_rest = np.linalg.lstsq(constraints @ spread, gap, rcond=None)
            result[:, day] -= spread @ step
        result = np.maximum(result, 0)
    return result


def to_cents(forecasts: Floats, keys: Sequence[tuple[str, str]]) -> Floats:
    """Round to cents so that the sums stay exact: the largest series takes the difference."""
    cents = np.rint(forecasts * 100).astype(np.int64)
    total = _rows(keys, TOTAL)
    for level in (CATEGORY, COUNTRY):
        rows = _rows(keys, level)
        if len(rows) and len(total):
            largest = rows[np.argmax(cents[rows].sum(axis=1))]
            cents[largest] += cents[total[0]] - cents[rows].sum(axis=0)
    return cents / 100


def _constraints(keys: Sequence[tuple[str, str]]) -> Floats:
    total = _rows(keys, TOTAL)
    rows = []
    for level in (CATEGORY, COUNTRY):
        members = _rows(keys, level)
        if len(members):
            row = np.zeros(len(keys))
            row[members], row[total] = 1, -1
            rows.append(row)
    return np.stack(rows) if rows else np.zeros((0, len(keys)))


def _rows(
    keys: Sequence[tuple[str, str]], level: str
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array([n for n, (each, _) in enumerate(keys) if each == level], dtype=np.int64)
