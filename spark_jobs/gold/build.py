"""Job task: bring the gold tables that read a dataset up to date, and write the batch's result.

silver at one version each → one SELECT per gold table, side by side → Delta → result document
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from spark_jobs.arguments import parse_arguments
from spark_jobs.errors import ResultError
from spark_jobs.gold.definitions import VIEW, GoldDefinition, definitions
from spark_jobs.gold.refresh import GoldSource, refresh
from spark_jobs.lake import SparkLake, current_batch, read_document, write_document
from spark_jobs.result import ORIGINS, TableResult, result_folder, say, silver_result_folder
from spark_jobs.session import SMALL_BYTES, job_session, small_queries
from spark_jobs.tables import data_version, delta_detail, keep_changes, read_delta

# They do not depend on one another, and most of the time is Delta's own bookkeeping: so all that
# rest on one dataset go side by side, for one that waited would double the time of the others.
AT_ONCE = 8
# Loads of other datasets may move silver on, or write the same table, while we build.
ROUNDS = 5
_OVERTAKEN = ("DELTA_CONCURRENT", "DELTA_METADATA_CHANGED", "DELTA_PROTOCOL_CHANGED")


def main(argv: list[str] | None = None) -> None:
    """Build the gold tables of the batch's dataset and write the batch's result document.

    Raises:
        JobError: the batch is not current any more, or load_silver has not run.
    """
    arguments = parse_arguments(argv, "build_gold")
    dataset, batch_id = arguments.dataset, arguments.batch_id
    lake = SparkLake(job_session(), arguments.lake)
    current_batch(lake, arguments)
    result = read_document(lake, silver_result_folder(dataset, batch_id))
    tables = build(lake, dataset)
    if not tables:
        say(f"No gold table can be built from dataset {dataset}.")
    result["tables"] |= {path: table.to_json() for path, table in tables.items()}
    result[ORIGINS] = {path: table.origin for path, table in tables.items()}
    write_document(lake, result_folder(dataset, batch_id), result)
    say(result)


def build(lake: SparkLake, dataset: str) -> dict[str, TableResult]:
    """Bring the gold tables that read a dataset up to date with the silver of all they read.

    A table that reads a dataset without a silver table is not built until there is one.

    Returns:
        Each gold table by lake path; empty where none is defined or can be built.

    Raises:
        ResultError: other loads overtook this one again and again.
    """
    built: dict[str, TableResult] = {}
    waiting = definitions(dataset)
    for _ in range(ROUNDS):
        with small_queries(lake.spark):
            sources = _sources(lake, waiting)
        waiting = [each for each in waiting if sources.keys() >= set(each.sources)]
        if not waiting:
            return built
        small = sum(each.size for each in sources.values()) <= SMALL_BYTES
        with (
            small_queries(lake.spark, small),
            _silver_views(lake, sources.values()),
            ThreadPoolExecutor(AT_ONCE) as pool,
        ):
            results = list(pool.map(partial(_refresh, lake, sources), waiting))
        for definition, table in zip(waiting, results, strict=True):
            if table is not None:
                built[definition.path] = table
        waiting = _to_look_at_again(lake, waiting, results, sources)
        if not waiting:
            return built
    names = ", ".join(each.path for each in waiting)
    raise ResultError(f"Other loads overtook the build of {names} {ROUNDS} times.")


def _refresh(
    lake: SparkLake, sources: Mapping[str, GoldSource], definition: GoldDefinition
) -> TableResult | None:
    """The table as it is now; None where another load wrote it at the same time."""
    try:
        return refresh(lake, definition, sources)
    except Exception as error:
        if any(word in f"{type(error).__name__} {error}" for word in _OVERTAKEN):
            say(f"{definition.path} was written by another load: looking again.")
            return None
        raise


def _to_look_at_again(
    lake: SparkLake,
    tried: list[GoldDefinition],
    results: list[TableResult | None],
    sources: Mapping[str, GoldSource],
) -> list[GoldDefinition]:
    """Tables that were not written, or whose silver has moved on since.

    One load of a dataset runs at a time, so only a table of several datasets can be overtaken. The
    load that commits last also checks last, so gold is finally built from the newest silver.
    """
    shared = {name for each in tried if len(each.sources) > 1 for name in each.sources}
    moved = {
        name for name in shared if data_version(lake, sources[name].path) != sources[name].version
    }
    return [
        definition
        for definition, table in zip(tried, results, strict=True)
        if table is None or (len(definition.sources) > 1 and moved & set(definition.sources))
    ]


def _sources(lake: SparkLake, gold_definitions: Iterable[GoldDefinition]) -> dict[str, GoldSource]:
    """The current silver tables that the definitions read, without those that do not exist yet."""
    gold_definitions = list(gold_definitions)
    names = sorted({name for each in gold_definitions for name in each.sources})
    by_parts = {name for each in gold_definitions if each.parts for name in each.sources}

    def look(name: str) -> GoldSource | None:
        path = f"silver/{name}"
        version = data_version(lake, path)
        if version is None:
            return None
        if name in by_parts:
            keep_changes(lake, path)
        detail = delta_detail(lake, path)
        return GoldSource(name, detail.identity, version, detail.size)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        sources = pool.map(look, names)
    return {name: source for name, source in zip(names, sources, strict=True) if source}


@contextmanager
def _silver_views(lake: SparkLake, sources: Iterable[GoldSource]) -> Iterator[None]:
    views = []
    try:
        for source in sources:
            view = VIEW.format(dataset=source.dataset)
            read_delta(lake, source.path, source.version).createOrReplaceTempView(view)
            views.append(view)
        yield
    finally:
        for view in views:
            lake.spark.catalog.dropTempView(view)


if __name__ == "__main__":
    main()
