"""The session that a job runs in: a cluster's, serverless compute's, or a local one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

ROWS_A_PARTITION = 250_000
"""So many rows of a shuffle, of tens of columns, are sorted in 100 MB or so."""

SMALL_ROWS = 20_000
SMALL_BYTES = 1024 * 1024
"""Up to so many rows of a batch, and bytes of tables, planning costs more than running."""

_NOTHING: Mapping[str, str] = {}
# Spark's default, INT96, is read in nanoseconds by others, who have no year after 2262 then.
_TIMES: Mapping[str, str] = {"spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS"}
_PARTITIONS = "spark.sql.shuffle.partitions"
_SMALL: Mapping[str, str] = {
    # One job for a statement instead of one a stage, each planned anew; one partition needs neither
    # that nor a job that samples the rows of an ORDER BY.
    "spark.sql.adaptive.enabled": "false",
    _PARTITIONS: "1",
    # Java code for each expression and stage takes longer to make and compile than a few thousand
    # rows take without.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}


def job_session(wishes: Mapping[str, str] = _NOTHING) -> SparkSession:
    """The session that is there, in which times without a zone are UTC wherever the job runs.

    Args:
        wishes: settings that make the job faster. Serverless compute refuses all but a few
            (CONFIG_NOT_AVAILABLE), as it sees to its speed itself: so without them it is right too.
    """
    spark = SparkSession.builder.getOrCreate()
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    for name, value in {**_TIMES, **wishes}.items():
        _set(spark, name, value)
    return spark


@contextmanager
def small_queries(spark: SparkSession, small: bool = True) -> Iterator[None]:
    """While it lasts, queries run as a few thousand rows want it; unless these are not `small`.

    It is for the whole session: threads that share it must all have left it when it ends. Delta's
    own queries of its logs are small wherever a table has not many thousands of files.
    """
    before = {name: spark.conf.get(name, None) for name in _SMALL} if small else {}
    kept = [name for name in before if _set(spark, name, _SMALL[name])]
    try:
        yield
    finally:
        for name in kept:
            value = before[name]
            spark.conf.unset(name) if value is None else spark.conf.set(name, value)


def _set(spark: SparkSession, name: str, value: str) -> bool:
    """Set what the compute lets us set; whether it did."""
    try:
        spark.conf.set(name, value)
    except PySparkException as error:
        if error.getCondition() != "CONFIG_NOT_AVAILABLE":
            raise
        return False
    return True


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
