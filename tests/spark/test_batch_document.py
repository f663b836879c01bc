"""The batch document and the job's parameters: read exactly, or refused with the field's name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pyspark.sql.types import (
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
)

from spark_jobs.arguments import Arguments, parse_arguments
from spark_jobs.batch import BatchDrop, LoadBatch, parse
from spark_jobs.columns import SilverColumn, mismatches, quoted, silver_schema
from spark_jobs.errors import ArgumentError, BatchError, BatchNotCurrentError, SilverError
from spark_jobs.silver.ddl import create_statement, evolution_statements, table_properties
from spark_jobs.silver.merge import merge_statement


def document(**changes: Any) -> str:
    """A good batch document, with some fields replaced."""
    return json.dumps(
        {
            "schema": 1,
            "batch_id": "b1",
            "dataset": "users",
            "attempt": 1,
            "created": "2026-11-22T13:02:00Z",
            "table": {
                "key": ["id"],
                "columns": [
                    {"name": "id", "type": "integer", "required": True},
                    {"name": "pays", "type": "string"},
                ],
            },
            "drops": [
                {
                    "run_id": "r1",
                    "bronze": "bronze/users/r1",
                    "rows": 3,
                    "landed_at": "2026-11-22T13:01:14Z",
                    "source": "landing/users/may.csv",
                },
            ],
        }
        | changes,
    )


def test_a_batch_document_is_read_as_it_stands() -> None:
    """Key, columns and drops come through in their order; what is optional may be absent."""
    expected = LoadBatch(
        "b1",
        "users",
        (SilverColumn("id", "integer", required=True),),
        (SilverColumn("id", "integer", required=True), SilverColumn("pays", "string")),
        (BatchDrop("r1", "bronze/users/r1", "2026-11-22T13:01:14Z", 3),),
    )

    assert expected == parse(document(), dataset="users", batch_id="b1")


def test_another_batch_in_the_document_means_that_this_start_is_late() -> None:
    """The message names both batches."""
    with pytest.raises(BatchNotCurrentError, match=r"b0 is no longer current.*b1's"):
        parse(document(), dataset="users", batch_id="b0")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("[]", "schema 1"),
        (document(schema=2), "schema 1"),
        (document(dataset="orders"), "'orders', not of 'users'"),
        (document(table={"key": ["id"]}), "'columns'"),
        (document(table={"key": ["no"], "columns": [{"name": "id", "type": "integer"}]}), "Key"),
        (document(table={"key": ["id"], "columns": [{"name": "id", "type": "array"}]}), "'array'"),
        (
            document(
                table={
                    "key": ["id"],
                    "columns": [
                        {"name": "id", "type": "integer"},
                        {"name": "ID", "type": "string"},
                    ],
                }
            ),
            r"\['id'\]",
        ),
        (
            document(
                table={"key": ["_run_id"], "columns": [{"name": "_run_id", "type": "string"}]}
            ),
            "_run_id",
        ),
        (document(drops=[{"run_id": "r1", "bronze": "bronze/users/r1"}]), "'landed_at'"),
        (
            document(drops=[{"run_id": "r1", "bronze": "b/u/r1", "landed_at": "2026-11-22 13:01"}]),
            "r1: landed_at",
        ),
        (
            document(
                drops=[{"run_id": "r1", "bronze": "b/u/r1", "landed_at": "2026-11-22T13:01Z"}] * 2
            ),
            "each run once",
        ),
    ],
)
def test_a_malformed_document_is_refused_with_what_is_wrong(text: str, said: str) -> None:
    """Nothing is guessed: a field that is absent, doubled or of a foreign kind stops the job."""
    with pytest.raises(BatchError, match=said):
        parse(text, dataset="users", batch_id="b1")


def test_parameters_are_read_and_none_is_optional() -> None:
    """The four parameters of every job, and a message that names the one that is missing."""
    argv = ["--lake", "file:///l/{container}", "--dataset", "users", "--batch-id", "b1"]

    expected = Arguments("file:///l/{container}", "users", "b1", "manifest/x.json")
    assert expected == parse_arguments([*argv, "--batch", "manifest/x.json"], "load_silver")
    with pytest.raises(ArgumentError, match="--batch"):
        parse_arguments(argv, "load_silver")
    with pytest.raises(ArgumentError, match="--batch is empty"):
        parse_arguments([*argv, "--batch", ""], "load_silver")
    with pytest.raises(ArgumentError, match="does not hold"):
        parse_arguments(["--lake", "file:///l", *argv[2:], "--batch", "x"], "load_silver")


def test_bronze_types_that_would_lose_something_are_named() -> None:
    """Narrow integers widen; a string is not parsed into a number behind the contract's back."""
    found = StructType(
        [
            StructField("id", IntegerType()),
            StructField("n", StringType()),
            StructField("Pays", StringType()),
            StructField("day", TimestampNTZType()),
        ]
    )
    columns = [
        SilverColumn("id", "integer"),
        SilverColumn("n", "integer"),
        SilverColumn("pays", "string"),
        SilverColumn("day", "date"),
    ]

    expected = [
        "column 'n' is string there, and the contract's integer cannot be made from it",
        "column 'pays' is missing (it has 'Pays')",
    ]
    assert expected == mismatches(found, columns)


def test_statements_quote_whatever_a_column_is_called() -> None:
    """Reserved words, blanks, dots and backticks are names like others; Delta maps some of them."""
    schema = silver_schema(
        [SilverColumn("order", "integer", required=True), SilverColumn("a`.b c", "string")]
    )

    assert quoted("a`.b c") == "`a``.b c`"
    assert create_statement("delta.`/t`", schema, table_properties(schema)) == (
        "CREATE TABLE delta.`/t` (`order` bigint NOT NULL, `a``.b c` string, "
        "`_run_id` string NOT NULL, `_landed_at` timestamp NOT NULL, "
        "`_batch_id` string NOT NULL, `_loaded_at` timestamp NOT NULL, "
        "`_first_batch_id` string NOT NULL) USING DELTA "
        "TBLPROPERTIES ('delta.columnMapping.mode' = 'name')"
    )
    key = [SilverColumn("order", "integer", required=True), SilverColumn("shop", "string")]
    merge = merge_statement(
        "delta.`/t`", "v", key=key, columns=[*key, SilverColumn("a b", "string")], batch_id="b'1"
    )
    assert merge == (
        "MERGE INTO delta.`/t` AS old USING `v` AS new "
        "ON old.`order` = new.`order` AND old.`shop` <=> new.`shop`\n"
        "WHEN MATCHED AND (new._landed_at, new._run_id) >= (old._landed_at, old._run_id) "
        "AND old.`a b` <=> new.`a b` "
        "THEN UPDATE SET old.`_run_id` = new._run_id, old.`_landed_at` = new._landed_at\n"
        "WHEN MATCHED AND (new._landed_at, new._run_id) >= (old._landed_at, old._run_id) "
        "THEN UPDATE SET old.`a b` = new.`a b`, old.`_run_id` = new._run_id, "
        "old.`_landed_at` = new._landed_at, "
        r"old.`_batch_id` = 'b\'1', old.`_loaded_at` = current_timestamp()"
        "\n"
        "WHEN NOT MATCHED THEN INSERT (`order`, `shop`, `a b`, `_run_id`, `_landed_at`, "
        "`_batch_id`, `_loaded_at`, `_first_batch_id`) VALUES (new.`order`, new.`shop`, "
        "new.`a b`, new._run_id, new._landed_at, "
        r"'b\'1', current_timestamp(), 'b\'1')"
    )


def test_a_contract_may_gain_columns_and_not_change_their_types() -> None:
    """A gained column is empty in old rows, so never NOT NULL; a lost one may then be empty too."""
    before = silver_schema(
        [SilverColumn("id", "integer", required=True), SilverColumn("a", "string", True)]
    )
    gained = silver_schema(
        [SilverColumn("ID", "integer", required=True), SilverColumn("b", "number", required=True)]
    )
    changed = silver_schema([SilverColumn("id", "string", required=True)])

    assert evolution_statements("t", before, before) == []
    assert evolution_statements("t", before, gained) == [
        "ALTER TABLE t ADD COLUMNS (`b` double)",
        "ALTER TABLE t ALTER COLUMN `a` DROP NOT NULL",
    ]
    assert isinstance(before["id"].dataType, LongType)
    with pytest.raises(SilverError, match="'id' is bigint in silver and string by the contract"):
        evolution_statements("t", before, changed)
