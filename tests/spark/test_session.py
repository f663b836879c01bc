"""The session of a job: what it insists on, and what it would rather have."""

from __future__ import annotations

import pytest
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import SparkSession

from spark_jobs.load_silver import FASTER
from spark_jobs.session import job_session


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
