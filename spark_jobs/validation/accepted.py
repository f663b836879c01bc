"""The accepted records as typed Parquet: the contract's columns, then number and line of each.

Text is read once more by the parsers that validated it, in the order of the file, so by one task;
a Parquet file has its types already, and its columns are cast to those of the contract.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812
from pyspark.sql.types import LongType, StructField, StructType

from spark_jobs.columns import LINE, RECORD, TYPES, quoted
from spark_jobs.lake import SparkLake
from spark_jobs.validation.judge import Bench
from spark_jobs.validation.plan import Plan
from spark_jobs.validation.scan import Reader

if TYPE_CHECKING:
    import pyarrow as pa


def accepted_lines(plan: Plan, records: DataFrame) -> DataFrame:
    """The accepted ones of the records of a text file.

    Args:
        plan: says what their columns are.
        records: all of them: `line`, `raw`, and whether each is `rejected`.
    """
    ordered = records.repartition(1).sortWithinPartitions("line")
    return ordered.mapInArrow(_typed(plan), _schema(plan))


def accepted_rows(lake: SparkLake, plan: Plan, rejected: DataFrame | None) -> DataFrame:
    """The accepted rows of a Parquet file; a row's line is its number."""
    source = dict(zip(plan.layout.names, plan.layout.sources, strict=True))
    number = F.col("_metadata.row_index") + 1
    columns = [
        (F.col(quoted(source[c.name])) if c.name in source else F.lit(None))
        .cast(TYPES[c.type].silver)
        .alias(c.name)
        for c in plan.columns
    ]
    rows = lake.spark.read.parquet(lake.uri(plan.layout.path)).select(
        *columns, number.alias(RECORD), number.alias(LINE)
    )
    if rejected is None:
        return rows
    lines = rejected.select(F.col("line").alias(LINE))
    return rows.join(F.broadcast(lines), on=LINE, how="left_anti").select(*rows.columns)


def _schema(plan: Plan) -> StructType:
    columns = [StructField(c.name, TYPES[c.type].silver) for c in plan.columns]
    return StructType([*columns, StructField(RECORD, LongType()), StructField(LINE, LongType())])


def _typed(plan: Plan) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    from pyspark.sql.pandas.types import to_arrow_schema  # noqa: PLC0415 - on the driver

    arrow = to_arrow_schema(_schema(plan))

    def task(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        import pyarrow as pa  # noqa: PLC0415 - on the worker

        bench, reader = Bench(plan, 0), Reader(plan.layout)
        number = 0
        for batch in batches:
            rows: list[list[Any]] = []
            for line, raw, rejected in zip(*(c.to_pylist() for c in batch.columns), strict=True):
                number += 1
                if not rejected:
                    values = map(_stored, bench.values(reader.row(raw)))
                    rows.append([*values, number, line])
            columns = zip(*rows, strict=True) if rows else ([] for _ in arrow)
            arrays = [
                pa.array(list(column), field.type)
                for column, field in zip(columns, arrow, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=arrow)

    return task


def _stored(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return value.isoformat() if isinstance(value, time) else value
