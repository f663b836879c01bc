"""The session of these tests: the one that all tests share, or the one that SPARK_REMOTE names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.spark.workshop import Workshop
from tests.spark_session import shared_session


@pytest.fixture(scope="session")
def spark() -> SparkSession:
    """Started once; SPARK_REMOTE makes it a Spark Connect session."""
    if "SPARK_REMOTE" in os.environ:
        return SparkSession.builder.getOrCreate()
    return shared_session()


@pytest.fixture
def workshop(spark: SparkSession, tmp_path: Path) -> Workshop:
    """An empty lake of this test's own."""
    return Workshop(spark, tmp_path / "lake")
