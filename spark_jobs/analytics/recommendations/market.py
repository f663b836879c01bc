"""Listings and acts as arrays: what all parts of the recommendations work on.

A listing is one piece: it is on sale from `listed` to `delisted`. Times are days since 1970 as
floats. An act is a view, a like, a wish or a purchase of a user on a listing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

WEIGHTS = {"view": 1.0, "like": 3.0, "wish": 5.0, "purchase": 6.0}
"""How much an act says of taste."""

KINDS = tuple(WEIGHTS)
FACETS = ("category", "brand", "band", "size")
_BANDS = 5
_UNKNOWN = ""


@dataclass(frozen=True)
class Listings:
    """The listings, by ascending product id.

    Attributes:
        ids, seller: product and seller ids.
        listed, delisted: in days; `inf` where it is on sale.
        facets: code of each facet by name; code 0 is unknown and says nothing.
        names: of the codes.
        price: of the listing.
        level: logarithm of the price, standardised within its category.
    """

    ids: Ints
    seller: Ints
    listed: Floats
    delisted: Floats
    facets: dict[str, Ints]
    names: dict[str, list[str]]
    price: Floats
    level: Floats

    def live(self, at: float) -> Ints:
        """Return the positions of what is on sale at a time."""
        return np.flatnonzero((self.listed <= at) & (self.delisted > at))


@dataclass(frozen=True)
class Acts:
    """Acts by time: positions of users and listings, position in `KINDS`, time in days.

    Attributes:
        unknown: acts on listings that nobody knows; they are not among the others.
    """

    users: Ints
    listings: Ints
    kinds: Ints
    at: Floats
    user_ids: Ints
    unknown: int

    def before(self, at: float) -> slice:
        """Return the acts up to a time."""
        return slice(0, int(np.searchsorted(self.at, at, side="right")))

    def between(self, begin: float, end: float) -> slice:
        """Return the acts after a time and up to another."""
        low, high = np.searchsorted(self.at, [begin, end], side="right")
        return slice(int(low), int(high))

    def take(self, positions: Ints) -> Acts:
        """Return the acts at ascending positions; users and listings keep theirs."""
        return Acts(
            self.users[positions],
            self.listings[positions],
            self.kinds[positions],
            self.at[positions],
            self.user_ids,
            self.unknown,
        )


def days(times: pd.Series[pd.Timestamp]) -> Floats:
    """Return times as days since 1970; missing ones as `inf`."""
    stamps = pd.to_datetime(times).to_numpy(dtype="datetime64[us]")
    result = stamps.astype(np.int64) / 86_400e6
    return np.where(np.isnat(stamps), np.inf, result)


def listings_of(products: pd.DataFrame) -> Listings:
    """Encode products: `product_id`, `seller_id`, facets, `price`, `listed_at`, `delisted_at`."""
    products = products.sort_values("product_id", kind="stable").reset_index(drop=True)
    facets: dict[str, Ints] = {}
    names: dict[str, list[str]] = {}
    price = products["price"].to_numpy(dtype=float)
    category = products["category"].fillna(_UNKNOWN).astype(str)
    columns = {
        "category": category,
        "brand": products["brand"].fillna(_UNKNOWN).astype(str),
        "band": _bands(category, price),
        "size": products["size"].fillna(_UNKNOWN).astype(str),
    }
    for facet, values in columns.items():
        known = sorted(set(values) - {_UNKNOWN})
        codes = {value: number for number, value in enumerate(known, 1)} | {_UNKNOWN: 0}
        facets[facet] = values.map(codes).to_numpy().astype(np.int64)
        names[facet] = [_UNKNOWN, *known]
    return Listings(
        products["product_id"].to_numpy(dtype=np.int64),
        products["seller_id"].to_numpy(dtype=np.int64),
        days(products["listed_at"]),
        days(products["delisted_at"]),
        facets,
        names,
        price,
        _levels(facets["category"], price),
    )


def _levels(category: Ints, price: Floats) -> Floats:
    logs = pd.Series(np.log(np.maximum(price, 0.01))).groupby(category)
    apart = np.log(np.maximum(price, 0.01)) - logs.transform("mean").to_numpy()
    spread = logs.transform("std").fillna(0.0).to_numpy()
    return np.where(spread > 0, apart / np.maximum(spread, 1e-6), 0.0)


def _bands(category: pd.Series[str], price: Floats) -> pd.Series[str]:
    """Return category and fifth of its prices."""
    rank = pd.Series(price).groupby(category.to_numpy()).rank(method="average", pct=True)
    fifth = np.minimum((rank.to_numpy() * _BANDS).astype(int), _BANDS - 1)
    return category + "/" + pd.Series(fifth).astype(str)


def acts_of(events: pd.DataFrame, listings: Listings) -> Acts:
    """Encode acts: `user_id`, `product_id`, `kind`, `at`. Those on unknown listings are counted."""
    position = np.searchsorted(listings.ids, events["product_id"].to_numpy(dtype=np.int64))
    position = np.minimum(position, max(len(listings.ids) - 1, 0))
    wanted = events["product_id"].to_numpy(dtype=np.int64)
    known = (
        listings.ids[position] == wanted if len(listings.ids) else np.zeros(len(events), dtype=bool)
    )
    users, inverse = np.unique(events["user_id"].to_numpy(dtype=np.int64), return_inverse=True)
    kinds = events["kind"].map({kind: number for number, kind in enumerate(KINDS)})
    at = days(events["at"])
    turn = np.lexsort((kinds.to_numpy(), position, inverse, at))
    turn = turn[known[turn] & np.isfinite(at[turn])]
    return Acts(
        inverse[turn].astype(np.int64),
        position[turn].astype(np.int64),
        kinds.to_numpy().astype(np.int64)[turn],
        at[turn],
        users,
        int((~known).sum()),
    )
