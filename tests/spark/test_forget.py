"""The job that erases a subject from Delta tables."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from spark_jobs import forget, maintain
from spark_jobs.errors import JobError
from spark_jobs.forget import Target, erase, modelled
from spark_jobs.lake import SparkLake
from spark_jobs.tables import data_version, delta_detail, delta_version
from tests.spark.harness import SparkHarness

pytestmark = pytest.mark.spark


@pytest.fixture
def lake(spark_harness: SparkHarness) -> SparkLake:
    """The workshop's lake, as the jobs see it."""
    return SparkLake(spark_harness.spark, f"file://{spark_harness.root}/{{container}}")


def table(lake: SparkLake, path: str, select: str, **properties: str) -> None:
    """Make a Delta table of a SELECT."""
    writer = lake.spark.sql(select).coalesce(1).write.format("delta")
    writer.options(**properties).save(lake.uri(path))


def started(spark_harness: SparkHarness, lake: SparkLake, **document: Any) -> Mapping[str, Any]:
    """Run the job on an erasure document; what it says."""
    path = spark_harness.root / "manifest" / "erasures" / "open" / "e1.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"references": [], **document}))
    result = "manifest/erasures/results/e1.1.1"
    forget.main([
        "--lake", lake.template, "--erasure", "manifest/erasures/open/e1.json",
        "--result", result, "--keep-days", "30",
    ])  # fmt: skip
    (part,) = (spark_harness.root / result).glob("part-*")
    said: Mapping[str, Any] = json.loads(part.read_text())
    return said


def files_with(root: Path, text: bytes) -> list[str]:
    """The files below a folder that have a text, uncompressed as these tables are."""
    return [str(p) for p in root.rglob("*") if p.is_file() and text in p.read_bytes()]


def test_rows_of_a_composite_key_go_from_silver_and_history(
    spark_harness: SparkHarness, lake: SparkLake
) -> None:
    """Dates are compared as dates, quotes are no danger, and a second time there is nothing."""
    for path, amount in (("silver/visits", 1), ("silver/visits_history", 7)):
        first = f"SELECT 'o''hara' AS person, DATE'2026-03-01' AS day, {amount} AS amount"
        table(lake, path, f"{first} UNION ALL SELECT 'o''hara', DATE'2026-03-02', 2")
    table(lake, "silver/bills", "SELECT 'o''hara' AS payer, 1 AS id")
    target = {"dataset": "visits", "values": {"person": "o'hara", "day": "2026-03-01"}}
    reference = {"dataset": "bills", "values": {"payer": "o'hara"}}

    said = started(spark_harness, lake, targets=[target], references=[reference])

    assert said["rows"] == {"silver/visits": 1, "silver/visits_history": 1}
    assert said["references"] == {"silver/bills(payer)": 1}
    assert said["vacuum"] == {"job": "landfall_maintain", "keep_days": "30"}
    assert [row["amount"] for row in spark_harness.rows("silver/visits")] == [2]
    version = delta_version(lake, "silver/visits")
    again = started(spark_harness, lake, targets=[target])
    assert again["rows"] == {"silver/visits": 0, "silver/visits_history": 0}
    assert delta_version(lake, "silver/visits") == version


def test_rows_that_are_only_marked_as_deleted_are_written_out(
    spark_harness: SparkHarness, lake: SparkLake
) -> None:
    """With deletion vectors, as Databricks makes tables, and with its change feed; then VACUUM."""
    plain = {"spark.sql.parquet.compression.codec": "uncompressed"}
    for name, value in plain.items():
        lake.spark.conf.set(name, value)
    try:
        table(
            lake, "silver/people",
            "SELECT id, concat('person-', id) AS name, 'Zanzibar' AS town FROM range(10)",
            **{"delta.enableDeletionVectors": "true", "delta.enableChangeDataFeed": "true"},
            **{"delta.dataSkippingNumIndexedCols": "1"},
        )  # fmt: skip
        silver = spark_harness.root / "silver" / "people"
        assert files_with(silver, b"person-4")
        target = {"dataset": "people", "values": {"id": "4"}}
        said = started(spark_harness, lake, targets=[target], keep_hours=0)
    finally:
        for name in plain:
            lake.spark.conf.unset(name)
    assert said["rows"] == {"silver/people": 1}
    assert said["vacuum"]["keep_hours"] == 0
    assert said["vacuum"]["deleted_files"] >= 1
    assert files_with(silver, b"person-4") == []
    assert files_with(silver, b"person-5")
    assert spark_harness.spark.read.format("delta").load(lake.uri("silver/people")).count() == 9


def test_the_log_forgets_when_the_horizon_is_past(
    spark_harness: SparkHarness, lake: SparkLake
) -> None:
    """Its statistics have the smallest and largest keys of files; a night later they have not."""
    path = "silver/people"
    table(lake, path, "SELECT concat('key-', id) AS id FROM range(8)")
    folder = spark_harness.root / path
    assert files_with(folder, b"key-7")
    target = {"dataset": "people", "values": {"id": "key-7"}}
    started(spark_harness, lake, targets=[target], keep_hours=0)
    version = delta_version(lake, path)
    days_pass(lake, folder)
    maintain.main(["--lake", lake.template, "--keep-days", "7"])
    assert files_with(folder, b"key-7") == []
    assert spark_harness.delta(path).to_pyarrow_table().num_rows == 7
    assert delta_version(lake, path) == (version or 0) + 3  # a mark, and two of the trim
    maintain.main(["--lake", lake.template, "--keep-days", "7"])
    assert delta_version(lake, path) == (version or 0) + 3


def days_pass(lake: SparkLake, table: Path) -> None:
    """Make a table's log three days older than it is, and its mark too."""
    past = datetime.now(UTC) - timedelta(days=3)
    lake.spark.sql(
        f"ALTER TABLE delta.`file://{table}` SET TBLPROPERTIES "
        f"('landfall.erased' = '{past:%Y-%m-%dT%H:%M:%SZ} 0')"
    )
    for each in (table / "_delta_log").iterdir():
        os.utime(each, (past.timestamp(), past.timestamp()))


def test_a_load_that_comes_between_is_looked_at_again(
    lake: SparkLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Delta refuses the one that commits second: it deletes what the other brought, too."""
    table(lake, "silver/people", "SELECT 1 AS id, 'a' AS name")
    conflicts = 0
    real = delta_detail

    def overtaken(*arguments: Any) -> Any:
        nonlocal conflicts
        if conflicts == 0:
            conflicts += 1
            lake.spark.sql("SELECT 1 AS id, 'b' AS name").write.format("delta").mode("append").save(
                lake.uri("silver/people")
            )
            raise RuntimeError("[DELTA_CONCURRENT_APPEND] another commit came between")
        return real(*arguments)

    monkeypatch.setattr(forget, "delta_detail", overtaken)
    assert erase(lake, Target("silver/people", {"id": "1"})) == 1
    left = lake.spark.read.format("delta").load(lake.uri("silver/people"))
    assert left.count() == 0
    assert data_version(lake, "silver/people") is not None


def test_models_that_name_the_subject_are_found_by_their_contracts() -> None:
    """Their tables are made by jobs of their own: until then the rows are deleted."""
    found = modelled(Target("silver/users", {"identifierHash": "7"}), "users")
    assert found == [
        Target("gold/customer_segments", {"user_id": "7"}),
        Target("gold/recommendations_by_user", {"user_id": "7"}),
    ]
    assert modelled(Target("silver/orders", {"order_id": "7"}), "orders") == []


def test_an_erasure_that_is_gone_ends_the_job(lake: SparkLake) -> None:
    """Nothing is written, and the message says what is missing."""
    with pytest.raises(JobError, match="There is no erasure"):
        forget.main([
            "--lake", lake.template, "--erasure", "manifest/erasures/open/none.json",
            "--result", "manifest/erasures/results/x", "--keep-days", "30",
        ])  # fmt: skip
