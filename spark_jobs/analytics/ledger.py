"""The ledger of models: what was trained on what, how it did, and whether it was published.

A row a run of a model. The version is made of the input versions, the seed and the code, so the
same gives the same; what is frozen, such as the clusters, is a JSON document in the row.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import pandas as pd

from spark_jobs.analytics import outputs
from spark_jobs.analytics.gates import Gate
from spark_jobs.analytics.inputs import Inputs, InputTable
from spark_jobs.lake import SparkLake

SEGMENTS, RECOMMENDATIONS, FORECASTS = MODELS = ("segments", "recommendations", "forecasts")
PUBLISHED, BASELINE, TOO_LITTLE, KEPT, FAILED = (
    "published", "baseline", "too_little_data", "not_published", "failed",
)  # fmt: skip
LEDGER = "model_ledger"


@dataclass
class ModelVerdict:
    """What became of a model in a run.

    Attributes:
        verdict: one of the words of the contract.
        reason: why, where it is not `published`.
        gates, figures, params: for the ledger and the page.
        tables: frames to publish, by table.
        baseline: what it had to beat.
        document: what is frozen; None where nothing is, or as before.
        champion: version that the frozen document is of.
    """

    verdict: str
    reason: str = ""
    gates: Sequence[Gate] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    baseline: str = ""
    document: Mapping[str, Any] | None = None
    champion: str = ""


def code_digest() -> str:
    """Return a digest of the code of the models."""
    digest = hashlib.sha256()
    for name, content in sorted(_sources(files("spark_jobs.analytics"), "")):
        digest.update(name.encode() + content)
    return digest.hexdigest()[:16]


def _sources(folder: Traversable, path: str) -> list[tuple[str, bytes]]:
    found = []
    for entry in folder.iterdir():
        name = f"{path}/{entry.name}"
        if entry.is_dir():
            found += _sources(entry, name)
        elif name.endswith((".py", ".yaml")):
            found.append((name, entry.read_bytes()))
    return found


def version_of(
    model: str, sources: Sequence[InputTable], seed: int, params: Mapping[str, Any]
) -> str:
    """Return the version of a model: the same inputs, seed, code and parameters give the same."""
    known = [model, [source.to_json() for source in sources], seed, code_digest(), params]
    text = json.dumps(known, sort_keys=True)
    return f"{model}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def champion(lake: SparkLake, model: str) -> tuple[str, dict[str, Any]] | None:
    """Return version and document of what is frozen; None where nothing was yet."""
    rows = outputs.read(lake, LEDGER)
    if rows is None:
        return None
    rows = rows[(rows["model"] == model) & rows["document"].notna()]
    if rows.empty:
        return None
    row = rows.sort_values(["trained_at", "version"]).iloc[-1]
    return str(row["version"]), json.loads(row["document"])


def document_of(lake: SparkLake, version: str) -> dict[str, Any] | None:
    """Return what a version has frozen; None where it froze nothing."""
    rows = outputs.read(lake, LEDGER)
    kept = None if rows is None else rows[(rows["version"] == version) & rows["document"].notna()]
    if kept is None or kept.empty:
        return None
    document: dict[str, Any] = json.loads(kept.iloc[-1]["document"])
    return document


def entry(lake: SparkLake, version: str) -> dict[str, Any] | None:
    """Return the newest row of a version; None where there is none."""
    rows = outputs.read(lake, LEDGER)
    if rows is None or rows[rows["version"] == version].empty:
        return None
    row = rows[rows["version"] == version].sort_values("trained_at").iloc[-1]
    return {str(name): value for name, value in row.items()}


def write(
    lake: SparkLake,
    model: str,
    *,
    version: str,
    run: str,
    seed: int,
    verdict: ModelVerdict,
    inputs: Inputs | None,
) -> dict[str, Any]:
    """Add a row, and return it."""
    figures = dict(verdict.figures)
    if inputs is not None:
        figures |= {"excluded": inputs.excluded, "told": inputs.told}
    sources = inputs.sources if inputs else []
    row = {
        "model": model,
        "version": version,
        "run": run,
        "trained_at": datetime.now(UTC).replace(tzinfo=None),
        "as_of": inputs.until if inputs else None,
        "inputs": json.dumps([source.to_json() for source in sources]),
        "seed": seed,
        "code": code_digest(),
        "params": json.dumps(dict(verdict.params), sort_keys=True),
        "metrics": json.dumps(figures, sort_keys=True, default=float),
        "gates": json.dumps([gate.to_json() for gate in verdict.gates]),
        "baseline": verdict.baseline or "none",
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "champion_from": verdict.champion,
        "document": json.dumps(verdict.document, sort_keys=True) if verdict.document else None,
    }
    outputs.append(lake, LEDGER, pd.DataFrame([row]), json.dumps({"model": model, "run": run}))
    return row
