"""Generates interactions of users with products: views, likes and wishes, day by day."""

import numpy as np

from marketplace.generator.calendar import Period, epoch, portions, seconds
from marketplace.generator.chance import Flags, Ints, below, share, weighted, words
from marketplace.generator.choice import Chooser
from marketplace.generator.listings import FIRST_ID, Catalogue
from marketplace.generator.orders import CHANNELS, OrdersOfDay
from marketplace.generator.people import Crowd
from marketplace.generator.stock import Stock
from marketplace.generator.tables import Frame, timestamps

FIRST_INTERACTION = 1
KINDS = ("view", "like", "wish")

_LIKE, _WISH = (6, 17), (2, 7)
"""Percent of views that a like, a wish follows: where a product suits, and where it suits well."""
_SUITS_WELL = 150
_BOUGHT_LIKED, _BOUGHT_WISHED = 0.42, 0.23
_SOON = 240
_LAST_SECOND = 86_399
_BEFORE_ORDER = (60, 7_200)


class Visits:
    """All interactions of a window: those of visits, and those that led to orders."""

    def __init__(
        self, crowd: Crowd, catalogue: Catalogue, stock: Stock, count: int, window: Period
    ) -> None:
        self._crowd, self._seed = crowd, window.seed
        self._window = window.days()
        self._bounds = portions(count, self._window, self._seed, "visits")
        self._chooser = Chooser(crowd, catalogue, stock, self._seed)
        self._next = FIRST_INTERACTION

    def day(self, number: int, bought: OrdersOfDay) -> Frame:
        """The interactions of a day of the window, in order of time; days must come in order.

        Visits see what is on sale when the orders of the day have been placed.
        """
        midnight = epoch(self._window[number])
        parts = [self._visits(number, midnight), self._before_orders(bought, midnight)]
        users, products, kinds, at, channel = (
            np.concatenate([part[column] for part in parts]) for column in range(5)
        )
        turn = np.lexsort((kinds, products, users, at))
        numbers = self._next + np.arange(len(turn))
        self._next += len(turn)
        return {
            "interaction_id": numbers,
            "user_id": self._crowd.ids[users[turn]],
            "product_id": FIRST_ID + products[turn],
            "kind": np.array(KINDS)[kinds[turn]],
            "occurred_at": timestamps(at[turn]),
            "channel": np.array([name for name, _ in CHANNELS])[channel[turn]],
        }

    def _visits(self, number: int, midnight: int) -> tuple[Ints, ...]:
        index = np.arange(self._bounds[number], self._bounds[number + 1])
        users = self._crowd.draw_lookers(words(self._seed, "visit user", index), number)
        when = self._window[number]
        products, suits = self._chooser.choose("visit", index, users, when)
        index, users, suits, products = (
            each[products >= 0] for each in (index, users, suits, products)
        )
        at = midnight + seconds(
            words(self._seed, "visit hour", index), words(self._seed, "visit second", index)
        )
        well = suits > _SUITS_WELL
        liked = self._percent("visit liked", index, np.where(well, _LIKE[1], _LIKE[0]))
        wished = self._percent("visit wished", index, np.where(well, _WISH[1], _WISH[0]))
        return self._events(
            "visit", index, users=users, products=products, at=at, followed=(liked, wished),
            last=np.full(len(index), midnight + _LAST_SECOND),
        )  # fmt: skip

    def _before_orders(self, bought: OrdersOfDay, midnight: int) -> tuple[Ints, ...]:
        order_ids = np.asarray(bought.lines["order_id"])
        index = order_ids * 32 + np.asarray(bought.lines["line_number"])
        low, high = _BEFORE_ORDER
        early = low + below(words(self._seed, "looked before", index), high - low)
        at = np.maximum(midnight, bought.at[bought.order] - early)
        liked = share(words(self._seed, "bought liked", index), _BOUGHT_LIKED)
        wished = share(words(self._seed, "bought wished", index), _BOUGHT_WISHED)
        users = bought.buyers[bought.order]
        return self._events(
            "bought", index, users=users, products=bought.products, at=at, followed=(liked, wished),
            last=bought.at[bought.order],
        )  # fmt: skip

    def _percent(self, stream: str, index: Ints, percent: Ints) -> Flags:
        return below(words(self._seed, stream, index), 100) < percent

    def _events(
        self,
        stream: str,
        index: Ints,
        *,
        users: Ints,
        products: Ints,
        at: Ints,
        followed: tuple[Flags, Flags],
        last: Ints,
    ) -> tuple[Ints, ...]:
        """Views and what followed: users, products, kinds, times, channels.

        None is after the `last` time, for the piece may be gone then.
        """
        bits = words(self._seed, f"{stream} channel", index)
        channel = weighted(bits, [weight for _, weight in CHANNELS])
        soon = 2 + below(words(self._seed, f"{stream} soon", index), _SOON)
        everyone = np.ones(len(index), dtype=bool)
        chosen = [np.flatnonzero(which) for which in (everyone, *followed)]
        which = np.concatenate(chosen)
        kinds = np.repeat(np.arange(len(KINDS)), [len(rows) for rows in chosen])
        times = np.minimum(at[which] + soon[which] * kinds, last[which])
        return users[which], products[which], kinds, times, channel[which]
