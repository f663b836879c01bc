"""Clusters of active buyers: k-means on log recency, orders and spend; frozen, named, matched.

k is the largest number from 3 to 5 whose clusters are stable: refits on 20 bootstrap resamples
agree with the fit on all by an adjusted Rand index (Hubert and Arabie 1985) of 0.80 in the mean,
the smallest has 3 % of the users, and all smaller k pass too. Silhouette is not asked: it is best
where one cluster holds everybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FEATURES = ("recency_days", "orders", "amount")
LEAST_ACTIVE = 500
"""With fewer there are rules only."""
SMALLEST_K, LARGEST_K = 3, 5
RESAMPLES = 20
LEAST_ARI, LEAST_SHARE = 0.80, 0.03
MOST_FITTED = 50_000
_STARTS = 10

# Where a cluster of each name would be: standardised recency, orders, spend.
ARCHETYPES: Mapping[str, tuple[float, float, float]] = {
    "champions": (-1.2, 1.5, 1.5),
    "loyal": (-0.6, 0.6, 0.6),
    "promising": (-0.7, -0.8, -0.6),
    "needs_attention": (0.5, -0.1, 0.1),
    "at_risk": (0.9, 0.8, 0.8),
    "almost_lost": (1.0, -0.8, -0.9),
}
"""Names as in Shopify's customer groups by recency, frequency and spend."""


@dataclass(frozen=True)
class ClusterModel:
    """Centres in the space of standardised logs, with a name each: a few numbers, readable.

    Attributes:
        features: of the buyers' table; those without variance are left out.
        mean, spread: of the logs of those that it was fitted on.
        centres: a row a cluster.
        names: of the clusters.
        dropped: features that were left out.
    """

    features: Sequence[str]
    mean: Floats
    spread: Floats
    centres: Floats
    names: Sequence[str]
    dropped: Sequence[str] = ()

    def assign(self, table: pd.DataFrame) -> pd.Series[str]:
        """Return the name of each row's nearest centre."""
        return pd.Series(np.array(self.names)[nearest(self, table)], index=table.index)

    def to_json(self) -> dict[str, Any]:
        """Return the document."""
        return {
            "features": list(self.features),
            "mean": self.mean.tolist(),
            "spread": self.spread.tolist(),
            "centres": self.centres.tolist(),
            "names": list(self.names),
            "dropped": list(self.dropped),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ClusterModel:
        """Read the document."""
        return cls(
            document["features"],
            np.array(document["mean"]),
            np.array(document["spread"]),
            np.array(document["centres"]),
            document["names"],
            document.get("dropped", ()),
        )


def logs(table: pd.DataFrame, features: Sequence[str]) -> Floats:
    """Return log(1 + x) of the features; a negative net spend counts as 0."""
    values: Floats = np.log1p(np.maximum(table[list(features)].to_numpy(dtype=float), 0))
    return values


def nearest(model: ClusterModel, table: pd.DataFrame) -> Ints:
    """Return the position of each row's nearest centre."""
    rows = (logs(table, model.features) - model.mean) / model.spread
    apart = ((rows[:, None, :] - model.centres[None, :, :]) ** 2).sum(axis=2)
    result: Ints = np.argmin(apart, axis=1)
    return result


def sample(table: pd.DataFrame, most: int = MOST_FITTED) -> pd.DataFrame:
    """Return at most so many rows, chosen by a hash of the user, in the order of users."""
    if len(table) <= most:
        return table
    ids = table.index.to_numpy(dtype=np.int64).astype(np.uint64)
    value = (ids ^ (ids >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    value ^= value >> np.uint64(31)
    return table.iloc[np.sort(np.argsort(value, kind="stable")[:most])]


@dataclass(frozen=True)
class Fit:
    """A model and how stable each number of clusters was: mean ARI and smallest share by k.

    There is no model where no number of clusters is stable, or all buyers are alike.
    """

    model: ClusterModel | None
    stability: Mapping[int, tuple[float, float]]

    @property
    def k(self) -> int:
        """The number of clusters; without a model the smallest that was tried."""
        return len(self.model.centres) if self.model else SMALLEST_K


def fit(table: pd.DataFrame, seed: int) -> Fit:
    """Fit the clusters of active buyers."""
    fitted = sample(table)
    values = logs(fitted, FEATURES)
    varied = values.std(axis=0) > 1e-9  # noqa: PLR2004 - no variance
    features = [name for name, kept in zip(FEATURES, varied, strict=True) if kept]
    dropped = [name for name in FEATURES if name not in features]
    if not features:
        return Fit(None, {})
    values = values[:, varied]
    mean, spread = values.mean(axis=0), values.std(axis=0)
    rows = (values - mean) / spread
    stability: dict[int, tuple[float, float]] = {}
    best: Floats | None = None
    for k in range(SMALLEST_K, LARGEST_K + 1):
        centres = _centres(rows, k, seed)
        stability[k] = _stability(rows, centres, seed)
        if stability[k][0] < LEAST_ARI or stability[k][1] < LEAST_SHARE:
            break
        best = centres
    if best is None:
        return Fit(None, stability)
    unnamed = ClusterModel(features, mean, spread, best, [""] * len(best), dropped)
    return Fit(_with_names(unnamed, first_names(unnamed)), stability)


def _centres(rows: Floats, k: int, seed: int) -> Floats:
    from sklearn.cluster import KMeans  # noqa: PLC0415 - slow to import

    centres: Floats = KMeans(k, n_init=_STARTS, random_state=seed).fit(rows).cluster_centers_
    # By recency, so that the order does not depend on the start.
    return centres[np.lexsort(centres.T[::-1])]


def _assign(rows: Floats, centres: Floats) -> Ints:
    apart = ((rows[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2)
    result: Ints = np.argmin(apart, axis=1)
    return result


def _stability(rows: Floats, centres: Floats, seed: int) -> tuple[float, float]:
    from sklearn.cluster import KMeans  # noqa: PLC0415 - slow to import
    from sklearn.metrics import adjusted_rand_score  # noqa: PLC0415 - likewise

    whole = _assign(rows, centres)
    smallest = float(np.bincount(whole, minlength=len(centres)).min() / len(rows))
    rng = np.random.default_rng(seed)
    scores = []
    for number in range(RESAMPLES):
        part = rows[rng.integers(0, len(rows), len(rows))]
        refit = KMeans(len(centres), n_init=3, random_state=seed + number).fit(part)
        scores.append(adjusted_rand_score(whole, _assign(rows, refit.cluster_centers_)))
    return float(np.mean(scores)), smallest


def _match(costs: Floats) -> tuple[Ints, Ints]:
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 - slow to import

    rows, columns = linear_sum_assignment(costs)
    return rows, columns


def first_names(model: ClusterModel) -> list[str]:
    """Return a name for each cluster of a first model: that of the nearest archetype, each once."""
    used = [FEATURES.index(name) for name in model.features]
    ideal = np.array(list(ARCHETYPES.values()))[:, used]
    costs = ((model.centres[:, None, :] - ideal[None, :, :]) ** 2).sum(axis=2)
    rows, columns = _match(costs)
    names = [""] * len(model.centres)
    for row, column in zip(rows, columns, strict=True):
        names[row] = list(ARCHETYPES)[column]
    return names


def matched(model: ClusterModel, before: ClusterModel) -> ClusterModel:
    """Return a refitted model with the names of the one before, by nearest centres (Hungarian).

    A cluster more than before gets a name that is free.
    """
    if list(model.features) != list(before.features):
        return model
    # Both in the units of the earlier model.
    moved = (model.centres * model.spread + model.mean - before.mean) / before.spread
    costs = ((moved[:, None, :] - before.centres[None, :, :]) ** 2).sum(axis=2)
    rows, columns = _match(costs)
    names = [""] * len(model.centres)
    for row, column in zip(rows, columns, strict=True):
        names[row] = before.names[column]
    free = [name for name in first_names(model) + list(ARCHETYPES) if name not in names]
    return _with_names(model, [name or free.pop(0) for name in names])


def _with_names(model: ClusterModel, names: Sequence[str]) -> ClusterModel:
    return ClusterModel(
        model.features, model.mean, model.spread, model.centres, list(names), model.dropped
    )


def eta_squared(groups: pd.Series[Any], values: pd.Series[float]) -> float:
    """Return the share of the variance of log(1 + value) that lies between groups."""
    target = np.log1p(np.maximum(values.to_numpy(dtype=float), 0))
    whole = ((target - target.mean()) ** 2).sum()
    if whole == 0:
        return float("nan")
    frame = pd.DataFrame({"group": groups.to_numpy(), "target": target})
    means = frame.groupby("group")["target"].agg(["mean", "size"])
    return float((means["size"] * (means["mean"] - target.mean()) ** 2).sum() / whole)


def quantile_groups(values: pd.Series[float], groups: int) -> pd.Series[int]:
    """Return groups of equal size by value; ties by user."""
    rank = np.empty(len(values), dtype=np.int64)
    rank[np.lexsort((values.index.to_numpy(), values.to_numpy()))] = np.arange(len(values))
    return pd.Series(rank * groups // max(len(values), 1), index=values.index)
