"""The warm Spark session of a worker, and how it is lent to one task after the other."""

from __future__ import annotations

import os
import shlex
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from devcloud.config import CloudConfig
from devcloud.databricks.jars import JarsError
from devcloud.databricks.spark import lake_config, prepare_environment, session_config
from devcloud.java import JavaNotFoundError

SUBMIT_ARGUMENTS = "PYSPARK_SUBMIT_ARGS"


class WarmSession:
    """Starts Spark before it is needed, so that the first task finds it warm.

    Spark is set up through PYSPARK_SUBMIT_ARGS: whoever says `SparkSession.builder.getOrCreate()`
    in this process gets the same session with the same settings, warm or not.
    """

    def __init__(
        self,
        config: CloudConfig,
        scratch: Path,
        tell: Callable[[dict[str, Any]], None],
        clock: Callable[[], float],
    ) -> None:
        self._config = config
        self._scratch = scratch
        self._tell = tell
        self._clock = clock
        self._lock = threading.Lock()  # held while a session is being made
        self._base: SparkSession | None = None
        self._lent = threading.Event()
        self._prepared = False
        self._problem = ""

    def start(self) -> None:
        """Start Spark, then write and merge a tiny Delta table, unless a task comes first."""
        began = self._clock()
        with self._lock:
            self._prepare()
            if self._problem:
                return
            try:
                self._base = SparkSession.builder.getOrCreate()
            except Exception as error:  # noqa: BLE001 - the JVM fails in many ways
                self._problem = f"Spark did not start: {error}"
                self._tell({"event": "problem", "message": self._problem})
                return
        for step in (_write, _merge, _merge):
            if self._lent.is_set():
                break
            step(self._base, self._scratch / "warm-up")
        shutil.rmtree(self._scratch / "warm-up", ignore_errors=True)
        self._tell({"event": "warm", "seconds": round(self._clock() - began, 1)})

    def lend(self) -> str:
        """Make ready for a task; what stands in the way of Spark, if anything does.

        Each task gets a session of its own in the one Spark: settings and temporary views of the
        last one are gone.
        """
        self._lent.set()
        with self._lock:
            self._prepare()
            if self._base is None:  # a task may have made one
                self._base = SparkSession._instantiatedSession  # noqa: SLF001 - nothing public tells
            if self._base is not None and self._base.sparkContext._jsc is None:  # noqa: SLF001
                self._base = None  # a task stopped it; the next one to ask starts it again
            if self._base is not None:
                # The session made while there is none becomes the one that getOrCreate() gives.
                SparkSession._instantiatedSession = None  # noqa: SLF001
                SparkSession(self._base.sparkContext, self._base._jsparkSession.newSession())  # noqa: SLF001
        return self._problem

    def _prepare(self) -> None:
        if self._prepared:
            return
        self._prepared = True
        try:
            prepare_environment()
            settings = session_config() | lake_config(self._config)
        except (JavaNotFoundError, JarsError) as error:
            self._problem = str(error)
            self._tell({"event": "problem", "message": self._problem})
            return
        settings |= {
            "spark.app.name": "landfall",
            "spark.local.dir": str(self._scratch / "spark"),
            "spark.sql.warehouse.dir": str(self._scratch / "warehouse"),
        }
        # A file, not arguments: the key of the lake is among them, and anyone may list processes.
        properties = self._scratch / "spark.properties"
        properties.touch(mode=0o600)
        properties.write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
        os.environ[SUBMIT_ARGUMENTS] = shlex.join(
            ["--properties-file", str(properties), "pyspark-shell"]
        )


def _write(spark: SparkSession, folder: Path) -> None:
    spark.range(8).write.format("delta").mode("overwrite").save(folder.as_uri())


def _merge(spark: SparkSession, folder: Path) -> None:
    spark.range(4, 12).createOrReplaceTempView("landfall_warm_up")
    spark.sql(
        f"MERGE INTO delta.`{folder.as_uri()}` AS t USING landfall_warm_up AS s ON t.id = s.id "
        "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *",
    )
    spark.read.format("delta").load(folder.as_uri()).count()
