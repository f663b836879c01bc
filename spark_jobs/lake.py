"""The lake as the jobs see it: where things are, and the documents that lie in it.

Only `lake`, `bronze` and `tables` read or write. SparkLake paths are `container/key`; a URI is made
from them by the template that the job was given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812

from spark_jobs.arguments import PLACEHOLDER, Arguments
from spark_jobs.batch import LoadBatch, parse
from spark_jobs.columns import quoted
from spark_jobs.errors import BatchNotCurrentError, ResultError


@dataclass(frozen=True)
class SparkLake:
    """A Spark session and where its containers are."""

    spark: SparkSession
    template: str

    def uri(self, path: str) -> str:
        """The URI of a lake path."""
        container, _, key = path.partition("/")
        return f"{self.template.replace(PLACEHOLDER, container)}/{key}"

    def sql_name(self, path: str) -> str:
        """The Delta table at a lake path, as SQL names it."""
        return f"delta.{quoted(self.uri(path))}"


def current_batch(lake: SparkLake, arguments: Arguments) -> LoadBatch:
    """The batch that the job was started for.

    Raises:
        BatchNotCurrentError: the document is gone, or another batch's.
        BatchError: the document is malformed.
    """
    text = read_text(lake, arguments.batch)
    if text is None:
        raise BatchNotCurrentError(
            f"Batch {arguments.batch_id} is no longer current: there is no {arguments.batch}.",
        )
    return parse(text, dataset=arguments.dataset, batch_id=arguments.batch_id)


def write_document(lake: SparkLake, path: str, document: Mapping[str, Any]) -> None:
    """Write a JSON document as the one part file of a folder, in the place of what was there."""
    # ASCII alone: half a surrogate pair, as JSON data may hold one, is no UTF-8.
    text = json.dumps(document)
    row = lake.spark.range(1, numPartitions=1).select(F.lit(text).alias("value"))
    row.write.mode("overwrite").text(lake.uri(path))


def read_document(lake: SparkLake, path: str) -> dict[str, Any]:
    """Read back what `write_document` wrote.

    Raises:
        ResultError: there is none.
    """
    text = read_text(lake, path)
    if not text:
        raise ResultError(f"There is no document in {path}: the task before this one has not run.")
    document: dict[str, Any] = json.loads(text)
    return document


def read_text(lake: SparkLake, path: str) -> str | None:
    """A small text file whole, or the one file of a folder; None where there is none."""
    try:
        row = lake.spark.read.text(lake.uri(path), wholetext=True).first()
    except AnalysisException as error:
        if error.getCondition() == "PATH_NOT_FOUND":
            return None
        raise
    return str(row[0]) if row else ""
