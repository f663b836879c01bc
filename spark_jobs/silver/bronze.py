"""Bronze: folders of Parquet, one per drop: the accepted records as validation has written them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
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

_FOLDER = "_folder"


def read_bronze(lake: SparkLake, batch: LoadBatch) -> DataFrame:
    """The rows of all drops: the contract's columns in its types, with run id and landing time.

    The files of a drop are of the contract's types by construction, so none is opened to find out:
    that they are those that validation has written is seen by their number and size.

    Raises:
        BronzeError: a folder is absent, or holds other files than validation has written.
    """
    written = [drop for drop in batch.drops if drop.size is not None]
    copied = [drop for drop in batch.drops if drop.size is None]
    frames = [_of_earlier_releases(lake, copied, batch.columns)] if copied else []
    if written:
        _check_files(lake, written)
        schema = StructType([StructField(c.name, c.silver) for c in batch.columns])
        frames.append(_scan(lake, schema, written))
    rows = frames[0]
    for frame in frames[1:]:
        rows = rows.unionByName(frame)
    return rows


def _check_files(lake: SparkLake, drops: Sequence[BatchDrop]) -> None:
    """See that each folder has as many files and bytes as validation has written.

    Raises:
        BronzeError: one has not; it names the run.
    """
    reader = lake.spark.read.format("binaryFile").option("recursiveFileLookup", "true")
    counts = F.count(F.lit(1)), F.sum("length")
    try:
        files = reader.option("pathGlobFilter", "*.parquet").load(
            [lake.uri(drop.bronze) for drop in drops]
        )
        by_folder = files.groupBy(_folder_of(F.col("path"))).agg(*counts).collect()
    except AnalysisException as error:
        named = [drop for drop in drops if f"/{drop.bronze}" in str(error)]
        if error.getCondition() != "PATH_NOT_FOUND" or not named:
            raise
        drop = max(named, key=lambda drop: len(drop.bronze))
        raise BronzeError(drop.run_id, drop.bronze, ["the folder does not exist"]) from error
    found = {row[0]: (int(row[1]), int(row[2])) for row in by_folder}
    for drop in drops:
        files_there, size = found.get(drop.folder, (0, 0))
        if (files_there, size) != (drop.files, drop.size):
            problem = (
                f"it holds {files_there} Parquet files of {size} bytes, and validation wrote "
                f"{drop.files} of {drop.size}: what was validated is not what would be loaded"
            )
            raise BronzeError(drop.run_id, drop.bronze, [problem])


def _of_earlier_releases(
    lake: SparkLake, drops: Sequence[BatchDrop], columns: tuple[SilverColumn, ...]
) -> DataFrame:
    """The rows of drops that Data Factory has copied, in its types, brought to those of silver.

    Each folder's own schema is read first, because one read of them all would take a column that
    one drop lacks for empty. Folders of like schema are then scanned together.

    Raises:
        BronzeError: a folder is absent, empty, unreadable, or not of the contract's types.
    """
    alike: dict[StructType, list[BatchDrop]] = defaultdict(list)
    for drop in drops:
        alike[_bronze_schema(lake, drop, columns)].append(drop)
    frames = [
        _scan(lake, schema, drops).select(
            *(F.col(quoted(c.name)).cast(c.silver).alias(c.name) for c in columns),
            RUN_ID,
            LANDED_AT,
        )
        for schema, drops in alike.items()
    ]
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
    reader = lake.spark.read.option("recursiveFileLookup", "true")
    # Days before 1582 are of the calendar that Parquet and Python have, not of the one of old.
    return reader.option("datetimeRebaseMode", "CORRECTED")


def _scan(lake: SparkLake, schema: StructType, drops: list[BatchDrop]) -> DataFrame:
    """The rows of these drops; those of a file that is of none of them have no run."""
    rows = _reader(lake).schema(schema).parquet(*(lake.uri(drop.bronze) for drop in drops))
    folder = _folder_of(F.col("_metadata.file_path"))
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


def _folder_of(path: Expression) -> Expression:
    """The last folder of a path; not by `split`, which is a regular expression for each row."""
    return F.substring_index(F.substring_index(path, "/", -2), "/", 1)


def bronze_of(lake: SparkLake, dataset: str) -> DataFrame:
    """All that was ever copied of a dataset: bronze as one table, for queries by hand.

    Beside the contract's columns it has `_record` and `_line`, which say where a row stood in its
    drop, `_run_id`, which is in the name of its folder, and `_ingested_at`, when it was copied.
    """
    rows = lake.spark.read.option("mergeSchema", "true").parquet(
        lake.uri(f"bronze/{dataset}") + "/*/*.parquet"
    )
    attempt = _folder_of(F.col("_metadata.file_path"))
    return rows.withColumns(
        {
            RUN_ID: F.regexp_replace(attempt, r"\.a[0-9]+$", ""),
            "_ingested_at": F.col("_metadata.file_modification_time"),
        }
    )


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
    """Count a batch in one pass, and compare it with the row counts of the validations.

    Raises:
        BronzeError: a drop has fewer or more rows than were accepted, or files out of its place.
    """
    of_key = [F.col(quoted(column.name)) for column in batch.key]
    # Numbered in the order of the key: of millions of rows hardly two share one, and sorting keys
    # costs less than a table of them all that no cache holds.
    first = F.row_number().over(Window.partitionBy(*of_key).orderBy(*of_key)) == 1
    counts = F.count(F.lit(1)), F.count_if("_first")
    counted = rows.select(RUN_ID, first.alias("_first")).groupBy(RUN_ID).agg(*counts).collect()
    row_counts = {row[0]: int(row[1]) for row in counted}
    by_run = {drop.run_id: row_counts.pop(drop.run_id, 0) for drop in batch.drops}
    for drop in batch.drops:
        if drop.rows is not None and by_run[drop.run_id] != drop.rows:
            problem = f"it has {by_run[drop.run_id]} rows, and {drop.rows} were accepted"
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
