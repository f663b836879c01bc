"""The Delta tables of silver: made, kept to the contract, merged into; and their history."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from uuid import uuid4

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame
from pyspark.sql.types import StructField, StructType

from spark_jobs.batch import LoadBatch
from spark_jobs.columns import AUDIT, LANDED_AT, RUN_ID, SilverColumn
from spark_jobs.errors import SilverError
from spark_jobs.lake import SparkLake
from spark_jobs.silver.constraints import check
from spark_jobs.silver.ddl import (
    constraint_statements,
    create_statement,
    evolution_statements,
    require_statement,
    statistics,
    table_properties,
)
from spark_jobs.silver.history import history_path, versions
from spark_jobs.silver.merge import merge_statement
from spark_jobs.tables import delta_table

_CONFLICTS = ("DELTA_CONCURRENT", "DELTA_METADATA_CHANGED", "DELTA_PROTOCOL_CHANGED")
_BROKEN_BEFORE = "DELTA_NEW_CHECK_CONSTRAINT_VIOLATION"
_KEY = "landfall.key"
# History is read whole: statistics of its columns would cost every load and are not used.
_HISTORY_PROPERTIES = {
    "delta.setTransactionRetentionDuration": "interval 90 days",
    "delta.dataSkippingNumIndexedCols": "0",
}


def silver_table(
    lake: SparkLake, path: str, schema: StructType, key: Sequence[SilverColumn]
) -> DataFrame:
    """The silver table, created where it is not there, widened where the contract has grown.

    Raises:
        SilverError: a column has changed its type.
    """
    table = lake.sql_name(path)
    present = delta_table(lake, path)
    if present is None:
        _create(lake, path, schema, table_properties(schema) | statistics(schema, key))
    else:
        for statement in evolution_statements(table, present.schema, schema):
            lake.spark.sql(statement)
    return lake.spark.read.format("delta").load(lake.uri(path))


def _create(lake: SparkLake, path: str, schema: StructType, properties: dict[str, str]) -> None:
    table = lake.sql_name(path)
    try:
        lake.spark.sql(create_statement(table, schema, properties))
    except AnalysisException as error:
        if error.getCondition() != "TABLE_OR_VIEW_ALREADY_EXISTS":
            raise
        if delta_table(lake, path) is not None:
            return  # another load of the same batch was faster
        # A job that was killed before its first commit left an empty log, which CREATE takes for
        # a table and no reader accepts. Spark's writer can begin it, but knows no NOT NULL.
        nothing = lake.spark.createDataFrame([], schema)
        writer = nothing.write.format("delta").mode("append").options(**properties)
        writer.save(lake.uri(path))
        lake.spark.sql(require_statement(table, schema))


def enforce(
    lake: SparkLake, path: str, batch: LoadBatch, properties: Mapping[str, str]
) -> str | None:
    """Have Delta enforce what the contract says of values.

    Args:
        lake: where the table is.
        path: of the table.
        batch: names the contract's columns.
        properties: of the table; Delta keeps constraints among them.

    Returns:
        Why it is not enforced: rows that are there already break what a later contract says.
    """
    table = lake.sql_name(path)
    dropped, added = constraint_statements(table, properties, check(batch.columns))
    for statement in dropped:
        lake.spark.sql(statement)
    if added is None:
        return None
    try:
        lake.spark.sql(added)
    except Exception as error:
        # Delta's class for it is not one of Spark's, and comes otherwise over Spark Connect.
        if _BROKEN_BEFORE not in str(error):
            raise
        return f"{path} has rows from before that break the contract's ranges or allowed values"
    return None


def merge_into(lake: SparkLake, path: str, rows: DataFrame, batch: LoadBatch) -> None:
    """Merge the rows of `merge.changes` into a silver table, in one transaction."""
    # Another load may run in the same session: of another dataset, or late of the same one.
    view = f"changes_{uuid4().hex}"
    statement = merge_statement(
        lake.sql_name(path),
        view,
        key=batch.key,
        columns=batch.columns,
        batch_id=batch.batch_id,
        runs=[drop.run_id for drop in batch.drops] if batch.append_only else (),
    )
    rows.createOrReplaceTempView(view)
    try:
        lake.spark.sql(statement).collect()
    finally:
        lake.spark.catalog.dropTempView(view)


def append_history(lake: SparkLake, rows: DataFrame, batch: LoadBatch) -> None:
    """Keep superseded statements, once a batch: Delta knows the batch, should it come again.

    It is done before the merge that takes them out of silver, so that a job that is killed between
    the two has lost nothing: a statement that stands in both is one statement.
    """
    path = history_path(batch.dataset)
    schema = StructType(
        [
            *(StructField(column.name, column.silver) for column in batch.columns),
            *(StructField(name, AUDIT[name]) for name in (RUN_ID, LANDED_AT)),
        ]
    )
    present = delta_table(lake, path)
    if present is None:
        key = {_KEY: json.dumps([column.name for column in batch.key])}
        _create(lake, path, schema, table_properties(schema) | _HISTORY_PROPERTIES | key)
    else:
        for statement in evolution_statements(lake.sql_name(path), present.schema, schema):
            lake.spark.sql(statement)
    writer = rows.write.format("delta").mode("append")
    once = {"txnAppId": f"{batch.dataset}/{batch.batch_id}", "txnVersion": "1"}
    writer.options(**once).save(lake.uri(path))


def versions_of(lake: SparkLake, dataset: str) -> DataFrame:
    """All versions of all rows of a dataset that keeps history: see `history.versions`.

    Raises:
        SilverError: nothing was ever superseded, or the contract keeps no history.
    """
    silver = delta_table(lake, f"silver/{dataset}")
    history = delta_table(lake, history_path(dataset))
    if silver is None or history is None:
        raise SilverError(f"There is no history of {dataset}: no statement was superseded yet.")
    shown = lake.spark.sql(f"SHOW TBLPROPERTIES {lake.sql_name(history_path(dataset))}")
    properties = {row["key"]: row["value"] for row in shown.collect()}
    names = [name for name in history.columns if name not in AUDIT]
    by_name = {name: SilverColumn(name, "string") for name in names}
    key = [by_name[name] for name in json.loads(properties[_KEY])]
    return versions(silver, history, key=key, columns=list(by_name.values()))


def is_conflict(error: Exception) -> bool:
    """Whether Delta refused a commit because another came between: looking anew will do."""
    return any(name in str(error) for name in _CONFLICTS)
