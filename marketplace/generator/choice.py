"""Chooses products for users: a softmax choice among candidates by style, price tier and season."""

from datetime import date
from math import log
from typing import NamedTuple

import numpy as np

from marketplace.generator.assortment import CATEGORIES
from marketplace.generator.chance import Ints, from_table, gumbel, share, weighted, words
from marketplace.generator.listings import Catalogue
from marketplace.generator.people import FAVOURITES, Crowd

_POPULAR, _RECENT = 6, 2
_CANDIDATES = _POPULAR + _RECENT
_UNIT = 256
"""Scores are in 1/256 of the logarithm of the odds."""
_PER_TIER = 170
_LUCK = gumbel(_UNIT)
_NEVER = -(1 << 40)


class Chosen(NamedTuple):
    """A product for each user, and its score in `suits`."""

    products: Ints
    suits: Ints


class Chooser:
    """Chooses products of a catalogue for users of a crowd."""

    def __init__(self, crowd: Crowd, catalogue: Catalogue, seed: int) -> None:
        self._crowd, self._catalogue, self._seed = crowd, catalogue, seed

    def choose(self, stream: str, index: Ints, users: Ints, day: int, when: date) -> Chosen:
        """Choose a product of another user for each user, listed before the day.

        Args:
            stream: with `index` it decides the draw.
            index: one number a draw.
            users: positions of users.
            day: of the window.
            when: the same day's date.
        """
        known = self._catalogue.before(day)
        cells = index[:, None] * _CANDIDATES + np.arange(_CANDIDATES)
        candidates = self._candidates(stream, cells, users, known)
        scores = self._scores(candidates, users)
        seasons = np.array([round(_UNIT * log(season)) for season in _seasons(when)])
        season = seasons[self._catalogue.category[candidates]]
        luck = from_table(words(self._seed, f"{stream} luck", cells), _LUCK)
        own = self._catalogue.seller[candidates] == users[:, None]
        allowed = (candidates < known) & ~own
        best = np.argmax(np.where(allowed, scores + season + luck, _NEVER), axis=1)
        row = np.arange(len(users))
        products, suits = candidates[row, best], scores[row, best]
        return Chosen(self._replace_unusable(products, users, known), suits)

    def _candidates(self, stream: str, cells: Ints, users: Ints, known: int) -> Ints:
        bits = words(self._seed, f"{stream} candidate", cells)
        drawn = words(self._seed, f"{stream} category", cells[:, :_POPULAR])
        category = weighted(drawn, [c.weight for c in CATEGORIES])
        favourites = self._crowd.favourites(users)
        turn = words(self._seed, f"{stream} favourite", cells[:, :_POPULAR])
        for number in range(FAVOURITES):
            uses_favourite = share(turn, (0.68, 0.42)[number])
            category = np.where(uses_favourite, favourites[:, number, None], category)
        popular = self._catalogue.popular(category.ravel(), bits[:, :_POPULAR].ravel())
        recent = self._catalogue.recent(known, bits[:, _POPULAR:])
        return np.concatenate([popular.reshape(category.shape), recent], axis=1)

    def _scores(self, candidates: Ints, users: Ints) -> Ints:
        preference = (
            self._catalogue.style(candidates) * self._crowd.preferred_style(users)[:, None, :]
        ).sum(2)
        tier = self._catalogue.brand_tier[self._catalogue.brand[candidates]]
        apart = np.abs(tier - self._crowd.tier(users)[:, None])
        scores: Ints = preference - apart * _PER_TIER
        return scores

    def _replace_unusable(self, products: Ints, users: Ints, known: int) -> Ints:
        """Replace unusable products by the next product of another user."""
        for _ in range(known):
            bad = (products >= known) | (self._catalogue.seller[products] == users)
            if not bad.any():
                break
            products = np.where(bad, (products + 1) % known, products)
        return products


def _seasons(when: date) -> list[float]:
    """Return the seasonal demand of each category, interpolated between quarters."""
    quarter, part = divmod(when.month - 1 + (when.day - 1) / 31, 3)
    now, then = int(quarter), (int(quarter) + 1) % 4
    return [(c.season[now] * (3 - part) + c.season[then] * part) / 300 for c in CATEGORIES]
