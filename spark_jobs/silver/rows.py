"""Bronze rows to silver rows: of each key only the newest."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812, the name that PySpark's own guide gives it

from spark_jobs.columns import LANDED_AT, RUN_ID, SilverColumn, quoted

_RANK = "_rank"


def newest(
    rows: DataFrame, key: Sequence[SilverColumn], columns: Sequence[SilverColumn]
) -> DataFrame:
    """Keep one row per key: of the drop that landed last, ties broken by run id, then by values.

    The order of the rows and of the drops has no part in it, so that a repeated load and a replay
    choose the same row. Keys with nulls are keys like others.
    """
    order = [F.col(LANDED_AT).desc(), F.col(RUN_ID).desc(), *by_value(key, columns)]
    window = Window.partitionBy(*(F.col(quoted(c.name)) for c in key)).orderBy(*order)
    ranked = rows.withColumn(_RANK, F.row_number().over(window))
    return ranked.where(F.col(_RANK) == 1).drop(_RANK)


def by_value(key: Sequence[SilverColumn], columns: Sequence[SilverColumn]) -> list[Expression]:
    """The order that decides between rows of one key and one drop: the greater values first."""
    return [F.col(quoted(c.name)).desc_nulls_last() for c in columns if c not in key]
