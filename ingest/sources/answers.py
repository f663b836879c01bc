"""What the service answers a pipeline run that extracts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ingest.runs.run import Run


@dataclass(frozen=True)
class ExtractionAnswer:
    """What a pipeline run is told, and the runs whose drops came to landing by the way."""

    body: Mapping[str, Any]
    runs: tuple[Run, ...] = ()
