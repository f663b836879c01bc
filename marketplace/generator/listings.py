"""Generates products: a compact catalogue, and the records of the products table."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from marketplace.generator.assortment import (
    BRANDS,
    CATEGORIES,
    COLOURS,
    CONDITIONS,
    SIZE_SYSTEMS,
    SIZES,
    STYLES,
    TIER_PERCENT,
)
from marketplace.generator.calendar import Period, epoch, portions, seconds
from marketplace.generator.chance import (
    STEPS,
    Ints,
    below,
    from_table,
    lognormal,
    normal,
    pareto,
    share,
    weighted,
    words,
)
from marketplace.generator.people import BRAND_WEIGHTS, Crowd
from marketplace.generator.tables import Frame, money

FIRST_ID = 100_001
NO_SIZE = -1
"""Code of the size of pieces without one, and of their size system."""
LEAST_PRICE = 500
"""Minimum price in cents."""

_DEAR, _NINE_FROM = 5_000, 1_000
"""Prices are whole euros, from the first on in steps of five; from the second on many end in 9."""
_BEFORE_DAYS = 180
_BEFORE_SHARE = 0.35
_UNBRANDED = 0.04
_BLOCK = 100_000
_STYLE_OF_BRAND, _STYLE_OF_PIECE = normal(7.0), normal(4.0)
_APPEAL = pareto(0.9, 4_000)
_PRICES = np.stack([lognormal(c.price, c.spread) for c in CATEGORIES])


class Catalogue:
    """Products in the order of listing, so that those before a day are a prefix."""

    def __init__(self, crowd: Crowd, count: int, window: Period) -> None:
        self._crowd, self._seed = crowd, window.seed
        self._window = [window.start - timedelta(days=_BEFORE_DAYS), *window.days()]
        early = min(count, max(2, int(count * _BEFORE_SHARE)))
        later = portions(count - early, self._window[1:], self._seed, "listings")
        self._bounds = [0, *(early + bound for bound in later)]
        index = np.arange(count)
        self.category = weighted(
            self._words("category", index), [c.weight for c in CATEGORIES]
        ).astype(np.int8)
        self.brand = weighted(self._words("brand", index), BRAND_WEIGHTS).astype(np.int8)
        self.seller = self._sellers(index)
        self.appeal = from_table(self._words("appeal", index), _APPEAL)
        members = [np.flatnonzero(self.category == number) for number in range(len(CATEGORIES))]
        self.ranked = [each[np.argsort(-self.appeal[each], kind="stable")] for each in members]
        self.listed_day: Ints = np.searchsorted(self._bounds, index, side="right") - 2
        systems = [_system(c.sizes) for c in CATEGORIES]
        self.size_system: Ints = np.array(systems)[self.category]
        picked = below(
            self._words("size", index),
            np.array([len(c.sizes) or 1 for c in CATEGORIES])[self.category],
        )
        codes = [[SIZES.index(size) for size in c.sizes] or [NO_SIZE] for c in CATEGORIES]
        width = max(map(len, codes))
        table = np.array([[*row, *[NO_SIZE] * (width - len(row))] for row in codes])
        self.size: Ints = table[self.category, picked]
        cells = words(self._seed, "style of brand", np.arange(len(BRANDS) * STYLES))
        self._brand_style = from_table(cells, _STYLE_OF_BRAND).reshape(len(BRANDS), STYLES)
        self.brand_tier = np.array([brand.tier for brand in BRANDS])

    def _words(self, what: str, index: Ints) -> NDArray[np.uint64]:
        return words(self._seed, f"product {what}", index)

    def _sellers(self, index: Ints) -> Ints:
        sellers = self._crowd.sellers.draw(self._words("seller", index))
        if len(index) > 1 and sellers[0] == sellers[1]:
            # The first two have different sellers, so that every user can buy from another.
            positions = self._crowd.sellers.positions
            sellers[1] = positions[0] if positions[0] != sellers[0] else positions[1]
        return sellers

    def before(self, day: int) -> int:
        """Return the number of products listed before a day of the window."""
        return self._bounds[day + 1]

    def style(self, products: Ints) -> Ints:
        """Return the style vector of each product: that of its brand, and its own."""
        cells = products[..., None] * STYLES + np.arange(STYLES)
        own = from_table(self._words("style", cells), _STYLE_OF_PIECE)
        return self._brand_style[self.brand[products]] + own

    def condition(self, products: Ints) -> Ints:
        """Return positions in `CONDITIONS`."""
        return weighted(self._words("condition", products), [c[1] for c in CONDITIONS])

    def price(self, products: Ints) -> Ints:
        """Return prices in cents by category, brand and condition, rounded as people do."""
        step = (self._words("price", products) >> np.uint64(52)).astype(np.int64) % STEPS
        base = _PRICES[self.category[products].astype(np.int64), step]
        tier = np.array(TIER_PERCENT)[self.brand_tier[self.brand[products]]]
        worth = np.array([c[2] for c in CONDITIONS])[self.condition(products)]
        cents = base * tier // 100 * worth // 100
        euros = np.where(cents >= _DEAR, cents // 500 * 5, cents // 100)
        nine = share(self._words("nine", products), 0.3) & (cents >= _NINE_FROM)
        euros = np.where(nine, euros // 10 * 10 + 9, euros)
        prices: Ints = np.maximum(euros * 100, LEAST_PRICE)
        return prices

    def listed_on(self, day: int) -> Iterator[Ints]:
        """Yield the products listed on a day of the window, in blocks; -1 is the time before it."""
        begin, end = self._bounds[day + 1], self._bounds[day + 2]
        for low in range(begin, end, _BLOCK):
            yield np.arange(low, min(end, low + _BLOCK))

    def records(self, day: int, index: Ints) -> Frame:
        """Return the columns of products that were listed on a day."""
        category, brand = self.category[index].astype(np.int64), self.brand[index].astype(np.int64)
        colour = weighted(self._words("colour", index), [w for _, w in COLOURS])
        colours = np.array([name for name, _ in COLOURS])[colour]
        branded = ~share(self._words("unbranded", index), _UNBRANDED)
        brands = np.where(branded, np.array([b.name for b in BRANDS])[brand], "")
        noun = self._picked("noun", index, category, [c.nouns for c in CATEGORIES])
        size = np.array([*SIZES, ""])[self.size[index]]
        start = epoch(self._window[day + 1])
        at = start + seconds(self._words("hour", index), self._words("second", index))
        if day < 0:
            at = np.sort(start + below(self._words("moment", index), _BEFORE_DAYS * 86_400))
        return {
            "product_id": FIRST_ID + index,
            "seller_id": self._crowd.ids[self.seller[index]],
            "title": pl.Series(brands).str.replace("^(.+)$", "$1 ")
            + pl.Series(colours)
            + " "
            + pl.Series(noun),
            "category": np.array([c.name for c in CATEGORIES])[category],
            "audience": np.array([c.audience for c in CATEGORIES])[category],
            "brand": brands,
            "size": size,
            "colour": colours,
            "condition": np.array([c[0] for c in CONDITIONS])[self.condition(index)],
            "price": money(self.price(index)),
            "currency": np.full(len(index), "EUR"),
            "listed_at": pl.from_epoch(pl.Series(at)),
        }

    def _picked(
        self, what: str, index: Ints, category: Ints, words_of: Sequence[Sequence[str]]
    ) -> NDArray[np.str_]:
        width = max(len(nouns) for nouns in words_of)
        table = np.array([[nouns[n % len(nouns)] for n in range(width)] for nouns in words_of])
        sizes = np.array([len(nouns) for nouns in words_of])[category]
        picked: NDArray[np.str_] = table[category, below(self._words(what, index), sizes)]
        return picked


def _system(sizes: tuple[str, ...]) -> int:
    return SIZE_SYSTEMS.index(sizes) if sizes else NO_SIZE
