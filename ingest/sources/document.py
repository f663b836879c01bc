"""What is known of an object of a source, and of one extract: documents of the lake. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import Any

from ingest.runs.document import run_json
from landfall.sources.ranges import Mark, Range, mark_text, read_mark

SCHEMA = 1
RECENT = 20
"""Extracts that an object's document tells of; each has a document of its own too."""
_ERROR_LENGTH = 1000


@dataclass(frozen=True)
class Running:
    """An extract that one pipeline run was let through for.

    Attributes:
        kind: incremental, window or full.
        low, high: its range, as text; low is None where it is open.
        staged: lake path that the pipeline writes.
        target: lake path in landing that it is renamed to.
        delivering: the pipeline has said that it has written. From then on the bytes are on their
            way to landing: whoever comes next completes that.
        rows, size: what it has written; None where it does not know.
    """

    extract_id: str
    adf_run_id: str
    since: datetime
    kind: str
    low: str | None
    high: str
    staged: str
    target: str
    delivering: bool = False
    rows: int | None = None
    size: int | None = None


@dataclass(frozen=True)
class Extract:
    """An extract that was delivered.

    `path` in landing and `run_id` are None where it had no rows; `run_id` also where the drop's run
    is not known any more. `rows` is None of a file that is not read as rows.
    """

    extract_id: str
    adf_run_id: str
    kind: str
    low: str | None
    high: str
    began: datetime
    ended: datetime
    rows: int | None
    size: int | None = None
    path: str | None = None
    run_id: str | None = None


@dataclass(frozen=True)
class Failure:
    """How often extracts have failed since the last one was delivered, and the last reason."""

    count: int
    at: datetime
    error: str


@dataclass(frozen=True)
class ObjectState:
    """Where an object stands.

    Attributes:
        watermark: high end of the last delivered incremental extract, as text.
        running: extracts under way; several only where they are windows.
        recent: the latest delivered extracts, the last one first.
        paused: schedules skip it.
    """

    source: str
    object: str
    watermark: str | None = None
    running: tuple[Running, ...] = ()
    recent: tuple[Extract, ...] = ()
    delivered: int = 0
    failure: Failure | None = None
    paused: bool = False
    schema: int = SCHEMA

    def mark(self, *, counted: bool) -> Mark | None:
        """The watermark.

        Raises:
            ValueError: it is of another kind than the source file says now.
        """
        return None if self.watermark is None else read_mark(self.watermark, counted=counted)

    def running_as(self, extract_id: str, adf_run_id: str) -> Running | None:
        """The extract of a pipeline run, if it is still the one that was let through."""
        for entry in self.running:
            if (entry.extract_id, entry.adf_run_id) == (extract_id, adf_run_id):
                return entry
        return None

    def started(self, entry: Running, instead: Running | None) -> ObjectState:
        """The state with an extract under way, in the place of another."""
        return replace(self, running=(*(r for r in self.running if r != instead), entry))

    def without(self, entry: Running) -> ObjectState:
        """The state without an extract under way."""
        return replace(self, running=tuple(r for r in self.running if not _same(r, entry)))

    def delivered_by(self, extract: Extract, entry: Running, *, counted: bool) -> ObjectState:
        """The state after an extract; only an incremental one moves the watermark."""
        watermark = self.watermark
        if extract.kind == "incremental":
            high = read_mark(extract.high, counted=counted)
            mark = self.mark(counted=counted)
            if mark is None or high > mark:  # type: ignore[operator]
                watermark = mark_text(high)
        return replace(
            self.without(entry),
            watermark=watermark,
            recent=(extract, *self.recent)[:RECENT],
            delivered=self.delivered + 1,
            failure=None,
        )

    def failed(self, error: str, at: datetime) -> ObjectState:
        """The state after a failure."""
        count = self.failure.count + 1 if self.failure else 1
        return replace(self, failure=Failure(count, at, error[:_ERROR_LENGTH]))


def _same(one: Running, other: Running) -> bool:
    return (one.extract_id, one.adf_run_id) == (other.extract_id, other.adf_run_id)


def running_of(
    extract_id: str, adf_run_id: str, since: datetime, extent: Range, **paths: Any
) -> Running:
    """An extract that begins."""
    return Running(
        extract_id=extract_id,
        adf_run_id=adf_run_id,
        since=since,
        kind=extent.kind,
        low=None if extent.low is None else mark_text(extent.low),
        high=mark_text(extent.high),
        **paths,
    )


def range_of(entry: Running, *, counted: bool) -> Range:
    """The range of an extract under way."""
    low = None if entry.low is None else read_mark(entry.low, counted=counted)
    return Range(low, read_mark(entry.high, counted=counted), entry.kind)  # type: ignore[arg-type]


def dump(document: ObjectState | Extract, writer: str) -> bytes:
    """A document as the lake has it; `writer` names this one write."""
    body = asdict(document) | {"writer": writer}
    return json.dumps(body, default=run_json, indent=1).encode()


def writer_of(document: bytes) -> str:
    """Which write made a stored document."""
    return str(json.loads(document).get("writer", ""))


def parse_state(document: bytes) -> ObjectState:
    """The state of a stored document; fields of a later release are passed over.

    Raises:
        ValueError, KeyError, TypeError: it cannot be read.
    """
    raw = json.loads(document)
    if raw["schema"] > SCHEMA:
        raise ValueError(f"has schema {raw['schema']}, this service reads up to {SCHEMA}")
    failure = raw.get("failure")
    parts = {
        "running": tuple(_part(Running, entry) for entry in raw["running"]),
        "recent": tuple(_part(Extract, entry) for entry in raw["recent"]),
        "failure": _part(Failure, failure) if failure else None,
    }
    state: ObjectState = _part(ObjectState, raw | parts)
    return state


def parse_extract(document: bytes) -> Extract:
    """The extract of a stored document; raises as `parse_state`."""
    extract: Extract = _part(Extract, json.loads(document))
    return extract


_TIMES = frozenset({"since", "began", "ended", "at"})


def _part(kind: type[Any], raw: Mapping[str, Any]) -> Any:
    known = {entry.name for entry in fields(kind)}
    return kind(
        **{
            name: datetime.fromisoformat(value) if name in _TIMES else value
            for name, value in raw.items()
            if name in known
        }
    )


def plain(value: Any) -> dict[str, Any]:
    """A part of a document as JSON."""
    document: dict[str, Any] = json.loads(json.dumps(asdict(value), default=run_json))
    return document


__all__ = [
    "Extract",
    "Failure",
    "ObjectState",
    "Running",
    "dump",
    "parse_extract",
    "parse_state",
    "plain",
    "range_of",
    "running_of",
    "writer_of",
]
