"""Rows that refer to a row that does not exist: counted and reported, never a reason to stop.

Validation rejects them where it can see the other dataset. Drops of two datasets may arrive in
either order, though, so a row that is missing at load time may be loaded later.
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812

from spark_jobs.batch import BatchReference, LoadBatch
from spark_jobs.columns import quoted
from spark_jobs.lake import SparkLake
from spark_jobs.tables import delta_table


def orphans(lake: SparkLake, batch: LoadBatch, rows: DataFrame) -> dict[str, int]:
    """Count by reference the rows of a batch that refer to a row that does not exist.

    A reference with an empty part is not counted. A dataset that has no silver table yet is not
    checked.
    """
    counts = {}
    for reference in batch.references:
        other = delta_table(lake, f"silver/{reference.dataset}")
        if other is not None and set(reference.to) <= set(other.columns):
            counts[reference.name] = _orphans(rows, other, reference)
    return counts


def _orphans(rows: DataFrame, other: DataFrame, reference: BatchReference) -> int:
    parts = [f"_{number}" for number in range(len(reference.columns))]
    ours, theirs = (
        frame.select(
            *(F.col(quoted(c)).alias(part) for c, part in zip(columns, parts, strict=True))
        )
        for frame, columns in ((rows, reference.columns), (other, reference.to))
    )
    return ours.dropna().join(theirs, on=parts, how="left_anti").count()
