"""The session that a job runs in: a cluster's, serverless compute's, or a local one."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

_NOTHING: Mapping[str, str] = {}


def job_session(wishes: Mapping[str, str] = _NOTHING) -> SparkSession:
    """The session that is there, in which times without a zone are UTC wherever the job runs.

    Args:
        wishes: settings that make the job faster. Serverless compute refuses all but a few
            (CONFIG_NOT_AVAILABLE), as it sees to its speed itself: so without them it is right too.
    """
    spark = SparkSession.builder.getOrCreate()
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    for name, value in wishes.items():
        try:
            spark.conf.set(name, value)
        except PySparkException as error:
            if error.getCondition() != "CONFIG_NOT_AVAILABLE":
                raise
    return spark
