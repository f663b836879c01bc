"""Job task: bring a batch of drops from bronze into silver.

batch document → bronze Parquet → typed → cleaned → newest per key → MERGE silver → counts
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812

from spark_jobs.arguments import parse_arguments
from spark_jobs.batch import LoadBatch
from spark_jobs.columns import LANDED_AT, SilverColumn, quoted, silver_schema
from spark_jobs.errors import BronzeError
from spark_jobs.lake import SparkLake, current_batch, write_document
from spark_jobs.result import Result, TableResult, say, silver_result_folder
from spark_jobs.session import (
    SMALL_BYTES,
    SMALL_ROWS,
    job_session,
    partitions_for,
    small_queries,
)
from spark_jobs.silver.append import replace_runs
from spark_jobs.silver.bronze import Census, census, counts_by_run, read_bronze
from spark_jobs.silver.cleaning import emptied, rules_of
from spark_jobs.silver.constraints import condition
from spark_jobs.silver.history import losers, superseded
from spark_jobs.silver.merge import changes, counted, same_key, touched
from spark_jobs.silver.references import orphans
from spark_jobs.silver.rows import cleaned, newest, typed
from spark_jobs.silver.tables import (
    append_history,
    enforce,
    is_conflict,
    merge_into,
    silver_table,
)
from spark_jobs.tables import delta_detail, delta_version

CONFLICT_TRIES = 3

_MET = "_met"

FASTER = {
    # Delta writes a MERGE's source to disk first, lest it change between the two times it is read.
    # Ours cannot: bronze is never written again, and where silver has moved the commit is refused.
    "spark.databricks.delta.merge.materializeSource": "none",
    # The MERGE of a wide table makes one method of more than 8,000 bytes, which the JVM never
    # compiles. Spark takes up to 65,535; above its limit it does without the one large method.
    "spark.sql.codegen.hugeMethodLimit": "8000",
}
"""A MERGE of a million restated users took 21 s with neither, 13 s with both."""

_REFUSED = ("DELTA_NOT_NULL_CONSTRAINT_VIOLATED", "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES")


def main(argv: list[str] | None = None) -> None:
    """Load a batch into `silver/<dataset>` and leave its counts for `build_gold`.

    Raises:
        JobError: the batch cannot be loaded; silver is as it was.
    """
    arguments = parse_arguments(argv, "load_silver")
    lake = SparkLake(job_session(FASTER), arguments.lake)
    result = load(lake, current_batch(lake, arguments)).to_json()
    write_document(lake, silver_result_folder(arguments.dataset, arguments.batch_id), result)
    say(result)


def load(lake: SparkLake, batch: LoadBatch) -> Result:
    """Merge a batch into silver; a batch that is loaded again changes nothing.

    Should another load commit between, the batch is looked at anew: it merges to the same rows.

    Raises:
        BronzeError: what a drop left in bronze is not what the batch says.
        SilverError: the table has other types than the contract.
    """
    for attempt in range(1, CONFLICT_TRIES + 1):
        try:
            return _load(lake, batch)
        except Exception as error:
            if not is_conflict(error) or attempt == CONFLICT_TRIES:
                raise
            say(f"Another load came between; batch {batch.batch_id} is merged anew.")
    raise AssertionError  # the last attempt has returned or raised


def _load(lake: SparkLake, batch: LoadBatch) -> Result:
    path = f"silver/{batch.dataset}"
    schema = silver_schema(batch.columns, emptied(batch.dataset))
    small = sum(SMALL_ROWS if drop.rows is None else drop.rows for drop in batch.drops) < SMALL_ROWS
    # What does not need one another is asked at once: much of the time is Delta's bookkeeping.
    with ThreadPoolExecutor(2) as pool:
        with small_queries(lake.spark, small):
            counting = pool.submit(_counted_rows, lake, batch)
            try:
                silver = silver_table(lake, path, schema, batch.key)
                detail = delta_detail(lake, path)
                unenforced = enforce(lake, path, batch, detail.properties)
            finally:
                wait([counting])
        bronze, rows, count = counting.result()
        with small_queries(lake.spark, small and detail.size <= SMALL_BYTES):
            if bronze is not None and rows is not None:
                try:
                    _merge(lake, batch, rows, silver, count)
                except Exception as error:
                    # Delta's own message does not name the drop, and its class is not Spark's.
                    if any(name in str(error) for name in _REFUSED):
                        _refuse(batch, bronze, rows, error)
                    raise
            version = pool.submit(delta_version, lake, path)
            try:
                lost = {} if rows is None else orphans(lake, batch, rows)
                after = lake.spark.table(lake.sql_name(path))
                counts = counted(after, batch.batch_id).collect()[0]
            finally:
                wait([version])
        table = TableResult(version.result() or 0, int(counts["rows"]))
    inserted, updated = int(counts["inserted"]), int(counts["updated"])
    return Result(
        batch_id=batch.batch_id,
        dataset=batch.dataset,
        inserted=inserted,
        updated=updated,
        unchanged=count.keys - inserted - updated,
        duplicates=count.rows - count.keys,
        by_run=count.by_run,
        rejected={drop.run_id: drop.rejected for drop in batch.drops},
        orphans=lost,
        unenforced=unenforced,
        tables={path: table},
    )


def _counted_rows(
    lake: SparkLake, batch: LoadBatch
) -> tuple[DataFrame | None, DataFrame | None, Census]:
    """Bronze as it is, the same cleaned, and what there is of both; nothing of an empty batch."""
    if not batch.drops:
        return None, None, Census({}, 0)
    bronze = read_bronze(lake, batch)
    rows = cleaned(typed(bronze, batch.columns), batch.columns, rules_of(batch.dataset))
    return bronze, rows, census(batch, rows)


def _merge(
    lake: SparkLake, batch: LoadBatch, rows: DataFrame, silver: DataFrame, count: Census
) -> None:
    """Merge the batch's rows, of which there are so many."""
    key, columns = batch.key, batch.columns
    if not key:
        replace_runs(lake, rows, silver, batch, count)
        return
    has, last, met = _before(silver, rows, count, key)
    in_order = last is None or last < min(drop.landed_micros for drop in batch.drops)
    # Finding the newest of each key sorts whole rows: only where a key comes twice.
    once = count.keys == count.rows
    incoming = rows if once else newest(rows, key, columns)
    old = touched(silver, rows, key)
    with partitions_for(lake.spark, max(count.rows, has)):
        if batch.history and not (met == 0 and once):
            past = superseded(incoming, old, key=key, columns=columns, in_order=in_order)
            if not once:
                past = past.unionByName(losers(rows, key=key, columns=columns))
            append_history(lake, past, batch)
        new = incoming if in_order else changes(incoming, old, key=key, columns=columns)
        merge_into(lake, f"silver/{batch.dataset}", new, batch)


def _before(
    silver: DataFrame, rows: DataFrame, count: Census, key: Sequence[SilverColumn]
) -> tuple[int, int | None, int]:
    """Rows of silver, when the newest landed, and how many the batch speaks of, at the most.

    The last is counted of a small batch alone: of a large one that would cost as much as what it
    can save, which is to write no history where there is none to write.
    """
    if count.rows > SMALL_ROWS:
        asked = silver.select(F.count(F.lit(1)), F.unix_micros(F.max(LANDED_AT)))
        has, last = asked.collect()[0]
        return has, last, has
    keys = rows.select(*(quoted(c.name) for c in key)).distinct().withColumn(_MET, F.lit(1))
    asked = (
        silver.alias("old")
        .join(F.broadcast(keys).alias("new"), on=same_key(key), how="left")
        .select(F.count(F.lit(1)), F.unix_micros(F.max(LANDED_AT)), F.count(_MET))
    )
    has, last, met = asked.collect()[0]
    return has, last, met


def _refuse(batch: LoadBatch, bronze: DataFrame, rows: DataFrame, error: Exception) -> None:
    places = {drop.run_id: drop.bronze for drop in batch.drops}
    empty = {
        f"column {c.name!r} is required and empty": F.col(quoted(c.name)).isNull()
        for c in batch.columns
        if c.required
    }
    outside = {
        f"column {c.name!r} has values that the contract does not allow": ~F.expr(clause)
        for c in batch.columns
        if (clause := condition(c))
    }
    for run_id, problem, count in counts_by_run(bronze, empty) + counts_by_run(rows, outside):
        place = places.get(run_id, "?")
        raise BronzeError(run_id, place, [f"{problem} in {count} rows"]) from error


if __name__ == "__main__":
    main()
