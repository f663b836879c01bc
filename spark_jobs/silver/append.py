"""Silver of a dataset without a primary key: each run's rows, as they came.

Events and logs have no key, so nothing is newer than anything else. A run's rows replace what the
same run had brought before, in one transaction: a load that is repeated changes nothing, and a
replay brings its rows once.
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812

from spark_jobs.batch import LoadBatch
from spark_jobs.columns import (
    BATCH_ID,
    FIRST_BATCH_ID,
    LANDED_AT,
    LOADED_AT,
    RUN_ID,
    quoted,
)
from spark_jobs.lake import SparkLake
from spark_jobs.silver.bronze import Census
from spark_jobs.silver.constraints import text


def replace_runs(
    lake: SparkLake, rows: DataFrame, silver: DataFrame, batch: LoadBatch, count: Census
) -> None:
    """Put a batch's rows in the place of those that its runs had in a silver table.

    Args:
        lake: where the table is.
        rows: the contract's columns, with run and time.
        silver: the table as it stands.
        batch: names the runs.
        count: how many rows each of them has.
    """
    if _is_loaded(silver, batch, count):
        return
    batch_id = F.lit(batch.batch_id)
    stamped = rows.select(
        *(quoted(column.name) for column in batch.columns),
        RUN_ID,
        LANDED_AT,
        batch_id.alias(BATCH_ID),
        F.current_timestamp().alias(LOADED_AT),
        batch_id.alias(FIRST_BATCH_ID),
    )
    runs = ", ".join(text(drop.run_id) for drop in batch.drops)
    writer = stamped.write.format("delta").mode("overwrite")
    writer.option("replaceWhere", f"{RUN_ID} IN ({runs})").save(lake.uri(f"silver/{batch.dataset}"))


def _is_loaded(silver: DataFrame, batch: LoadBatch, count: Census) -> bool:
    """Whether the table has all rows of this very batch: its job was killed after its commit."""
    of_batch = silver.where(F.col(BATCH_ID) == batch.batch_id)
    present = {row[0]: int(row[1]) for row in of_batch.groupBy(RUN_ID).count().collect()}
    return present == {run: rows for run, rows in count.by_run.items() if rows}
