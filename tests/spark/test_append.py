"""load_silver of a dataset without a primary key: events, logs, measurements."""

from __future__ import annotations

from typing import Any

import pytest

from spark_jobs.errors import BronzeError
from tests.spark.harness import SparkHarness, columns_of

pytestmark = pytest.mark.spark

TYPES = {"at": "timestamp", "kind": "string", "n": "integer"}
COLUMNS = columns_of(TYPES, required=["kind"])


def event(kind: str | None, n: int) -> dict[str, Any]:
    """One row."""
    return {"at": None, "kind": kind, "n": n}


def test_each_runs_rows_are_there_once(spark_harness: SparkHarness) -> None:
    """Equal rows stay two; a repeated load changes nothing; a replay replaces its run's rows."""

    def drop(run_id: str, *rows: dict[str, Any]) -> dict[str, Any]:
        return spark_harness.bronze("events", run_id, TYPES, rows, "2026-11-22T12:00:00Z")

    def load(batch_id: str, *drops: dict[str, Any]) -> tuple[tuple[int, ...], int]:
        result = spark_harness.load(spark_harness.batch("events", batch_id, COLUMNS, [], drops))
        names = ("rows_in", "inserted", "updated", "unchanged", "duplicates")
        version = result["tables"]["silver/events"]["version"]
        return tuple(result[name] for name in names), version

    def events() -> list[tuple[Any, ...]]:
        rows = spark_harness.rows("silver/events", "kind", "n", "_run_id", "_batch_id")
        return sorted(tuple(row.values()) for row in rows)

    one, two = drop("r1", event("a", 1), event("a", 1)), drop("r2", event("b", 2))
    assert load("b1", one, two) == ((3, 3, 0, 0, 0), 1)
    first = [("a", 1, "r1", "b1"), ("a", 1, "r1", "b1"), ("b", 2, "r2", "b1")]
    assert events() == first

    assert load("b1", one, two) == ((3, 3, 0, 0, 0), 1)  # the job was killed after its commit
    assert load("b2", drop("r3", event("a", 1))) == ((1, 1, 0, 0, 0), 2)
    assert events() == [*first[:2], ("a", 1, "r3", "b2"), first[2]]

    again = spark_harness.bronze(
        "events", "r1.a2", TYPES, [event("c", 3)], "2026-11-22T12:00:00Z"
    ) | {"run_id": "r1"}
    assert load("b3", again) == ((1, 1, 0, 0, 0), 3)
    assert events() == [("a", 1, "r3", "b2"), ("b", 2, "r2", "b1"), ("c", 3, "r1", "b3")]


def test_what_the_contract_requires_is_enforced(spark_harness: SparkHarness) -> None:
    """A row that breaks it fails the load and names run and column; the table is as it was."""
    good = spark_harness.bronze("events", "r1", TYPES, [event("a", 1)], "2026-11-22T12:00:00Z")
    spark_harness.load(spark_harness.batch("events", "b1", COLUMNS, [], [good]))
    bad = spark_harness.bronze("events", "r2", TYPES, [event(None, 1)], "2026-11-22T12:00:00Z")
    with pytest.raises(BronzeError, match="column 'kind' is required and empty in 1 rows"):
        spark_harness.load(spark_harness.batch("events", "b2", COLUMNS, [], [bad]))
    assert [row["_run_id"] for row in spark_harness.rows("silver/events", "_run_id")] == ["r1"]
