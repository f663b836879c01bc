"""The candidate models of a series, baselines among them; all take and give plain arrays.

A candidate is a function of (values, days, horizon). Values are free of events and closed days:
events are taken out before and put back after, see `events`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from spark_jobs.analytics.forecasts.series import WEEK, Floats

SEASONAL_NAIVE, SEASONAL_MEAN = BASELINES = ("seasonal_naive", "seasonal_mean")
ENSEMBLE = "ensemble"
YEAR = 365.25

_WEEKS_OF_MEAN = 4
_LEAST_FOR_YEAR = 400
"""From so many days on a yearly season can be told from a trend."""
_RECENT = 56
_HARMONICS = 3
_TSB = 0.1

Candidate = Callable[[Floats, pd.DatetimeIndex, int], Floats]


def seasonal_naive(values: Floats, days: pd.DatetimeIndex, horizon: int) -> Floats:  # noqa: ARG001
    """Return the last week again and again."""
    return np.resize(values[-WEEK:], horizon)


def seasonal_mean(values: Floats, days: pd.DatetimeIndex, horizon: int) -> Floats:  # noqa: ARG001
    """Return the mean of the last four same weekdays."""
    weeks = min(_WEEKS_OF_MEAN, len(values) // WEEK)
    if not weeks:
        return np.full(horizon, values.mean() if len(values) else 0.0)
    return np.resize(values[-weeks * WEEK :].reshape(weeks, WEEK).mean(axis=0), horizon)


def theta(values: Floats, days: pd.DatetimeIndex, horizon: int) -> Floats:  # noqa: ARG001
    """Return the dynamic optimised Theta forecast (Fiorucci et al. 2016) of statsforecast."""
    from statsforecast.models import DynamicOptimizedTheta  # noqa: PLC0415 - slow to import

    return _quietly(DynamicOptimizedTheta(season_length=WEEK), values, horizon)


def mfles(values: Floats, days: pd.DatetimeIndex, horizon: int) -> Floats:  # noqa: ARG001
    """Return the forecast by gradient-boosted decomposition (MFLES) of statsforecast."""
    from statsforecast.models import MFLES  # noqa: PLC0415 - likewise

    return _quietly(MFLES(season_length=WEEK), values, horizon)


def ets(values: Floats, days: pd.DatetimeIndex, horizon: int) -> Floats:  # noqa: ARG001
    """Return exponential smoothing with an additive season and a damped trend."""
    from statsforecast.models import AutoETS  # noqa: PLC0415 - likewise

    return _quietly(AutoETS(season_length=WEEK, model="AAA", damped=True), values, horizon)


def calendar(values: Floats, days: pd.DatetimeIndex, horizon: int) -> Floats:
    """Return a ridge regression on logs: trend, weekdays, and the year where it is long enough.

    The level is that of the last eight weeks: their mean residual is added, and the logarithm's
    bias taken out by the mean of the exponentiated residuals (Duan's smearing estimate, 1983).
    """
    ahead = pd.date_range(days[-1] + pd.Timedelta(days=1), periods=horizon, freq="D")
    year = len(values) >= _LEAST_FOR_YEAR
    design = _design(days, days[0], year=year)
    logs = np.log1p(np.maximum(values, 0))
    coefficients = ridge(design, logs, year=year)
    fitted = design @ coefficients
    residual = logs - fitted
    recent = residual[-_RECENT:]
    smear = float(np.exp(residual - residual.mean()).mean())
    future = _design(ahead, days[0], year=year) @ coefficients + recent.mean()
    forecast: Floats = np.maximum(np.expm1(future) * smear, 0)
    return forecast


def ridge(design: Floats, target: Floats, *, year: bool) -> Floats:
    """Solve a ridge regression whose penalty falls on season and year, not on level and trend."""
    penalty = np.full(design.shape[1], 1.0)
    penalty[:2] = 1e-6
    if year:
        penalty[2 : 2 + 2 * _HARMONICS] = 4.0
    gram = design.T @ design + np.diag(penalty)
    solved: Floats = np.linalg.solve(gram, design.T @ target).astype(np.float64)
    return solved


def _design(days: pd.DatetimeIndex, start: pd.Timestamp, *, year: bool) -> Floats:
    since = (days - start).days.to_numpy(dtype=float)
    columns = [np.ones(len(days)), since / YEAR]
    if year:
        angle = 2 * np.pi * days.dayofyear.to_numpy(dtype=float) / YEAR
        for harmonic in range(1, _HARMONICS + 1):
            columns += [np.sin(harmonic * angle), np.cos(harmonic * angle)]
    weekday = days.dayofweek.to_numpy()
    columns += [(weekday == day).astype(float) for day in range(WEEK)]
    return np.stack(columns, axis=1)


def tsb(values: Floats, days: pd.DatetimeIndex, horizon: int) -> Floats:  # noqa: ARG001
    """Return Teunter, Syntetos and Babai's (2011) forecast for intermittent demand."""
    from statsforecast.models import TSB  # noqa: PLC0415 - slow to import

    return _quietly(TSB(alpha_d=_TSB, alpha_p=_TSB), values, horizon)


def recent_mean(values: Floats, days: pd.DatetimeIndex, horizon: int) -> Floats:  # noqa: ARG001
    """Return the mean of the last four weeks, for each day."""
    return np.full(horizon, values[-_WEEKS_OF_MEAN * WEEK :].mean())


REGULAR: Mapping[str, Candidate] = {
    SEASONAL_NAIVE: seasonal_naive,
    SEASONAL_MEAN: seasonal_mean,
    "theta": theta,
    "mfles": mfles,
    "ets": ets,
    "calendar": calendar,
}
INTERMITTENT: Mapping[str, Candidate] = {
    SEASONAL_NAIVE: seasonal_naive,
    SEASONAL_MEAN: seasonal_mean,
    "tsb": tsb,
    "recent_mean": recent_mean,
}
_MOST_ZERO = 0.4


def candidates_of(values: Floats) -> Mapping[str, Candidate]:
    """Return the candidates of a series: those for intermittent demand from 40 % zero days on."""
    recent = values[-365:]
    return INTERMITTENT if (recent == 0).mean() > _MOST_ZERO else REGULAR


def ensemble(forecasts: Mapping[str, Floats]) -> Floats:
    """Return the median of the candidates, but for the naive one, which only compares."""
    rows = [row for name, row in forecasts.items() if name != SEASONAL_NAIVE]
    return np.median(np.stack(rows), axis=0)


def event_lifts(values: Floats, days: pd.DatetimeIndex, names: Sequence[str]) -> dict[str, float]:
    """Return how a day of each event compares with an ordinary day, from a regression on logs.

    An event that has not been yet has no lift. Each event is shrunk a little to 1.
    """
    known = sorted(set(filter(None, names)))
    year = len(values) >= _LEAST_FOR_YEAR
    base = _design(days, days[0], year=year)
    marks = np.array([[name == event for event in known] for name in names], dtype=float)
    design = np.hstack([base, marks.reshape(len(values), len(known))])
    penalty = np.full(design.shape[1], 1.0)
    penalty[:2] = 1e-6
    penalty[base.shape[1] :] = 0.02
    logs = np.log1p(np.maximum(values, 0))
    gram = design.T @ design + np.diag(penalty)
    coefficients = np.linalg.solve(gram, design.T @ logs)[base.shape[1] :]
    return {event: float(np.exp(part)) for event, part in zip(known, coefficients, strict=True)}


def weekday_indices(values: Floats, days: pd.DatetimeIndex, names: Sequence[str]) -> Floats:
    """Return the index of each weekday from Monday on; their mean is 1. Event days are left out."""
    ordinary = np.array([not name for name in names])
    design = _design(days, days[0], year=len(values) >= _LEAST_FOR_YEAR)
    logs = np.log1p(np.maximum(values, 0))
    coefficients = ridge(design[ordinary], logs[ordinary], year=len(values) >= _LEAST_FOR_YEAR)
    effects = np.exp(coefficients[-WEEK:])
    indices: Floats = effects / effects.mean()
    return indices


def lifts_of(names: Sequence[str], lifts: Mapping[str, float]) -> Floats:
    """Return the factor of each day."""
    return np.array([lifts.get(name, 1.0) for name in names])


def _quietly(model: object, values: Floats, horizon: int) -> Floats:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = model.forecast(y=values.astype(np.float64), h=horizon)  # type: ignore[attr-defined]
    mean = np.asarray(result["mean"], dtype=float)
    return np.maximum(np.where(np.isfinite(mean), mean, 0), 0)
