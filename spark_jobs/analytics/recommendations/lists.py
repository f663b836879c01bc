"""The tables of recommendations: by user with reasons, popular by country, similar by listing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from spark_jobs.analytics.gates import Gate, at_least, at_most
from spark_jobs.analytics.recommendations.evaluation import ONE_STAGE, POPULARITY, TWO_STAGES
from spark_jobs.analytics.recommendations.market import KINDS, Acts, Floats, Ints, Listings
from spark_jobs.analytics.recommendations.ranking import (
    LIST,
    OF_A_SELLER,
    Moment,
    blocks,
    most_touched,
    recommend,
)
from spark_jobs.analytics.recommendations.taste import taste
from spark_jobs.analytics.recommendations.trees import Boosting

ALL = "all"
WELL_KNOWN = 3
"""From so many acts on the second stage orders a user's list."""
_SIMILAR = 10
_BLOCK = 512
_CLEAR_LIFT = 0.3
_DONE = dict(zip(KINDS, ("looked at", "liked", "wished for", "bought"), strict=True))


def by_user(moment: Moment, users: Ints, model: Boosting | None, method: str) -> pd.DataFrame:
    """Return the lists of users: `user_id`, `rank`, `product_id`, `score`, `source`, `reason`.

    Who has one or two acts gets the list of the first stage, whatever wins for the others.

    Args:
        moment: the market now.
        users: positions of those who get a list.
        model: the second stage.
        method: what won: `two_stages`, `one_stage` or `popularity`.
    """
    past = moment.acts.before(moment.at)
    acts = np.bincount(moment.acts.users[past], minlength=len(moment.acts.user_ids))[users]
    parts = []
    well = (acts >= WELL_KNOWN) & (method == TWO_STAGES)
    for group, chosen_model, source in (
        (users[well], model, TWO_STAGES),
        (users[~well], None, "popular" if method == POPULARITY else ONE_STAGE),
    ):
        if not len(group):
            continue
        if method == POPULARITY:
            listings, scores = most_touched(moment, group, moment.popular)
        else:
            listings, scores, _ = recommend(moment, group, chosen_model)
        begin = 0
        for block in blocks(group):
            part = slice(begin, begin + len(block))
            parts.append(_rows(moment, block, listings[part], scores[part], source))
            begin += len(block)
    columns = ["user_id", "rank", "product_id", "score", "source", "reason"]
    if not parts:
        return pd.DataFrame(columns=columns)
    return pd.concat(parts).sort_values(["user_id", "rank"], ignore_index=True)[columns]


def _rows(moment: Moment, users: Ints, listings: Ints, scores: Floats, source: str) -> pd.DataFrame:
    row, place = np.nonzero(listings >= 0)
    chosen = listings[row, place]
    return pd.DataFrame(
        {
            "user_id": moment.acts.user_ids[users[row]],
            "rank": place + 1,
            "product_id": moment.listings.ids[chosen],
            "score": np.round(scores[row, place], 6),
            "source": source,
            "reason": _reasons(moment, users, row, chosen),
        }
    )


def _reasons(moment: Moment, users: Ints, row: Ints, chosen: Ints) -> list[str]:
    """Return why each listing is there: size and brand that the user favours, what it is like."""
    listings = moment.listings
    mine = moment.history(users)
    known = taste(listings, mine, moment.base, moment.at, users)
    size, brand = listings.facets["size"][chosen], listings.facets["brand"][chosen]
    category = listings.facets["category"][chosen]
    likes_size = known.lifts["size"][row, size] > _CLEAR_LIFT
    likes_brand = known.lifts["brand"][row, brand] > _CLEAR_LIFT
    likes_category = known.lifts["category"][row, category] > _CLEAR_LIFT
    counts = _strongest(moment, mine, users)
    reasons = []
    for number, at in enumerate(row):
        facts = []
        if likes_size[number] and size[number]:
            facts.append(f"size {listings.names['size'][size[number]]}")
        if likes_brand[number] and brand[number]:
            facts.append(listings.names["brand"][brand[number]])
        like = counts.get((int(at), int(category[number])))
        if likes_category[number] and like:
            facts.append(f"{listings.names['category'][category[number]]}, like {like}")
        reasons.append(", ".join(facts) or "popular now")
    return reasons


def _strongest(moment: Moment, mine: Acts, users: Ints) -> dict[tuple[int, int], str]:
    """Return the strongest kind of act by (row, category), in words with its number."""
    rows = np.full(len(moment.acts.user_ids), -1, dtype=np.int64)
    rows[users] = np.arange(len(users))
    frame = pd.DataFrame(
        {
            "row": rows[mine.users],
            "category": moment.listings.facets["category"][mine.listings],
            "kind": mine.kinds,
        }
    )
    counts = frame.value_counts(["row", "category", "kind"]).reset_index()
    best = counts.sort_values("kind").drop_duplicates(["row", "category"], keep="last")
    return {
        (int(row), int(category)): f"{count} that you {_DONE[KINDS[int(kind)]]}"
        for row, category, kind, count in best.itertuples(index=False)
    }


def popular(moment: Moment, countries: Mapping[int, str]) -> pd.DataFrame:
    """Return the most popular listings of each country and category, and of all.

    A country's rate is drawn to everybody's: acts of the country, and as many of all as it has.
    """
    acts, live = moment.acts, moment.live
    recent = acts.between(moment.at - 28.0, moment.at)
    known = np.array([countries.get(int(user), "") for user in acts.user_ids], dtype=object)
    of_act = known[acts.users[recent]]
    rate = np.exp(moment.popular)
    category = moment.listings.facets["category"]
    names = moment.listings.names["category"]
    parts = []
    for country in [ALL, *sorted({str(each) for each in of_act if each})]:
        scores = rate
        if country != ALL:
            mine = acts.listings[recent][of_act == country]
            count = np.bincount(mine, minlength=len(rate)).astype(float)
            scores = rate * (1 + count)
        for code in range(len(names)):
            members = live if code == 0 else live[category[live] == code]
            best = members[np.lexsort((members, -scores[members]))][:LIST]
            parts.append(
                pd.DataFrame(
                    {
                        "country": country,
                        "category": ALL if code == 0 else names[code],
                        "rank": np.arange(1, len(best) + 1),
                        "product_id": moment.listings.ids[best],
                        "score": np.round(scores[best], 6),
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


def similar(moment: Moment) -> pd.DataFrame:
    """Return the ten listings most like each listing on sale, by content.

    Of the same category; brand, size and price count. It needs no acts: a piece that was listed an
    hour ago has its list, and nobody needs to have seen two pieces together, which hardly happens
    where each is sold once.
    """
    listings = moment.listings
    parts = []
    for code in np.unique(listings.facets["category"][moment.live]):
        members = moment.live[listings.facets["category"][moment.live] == code]
        parts += [
            _similar_block(moment, members[low : low + _BLOCK], members)
            for low in range(0, len(members), _BLOCK)
        ]
    columns = ["product_id", "rank", "other", "score"]
    if not parts:
        return pd.DataFrame(columns=columns)
    return pd.concat(parts).sort_values(["product_id", "rank"], ignore_index=True)[columns]


def _similar_block(moment: Moment, block: Ints, members: Ints) -> pd.DataFrame:
    listings = moment.listings
    brand, size = listings.facets["brand"], listings.facets["size"]
    price = np.log(listings.price)
    styles = moment.base.latent
    norm = np.sqrt(np.maximum(np.diag(styles), 1e-12))
    alike = styles / norm[:, None] / norm[None, :]
    scores = (
        1.0 * ((brand[block][:, None] == brand[members][None, :]) & (brand[block] > 0)[:, None])
        + 0.5 * alike[brand[block]][:, brand[members]]
        + 1.0 * ((size[block][:, None] == size[members][None, :]) & (size[block] > 0)[:, None])
        - 1.0 * np.abs(price[block][:, None] - price[members][None, :])
    )
    scores[block[:, None] == members[None, :]] = -np.inf
    most = min(_SIMILAR, len(members) - 1)
    turn = np.lexsort((np.broadcast_to(members, scores.shape), -scores), axis=1)[:, :most]
    best = np.take_along_axis(scores, turn, axis=1)
    return pd.DataFrame(
        {
            "product_id": np.repeat(listings.ids[block], most),
            "rank": np.tile(np.arange(1, most + 1), len(block)),
            "other": listings.ids[members[turn]].ravel(),
            "score": np.round(best, 6).ravel(),
        }
    )


def rules_kept(
    table: pd.DataFrame, listings: Listings, at: float, users: Sequence[int]
) -> list[Gate]:
    """Check a finished table anew, row by row: the gates of what must never be shown.

    Args:
        table: rows of `recommendations_by_user`.
        listings: of the market.
        at: the moment.
        users: ids of those who must have a list.
    """
    place = np.searchsorted(listings.ids, table["product_id"].to_numpy(dtype=np.int64))
    dead = ~((listings.listed[place] <= at) & (listings.delisted[place] > at))
    own = listings.seller[place] == table["user_id"].to_numpy(dtype=np.int64)
    sellers = pd.Series(listings.seller[place]).groupby(
        [table["user_id"].to_numpy(), listings.seller[place]]
    )
    crowded = int((sellers.size() > OF_A_SELLER).sum()) if len(table) else 0
    twice = int(table.duplicated(["user_id", "product_id"]).sum())
    broken = int(dead.sum()) + int(own.sum()) + crowded + twice
    served = table.groupby("user_id").size().reindex(list(users)).fillna(0)
    live = len(listings.live(at))
    # Whoever has fewer than 20 has seen, or sells, or three of a seller hide, all of the rest.
    full = float((served >= min(LIST, max(live, 0))).mean()) if len(users) else 1.0
    return [
        at_most("R6", broken, 0, "sold, delisted, own or doubled pieces, or four of a seller"),
        at_least("R6b", full, 0.99, "users with an act who have a full list", blocks=False),
    ]
