"""A gradient boosting as a JSON document, and its evaluation: no pickle, and readable.

Trained by scikit-learn's HistGradientBoostingClassifier; the score is the logarithm of the odds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spark_jobs.analytics.recommendations.market import Floats

TREES, LEAVES, RATE = 80, 8, 0.1
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
        for tree in self.trees:
            feature = np.asarray(tree["feature"], dtype=np.int64)
            threshold = np.asarray(tree["threshold"], dtype=float)
            result += _evaluate(rows, feature, threshold, tree)
        return result


def _evaluate(
    rows: Floats, feature: Any, threshold: Floats, tree: Mapping[str, Sequence[float]]
) -> Floats:
    """Pass the rows down a tree, all rows of a node at once."""
    result = np.empty(len(rows))
    waiting = [(0, np.arange(len(rows)))]
    while waiting:
        node, members = waiting.pop()
        if feature[node] < 0:
            result[members] = tree["value"][node]
            continue
        left = rows[members, feature[node]] <= threshold[node]
        waiting.append((int(tree["left"][node]), members[left]))
        waiting.append((int(tree["right"][node]), members[~left]))
    return result


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
