"""Chooses products for users: a softmax choice by style, size, price tier and season."""

from collections.abc import Mapping
from datetime import date
from math import log
from typing import NamedTuple

import numpy as np

from marketplace.generator.assortment import CATEGORIES
from marketplace.generator.chance import Ints, from_table, gumbel, share, weighted, words
from marketplace.generator.listings import NO_SIZE, Catalogue
from marketplace.generator.people import FAVOURITES, Crowd
from marketplace.generator.stock import Stock

_POPULAR, _RECENT = 6, 2
_CANDIDATES = _POPULAR + _RECENT
_UNIT = 256
"""Scores are in 1/256 of the logarithm of the odds."""
_PER_TIER = 170
_WRONG_SIZE = 307
"""A wrong size costs 1.2 in the logarithm of the odds."""
_LUCK = gumbel(_UNIT)
_NEVER = -(1 << 40)
_FAVOURITE_SHARES = (0.68, 0.42)

CONSTANTS: Mapping[str, float] = {
    "popular_candidates": _POPULAR,
    "recent_candidates": _RECENT,
    "unit": _UNIT,
    "tier": _PER_TIER,
    "wrong_size": _WRONG_SIZE,
    **{f"favourite_{n + 1}": part for n, part in enumerate(_FAVOURITE_SHARES)},
}
"""What a choice is made by, for those who want to know what could be known."""


class Chosen(NamedTuple):
    """A product for each user, -1 where there is none, and its score in `suits`."""

    products: Ints
    suits: Ints


class Chooser:
    """Chooses products that are on sale for users of a crowd."""

    def __init__(self, crowd: Crowd, catalogue: Catalogue, stock: Stock, seed: int) -> None:
        self._crowd, self._catalogue, self._stock, self._seed = crowd, catalogue, stock, seed

    def choose(
        self, stream: str, index: Ints, users: Ints, when: date, *, once: bool = False
    ) -> Chosen:
        """Choose a product of another user for each user, of what is on sale on the opened day.

        Args:
            stream: with `index` it decides the draw.
            index: one number a draw.
            users: positions of users.
            when: the day.
            once: no product is chosen twice; who comes first in `users` has it.
        """
        cells = index[:, None] * _CANDIDATES + np.arange(_CANDIDATES)
        candidates = self._candidates(stream, cells, users)
        scores = self._scores(candidates, users)
        seasons = np.array([round(_UNIT * log(season)) for season in _seasons(when)])
        season = seasons[self._catalogue.category[candidates]]
        luck = from_table(words(self._seed, f"{stream} luck", cells), _LUCK)
        own = self._catalogue.seller[candidates] == users[:, None]
        total = np.where((candidates >= 0) & ~own, scores + season + luck, _NEVER)
        best = _first_come(candidates, total) if once else _best(total)
        row = np.arange(len(users))
        products = np.where(best >= 0, candidates[row, best], -1)
        suits = np.where(best >= 0, scores[row, best], 0)
        return Chosen(self._find_any(products, users, once=once), suits)

    def _candidates(self, stream: str, cells: Ints, users: Ints) -> Ints:
        bits = words(self._seed, f"{stream} candidate", cells)
        drawn = words(self._seed, f"{stream} category", cells[:, :_POPULAR])
        category = weighted(drawn, [c.weight for c in CATEGORIES])
        favourites = self._crowd.favourites(users)
        turn = words(self._seed, f"{stream} favourite", cells[:, :_POPULAR])
        for number in range(FAVOURITES):
            uses_favourite = share(turn, _FAVOURITE_SHARES[number])
            category = np.where(uses_favourite, favourites[:, number, None], category)
        popular = self._stock.popular(category.ravel(), bits[:, :_POPULAR].ravel())
        recent = self._stock.recent(bits[:, _POPULAR:])
        return np.concatenate([popular.reshape(category.shape), recent], axis=1)

    def _scores(self, candidates: Ints, users: Ints) -> Ints:
        preference = (
            self._catalogue.style(candidates) * self._crowd.preferred_style(users)[:, None, :]
        ).sum(2)
        tier = self._catalogue.brand_tier[self._catalogue.brand[candidates]]
        apart = np.abs(tier - self._crowd.tier(users)[:, None])
        system = self._catalogue.size_system[candidates]
        body = np.take_along_axis(self._crowd.sizes(users), np.maximum(system, 0), axis=1)
        misfit = (system != NO_SIZE) & (body != self._catalogue.size[candidates])
        scores: Ints = preference - apart * _PER_TIER - misfit * _WRONG_SIZE
        return scores

    def _find_any(self, products: Ints, users: Ints, *, once: bool) -> Ints:
        """Give those without a product one of another user, as long as there are any."""
        without = np.flatnonzero(products < 0)
        if not len(without):
            return products
        free = self._stock.on_sale.copy()
        if once:
            free[products[products >= 0]] = False
        found = products.copy()
        left = list(np.flatnonzero(free))
        for at in without:
            own = users[at]
            suitable = (n for n, one in enumerate(left) if self._catalogue.seller[one] != own)
            if (number := next(suitable, None)) is not None:
                found[at] = left.pop(number) if once else left[number]
        return found


def _best(total: Ints) -> Ints:
    best = np.argmax(total, axis=1)
    return np.where(total[np.arange(len(total)), best] > _NEVER, best, -1)


def _first_come(candidates: Ints, total: Ints) -> Ints:
    """Return the best column of each row, so that no candidate is taken twice; -1 for none."""
    best = np.full(len(total), -1, dtype=np.int64)
    waiting, open_scores = np.arange(len(total)), total.copy()
    while len(waiting):
        wish = _best(open_scores[waiting])
        waiting, wish = waiting[wish >= 0], wish[wish >= 0]
        wanted = candidates[waiting, wish]
        taken, first = np.unique(wanted, return_index=True)
        best[waiting[first]] = wish[first]
        waiting = np.delete(waiting, first)
        gone = np.isin(candidates[waiting], taken)
        open_scores[waiting] = np.where(gone, _NEVER, open_scores[waiting])
    return best


def _seasons(when: date) -> list[float]:
    """Return the seasonal demand of each category, interpolated between quarters."""
    quarter, part = divmod(when.month - 1 + (when.day - 1) / 31, 3)
    now, then = int(quarter), (int(quarter) + 1) % 4
    return [(c.season[now] * (3 - part) + c.season[then] * part) / 300 for c in CATEGORIES]
