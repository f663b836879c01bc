"""What the other tables need to know of the users: some bytes each, and nothing else of them."""

from array import array
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from marketplace.generator.assortment import BRANDS, CATEGORIES, STYLES
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
from marketplace.generator.users import User

FAVOURITES = 2
"""Categories that a user looks at more than at others."""

_TYPES = 6
_TYPE_SPREAD, _OWN_SPREAD = normal(9.0), normal(4.0)
_MOST = 60
_MEN_LIKE_MEN = 0.72


class People:
    """Takes users one by one; then says who buys, sells and looks, by position of the user."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._codes: list[str] = []
        self._code_numbers: dict[str, int] = {}
        self._ids, self._countries = array("q"), array("H")
        self._men, self._buys, self._sells, self._looks = (array("B") for _ in range(4))

    def add(self, user: User) -> None:
        """Take one user in."""
        self._ids.append(user.identifierHash)
        number = self._code_numbers.setdefault(user.countryCode, len(self._codes))
        if number == len(self._codes):
            self._codes.append(user.countryCode)
        self._countries.append(number)
        self._men.append(user.gender == "M")
        # Who has nothing on record has no part in the other tables.
        self._buys.append(min(_MOST, user.productsBought))
        self._sells.append(min(_MOST, user.productsSold + user.productsListed))
        active = user.productsBought + user.productsWished + user.socialProductsLiked
        self._looks.append(min(_MOST, active))

    def freeze(self) -> "Crowd":
        """The crowd of all who were taken in."""
        ids = np.array(self._ids, dtype=np.int64)
        country_of = np.array(self._countries, dtype=np.int64)
        men = np.array(self._men, dtype=bool)
        groups = [
            np.array(weights, dtype=np.int64) for weights in (self._buys, self._sells, self._looks)
        ]
        return Crowd(self.seed, ids, (country_of, self._codes), men, groups)


class Crowd:
    """All users of a marketplace as columns."""

    def __init__(
        self,
        seed: int,
        ids: Ints,
        countries: tuple[Ints, Sequence[str]],
        men: Flags,
        weights: Sequence[Ints],
    ) -> None:
        self._seed = seed
        self.ids, self._men = ids, men
        self._country_of, self._codes = countries[0], np.array(countries[1])
        self.buyers, self.sellers, self.lookers = (Members(w) for w in weights)
        centres = words(seed, "types of taste", np.arange(_TYPES * STYLES))
        self._centres = from_table(centres, _TYPE_SPREAD).reshape(_TYPES, STYLES)

    def country(self, users: Ints) -> NDArray[np.str_]:
        """Country codes."""
        found: NDArray[np.str_] = self._codes[self._country_of[users]]
        return found

    def taste(self, users: Ints) -> Ints:
        """Each user's liking of each style: that of a type of people, and some of one's own."""
        kind = below(words(self._seed, "type of user", users), _TYPES)
        cells = users[:, None] * STYLES + np.arange(STYLES)
        return self._centres[kind] + from_table(words(self._seed, "taste", cells), _OWN_SPREAD)

    def tier(self, users: Ints) -> Ints:
        """How dear the brands are that a user likes, 0 to 3."""
        return weighted(words(self._seed, "tier of user", users), (38, 32, 19, 11))

    def favourites(self, users: Ints) -> Ints:
        """The favourite categories of each user, by number: one row a user."""
        columns = []
        theirs = self._men[users] & share(words(self._seed, "men", users), _MEN_LIKE_MEN)
        for number in range(FAVOURITES):
            bits = words(self._seed, f"favourite {number}", users)
            columns.append(
                np.where(theirs, weighted(bits, _FOR_MEN), weighted(bits, _FOR_WOMEN)),
            )
        return np.stack(columns, axis=1)


class Members:
    """Users who take a part, each as often as it weighs; everybody where fewer than two do."""

    def __init__(self, weights: Ints) -> None:
        positions = np.flatnonzero(weights)
        if len(positions) <= 1:
            positions, weights = np.arange(len(weights)), np.ones_like(weights)
        self.positions = positions
        self._edges = np.cumsum(weights[positions])

    def draw(self, bits: Words) -> Ints:
        """Positions of users."""
        drawn = below(bits, int(self._edges[-1]))
        return self.positions[np.searchsorted(self._edges, drawn, side="right")]


_FOR_WOMEN = tuple(c.weight // (10 if c.audience == "men" else 1) for c in CATEGORIES)
_FOR_MEN = tuple(c.weight * (4 if c.audience == "men" else 1) // 4 for c in CATEGORIES)
BRAND_WEIGHTS = tuple(brand.weight for brand in BRANDS)
