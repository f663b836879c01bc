"""Where the contract wants history: every statement is kept, and versions follow from them.

Silver has the newest statement about each key. A statement that is superseded, or that comes late,
goes to the table of history, which is only ever appended to. Both together are all statements ever
made, a set; a version of a row (SCD 2) is a stretch of equal statements in the order of landing.
So the order of arrival has no part in it, a batch that is loaded twice adds nothing, and a late
drop finds its place by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812

from spark_jobs.columns import LANDED_AT, RUN_ID, SilverColumn, quoted
from spark_jobs.silver.merge import same_key
from spark_jobs.silver.rows import by_value

VALID_FROM, VALID_TO, IS_CURRENT = "valid_from", "valid_to", "is_current"


def history_path(dataset: str) -> str:
    """The lake path of a dataset's table of superseded statements."""
    return f"silver/{dataset}_history"


def superseded(
    rows: DataFrame,
    silver: DataFrame,
    *,
    key: Sequence[SilverColumn],
    columns: Sequence[SilverColumn],
    in_order: bool = False,
) -> DataFrame:
    """The statements that will not stand in silver when a batch is merged.

    Args:
        rows: the batch, one row per key and drop at most where a key comes twice.
        silver: those rows of the table before the batch that the batch speaks of.
        key: the key columns.
        columns: the contract's.
        in_order: every row is newer than all of silver, so that all it meets there is superseded.
    """
    names = [*(quoted(column.name) for column in columns), RUN_ID, LANDED_AT]
    if in_order:
        return silver.select(*names)
    stated = F.struct(*(F.col(name) for name in names))
    order = F.struct(LANDED_AT, RUN_ID)
    new = rows.select(*names, order.alias("_order"), stated.alias("_new")).alias("new")
    old = silver.select(*names, order.alias("_order"), stated.alias("_old")).alias("old")
    newer = F.col("new._order") > F.col("old._order")
    lost = F.when(newer, F.col("_old")).otherwise(F.col("_new"))
    return (
        new.join(old, on=same_key(key), how="inner")
        .where(F.col("new._order") != F.col("old._order"))
        .select(lost.alias("_lost"))
        .select("_lost.*")
    )


def losers(
    rows: DataFrame, *, key: Sequence[SilverColumn], columns: Sequence[SilverColumn]
) -> DataFrame:
    """Of a batch in which keys come twice: what other drops than the newest say of each."""
    keys = [F.col(quoted(column.name)) for column in key]
    values = by_value(key, columns)
    of_key = Window.partitionBy(*keys).orderBy(F.col(LANDED_AT).desc(), F.col(RUN_ID).desc())
    of_drop = Window.partitionBy(*keys, RUN_ID).orderBy(*values)
    return (
        rows.withColumn("_place", F.dense_rank().over(of_key))
        .where(F.col("_place") > 1)
        .withColumn("_rank", F.row_number().over(of_drop))
        .where(F.col("_rank") == 1)
        .drop("_place", "_rank")
    )


def versions(
    silver: DataFrame,
    history: DataFrame,
    *,
    key: Sequence[SilverColumn],
    columns: Sequence[SilverColumn],
) -> DataFrame:
    """All versions of all rows: the contract's columns, `valid_from`, `valid_to`, `is_current`.

    A version is valid from the landing of the drop that first stated it until that of the drop that
    stated something else, which is empty for the current one. `_run_id` is the drop that first
    stated it.
    """
    names = [quoted(column.name) for column in columns]
    keys = [F.col(quoted(column.name)) for column in key]
    values = F.struct(*(F.col(quoted(c.name)) for c in columns if c not in key), F.lit(0))
    stands = silver.select(*names, RUN_ID, LANDED_AT, F.lit(1).alias("_stands"))
    stated = history.select(*names, RUN_ID, LANDED_AT, F.lit(0).alias("_stands"))
    at_once = Window.partitionBy(*keys, LANDED_AT).orderBy(
        F.col(RUN_ID).desc(), F.col("_stands").desc(), *by_value(key, columns)
    )
    in_time = Window.partitionBy(*keys).orderBy(LANDED_AT)
    return (
        stands.unionByName(stated)
        .withColumn("_rank", F.row_number().over(at_once))
        .where(F.col("_rank") == 1)
        .withColumn("_values", values)
        .withColumn("_before", F.lag("_values").over(in_time))
        .where(~F.col("_values").eqNullSafe(F.col("_before")))
        .withColumn(VALID_TO, F.lead(LANDED_AT).over(in_time))
        .select(
            *names,
            RUN_ID,
            F.col(LANDED_AT).alias(VALID_FROM),
            VALID_TO,
            F.col(VALID_TO).isNull().alias(IS_CURRENT),
        )
    )
