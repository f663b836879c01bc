"""Bronze rows to silver rows, DataFrame to DataFrame: types, cleaning, the newest of each key."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import product
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from spark_jobs.columns import SilverColumn
from spark_jobs.silver.cleaning import WHITESPACE, rules_of, trimmed
from spark_jobs.silver.rows import cleaned, newest, typed

pytestmark = pytest.mark.spark

EARLY = datetime(2026, 11, 22, 13, 0, tzinfo=UTC)
LATE = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)


def rows_of(frame: DataFrame, *names: str) -> list[tuple[Any, ...]]:
    """Some columns of a frame, in an order of their own."""
    return sorted((tuple(row) for row in frame.select(*names).collect()), key=repr)


def test_users_are_cleaned_by_the_documented_rules(spark: SparkSession) -> None:
    """Blanks go, codes and languages stay as they came, and the never-sentinel becomes null."""
    columns = [
        SilverColumn("id", "integer", required=True),
        SilverColumn("country", "string", required=True),
        SilverColumn("countryCode", "string", required=True),
        SilverColumn("language", "string"),
        SilverColumn("daysSinceLastLogin", "integer", required=True),
    ]
    bronze = spark.createDataFrame(
        [
            (1, "Îles Turques-et-Caïques ", "tc", "zh", 737028, "r", EARLY),
            (2, "Namibie\u00a0", "na", "\t", 0, "r", EARLY),
            (3, "\u3000", "gy", None, None, "r", EARLY),
        ],
        "id int, country string, countryCode string, language string, "
        "daysSinceLastLogin int, _run_id string, _landed_at timestamp",
    )

    silver = cleaned(typed(bronze, columns), columns, rules_of("users"))

    expected = [
        (1, "Îles Turques-et-Caïques", "tc", "zh", None),
        (2, "Namibie", "na", None, 0),
        (3, "", "gy", None, None),  # required: an empty value is not made a missing one
    ]
    assert expected == rows_of(silver, *(column.name for column in columns))


def test_white_space_goes_from_both_ends_alone(spark: SparkSession) -> None:
    """Of every sort, in any number; what is like it, within or beside, stays."""
    edges = ["", *WHITESPACE, " \u3000\t", "!", "\u001f", "\u007f", "\u00a1", "\u2000", "é", "😀"]
    within = ["", "a", " ", "a \u00a0b", "\ufeff", "\u0000", "ü"]
    texts = [None, *(a + text + b for a, text, b in product(edges, within, edges))]
    frame = spark.createDataFrame([(text,) for text in texts], "text string")

    found = frame.select("text", trimmed(F.col("text")).alias("trimmed")).collect()

    assert len(found) == len(texts)
    for text, without in found:
        assert without == (None if text is None else text.strip(WHITESPACE))


def test_types_are_the_contracts(spark: SparkSession) -> None:
    """Bronze may be narrower or have times for dates; columns beyond the contract stay behind."""
    columns = [
        SilverColumn("n", "number"),
        SilverColumn("day", "date"),
        SilverColumn("at", "timestamp"),
    ]
    bronze = spark.sql(
        "SELECT 3 AS n, TIMESTAMP_NTZ'2026-11-22 23:30:00' AS day, DATE'2026-11-22' AS at, "
        "'x' AS extra, 'r' AS _run_id, now() AS _landed_at",
    )

    silver = typed(bronze, columns)

    assert silver.columns == ["n", "day", "at", "_run_id", "_landed_at"]
    assert [(3.0, date(2026, 11, 22), "2026-11-22 00:00:00")] == rows_of(
        silver.withColumn("at", silver["at"].cast("string")), "n", "day", "at"
    )


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
