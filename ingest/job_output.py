"""The folders that Spark jobs write their documents into: one part file each."""

from __future__ import annotations

import json
from typing import Any

from ingest.ports import Lake


def part_of(lake: Lake, folder: str) -> str | None:
    """Return the path of the part file; None where the job has written none."""
    for entry in lake.list(f"{folder.rstrip('/')}/"):
        if entry.version.path.rpartition("/")[2].startswith("part-"):
            return entry.version.path
    return None


def document_of(lake: Lake, folder: str) -> dict[str, Any] | None:
    """Return the JSON document in a folder; None where the job has written none."""
    path = part_of(lake, folder)
    if path is None:
        return None
    document: dict[str, Any] = json.loads(lake.get(path)[0])
    return document
