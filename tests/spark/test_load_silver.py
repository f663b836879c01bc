"""load_silver on a lake: every way in which drops can arrive, and what is wrong with some."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest

from spark_jobs.errors import BatchNotCurrentError, BronzeError, SilverError
from tests.spark.harness import SparkHarness, columns_of

pytestmark = pytest.mark.spark

TYPES = {"shop": "string", "order": "integer", "amount eur": "number"}
COLUMNS = columns_of(TYPES, required=["order"])
KEY = ["shop", "order"]


def sale(shop: str | None, order: int | None, amount: float | None) -> dict[str, Any]:
    """One row."""
    return {"shop": shop, "order": order, "amount eur": amount}


def counts(result: dict[str, Any]) -> tuple[int, ...]:
    """Rows in, and what became of them."""
    names = ("rows_in", "inserted", "updated", "unchanged", "duplicates")
    return tuple(result[name] for name in names)


def sales(spark_harness: SparkHarness) -> list[tuple[Any, ...]]:
    """Rows of silver, with the run that states each and the batch that last changed it."""
    frame = spark_harness.spark.read.format("delta").load(
        str(spark_harness.root / "silver" / "sales")
    )
    names = ["shop", "`order`", "`amount eur`", "_run_id", "_batch_id", "_first_batch_id"]
    return sorted((tuple(row) for row in frame.select(*names).collect()), key=repr)


def test_drops_may_come_late_doubled_and_again(spark_harness: SparkHarness) -> None:
    """The newest statement about a key stands, whatever comes when; each count is exact.

    Keys are composite, one has a null, and a column's name has a blank and one is a reserved word.
    """

    def drop(run_id: str, hour: int, *rows: dict[str, Any]) -> dict[str, Any]:
        return spark_harness.bronze("sales", run_id, TYPES, rows, f"2026-11-22T{hour}:00:00+01:00")

    def load(batch_id: str, *drops: dict[str, Any]) -> tuple[tuple[int, ...], int]:
        result = spark_harness.load(spark_harness.batch("sales", batch_id, COLUMNS, KEY, drops))
        return counts(result), result["tables"]["silver/sales"]["version"]

    # Two drops in one batch, the newer listed first; a key twice within one, and across both.
    noon = drop("r12", 12, sale("n", 1, 10.0), sale(None, 1, 1.5), sale(None, 1, 2.5))
    ten = drop("r10", 10, sale("n", 1, 9.0), sale("n", 2, 20.0))
    assert load("b1", noon, ten) == ((5, 3, 0, 0, 2), 1)
    first = [
        ("n", 1, 10.0, "r12", "b1", "b1"),
        ("n", 2, 20.0, "r10", "b1", "b1"),
        (None, 1, 2.5, "r12", "b1", "b1"),
    ]
    assert first == sales(spark_harness)

    # The same batch again, as after a job that died: same counts, no new version.
    assert load("b1", noon, ten) == ((5, 3, 0, 0, 2), 1)
    # Its drops in another batch: nothing to do, no new version.
    assert load("b2", ten, noon) == ((5, 0, 0, 3, 2), 1)
    assert first == sales(spark_harness)

    # A newer drop: one row as it was, one changed, one new.
    three = drop("r15", 15, sale("n", 1, 10.0), sale("n", 2, None), sale("s", 1, 0.0))
    assert load("b3", three) == ((3, 1, 1, 1, 0), 2)
    # A late one, between noon and three: it may only add what nobody spoke of since. The restated
    # row keeps the amount of three o'clock, though its value is older than the late drop.
    late = drop("r13", 13, sale("n", 1, 99.0), sale("n", 2, 99.0), sale("t", 1, 5.0))
    assert load("b4", late) == ((3, 1, 0, 2, 0), 3)
    assert sales(spark_harness) == [
        ("n", 1, 10.0, "r15", "b1", "b1"),
        ("n", 2, None, "r15", "b3", "b1"),
        ("s", 1, 0.0, "r15", "b3", "b3"),
        ("t", 1, 5.0, "r13", "b4", "b4"),
        (None, 1, 2.5, "r12", "b1", "b1"),
    ]


def test_a_batch_that_is_not_right_is_refused_and_silver_stays(spark_harness: SparkHarness) -> None:
    """Each refusal names the run, and the column where it is about one; then a good batch loads."""

    def refused(drops: list[dict[str, Any]]) -> str:
        arguments = spark_harness.batch("sales", "b1", COLUMNS, KEY, drops)
        with pytest.raises(BronzeError) as raised:
            spark_harness.load(arguments)
        return str(raised.value)

    def drop(run_id: str, rows: Any) -> dict[str, Any]:
        return spark_harness.bronze("sales", run_id, TYPES, rows, "2026-11-22T12:00:00Z")

    good = drop("good", [sale("n", 1, 10.0)])
    gone = drop("gone", pa.table({"shop": ["n"], "order": [2], "amount eur": [1.0]}))
    validated = drop("validated", [sale("n", 2, 1.0)])
    for dataset, lost in (("gone", gone), ("validated", validated)):
        shutil.rmtree(spark_harness.root / "bronze" / "sales" / dataset)
        said = refused([good, lost])
        assert f"run {dataset} (bronze/sales/{dataset}): the folder does not exist" in said
    (spark_harness.root / "bronze" / "sales" / "gone").mkdir()
    assert "run gone (bronze/sales/gone): the folder holds no Parquet file" in refused([good, gone])
    (spark_harness.root / "bronze" / "sales" / "gone" / "data.parquet").write_bytes(
        b"PAR1 not quite"
    )
    assert "run gone (bronze/sales/gone): it cannot be read" in refused([good, gone])

    changed = drop("changed", pa.table({"shop": ["n"], "order": ["1"], "amount eur": [1.0]}))
    said = refused([good, changed])
    assert "run changed" in said
    assert "column 'order' is string there, and the contract's integer" in said

    lacking = drop("lacking", pa.table({"shop": ["n"], "Order": [1]}))
    said = refused([good, lacking])
    assert "run lacking" in said
    assert "column 'order' is missing (it has 'Order'); column 'amount eur' is missing" in said

    assert "run good (bronze/sales/good): it has 1 rows, and 2 were accepted" in refused(
        [good | {"rows": 2}]
    )

    empty = drop("empty", [sale("n", 3, 1.0), sale("n", None, 2.0)])
    assert "run empty (bronze/sales/empty): column 'order' is required and empty in 1 rows" in (
        refused([good, empty])
    )
    assert sales(spark_harness) == []

    result = spark_harness.load(spark_harness.batch("sales", "b2", COLUMNS, KEY, [good]))
    assert counts(result) == (1, 1, 0, 0, 0)


def test_a_drop_may_lack_what_its_contract_lets_it_lack(spark_harness: SparkHarness) -> None:
    """A column that an earlier release found missing is read as nulls, beside one that has it."""
    at = "2026-11-22T13:00:00+01:00"
    whole = spark_harness.bronze("sales", "whole", TYPES, [sale("n", 1, 1.5)], at)
    table = pa.table({"shop": ["n"], "order": [2]})
    without = spark_harness.bronze("sales", "without", TYPES, table, at)
    lacking = without | {"missing": ["amount eur"]}

    spark_harness.load(spark_harness.batch("sales", "b1", COLUMNS, KEY, [whole, lacking]))

    assert [row[:3] for row in sales(spark_harness)] == [("n", 1, 1.5), ("n", 2, None)]
    with pytest.raises(BronzeError, match="column 'amount eur' is missing"):
        spark_harness.load(spark_harness.batch("sales", "b2", COLUMNS, KEY, [without]))


def test_what_was_copied_by_earlier_releases_is_brought_to_silvers_types(
    spark_harness: SparkHarness,
) -> None:
    """Data Factory wrote times for dates, and narrower numbers; nothing else is converted."""
    types = {"id": "integer", "n": "number", "day": "date", "at": "timestamp"}
    noon = datetime(2026, 11, 22, 12)  # noqa: DTZ001 - as Data Factory writes times
    table = pa.table(
        {
            "id": pa.array([1], pa.int32()),
            "n": pa.array([3], pa.int64()),
            "day": pa.array([noon], pa.timestamp("us")),
            "at": pa.array([noon.date()], pa.date32()),
            "extra": ["x"],
        }
    )
    drop = spark_harness.bronze("old", "r1", types, table, "2026-11-22T12:00:00Z")

    spark_harness.load(spark_harness.batch("old", "b1", columns_of(types), ["id"], [drop]))

    (row,) = spark_harness.rows("silver/old", "id", "n", "day", "at")
    midnight = datetime(2026, 11, 22, tzinfo=UTC)
    assert row == {"id": 1, "n": 3.0, "day": noon.date(), "at": midnight}


def test_keys_that_differ_in_the_file_are_rows_of_their_own(spark_harness: SparkHarness) -> None:
    """Blanks are part of a value; an empty text is one, beside null; days of year 1 are kept."""
    types = {"k": "string", "day": "date"}
    keys = ["a", "a ", " a", "a\u00a0", "a\t", "\ufeffa", "", " ", None]
    rows = [{"k": k, "day": date(1, 1, 1)} for k in keys]
    drop = spark_harness.bronze("keys", "r1", types, rows, "2026-11-22T12:00:00Z")

    result = spark_harness.load(spark_harness.batch("keys", "b1", columns_of(types), ["k"], [drop]))

    assert counts(result) == (9, 9, 0, 0, 0)
    found = spark_harness.rows("silver/keys", "k", "day")
    assert {row["k"] for row in found} == set(keys)
    assert {row["day"] for row in found} == {date(1, 1, 1)}


def test_bronze_that_is_not_what_was_validated_is_not_loaded(spark_harness: SparkHarness) -> None:
    """More bytes, more files or other rows: the drop is named, and silver stays as it is."""
    drop = spark_harness.bronze("sales", "r1", TYPES, [sale("n", 1, 1.0)], "2026-11-22T12:00:00Z")
    file = spark_harness.root / "bronze" / "sales" / "r1" / "data.parquet"

    def refused(**changes: Any) -> str:
        arguments = spark_harness.batch("sales", "b1", COLUMNS, KEY, [drop | changes])
        with pytest.raises(BronzeError) as raised:
            spark_harness.load(arguments)
        return str(raised.value)

    size = file.stat().st_size
    told = f"it holds 1 Parquet files of {size} bytes, and validation wrote 1 of {size + 1}"
    assert told in refused(size=size + 1)
    assert "it has 1 rows, and 2 were accepted" in refused(rows=2)
    shutil.copy(file, file.with_name("more.parquet"))
    assert f"it holds 2 Parquet files of {2 * size} bytes" in refused()
    assert sales(spark_harness) == []


EVENTS = {"kind": "string", "n": "integer"}


def test_without_a_key_rows_are_added_and_a_batch_may_come_again(
    spark_harness: SparkHarness,
) -> None:
    """Equal rows are rows of their own; retries, replays and halved batches add none twice."""

    def drop(run_id: str, *rows: tuple[str | None, int | None]) -> dict[str, Any]:
        named = [{"kind": kind, "n": n} for kind, n in rows]
        at = f"2026-11-22T1{run_id[-1]}:00:00Z"
        return spark_harness.bronze("events", run_id, EVENTS, named, at)

    def load(batch_id: str, *drops: dict[str, Any]) -> tuple[tuple[int, ...], int]:
        arguments = spark_harness.batch("events", batch_id, columns_of(EVENTS), [], drops)
        result = spark_harness.load(arguments)
        return counts(result), result["tables"]["silver/events"]["version"]

    def events() -> list[tuple[Any, ...]]:
        names = ("kind", "n", "_run_id", "_record", "_batch_id")
        return sorted(tuple(row[n] for n in names) for row in spark_harness.rows("silver/events"))

    one = drop("r1", ("click", 1), ("click", 1), ("view", 2))
    two = drop("r2", ("click", 1))
    assert load("b1", one, two) == ((4, 4, 0, 0, 0), 1)
    first = [
        ("click", 1, "r1", 1, "b1"),
        ("click", 1, "r1", 2, "b1"),
        ("click", 1, "r2", 1, "b1"),
        ("view", 2, "r1", 3, "b1"),
    ]
    assert events() == first

    # The same batch again, as after a job that died; a half of it; its drops in another batch.
    assert load("b1", one, two) == ((4, 4, 0, 0, 0), 1)
    assert load("b1.1", one) == ((3, 0, 0, 3, 0), 1)
    assert load("b2", two, one) == ((4, 0, 0, 4, 0), 1)
    # A drop that landed before these.
    early = drop("r0", ("click", 1))
    assert load("b3", early) == ((1, 1, 0, 0, 0), 2)
    assert len(events()) == 5

    # A replay by another contract: one row says something else, one is not accepted any more.
    shutil.rmtree(spark_harness.root / "bronze" / "events" / "r1")
    again = drop("r1", ("click", 1), ("tap", 1))
    assert load("b4", again) == ((2, 0, 1, 1, 0), 3)
    assert [row for row in events() if row[2] == "r1"] == [
        ("click", 1, "r1", 1, "b1"),
        ("tap", 1, "r1", 2, "b4"),
    ]
    assert len(events()) == 4


def test_a_start_for_a_batch_that_is_gone_is_refused(spark_harness: SparkHarness) -> None:
    """No document, or another batch's: this start came too late, and says so."""
    arguments = spark_harness.arguments("sales", "b1")
    with pytest.raises(
        BatchNotCurrentError, match=r"b1 is no longer current: there is no manifest"
    ):
        spark_harness.load(arguments)
    spark_harness.batch("sales", "b2", COLUMNS, KEY, [])
    with pytest.raises(BatchNotCurrentError, match=r"b1 is no longer current.*b2's"):
        spark_harness.load(arguments)
    with pytest.raises(BatchNotCurrentError, match=r"b1 is no longer current"):
        spark_harness.build(arguments)


def test_nothing_to_load_is_a_success(spark_harness: SparkHarness) -> None:
    """A batch without drops, and a Parquet file without rows: the table is there, and empty.

    Audit columns that bronze brings are not the dataset's; gold says that none is defined.
    """
    none = spark_harness.load(spark_harness.batch("ad-hoc", "b1", COLUMNS, KEY, []))
    assert counts(none) == (0, 0, 0, 0, 0)

    audited = pa.table(
        {
            "order": pa.array([], pa.int32()),
            "amount eur": pa.array([], pa.float32()),
            "shop": pa.array([], pa.string()),
            "_run_id": pa.array([], pa.string()),
            "_ingested_at": pa.array([], pa.string()),
        }
    )
    drop = spark_harness.bronze("ad-hoc", "r1", TYPES, audited, "2026-11-22T12:00:00Z")
    arguments = spark_harness.batch("ad-hoc", "b2", COLUMNS, KEY, [drop])
    loaded = spark_harness.load(arguments)
    assert counts(loaded) == (0, 0, 0, 0, 0)
    assert loaded["by_run"] == {"r1": {"rows_in": 0, "rejected": 0}}
    assert spark_harness.build(arguments)["tables"] == {"silver/ad-hoc": {"version": 0, "rows": 0}}


def test_an_empty_log_that_a_dead_job_left_is_no_obstacle(spark_harness: SparkHarness) -> None:
    """Killed before its first commit, the job leaves a log folder without a table.

    What the contract requires, the table that is made there requires all the same.
    """
    (spark_harness.root / "silver" / "sales" / "_delta_log").mkdir(parents=True)
    drop = spark_harness.bronze(
        "sales", "r1", TYPES, [sale("n", None, 1.0)], "2026-11-22T12:00:00Z"
    )

    spark_harness.load(spark_harness.batch("sales", "b1", COLUMNS, KEY, []))

    assert sales(spark_harness) == []
    with pytest.raises(BronzeError, match=r"run r1 .*'order' is required and empty in 1 rows"):
        spark_harness.load(spark_harness.batch("sales", "b2", COLUMNS, KEY, [drop]))


def test_silver_follows_a_contract_that_grows(spark_harness: SparkHarness) -> None:
    """Gained columns are empty in old rows, lost ones in new rows; a changed type is refused."""

    def load(number: int, types: dict[str, str], row: dict[str, Any]) -> dict[str, Any]:
        columns = columns_of(types, required=list(types))
        drop = spark_harness.bronze("n", f"r{number}", types, [row], f"2026-11-22T1{number}:00:00Z")
        return spark_harness.load(spark_harness.batch("n", f"b{number}", columns, ["id"], [drop]))

    load(1, {"id": "integer", "lost": "string"}, {"id": 1, "lost": "x"})
    load(2, {"id": "integer", "gained": "number"}, {"id": 2, "gained": 0.5})

    assert spark_harness.rows("silver/n", "id", "lost", "gained", by="id") == [
        {"id": 1, "lost": "x", "gained": None},
        {"id": 2, "lost": None, "gained": 0.5},
    ]
    with pytest.raises(SilverError, match="'gained' is double in silver and string"):
        load(3, {"id": "integer", "gained": "string"}, {"id": 3, "gained": "y"})
