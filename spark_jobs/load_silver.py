"""Job task: bring a batch of drops from bronze into silver.

batch document → bronze Parquet → typed → cleaned → newest per key → MERGE silver → counts
"""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession

from spark_jobs.arguments import parse_arguments
from spark_jobs.batch import Batch
from spark_jobs.bronze import Census, census, nulls_by_run, read_bronze
from spark_jobs.cleaning import rules_of
from spark_jobs.columns import silver_schema
from spark_jobs.errors import BronzeError
from spark_jobs.lake import Lake, current_batch, write_document
from spark_jobs.merge import changes, counted, touched
from spark_jobs.result import Result, Table, say, silver_result_folder
from spark_jobs.silver import cleaned, newest, typed
from spark_jobs.tables import delta_version, merge_into, silver_table

_NULL_REFUSED = ("DELTA_NOT_NULL_CONSTRAINT_VIOLATED", "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES")


def main(argv: list[str] | None = None) -> None:
    """Load a batch into `silver/<dataset>` and leave its counts for `build_gold`.

    Raises:
        JobError: the batch cannot be loaded; silver is as it was.
    """
    arguments = parse_arguments(argv, "load_silver")
    spark = SparkSession.builder.getOrCreate()
    # Times without a zone are read as UTC wherever the job runs.
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    lake = Lake(spark, arguments.lake)
    result = load(lake, current_batch(lake, arguments)).to_json()
    write_document(lake, silver_result_folder(arguments.dataset, arguments.batch_id), result)
    say(result)


def load(lake: Lake, batch: Batch) -> Result:
    """Merge a batch into silver; a batch that is loaded again changes nothing.

    Raises:
        BronzeError: what a drop left in bronze is not what the batch says.
        SilverError: the table has other types than the contract.
    """
    path = f"silver/{batch.dataset}"
    may_be_null = {rule.column for rule in rules_of(batch.dataset)}
    schema = silver_schema(batch.columns, may_be_null)
    silver = silver_table(lake, path, schema)
    count = _merge(lake, batch, silver) if batch.drops else Census({}, 0)
    counts = counted(lake.spark.table(lake.sql_name(path)), batch.batch_id).collect()[0]
    inserted, updated = int(counts["inserted"]), int(counts["updated"])
    return Result(
        batch_id=batch.batch_id,
        dataset=batch.dataset,
        inserted=inserted,
        updated=updated,
        unchanged=count.keys - inserted - updated,
        duplicates=count.rows - count.keys,
        by_run=count.by_run,
        tables={path: Table(delta_version(lake, path) or 0, int(counts["rows"]))},
    )


def _merge(lake: Lake, batch: Batch, silver: DataFrame) -> Census:
    """Merge the batch, and say how many rows and keys it had."""
    bronze = read_bronze(lake, batch)
    rows = cleaned(typed(bronze, batch.columns), batch.columns, rules_of(batch.dataset))
    count = census(batch, rows)
    # Finding the newest of each key sorts whole rows: only where a key comes twice.
    incoming = rows if count.keys == count.rows else newest(rows, batch.key, batch.columns)
    old = touched(silver, rows, batch.key)
    new = changes(incoming, old, key=batch.key, columns=batch.columns)
    try:
        merge_into(lake, f"silver/{batch.dataset}", new, batch)
    except Exception as error:
        # Delta's own message names the column but not the drop, and its class is not Spark's.
        if any(name in str(error) for name in _NULL_REFUSED):
            _refuse_nulls(batch, bronze, error)
        raise
    return count


def _refuse_nulls(batch: Batch, bronze: DataFrame, error: Exception) -> None:
    places = {drop.run_id: drop.bronze for drop in batch.drops}
    for run_id, name, count in nulls_by_run(bronze, batch.columns):
        problem = f"column {name!r} is required and empty in {count} rows"
        raise BronzeError(run_id, places.get(run_id, "?"), [problem]) from error


if __name__ == "__main__":
    main()
