"""Upkeep of the tables, and what Databricks SQL sees of them."""

from __future__ import annotations

import pytest

from spark_jobs import maintain
from spark_jobs.errors import ArgumentError
from spark_jobs.gold import publish
from spark_jobs.lake import SparkLake
from spark_jobs.maintain import SPARE_FILES
from spark_jobs.serving import serve_behind
from spark_jobs.tables import data_version, delta_detail, delta_tables, delta_version
from tests.spark.harness import USER_TYPES, SparkHarness
from tests.spark.test_gold_tables import BUYERS, COLUMNS, users

pytestmark = pytest.mark.spark


@pytest.fixture
def lake(spark_harness: SparkHarness) -> SparkLake:
    """The workshop's lake, as the jobs see it."""
    return SparkLake(spark_harness.spark, f"file://{spark_harness.root}/{{container}}")


@pytest.mark.slow
def test_small_files_are_put_together_and_old_ones_kept_for_time_travel(
    spark_harness: SparkHarness, lake: SparkLake, capsys: pytest.CaptureFixture[str]
) -> None:
    """After many small commits a table has few files again, the same rows, and all its versions.

    Compaction is no change of data: what is built from the table is not built again.
    """
    path = "silver/orders"
    rows = lake.spark.range(SPARE_FILES + 1).repartition(SPARE_FILES + 1)
    rows.write.format("delta").save(lake.uri(path))
    lake.spark.range(1).write.format("delta").mode("append").save(lake.uri(path))
    assert delta_detail(lake, path).files > SPARE_FILES

    arguments = ["--lake", lake.template, "--keep-days", "7"]
    maintain.main(arguments)

    assert delta_detail(lake, path).files == 1
    assert sorted(row["id"] for row in spark_harness.rows(path)) == [0, *range(SPARE_FILES + 1)]
    assert (delta_version(lake, path), data_version(lake, path)) == (2, 1)
    assert spark_harness.delta(path).version() == 2
    before = lake.spark.read.format("delta").option("versionAsOf", 0).load(lake.uri(path))
    assert before.count() == SPARE_FILES + 1
    assert '"deleted_files": 0' in capsys.readouterr().out

    maintain.main(arguments)
    assert delta_version(lake, path) == 2


def test_what_readers_still_need_is_not_deleted(lake: SparkLake) -> None:
    """Fewer than seven days are refused, before anything is touched."""
    for days in ("6", "0", "-1", "many"):
        with pytest.raises(ArgumentError, match="7 or more"):
            maintain.main(["--lake", lake.template, "--keep-days", days])


def test_a_lake_without_tables_is_no_trouble(
    lake: SparkLake, capsys: pytest.CaptureFixture[str]
) -> None:
    """The schedule may come before the first load."""
    assert delta_tables(lake, "silver", "gold") == []
    maintain.main(["--lake", lake.template, "--keep-days", "30"])
    serve_behind.main(["--lake", lake.template, "--run", "1"])
    publish.main(["--lake", lake.template])
    told = capsys.readouterr().out
    assert "no table below silver or gold" in told
    assert "nothing is served" in told
    assert "nothing is published" in told


@pytest.mark.slow
def test_a_catalog_shows_tables_and_views_by_the_same_sql(
    spark_harness: SparkHarness, lake: SparkLake, capsys: pytest.CaptureFixture[str]
) -> None:
    """Gold by its table and by its live view say the same; the view follows silver at once."""
    drop = spark_harness.bronze("users", "r1", USER_TYPES, users(), "2026-11-22T12:00:00Z")
    arguments = spark_harness.batch("users", "b1", COLUMNS, ["identifierHash"], [drop])
    spark_harness.load(arguments)
    spark_harness.build(arguments)
    try:
        for _ in range(2):
            publish.main(["--lake", lake.template, "--catalog", "spark_catalog"])
        told = capsys.readouterr().out
        assert "VIEW `spark_catalog`.landfall_live.`sellers_compared`" in told
        assert "sales_by_day" not in told

        def rows(schema: str) -> list[list[object]]:
            table = lake.spark.table(f"spark_catalog.{schema}.buyers_by_country")
            return [list(row) for row in table.orderBy("country").collect()]

        assert rows("landfall_gold") == rows("landfall_live") == BUYERS
        lake.spark.sql(
            "UPDATE spark_catalog.landfall_silver.users "
            "SET country = 'Chypre' WHERE country = 'Malte'"
        )
        assert rows("landfall_gold") == BUYERS
        assert [row[0] for row in rows("landfall_live")] == ["Chypre", "France"]
        described = lake.spark.sql(
            "DESCRIBE EXTENDED spark_catalog.landfall_live.buyers_by_country"
        ).where("col_name = 'Comment'")
        assert "Grain: one row per country" in described.collect()[0]["data_type"]
    finally:
        for schema in ("landfall_live", "landfall_gold", "landfall_silver"):
            lake.spark.sql(f"DROP SCHEMA IF EXISTS spark_catalog.{schema} CASCADE")
