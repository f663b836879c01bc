"""Evaluates the conditions of quality rules over the values of a block, with Polars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from landfall.validation.metrics import Metric, Metrics
from landfall.validation.prefilter.expressions import expression


class Conditions(NamedTuple):
    """What conditions say of a block, without the candidates.

    `matched` has the records of which a rule allows none, by the rule's metric; `measured` is as in
    `batches.ScanResult`.
    """

    matched: list[tuple[Metric, list[int]]]
    measured: list[tuple[int, Any, Any, Any]]


def conditions_of(metrics: Metrics, values: pl.DataFrame, candidates: Sequence[int]) -> Conditions:
    """Evaluate all conditions; `values` has the columns of `metrics.needed` by their names."""
    kept = np.ones(len(values), bool)
    kept[list(candidates)] = False
    if len(candidates):
        values = values.filter(kept)
    indexes = np.flatnonzero(kept)
    matched = []
    for metric in metrics.per_record:
        true = values.select(expression(metric.rule.condition).arg_true()).to_series()
        if len(true):
            matched.append((metric, indexes[true.to_numpy()].tolist()))
    return Conditions(matched, measured(metrics, values))


def measured(metrics: Metrics, values: pl.DataFrame) -> list[tuple[int, Any, Any, Any]]:
    """Return count, sum and extremes of each summed metric."""
    if not metrics.summed:
        return []
    expressions = [
        expr.alias(f"{at} {part}")
        for at, metric in enumerate(metrics.summed)
        for part, expr in enumerate(metric.aggregates())
    ]
    row = values.select(expressions).row(0)
    return [row[at : at + 4] for at in range(0, len(row), 4)]
