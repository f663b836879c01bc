"""Job task: rebuild the gold tables of a dataset, and tell how the batch went.

silver at one version → one SELECT per gold table → Delta overwrite → result document
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from pyspark.sql import SparkSession

from spark_jobs.arguments import parse_arguments
from spark_jobs.errors import ResultError
from spark_jobs.gold import VIEW, Definition, definitions
from spark_jobs.lake import Lake, current_batch, read_document, write_document
from spark_jobs.result import Table, result_folder, say, silver_result_folder
from spark_jobs.tables import (
    delta_identity,
    delta_version,
    last_build,
    overwrite,
    read_delta,
)


def main(argv: list[str] | None = None) -> None:
    """Build the gold tables of the batch's dataset and write the batch's result document.

    Raises:
        JobError: the batch is not current any more, or load_silver has not run.
    """
    arguments = parse_arguments(argv, "build_gold")
    dataset, batch_id = arguments.dataset, arguments.batch_id
    spark = SparkSession.builder.getOrCreate()
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    lake = Lake(spark, arguments.lake)
    current_batch(lake, arguments)
    result = read_document(lake, silver_result_folder(dataset, batch_id))
    tables = build(lake, dataset)
    if not tables:
        say(f"No gold table is defined for dataset {dataset}.")
    result["tables"] |= {path: table.to_json() for path, table in tables.items()}
    write_document(lake, result_folder(dataset, batch_id), result)
    say(result)


def build(lake: Lake, dataset: str) -> dict[str, Table]:
    """Bring the gold tables of a dataset up to date with silver, all with the same version of it.

    Returns:
        Each gold table by lake path; empty where none is defined or silver is not there yet.
    """
    silver = f"silver/{dataset}"
    wanted = definitions(dataset)
    version = delta_version(lake, silver) if wanted else None
    if version is None:
        return {}
    source = {"table": silver, "id": delta_identity(lake, silver), "version": version}
    with _silver_view(lake, dataset, version), ThreadPoolExecutor(len(wanted)) as pool:
        # They do not depend on one another, and most of the time is Delta's own bookkeeping.
        built = pool.map(lambda definition: _build(lake, definition, source), wanted)
        return {definition.path: table for definition, table in zip(wanted, built, strict=True)}


def _build(lake: Lake, definition: Definition, source: Mapping[str, object]) -> Table:
    origin = {"source": source, "definition": definition.digest}
    before = last_build(lake, definition.path)
    if before and before.origin == origin:
        return Table(before.version, before.rows, rebuilt=False)
    overwrite(lake, definition.path, lake.spark.sql(definition.sql), origin)
    after = last_build(lake, definition.path)
    if after is None:
        raise ResultError(f"{definition.path} was written, and its history does not show it.")
    return Table(after.version, after.rows, rebuilt=True)


@contextmanager
def _silver_view(lake: Lake, dataset: str, version: int) -> Iterator[None]:
    view = VIEW.format(dataset=dataset)
    read_delta(lake, f"silver/{dataset}", version).createOrReplaceTempView(view)
    try:
        yield
    finally:
        lake.spark.catalog.dropTempView(view)


if __name__ == "__main__":
    main()
