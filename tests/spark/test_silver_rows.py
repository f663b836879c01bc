"""Bronze rows to silver rows, DataFrame to DataFrame: the newest of each key."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from spark_jobs.columns import SilverColumn
from spark_jobs.silver.rows import newest

pytestmark = pytest.mark.spark

EARLY = datetime(2026, 11, 22, 13, 0, tzinfo=UTC)
LATE = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)


def rows_of(frame: DataFrame, *names: str) -> list[tuple[Any, ...]]:
    """Some columns of a frame, in an order of their own."""
    return sorted((tuple(row) for row in frame.select(*names).collect()), key=repr)


def test_the_newest_row_of_a_key_is_chosen_whatever_the_order(spark: SparkSession) -> None:
    """Later landing first, then the greater run id, then the greater values; null is a key too."""
    columns = [SilverColumn("k", "string"), SilverColumn("v", "integer")]
    rows = [
        ("a", 1, "r9", EARLY),
        ("a", 2, "r1", LATE),
        ("b", 3, "r1", LATE),
        ("b", 4, "r2", LATE),
        ("c", None, "r1", LATE),
        ("c", 5, "r1", LATE),
        (None, 6, "r1", EARLY),
        (None, 7, "r1", LATE),
    ]
    schema = "k string, v long, _run_id string, _landed_at timestamp"
    expected = [("a", 2, "r1"), ("b", 4, "r2"), ("c", 5, "r1"), (None, 7, "r1")]

    for order in (rows, rows[::-1]):
        frame = spark.createDataFrame(order, schema)
        assert expected == rows_of(newest(frame, columns[:1], columns), "k", "v", "_run_id")
