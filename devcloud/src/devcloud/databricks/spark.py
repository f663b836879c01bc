"""One Spark session, set up alike for the local Databricks and for the tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pyspark.sql import SparkSession

from devcloud.config import CloudConfig
from devcloud.databricks.jars import cache_folder, resolve
from devcloud.java import use_java


def session_config(jars: list[Path] | None = None) -> dict[str, str]:
    """Spark settings that make a small machine answer fast, with Delta Lake on.

    Args:
        jars: what `devcloud.databricks.jars.resolve` gives; None calls it.
    """
    jars = resolve() if jars is None else jars
    return {
        "spark.master": "local[2]",
        "spark.driver.memory": os.environ.get("LANDFALL_SPARK_MEMORY", "2g"),
        "spark.driver.extraJavaOptions": java_options(),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        # In local mode the driver is the executor too: nothing need be shipped.
        "spark.driver.extraClassPath": os.pathsep.join(str(jar) for jar in jars),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.session.timeZone": "UTC",
        # The defaults are for clusters: 200 shuffle partitions, 50 tasks to read a Delta log. A log
        # is read after every commit, and with one task for a fifth less of the processor's time.
        "spark.sql.shuffle.partitions": "4",
        "spark.databricks.delta.snapshotPartitions": "1",
        # VACUUM lists a table in as many tasks: by default 10,000.
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "4",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        # The checksummed local file system would litter the lake with .crc files.
        "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
        "spark.hadoop.fs.AbstractFileSystem.file.impl": "org.apache.hadoop.fs.local.RawLocalFs",
    }


def java_options() -> str:
    """Options of Spark's JVM; `LANDFALL_SPARK_JAVA_OPTIONS` replaces those that are about speed.

    The quick compiler alone nearly halves the CPU time of a session's first minutes, which on a
    laptop are most of its life. On two cores and a small heap the parallel collector costs a fifth
    less than G1. For batches of many millions of rows, set the variable to the collector alone.
    """
    speed = os.environ.get(
        "LANDFALL_SPARK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseParallelGC"
    )
    # The quick compiler alone gets 48 MB for what it makes, which Spark fills within minutes; then
    # it stops, and all that is new is interpreted, at a fraction of the speed.
    speed += " -XX:ReservedCodeCacheSize=256m"
    # A JVM that is out of memory is of no use to anyone: better gone than half alive.
    return f"-XX:+ExitOnOutOfMemoryError {speed}".strip()


def lake_config(config: CloudConfig) -> dict[str, str]:
    """Settings by which Hadoop's ABFS driver reaches the local lake.

    The driver knows an account by its public host name and is sent elsewhere by the endpoint: so
    the URI is `abfs://<container>@<account>.dfs.core.windows.net/<key>`, here as in Azure.
    """
    host = f"{config.account}.dfs.core.windows.net"
    return {
        "spark.hadoop.fs.azure.abfs.endpoint": urlsplit(config.url("lake")).netloc,
        "spark.hadoop.fs.azure.always.use.https": "false",
        f"spark.hadoop.fs.azure.account.auth.type.{host}": "SharedKey",
        f"spark.hadoop.fs.azure.account.key.{host}": config.account_key,
        f"spark.hadoop.fs.azure.account.hns.enabled.{host}": "true",
    }


def prepare_environment() -> None:
    """Set what Spark's launcher reads from the environment: which Java, Python and address to use.

    Raises:
        JavaNotFoundError: no Java to run on.
    """
    use_java(cache_folder())
    os.environ["PYSPARK_PYTHON"] = sys.executable  # else Python workers are PATH's python3
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"


def build_session(app_name: str, extra: Mapping[str, str] | None = None) -> SparkSession:
    """Start Spark in this process, or take the session that it already has.

    Args:
        app_name: shown in Spark's own log.
        extra: Spark settings laid over those of `session_config`.

    Raises:
        JavaNotFoundError: no Java to run on.
        JarsError: Delta's jars are neither cached nor to be had.
    """
    prepare_environment()
    builder = SparkSession.builder.appName(app_name)
    for key, value in (session_config() | dict(extra or {})).items():
        builder = builder.config(key, value)
    return builder.getOrCreate()
