"""Delta tables: overwritten, read at a version, asked for their history."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812

from spark_jobs.lake import SparkLake

# How far back a table's history is searched for the commit that says what it was built from.
COMMITS_SEARCHED = 20

_COMMIT = ("version", "operation", "userMetadata", "operationMetrics", "operationParameters")
# Commits that leave a table's rows as they are.
_SAME_ROWS = frozenset(
    {
        "OPTIMIZE",
        "REORG",
        "VACUUM START",
        "VACUUM END",
        "ADD CONSTRAINT",
        "SET TBLPROPERTIES",
        "UNSET TBLPROPERTIES",
    }
)
_ERASED = "landfall.erased"
_CHANGE_FEED = "delta.enableChangeDataFeed"
_ABSENT = frozenset({"PATH_NOT_FOUND", "DELTA_TABLE_NOT_FOUND", "DELTA_MISSING_DELTA_TABLE"})


@dataclass(frozen=True)
class Build:
    """The last `overwrite` of a table.

    Attributes:
        rows: how many it wrote; whole: whether they are all that the table has.
        origin: what it was made from.
    """

    version: int
    rows: int
    whole: bool
    origin: Mapping[str, Any]


def read_delta(lake: SparkLake, path: str, version: int) -> DataFrame:
    """A Delta table as of one version."""
    reader = lake.spark.read.format("delta").option("versionAsOf", version)
    return reader.load(lake.uri(path))


def delta_version(lake: SparkLake, path: str) -> int | None:
    """The newest version of a Delta table; None where there is none."""
    history = _history(lake, path, 1)
    return int(history[0]["version"]) if history else None


@dataclass(frozen=True)
class Detail:
    """What Delta says of a table.

    Attributes:
        identity: the id that it gave the table when it was created: another table has another.
        files, size: of its newest version, in number and bytes.
        properties: of the table.
    """

    identity: str
    files: int
    size: int
    properties: Mapping[str, str]


def data_version(lake: SparkLake, path: str) -> int | None:
    """The newest version that changed a table's rows; None where there is no table."""
    commits = _history(lake, path, COMMITS_SEARCHED)
    changed = [each for each in commits if each["operation"] not in _SAME_ROWS]
    return int((changed or commits)[0]["version"]) if commits else None


def delta_detail(lake: SparkLake, path: str) -> Detail:
    """What Delta says of a table that is there."""
    row = lake.spark.sql(f"DESCRIBE DETAIL {lake.sql_name(path)}").collect()[0]
    size = int(row["sizeInBytes"])
    return Detail(str(row["id"]), int(row["numFiles"]), size, dict(row["properties"]))


def delta_tables(lake: SparkLake, *containers: str) -> list[str]:
    """The lake paths of all Delta tables right below these containers, by name."""
    return sorted(path for container in containers for path in _tables_below(lake, container))


def _tables_below(lake: SparkLake, container: str) -> list[str]:
    logs = lake.spark.read.format("binaryFile").option("pathGlobFilter", "*.json")
    name = F.element_at(F.split("path", "/"), -3)
    try:
        files = logs.load(lake.uri(f"{container}/*/_delta_log")).select(name.alias("name"))
        return [f"{container}/{row[0]}" for row in files.distinct().collect()]
    except AnalysisException as error:
        if error.getCondition() not in _ABSENT:
            raise
        return []


def optimize(lake: SparkLake, path: str) -> None:
    """Put a table's small files together; its rows stay what they are."""
    lake.spark.sql(f"OPTIMIZE {lake.sql_name(path)}").collect()


def vacuum(lake: SparkLake, path: str, *, hours: int) -> int:
    """Delete files that no version of the last hours needs; how many there were."""
    listed = lake.spark.sql(f"VACUUM {lake.sql_name(path)} RETAIN {hours} HOURS DRY RUN").count()
    if listed:
        lake.spark.sql(f"VACUUM {lake.sql_name(path)} RETAIN {hours} HOURS").collect()
    return listed


def mark_erased(lake: SparkLake, path: str, hours: int | None) -> None:
    """Note that rows were erased from a table: its log names the extremes of keys until `trim`.

    `hours` is how long the log is still wanted; None leaves that to whoever trims.
    """
    mark = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {'' if hours is None else hours}"
    lake.spark.sql(
        f"ALTER TABLE {lake.sql_name(path)} SET TBLPROPERTIES ('{_ERASED}' = '{mark.strip()}')"
    )


def trim(lake: SparkLake, path: str, properties: Mapping[str, str], *, hours: int) -> bool:
    """Have Delta delete the old part of the log of a table from which rows were erased, when due.

    Delta does so when it writes a checkpoint, of whole days that are past: a table that is seldom
    written has none for long. Returns whether the log was trimmed.
    """
    mark = properties.get(_ERASED)
    if mark is None:
        return False
    erased, _, own = mark.partition(" ")
    kept = int(own) if own else hours
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if datetime.fromisoformat(erased) >= midnight - timedelta(hours=kept):
        return False
    name = lake.sql_name(path)
    lake.spark.sql(
        f"ALTER TABLE {name} SET TBLPROPERTIES ('delta.checkpointInterval' = '1', "
        # Delta wants the log to be kept as long as it keeps the names of deleted files.
        f"'delta.deletedFileRetentionDuration' = 'interval {kept} hours', "
        f"'delta.logRetentionDuration' = 'interval {kept} hours')"
    )
    lake.spark.sql(
        f"ALTER TABLE {name} UNSET TBLPROPERTIES IF EXISTS ('delta.checkpointInterval', "
        f"'delta.deletedFileRetentionDuration', 'delta.logRetentionDuration', '{_ERASED}')"
    )
    return True


def keep_changes(lake: SparkLake, path: str) -> None:
    """Turn on the change data feed of a table, unless it is on already."""
    if delta_detail(lake, path).properties.get(_CHANGE_FEED) != "true":
        lake.spark.sql(
            f"ALTER TABLE {lake.sql_name(path)} SET TBLPROPERTIES ('{_CHANGE_FEED}' = 'true')"
        )


def read_changes(lake: SparkLake, path: str, first: int, last: int) -> DataFrame:
    """The rows that these versions of a table changed, as they were and as they became."""
    reader = lake.spark.read.format("delta").option("readChangeFeed", "true")
    return (
        reader.option("startingVersion", first).option("endingVersion", last).load(lake.uri(path))
    )


def overwrite(
    lake: SparkLake, path: str, rows: DataFrame, origin: Mapping[str, Any], *, only: str = ""
) -> None:
    """Replace a small Delta table in one commit that says what it was made from.

    With `only`, a condition, the rows that meet it are replaced, by rows that all meet it; without,
    the whole table, its columns included.
    """
    writer = rows.coalesce(1).write.format("delta").mode("overwrite")
    scope = ("replaceWhere", only) if only else ("overwriteSchema", "true")
    metadata = json.dumps(origin, sort_keys=True)
    writer.option(*scope).option("userMetadata", metadata).save(lake.uri(path))


def rows_of(lake: SparkLake, path: str, build: Build) -> int:
    """How many rows a table has since a build; the build itself knows it where it made them all."""
    return build.rows if build.whole else read_delta(lake, path, build.version).count()


def last_build(lake: SparkLake, path: str) -> Build | None:
    """The last `overwrite` of a table; None where there was none, or it is long ago."""
    return _build(_history(lake, path, COMMITS_SEARCHED))


def look(lake: SparkLake, path: str) -> tuple[int, Build | None]:
    """A table's newest version, whatever made it, and its last `overwrite`; it must be there."""
    commits = _commits(lake, path, COMMITS_SEARCHED)
    return int(commits[0]["version"]), _build(commits)


def _build(commits: Iterable[Mapping[str, Any]]) -> Build | None:
    for commit in commits:
        if commit["userMetadata"]:
            rows = int(commit["operationMetrics"]["numOutputRows"])
            whole = "predicate" not in commit["operationParameters"]
            origin = json.loads(commit["userMetadata"])
            return Build(int(commit["version"]), rows, whole, origin)
    return None


def delta_table(lake: SparkLake, path: str) -> DataFrame | None:
    """A Delta table as it stands; None where there is none."""
    try:
        table = lake.spark.read.format("delta").load(lake.uri(path))
        _ = table.schema  # Spark Connect resolves a table only when it is asked something
    except AnalysisException as error:
        if error.getCondition() in _ABSENT:
            return None
        raise
    return table


def _history(lake: SparkLake, path: str, commits: int) -> list[dict[str, Any]]:
    """The newest commits of a table, newest first; none where there is no table."""
    return [] if delta_table(lake, path) is None else _commits(lake, path, commits)


def _commits(lake: SparkLake, path: str, commits: int) -> list[dict[str, Any]]:
    history = lake.spark.sql(f"DESCRIBE HISTORY {lake.sql_name(path)} LIMIT {commits}")
    # Collected as it is: to choose columns of it in Spark would be a job more, for each look.
    return [{name: row[name] for name in _COMMIT} for row in history.collect()]
