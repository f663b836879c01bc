"""Distribution of events over time: growth, weekdays, months, sales, hours."""

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from marketplace.generator.chance import Ints, Words, below, normal, weighted, words

GROWTH = 0.35
"""Yearly growth of orders and visits."""

_WEEK = (100, 96, 98, 103, 97, 112, 131)
"""Weights of Monday to Sunday."""

_YEAR = (116, 88, 94, 99, 98, 102, 108, 76, 103, 106, 121, 128)
"""Weights of the months."""

_SALES = {(11, 27): 240, (11, 28): 210, (11, 30): 180, (1, 8): 160, (6, 25): 150, (12, 25): 45}
"""Percentage of an ordinary day on special days: Black Friday, sales, Christmas."""

_HOURS = (3, 2, 1, 1, 1, 2, 5, 9, 13, 15, 16, 17, 21, 20, 17, 16, 17, 20, 25, 32, 38, 39, 29, 14)

_NOISE = normal(0.05 * 10_000)


class Period(NamedTuple):
    """The time range of the data, and the seed."""

    seed: int
    start: date
    length: int

    def days(self) -> list[date]:
        """Return the days of the range."""
        return [self.start + timedelta(days=number) for number in range(self.length)]


def discount_percent(day: date) -> int:
    """Return the discount of a day in percent."""
    if (day.month, day.day) in ((11, 27), (11, 28), (11, 30)):
        return 25
    sales = (1, 8) <= (day.month, day.day) <= (2, 4) or (6, 25) <= (day.month, day.day) <= (7, 22)
    return 15 if sales else 0


def portions(total: int, window: Sequence[date], seed: int, stream: str) -> list[int]:
    """Distribute `total` events over the days of a window, as cumulative counts.

    Returns:
        One bound more than there are days; day `d` has the events from `[d]` to `[d + 1]`.
    """
    noise = _NOISE[below(words(seed, f"{stream} noise", np.arange(len(window))), len(_NOISE))]
    weights = [weight(day, number) for number, day in enumerate(window)]
    noisy = [w * (10_000 + int(n)) for w, n in zip(weights, noise, strict=True)]
    whole = sum(noisy)
    return [0, *(total * part // whole for part in accumulate(noisy))]


def event_percent(day: date) -> int:
    """Return how a special day compares with an ordinary one, which is 100."""
    return _SALES.get((day.month, day.day), 100)


def week_percent(day: date) -> int:
    """Return the weight of a day's weekday."""
    return _WEEK[day.weekday()]


def weight(day: date, number: int) -> int:
    """Return the expected demand of a day, in arbitrary units, without the noise."""
    special = event_percent(day)
    # The weight of a month applies to its middle; between two middles it is interpolated.
    past = (day.day - 16) / 31
    near = _YEAR[day.month % 12 if past > 0 else day.month - 2]
    season = _YEAR[day.month - 1] * (1 - abs(past)) + near * abs(past)
    trend = 1 + GROWTH * number / 365
    return round(trend * season * week_percent(day) * special)


def seconds(bits: Words, minutes: Words) -> Ints:
    """Return sorted seconds of a day, weighted by hour."""
    return np.sort(weighted(bits, _HOURS) * 3600 + below(minutes, 3600))


def epoch(day: date) -> int:
    """Return the Unix time of a day's midnight in UTC."""
    return (day - date(1970, 1, 1)).days * 86_400
