"""What a user's acts say of facets, and how popular a listing is; as of a moment.

Lift of a user for a facet's value: log(((c + a p) / (n + a)) / p), where c is the weight of the
user's acts on that value, n that of all, p the value's share among everybody, and a = 8. Weights
halve in 120 days. A value that nobody has seen, and a user without acts, have lift 0.
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
LATENT = "style"
"""Lift of brands that share admirers with those of the user: the brand lifts, at rank 6."""


@dataclass(frozen=True)
class Taste:
    """Lifts by facet: a row a user, a column a code.

    Attributes:
        rows: position of each user's row by user position; -1 for those who are not there.
        acts: number of acts of each row.
    """

    rows: Ints
    acts: Ints
    lifts: dict[str, Floats]


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
    """What everybody likes, and which brands share admirers: from all users, as of a moment."""

    shares: dict[str, Floats]
    latent: Floats


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
    return Base(shares, axes @ axes.T)


def taste(listings: Listings, acts: Acts, base: Base, at: float, users: Ints) -> Taste:
    """Return the lifts of users as of a moment."""
    past = acts.before(at)
    rows = _rows(acts, users)
    lifts = {
        facet: _lifts(listings, acts, at, facet, base.shares[facet], rows=rows) for facet in FACETS
    }
    lifts[LATENT] = lifts["brand"] @ base.latent
    mine = rows[acts.users[past]]
    return Taste(rows, np.bincount(mine[mine >= 0], minlength=len(users)), lifts)


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
