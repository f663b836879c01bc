"""What people ask of sources: start, rewind, pause; and how a pipeline run stands."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from ingest.errors import Conflict, NotFound, OutcomeUnknown, Throttled
from ingest.log import log
from ingest.ports import CopyRun, CopyService
from ingest.sources.catalog import SourceCatalog
from ingest.sources.delivery import Delivery
from ingest.sources.document import ObjectState
from ingest.sources.fence import RUN_ID
from ingest.sources.planning import Planning
from ingest.sources.windows import Window, mark_of, parts_of, range_of_window
from landfall.sources.ranges import mark_text
from landfall.sources.triggers import pipeline_of


@dataclass(frozen=True)
class Operating:
    """Does what people ask.

    Attributes:
        pipelines: Data Factory, by the name of a pipeline.
    """

    catalog: SourceCatalog
    planning: Planning
    delivery: Delivery
    pipelines: Callable[[str], CopyService]

    def start(
        self,
        name: str,
        chosen: Collection[str],
        window: Window,
        every: str | None = None,
    ) -> list[dict[str, Any]]:
        """Start pipeline runs: one, or one for each part of a time.

        Returns the pipeline runs with their windows; `adf_run_id` is None where Data Factory did
        not say whether it has started: the fence lets one through in any case.

        Raises:
            BadRequest: the range cannot be read, or has too many parts.
            NotFound, Conflict: see `Planning.plan`.
        """
        source = self.catalog.source(name)
        self.planning.plan(name, window, chosen)
        for each in chosen:
            if window.given:
                range_of_window(self.catalog.entry(source, each), window)
        service = self.pipelines(pipeline_of(source))
        started: list[dict[str, Any]] = []
        for part in parts_of(window, every):
            parameters = {
                "source": name,
                "windowStart": part.begin,
                "windowEnd": part.end,
                "objects": ",".join(chosen),
                "again": part.again,
            }
            try:
                run_id: str | None = service.start(parameters)
            except (OutcomeUnknown, Throttled) as error:
                if not started and isinstance(error, Throttled):
                    raise
                log.warning("extract of %s: %s", name, error)
                run_id = None
            started.append({"adf_run_id": run_id, "from": part.begin, "to": part.end})
        return started

    def pipeline_run(self, name: str, adf_run_id: str) -> CopyRun:
        """A pipeline run of a source, as Data Factory knows it.

        Raises:
            NotFound: it does not.
        """
        source = self.catalog.source(name)
        run = None
        if RUN_ID.fullmatch(adf_run_id):
            run = self.pipelines(pipeline_of(source)).observe(adf_run_id)
        if run is None:
            raise NotFound(f"Data Factory knows no pipeline run {adf_run_id!r}")
        return run

    def rewind(self, name: str, object_name: str, to: str | None) -> ObjectState:
        """Move the watermark by hand; what is under way does not count any more.

        None means that all is read again.

        Raises:
            BadRequest: no mark of its type, or the object has no watermark.
        """
        source, entry = self.catalog.named(name, object_name)
        if entry.mode != "incremental":
            raise Conflict(f"{name}.{object_name} has mode {entry.mode}, so it has no watermark")
        mark = None if to is None else mark_of(to, "to", counted=entry.counted)
        for running in self.catalog.state(source, entry).running:
            if running.delivering:
                self.delivery.deliver(source, entry, running)

        def rewound(state: ObjectState) -> ObjectState:
            kept = tuple(r for r in state.running if r.kind != "incremental" or r.delivering)
            watermark = None if mark is None else mark_text(mark)
            return replace(state, watermark=watermark, running=kept, failure=None)

        return self.catalog.register.change(source.name, entry.name, rewound)

    def pause(self, name: str, object_name: str, *, paused: bool) -> ObjectState:
        """Have schedules pass over an object, or not any more."""
        source, entry = self.catalog.named(name, object_name)
        return self.catalog.register.change(
            source.name, entry.name, lambda state: replace(state, paused=paused)
        )
