"""Two stages: a score of two terms finds candidates, boosting on facets orders them anew.

Stage one is log popularity per day listed, plus the user's lift for the category. It is also what
is published where the second stage does not win. Of the thousand that it finds, those go on whose
lifts of brand, size and price add up best. Boosting is trained on the candidates that it will see
(hard negatives): with random negatives it learns what stage one knows already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from spark_jobs.analytics.recommendations.market import Acts, Floats, Ints, Listings
from spark_jobs.analytics.recommendations.taste import (
    LATENT,
    Base,
    Taste,
    base_of,
    popularity,
    taste,
)
from spark_jobs.analytics.recommendations.trees import Boosting, train

CANDIDATES, LOOKED_AT = 300, 1_000
"""Stage two orders so many candidates, the most suitable of so many that stage one found."""
LIST = 20
OF_A_SELLER = 3
WEEK = 7.0
TRAINED_WEEKS = 16
MOST_USERS = 4_000
"""So many users of a week are trained on, and judged, at most."""
_NEGATIVES = 5
"""One of so many candidates that were not touched is trained on."""
_FACETS = 0.3
"""How much the facets count beside stage one's score where candidates are chosen."""
_BLOCK = 500
_DEEP = 10
"""How many times a list's length is looked at, for three of a seller at most may be in it."""

FEATURES = (
    "score", "popularity", "age", "category", "brand", "band", "size", LATENT, "price", "acts",
    "level_gap", "brand_gap",
)  # fmt: skip


@dataclass(frozen=True)
class Moment:
    """A market as of a time: everything that a score of that time may know."""

    listings: Listings
    acts: Acts
    at: float
    live: Ints
    count: Floats
    popular: Floats
    base: Base

    @classmethod
    def of(cls, listings: Listings, acts: Acts, at: float) -> Moment:
        """Look at the acts up to a time."""
        count, popular = popularity(listings, acts, at)
        return cls(
            listings, acts, at, listings.live(at), count, popular, base_of(listings, acts, at)
        )

    def history(self, users: Ints) -> Acts:
        """Return the acts of these users up to the moment; read by user, not by going over all."""
        turn, starts = self._by_user
        begin, lengths = starts[users], starts[users + 1] - starts[users]
        before = np.cumsum(lengths) - lengths
        at = np.arange(int(lengths.sum())) + np.repeat(begin - before, lengths)
        return self.acts.take(np.sort(turn[at]))

    @cached_property
    def _by_user(self) -> tuple[Ints, Ints]:
        users = self.acts.users[self.acts.before(self.at)]
        turn = np.argsort(users, kind="stable")
        starts = np.searchsorted(users[turn], np.arange(len(self.acts.user_ids) + 1))
        return turn, starts

    @cached_property
    def _place_in_category(self) -> Ints:
        """Return how many of its category are more popular, of each that is on sale."""
        category = self.listings.facets["category"][self.live]
        turn = np.lexsort((-self.popular[self.live], category))
        place = np.empty(len(turn), dtype=np.int64)
        place[turn] = _count_before(category[turn], np.zeros(len(turn), dtype=np.int64))
        return place

    def most_popular(self, most: int) -> Ints:
        """Return the positions in `live` of so many of each category, the most popular ones.

        The best of a user are among them: stage one adds the same to all of a category.
        """
        return np.flatnonzero(self._place_in_category < most)


@dataclass(frozen=True)
class Candidates:
    """Candidates of users: listing positions and stage one's scores, best first; -1 for none.

    `acts` are those of the users up to the moment.
    """

    users: Ints
    listings: Ints
    scores: Floats
    taste: Taste
    acts: Acts


def candidates(moment: Moment, users: Ints, most: int = CANDIDATES) -> Candidates:
    """Return what is on sale, not the user's own and not seen by the user, best first."""
    mine = moment.history(users)
    known = taste(moment.listings, mine, moment.base, moment.at, users)
    most = min(most, len(moment.live))
    if most == 0:
        nothing = np.zeros((len(users), 0))
        return Candidates(users, nothing.astype(np.int64), nothing, known, mine)
    row, hidden = _hidden(moment, mine, users, known.rows)
    pool = moment.most_popular(most + int(np.bincount(row, minlength=1).max()))
    listings = moment.live[pool]
    category = moment.listings.facets["category"][listings]
    scores = known.lifts["category"][:, category] + moment.popular[listings][None, :]
    place = np.full(len(moment.live), -1, dtype=np.int64)
    place[pool] = np.arange(len(pool))
    inside = place[hidden] >= 0
    scores[row[inside], place[hidden][inside]] = -np.inf
    part = np.argpartition(-scores, most - 1, axis=1)[:, :most]
    best = np.take_along_axis(scores, part, axis=1)
    # Ties by the listing, so that the same data gives the same rows.
    turn = np.lexsort((part, -best), axis=1)
    part, best = np.take_along_axis(part, turn, axis=1), np.take_along_axis(best, turn, axis=1)
    chosen = np.where(np.isfinite(best), listings[part], -1)
    return Candidates(users, chosen, best, known, mine)


def suitable(moment: Moment, found: Candidates, most: int = CANDIDATES) -> Candidates:
    """Return the candidates that suit a user best by all facets.

    Half of a pair of brands' lift counts, for the brand itself has told a part of it.
    """
    listings, lifts = moment.listings, found.taste.lifts
    if found.listings.shape[1] <= most:
        return found
    row = np.arange(len(found.users))[:, None]
    chosen = np.maximum(found.listings, 0)

    def lift(of: str, facet: str) -> Floats:
        result: Floats = lifts[of][row, listings.facets[facet][chosen]]
        return result

    facets = lift("brand", "brand") + lift("size", "size") + 0.5 * lift(LATENT, "brand")
    # A price band's lift has that of its category in it.
    facets += lift("band", "band") - lift("category", "category")
    suits = found.scores + _FACETS * facets
    suits = np.where(found.listings >= 0, suits, -np.inf)
    turn = np.argsort(-suits, axis=1, kind="stable")[:, :most]
    return replace(
        found,
        listings=np.take_along_axis(found.listings, turn, axis=1),
        scores=np.take_along_axis(found.scores, turn, axis=1),
    )


def most_touched(moment: Moment, users: Ints, count: Floats) -> tuple[Ints, Floats]:
    """Return listings and scores by popularity alone: the same for all but own and seen.

    Args:
        moment: the market.
        users: positions of those who get a list.
        count: how popular each listing is.
    """
    live = moment.live
    first = np.lexsort((live, -count[live]))
    place = np.empty(len(live), dtype=np.int64)
    place[first] = np.arange(len(live))
    chosen, given = [np.zeros((0, LIST), dtype=np.int64)], [np.zeros((0, LIST))]
    for block in blocks(users):
        rows = np.full(len(moment.acts.user_ids), -1, dtype=np.int64)
        rows[block] = np.arange(len(block))
        row, hidden = _hidden(moment, moment.history(block), block, rows)
        top = live[first[: _DEEP * LIST + int(np.bincount(row, minlength=1).max())]]
        listings = np.tile(top, (len(block), 1))
        inside = place[hidden] < len(top)
        listings[row[inside], place[hidden][inside]] = -1
        scores = np.where(listings >= 0, count[np.maximum(listings, 0)], -np.inf)
        best, score = shortlist(moment, listings, scores)
        chosen.append(best)
        given.append(score)
    return np.concatenate(chosen), np.concatenate(given)


def _hidden(moment: Moment, mine: Acts, users: Ints, rows: Ints) -> tuple[Ints, Ints]:
    """Return cells (row, position in live) of what users sell or have seen, each once."""
    place = np.full(len(moment.listings.ids), -1, dtype=np.int64)
    place[moment.live] = np.arange(len(moment.live))
    seen_rows, seen = rows[mine.users], place[mine.listings]
    kept = seen >= 0
    sellers = moment.listings.seller[moment.live]
    ids = moment.acts.user_ids[users]
    order = np.argsort(ids, kind="stable")
    at = np.minimum(np.searchsorted(ids[order], sellers), len(ids) - 1)
    own = np.flatnonzero(ids[order][at] == sellers) if len(ids) else np.zeros(0, dtype=np.int64)
    size = max(len(moment.live), 1)
    cells = np.concatenate([seen_rows[kept] * size + seen[kept], order[at[own]] * size + own])
    cells = np.unique(cells)
    return cells // size, cells % size


def features(moment: Moment, found: Candidates) -> Floats:
    """Return the features of all pairs, users one after the other: columns as `FEATURES`."""
    width = found.listings.shape[1]
    row = np.repeat(np.arange(len(found.users)), width)
    listing = np.maximum(found.listings.ravel(), 0)
    listings, lifts = moment.listings, found.taste.lifts
    brand = listings.facets["brand"][listing]
    band = listings.facets["band"][listing]
    columns = [
        np.where(np.isfinite(found.scores.ravel()), found.scores.ravel(), -99.0),
        moment.popular[listing],
        np.log1p(np.maximum(moment.at - listings.listed[listing], 0)),
        lifts["category"][row, listings.facets["category"][listing]],
        lifts["brand"][row, brand],
        lifts["band"][row, band],
        lifts["size"][row, listings.facets["size"][listing]],
        lifts[LATENT][row, brand],
        np.log1p(listings.price[listing]),
        np.log1p(found.taste.acts[row]),
        np.abs(found.taste.level[row] - listings.level[listing]),
        np.abs(found.taste.brand_level[row] - moment.base.brand_level[brand]),
    ]
    return np.stack(columns, axis=1)


def touched_later(moment: Moment) -> tuple[Ints, Ints]:
    """Return pairs (user, listing) touched first in the week after, of what was live before."""
    acts = moment.acts
    later = acts.between(moment.at, moment.at + WEEK)
    users, listings = acts.users[later], acts.listings[later]
    live = np.zeros(len(moment.listings.ids), dtype=bool)
    live[moment.live] = True
    size = len(moment.listings.ids)
    past = acts.before(moment.at)
    known = np.unique(acts.users[past] * size + acts.listings[past])
    own = acts.user_ids[users] == moment.listings.seller[listings]
    pairs = np.unique((users * size + listings)[live[listings] & ~own])
    pairs = np.setdiff1d(pairs, known, assume_unique=True)
    # Of somebody without an act nothing is known: the fallback serves them.
    warm = np.isin(pairs // size, acts.users[past])
    pairs = pairs[warm]
    return pairs // size, pairs % size


def train_second_stage(
    listings: Listings, acts: Acts, until: float, seed: int, weeks: int = TRAINED_WEEKS
) -> Boosting | None:
    """Train on the weeks before a time, each as of its beginning; None where none was touched."""
    rows: list[Floats] = []
    labels: list[Floats] = []
    for number in range(weeks, 0, -1):
        moment = Moment.of(listings, acts, until - WEEK * number)
        users, touched = touched_later(moment)
        for block in blocks(some_of(np.unique(users), seed)):
            found = suitable(moment, candidates(moment, block, LOOKED_AT))
            size = len(listings.ids)
            cells = block[:, None] * size + found.listings
            hit = np.isin(cells, users * size + touched) & (found.listings >= 0)
            kept = (hit | (_hash(cells, seed) % _NEGATIVES == 0)) & (found.listings >= 0)
            rows.append(features(moment, found)[kept.ravel()])
            labels.append(hit.ravel()[kept.ravel()].astype(float))
    if not rows:
        return None
    label = np.concatenate(labels)
    if not 0 < label.sum() < len(label):
        return None
    return train(np.concatenate(rows), label, FEATURES, seed)


def some_of(users: Ints, seed: int, most: int = MOST_USERS) -> Ints:
    """Return at most so many users, chosen by a hash, in their order."""
    if len(users) <= most:
        return users
    return users[np.sort(np.argsort(_hash(users, seed), kind="stable")[:most])]


def _hash(cells: Ints, seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    """Return 64 bits of a hash of each cell, so that sampling needs no order (splitmix64)."""
    value = cells.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def order(moment: Moment, found: Candidates, model: Boosting | None) -> tuple[Ints, Floats]:
    """Return the candidates' listings and scores, best first; without a model by stage one."""
    if model is None or not found.listings.size:
        return found.listings, found.scores
    scores = model.score(features(moment, found)).reshape(found.listings.shape)
    scores = np.where(found.listings >= 0, scores, -np.inf)
    turn = np.lexsort((found.listings, -scores), axis=1)
    return (
        np.take_along_axis(found.listings, turn, axis=1),
        np.take_along_axis(scores, turn, axis=1),
    )


def shortlist(
    moment: Moment, listings: Ints, scores: Floats, most: int = LIST
) -> tuple[Ints, Floats]:
    """Return the best of each row, at most three of one seller; -1 where there are no more."""
    users, width = listings.shape
    row = np.repeat(np.arange(users), width)
    flat = listings.ravel()
    seller = np.where(flat >= 0, moment.listings.seller[np.maximum(flat, 0)], 0)
    place = _count_before(row, seller)
    kept = (flat >= 0) & (place < OF_A_SELLER)
    rank = _count_before(row[kept], np.zeros(int(kept.sum()), dtype=np.int64))
    chosen = np.full((users, most), -1, dtype=np.int64)
    given = np.full((users, most), -np.inf)
    inside = rank < most
    chosen[row[kept][inside], rank[inside]] = flat[kept][inside]
    given[row[kept][inside], rank[inside]] = scores.ravel()[kept][inside]
    return chosen, given


def _count_before(row: Ints, value: Ints) -> Ints:
    """Return how often a value came before in its row; rows are one after the other."""
    turn = np.lexsort((np.arange(len(row)), value, row))
    fresh = np.ones(len(row), dtype=bool)
    fresh[1:] = (row[turn][1:] != row[turn][:-1]) | (value[turn][1:] != value[turn][:-1])
    start = np.maximum.accumulate(np.where(fresh, np.arange(len(row)), 0))
    result = np.empty(len(row), dtype=np.int64)
    result[turn] = np.arange(len(row)) - start
    return result


def recommend(moment: Moment, users: Ints, model: Boosting | None) -> tuple[Ints, Floats, Ints]:
    """Return listings and scores of users, 20 or as many as exist, and each user's acts."""
    chosen, given, acts = [], [], []
    for block in blocks(users):
        if model is None:
            found = candidates(moment, block)
        else:
            found = suitable(moment, candidates(moment, block, LOOKED_AT))
        listings, scores = shortlist(moment, *order(moment, found, model))
        short = (listings < 0).any(axis=1)
        if short.any() and len(moment.live) > CANDIDATES:
            # Three of a seller left fewer than 20 of the candidates: look at everything.
            whole = candidates(moment, block[short], len(moment.live))
            listings[short], scores[short] = shortlist(moment, *order(moment, whole, model))
        chosen.append(listings)
        given.append(scores)
        acts.append(found.taste.acts)
    if not chosen:
        return np.zeros((0, LIST), dtype=np.int64), np.zeros((0, LIST)), np.zeros(0, dtype=np.int64)
    return np.concatenate(chosen), np.concatenate(given), np.concatenate(acts)


def blocks(users: Ints) -> Sequence[Ints]:
    """Return users in parts that fit into memory with a row of candidates each."""
    return [users[low : low + _BLOCK] for low in range(0, len(users), _BLOCK)]
