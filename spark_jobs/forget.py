"""Job task: erase one subject from the Delta tables.

erasure document → DELETE from silver and its history → gold made anew → rows of the models' tables
that name the subject → VACUUM, where a horizon is asked for → counts

Which subject is in the document and not among the job's parameters: the platform keeps those.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any
from uuid import uuid4

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812

from landfall.contract.folder import parse
from spark_jobs.arguments import parse_named
from spark_jobs.columns import quoted
from spark_jobs.errors import JobError
from spark_jobs.gold.build import build
from spark_jobs.gold.definitions import reached, read_definitions
from spark_jobs.lake import SparkLake, read_text, write_document
from spark_jobs.result import UNBUILT, say
from spark_jobs.session import job_session
from spark_jobs.silver.constraints import text
from spark_jobs.silver.history import history_path
from spark_jobs.silver.tables import is_conflict
from spark_jobs.tables import delta_detail, delta_table, mark_erased, vacuum

CONFLICT_TRIES = 5
SHORTEST_HOURS = 168
"""Delta's own shortest horizon; a shorter one has to be allowed by a setting of the session."""
_CHECK = "spark.databricks.delta.retentionDurationCheck.enabled"
_DELETION_VECTORS = "delta.enableDeletionVectors"


@dataclass(frozen=True)
class Target:
    """Rows of one table: those with these texts in these columns."""

    path: str
    values: Mapping[str, str]

    @property
    def name(self) -> str:
        """As results name it."""
        return f"{self.path}({','.join(sorted(self.values))})"


def main(argv: list[str] | None = None) -> None:
    """Erase the subject of an erasure document, and write what was done.

    Raises:
        JobError: the document is gone, or a horizon cannot be had on this compute.
    """
    given = parse_named(argv, "forget", required=("lake", "erasure", "result", "keep-days"))
    lake = SparkLake(job_session(), given["lake"])
    document = read_text(lake, given["erasure"])
    if document is None:
        raise JobError(f"There is no erasure {given['erasure']}: it has ended, or was taken back.")
    result = forget(lake, json.loads(document), given["keep-days"])
    write_document(lake, given["result"], result)
    say(result)


def forget(lake: SparkLake, erasure: Mapping[str, Any], keep_days: str) -> dict[str, Any]:
    """Erase a subject from all tables; done again it finds nothing and changes nothing."""
    targets = [_target(each) for each in erasure["targets"]]
    datasets = [str(each["dataset"]) for each in erasure["targets"]]
    tables = [
        Target(path, target.values)
        for target, dataset in zip(targets, datasets, strict=True)
        for path in (target.path, history_path(dataset))
    ]
    rows = {table.path: deleted for table in tables if (deleted := erase(lake, table)) is not None}
    definitions = read_definitions(lake, None)
    wanted = {each.path for dataset in datasets for each in reached(definitions, dataset)}
    unbuilt: dict[str, str] = {}
    built = build(lake, [each for each in definitions if each.path in wanted], unbuilt)
    # By the models' own contracts; their jobs make these tables anew from silver at their time.
    for table in modelled(targets[0], datasets[0]):
        if (deleted := erase(lake, table)) is not None:
            rows[table.path] = deleted
    hours = erasure.get("keep_hours")
    gone = None if hours is None else _vacuum(lake, [*rows, *built], int(hours))
    for path in _distinct([*(path for path, deleted in rows.items() if deleted), *built]):
        mark_erased(lake, path, None if hours is None else int(hours))
    return {
        "rows": rows,
        "gold": {path: table.version for path, table in built.items()},
        UNBUILT: unbuilt,
        "references": {
            target.name: left
            for target in map(_target, erasure["references"])
            if (left := count(lake, target)) is not None
        },
        "vacuum": {"job": "landfall_maintain", "keep_days": keep_days}
        if gone is None
        else {"keep_hours": hours, "deleted_files": gone},
    }


def erase(lake: SparkLake, target: Target) -> int | None:
    """Delete the rows of a target; how many there were, None where there is no such table."""
    for attempt in range(1, CONFLICT_TRIES + 1):
        rows = count(lake, target)
        table = delta_table(lake, target.path)
        if not rows or table is None:
            return rows
        try:
            _delete(lake, target, table)
        except Exception as error:
            if not is_conflict(error) or attempt == CONFLICT_TRIES:
                raise
            say(f"A load of {target.path} came between: looking again.")
        else:
            return rows
    raise AssertionError  # the last attempt has returned or raised


def _delete(lake: SparkLake, target: Target, table: DataFrame) -> None:
    """Delete by a MERGE with the key as data: Delta notes the condition of a DELETE in its log."""
    view, name = f"subject_{uuid4().hex}", lake.sql_name(target.path)
    key = [
        F.lit(value).cast(table.schema[column].dataType).alias(column)
        for column, value in target.values.items()
    ]
    matches = " AND ".join(f"old.{quoted(each)} = new.{quoted(each)}" for each in target.values)
    lake.spark.range(1).select(*key).createOrReplaceTempView(view)
    try:
        lake.spark.sql(
            f"MERGE INTO {name} AS old USING {view} AS new ON {matches} WHEN MATCHED THEN DELETE"
        ).collect()
    finally:
        lake.spark.catalog.dropTempView(view)
    if delta_detail(lake, target.path).properties.get(_DELETION_VECTORS) == "true":
        # The rows are only marked as deleted, in files that stay.
        lake.spark.sql(f"REORG TABLE {name} APPLY (PURGE)").collect()


def count(lake: SparkLake, target: Target) -> int | None:
    """How many rows of a table are the subject's; None where it or a column is not there."""
    table = delta_table(lake, target.path)
    if table is None or not set(target.values) <= set(table.columns):
        return None
    return table.where(_condition(target, table)).count()


def modelled(subject: Target, dataset: str) -> list[Target]:
    """The tables of models whose contracts refer to the subject's key."""
    folder = files("spark_jobs.analytics").joinpath("contracts")
    contracts = [
        parse(file.read_text(encoding="utf-8"), file=file.name)
        for file in sorted(folder.iterdir(), key=str)
    ]
    return [
        Target(f"gold/{contract.dataset}", values)
        for contract in contracts
        for values in contract.foreign_values(dataset, subject.values)
    ]


def _target(each: Mapping[str, Any]) -> Target:
    return Target(f"silver/{each['dataset']}", {str(k): str(v) for k, v in each["values"].items()})


def _condition(target: Target, table: DataFrame) -> str:
    """The rows of a target, in SQL, each text in the type of its column."""
    types = {field.name: field.dataType.simpleString() for field in table.schema}
    return " AND ".join(
        f"{quoted(name)} = CAST({text(value)} AS {types[name]})"
        for name, value in sorted(target.values.items())
    )


def _vacuum(lake: SparkLake, paths: Iterable[str], hours: int) -> int:
    """Delete the files of versions older than some hours; how many there were.

    Raises:
        JobError: the compute does not allow so short a horizon.
    """
    if hours < SHORTEST_HOURS:
        try:
            lake.spark.conf.set(_CHECK, "false")
        except PySparkException as error:
            raise JobError(
                f"keep_hours={hours}: this compute allows no horizon below {SHORTEST_HOURS} hours; "
                "ask without it, and landfall_maintain deletes the old versions after keep_days, "
                "or run the bundle on a cluster (target prod_cluster)"
            ) from error
    try:
        return sum(vacuum(lake, path, hours=hours) for path in _distinct(paths))
    finally:
        if hours < SHORTEST_HOURS:
            lake.spark.conf.unset(_CHECK)


def _distinct(paths: Iterable[str]) -> Sequence[str]:
    return list(dict.fromkeys(paths))


if __name__ == "__main__":
    main()
