"""History: every statement is kept, and the versions of a row follow, whatever arrives when."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from spark_jobs.columns import SilverColumn
from spark_jobs.lake import SparkLake
from spark_jobs.session import SMALL_ROWS
from spark_jobs.silver.history import losers, superseded, versions
from spark_jobs.silver.rows import newest
from spark_jobs.silver.tables import versions_of
from tests.spark.harness import SparkHarness, columns_of

pytestmark = pytest.mark.spark

START = datetime(2026, 11, 1, tzinfo=UTC)
TYPES = {"id": "integer", "town": "string"}
COLUMNS = [SilverColumn("id", "integer", required=True), SilverColumn("town", "string")]
KEY = COLUMNS[:1]

Statement = tuple[int, str | None, str, datetime]
"""Key, value, run and time of landing."""


def oracle(statements: Sequence[Statement]) -> list[tuple[Any, ...]]:
    """The versions that follow from all statements, by pandas: key, value, from, to."""
    frame = pd.DataFrame(statements, columns=["id", "town", "run", "at"])
    frame["town"] = frame["town"].fillna("")  # the least of all, as null is to Spark
    # Of one drop the greater value stands, of one moment the greater run.
    frame = frame.sort_values(["id", "at", "run", "town"])
    frame = frame.drop_duplicates(["id", "at"], keep="last")
    frame = frame[frame["town"] != frame.groupby("id")["town"].shift()]
    frame["to"] = frame.groupby("id")["at"].shift(-1)
    return [
        (key, town or None, run, at.to_pydatetime(), None if pd.isna(to) else to.to_pydatetime())
        for key, town, run, at, to in frame.itertuples(index=False)
    ]


def drops(seed: int, number: int) -> list[list[Statement]]:
    """Drops in the order of landing; some land at once, some say a key twice or restate it."""
    chance = random.Random(seed)  # noqa: S311 - test data
    made = []
    for index in range(number):
        at = START + timedelta(days=index - (index % 4 == 3))
        run = f"r{chance.randrange(10)}{index:02}"
        keys = [chance.randrange(6) for _ in range(chance.randint(1, 7))]
        made.append([(key, chance.choice(["a", "b", None]), run, at) for key in keys])
    return made


SCHEMA = "id long, town string, _run_id string, _landed_at timestamp"


@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 6))]
)
def test_all_orders_of_arrival_give_the_same_history(spark: SparkSession, seed: int) -> None:
    """Random drops in random batches, some loaded twice: the versions are those of the oracle.

    Only the transforms are turned here, on frames; silver is the newest, history what they lose.
    """
    made = drops(seed, 9)
    chance = random.Random(100 + seed)  # noqa: S311 - test data
    expected = oracle([statement for drop in made for statement in drop])
    assert len(expected) > 8

    arriving = made + chance.sample(made, 2)
    chance.shuffle(arriving)
    silver, past = spark.createDataFrame([], SCHEMA), spark.createDataFrame([], SCHEMA)
    while arriving:
        size = chance.randint(1, 4)
        batch, arriving = arriving[:size], arriving[size:]
        rows = spark.createDataFrame([s for drop in batch for s in drop], SCHEMA)
        winners = newest(rows, KEY, COLUMNS)
        lost = superseded(winners, silver, key=KEY, columns=COLUMNS).unionByName(
            losers(rows, key=KEY, columns=COLUMNS)
        )
        past = _local(spark, past.unionByName(lost))
        silver = _local(spark, newest(silver.unionByName(winners), KEY, COLUMNS))

    found = versions(silver, past, key=KEY, columns=COLUMNS)
    assert expected == _rows(found)


def _local(spark: SparkSession, frame: Any) -> Any:
    rows = [tuple(row) for row in frame.collect()]
    return spark.createDataFrame(rows, SCHEMA)


def _rows(frame: Any) -> list[tuple[Any, ...]]:
    chosen = frame.selectExpr(
        "id", "town", "_run_id", "unix_micros(valid_from)", "unix_micros(valid_to)", "is_current"
    )
    rows = [tuple(row) for row in chosen.orderBy("id", "valid_from").collect()]
    assert all(row[5] == (row[4] is None) for row in rows)
    return [(*row[:3], _time(row[3]), _time(row[4])) for row in rows]


def _time(micros: int | None) -> datetime | None:
    return None if micros is None else datetime.fromtimestamp(micros / 1e6, UTC)


@pytest.mark.parametrize("most", [SMALL_ROWS, 0], ids=["small", "large"])
def test_the_job_keeps_history_where_the_contract_says(
    spark_harness: SparkHarness, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """In order, late and doubled drops: silver has the newest, and all versions can be asked.

    A first load has no history to keep, and a batch that is loaded again adds nothing to it.
    It is the same whether the batches count as small or not.
    """
    monkeypatch.setattr("spark_jobs.silver.load.SMALL_ROWS", most)
    days = [START + timedelta(days=day) for day in range(6)]

    def drop(day: int, *rows: tuple[int, str | None]) -> dict[str, Any]:
        said = [{"id": key, "town": town} for key, town in rows]
        return spark_harness.bronze("people", f"r{day}", TYPES, said, days[day].isoformat())

    def load(batch_id: str, *chosen: dict[str, Any]) -> None:
        columns = columns_of(TYPES, required=["id"])
        arguments = spark_harness.batch("people", batch_id, columns, ["id"], chosen, history=True)
        spark_harness.load(arguments)

    first = drop(0, (1, "Lyon"), (2, "Lille"))
    load("b1", first)
    assert not (spark_harness.root / "silver/people_history").exists()

    third = drop(3, (1, "Paris"), (2, "Lille"))
    load("b2", third)
    kept = spark_harness.delta("silver/people_history").version()
    load("b2", third)
    assert spark_harness.delta("silver/people_history").version() == kept
    last, late = drop(5, (1, "Paris"), (3, "Metz")), drop(2, (1, "Nice"), (2, None))
    load("b3", last, drop(4, (1, "Brest")))
    load("b4", late, first)

    lake = SparkLake(spark_harness.spark, f"file://{spark_harness.root}/{{container}}")
    assert _rows(versions_of(lake, "people")) == [
        (1, "Lyon", "r0", days[0], days[2]),
        (1, "Nice", "r2", days[2], days[3]),
        (1, "Paris", "r3", days[3], days[4]),
        (1, "Brest", "r4", days[4], days[5]),
        (1, "Paris", "r5", days[5], None),
        (2, "Lille", "r0", days[0], days[2]),
        (2, None, "r2", days[2], days[3]),
        (2, "Lille", "r3", days[3], None),
        (3, "Metz", "r5", days[5], None),
    ]


def test_a_small_batch_of_new_keys_writes_no_history(spark_harness: SparkHarness) -> None:
    """Nothing is superseded, so there is no commit, and no table where there was none."""
    for number in range(2):
        said = [{"id": number, "town": "Lyon"}]
        landed = (START + timedelta(days=number)).isoformat()
        drop = spark_harness.bronze("people", f"r{number}", TYPES, said, landed)
        columns = columns_of(TYPES, required=["id"])
        result = spark_harness.load(
            spark_harness.batch("people", f"b{number}", columns, ["id"], [drop], history=True)
        )
        assert result["inserted"] == 1

    assert not (spark_harness.root / "silver/people_history").exists()
