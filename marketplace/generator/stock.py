"""What is on sale on a day: every listing is one piece, which is sold once.

A piece that is sold is gone; when the order is cancelled it is on sale again two days later. A
seller withdraws what does not sell. Days must be opened in order.
"""

import numpy as np

from marketplace.generator.assortment import CATEGORIES
from marketplace.generator.calendar import Period, epoch
from marketplace.generator.chance import Flags, Ints, Words, below, exponential, from_table, words
from marketplace.generator.listings import Catalogue
from marketplace.generator.tables import Frame, timestamps, where

STATUSES = ("live", "sold", "withdrawn")

_PATIENCE = exponential(900)
"""Days after which a seller withdraws a piece."""
_LEAST_PATIENCE = 30
_BACK_AFTER = 2
_DAY = 86_400


class Stock:
    """The pieces of a catalogue with what became of them."""

    def __init__(self, catalogue: Catalogue, window: Period) -> None:
        count = len(catalogue.category)
        index = np.arange(count)
        self._catalogue = catalogue
        patience = from_table(words(window.seed, "patience with piece", index), _PATIENCE)
        self._withdrawn = catalogue.listed_day + _LEAST_PATIENCE + patience
        self._withdrawn_second = below(words(window.seed, "withdrawn at", index), _DAY)
        self._sold_at = np.zeros(count, dtype=np.int64)
        self._away_until = np.zeros(count, dtype=np.int64)
        self._start, self._length = epoch(window.start), window.length
        self._by_category: list[Ints] = []
        self.live: Ints = index[:0]
        self.on_sale = np.zeros(count, dtype=bool)

    def open(self, day: int) -> None:
        """Find what is on sale: listed before the day, not sold before, not withdrawn."""
        known = self._catalogue.before(day)
        on_sale = (
            (self._sold_at[:known] == 0)
            & (self._withdrawn[:known] > day)
            & (self._away_until[:known] <= day)
        )
        self.on_sale[:known] = on_sale
        self._list()

    def _list(self) -> None:
        self.live = np.flatnonzero(self.on_sale)
        self._by_category = [ranked[self.on_sale[ranked]] for ranked in self._catalogue.ranked]

    def sell(self, products: Ints, at: Ints, cancelled: Flags, day: int) -> None:
        """Take pieces off sale: for good, or for two days where the order is cancelled."""
        self._sold_at[products[~cancelled]] = at[~cancelled]
        self._away_until[products] = day + _BACK_AFTER
        self.on_sale[products] = False
        self._list()

    def popular(self, category: Ints, bits: Words) -> Ints:
        """Return a piece on sale of each category, weighted by appeal; -1 where there is none."""
        unit = (bits >> np.uint64(40)).astype(np.float64) / 2**24
        unit = unit * unit * unit
        products = np.full(len(category), -1, dtype=np.int64)
        for number in range(len(CATEGORIES)):
            members, chosen = self._by_category[number], category == number
            if len(members):
                products[chosen] = members[(unit[chosen] * len(members)).astype(np.int64)]
        return products

    def recent(self, bits: Words) -> Ints:
        """Return pieces of the newer half of those on sale; -1 where there are none."""
        if not len(self.live):
            return np.full(bits.shape, -1, dtype=np.int64)
        return self.live[len(self.live) - 1 - below(bits, max(1, len(self.live) // 2))]

    def outcome(self, products: Ints) -> tuple[Ints, Ints]:
        """Return the status at the end of the window, as position in `STATUSES`, and its time."""
        sold_at, withdrawn = self._sold_at[products], self._withdrawn[products]
        gone = (sold_at == 0) & (withdrawn < self._length)
        at = np.where(gone, self._start + withdrawn * _DAY + self._withdrawn_second[products], 0)
        return np.where(sold_at > 0, 1, np.where(gone, 2, 0)), np.where(sold_at > 0, sold_at, at)

    def columns(self, products: Ints) -> Frame:
        """Return the columns `status` and `delisted_at` of the products table."""
        status, at = self.outcome(products)
        return {
            "status": np.array(STATUSES)[status],
            "delisted_at": where(status > 0, timestamps(at)),
        }
