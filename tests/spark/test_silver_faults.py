"""What goes wrong while silver is loaded: it fails cleanly or merges right, and ends right."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from spark_jobs.batch import parse
from spark_jobs.errors import BronzeError
from spark_jobs.lake import SparkLake
from spark_jobs.result import ORIGINS
from spark_jobs.silver import load as load_silver
from spark_jobs.silver.bronze import bronze_of
from tests.spark.harness import SparkHarness, columns_of

pytestmark = pytest.mark.spark

TYPES = {"id": "integer", "grade": "string", "price": "number"}
COLUMNS = columns_of(TYPES, required=["id"])
BOUND = [
    COLUMNS[0],
    COLUMNS[1] | {"enum": ["a", "it's"]},
    COLUMNS[2] | {"minimum": 0, "exclusiveMaximum": 10},
]
LANDED = "2026-11-22T12:00:00Z"


def item(key: int, grade: str | None = "a", price: float | None = 1.0) -> dict[str, Any]:
    """One row."""
    return {"id": key, "grade": grade, "price": price}


def items(spark_harness: SparkHarness) -> list[tuple[Any, ...]]:
    """The rows of silver, read by another reader."""
    rows = spark_harness.rows("silver/items", *TYPES, by="id")
    return [tuple(row.values()) for row in rows]


def load_items(
    spark_harness: SparkHarness, number: int, columns: list[dict[str, Any]], *rows: dict[str, Any]
) -> dict[str, Any]:
    """Load one drop by a contract of these columns."""
    drop = spark_harness.bronze("items", f"r{number}", TYPES, rows, f"2026-11-22T1{number}:00:00Z")
    return spark_harness.load(spark_harness.batch("items", f"b{number}", columns, ["id"], [drop]))


def test_delta_enforces_the_contracts_ranges_and_words(spark_harness: SparkHarness) -> None:
    """A row that breaks them is refused with run, column and count, whoever writes it."""
    load_items(spark_harness, 0, BOUND, item(1), item(2, "it's", 0.0), item(3, None, None))

    with pytest.raises(BronzeError, match=r"run r1 .*'price' has values.*in 2 rows"):
        load_items(spark_harness, 1, BOUND, item(4, "a", 10.0), item(5, "a", -0.5))

    table = f"delta.`{spark_harness.root}/silver/items`"
    with pytest.raises(Exception, match="DELTA_VIOLATE_CONSTRAINT"):
        spark_harness.spark.sql(f"UPDATE {table} SET grade = 'z' WHERE id = 1")
    assert [row[0] for row in items(spark_harness)] == [1, 2, 3]


@pytest.mark.parametrize("others", [0, 1])
def test_files_below_a_drops_folder_are_refused(spark_harness: SparkHarness, others: int) -> None:
    """No copy wrote them, and Spark would take a `name=value` folder for a column."""
    drops = [
        spark_harness.bronze("items", f"r{n}", TYPES, [item(n)], f"2026-11-22T1{n}:00:00Z")
        for n in range(1 + others)
    ]
    below = spark_harness.root / drops[0]["bronze"] / "grade=b"
    below.mkdir()
    (data,) = below.parent.glob("*.parquet")
    shutil.copy(data, below)

    with pytest.raises(BronzeError, match="lie below the folder"):
        spark_harness.load(spark_harness.batch("items", "b0", COLUMNS, ["id"], drops))

    assert not (spark_harness.root / "silver/items").exists() or items(spark_harness) == []


@pytest.mark.slow
def test_a_contract_that_changes_changes_the_constraint(spark_harness: SparkHarness) -> None:
    """Where older rows break a stricter one, the load goes on and says that it is not enforced."""
    wider = [BOUND[0], BOUND[1], COLUMNS[2] | {"minimum": 0, "maximum": 20}]
    load_items(spark_harness, 0, BOUND, item(1))

    assert "unenforced" not in load_items(spark_harness, 3, wider, item(4, "a", 20.0))
    assert (
        "rows from before that break" in load_items(spark_harness, 4, BOUND, item(5))["unenforced"]
    )
    with pytest.raises(BronzeError, match=r"run r5 .*'grade' has values.*in 1 rows"):
        load_items(spark_harness, 5, wider, item(6, "z"))
    assert [row[0] for row in items(spark_harness)] == [1, 4, 5]


def test_rows_that_speak_of_nothing_are_told(spark_harness: SparkHarness) -> None:
    """References into a silver table that is there are counted; nothing is refused for them."""
    types = {"id": "integer", "item": "integer", "shop": "string"}
    references = [
        {"columns": ["item"], "dataset": "items", "to": ["id"]},
        {"columns": ["shop"], "dataset": "shops", "to": ["name"]},
    ]
    rows: list[dict[str, Any]] = [
        {"id": 1, "item": 1, "shop": "n"},
        {"id": 2, "item": 9, "shop": "n"},
        {"id": 3, "item": None, "shop": "n"},
    ]
    known = spark_harness.bronze("items", "r1", TYPES, [item(1), item(2)], LANDED)
    spark_harness.load(spark_harness.batch("items", "b1", COLUMNS, ["id"], [known]))
    drop = spark_harness.bronze("sales", "r2", types, rows, LANDED) | {"rejected": 4}
    arguments = spark_harness.batch(
        "sales", "b2", columns_of(types), ["id"], [drop], references=references
    )

    result = spark_harness.load(arguments)

    assert result["orphans"] == {"item -> items.id": 1}
    assert (result["inserted"], result["rejected"]) == (3, 4)
    assert result["by_run"] == {"r2": {"rows_in": 3, "rejected": 4}}


@pytest.mark.slow
def test_two_loads_of_one_batch_at_once_are_one(
    spark_harness: SparkHarness, spark: SparkSession
) -> None:
    """Both end well, or one fails cleanly and its next attempt ends well; the rows are there once.

    They meet on a table that is not there yet, and again on one that is.
    """
    for number in (1, 2):
        rows = [item(key, "a", float(number)) for key in range(50)]
        landed = f"2026-11-22T1{number}:00:00Z"
        drop = spark_harness.bronze("items", f"r{number}", TYPES, rows, landed)
        arguments = spark_harness.batch(
            "items", f"b{number}", COLUMNS, ["id"], [drop], history=True
        )
        document = spark_harness.root / "manifest/batches/items/current.json"
        batch = parse(document.read_text(), dataset="items", batch_id=f"b{number}")
        lake = SparkLake(spark, arguments[1])

        with ThreadPoolExecutor(2) as pool:
            both = [pool.submit(load_silver.load, lake, batch) for _ in range(2)]
        results = [one.result() for one in both if one.exception() is None]
        results.append(load_silver.load(lake, batch))

        for result in results:
            assert (result.rows_in, result.inserted + result.updated) == (50, 50)
        assert items(spark_harness) == [(key, "a", float(number)) for key in range(50)]
    assert len(spark_harness.rows("silver/items_history")) in (50, 100)


def test_killed_between_silver_and_gold(spark_harness: SparkHarness) -> None:
    """Silver is loaded, gold is not; the next attempt reports the same counts and builds it."""
    drop = spark_harness.bronze("items", "r1", TYPES, [item(1), item(2), item(2, "b")], LANDED)
    arguments = spark_harness.batch("items", "b1", COLUMNS, ["id"], [drop])
    first = spark_harness.load(arguments)

    second = spark_harness.load(arguments)
    built = spark_harness.build(arguments)

    assert first == second
    assert built | {"tables": {}, ORIGINS: {}} == first | {"tables": {}, ORIGINS: {}}


@pytest.fixture
def small_disk(spark_harness: SparkHarness) -> Iterator[Path]:
    """Silver on a disk of its own that is soon full."""
    disk = spark_harness.root / "silver"
    disk.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.slow
def test_a_full_disk_leaves_silver_as_it_was(spark_harness: SparkHarness, small_disk: Path) -> None:
    """The load fails, the table stays readable, and the next attempt ends right when there is room.

    The disk is a tmpfs of 600 kB: Spark's own writes meet its end.
    """
    small = spark_harness.bronze("items", "r1", TYPES, [item(1)], "2026-11-22T11:00:00Z")
    spark_harness.load(spark_harness.batch("items", "b1", COLUMNS, ["id"], [small]))
    many = range(200_000)
    large = pa.table(
        {
            "id": pa.array(many, pa.int64()),
            "grade": pa.array([f"{key * 7919 % 1_000_003:x}" for key in many]),
            "price": pa.array([key / 7 for key in many]),
        }
    )
    drop = spark_harness.bronze("items", "r2", TYPES, large, LANDED)
    arguments = spark_harness.batch("items", "b2", COLUMNS, ["id"], [drop])

    with pytest.raises(Exception, match="No space left on device"):
        spark_harness.load(arguments)
    assert items(spark_harness) == [(1, "a", 1.0)]

    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    result = spark_harness.load(arguments)
    assert (result["inserted"], result["updated"]) == (199_999, 1)
    assert spark_harness.delta("silver/items").to_pyarrow_table().num_rows == 200_000


def test_bronze_is_one_table_with_run_and_place(spark_harness: SparkHarness) -> None:
    """The run is in the folder's name; number and line of a row stand in the row."""

    def drop(folder: str, *keys: int) -> None:
        rows = [{"id": key, "name": "x", "price": 1.0} for key in keys]
        spark_harness.bronze("items", folder, TYPES, rows, LANDED)

    drop("r1.a2", 7, 8, 9)
    drop("r2", 7)

    found = bronze_of(
        SparkLake(spark_harness.spark, f"file://{spark_harness.root}/{{container}}"), "items"
    )

    rows = sorted(tuple(r) for r in found.select("_run_id", "_record", "id").collect())
    assert rows == [("r1", 1, 7), ("r1", 2, 8), ("r1", 3, 9), ("r2", 1, 7)]
    assert {"_line", "_ingested_at"} <= set(found.columns)
