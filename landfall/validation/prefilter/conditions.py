"""Evaluates the conditions of quality rules over the valid records of a block, with Polars.

The kernel has no conditions. Of the records that it passes only the columns that conditions read
are parsed. They are well-formed and their cells valid, so a vectorised parser is exact for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from landfall.validation.metrics import Metric, Metrics
from landfall.validation.prefilter.expressions import expression

_LF, _CR = 10, 13


class Conditions(NamedTuple):
    """What conditions say of a block, without the candidates.

    `matched` has the records of which a rule allows none, by the rule's metric; `measured` is as in
    `batches.ScanResult`.
    """

    matched: list[tuple[Metric, list[int]]]
    measured: list[tuple[int, Any, Any, Any]]


@dataclass(frozen=True)
class ConditionScanner:
    """The conditions of a contract, for files of one dialect with `width` columns."""

    metrics: Metrics
    width: int
    delimiter: str
    quote: str

    def scan(
        self, block: bytes, starts: Any, ends: Any, candidates: Sequence[int]
    ) -> Conditions | None:
        """Evaluate all conditions; return None if the records cannot be parsed."""
        first, last = np.frombuffer(starts, np.uint32), np.frombuffer(ends, np.uint32)
        kept = np.ones(len(first), bool)
        kept[list(candidates)] = False
        frame = self._parse(_text(block, first[kept], last[kept]), int(kept.sum()))
        if frame is None:
            return None
        values = self.metrics.frame(frame)
        indexes = np.flatnonzero(kept)
        matched = []
        for metric in self.metrics.per_record:
            true = values.select(expression(metric.rule.condition).arg_true()).to_series()
            if len(true):
                matched.append((metric, indexes[true.to_numpy()].tolist()))
        return Conditions(matched, measured(self.metrics, values))

    def _parse(self, text: bytes, rows: int) -> pl.DataFrame | None:
        positions = sorted({cells.position for cells in self.metrics.needed if cells.position >= 0})
        if not rows:
            return pl.DataFrame(schema={str(position): pl.String for position in positions})
        if not positions:  # the file lacks the columns: they are null in every record
            return pl.DataFrame({"": [None] * rows})
        try:
            frame = pl.read_csv(
                text,
                has_header=False,
                schema={str(position): pl.String for position in range(self.width)},
                separator=self.delimiter,
                quote_char=self.quote if self.quote.encode() in text else None,
                empty_string_is_null=False,
                columns=positions,
            )
        except pl.exceptions.PolarsError:
            return None
        return frame if len(frame) == rows else None


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


def _text(block: bytes, starts: Any, ends: Any) -> bytes:
    """Return these records of the block, each with a line feed alone at its end."""
    if not len(starts):
        return b""
    breaks = np.flatnonzero(starts[1:] != ends[:-1]) + 1
    runs = zip(starts[[0, *breaks]].tolist(), ends[[*(breaks - 1), -1]].tolist(), strict=True)
    text = b"".join(block[start:end] for start, end in runs)
    if b"\r" not in text:
        return text
    data = np.frombuffer(text, np.uint8)
    stops = np.cumsum(ends.astype(np.int64) - starts)
    before = np.where(data[stops - 1] == _LF, stops - 2, stops - 1)
    returns = before[data[before] == _CR]
    return np.delete(data, returns).tobytes()
