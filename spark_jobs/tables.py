"""Delta tables: overwritten, read at a version, asked for their history."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame

from spark_jobs.errors import ResultError
from spark_jobs.lake import Lake

# How far back a table's history is searched for the commit that says what it was built from.
COMMITS_SEARCHED = 20

_ABSENT = frozenset({"PATH_NOT_FOUND", "DELTA_TABLE_NOT_FOUND", "DELTA_MISSING_DELTA_TABLE"})


@dataclass(frozen=True)
class Build:
    """The last `overwrite` of a table: its version, its rows, and what it was made from."""

    version: int
    rows: int
    origin: Mapping[str, Any]


def read_delta(lake: Lake, path: str, version: int) -> DataFrame:
    """A Delta table as of one version."""
    reader = lake.spark.read.format("delta").option("versionAsOf", version)
    return reader.load(lake.uri(path))


def delta_version(lake: Lake, path: str) -> int | None:
    """The newest version of a Delta table; None where there is none."""
    history = _history(lake, path, 1)
    return int(history[0]["version"]) if history else None


def delta_identity(lake: Lake, path: str) -> str:
    """The id that Delta gave a table when it was created: another table has another."""
    detail = lake.spark.sql(f"DESCRIBE DETAIL {lake.sql_name(path)}").select("id")
    return str(detail.collect()[0][0])


def overwrite(lake: Lake, path: str, rows: DataFrame, origin: Mapping[str, Any]) -> None:
    """Replace a small Delta table whole, in one commit that says what it was made from."""
    (
        rows.coalesce(1)
        .write.format("delta")
        .mode("overwrite")
        .option("overwriteSchema", "true")
        .option("userMetadata", json.dumps(origin, sort_keys=True))
        .save(lake.uri(path))
    )


def last_build(lake: Lake, path: str) -> Build | None:
    """The last `overwrite` of a table; None where there was none, or it is long ago."""
    return _build(_history(lake, path, COMMITS_SEARCHED))


def look(lake: Lake, path: str) -> tuple[int, Build | None]:
    """A table's newest version, whatever made it, and its last `overwrite`."""
    commits = _history(lake, path, COMMITS_SEARCHED)
    if not commits:
        raise ResultError(f"There is no table {path}: the task that makes it has not run.")
    return int(commits[0]["version"]), _build(commits)


def _build(commits: Iterable[Mapping[str, Any]]) -> Build | None:
    for commit in commits:
        if commit["userMetadata"]:
            rows = int(commit["operationMetrics"]["numOutputRows"])
            return Build(int(commit["version"]), rows, json.loads(commit["userMetadata"]))
    return None


def delta_table(lake: Lake, path: str) -> DataFrame | None:
    """A Delta table as it stands; None where there is none."""
    try:
        table = lake.spark.read.format("delta").load(lake.uri(path))
        _ = table.schema  # Spark Connect resolves a table only when it is asked something
    except AnalysisException as error:
        if error.getCondition() in _ABSENT:
            return None
        raise
    return table


def _history(lake: Lake, path: str, commits: int) -> list[dict[str, Any]]:
    """The newest commits of a table, newest first."""
    if delta_table(lake, path) is None:
        return []
    found = lake.spark.sql(f"DESCRIBE HISTORY {lake.sql_name(path)} LIMIT {commits}")
    chosen = found.select("version", "userMetadata", "operationMetrics")
    return [row.asDict() for row in chosen.collect()]
