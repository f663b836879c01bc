"""Generates orders and their lines, day by day."""

from typing import NamedTuple

import numpy as np

from marketplace.generator.assortment import CATEGORIES
from marketplace.generator.calendar import Period, discount_percent, epoch, portions, seconds
from marketplace.generator.chance import (
    Flags,
    Ints,
    below,
    pareto,
    share,
    weighted,
    words,
)
from marketplace.generator.choice import Chooser
from marketplace.generator.lifecycles import KINDS
from marketplace.generator.listings import FIRST_ID, Catalogue
from marketplace.generator.people import Crowd
from marketplace.generator.stock import Stock
from marketplace.generator.tables import Frame, money, timestamps, where

FIRST_ORDER = 1_000_001
MOST_LINES = 20
CHANNELS = (("web", 46), ("ios", 39), ("android", 15))

_PAYMENTS = (("card", 62), ("paypal", 24), ("wallet", 9), ("transfer", 5))
_CANCELLED = 0.035
_LINES = np.stack([pareto(kind.alpha, MOST_LINES) for kind in KINDS])
_SHIPPING = np.array([490, 790, 1290])
_FREE_FROM = 15_000
_ON_THE_WAY, _NOT_SENT = 6, 2
_DAY = 86_400


class OrdersOfDay(NamedTuple):
    """Orders of one day and their lines; `order` has the position of each line's order."""

    buyers: Ints
    at: Ints
    order: Ints
    products: Ints
    orders: Frame
    lines: Frame


class Trade:
    """Generates the orders of a window; days must come in order, as every piece is sold once."""

    def __init__(
        self, crowd: Crowd, catalogue: Catalogue, stock: Stock, count: int, window: Period
    ) -> None:
        self._crowd, self._catalogue, self._stock = crowd, catalogue, stock
        self._seed, self._window = window.seed, window.days()
        self._bounds = portions(count, self._window, self._seed, "orders")
        self._chooser = Chooser(crowd, catalogue, stock, self._seed)

    def day(self, number: int) -> OrdersOfDay:
        """Return the orders of a day of the window; its stock must be open."""
        when = self._window[number]
        wanted = np.arange(self._bounds[number], self._bounds[number + 1])
        everyone = self._crowd.draw_buyers(words(self._seed, "order buyer", wanted), number)
        steps = (words(self._seed, "order lines", wanted) >> np.uint64(52)).astype(np.int64)
        counts = _LINES[self._crowd.lifecycles.kind[everyone], steps]
        rows = np.repeat(np.arange(len(wanted)), counts)
        position = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        cell = wanted[rows] * MOST_LINES + position
        products, _ = self._chooser.choose("line", cell, everyone[rows], when, once=True)
        # Where nothing is on sale any more there is no line, and without lines no order.
        rows, cell, products = (each[products >= 0] for each in (rows, cell, products))
        kept, order = np.unique(rows, return_inverse=True)
        index, buyers = wanted[kept], everyone[kept]
        at = epoch(when) + seconds(
            words(self._seed, "order hour", index), words(self._seed, "order second", index)
        )
        counts = np.bincount(order, minlength=len(index))
        position = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
        cancelled = share(words(self._seed, "order cancelled", index), _CANCELLED)
        self._stock.sell(products, at[order], cancelled[order], number)
        lines, cents, back = self._lines(
            number,
            index,
            order=order,
            position=position,
            cell=cell,
            products=products,
            cancelled=cancelled,
        )
        amount = np.bincount(order, cents, len(index)).astype(np.int64)
        all_back = np.bincount(order, back, len(index)).astype(np.int64) == counts
        orders = self._orders(
            number,
            index,
            buyers=buyers,
            at=at,
            amount=amount,
            items=counts,
            cancelled=cancelled,
            all_back=all_back,
        )
        return OrdersOfDay(buyers, at, order, products, orders, lines)

    def _lines(
        self,
        number: int,
        index: Ints,
        *,
        order: Ints,
        position: Ints,
        cell: Ints,
        products: Ints,
        cancelled: Flags,
    ) -> tuple[Frame, Ints, Flags]:
        """Return the lines, their amounts in cents and flags of return."""
        price = self._catalogue.price(products)
        off = discount_percent(self._window[number])
        unit = price * (100 - off) // 100
        part = np.array([c.returned for c in CATEGORIES])[self._catalogue.category[products]]
        returns = below(words(self._seed, "line returned", cell), 100) < part
        after = 4 + below(words(self._seed, "line returned after", cell), 24)
        # Returns after the end of the window are not in the data.
        returned = returns & ~cancelled[order] & (number + after < len(self._window))
        status = np.where(cancelled[order], "cancelled", np.where(returned, "returned", "sold"))
        returned_on = timestamps(epoch(self._window[number]) + after * _DAY).dt.date()
        lines = {
            "order_id": FIRST_ORDER + index[order],
            "line_number": position + 1,
            "product_id": FIRST_ID + products,
            "quantity": np.ones(len(order), dtype=np.int64),
            "unit_price": money(unit),
            "amount": money(unit),
            "status": status,
            "returned_on": where(returned, returned_on),
        }
        return lines, unit, returned

    def _orders(
        self,
        number: int,
        index: Ints,
        *,
        buyers: Ints,
        at: Ints,
        amount: Ints,
        items: Ints,
        cancelled: Flags,
        all_back: Flags,
    ) -> Frame:
        def drawn(what: str, table: tuple[tuple[str, int], ...]) -> Ints:
            bits = words(self._seed, f"order {what}", index)
            return np.array([name for name, _ in table])[weighted(bits, [w for _, w in table])]

        age = len(self._window) - 1 - number
        stands = "placed" if age < _NOT_SENT else "shipped" if age < _ON_THE_WAY else "delivered"
        status = np.where(cancelled, "cancelled", np.where(all_back, "returned", stands))
        parcel = _SHIPPING[weighted(words(self._seed, "order parcel", index), (60, 30, 10))]
        soon = 600 + below(words(self._seed, "order regretted", index), 20 * 3600)
        return {
            "order_id": FIRST_ORDER + index,
            "buyer_id": self._crowd.ids[buyers],
            "ordered_at": timestamps(at),
            "status": status,
            "cancelled_at": where(cancelled, timestamps(at + soon)),
            "country_code": self._crowd.country(buyers),
            "channel": drawn("channel", CHANNELS),
            "payment_method": drawn("payment", _PAYMENTS),
            "items": items,
            "amount": money(amount),
            "shipping": money(np.where(amount >= _FREE_FROM, 0, parcel)),
            "currency": np.full(len(index), "EUR"),
        }
