"""One gold table brought up to date: left alone, refreshed by parts, or made as a whole.

The commit of a build says in its metadata from which version of which tables it was made. That is
what the next build starts from: nothing to do where all are the same; only the parts that changed
rows reach, where the definition allows it and silver can tell what changed; else the whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812

from spark_jobs.errors import ResultError
from spark_jobs.gold.definitions import CHANGED_VIEW, GoldDefinition, view_of
from spark_jobs.lake import SparkLake
from spark_jobs.result import TableResult, say
from spark_jobs.tables import Build, last_build, look, overwrite, read_changes, read_delta, rows_of

# With more parts than this, finding and replacing them costs more than making the table anew.
MOST_PARTS = 200


@dataclass(frozen=True)
class GoldSource:
    """A table that is read: its lake path and Delta id, the version that is read, its bytes."""

    path: str
    identity: str
    version: int
    size: int

    def to_json(self) -> dict[str, Any]:
        """Its form in a commit's metadata."""
        return {"table": self.path, "id": self.identity, "version": self.version}


def refresh(
    lake: SparkLake, definition: GoldDefinition, sources: Mapping[str, GoldSource]
) -> TableResult:
    """Bring a gold table up to date with these versions of its sources, whose views are there.

    Raises:
        ResultError: it was written, and its history does not show it.
    """
    read = [sources[name] for name in definition.sources]
    origin = {"sources": [each.to_json() for each in read], "definition": definition.digest}
    before = last_build(lake, definition.path)
    if before and before.origin == origin:
        rows = rows_of(lake, definition.path, before)
        return TableResult(before.version, rows, rebuilt=False, origin=origin)
    parts = _touched(lake, definition, read, before) if before else None
    if parts is None:
        overwrite(lake, definition.path, lake.spark.sql(definition.sql), origin)
    else:
        _replace(lake, definition, parts, origin)
    _, after = look(lake, definition.path)
    if after is None:
        raise ResultError(f"{definition.path} was written, and its history does not show it.")
    rows = rows_of(lake, definition.path, after)
    made = None if parts is None else len(parts)
    return TableResult(after.version, rows, rebuilt=True, parts=made, origin=after.origin)


def _touched(
    lake: SparkLake, definition: GoldDefinition, sources: list[GoldSource], before: Build
) -> list[str] | None:
    """The parts that changed since a build, as SQL literals; None where all must be made anew."""
    if definition.parts is None or before.origin.get("definition") != definition.digest:
        return None
    built = {each["table"]: each for each in before.origin.get("sources", ())}
    views = []
    try:
        for source in sources:
            earlier = built.get(source.path, {})
            if earlier.get("id") != source.identity or earlier["version"] > source.version:
                return None
            dataset = source.path.partition("/")[2]
            view = _view(definition, CHANGED_VIEW.format(dataset=dataset))
            _changed(lake, source, earlier["version"]).createOrReplaceTempView(view)
            views.append(view)
        touched_parts = lake.spark.sql(_with_views(definition, definition.parts.touched))
        column = F.col(definition.parts.column).cast("string")
        rows = touched_parts.select(column).limit(MOST_PARTS + 1).collect()
        kind = touched_parts.schema[0].dataType.simpleString()
    except Exception as error:  # noqa: BLE001 - a file that is vacuumed away, a feed that began later
        reason = str(error).strip().partition("\n")[0]
        say(f"{definition.path} is made as a whole: silver cannot tell what changed. {reason}")
        return None
    finally:
        for view in views:
            lake.spark.catalog.dropTempView(view)
    literals = [f"CAST('{row[0]}' AS {kind})" for row in rows if row[0] is not None]
    return literals if len(rows) <= MOST_PARTS and len(literals) == len(rows) else None


def _changed(lake: SparkLake, source: GoldSource, since: int) -> DataFrame:
    if since < source.version:
        return read_changes(lake, source.path, since + 1, source.version)
    nothing = read_delta(lake, source.path, source.version).limit(0)
    return nothing.withColumn("_change_type", F.lit(""))


def _replace(
    lake: SparkLake, definition: GoldDefinition, parts: list[str], origin: Mapping[str, Any]
) -> None:
    """Make the touched parts anew, in the place of what they held."""
    how = definition.parts
    assert how is not None  # noqa: S101 - there are parts only where the definition has them
    listed = ", ".join(parts) or "NULL"
    full = view_of(f"silver/{how.dataset}")
    view = _view(definition, full)
    lake.spark.table(full).where(f"{how.expression} IN ({listed})").createOrReplaceTempView(view)
    try:
        rows = lake.spark.sql(re.sub(rf"\b{full}\b", view, definition.sql))
        overwrite(lake, definition.path, rows, origin, only=f"{how.column} IN ({listed})")
    finally:
        lake.spark.catalog.dropTempView(view)


def _view(definition: GoldDefinition, name: str) -> str:
    """A view of this definition's own: others are built at the same time, in the same session."""
    return f"{definition.name}_{name}"


def _with_views(definition: GoldDefinition, sql: str) -> str:
    prefix = CHANGED_VIEW.format(dataset="")
    return re.sub(rf"\b({prefix}\w+)\b", lambda match: _view(definition, match[1]), sql)
