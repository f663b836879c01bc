"""Daily series from sales: complete, with closed days told from days without demand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

TOTAL, CATEGORY, COUNTRY = LEVELS = ("total", "category", "country")
ALL = "all"
"""Key of the one series of the level `total`."""

OTHERS = "others"
"""Key of all countries that are too small for a series of their own."""

WEEK = 7
_YEAR = 365
_SMALL_SHARE = 0.01
_CLOSED_SHARE = 0.9
"""A weekday on which this share of days has no sale at all is a day on which the shop is closed."""

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Calendar:
    """Which days are special.

    Attributes:
        events: name of the event by (month, day), every year, and by date, once.
    """

    events: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> Calendar:
        """Read `name: 11-27 11-28, other name: 2026-04-05`.

        Raises:
            ValueError: a day is neither MM-DD nor YYYY-MM-DD; the message names it.
        """
        events: dict[str, str] = {}
        for part in filter(str.strip, text.split(",")):
            name, _, days = part.partition(":")
            if not days.strip():
                raise ValueError(f"event {part.strip()!r} has no days: write `name: 11-27 12-25`")
            for day in days.split():
                full = day if len(day.split("-")) == 3 else f"2000-{day}"  # noqa: PLR2004 - Y-M-D
                try:
                    date.fromisoformat(full)
                except ValueError:
                    raise ValueError(
                        f"event {name.strip()!r}: {day!r} is neither MM-DD nor YYYY-MM-DD"
                    ) from None
                events[day] = name.strip()
        return cls(events)

    def names(self, days: pd.DatetimeIndex) -> list[str]:
        """Return the name of each day's event, empty for ordinary days."""
        return [
            self.events.get(f"{day:%Y-%m-%d}") or self.events.get(f"{day:%m-%d}", "")
            for day in days
        ]


@dataclass(frozen=True)
class SeriesSet:
    """Series over the same days.

    Attributes:
        keys: level and key of each series; the total first.
        days: consecutive days.
        amounts: one row for each key, one column for each day.
        closed: days on which the shop was closed: their zeros are no lack of demand.
    """

    keys: Sequence[tuple[str, str]]
    days: pd.DatetimeIndex
    amounts: Floats
    closed: Flags

    def until(self, columns: int) -> SeriesSet:
        """Return the first days."""
        return SeriesSet(
            self.keys, self.days[:columns], self.amounts[:, :columns], self.closed[:columns]
        )


def complete_until(last_sale: date, delivered_until: date) -> date:
    """Return the newest complete day: later days are delivered only in part.

    Args:
        last_sale: the day of the newest order.
        delivered_until: the last day that had ended when the newest order was delivered.
    """
    return min(last_sale, delivered_until)


def build(sales: pd.DataFrame, until: date) -> SeriesSet:
    """Build the series of all levels from sales by day, category and country.

    Args:
        sales: `day`, `category`, `country`, `amount`.
        until: the newest complete day; later rows are left out.
    """
    sales = sales[pd.to_datetime(sales["day"]) <= pd.Timestamp(until)]
    when = pd.to_datetime(sales["day"])
    if sales.empty:
        return SeriesSet([], pd.DatetimeIndex([]), np.zeros((0, 0)), np.zeros(0, dtype=bool))
    days = pd.date_range(when.min(), pd.Timestamp(until), freq="D")
    column = (when - days[0]).dt.days.to_numpy().astype(np.int64)
    amounts: Floats = sales["amount"].to_numpy(dtype=float)
    keys, rows = [(TOTAL, ALL)], [np.bincount(column, amounts, len(days))]
    grouped = {CATEGORY: sales[CATEGORY], COUNTRY: _with_others(sales[COUNTRY], amounts, column)}
    for level, labels in grouped.items():
        codes, names = pd.factorize(labels, sort=True)
        cells = np.bincount(codes * len(days) + column, amounts, len(names) * len(days))
        keys += [(level, str(name)) for name in names]
        rows += list(cells.reshape(len(names), len(days)))
    values: Floats = np.vstack(rows).astype(np.float64)
    return SeriesSet(keys, days, values, np.asarray(values[0] == 0))


def _with_others(
    countries: pd.Series[str], amounts: Floats, column: NDArray[np.int64]
) -> pd.Series[str]:
    """Return the countries, those with less than 1 % of the last year's sales as one."""
    recent = pd.Series(np.where(column > column.max() - _YEAR, amounts, 0.0))
    part = recent.groupby(countries.to_numpy()).sum()
    small = part.index[part < _SMALL_SHARE * part.sum()]
    return countries.where(~countries.isin(small), OTHERS)


def closed_ahead(series: SeriesSet, ahead: pd.DatetimeIndex) -> Flags:
    """Return the coming days on which the shop is closed, by weekday or as a year before."""
    weekday = series.days.dayofweek.to_numpy()
    shut = [
        bool((weekday == day).any() and series.closed[weekday == day].mean() >= _CLOSED_SHARE)
        for day in range(WEEK)
    ]
    known = {
        (day.month, day.day)
        for day, closed in zip(series.days, series.closed, strict=True)
        if closed and not shut[day.dayofweek]
    }
    # Only where every year that has the day was closed on it: one empty day is no holiday.
    opened = {
        (day.month, day.day)
        for day, closed in zip(series.days, series.closed, strict=True)
        if not closed
    }
    long = len(series.days) > _YEAR
    return np.array(
        [shut[day.dayofweek] or (long and (day.month, day.day) in known - opened) for day in ahead],
        dtype=bool,
    )


def fill_closed(values: Floats, closed: Flags) -> Floats:
    """Return a series whose closed days have the mean of the same weekday's neighbours."""
    if not closed.any():
        return values
    filled = values.copy()
    opened = np.flatnonzero(~closed)
    if not len(opened):
        return filled
    for at in np.flatnonzero(closed):
        same = opened[(opened - at) % WEEK == 0]
        near = same if len(same) else opened
        filled[at] = values[near[np.argsort(np.abs(near - at), kind="stable")[:4]]].mean()
    return filled
