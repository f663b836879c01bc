"""Extraction: what a pipeline run may read, and when the watermark moves.

A pipeline run asks for a plan, and for each object whether there is something to read (`begin`).
Begin is a fence: it writes down which range is read by which pipeline run, and lets one through.
The pipeline writes to a place of its own and says so (`finish`); then

    1. the object's document says that these bytes are on their way to landing;
    2. ONE rename brings them there;
    3. the drop is claimed, as any other;
    4. the extract is written down;
    5. the watermark moves, by compare-and-set.

Each of these may be done again by whoever comes next. Before 1 nothing has happened: the bytes are
passed over, and the range is read again. After 1 the bytes can only be in one of two places, and
the rest is completed from there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ingest.ports import Clock, CopyService, Lake
from ingest.runs.register import Register
from ingest.sources.catalog import SourceCatalog
from ingest.sources.delivery import Delivery
from ingest.sources.fence import ExtractFence
from ingest.sources.files import SourceFiles
from ingest.sources.operating import Operating
from ingest.sources.planning import Planning
from ingest.sources.register import ExtractRegister


@dataclass(frozen=True)
class Extraction:
    """The parts of extraction, for all sources."""

    catalog: SourceCatalog
    planning: Planning
    fence: ExtractFence
    delivery: Delivery
    operating: Operating

    @staticmethod
    def of(
        lake: Lake,
        manifest: Register,
        files: SourceFiles,
        clock: Clock,
        pipelines: Callable[[str], CopyService],
    ) -> Extraction:
        """Put the parts together; `pipelines` is Data Factory, by the name of a pipeline."""
        catalog = SourceCatalog(files, ExtractRegister(lake))
        planning = Planning(catalog, clock)
        delivery = Delivery(lake, manifest, catalog, clock)
        return Extraction(
            catalog=catalog,
            planning=planning,
            fence=ExtractFence(catalog, delivery, clock, pipelines),
            delivery=delivery,
            operating=Operating(catalog, planning, delivery, pipelines),
        )
