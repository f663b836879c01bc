"""Bronze: the Parquet folders that Data Factory leaves, one per drop."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.errors import AnalysisException
from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame, DataFrameReader, Window
from pyspark.sql import functions as F  # noqa: N812
from pyspark.sql.types import StructField, StructType

from spark_jobs.batch import BatchDrop, LoadBatch
from spark_jobs.columns import LANDED_AT, RUN_ID, SilverColumn, mismatches, quoted
from spark_jobs.errors import BronzeError
from spark_jobs.lake import SparkLake

ROW_NUMBER = "_row_number"

_FOLDER = "_folder"


def read_bronze(lake: SparkLake, batch: LoadBatch) -> DataFrame:
    """The rows of all drops, the contract's columns in bronze types, with run id and landing time.

    Each folder's own schema is read first, because one read of them all would take a column that
    one drop lacks for empty. Folders of like schema are then scanned together.

    Raises:
        BronzeError: a folder is absent, empty, unreadable, or not of the contract's types.
    """
    alike: dict[StructType, list[BatchDrop]] = defaultdict(list)
    for drop in batch.drops:
        alike[_bronze_schema(lake, drop, batch.columns)].append(drop)
    frames = [_scan(lake, schema, drops) for schema, drops in alike.items()]
    rows = frames[0]
    for frame in frames[1:]:
        rows = rows.unionByName(frame)
    return rows


def _bronze_schema(
    lake: SparkLake, drop: BatchDrop, columns: tuple[SilverColumn, ...]
) -> StructType:
    try:
        schema = _reader(lake).parquet(lake.uri(drop.bronze)).schema
    except AnalysisException as error:
        descriptions = {
            "PATH_NOT_FOUND": "the folder does not exist",
            "UNABLE_TO_INFER_SCHEMA": "the folder holds no Parquet file",
        }
        problem = descriptions.get(
            error.getCondition() or "", f"it cannot be read ({_first_line(error)})"
        )
        raise BronzeError(drop.run_id, drop.bronze, [problem]) from error
    except Exception as error:
        # A broken footer comes as whatever the Parquet reader threw, through Py4J or gRPC.
        problem = f"it cannot be read ({_first_line(error)})"
        raise BronzeError(drop.run_id, drop.bronze, [problem]) from error
    problems = mismatches(schema, [c for c in columns if c.name not in drop.missing])
    if problems:
        raise BronzeError(drop.run_id, drop.bronze, problems)
    # A column that the drop came without, as its contract allows, is read as nulls.
    return StructType(
        [
            StructField(c.name, c.silver) if c.name in drop.missing else schema[c.name]
            for c in columns
        ]
    )


def _reader(lake: SparkLake) -> DataFrameReader:
    """Reads what lies in and below a folder, whose `name=value` folders are folders like others."""
    return lake.spark.read.option("recursiveFileLookup", "true")


def _scan(lake: SparkLake, schema: StructType, drops: list[BatchDrop]) -> DataFrame:
    """The rows of these drops; those of a file that is of none of them have no run."""
    rows = _reader(lake).schema(schema).parquet(*(lake.uri(drop.bronze) for drop in drops))
    # The last folder of the path; not by `split`, which is a regular expression for each row.
    folder = F.substring_index(F.substring_index(F.col("_metadata.file_path"), "/", -2), "/", 1)
    if len(drops) == 1:
        # The common case, and each use of the rows would pay for the join anew.
        (drop,) = drops
        own = folder == drop.folder
        return rows.select(
            "*",
            F.when(own, F.lit(drop.run_id)).alias(RUN_ID),
            F.when(own, F.lit(drop.landed_at).cast("timestamp")).alias(LANDED_AT),
        )
    known = [(drop.folder, drop.run_id, drop.landed_at) for drop in drops]
    runs = lake.spark.createDataFrame(
        known, f"{_FOLDER} string, {RUN_ID} string, {LANDED_AT} string"
    ).withColumn(LANDED_AT, F.col(LANDED_AT).cast("timestamp"))
    return (
        rows.select("*", folder.alias(_FOLDER))
        .join(F.broadcast(runs), on=_FOLDER, how="left")
        .drop(_FOLDER)
    )


def bronze_of(lake: SparkLake, dataset: str) -> DataFrame:
    """All that was ever copied of a dataset: bronze as one table, for queries by hand.

    Beside the contract's columns it has `_run_id`, `_source_file` and `_ingested_at`, which Data
    Factory wrote into each row, and `_row_number`: the row's place in its run's file, from 1, which
    Data Factory cannot count and the Parquet reader knows.
    """
    rows = lake.spark.read.option("mergeSchema", "true").parquet(
        lake.uri(f"bronze/{dataset}") + "/*/*.parquet"
    )
    return rows.withColumn(ROW_NUMBER, F.col("_metadata.row_index") + 1)


@dataclass(frozen=True)
class Census:
    """How many bronze rows each run has, and how many keys all of them together."""

    by_run: Mapping[str, int]
    keys: int

    @property
    def rows(self) -> int:
        """Rows of all runs."""
        return sum(self.by_run.values())


def census(batch: LoadBatch, rows: DataFrame) -> Census:
    """Count a batch in one pass, and compare it with the row counts that the copies reported.

    Raises:
        BronzeError: a drop has fewer or more rows than were copied, or files out of its place.
    """
    of_key = [F.col(quoted(column.name)) for column in batch.key]
    # Numbered in the order of the key: of millions of rows hardly two share one, and sorting keys
    # costs less than a table of them all that no cache holds. Without a key each row is its own.
    first = F.lit(True)
    if of_key:
        first = F.row_number().over(Window.partitionBy(*of_key).orderBy(*of_key)) == 1
    counts = F.count(F.lit(1)), F.count_if("_first")
    counted = rows.select(RUN_ID, first.alias("_first")).groupBy(RUN_ID).agg(*counts).collect()
    row_counts = {row[0]: int(row[1]) for row in counted}
    by_run = {drop.run_id: row_counts.pop(drop.run_id, 0) for drop in batch.drops}
    for drop in batch.drops:
        if drop.rows is not None and by_run[drop.run_id] != drop.rows:
            problem = f"it has {by_run[drop.run_id]} rows, and {drop.rows} were copied"
            raise BronzeError(drop.run_id, drop.bronze, [problem])
    if row_counts:
        place = batch.drops[0].bronze if len(by_run) == 1 else "of one of them"
        problem = "Parquet files lie below the folder, not in it"
        raise BronzeError(", ".join(by_run), place, [problem])
    return Census(by_run, sum(int(row[2]) for row in counted))


def counts_by_run(
    rows: DataFrame, conditions: Mapping[str, Expression]
) -> list[tuple[str, str, int]]:
    """Run, name of the condition, and in how many rows of the run it is true, where in any."""
    if not conditions:
        return []
    counts = [F.count_if(condition) for condition in conditions.values()]
    return [
        (str(row[0]), name, int(row[position + 1]))
        for row in rows.groupBy(RUN_ID).agg(*counts).collect()
        for position, name in enumerate(conditions)
        if row[position + 1]
    ]


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
