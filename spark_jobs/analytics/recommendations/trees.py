"""A gradient boosting as a JSON document, and its evaluation: no pickle, and readable.

Trained by scikit-learn's HistGradientBoostingClassifier; the score is the logarithm of the odds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spark_jobs.analytics.recommendations.market import Floats

TREES, LEAVES, RATE = 120, 8, 0.08
_CHUNK = 8192
"""Rows whose columns fit into a processor's cache."""
_LEAST_LEAF = 40


@dataclass(frozen=True)
class Boosting:
    """Trees of one depth-first node table each.

    Attributes:
        features: names of the columns.
        base: score before the first tree.
        trees: of each tree the columns feature, threshold, left, right, value; a leaf has
            feature -1.
    """

    features: Sequence[str]
    base: float
    trees: Sequence[Mapping[str, Sequence[float]]]

    def to_json(self) -> dict[str, Any]:
        """Return the document."""
        return {"features": list(self.features), "base": self.base, "trees": list(self.trees)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Boosting:
        """Read the document."""
        return cls(document["features"], document["base"], document["trees"])

    def score(self, rows: Floats) -> Floats:
        """Return the score of each row; columns as in `features`."""
        result = np.full(len(rows), self.base)
        for low in range(0, len(rows), _CHUNK):
            columns = np.ascontiguousarray(rows[low : low + _CHUNK].T)
            part = result[low : low + _CHUNK]
            for tree in self.trees:
                part += _evaluate(columns, tree, 0)
        return result


def _evaluate(columns: Floats, tree: Mapping[str, Sequence[float]], node: int) -> Floats | float:
    """Return a tree's value for each row: all nodes are evaluated, which beats following rows."""
    feature = int(tree["feature"][node])
    if feature < 0:
        return float(tree["value"][node])
    return np.where(
        columns[feature] <= tree["threshold"][node],
        _evaluate(columns, tree, int(tree["left"][node])),
        _evaluate(columns, tree, int(tree["right"][node])),
    )


def train(rows: Floats, labels: Floats, features: Sequence[str], seed: int) -> Boosting:
    """Train on rows with labels 0 and 1; both must be there."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415 - slow to import

    model = HistGradientBoostingClassifier(
        max_iter=TREES,
        max_leaf_nodes=LEAVES,
        learning_rate=RATE,
        min_samples_leaf=_LEAST_LEAF,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    ).fit(rows, labels)
    trees = []
    for (predictor,) in model._predictors:  # noqa: SLF001 - scikit-learn gives trees no other way
        nodes = predictor.nodes
        leaf = nodes["is_leaf"].astype(bool)
        trees.append(
            {
                "feature": np.where(leaf, -1, nodes["feature_idx"].astype(np.int64)).tolist(),
                "threshold": np.where(leaf, 0.0, nodes["num_threshold"]).tolist(),
                "left": nodes["left"].astype(np.int64).tolist(),
                "right": nodes["right"].astype(np.int64).tolist(),
                "value": nodes["value"].tolist(),
            }
        )
    base = float(np.ravel(model._baseline_prediction)[0])  # noqa: SLF001 - likewise
    return Boosting(list(features), base, trees)
