"""The one Spark session that all tests in a process share."""

from __future__ import annotations

import functools

from pyspark.sql import SparkSession

from devcloud.databricks.spark import build_session


@functools.cache
def shared_session() -> SparkSession:
    """A session set up as the local Databricks sets up its own; started by the first caller."""
    session = build_session("tests")
    session.sparkContext.setLogLevel("ERROR")
    return session
