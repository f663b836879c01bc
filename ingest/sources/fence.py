"""The fence: which pipeline run may read which range of an object, and by which query or URL."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ingest import paths
from ingest.errors import BadRequest, Conflict, Stale
from ingest.ports import Clock, CopyService
from ingest.runs.run import Run
from ingest.sources.answers import ExtractionAnswer
from ingest.sources.catalog import SourceCatalog
from ingest.sources.delivery import PARQUET, Delivery
from ingest.sources.document import ObjectState, Running, range_of, running_of
from ingest.sources.register import TRIES, StoredState
from ingest.sources.windows import Window, mark_of, range_of_window
from ingest.stages.copy import RUNNING
from landfall.sources import http, sql
from landfall.sources.model import Source, SourceObject
from landfall.sources.ranges import Mark, Range, extract_id, following
from landfall.sources.triggers import pipeline_of

LEASE = timedelta(hours=3)
"""How long a pipeline run is believed to be at work: longer than its Copy may take."""
RUN_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


@dataclass(frozen=True)
class _Asked:
    """What a pipeline run says when it asks for an extract; `high` is empty where it has none."""

    adf_run_id: str
    high: str
    window: Window


@dataclass(frozen=True)
class ExtractFence:
    """Lets one pipeline run through to each range.

    Attributes:
        pipelines: Data Factory, by the name of a pipeline.
        lease: how long a pipeline run counts as at work.
    """

    catalog: SourceCatalog
    delivery: Delivery
    clock: Clock
    pipelines: Callable[[str], CopyService]
    lease: timedelta = LEASE

    def begin(
        self, name: str, object_name: str, adf_run_id: str, high: str, window: Window
    ) -> ExtractionAnswer:
        """The fence: one pipeline run is let through to read what is new of an object.

        Asking again by the same pipeline run gives the same answer.

        Raises:
            NotFound, Conflict: see `SourceCatalog`.
            BadRequest: an end of the range is none of the watermark's type.
            Stale: others keep writing the object's document; ask again.
        """
        if not RUN_ID.fullmatch(adf_run_id):
            raise BadRequest(f"adf_run_id {adf_run_id!r} is no id of a pipeline run", 422)
        source, entry = self.catalog.named(name, object_name)
        runs: list[Run] = []
        for _ in range(TRIES):
            stored = self.catalog.register.get(source.name, entry.name)
            mine = [r for r in stored.state.running if r.adf_run_id == adf_run_id]
            if mine and not mine[0].delivering:
                return ExtractionAnswer(self._grant(source, entry, mine[0]), tuple(runs))
            if moving := next((r for r in stored.state.running if r.delivering), None):
                runs += self.delivery.deliver(source, entry, moving)
                if moving.adf_run_id == adf_run_id:
                    return _skip("delivered already", runs)
                continue
            try:
                asked = _Asked(adf_run_id, high, window)
                return self._begin(source, entry, asked, stored, runs)
            except Stale:
                continue
        raise Stale(f"{source.name}.{entry.name} is being written by others; ask again")

    def _begin(
        self,
        source: Source,
        entry: SourceObject,
        asked: _Asked,
        stored: StoredState,
        runs: list[Run],
    ) -> ExtractionAnswer:
        state = stored.state
        extent = self._extent(source, entry, state, asked)
        if extent is None:
            return _skip("nothing new", runs)
        name = extract_id(source.name, entry.name, extent)
        rival = next(
            (
                other
                for other in state.running
                if other.extract_id == name or (other.kind != "window" and extent.kind != "window")
            ),
            None,
        )
        if rival and not self._dead(source, rival):
            reason = f"pipeline run {rival.adf_run_id} is at it"
            if extent.kind == "window":  # skipped, it would count as read, however that one ends
                raise Conflict(f"{source.name}.{entry.name}, window to {rival.high}: {reason}")
            return _skip(reason, runs)
        delivered = extent.kind != "incremental" and self.catalog.register.extract(
            source.name, entry.name, name
        )
        if delivered and not asked.window.again:
            return _skip("delivered already", runs)
        suffix = PARQUET if source.database else ".jsonl"
        if source.connector == "http":
            suffix = http.suffix(entry)
        running = running_of(
            name,
            asked.adf_run_id,
            self.clock(),
            extent,
            staged=paths.staged_extract(
                source.name, entry.name, f"{name}.{asked.adf_run_id}{suffix}"
            ),
            target=paths.landed_extract(entry.dataset, source.name, entry.name, f"{name}{suffix}"),
        )
        self.catalog.register.put(stored, state.started(running, rival))
        return ExtractionAnswer(self._grant(source, entry, running), tuple(runs))

    def _extent(
        self, source: Source, entry: SourceObject, state: ObjectState, asked: _Asked
    ) -> Range | None:
        """What is to be read now; None where there is nothing new."""
        if asked.window.given:
            return range_of_window(entry, asked.window)
        if entry.mode == "full":
            return Range(None, self.clock().replace(microsecond=0), "full")
        if entry.mode == "window":
            raise Conflict(f"{source.name}.{entry.name} is read by windows, and none was given")
        newest: Mark | None
        if source.database:
            high = asked.high
            newest = mark_of(high, "high", counted=entry.counted) if high else None
        else:  # an API does not tell its newest record: it is asked for all up to now
            newest = self.clock() - entry.lag
        try:
            return following(state.mark(counted=entry.counted), newest, entry.overlap)
        except (TypeError, ValueError) as error:
            raise Conflict(
                f"the watermark of {source.name}.{entry.name} does not fit its source file: "
                f"{error}; rewind it"
            ) from error

    def _dead(self, source: Source, entry: Running) -> bool:
        """Whether the pipeline run of an extract will not say any more how it went."""
        if self.clock() - entry.since >= self.lease:
            return True
        seen = self.pipelines(pipeline_of(source)).observe(entry.adf_run_id)
        return seen is None or seen.status not in RUNNING

    def _grant(self, source: Source, entry: SourceObject, running: Running) -> dict[str, Any]:
        """What a pipeline run needs for its Copy."""
        extent = range_of(running, counted=entry.counted)
        container, key = paths.split(running.staged)
        above, _, last = key.rpartition("/")
        grant: dict[str, Any] = {
            "granted": True,
            "extract_id": running.extract_id,
            "low": running.low,
            "high": running.high,
            "container": container,
            "folder": above,
            "file": last,
        }
        if source.database:
            partition = entry.partition
            return grant | {
                "case": "parted" if entry.partition else "file",
                "query": sql.read_query(entry, source.connector, extent),
                "partition": {
                    "column": partition.column if partition else "",
                    "lower": (partition.lower if partition else None) or "",
                    "upper": (partition.upper if partition else None) or "",
                },
            }
        grant |= {"case": source.auth, "relative_url": http.relative_url(entry, extent)}
        if source.connector == "http":
            lines = [f"{name}: {value}" for name, value in entry.headers.items()]
            return grant | {"headers": "\n".join(lines)}
        return grant | {
            "headers": dict(entry.headers),
            "pagination": http.pagination(entry),
            "translator": http.translator(entry, self.catalog.contract(entry)),
        }


def _skip(reason: str, runs: list[Run]) -> ExtractionAnswer:
    return ExtractionAnswer({"granted": False, "case": "skip", "reason": reason}, tuple(runs))
