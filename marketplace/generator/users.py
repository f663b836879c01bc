# ruff: noqa: N815 - fields are named as the columns of the export are
"""Generates users with the distributions of a real export: few are active, tails are heavy.

A record depends only on the seed and its index: `generate_users(10, 7, offset=90)` yields the
last ten of `generate_users(100, 7)`.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, islice
from pathlib import Path
from typing import NamedTuple

from marketplace.generator.countries import (
    COUNTRIES,
    GUYANA,
    GUYANE,
    NAMIBIA,
    TURKS_AND_CAICOS,
    Country,
)

NEVER = 737028
"""`daysSinceLastLogin` of those who never logged in."""

SENTINEL_EVERY = 9_891
"""One of this many records has the sentinel."""
ODD_COUNTRIES = {
    (40_009, 11): NAMIBIA,
    (30_011, 12): TURKS_AND_CAICOS,
    (7_001, 13): GUYANE,
    (90_001, 14): GUYANA,
}
"""Rare countries by (one of how many records, first index)."""

_BLOCK = 1000
_SENTINEL_PHASE = 10
_ACTIVE = 0.219
_WEIGHTS = list(accumulate(country.weight for country in COUNTRIES))
_SENIORITIES = (*range(2852, 2860), *range(3195, 3206))
_MASK = (1 << 64) - 1


class User(NamedTuple):
    """One record, fields named and ordered as the export's columns."""

    identifierHash: int
    type: str
    country: str
    language: str
    socialNbFollowers: int
    socialNbFollows: int
    socialProductsLiked: int
    productsListed: int
    productsSold: int
    productsPassRate: float
    productsWished: int
    productsBought: int
    gender: str
    civilityGenderId: int
    civilityTitle: str
    hasAnyApp: bool
    hasAndroidApp: bool
    hasIosApp: bool
    hasProfilePicture: bool
    daysSinceLastLogin: int
    seniority: int
    seniorityAsMonths: float
    seniorityAsYears: float
    countryCode: str


COLUMNS = User._fields


def generate_users(rows: int, seed: int, *, offset: int = 0) -> Iterator[User]:
    """Yield `rows` users from index `offset` on; they depend only on the seed."""
    done = 0
    while done < rows:
        index = offset + done
        block, within = divmod(index, _BLOCK)
        rng = random.Random(f"{seed}:{block}")  # noqa: S311 - test data, not a secret
        users = (_user(rng, block * _BLOCK + at, seed) for at in range(_BLOCK))
        for user in islice(users, within, min(_BLOCK, within + rows - done)):
            yield user
            done += 1


def write_users(
    path: Path,
    rows: int,
    seed: int,
    *,
    offset: int = 0,
    watch: Callable[[User], object] = lambda _: None,
) -> None:
    """Write users as CSV with a header; `watch` is called with each user."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(COLUMNS) + "\n")
        file.writelines(_lines(generate_users(rows, seed, offset=offset), watch))


def _lines(users: Iterable[User], watch: Callable[[User], object]) -> Iterator[str]:
    for user in users:
        watch(user)
        yield ",".join(map(str, user)) + "\n"


def identifier(index: int, seed: int) -> int:
    """Return a unique signed 64-bit number for every index: splitmix64 is a bijection."""
    value = (index + seed * 0x9E3779B97F4A7C15) & _MASK
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & _MASK
    value ^= value >> 31
    return value - (1 << 64) if value >> 63 else value


def _rounded(days: int, unit: int) -> float:
    """Return `days / unit` rounded half up to two decimals."""
    return ((200 * days + unit) // (2 * unit)) / 100


_AGES = {days: (_rounded(days, 30), _rounded(days, 360)) for days in _SENIORITIES}


def _user(rng: random.Random, index: int, seed: int) -> User:
    country = _country(rng, index)
    language = country.language if rng.random() < 0.92 else "en"  # noqa: PLR2004 - a share
    active = rng.random() < _ACTIVE
    liked, listed, sold, wished, bought = _activity(rng) if active else (0, 0, 0, 0, 0)
    gender, civility, title = _civility(rng)
    android, ios = _apps(rng, active=active)
    seniority = rng.choice(_SENIORITIES)
    months, years = _AGES[seniority]
    return User(
        identifier(index, seed),
        "user",
        country.name,
        language,
        3 + _excess(rng, 0.33 if active else 0.09, 1.1, 740),
        8 + _excess(rng, 0.15 if active else 0.009, 0.9, 13_000),
        liked,
        listed,
        sold,
        float(rng.randint(5, 100)) if sold and rng.random() < 0.46 else 0.0,  # noqa: PLR2004
        wished,
        bought,
        gender,
        civility,
        title,
        android or ios,
        android,
        ios,
        rng.random() < (0.928 if active else 0.9955),
        _last_login(rng, index, active=active),
        seniority,
        months,
        years,
        country.code,
    )


def _country(rng: random.Random, index: int) -> Country:
    drawn = rng.choices(COUNTRIES, cum_weights=_WEIGHTS)[0]
    for (every, phase), odd in ODD_COUNTRIES.items():
        if index % every == phase:
            return odd
    return drawn


def _tail(rng: random.Random, alpha: float, most: int) -> int:
    """Draw from a Pareto distribution from 1 to `most`."""
    return min(most, int((1.0 - rng.random()) ** (-1.0 / alpha)))


def _excess(rng: random.Random, share: float, alpha: float, most: int) -> int:
    """Draw the excess over the default value, which a `share` of users has."""
    return _tail(rng, alpha, most) if rng.random() < share else 0


def _activity(rng: random.Random) -> tuple[int, int, int, int, int]:
    """Draw liked, listed, sold, wished, bought of an active user; at least one is not 0."""
    liked = _excess(rng, 0.736, 0.75, 51_000)
    wished = _excess(rng, 0.43, 0.8, 2_600)
    bought = _excess(rng, 0.25, 1.3, 400)
    sold = _excess(rng, 0.094, 1.05, 170)
    listed = _excess(rng, 0.51 if sold else 0.035, 1.1, 240)
    return liked if liked + wished + bought + sold + listed else 1, listed, sold, wished, bought


def _civility(rng: random.Random) -> tuple[str, int, str]:
    drawn = rng.random()
    if drawn < 0.2304:  # noqa: PLR2004 - shares
        return "M", 1, "mr"
    return ("F", 3, "miss") if drawn > 0.9956 else ("F", 2, "mrs")  # noqa: PLR2004


def _apps(rng: random.Random, *, active: bool) -> tuple[bool, bool]:
    android = rng.random() < (0.072 if active else 0.042)
    return android, rng.random() < (0.4 if active else 0.167)


def _last_login(rng: random.Random, index: int, *, active: bool) -> int:
    drawn = rng.random()
    if index % SENTINEL_EVERY == _SENTINEL_PHASE:
        return NEVER
    # Most inactive users never logged in again after they joined, some 700 days ago.
    return 11 + int(698 * (drawn if active else drawn**0.1))
