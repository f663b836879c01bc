"""Job task: bring the gold tables that rest on a dataset up to date, and write the batch's result.

sources at one version each → one SELECT per gold table, side by side → Delta → result document
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from pyspark.errors import (
    AnalysisException,
    ArithmeticException,
    ArrayIndexOutOfBoundsException,
    DateTimeException,
    NumberFormatException,
    ParseException,
    SparkRuntimeException,
)
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - as everywhere with Spark

from spark_jobs.arguments import parse_arguments
from spark_jobs.errors import ResultError
from spark_jobs.gold.definitions import (
    GoldDefinition,
    levels,
    reached,
    read_definitions,
    view_of,
)
from spark_jobs.gold.refresh import GoldSource, refresh
from spark_jobs.lake import SparkLake, current_batch, read_document, write_document
from spark_jobs.result import (
    ORIGINS,
    UNBUILT,
    TableResult,
    result_folder,
    say,
    silver_result_folder,
)
from spark_jobs.session import SMALL_BYTES, job_session, small_queries
from spark_jobs.tables import data_version, delta_detail, keep_changes, read_delta

# They do not depend on one another, and most of the time is Delta's own bookkeeping: so all that
# rest on one dataset go side by side, for one that waited would double the time of the others.
AT_ONCE = 8
# Loads of other datasets may move silver on, or write the same table, while we build.
ROUNDS = 5
# What a statement brings about by itself: a column that is not there, a value that no type takes.
_STATEMENT_FAULTS = (
    AnalysisException,
    ArithmeticException,
    ArrayIndexOutOfBoundsException,
    DateTimeException,
    NumberFormatException,
    ParseException,
    SparkRuntimeException,
)
_SQLSTATE_OF_STATEMENTS = re.compile(r"SQLSTATE: (22|42)\w{3}")
_OVERTAKEN = ("DELTA_CONCURRENT", "DELTA_METADATA_CHANGED", "DELTA_PROTOCOL_CHANGED")


@dataclass(frozen=True)
class _Unbuilt:
    """A table whose statement fails, and why."""

    reason: str


def main(argv: list[str] | None = None) -> None:
    """Build the gold tables of the batch's dataset and write the batch's result document.

    Raises:
        JobError: the batch is not current any more, or load_silver has not run.
    """
    arguments = parse_arguments(argv, "build_gold")
    dataset, batch_id = arguments.dataset, arguments.batch_id
    lake = SparkLake(job_session(), arguments.lake)
    batch = current_batch(lake, arguments)
    result = read_document(lake, silver_result_folder(dataset, batch_id))
    unbuilt: dict[str, str] = {}
    tables = build(lake, reached(read_definitions(lake, batch.gold), dataset), unbuilt)
    if not tables:
        say(f"No gold table can be built from dataset {dataset}.")
    result["tables"] |= {path: table.to_json() for path, table in tables.items()}
    if unbuilt:
        result[UNBUILT] = unbuilt
    result[ORIGINS] = {path: table.origin for path, table in tables.items()}
    write_document(lake, result_folder(dataset, batch_id), result)
    say(result)


def build(
    lake: SparkLake,
    definitions: Iterable[GoldDefinition],
    unbuilt: dict[str, str] | None = None,
) -> dict[str, TableResult]:
    """Bring gold tables up to date with the newest version of all tables that they read.

    A table that reads one that does not exist yet is not built until it does. One whose statement
    fails stays as it was: that is its own trouble, and all others are built.

    Args:
        lake: where the tables are.
        definitions: each after those that it reads.
        unbuilt: takes the lake paths of the tables whose statement fails, with the reason.

    Returns:
        Each gold table by lake path; empty where none is defined or can be built.

    Raises:
        ResultError: other loads overtook this one again and again.
    """
    built: dict[str, TableResult] = {}
    for level in levels(definitions):
        built |= _build_level(lake, level, {} if unbuilt is None else unbuilt)
    return built


def _build_level(
    lake: SparkLake, waiting: list[GoldDefinition], unbuilt: dict[str, str]
) -> dict[str, TableResult]:
    """Bring gold tables that do not read one another up to date."""
    built: dict[str, TableResult] = {}
    for _ in range(ROUNDS):
        with small_queries(lake.spark):
            sources = _sources(lake, waiting)
        waiting = [each for each in waiting if sources.keys() >= set(each.sources)]
        if not waiting:
            return built
        small = sum(each.size for each in sources.values()) <= SMALL_BYTES
        with (
            small_queries(lake.spark, small),
            _views(lake, sources.values(), _deleted(waiting)),
            ThreadPoolExecutor(AT_ONCE) as pool,
        ):
            results = list(pool.map(partial(_refresh, lake, sources), waiting))
        for definition, table in zip(waiting, results, strict=True):
            if isinstance(table, _Unbuilt):
                unbuilt[definition.path] = table.reason
            elif table is not None:
                built[definition.path] = table
        waiting = _to_look_at_again(lake, waiting, results, sources)
        if not waiting:
            return built
    names = ", ".join(each.path for each in waiting)
    raise ResultError(f"Other loads overtook the build of {names} {ROUNDS} times.")


def _refresh(
    lake: SparkLake, sources: Mapping[str, GoldSource], definition: GoldDefinition
) -> TableResult | _Unbuilt | None:
    """The table as it is now; None where another load wrote it at the same time."""
    try:
        return refresh(lake, definition, sources)
    except Exception as error:
        if any(word in f"{type(error).__name__} {error}" for word in _OVERTAKEN):
            say(f"{definition.path} was written by another load: looking again.")
            return None
        if not _by_statement(error):
            raise
        reason = str(error).strip().partition("\n")[0]
        say(f"NOT BUILT: {definition.path} stays as it was. {reason}")
        return _Unbuilt(reason)


def _by_statement(error: Exception) -> bool:
    """Whether a statement is wrong, rather than what it runs on: trying again would not help."""
    return isinstance(error, _STATEMENT_FAULTS) or bool(_SQLSTATE_OF_STATEMENTS.search(str(error)))


def _to_look_at_again(
    lake: SparkLake,
    tried: list[GoldDefinition],
    results: Sequence[TableResult | _Unbuilt | None],
    sources: Mapping[str, GoldSource],
) -> list[GoldDefinition]:
    """Tables that were not written, or whose sources have moved on since.

    One load of a dataset runs at a time, so a table that reads only its silver cannot be overtaken.
    The load that commits last also checks last, so gold is finally built from the newest sources.
    """
    shared = {path for each in tried if _shared(each) for path in each.sources}
    moved = {path for path in shared if data_version(lake, path) != sources[path].version}
    return [
        definition
        for definition, table in zip(tried, results, strict=True)
        if table is None or (_shared(definition) and moved & set(definition.sources))
    ]


def _shared(definition: GoldDefinition) -> bool:
    """Whether loads of several datasets build a table; another gold table may rest on many."""
    return len(definition.sources) > 1 or definition.sources[0].startswith("gold/")


def _sources(lake: SparkLake, gold_definitions: Iterable[GoldDefinition]) -> dict[str, GoldSource]:
    """The tables that the definitions read as they are now, without those that do not exist yet."""
    gold_definitions = list(gold_definitions)
    paths = sorted({path for each in gold_definitions for path in each.sources})
    by_parts = {path for each in gold_definitions if each.parts for path in each.sources}

    def look(path: str) -> GoldSource | None:
        version = data_version(lake, path)
        if version is None:
            return None
        if path in by_parts:
            keep_changes(lake, path)
        detail = delta_detail(lake, path)
        return GoldSource(path, detail.identity, version, detail.size)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        sources = pool.map(look, paths)
    return {path: source for path, source in zip(paths, sources, strict=True) if source}


def _deleted(definitions: Iterable[GoldDefinition]) -> dict[str, str]:
    """The columns that say that rows were deleted, by the lake path of their table."""
    return {path: column for each in definitions for path, column in each.deleted.items()}


def _without_deleted(rows: DataFrame, column: str | None) -> DataFrame:
    """The rows that were not deleted: nothing stands in the column, or false."""
    if column is None or column not in rows.columns:
        return rows
    return rows.where(F.coalesce(F.col(column).cast("string"), F.lit("false")) == "false")


@contextmanager
def _views(
    lake: SparkLake, sources: Iterable[GoldSource], deleted: Mapping[str, str]
) -> Iterator[None]:
    views = []
    try:
        for source in sources:
            view = view_of(source.path)
            rows = read_delta(lake, source.path, source.version)
            _without_deleted(rows, deleted.get(source.path)).createOrReplaceTempView(view)
            views.append(view)
        yield
    finally:
        for view in views:
            lake.spark.catalog.dropTempView(view)


if __name__ == "__main__":
    main()
