"""Backtest, choose, calibrate, forecast: the whole model of the series, without Spark.

Each origin of the backtest sees the days before it alone. What is published of a series is the
median of its candidates, or a baseline where the median did not win. Intervals are quantiles of
the errors of earlier origins, each scaled by its series' own mean error, and pooled: few origins
give many scores (statsforecast's conformal intervals by series cover 67 % at 80 with eight).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from spark_jobs.analytics.forecasts.candidates import (
    BASELINES,
    ENSEMBLE,
    SEASONAL_MEAN,
    SEASONAL_NAIVE,
    candidates_of,
    ensemble,
    event_lifts,
    lifts_of,
)
from spark_jobs.analytics.forecasts.reconcile import reconcile, to_cents
from spark_jobs.analytics.forecasts.series import (
    WEEK,
    Calendar,
    Floats,
    SeriesSet,
    closed_ahead,
    fill_closed,
)
from spark_jobs.analytics.gates import Gate, at_least, at_most

HORIZON = 28
ORIGINS = 9
LEAST_DAYS = 56
"""Shorter series get a baseline."""
LEAST_TRAIN = 112
BANDS = {80: (0.10, 0.90), 95: (0.025, 0.975)}
_LEAST_SCORES = 200
_STEP = 28
_SHOWN_DAYS = 120
_TINY = 1e-9

Map = Callable[[Callable[[Any], Any], Sequence[Any]], Sequence[Any]]
"""Applies a function to many items: here, or by Spark."""


@dataclass(frozen=True)
class Task:
    """A series up to an origin, cleaned: the unit that Spark distributes."""

    row: int
    origin: int
    amounts: Floats
    start: pd.Timestamp


def run_task(task: Task) -> tuple[int, int, dict[str, Floats]]:
    """Return the forecasts of all candidates, without events."""
    days = pd.date_range(task.start, periods=len(task.amounts), freq="D")
    if len(task.amounts) < LEAST_DAYS:
        chosen = {
            name: each for name, each in candidates_of(task.amounts).items() if name in BASELINES
        }
    else:
        chosen = dict(candidates_of(task.amounts))
    result = {name: each(task.amounts, days, HORIZON) for name, each in chosen.items()}
    result[ENSEMBLE] = ensemble(result)
    return task.row, task.origin, result


@dataclass(frozen=True)
class Backtest:
    """Forecasts of past origins, with what came.

    Attributes:
        origins: number of days that each origin saw.
        actual: (origin, series, day ahead).
        forecasts: the same, by model; NaN where a series has no such candidate.
        counted: (origin, day ahead): days on which the shop was open.
    """

    series: SeriesSet
    origins: Sequence[int]
    actual: Floats
    forecasts: Mapping[str, Floats]
    counted: Floats

    def error(self, model: str) -> Floats:
        """Return mean absolute errors: (origin, series)."""
        apart = np.abs(self.forecasts[model] - self.actual) * self.counted[:, None, :]
        error: Floats = apart.sum(axis=2) / np.maximum(self.counted.sum(axis=1), 1)[:, None]
        return error

    def relative(self, model: str, baseline: str) -> Floats:
        """Return the mean error of each series, divided by the baseline's."""
        naive = np.maximum(self.error(baseline).mean(axis=0), _TINY)
        relative: Floats = self.error(model).mean(axis=0) / naive
        return relative


@dataclass
class Forecast:
    """What is published, and how good it was.

    Attributes:
        table: rows of `sales_forecast`, but for versions.
        accuracy: rows of `forecast_accuracy` of the backtest.
        gates: of the model.
        chosen: model of each series.
        figures: for the ledger.
    """

    table: pd.DataFrame
    accuracy: pd.DataFrame
    gates: list[Gate] = field(default_factory=list)
    chosen: dict[str, str] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)


def inline(function: Callable[[Any], Any], items: Sequence[Any]) -> Sequence[Any]:
    """Apply a function in this process."""
    return [function(item) for item in items]


def origins_of(days: int) -> list[int]:
    """Return the origins of a backtest, oldest first: every four weeks, as far as data goes."""
    wanted = [days - HORIZON - _STEP * number for number in range(ORIGINS)]
    return sorted(origin for origin in wanted if origin >= LEAST_TRAIN)


def backtest(
    series: SeriesSet, calendar: Calendar, run: Map = inline
) -> tuple[Backtest, dict[str, Floats]]:
    """Forecast all series at past origins and at the end.

    Returns:
        The backtest, and the forecasts after the last day by model: (series, day ahead).
    """
    length, count = len(series.days), len(series.keys)
    origins = origins_of(length)
    tasks, factors = [], {}
    for origin in [*origins, length]:
        seen = series.until(origin)
        ahead = _ahead(seen)
        total = fill_closed(seen.amounts[0], seen.closed)
        names = calendar.names(seen.days)
        lifts = event_lifts(total, seen.days, names) if origin >= LEAST_DAYS else {}
        past = lifts_of(names, lifts)
        factors[origin] = lifts_of(calendar.names(ahead), lifts) * ~closed_ahead(seen, ahead)
        tasks += [
            Task(row, origin, fill_closed(seen.amounts[row], seen.closed) / past, seen.days[0])
            for row in range(count)
        ]
    models = (ENSEMBLE, *BASELINES)
    by_model = {name: np.full((len(origins) + 1, count, HORIZON), np.nan) for name in models}
    position = {origin: number for number, origin in enumerate([*origins, length])}
    for row, origin, forecasts in run(run_task, tasks):
        for name, values in forecasts.items():
            if name not in by_model:
                by_model[name] = np.full((len(origins) + 1, count, HORIZON), np.nan)
            by_model[name][position[origin], row] = values * factors[origin]
    shape = (len(origins), count, HORIZON)
    actual, counted = np.zeros(shape), np.zeros((len(origins), HORIZON))
    for number, origin in enumerate(origins):
        actual[number] = series.amounts[:, origin : origin + HORIZON]
        counted[number] = ~series.closed[origin : origin + HORIZON]
    past_forecasts = {name: values[:-1] for name, values in by_model.items()}
    last = {name: values[-1] for name, values in by_model.items()}
    return Backtest(series, origins, actual, past_forecasts, counted), last


def forecast(
    series: SeriesSet, calendar: Calendar, run: Map = inline, *, baseline: bool = False
) -> Forecast:
    """Backtest all series, choose, calibrate, and forecast 28 days ahead.

    Args:
        series: of all levels.
        calendar: the events that a shop knows of.
        run: applies a function to many tasks.
        baseline: forecast by the mean of four weeks alone.

    With too few days for a backtest there is a baseline without bands of its own; it says so.
    """
    test, last = backtest(series, calendar, run)
    if not test.origins:
        return _baseline_only(series, last)
    chosen = [SEASONAL_MEAN] * len(series.keys) if baseline else _choose(test)
    scales = _scales(test, chosen)
    published = np.stack([last[name][row] for row, name in enumerate(chosen)])
    summed = to_cents(reconcile(published, series.keys, scales), series.keys)
    scores = _scores(test, chosen, len(test.origins))
    table = _table(series, summed, chosen, _bands(summed, scales, scores))
    gates, figures = _gates(test, chosen)
    figures["recent"] = {
        "days": [str(day.date()) for day in series.days[-_SHOWN_DAYS:]],
        "sold": [round(float(value), 2) for value in series.amounts[0, -_SHOWN_DAYS:]],
        "earlier": [round(float(value), 2) for value in _published(test, chosen)[-1, 0]],
    }
    names = {
        f"{level}/{key}": model for (level, key), model in zip(series.keys, chosen, strict=True)
    }
    return Forecast(table, accuracy(test, chosen), gates, names, figures)


def _choose(test: Backtest) -> list[str]:
    """Return the model of each series: the median, or the better baseline where it did not win."""
    medians = test.relative(ENSEMBLE, SEASONAL_NAIVE)
    means = test.relative(SEASONAL_MEAN, SEASONAL_NAIVE)
    chosen = []
    for median, mean in zip(medians, means, strict=True):
        baseline = SEASONAL_MEAN if mean <= 1 else SEASONAL_NAIVE
        chosen.append(ENSEMBLE if median < min(1.0, mean) else baseline)
    return chosen


def _published(test: Backtest, chosen: Sequence[str]) -> Floats:
    return np.stack([test.forecasts[name][:, row] for row, name in enumerate(chosen)], axis=1)


def _scales(test: Backtest, chosen: Sequence[str], origins: int | None = None) -> Floats:
    """Return the mean absolute error of each series over the first origins; never 0."""
    apart = np.abs(_published(test, chosen) - test.actual) * test.counted[:, None, :]
    mean = apart[:origins].mean(axis=(0, 2))
    level = np.abs(test.actual[:origins]).mean(axis=(0, 2))
    scales: Floats = np.maximum(mean, np.maximum(0.01 * level, 0.01))
    return scales


def _scores(test: Backtest, chosen: Sequence[str], origins: int) -> Floats:
    """Return the scaled errors of the first origins, those of all series and days together.

    An origin's errors are scaled by those before it, as they will be when it is used: a scale that
    knows them already gives bands that are too narrow.
    """
    apart = test.actual - _published(test, chosen)
    kept = np.broadcast_to(test.counted[:, None, :] > 0, apart.shape)
    rows = [
        (apart[number] / _scales(test, chosen, max(number, 1))[:, None])[kept[number]]
        for number in range(min(1, origins - 1), origins)
    ]
    scores: Floats = np.sort(np.concatenate(rows))
    return scores


def _bands(forecasts: Floats, scales: Floats, scores: Floats) -> dict[int, tuple[Floats, Floats]]:
    """Return the lower and upper bounds by band; a lower bound is never below 0."""
    bands = {}
    for band, (low, high) in BANDS.items():
        # The widest quantile that a sample of this size gives (split conformal prediction).
        size = len(scores)
        below = scores[max(int(np.floor((size + 1) * low)) - 1, 0)]
        above = scores[min(int(np.ceil((size + 1) * high)) - 1, size - 1)]
        bands[band] = (
            np.maximum(forecasts + below * scales[:, None], 0),
            forecasts + max(above, 0.0) * scales[:, None],
        )
    return bands


def coverage(test: Backtest, chosen: Sequence[str]) -> dict[int, float]:
    """Return the share of days within the bands, each origin by the errors of those before it."""
    hits: dict[int, list[Floats]] = {band: [] for band in BANDS}
    published = _published(test, chosen)
    for number in range(3, len(test.origins)):
        scales = _scales(test, chosen, number)
        scores = _scores(test, chosen, number)
        inside = test.counted[number] > 0
        for band, (low, high) in _bands(published[number], scales, scores).items():
            actual = test.actual[number]
            within = (actual >= low - _TINY) & (actual <= high + _TINY)
            hits[band].append(within[:, inside].ravel())
    return {
        band: float(np.concatenate(rows).mean()) if rows else float("nan")
        for band, rows in hits.items()
    }


def _gates(test: Backtest, chosen: Sequence[str]) -> tuple[list[Gate], dict[str, Any]]:
    naive, mean = test.error(SEASONAL_NAIVE).mean(axis=0), test.error(SEASONAL_MEAN).mean(axis=0)
    open_days = np.maximum(test.counted.sum(axis=1), 1)[:, None]
    published = _published(test, chosen)
    scales = _scales(test, chosen)
    summed = np.stack([reconcile(each, test.series.keys, scales) for each in published])

    def error(forecasts: Floats) -> Floats:
        apart = np.abs(forecasts - test.actual) * test.counted[:, None, :]
        mean_error: Floats = (apart.sum(axis=2) / open_days).mean(axis=0)
        return mean_error

    # A series that the naive forecast hits exactly has nothing to compare: it never sold.
    sold = naive > _TINY
    before, after = error(published), error(summed)
    relative = np.where(sold, before / np.maximum(naive, _TINY), np.nan)
    loss = float((after[sold] / np.maximum(before[sold], 0.01)).mean()) - 1
    against_mean = float(np.nanmean(relative)) / float((mean[sold] / naive[sold]).mean())
    covered = coverage(test, chosen)
    lost = float((test.relative(ENSEMBLE, SEASONAL_NAIVE)[sold] > 1).mean())
    gates = [
        at_most(
            "F2",
            float(np.nanmean(relative)),
            0.95,
            "mean error relative to the seasonal naive forecast",
        ),
        at_most("F2b", lost, 1 / 3, "share of series on which the median loses to it"),
        at_most("F3", against_mean, 1.0, "mean error relative to the mean of four weeks"),
        at_least("F5a", covered[80], 0.72, "share of days in the 80 % band"),
        at_most("F5b", covered[80], 0.88, "share of days in the 80 % band"),
        at_least("F5c", covered[95], 0.90, "share of days in the 95 % band"),
        at_most("F5d", covered[95], 0.985, "share of days in the 95 % band"),
        at_most("F6", loss, 0.02, "error that adding up costs"),
    ]
    figures = {
        "relative_error": {
            f"{level}/{key}": round(float(value), 6)
            for (level, key), value in zip(test.series.keys, relative, strict=True)
            if np.isfinite(value)
        },
        "covered80": covered[80],
        "covered95": covered[95],
        "origins": len(test.origins),
        "loss_by_adding_up": loss,
    }
    return gates, figures


def accuracy(test: Backtest, chosen: Sequence[str]) -> pd.DataFrame:
    """Return the accuracy of the backtest by origin, series and week ahead."""
    rows = []
    published, naive = _published(test, chosen), test.forecasts[SEASONAL_NAIVE]
    for number, origin in enumerate(test.origins):
        scales = _scales(test, chosen, max(number, 1))
        scores = _scores(test, chosen, max(number, 1))
        bands = _bands(published[number], scales, scores)
        for row, (level, key) in enumerate(test.series.keys):
            past = fill_closed(test.series.amounts[row, :origin], test.series.closed[:origin])
            for week in range(HORIZON // WEEK):
                part = slice(week * WEEK, (week + 1) * WEEK)
                rows.append(
                    {
                        "origin": (test.series.days[origin - 1]).date(),
                        "level": level,
                        "key": key,
                        "week": week + 1,
                        "source": "backtest",
                        **measures(
                            test.actual[number, row, part],
                            published[number, row, part],
                            naive[number, row, part],
                            past,
                        ),
                        **{
                            f"covered{band}": float(
                                (
                                    (test.actual[number, row, part] >= low[row, part] - _TINY)
                                    & (test.actual[number, row, part] <= high[row, part] + _TINY)
                                ).mean()
                            )
                            for band, (low, high) in bands.items()
                        },
                    }
                )
    return pd.DataFrame(rows)


def measures(
    actual: Floats, forecast_: Floats, baseline: Floats, past: Floats
) -> dict[str, float | None]:
    """Return wape, mase, rmsse, bias and the baseline's wape; None where there is no measure.

    Args:
        actual: what came.
        forecast_: what was forecast, of the same days.
        baseline: the seasonal naive forecast.
        past: the days before; they give the scale (Hyndman and Koehler 2006): its seasonal naive
            error. A series that never changes has none.
    """
    steps = past[WEEK:] - past[:-WEEK]
    absolute = float(np.abs(steps).mean()) if len(steps) else 0.0
    squared = float((steps**2).mean()) if len(steps) else 0.0
    sold = float(np.abs(actual).sum())
    apart = forecast_ - actual

    def part(value: float, whole: float) -> float | None:
        return value / whole if whole > 0 else None

    return {
        "wape": part(float(np.abs(apart).sum()), sold),
        "mase": part(float(np.abs(apart).mean()), absolute),
        "rmsse": part(float(np.sqrt((apart**2).mean())), float(np.sqrt(squared))),
        "bias": part(float(apart.sum()), sold),
        "baseline_wape": part(float(np.abs(baseline - actual).sum()), sold),
    }


def _ahead(series: SeriesSet) -> pd.DatetimeIndex:
    return pd.date_range(series.days[-1] + pd.Timedelta(days=1), periods=HORIZON, freq="D")


def _table(
    series: SeriesSet,
    forecasts: Floats,
    chosen: Sequence[str],
    bands: Mapping[int, tuple[Floats, Floats]],
) -> pd.DataFrame:
    days = _ahead(series)
    rows = len(series.keys) * HORIZON
    table = pd.DataFrame(
        {
            "level": np.repeat([level for level, _ in series.keys], HORIZON),
            "key": np.repeat([key for _, key in series.keys], HORIZON),
            "day": np.tile(days.date, len(series.keys)),
            "forecast": forecasts.ravel(),
        }
    )
    for band, (low, high) in bands.items():
        table[f"lo{band}"] = np.round(np.minimum(low, forecasts), 2).ravel()
        table[f"hi{band}"] = np.round(np.maximum(high, forecasts), 2).ravel()
    table["model"] = np.repeat(list(chosen), HORIZON)
    table["fallback"] = np.repeat(
        ["" if name == ENSEMBLE else "baseline" for name in chosen], HORIZON
    )
    table["origin"] = [series.days[-1].date()] * rows
    return table


def _baseline_only(series: SeriesSet, last: Mapping[str, Floats]) -> Forecast:
    """Return the mean of four weeks of a history too short to be judged."""
    raw = np.nan_to_num(last[SEASONAL_MEAN])
    spread = series.amounts[:, -LEAST_DAYS:].std(axis=1)
    summed = to_cents(reconcile(raw, series.keys, np.maximum(spread, 0.01)), series.keys)
    bands = {
        band: (np.maximum(summed - factor * spread[:, None], 0), summed + factor * spread[:, None])
        for band, factor in ((80, 1.2816), (95, 1.96))
    }
    table = _table(series, summed, [SEASONAL_MEAN] * len(series.keys), bands)
    table["fallback"] = "too little data"
    return Forecast(table, pd.DataFrame(columns=ACCURACY))


ACCURACY = [
    "origin", "level", "key", "week", "source", "wape", "mase", "rmsse", "bias", "baseline_wape",
    "covered80", "covered95",
]  # fmt: skip
"""Columns of `forecast_accuracy`."""
