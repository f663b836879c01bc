"""The session of these tests: the one that all tests share, or Spark Connect where asked for.

`SPARK_REMOTE=local[2] pytest tests/spark` runs them as serverless compute runs the jobs: over
gRPC, without a JVM within reach. It needs `pyspark[connect]`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from devcloud.databricks.spark import prepare_environment, session_config
from tests.spark.harness import SparkHarness
from tests.spark_session import shared_session


@pytest.fixture(scope="session")
def spark() -> SparkSession:
    """Started once, by the first test that needs it."""
    return connect_session() if "SPARK_REMOTE" in os.environ else shared_session()


def connect_session() -> SparkSession:
    """A client of the Spark Connect server that SPARK_REMOTE names, or starts (`local[2]`)."""
    prepare_environment()
    builder = SparkSession.builder
    for key, value in session_config().items():
        if key != "spark.master":  # SPARK_REMOTE says it
            builder = builder.config(key, value)
    return builder.getOrCreate()


@pytest.fixture
def spark_harness(spark: SparkSession, tmp_path: Path) -> SparkHarness:
    """An empty lake of this test's own."""
    return SparkHarness(spark, tmp_path / "lake")
