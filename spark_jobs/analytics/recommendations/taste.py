"""What a user's acts say of facets, and how popular a listing is; as of a moment.

Lift of a user for a facet's value: log(((c + a p) / (n + a)) / p), where c is the weight of the
user's acts on that value, n that of all, p the value's share among everybody, and a = 8. Weights
halve in 120 days. A value that nobody has seen, and a user without acts, have lift 0.

A size is compared with the sizes of what the user looks at: log((c + a p) / (e + a p)), where e is
the weight that it would have if the user took any size of those categories.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spark_jobs.analytics.recommendations.market import (
    FACETS,
    KINDS,
    WEIGHTS,
    Acts,
    Floats,
    Ints,
    Listings,
)

HALF_LIFE = 120.0
ALPHA = 8.0
WINDOW = 28.0
"""Days over which popularity is counted."""
_PRIOR_DAYS = 4.0
_RANK = 6
_LEVEL_PRIOR = 4.0
LATENT = "style"
"""Lift of brands that share admirers with those of the user: the brand lifts, at rank 6."""


@dataclass(frozen=True)
class Taste:
    """Lifts by facet: a row a user, a column a code.

    Attributes:
        rows: position of each user's row by user position; -1 for those who are not there.
        acts: number of acts of each row.
        level, brand_level: mean price level of what each row looks at, and of its brands.
    """

    rows: Ints
    acts: Ints
    lifts: dict[str, Floats]
    level: Floats
    brand_level: Floats


def popularity(listings: Listings, acts: Acts, at: float) -> tuple[Floats, Floats]:
    """Return the acts of the last 28 days on each listing, and their logarithm per day listed.

    The rate of a new listing is drawn to the mean by four days of it.
    """
    recent = acts.between(at - WINDOW, at)
    count = np.bincount(acts.listings[recent], minlength=len(listings.ids)).astype(float)
    shown = np.clip(at - np.maximum(listings.listed, at - WINDOW), 0.25, WINDOW)
    live = listings.live(at)
    mean = count[live].sum() / shown[live].sum() if len(live) else 0.0
    rate = (count + _PRIOR_DAYS * mean) / (shown + _PRIOR_DAYS)
    return count, np.log(rate + 1e-6)


@dataclass(frozen=True)
class Base:
    """What everybody likes, and which brands share admirers: from all users, as of a moment.

    Attributes:
        shares: of each facet's values among all acts.
        latent: how much of the lift of a brand (row) another one (column) has.
        sizes: share of each size (column) among the listings of a category (row).
        brand_level: mean price level of each brand.
    """

    shares: dict[str, Floats]
    latent: Floats
    sizes: Floats
    brand_level: Floats


def base_of(listings: Listings, acts: Acts, at: float) -> Base:
    """Learn the shares of facet values and the latent space of brands."""
    past = acts.before(at)
    shares = {}
    weight = _weights(acts, past, at)
    for facet in FACETS:
        codes = listings.facets[facet][acts.listings[past]]
        mass = np.bincount(codes, weight, len(listings.names[facet]))
        mass[0] = 0
        shares[facet] = mass / max(mass.sum(), 1e-12)
    everyone = np.unique(acts.users[past])
    brand = _lifts(listings, acts, at, "brand", shares["brand"], rows=_rows(acts, everyone))
    gram = brand.T @ brand
    _, vectors = np.linalg.eigh(gram)
    axes = vectors[:, -_RANK:]
    known = listings.listed <= at
    category, size = listings.facets["category"][known], listings.facets["size"][known]
    shape = len(listings.names["category"]), len(listings.names["size"])
    sizes = np.bincount(category * shape[1] + size, minlength=shape[0] * shape[1]).reshape(shape)
    sizes[:, 0] = 0
    codes = listings.facets["brand"][known]
    count = np.bincount(codes, minlength=len(listings.names["brand"]))
    level = np.bincount(codes, listings.level[known], len(count)) / np.maximum(count, 1)
    return Base(shares, axes @ axes.T, sizes / np.maximum(sizes.sum(axis=1, keepdims=True), 1),
                level)  # fmt: skip


def taste(listings: Listings, acts: Acts, base: Base, at: float, users: Ints) -> Taste:
    """Return the lifts of users as of a moment."""
    past = acts.before(at)
    rows = _rows(acts, users)
    lifts = {
        facet: _lifts(listings, acts, at, facet, base.shares[facet], rows=rows) for facet in FACETS
    }
    lifts[LATENT] = lifts["brand"] @ base.latent
    mine = rows[acts.users[past]]
    kept = mine >= 0
    mine, touched = mine[kept], acts.listings[past][kept]
    weight = _weights(acts, past, at)[kept]
    lifts["size"] = _size_lifts(listings, base, mine, touched, weight=weight, users=len(users))
    whole = np.bincount(mine, weight, len(users)) + _LEVEL_PRIOR
    brand_level = base.brand_level[listings.facets["brand"][touched]]
    return Taste(
        rows,
        np.bincount(mine, minlength=len(users)),
        lifts,
        np.bincount(mine, weight * listings.level[touched], len(users)) / whole,
        np.bincount(mine, weight * brand_level, len(users)) / whole,
    )


def _size_lifts(
    listings: Listings, base: Base, mine: Ints, touched: Ints, *, weight: Floats, users: int
) -> Floats:
    """Return the lifts of sizes over those of the categories that each user looks at.

    Args:
        listings: of the market.
        base: of everybody.
        mine: row of each act.
        touched: listing of each act.
        weight: of each act.
        users: number of rows.
    """
    categories, sizes = base.sizes.shape
    category, size = listings.facets["category"][touched], listings.facets["size"][touched]
    sized = size > 0
    by_category = np.bincount(
        mine[sized] * categories + category[sized], weight[sized], users * categories
    ).reshape(users, categories)
    by_size = np.bincount(mine[sized] * sizes + size[sized], weight[sized], users * sizes).reshape(
        users, sizes
    )
    prior = ALPHA * base.shares["size"]
    known = prior > 0
    result = np.zeros((users, sizes))
    expected = by_category @ base.sizes
    result[:, known] = np.log((by_size + prior)[:, known] / (expected + prior)[:, known])
    return result


def _rows(acts: Acts, users: Ints) -> Ints:
    rows = np.full(len(acts.user_ids), -1, dtype=np.int64)
    rows[users] = np.arange(len(users))
    return rows


def _weights(acts: Acts, past: slice, at: float) -> Floats:
    kinds = np.array([WEIGHTS[kind] for kind in KINDS])
    weight: Floats = kinds[acts.kinds[past]] * 0.5 ** ((at - acts.at[past]) / HALF_LIFE)
    return weight


def _lifts(
    listings: Listings, acts: Acts, at: float, facet: str, share: Floats, *, rows: Ints
) -> Floats:
    past = acts.before(at)
    width, count = len(share), int(rows.max(initial=-1)) + 1
    mine = rows[acts.users[past]]
    codes = listings.facets[facet][acts.listings[past]]
    # What is unknown of a listing says nothing of its admirers.
    kept = (mine >= 0) & (codes > 0)
    weight = _weights(acts, past, at)[kept]
    cells = np.bincount(mine[kept] * width + codes[kept], weight, count * width)
    mass = cells.reshape(count, width)
    whole = mass.sum(axis=1, keepdims=True)
    known = share > 0
    result = np.zeros((count, width))
    result[:, known] = np.log(
        (mass[:, known] + ALPHA * share[known]) / (whole + ALPHA) / share[known]
    )
    return result
