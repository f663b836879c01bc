"""The segments of all users with an act: rules, then the frozen clusters; what moved, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from spark_jobs.analytics import drift
from spark_jobs.analytics.gates import Gate, at_least, at_most
from spark_jobs.analytics.segments.clusters import (
    FEATURES,
    LEAST_ACTIVE,
    LEAST_ARI,
    LEAST_SHARE,
    ClusterModel,
    Fit,
    eta_squared,
    fit,
    matched,
    quantile_groups,
)
from spark_jobs.analytics.segments.customers import (
    BUYER,
    DAY,
    TRADER,
    History,
    by_rule,
    features,
)

RULES_ONLY = "active"
"""Segment of active buyers where there are no clusters."""
STEP_DAYS, STEPS = 28, 12
"""`since` and `previous_segment` look back in steps of four weeks, for a year."""
NEXT_DAYS = 90
ORIGINS = 3
_KEPT_NAMES = 0.80


@dataclass(frozen=True)
class Challenge:
    """A refitted model against what is there: the winner, the gates, figures for the ledger."""

    model: ClusterModel | None
    gates: Sequence[Gate]
    figures: dict[str, Any]


def active(table: pd.DataFrame) -> pd.DataFrame:
    """Return the buyers that no rule decides on."""
    return table[by_rule(table) == ""]


def challenge(
    history: History, at: pd.Timestamp, seed: int, champion: ClusterModel | None
) -> Challenge:
    """Fit a model on today's buyers and hold it against the gates; the names are those before.

    It must be stable (S2), keep the names of most (S3), and say more of the next 90 days' spend
    than as many quantiles of past spend do (S4).
    """
    buyers = active(features(history, at))
    if len(buyers) < LEAST_ACTIVE:
        figures: dict[str, Any] = {
            "too_little_data": f"{len(buyers)} active buyers, needs {LEAST_ACTIVE}"
        }
        return Challenge(None, [], figures)
    fitted = fit(buyers, seed)
    if fitted.model is None:
        return Challenge(None, _stable(fitted), {"active_buyers": len(buyers)})
    model = matched(fitted.model, champion) if champion else fitted.model
    kept = 1.0
    if champion:
        kept = float((model.assign(buyers) == champion.assign(buyers)).mean())
    ratios = [
        ratio
        for number in range(ORIGINS)
        if (ratio := _ratio(history, at - (NEXT_DAYS + 30 * number) * DAY, at, model)) is not None
    ]
    gates = [*_stable(fitted), at_least("S3", kept, _KEPT_NAMES, "customers who keep their name")]
    if ratios:
        says = "eta squared of the next 90 days' spend relative to quantiles of past spend"
        gates.append(at_least("S4", float(np.mean(ratios)), 1.0, says))
    figures = {
        "k": fitted.k,
        "stability": {str(k): list(value) for k, value in fitted.stability.items()},
        "eta_ratios": ratios,
        "kept_names": kept,
        "active_buyers": len(buyers),
    }
    return Challenge(model, gates, figures)


def _stable(fitted: Fit) -> list[Gate]:
    ari, smallest = fitted.stability.get(fitted.k, (0.0, 0.0))
    return [
        at_least("S2", ari, LEAST_ARI, f"stability of {fitted.k} clusters (mean ARI)"),
        at_least("S2b", smallest, LEAST_SHARE, "share of the smallest cluster"),
    ]


def _ratio(
    history: History, origin: pd.Timestamp, end: pd.Timestamp, model: ClusterModel
) -> float | None:
    """Return eta squared of the clusters relative to as many quantiles of past spend.

    The clusters are fitted anew as of the origin, so that they know nothing of what came.
    """
    buyers = active(features(history, origin))
    if len(buyers) < LEAST_ACTIVE // 2:
        return None
    spend = spent_between(history, origin, min(origin + NEXT_DAYS * DAY, end))
    future = spend.reindex(buyers.index).fillna(0.0)
    refit = refit_at(buyers, len(model.centres))
    ours = eta_squared(refit.assign(buyers), future)
    theirs = eta_squared(quantile_groups(buyers["amount"], len(model.centres)), future)
    return ours / theirs if theirs > 0 else None


def refit_at(buyers: pd.DataFrame, k: int, seed: int = 1) -> ClusterModel:
    """Return a model of k clusters of these buyers, without asking whether it is stable."""
    from sklearn.cluster import KMeans  # noqa: PLC0415 - slow to import

    from spark_jobs.analytics.segments.clusters import logs  # noqa: PLC0415

    values = logs(buyers, FEATURES)
    mean, spread = values.mean(axis=0), np.maximum(values.std(axis=0), 1e-9)
    centres = KMeans(k, n_init=10, random_state=seed).fit((values - mean) / spread).cluster_centers_
    return ClusterModel(FEATURES, mean, spread, centres, [str(n) for n in range(k)])


def spent_between(history: History, begin: pd.Timestamp, end: pd.Timestamp) -> pd.Series[float]:
    """Return what each user spent in a time, net of what was cancelled or came back."""
    bought = history.purchases
    inside = bought[(bought["at"] >= begin) & (bought["at"] < end)]
    kept = inside[inside["cancelled_at"].isna() & inside["returned_at"].isna()]
    return kept.groupby("user_id")["amount"].sum()


def assign(table: pd.DataFrame, model: ClusterModel | None) -> pd.Series[str]:
    """Return the segment of each user."""
    segments = by_rule(table)
    open_ = segments == ""
    if model is None:
        return segments.where(~open_, RULES_ONLY)
    segments[open_] = model.assign(table[open_])
    return segments


@dataclass
class Segments:
    """The tables of a day.

    Attributes:
        customers: rows of `customer_segments`; profile: of `segment_profile`; moves: of
            `segment_moves`.
        psi: of the features of active buyers against those that the model was fitted on.
    """

    customers: pd.DataFrame
    profile: pd.DataFrame
    moves: pd.DataFrame
    gates: list[Gate] = field(default_factory=list)


def segment(
    history: History,
    at: pd.Timestamp,
    model: ClusterModel | None,
    *,
    version: str,
    accounts: int,
) -> Segments:
    """Give every user with an act a segment, and describe the segments.

    Args:
        history: of all users.
        at: the end of the newest complete day.
        model: the frozen clusters; None for rules only.
        version: of the model.
        accounts: number of all users, with and without acts.
    """
    table = features(history, at)
    current = assign(table, model)
    day = (at - DAY).date()
    before = [
        assign(features(history, at - STEP_DAYS * step * DAY), model)
        for step in range(1, STEPS + 1)
    ]
    since, previous = _since(current, before, at)
    customers = pd.DataFrame(
        {
            "user_id": table.index,
            "role": table["role"],
            "segment": current,
            "since": since,
            "previous_segment": previous,
            "reason": _reasons(table, current),
            "recency_days": np.floor(table["recency_days"]).astype(int),
            "orders": table["orders"].astype(int),
            "amount": table["amount"].round(2),
            "listed": table["listed"].astype(int),
            "sold": table["sold"].astype(int),
            "model_version": version,
            "as_of": day,
        }
    ).reset_index(drop=True)
    moves = _moves(table, current, before[0], day)
    earlier = assign(features(history, at - NEXT_DAYS * DAY), model)
    spend = spent_between(history, at - NEXT_DAYS * DAY, at).reindex(earlier.index).fillna(0.0)
    left = before[0].reindex(current.index)
    profile = _profile(table.assign(segment=current, before=left), accounts, day)
    profile["next90_amount_mean"] = profile["segment"].map(spend.groupby(earlier).mean())
    return Segments(customers, profile, moves)


def _since(
    current: pd.Series[str], before: Sequence[pd.Series[str]], at: pd.Timestamp
) -> tuple[list[Any], list[str]]:
    """Return since when a segment holds, in steps of four weeks, and the one before it."""
    count = len(current)
    since = np.zeros(count, dtype=int)
    previous = np.full(count, "", dtype=object)
    going = np.ones(count, dtype=bool)
    for step, earlier in enumerate(before, 1):
        then = earlier.reindex(current.index).fillna("").to_numpy(dtype=object)
        same = then == current.to_numpy(dtype=object)
        ended = going & ~same
        previous[ended] = then[ended]
        going &= same
        since[going] = step
    days = [(at - (STEP_DAYS * int(step) + 1) * DAY).date() for step in since]
    return days, list(previous)


def _reasons(table: pd.DataFrame, segments: pd.Series[str]) -> list[str]:
    """Return two facts of each user, in words."""
    buys = table["role"].isin([BUYER, TRADER])
    rank = table.loc[buys, "amount"].rank(pct=True, method="min").reindex(table.index)
    reasons = []
    facts = zip(
        table["role"], table["recency_days"], table["orders"], rank, table["listed"], table["sold"],
        segments, strict=True,
    )  # fmt: skip
    for role, recency, orders, part, listed, sold, _ in facts:
        days = f"{int(recency)} day{'' if int(recency) == 1 else 's'} ago"
        if role in (BUYER, TRADER):
            times = "one order" if orders == 1 else f"{int(orders)} orders"
            above = int(100 * (part - 1 / max(int(buys.sum()), 1)))
            reasons.append(
                f"last order {days}, {times}; spent more than {max(above, 0)} % of buyers"
            )
        elif listed:
            reasons.append(f"sold {int(sold)} of {int(listed)} listed; no order")
        else:
            reasons.append(f"last seen {days}; no order and nothing listed")
    return reasons


def _moves(
    table: pd.DataFrame, current: pd.Series[str], before: pd.Series[str], day: Any
) -> pd.DataFrame:
    """Return how many moved from which segment to which within four weeks, with their spend."""
    frame = pd.DataFrame(
        {
            "from_segment": before.reindex(current.index).fillna("none"),
            "to_segment": current,
            "amount": table["amount"],
        }
    )
    grouped = frame.groupby(["from_segment", "to_segment"], as_index=False).agg(
        customers=("amount", "size"), amount=("amount", "sum")
    )
    grouped.insert(0, "as_of", day)
    grouped["amount"] = grouped["amount"].round(2)
    return grouped


def _profile(table: pd.DataFrame, accounts: int, day: Any) -> pd.DataFrame:
    """Describe each role and segment, and those without any act.

    Args:
        table: features with `segment` and `before`, the segment of four weeks ago.
        accounts: number of all users.
        day: the newest complete one.
    """
    moved = table["before"].fillna("none") != table["segment"]
    left = table.loc[moved, "before"].value_counts()
    grouped = table.assign(moved_in=moved.astype(int)).groupby(["role", "segment"], as_index=False)
    rows = grouped.agg(
        customers=("orders", "size"), amount=("amount", "sum"), orders_mean=("orders", "mean"),
        returned_share=("returned_share", "mean"), moved_in=("moved_in", "sum"),
    )  # fmt: skip
    idle = accounts - len(table)
    if idle > 0:
        rows.loc[len(rows)] = pd.Series(["none", "no_act", idle, 0.0, 0.0, 0.0, 0], rows.columns)
    whole = rows["amount"].sum()
    profile = pd.DataFrame(
        {
            "as_of": day,
            "role": rows["role"],
            "segment": rows["segment"],
            "customers": rows["customers"].astype(int),
            "share": rows["customers"] / max(rows["customers"].sum(), 1),
            "amount": rows["amount"].round(2),
            "share_of_amount": rows["amount"] / whole if whole else 0.0,
            "orders_mean": rows["orders_mean"],
            "returned_share": rows["returned_share"],
            "moved_in": rows["moved_in"].astype(int),
            "moved_out": rows["segment"].map(left).fillna(0).astype(int),
        }
    )
    return profile.sort_values(["role", "segment"]).reset_index(drop=True)


def drift_gates(index: dict[str, float]) -> list[Gate]:
    """Return the gates of drift: above 0.25 it warns, above 0.40 nothing is published."""
    worst = max(index.values(), default=0.0)
    return [
        at_most("O1", worst, drift.STOP, "population stability index of the features"),
        at_most("O1w", worst, drift.WARN, "population stability index, warning", blocks=False),
    ]
