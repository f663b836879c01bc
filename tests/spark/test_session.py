"""The session of a job: what it insists on, and what it would rather have."""

from __future__ import annotations

from contextlib import suppress

import pytest
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import SparkSession

from spark_jobs.session import ROWS_A_PARTITION, job_session, partitions_for, small_queries
from spark_jobs.silver.load import FASTER

PARTITIONS = "spark.sql.shuffle.partitions"


def test_times_are_utc_and_wishes_are_granted(spark: SparkSession) -> None:
    """Whatever the compute's own zone is."""
    spark.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")

    conf = job_session(FASTER).conf

    assert conf.get("spark.sql.session.timeZone") == "UTC"
    assert {name: conf.get(name) for name in FASTER} == FASTER


def test_a_wish_that_serverless_compute_refuses_is_let_go(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its compute is not here, so its refusal is as its documentation has it."""
    granted = spark.conf.set

    def set_as_serverless(name: str, value: str) -> None:
        if name == "spark.sql.codegen.hugeMethodLimit":
            raise AnalysisException(
                errorClass="CONFIG_NOT_AVAILABLE", message=f"Configuration {name} is not available"
            )
        granted(name, value)

    monkeypatch.setattr(
        type(spark.conf), "set", lambda _, name, value: set_as_serverless(name, value)
    )

    assert job_session(FASTER).conf.get("spark.sql.session.timeZone") == "UTC"


@pytest.mark.usefixtures("spark")
def test_a_wish_that_cannot_be_is_a_mistake() -> None:
    """Spark's own refusal, not passed over."""
    with pytest.raises(PySparkException):
        job_session({"spark.sql.shuffle.partitions": "many"})


@pytest.mark.parametrize(
    ("had", "rows", "during"),
    [
        ("4", 5 * ROWS_A_PARTITION + 1, "6"),
        ("4", 4 * ROWS_A_PARTITION, "4"),
        ("200", 5 * ROWS_A_PARTITION, "200"),
    ],
)
def test_shuffles_have_partitions_for_the_rows(
    spark: SparkSession, had: str, rows: int, during: str
) -> None:
    """More for many rows, never fewer than the session had, and as before once it is over."""
    name = "spark.sql.shuffle.partitions"
    before = str(spark.conf.get(name))
    spark.conf.set(name, had)
    try:
        with partitions_for(spark, rows):
            assert spark.conf.get(name) == during
        assert spark.conf.get(name) == had
    finally:
        spark.conf.set(name, before)


@pytest.mark.parametrize("small", [True, False])
def test_small_queries_have_settings_of_their_own_while_they_last(
    spark: SparkSession, small: bool
) -> None:
    """Those that the session had come back, whatever happens; without `small` they stay."""
    names = ["spark.sql.adaptive.enabled", "spark.sql.codegen.factoryMode", PARTITIONS]
    had = [spark.conf.get(name, None) for name in names]
    during = ["false", "NO_CODEGEN", "1"] if small else had

    with suppress(ZeroDivisionError), small_queries(spark, small):
        assert [spark.conf.get(name, None) for name in names] == during
        raise ZeroDivisionError

    assert [spark.conf.get(name, None) for name in names] == had
    assert during != had or not small


def test_settings_that_serverless_compute_refuses_stay(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the settings for small queries it knows the number of partitions alone."""
    granted = spark.conf.set
    before = spark.conf.get(PARTITIONS)

    def set_as_serverless(name: str, value: str) -> None:
        if name != PARTITIONS:
            raise AnalysisException(
                errorClass="CONFIG_NOT_AVAILABLE", message=f"Configuration {name} is not available"
            )
        granted(name, value)

    monkeypatch.setattr(
        type(spark.conf), "set", lambda _, name, value: set_as_serverless(name, value)
    )

    with small_queries(spark):
        assert spark.conf.get(PARTITIONS) == "1"
    assert spark.conf.get(PARTITIONS) == before
