"""The gold tables of analytics: each is checked by its contract before it is written."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql.types import (
    DataType,
    DateType,
    DoubleType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from landfall.contract.folder import Contract, parse
from landfall.contract.model import Column
from landfall.validation import Report, Writer, validate
from landfall.validation.local_files import BytesSource
from spark_jobs.errors import JobError
from spark_jobs.lake import SparkLake
from spark_jobs.tables import delta_table, overwrite

TABLES = (
    "customer_segments", "segment_profile", "segment_moves",
    "recommendations_by_user", "popular_listings", "similar_listings",
    "sales_forecast", "forecast_history", "forecast_accuracy",
    "model_ledger",
)  # fmt: skip

_ARROW: Mapping[str, pa.DataType] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
}
_SPARK: Mapping[str, DataType] = {
    "string": StringType(),
    "integer": LongType(),
    "number": DoubleType(),
    "date": DateType(),
    "timestamp": TimestampType(),
}


class OutputError(JobError):
    """A table does not keep its contract: it was not written, and what stood before still does."""


@cache
def contract_of(name: str) -> Contract:
    """Return the contract of a table."""
    file = files("spark_jobs.analytics") / "contracts" / f"{name}.odcs.yaml"
    return parse(file.read_text(encoding="utf-8"), file=f"{name}.odcs.yaml")


def path_of(name: str) -> str:
    """Return the lake path of a table."""
    return f"gold/{name}"


def arranged(name: str, rows: pd.DataFrame) -> pa.Table:
    """Return rows with the columns of the contract, in its order and types.

    Raises:
        OutputError: a column is missing.
    """
    columns = contract_of(name).columns
    missing = [column.name for column in columns if column.name not in rows]
    if missing and len(rows):
        raise OutputError(f"gold/{name} lacks {', '.join(missing)}.")
    arrays = []
    for column in columns:
        kind = pa.int32() if _is_short(column) else _ARROW[column.logical_type]
        values = rows[column.name] if column.name in rows else pd.Series([], dtype=object)
        if not len(values):
            arrays.append(pa.array([], kind))
            continue
        if column.logical_type == "string":
            values = values.astype(object).where(values.notna() & (values != ""), None)
        if column.logical_type == "number":
            numbers = values.to_numpy(dtype=float, na_value=np.nan)
            arrays.append(pa.array(numbers, kind, mask=~np.isfinite(numbers)))
            continue
        arrays.append(pa.array(values, kind, from_pandas=True))
    return pa.table(arrays, names=[column.name for column in columns])


def _is_short(column: Column) -> bool:
    return column.logical_type == "integer" and column.format == "i32"


def check(name: str, table: pa.Table) -> None:
    """Hold a table against its contract, by the engine that validates drops.

    Raises:
        OutputError: it breaks a rule; the message has the rules, columns and counts.
    """
    if not table.num_rows:
        return
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    source = BytesSource(buffer.getvalue())
    report = validate(source, contract_of(name), name=f"{name}.parquet", outputs=_Nowhere())
    if report.verdict != "accepted" or report.rejected:
        raise OutputError(f"gold/{name} breaks its contract: {_faults(report)}.")


def _faults(report: Report) -> str:
    failed = [item for item in report.checks if item.failed]
    return "; ".join(f"{item.rule} of {item.column}: {item.failed} rows" for item in failed)


class _Nowhere:
    """Keeps nothing of what validation writes."""

    def _sink(self) -> AbstractContextManager[Writer]:
        return nullcontext(io.BytesIO())

    rejects = reasons = _sink

    def accepted(self) -> None:
        """Nothing is written of what is accepted."""


def spark_schema(name: str) -> StructType:
    """Return the schema of a table."""
    return StructType(
        [
            StructField(
                column.name,
                IntegerType() if _is_short(column) else _SPARK[column.logical_type],
            )
            for column in contract_of(name).columns
        ]
    )


def write(
    lake: SparkLake, name: str, rows: pd.DataFrame, origin: Mapping[str, Any], *, only: str = ""
) -> int:
    """Check and write a table, whole or where `only` holds; return its number of rows.

    Raises:
        OutputError: it breaks its contract.
    """
    table = arranged(name, rows)
    check(name, table)
    frame = lake.spark.createDataFrame(table, spark_schema(name))
    present = delta_table(lake, path_of(name)) is not None
    overwrite(lake, path_of(name), frame, origin, only=only if present else "")
    return int(table.num_rows)


def append(lake: SparkLake, name: str, rows: pd.DataFrame, origin: str) -> None:
    """Check rows and add them to a table."""
    table = arranged(name, rows)
    check(name, table)
    frame = lake.spark.createDataFrame(table, spark_schema(name))
    writer = frame.coalesce(1).write.format("delta").mode("append")
    writer.option("userMetadata", origin).save(lake.uri(path_of(name)))


def read(lake: SparkLake, name: str) -> pd.DataFrame | None:
    """Return a table as it stands; None where there is none."""
    table = delta_table(lake, path_of(name))
    return None if table is None else table.toPandas()
