"""A dataset that refers to another, of which silver has a table of one commit."""

from __future__ import annotations

import io
import json

import polars as pl

from tests.ingest.memory import InMemoryLake

REFERS = """
      - name: to
        logicalType: integer
        relationships: [{to: others.id}]
customProperties: [{property: maxRejectedRatio, value: 0.6}]
"""


def silver(lake: InMemoryLake, dataset: str, ids: list[int]) -> None:
    """A Delta table of one commit."""
    data = io.BytesIO()
    pl.DataFrame({"id": ids}).write_parquet(data)
    lake.put(f"silver/{dataset}/part-0.parquet", data.getvalue())
    commit = [
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
        {"metaData": {"id": "1", "configuration": {}}},
        {"add": {"path": "part-0.parquet", "size": len(data.getvalue())}},
    ]
    log = "\n".join(json.dumps(action) for action in commit)
    lake.put(f"silver/{dataset}/_delta_log/{0:020}.json", log.encode())
