"""The accepted records as typed Parquet: the contract's columns, then number and line of each.

The values are those of the engine that validated them. Text is read in the order of the file, so
by one task, which counts the records; a row of a Parquet file has its number already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812
from pyspark.sql.types import LongType, StringType, StructField, StructType

from landfall.validation.parts import PartValidator, Plan
from spark_jobs.columns import LINE, RECORD, SilverColumn, quoted
from spark_jobs.lake import SparkLake

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

Batches = Iterable["pa.RecordBatch"]


def accepted_lines(plan: Plan, records: DataFrame) -> DataFrame:
    """The accepted ones of the records of a text file.

    Args:
        plan: says what their columns are.
        records: all of them: `line`, `raw`, and whether each is `rejected`.
    """
    ordered = records.repartition(1).sortWithinPartitions("line")
    return ordered.mapInArrow(_of_lines(plan), _schema(plan))


def accepted_rows(lake: SparkLake, plan: Plan, rejected: DataFrame | None) -> DataFrame:
    """The accepted rows of a Parquet file; a row's line is its number."""
    names = [F.col(quoted(name)).alias(f"c{at}") for at, name in enumerate(plan.layout.sources)]
    number = (F.col("_metadata.row_index") + 1).alias("line")
    rows = lake.spark.read.parquet(lake.uri(plan.layout.path)).select(number, *names)
    if rejected is not None:
        rows = rows.join(F.broadcast(rejected.select("line")), on="line", how="left_anti")
    return rows.mapInArrow(_of_rows(plan), _schema(plan))


def _schema(plan: Plan) -> StructType:
    """The types of silver, and the extra columns that are loaded as text."""
    types = {
        column.name: SilverColumn(column.name, column.logical_type, decimal=column.decimal).silver
        for column in plan.contract.columns
    }
    places = (StructField(name, LongType()) for name in (RECORD, LINE))
    extra = (StructField(name, StringType()) for name in plan.layout.loaded)
    return StructType([*(StructField(n, kind) for n, kind in types.items()), *extra, *places])


def _of_lines(plan: Plan) -> Callable[[Batches], Batches]:
    to_arrow = _to_arrow(plan)

    def task(batches: Batches) -> Batches:
        validator = PartValidator(plan, 0)
        number = 0
        for batch in batches:
            lines, raw, rejected = (list[Any](column.to_pylist()) for column in batch.columns)
            kept = [at for at, is_rejected in enumerate(rejected) if not is_rejected]
            frame = validator.accepted_lines([lines[at] for at in kept], [raw[at] for at in kept])
            yield to_arrow(frame, [number + at + 1 for at in kept], [lines[at] for at in kept])
            number += len(lines)

    return task


def _of_rows(plan: Plan) -> Callable[[Batches], Batches]:
    to_arrow = _to_arrow(plan)

    def task(batches: Batches) -> Batches:
        import polars as pl  # noqa: PLC0415 - on the worker
        import pyarrow as pa  # noqa: PLC0415 - likewise

        validator = PartValidator(plan, 0)
        for batch in batches:
            read = pl.DataFrame(pl.from_arrow(pa.Table.from_batches([batch])))
            numbers = read.to_series(0).to_list()
            yield to_arrow(validator.accepted_frame(read[:, 1:]), numbers, numbers)

    return task


def _to_arrow(
    plan: Plan,
) -> Callable[[pl.DataFrame, list[int], list[int]], pa.RecordBatch]:
    """What makes a batch of Spark's types of stored columns, record numbers and lines."""
    from pyspark.sql.pandas.types import to_arrow_schema  # noqa: PLC0415 - on the driver

    schema: Any = to_arrow_schema(_schema(plan))

    def to_arrow(frame: pl.DataFrame, numbers: list[int], lines: list[int]) -> pa.RecordBatch:
        import pyarrow as pa  # noqa: PLC0415 - on the worker

        places = {RECORD: pa.array(numbers, pa.int64()), LINE: pa.array(lines, pa.int64())}
        table = frame.to_arrow()
        for name, column in places.items():
            table = table.append_column(name, column)
        batches = table.cast(schema).combine_chunks().to_batches()
        return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=schema)

    return to_arrow
