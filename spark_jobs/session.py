"""The session that a job runs in: a cluster's, serverless compute's, or a local one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

ROWS_A_PARTITION = 250_000
"""So many rows of a shuffle, of tens of columns, are sorted in 100 MB or so."""

_NOTHING: Mapping[str, str] = {}
_PARTITIONS = "spark.sql.shuffle.partitions"


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


@contextmanager
def partitions_for(spark: SparkSession, rows: int) -> Iterator[None]:
    """While it lasts, shuffles have partitions enough for so many rows to fit in memory.

    Never fewer than the session has: on a small machine that is a handful, which a small batch
    wants and ten million rows do not fit in. Where the compute finds the number itself (`auto`),
    it is left to do so.
    """
    had = str(spark.conf.get(_PARTITIONS))
    if not had.isdigit() or int(had) * ROWS_A_PARTITION >= rows:
        yield
        return
    spark.conf.set(_PARTITIONS, str(-(-rows // ROWS_A_PARTITION)))
    try:
        yield
    finally:
        spark.conf.set(_PARTITIONS, had)
