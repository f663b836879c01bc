"""Compact attributes of users that the other tables need."""

from array import array
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from marketplace.generator.assortment import BRANDS, CATEGORIES, SIZE_SYSTEMS, SIZES, STYLES
from marketplace.generator.chance import (
    Flags,
    Ints,
    Words,
    below,
    from_table,
    normal,
    share,
    weighted,
    words,
)
from marketplace.generator.lifecycles import KINDS, Lifecycles, kind_of
from marketplace.generator.users import User

FAVOURITES = 2
"""Number of favourite categories of a user."""

_TYPES = 6
_TYPE_SPREAD, _OWN_SPREAD = normal(9.0), normal(4.0)
_MOST = 60
_MEN_LIKE_MEN = 0.72


class People:
    """Collects users, then returns them as a `Crowd`."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._codes: list[str] = []
        self._code_numbers: dict[str, int] = {}
        self._ids, self._countries = array("q"), array("H")
        self._men, self._buys, self._sells, self._looks = (array("B") for _ in range(4))

    def add(self, user: User) -> None:
        """Add a user."""
        self._ids.append(user.identifierHash)
        number = self._code_numbers.setdefault(user.countryCode, len(self._codes))
        if number == len(self._codes):
            self._codes.append(user.countryCode)
        self._countries.append(number)
        self._men.append(user.gender == "M")
        # Users without activity are not in the other tables.
        self._buys.append(min(_MOST, user.productsBought))
        self._sells.append(min(_MOST, user.productsSold + user.productsListed))
        active = user.productsBought + user.productsWished + user.socialProductsLiked
        self._looks.append(min(_MOST, active))

    def freeze(self, days: int) -> "Crowd":
        """Return all added users as a crowd that trades for so many days."""
        ids = np.array(self._ids, dtype=np.int64)
        country_of = np.array(self._countries, dtype=np.int64)
        men = np.array(self._men, dtype=bool)
        buys, sells, looks = (
            np.array(weights, dtype=np.int64) for weights in (self._buys, self._sells, self._looks)
        )
        lifecycles = Lifecycles(self.seed, len(ids), days)
        groups = [np.where(buys > 0, lifecycles.rate, 0), sells, looks]
        return Crowd(self.seed, ids, (country_of, self._codes), men, groups, lifecycles=lifecycles)


class Crowd:
    """All users as columns."""

    def __init__(
        self,
        seed: int,
        ids: Ints,
        countries: tuple[Ints, Sequence[str]],
        men: Flags,
        weights: Sequence[Ints],
        *,
        lifecycles: Lifecycles,
    ) -> None:
        self._seed = seed
        self.ids, self._men = ids, men
        self._country_of, self._codes = countries[0], np.array(countries[1])
        self._buyers, self.sellers, self._lookers = (Members(w) for w in weights)
        self.lifecycles = lifecycles
        centres = words(seed, "types of taste", np.arange(_TYPES * STYLES))
        self._centres = from_table(centres, _TYPE_SPREAD).reshape(_TYPES, STYLES)

    def draw_buyers(self, bits: Words, day: int) -> Ints:
        """Draw users who buy on a day, by their rates; of all, where nobody is a customer."""
        return self._buyers.draw(bits, self.lifecycles.active(self._buyers.positions, day))

    def draw_lookers(self, bits: Words, day: int) -> Ints:
        """Draw users who look at products on a day."""
        return self._lookers.draw(bits, self.lifecycles.active(self._lookers.positions, day))

    def country(self, users: Ints) -> NDArray[np.str_]:
        """Return country codes."""
        codes: NDArray[np.str_] = self._codes[self._country_of[users]]
        return codes

    def preferred_style(self, users: Ints) -> Ints:
        """Return the style vector of each user: that of a user type, and an individual part."""
        kind = below(words(self._seed, "type of user", users), _TYPES)
        cells = users[:, None] * STYLES + np.arange(STYLES)
        return self._centres[kind] + from_table(words(self._seed, "taste", cells), _OWN_SPREAD)

    def tier(self, users: Ints) -> Ints:
        """Return the preferred price tier of each user, 0 to 3."""
        bits, kind = words(self._seed, "tier of user", users), kind_of(self._seed, users)
        return np.choose(kind, [weighted(bits, each.tiers) for each in KINDS])

    def sizes(self, users: Ints) -> Ints:
        """Return positions in `SIZES`, one row for each user, a column for each size system."""
        columns = []
        for number, system in enumerate(SIZE_SYSTEMS):
            drawn = below(words(self._seed, f"body size {number}", users), len(system))
            columns.append(np.array([SIZES.index(size) for size in system])[drawn])
        return np.stack(columns, axis=1)

    def favourites(self, users: Ints) -> Ints:
        """Return the favourite categories, one row for each user."""
        columns = []
        likes_men = self._men[users] & share(words(self._seed, "men", users), _MEN_LIKE_MEN)
        for number in range(FAVOURITES):
            bits = words(self._seed, f"favourite {number}", users)
            columns.append(
                np.where(likes_men, weighted(bits, _FOR_MEN), weighted(bits, _FOR_WOMEN)),
            )
        return np.stack(columns, axis=1)


class Members:
    """Users with weights to draw from; all users if fewer than two have a weight."""

    def __init__(self, weights: Ints) -> None:
        positions = np.flatnonzero(weights)
        if len(positions) <= 1:
            positions, weights = np.arange(len(weights)), np.ones_like(weights)
        self.positions = positions
        self._weights = weights[positions]
        self._edges = np.cumsum(self._weights)

    def draw(self, bits: Words, factors: Ints | None = None) -> Ints:
        """Draw positions of users.

        Args:
            bits: one word a draw.
            factors: of the weights of `positions`; without effect where all of them are 0.
        """
        edges = self._edges
        if factors is not None and factors.any():
            edges = np.cumsum(self._weights * factors)
        drawn = below(bits, int(edges[-1]))
        return self.positions[np.searchsorted(edges, drawn, side="right")]


_FOR_WOMEN = tuple(c.weight // (10 if c.audience == "men" else 1) for c in CATEGORIES)
_FOR_MEN = tuple(c.weight * (4 if c.audience == "men" else 1) // 4 for c in CATEGORIES)
BRAND_WEIGHTS = tuple(brand.weight for brand in BRANDS)
