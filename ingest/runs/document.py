"""How a run is written down: its document, and the metadata by which a listing shows it.

Pure; `ingest.runs.register` stores both.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import Any

from ingest.runs.run import (
    SCHEMA,
    BlockedSince,
    Copy,
    LandedVersion,
    Lease,
    Load,
    Resend,
    Run,
    Transition,
    ValidationAttempt,
    Verdict,
)
from landfall.protocol import State


def dump(run: Run, writer: str) -> bytes:
    """The run as the manifest stores it; `writer` identifies this one write."""
    return json.dumps(asdict(run) | {"writer": writer}, default=run_json, indent=1).encode()


def parse(document: bytes) -> Run:
    """A run from its stored document.

    A field that a later release of the same schema added is passed over, so that two releases can
    work side by side during a deployment.

    Raises:
        ValueError: the document's schema is newer than this code.
    """
    raw = json.loads(document)
    if raw["schema"] > SCHEMA:
        raise ValueError(
            f"run {raw['run_id']} has schema {raw['schema']}, this service reads up to {SCHEMA}"
        )
    parts: dict[str, Any] = {
        "source": _part(LandedVersion, raw["source"]),
        "state": State(raw["state"]),
        "created": datetime.fromisoformat(raw["created"]),
        "updated": datetime.fromisoformat(raw["updated"]),
        "history": tuple(
            replace(_part(Transition, line), state=State(line["state"])) for line in raw["history"]
        ),
        "lease": _part(Lease, raw["lease"]),
        "judging": _part(ValidationAttempt, raw.get("judging")),
        "verdict": _part(Verdict, raw["verdict"]),
        "copy": _part(Copy, raw["copy"]),
        "load": _part(Load, raw["load"]),
        "resend": _part(Resend, raw.get("resend")),
        "blocked": _part(BlockedSince, raw.get("blocked")),
    }
    run: Run = _part(Run, raw | parts)
    return run


def writer_of(document: bytes) -> str:
    """Which write made a stored document."""
    return str(json.loads(document).get("writer", ""))


_TIMES = frozenset({"at", "until", "landed", "intent_at", "as_of", "not_before", "postponed"}) | {
    "since"
}


def _part(kind: type[Any], raw: Mapping[str, Any] | None) -> Any:
    """A part of a run from its JSON; a field that a later release added is passed over."""
    if raw is None:
        return None
    known = {f.name for f in fields(kind)}
    return kind(
        **{
            key: datetime.fromisoformat(value) if key in _TIMES and value else value
            for key, value in raw.items()
            if key in known
        }
    )


def run_json(value: object) -> str:
    """How a run's values are written that JSON has no form for: times as ISO 8601.

    Raises:
        TypeError: a value that has no place in a run.
    """
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in a run document")


_CAUSE_LENGTH = 300


def summary(run: Run) -> dict[str, Any]:
    """The run in one line: what lists and metadata carry."""
    verdict, result = run.verdict, run.load.result if run.load else None
    return {
        "run_id": run.run_id,
        "dataset": run.dataset,
        "name": run.name,
        "path": run.source.path,
        "state": run.state.value,
        "cause": run.cause[:_CAUSE_LENGTH],
        "rows": verdict.rows if verdict else None,
        "accepted": verdict.accepted if verdict else None,
        "rejected": verdict.rejected if verdict else None,
        "inserted": result.get("inserted") if result else None,
        "updated_rows": result.get("updated") if result else None,
        "resend_of": run.resend.of if run.resend else None,
        "sha256": verdict.sha256 or None if verdict else None,
        "size": run.source.size,
        "landed_at": run.source.landed.isoformat(),
        "created": run.created.isoformat(),
        "updated": run.updated.isoformat(),
    }


def to_metadata(run: Run) -> dict[str, str]:
    """Blob metadata that lets a listing show and steer the run without reading its document.

    Metadata values are ASCII, so the JSON goes in base64; Azure takes 8 KB of them at most.
    """
    steering = {
        "lease_until": run.lease.until.isoformat() if run.lease else None,
        "postponed": run.postponed.isoformat() if run.postponed else None,
        "judging_job": run.judging.job_run_id if run.judging else None,
        "attempt_id": run.copy.attempt_id if run.copy else None,
        "adf_run_id": run.copy.adf_run_id if run.copy else None,
        "intent_at": run.copy.intent_at.isoformat() if run.copy else None,
        "batch_id": run.load.batch_id if run.load else None,
        "bronze": run.bronze if run.copy else None,
        "contract": run.verdict.digest if run.verdict else None,
        "blocked": _cut(run.blocked.cause, _CAUSE_LENGTH) if run.blocked else None,
        "blocked_since": run.blocked.since.isoformat() if run.blocked else None,
        "via": run.source.via,
        "sha256": run.verdict.sha256 if run.verdict else None,
        "seconds": {state.value: round(spent, 1) for state, spent in run.seconds.items()},
    }
    text = _fitting(summary(run) | {"steering": steering})
    return {"state": run.state.value, "summary": base64.b64encode(text).decode()}


_METADATA = 8 * 1024
"""Bytes that Azure takes as the metadata of a blob: names and values."""
_FIT = (_METADATA - 64) * 3 // 4
"""Bytes of JSON that fit there in base64, beside the names and the state."""
_SHORTEST = 60


def _fitting(fields: dict[str, Any]) -> bytes:
    """The fields as JSON of at most `_FIT` bytes: texts are cut where they are too long.

    The path goes last: a run is found by it, and what the lake takes as a path fits.
    """
    text = _compact(fields)
    for key in ("cause", "name", "path"):
        while len(text) > _FIT and len(fields[key]) > _SHORTEST:
            kept = max(_SHORTEST, len(fields[key]) - max(1, (len(text) - _FIT) // 6))
            fields = fields | {key: _cut(fields[key], kept)}
            text = _compact(fields)
    return text


def _compact(fields: Mapping[str, Any]) -> bytes:
    text = json.dumps(fields, separators=(",", ":"), ensure_ascii=False)
    return text.encode(errors="replace")


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


@dataclass(frozen=True)
class Listed:
    """A run as a listing shows it: its summary, and what a tick needs to steer it."""

    run_id: str
    dataset: str
    state: State
    updated: datetime
    summary: Mapping[str, Any]
    steering: Mapping[str, Any]

    def time(self, key: str) -> datetime | None:
        """A time among the steering values."""
        text = self.steering.get(key)
        return datetime.fromisoformat(text) if text else None


_STEERED_BY = frozenset(
    {"lease_until", "postponed", "judging_job", "attempt_id", "adf_run_id", "intent_at"}
)


def slim(run: Listed) -> Listed:
    """The run with no more than a tick needs of it: a tick holds all active ones at once."""
    steering = {key: value for key, value in run.steering.items() if key in _STEERED_BY and value}
    return replace(run, summary={}, steering=steering)


def from_metadata(metadata: Mapping[str, str]) -> Listed:
    """What `to_metadata` wrote."""
    fields = json.loads(base64.b64decode(metadata["summary"]))
    steering = fields.pop("steering")
    return Listed(
        run_id=fields["run_id"],
        dataset=fields["dataset"],
        state=State(fields["state"]),
        updated=datetime.fromisoformat(fields["updated"]),
        summary=fields,
        steering=steering,
    )
