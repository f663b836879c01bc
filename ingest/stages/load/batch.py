"""The document of a batch: the drops that one job run loads together. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ingest import paths
from ingest.runs.run import Run


@dataclass(frozen=True)
class Batch:
    """The frozen list of copied drops that one job run loads.

    `table` is the dataset's key and columns, `drops` one object per member with its run id, bronze
    folder, rows, and the time at which it landed (the newest wins in silver).
    """

    batch_id: str
    dataset: str
    attempt: int
    created: str
    table: Mapping[str, Any]
    drops: tuple[Mapping[str, Any], ...]
    not_before: str | None = None
    failures: int = 0
    interruptions: int = 0
    schema: int = 1

    @property
    def token(self) -> str:
        """Databricks' idempotency token: at most 64 characters."""
        return hashlib.sha256(f"{self.batch_id}\n{self.attempt}".encode()).hexdigest()


def drop_of(run: Run) -> dict[str, Any]:
    """A drop as batch documents carry it."""
    missing = run.verdict.drifted.get("missing") if run.verdict else None
    return ({"missing": missing} if missing else {}) | {
        "run_id": run.run_id,
        "bronze": paths.bronze_folder(run.dataset, run.run_id),
        "rows": run.verdict.accepted if run.verdict else None,
        "rejected": run.verdict.rejected if run.verdict else 0,
        "landed_at": run.as_of.isoformat(),
        "source": run.source.path,
    }


def dump(batch: Batch) -> bytes:
    """The batch as the manifest stores it."""
    return json.dumps(asdict(batch), indent=1).encode()


def parse(body: bytes) -> Batch:
    """What `dump` wrote; what a later release added to it is passed over."""
    raw = json.loads(body)
    known = {each.name for each in fields(Batch)}
    return Batch(**{key: raw[key] for key in known & set(raw)} | {"drops": tuple(raw["drops"])})
