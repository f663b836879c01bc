"""How good lists are: NDCG on weeks that no model has seen, with paired bootstrap intervals.

A week's truth are the listings that a user with earlier acts first touches in it, of those that
were on sale when it began. NDCG@20 = sum over hits of 1/log2(1 + rank), divided by that of the
best list (Jarvelin and Kekalainen 2002).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spark_jobs.analytics.gates import Gate, at_least
from spark_jobs.analytics.recommendations.market import Acts, Floats, Ints, Listings
from spark_jobs.analytics.recommendations.ranking import (
    LIST,
    LOOKED_AT,
    WEEK,
    Moment,
    blocks,
    candidates,
    most_touched,
    order,
    shortlist,
    some_of,
    suitable,
    touched_later,
    train_second_stage,
)
from spark_jobs.analytics.recommendations.trees import Boosting

WEEKS = 4
POPULARITY, ONE_STAGE, TWO_STAGES = METHODS = ("popularity", "one_stage", "two_stages")
_RESAMPLES = 1000
_CONFIDENCE = 0.95
LEAST_USER_WEEKS = 100
"""With fewer a difference of two methods says nothing, and popularity is published."""

Scorer = Callable[[Moment, Ints], Floats]
"""Scores everything on sale for users: a further method, for comparison."""


@dataclass
class Evaluation:
    """NDCG@20 of each user-week by method, and what was shown.

    Attributes:
        ndcg, recall: by method, in the same order of user-weeks.
        shown: share of live listings, and of sellers with any, shown to somebody, by method.
    """

    ndcg: dict[str, Floats]
    recall: dict[str, Floats]
    shown: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def user_weeks(self) -> int:
        """How many lists were judged."""
        return len(next(iter(self.ndcg.values()), np.zeros(0)))


def evaluate(
    listings: Listings,
    acts: Acts,
    until: float,
    seed: int,
    more: Mapping[str, Scorer] | None = None,
) -> tuple[Evaluation, Boosting | None]:
    """Judge the methods on the last four weeks, the second stage trained on those before.

    Args:
        listings: of the market.
        acts: of the market.
        until: end of the last week, in days.
        seed: of the second stage.
        more: further methods, by name.

    Returns:
        The evaluation, and the second stage that was judged.
    """
    model = train_second_stage(listings, acts, until - WEEK * WEEKS, seed)
    names = (*METHODS, *(more or {}))
    ndcg: dict[str, list[Floats]] = {name: [] for name in names}
    recall: dict[str, list[Floats]] = {name: [] for name in names}
    shown: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for number in range(WEEKS, 0, -1):
        moment = Moment.of(listings, acts, until - WEEK * number)
        pairs = touched_later(moment)
        users = some_of(np.unique(pairs[0]), seed)
        if not len(users):
            continue
        judged = np.isin(pairs[0], users)
        pairs = pairs[0][judged], pairs[1][judged]
        for name, chosen in _lists(moment, users, model, more or {}).items():
            gains, found = _judge(chosen, users, pairs, len(listings.ids))
            ndcg[name].append(gains)
            recall[name].append(found)
            shown[name].append(shown_shares(moment, chosen))
    joined = {name: np.concatenate([np.zeros(0), *rows]) for name, rows in ndcg.items()}
    found_all = {name: np.concatenate([np.zeros(0), *rows]) for name, rows in recall.items()}
    mean = {
        name: (float(np.mean([a for a, _ in rows])), float(np.mean([b for _, b in rows])))
        for name, rows in shown.items()
        if rows
    }
    return Evaluation(joined, found_all, mean), model


def _lists(
    moment: Moment, users: Ints, model: Boosting | None, more: Mapping[str, Scorer]
) -> dict[str, Ints]:
    lists: dict[str, list[Ints]] = {name: [] for name in (ONE_STAGE, TWO_STAGES, *more)}
    for block in blocks(users):
        found = candidates(moment, block, LOOKED_AT)
        lists[ONE_STAGE].append(shortlist(moment, found.listings, found.scores)[0])
        few = found if model is None else suitable(moment, found)
        lists[TWO_STAGES].append(shortlist(moment, *order(moment, few, model))[0])
        for name, scorer in more.items():
            lists[name].append(_by_scorer(moment, block, scorer))
    joined = {name: np.concatenate(parts) for name, parts in lists.items()}
    return {POPULARITY: most_touched(moment, users, moment.count)[0], **joined}


def _by_scorer(moment: Moment, users: Ints, scorer: Scorer) -> Ints:
    """Return the lists of a further method, of what stage one would have looked at."""
    scores = scorer(moment, users)
    every = candidates(moment, users, len(moment.live)).listings
    allowed = np.zeros((len(users), len(moment.listings.ids)), dtype=bool)
    row = np.repeat(np.arange(len(users)), every.shape[1])
    flat = every.ravel()
    allowed[row[flat >= 0], flat[flat >= 0]] = True
    scores = np.where(allowed[:, moment.live], scores, -np.inf)
    turn = np.argsort(-scores, axis=1, kind="stable")[:, : 10 * LIST]
    best = np.take_along_axis(scores, turn, axis=1)
    return shortlist(moment, np.where(np.isfinite(best), moment.live[turn], -1), best)[0]


def _judge(chosen: Ints, users: Ints, pairs: tuple[Ints, Ints], size: int) -> tuple[Floats, Floats]:
    """Return NDCG and recall of each user's list."""
    hit = np.isin(users[:, None] * size + chosen, pairs[0] * size + pairs[1]) & (chosen >= 0)
    discount = 1 / np.log2(2 + np.arange(LIST))
    wanted = np.bincount(np.searchsorted(users, pairs[0]), minlength=len(users))
    best = np.cumsum(discount)[np.minimum(wanted, LIST) - 1]
    return (hit * discount).sum(axis=1) / best, hit.sum(axis=1) / wanted


def shown_shares(moment: Moment, chosen: Ints) -> tuple[float, float]:
    """Return the shares of live listings, and of sellers with any, that some list has."""
    shown = np.unique(chosen[chosen >= 0])
    sellers = moment.listings.seller
    live_sellers = len(np.unique(sellers[moment.live]))
    if not len(moment.live):
        return 0.0, 0.0
    return len(shown) / len(moment.live), len(np.unique(sellers[shown])) / live_sellers


def difference(first: Floats, second: Floats, seed: int) -> tuple[float, float, float]:
    """Return the mean of first minus second over user-weeks, with its 95 % bootstrap interval."""
    apart = first - second
    if not len(apart):
        return float("nan"), float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    means = [apart[rng.integers(0, len(apart), len(apart))].mean() for _ in range(_RESAMPLES)]
    low, high = np.quantile(means, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    return float(apart.mean()), float(low), float(high)


def choose(evaluation: Evaluation, seed: int) -> tuple[str, list[Gate], dict[str, Any]]:
    """Return what is published, the gates, and figures for the ledger.

    The second stage is published where it beats the simple score by 5 % with an interval above 0,
    else the simple score where it beats popularity twice, else popularity.
    """
    mean = {
        name: float(rows.mean()) if len(rows) else 0.0 for name, rows in evaluation.ndcg.items()
    }
    step = difference(evaluation.ndcg[TWO_STAGES], evaluation.ndcg[ONE_STAGE], seed)
    better = mean[TWO_STAGES] / mean[ONE_STAGE] - 1 if mean[ONE_STAGE] else float("nan")
    wins = better >= 0.05 and step[1] > 0  # noqa: PLR2004 - the gate's bars
    candidate = TWO_STAGES if wins else ONE_STAGE
    gain = difference(evaluation.ndcg[candidate], evaluation.ndcg[POPULARITY], seed)
    ratio = mean[candidate] / mean[POPULARITY] if mean[POPULARITY] else float("nan")
    listings, sellers = evaluation.shown.get(candidate, (0.0, 0.0))
    strict = candidate == TWO_STAGES
    gates = [
        at_least("R0", evaluation.user_weeks, LEAST_USER_WEEKS, "lists that could be judged"),
        at_least("R2", ratio, 2.0, f"NDCG@20 of {candidate} relative to popularity"),
        at_least("R2b", gain[1], 0.0, "lower bound of that difference"),
        at_least("R3", better, 0.05, "what the second stage adds to the first", blocks=False),
        at_least("R3b", step[1], 0.0, "lower bound of that difference", blocks=False),
        at_least("R7a", listings, 0.05, "share of live listings shown", blocks=strict),
        at_least("R7b", sellers, 0.40, "share of sellers shown", blocks=strict),
    ]
    figures = {
        "ndcg20": mean,
        "recall20": {
            name: float(rows.mean()) if len(rows) else 0.0
            for name, rows in evaluation.recall.items()
        },
        "second_against_first": list(step),
        "published_against_popularity": list(gain),
        "shown": {name: list(part) for name, part in evaluation.shown.items()},
        "user_weeks": evaluation.user_weeks,
    }
    return candidate, gates, figures
