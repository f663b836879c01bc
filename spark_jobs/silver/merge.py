"""Silver takes a batch: which rows change it, and the statements that change it.

A row of silver is the newest statement about its key, by (landed_at, run id). Merging is therefore
a maximum: the order in which drops arrive, and how often, does not matter. So a newer drop that
restates a row unchanged must advance the row's run and time, or a drop that landed between the two
and comes late would win; `_batch_id` and `_loaded_at` keep saying when the values last changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812

from spark_jobs.columns import (
    BATCH_ID,
    FIRST_BATCH_ID,
    LANDED_AT,
    LOADED_AT,
    RUN_ID,
    SilverColumn,
    quoted,
)
from spark_jobs.silver.constraints import text

GONE = "_gone"
"""Of rows whose run is part of their key: whether the run does not have them any more."""


def touched(silver: DataFrame, rows: DataFrame, key: Sequence[SilverColumn]) -> DataFrame:
    """The silver rows whose keys a batch names: few where the batch is small, so cheap to join."""
    old, new = silver.alias("old"), rows.select(*(quoted(c.name) for c in key)).alias("new")
    return old.join(new, on=same_key(key), how="left_semi")


def changes(
    incoming: DataFrame,
    silver: DataFrame,
    *,
    key: Sequence[SilverColumn],
    columns: Sequence[SilverColumn],
) -> DataFrame:
    """The rows that silver does not have yet as they stand here, ready to be merged.

    Delta rewrites every file in which a merge finds a key, changed or not: what changes nothing
    is therefore left out before. A repeated batch gives no rows, and so no new table version.
    A batch that is newer than all of silver needs none of this: each of its rows matters.

    Args:
        incoming: one row per key, with run and time.
        silver: the table as it stands, or its `touched` rows.
        key: the key columns; nulls match nulls.
        columns: the contract's.
    """
    new, old = incoming.alias("new"), silver.alias("old")
    absent = _of("old", RUN_ID).isNull()
    same = _all(
        [_of("new", c.name).eqNullSafe(_of("old", c.name)) for c in columns if c not in key],
    )
    stated_new, stated_old = (
        F.struct(_of(side, LANDED_AT).alias("at"), _of(side, RUN_ID).alias("run"))
        for side in ("new", "old")
    )
    # An equal statement with other values is the same drop, loaded anew by a corrected rule.
    matters = absent | (stated_new > stated_old) | ((stated_new == stated_old) & ~same)
    return new.join(old, on=same_key(key), how="left").where(matters).select("new.*")


def _of(side: str, name: str) -> Expression:
    return F.col(f"{side}.{quoted(name)}")


def same_key(key: Sequence[SilverColumn]) -> Expression:
    """The condition on which frames `new` and `old` are joined."""
    # Equality that also finds nulls costs a second join key: only where there can be nulls.
    return _all(
        [
            _of("new", c.name) == _of("old", c.name)
            if c.required
            else _of("new", c.name).eqNullSafe(_of("old", c.name))
            for c in key
        ],
    )


def _all(conditions: Sequence[Expression]) -> Expression:
    return reduce(lambda left, right: left & right, conditions, F.lit(True))


def counted(silver: DataFrame, batch_id: str) -> DataFrame:
    """One row of counts: `rows` of the table, `inserted` and `updated` by the batch.

    Counted in the table and not in the merge, so that a job that was killed after its merge and
    started again reports what the batch did, not what its last attempt found left to do.
    """
    first, last = F.col(FIRST_BATCH_ID) == batch_id, F.col(BATCH_ID) == batch_id
    return silver.select(
        F.count(F.lit(1)).alias("rows"),
        F.count_if(first).alias("inserted"),
        F.count_if(last & ~first).alias("updated"),
    )


def merge_statement(
    table: str,
    source: str,
    *,
    key: Sequence[SilverColumn],
    columns: Sequence[SilverColumn],
    batch_id: str,
    runs: Sequence[str] = (),
) -> str:
    """MERGE of rows with run and time into a table, one a key.

    The condition on MATCHED holds the rule inside the transaction: should another load have come
    between, the newest still wins. Where a newer drop restates a row, only run and time change.

    Args:
        table: SQL name of the Delta table.
        source: view that holds the rows.
        key: key columns.
        columns: the contract's.
        batch_id: named as the one that changed the rows.
        runs: those that the rows are of, where the run is part of the key; then the rows say by
            `GONE` whether they are to be deleted.
    """
    batch = text(batch_id)
    matches = " AND ".join(
        f"old.{quoted(c.name)} {'=' if c.required else '<=>'} new.{quoted(c.name)}" for c in key
    )
    delete = ""
    if runs:
        # So that Delta opens no files but those of these runs.
        matches += f" AND old.{RUN_ID} IN ({', '.join(map(text, runs))})"
        delete = f"WHEN MATCHED AND new.{GONE} THEN DELETE\n"
    stated = [f"({side}.{LANDED_AT}, {side}.{RUN_ID})" for side in ("new", "old")]
    newer = " >= ".join(stated)
    keys = {column.name for column in key}
    stated_values = {c.name: f"new.{quoted(c.name)}" for c in columns}
    values = {name: new for name, new in stated_values.items() if name not in keys}
    same = " AND ".join(f"old.{quoted(name)} <=> {new}" for name, new in values.items()) or "true"
    restated = {RUN_ID: f"new.{RUN_ID}", LANDED_AT: f"new.{LANDED_AT}"}
    changed = {BATCH_ID: batch, LOADED_AT: "current_timestamp()"}
    inserted = stated_values | restated | changed | {FIRST_BATCH_ID: batch}
    targets = ", ".join(quoted(name) for name in inserted)
    # In clauses of their own, for Delta finds out once a row which clause is its: said within the
    # assignments, the values would be compared anew for each column that depends on it.
    return (
        f"MERGE INTO {table} AS old USING {quoted(source)} AS new ON {matches}\n"  # noqa: S608
        f"{delete}"
        f"WHEN MATCHED AND {newer} AND {same} THEN UPDATE SET {_assigned(restated)}\n"
        f"WHEN MATCHED AND {newer} THEN UPDATE SET {_assigned(values | restated | changed)}\n"
        f"WHEN NOT MATCHED THEN INSERT ({targets}) VALUES ({', '.join(inserted.values())})"
    )


def _assigned(values: Mapping[str, str]) -> str:
    return ", ".join(f"old.{quoted(name)} = {value}" for name, value in values.items())
