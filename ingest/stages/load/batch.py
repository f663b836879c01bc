"""The document of a batch: the drops that one job run loads together. Pure."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from ingest.errors import Damaged
from ingest.runs.run import Run
from landfall.protocol import State


@dataclass(frozen=True)
class Batch:
    """The frozen list of copied drops that one job run loads.

    `table` is the dataset's key and columns, `drops` one object per member with its run id, bronze
    folder, rows, and the time at which it landed (the newest wins in silver). `contract` is the
    digest of the contract that validated all of them, None where they were validated by a release
    that kept none. `blocked` says since when and why no job can be started or asked. `gold` is the
    lake path of the definitions of the gold tables that are built.
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
    contract: str | None = None
    blocked: Mapping[str, str] | None = None
    gold: str | None = None
    schema: int = 1

    @property
    def token(self) -> str:
        """Databricks' idempotency token: at most 64 characters."""
        return hashlib.sha256(f"{self.batch_id}\n{self.attempt}".encode()).hexdigest()

    @property
    def formed(self) -> bool:
        """Whether it is known that its members were marked: it was tried or halved before."""
        return self.attempt > 1 or "." in self.batch_id

    def holds(self, run: Run) -> bool:
        """Whether a run is loading in this batch, or in one that this was halved from."""
        if run.state is not State.LOADING or run.load is None:
            return False
        joined = run.load.batch_id
        return self.batch_id == joined or self.batch_id.startswith(f"{joined}.")


def new_id(dataset: str, now: datetime) -> str:
    """The id of a new batch: no other has it, whoever forms one of the same drops meanwhile."""
    return f"{now:%Y%m%dT%H%M%SZ}-{dataset}-{secrets.token_hex(8)}"


def drop_of(run: Run) -> dict[str, Any]:
    """A drop as batch documents carry it, with what its folder in bronze has to hold."""
    verdict = run.verdict
    missing = verdict.drifted.get("missing") if verdict else None
    copied = verdict.parquet if verdict and verdict.parquet else {}
    return {
        **({"missing": missing} if missing else {}),
        **{name: copied[name] for name in ("size", "files") if name in copied},
        "run_id": run.run_id,
        "bronze": run.bronze,
        "rows": run.verdict.accepted if run.verdict else None,
        "rejected": run.verdict.rejected if run.verdict else 0,
        "landed_at": run.as_of.isoformat(),
        "source": run.source.path,
    }


def dump(batch: Batch) -> bytes:
    """The batch as it is stored."""
    return json.dumps(asdict(batch), indent=1).encode()


def parse(body: bytes) -> Batch:
    """What `dump` wrote; what a later release added to it is passed over.

    Raises:
        Damaged: it is not a batch.
    """
    try:
        raw = json.loads(body)
        known = {each.name for each in fields(Batch)}
        return Batch(**{key: raw[key] for key in known & set(raw)} | {"drops": tuple(raw["drops"])})
    except (ValueError, KeyError, TypeError) as error:
        raise Damaged(f"not the document of a batch: {type(error).__name__}: {error}") from error
