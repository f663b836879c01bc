"""Tells MLflow of a run, where one is configured; the ledger in the lake stays the truth.

A run gets the parameters, gates and figures of its row of the ledger, the card and the document.
What is frozen, such as the clusters, becomes a version of a registered model whose alias `champion`
points to the newest. Models are JSON documents: nothing is pickled.

MLflow may be missing or down: that is said, and the job goes on.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spark_jobs.analytics.card import card
from spark_jobs.result import say

EXPERIMENT = "/Shared/landfall_analytics"
CHAMPION = "champion"
FLAVOR = "landfall"


@dataclass(frozen=True)
class Registry:
    """Where MLflow is.

    Attributes:
        tracking: `databricks`, `sqlite:///FILE`, or the address of a server; empty for none.
        models: what stands before the names of registered models, such as `main.landfall.`.
    """

    tracking: str
    models: str = ""


def tell(registry: Registry, row: Mapping[str, Any]) -> None:
    """Tell MLflow of a row of the ledger; what goes wrong is said, and nothing else happens."""
    if not registry.tracking:
        return
    try:
        said = _log(registry, row)
    except ImportError:
        say("MLflow is configured, but not installed here: the ledger has everything.")
    except Exception as error:  # noqa: BLE001 - whatever a store that is down raises
        first = str(error).strip().partition("\n")[0][:300]
        say(f"MLflow was not told of {row['version']}: {type(error).__name__}: {first}")
    else:
        say(said)


def _log(registry: Registry, row: Mapping[str, Any]) -> dict[str, str]:
    # Of a server that is down: by default it is asked for minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    import mlflow  # noqa: PLC0415 - optional, and slow to import
    from mlflow import MlflowClient  # noqa: PLC0415

    in_databricks = registry.tracking == "databricks"
    mlflow.set_tracking_uri(registry.tracking)
    mlflow.set_registry_uri("databricks-uc" if in_databricks else registry.tracking)
    client = MlflowClient()
    run_id = client.create_run(
        _experiment(client, registry), run_name=row["version"], tags=_tags(row)
    ).info.run_id
    for name in ("seed", "code", "inputs", "params"):
        client.log_param(run_id, name, str(row[name])[:500])
    for name, value in _metrics(row).items():
        client.log_metric(run_id, name, value)
    client.log_text(run_id, card(row), "card.md")
    said = {"mlflow_run": run_id}
    if row["document"]:
        said["registered"] = _register(client, registry, row, run_id)
    client.set_terminated(run_id, "FAILED" if row["verdict"] == "failed" else "FINISHED")
    return said


def _experiment(client: Any, registry: Registry) -> str:
    known = client.get_experiment_by_name(EXPERIMENT)
    if known is not None:
        return str(known.experiment_id)
    place = None
    if registry.tracking.startswith("sqlite:///"):
        # Beside the database, not in whatever folder the task runs in.
        file = Path(registry.tracking.removeprefix("sqlite:///")).resolve()
        place = file.with_name(f"{file.stem}-artifacts").as_uri()
    return str(client.create_experiment(EXPERIMENT, artifact_location=place))


def _tags(row: Mapping[str, Any]) -> dict[str, str]:
    names = ("model", "version", "verdict", "reason", "baseline", "run")
    return {f"landfall.{name}": str(row[name]) for name in names}


def _metrics(row: Mapping[str, Any]) -> dict[str, float]:
    """Return the gates' values and the figures that are numbers, by names that MLflow takes."""
    found = {gate["id"]: gate["value"] for gate in json.loads(row["gates"])}
    found |= json.loads(row["metrics"])
    return {
        name: float(value)
        for name, value in found.items()
        if isinstance(value, (int, float)) and math.isfinite(value)
    }


def _register(client: Any, registry: Registry, row: Mapping[str, Any], run_id: str) -> str:
    """Register what is frozen as a version of its model, and make it the champion."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - optional
    from mlflow.models import Model, ModelSignature  # noqa: PLC0415 - likewise
    from mlflow.types.schema import ColSpec, Schema  # noqa: PLC0415 - likewise

    name = f"{registry.models}landfall_{row['model']}"
    document = json.loads(row["document"])
    described = document.get("clusters") or document.get("trees") or {}
    columns = [ColSpec("double", str(feature)) for feature in described.get("features", ())]
    output = ColSpec("string" if "clusters" in document else "double", "result")
    model = Model(run_id=run_id, signature=ModelSignature(Schema(columns), Schema([output])))
    model.add_flavor(FLAVOR, document="document.json", version=row["version"])
    with tempfile.TemporaryDirectory() as folder:
        model.save(str(Path(folder) / "MLmodel"))
        (Path(folder) / "document.json").write_text(row["document"], encoding="utf-8")
        client.log_artifacts(run_id, folder, "model")
    try:
        client.create_registered_model(name)
    except MlflowException:  # it is there
        client.get_registered_model(name)
    source = f"{client.get_run(run_id).info.artifact_uri}/model"
    version = client.create_model_version(name, source, run_id).version
    client.set_registered_model_alias(name, CHAMPION, version)
    return f"{name} {version}"
