"""When users are customers: planted types with a rate of orders, a first and a last day.

A type says how often and for how long somebody buys, how many pieces at once and of which price
tier. Users of one type differ: rates are gamma-distributed, lifetimes exponential.
"""

from typing import NamedTuple

import numpy as np

from marketplace.generator.chance import Ints, below, exponential, gamma, weighted, words


class Kind(NamedTuple):
    """A type of buyer.

    `weight` is its share in percent; `rate` the mean number of orders in 1,000 days, spread by a
    gamma distribution of `shape`; `days` the mean lifetime; `alpha` of the Pareto distribution of
    lines in an order; `tiers` the weights of the preferred price tiers from cheap to luxury.
    """

    name: str
    weight: int
    rate: int
    shape: float
    days: int
    alpha: float
    tiers: tuple[int, int, int, int]


KINDS = (
    Kind("regular", 28, 16, 4.0, 520, 2.3, (34, 40, 20, 6)),
    Kind("collector", 12, 48, 5.0, 700, 1.5, (10, 26, 40, 24)),
    Kind("occasional", 30, 5, 3.0, 640, 2.8, (46, 34, 15, 5)),
    Kind("one_shot", 20, 24, 3.0, 24, 3.0, (44, 32, 18, 6)),
    Kind("big_ticket", 10, 5, 4.0, 640, 4.0, (2, 8, 24, 66)),
)

_RATE_UNIT = 4
"""Rates are in a quarter of an order in 1,000 days."""
_BEFORE_DAYS = 420
"""Some joined up to so many days before the first day of the data."""
_RATES = tuple(gamma(kind.shape, kind.rate * _RATE_UNIT) for kind in KINDS)
_LIVES = tuple(exponential(kind.days) for kind in KINDS)


def kind_of(seed: int, users: Ints) -> Ints:
    """Return positions in `KINDS`."""
    return weighted(words(seed, "kind of buyer", users), [kind.weight for kind in KINDS])


class Lifecycles:
    """Rate, first and last day of all users; days count from the first day of the window.

    Attributes:
        kind: positions in `KINDS`.
        rate: relative frequency of orders.
        joined, ended: the user is a customer on days from `joined` to before `ended`.
    """

    def __init__(self, seed: int, users: int, days: int) -> None:
        index = np.arange(users)
        self.kind = kind_of(seed, index)
        steps = (words(seed, "rate of user", index) >> np.uint64(52)).astype(np.int64)
        lives = (words(seed, "life of user", index) >> np.uint64(52)).astype(np.int64)
        self.rate: Ints = np.maximum(1, np.stack(_RATES)[self.kind, steps])
        span = below(words(seed, "joining of user", index), _BEFORE_DAYS + days)
        self.joined: Ints = span - _BEFORE_DAYS
        self.ended: Ints = self.joined + 1 + np.stack(_LIVES)[self.kind, lives]

    def active(self, users: Ints, day: int) -> Ints:
        """Return 1 for each of these users who is a customer on the day, else 0."""
        alive = (self.joined[users] <= day) & (day < self.ended[users])
        return alive.astype(np.int64)
