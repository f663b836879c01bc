"""Users to gold through both jobs, with answers computed by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from landfall.gold import read_gold
from spark_jobs.errors import ResultError
from tests.spark.harness import USER_TYPES, SparkHarness, columns_of

pytestmark = pytest.mark.spark

COLUMNS = columns_of(USER_TYPES, required=["identifierHash"])

USERS = """
id country  gender bought wished liked sold listed pass offline followers follows app ios seniority
1  France   F      10     4      30    0    0      0    11      5         8       T   T   3000
2  France   F      1      0      2     0    0      0    20      4         9       T   T   3000
3  France   M      2      1      0     25   4      50   -       3         8       T   F   3000
4  Malte    F      1      0      0     0    0      0    366     3         8       F   F   3000
5  France   F      0      7      3     1    0      0    100     10        20      F   F   3001
6  Espagne  F      0      1      0     0    2      0    12      3         9       T   T   3002
7  Namibie  M      0      0      0     0    0      0    1       3         8       F   F   3000
8  -        -      0      0      0     20   0      0    50      3         8       -   -   2998
"""

NAMES = {
    "id": "identifierHash",
    "bought": "productsBought",
    "wished": "productsWished",
    "liked": "socialProductsLiked",
    "sold": "productsSold",
    "listed": "productsListed",
    "pass": "productsPassRate",
    "offline": "daysSinceLastLogin",
    "followers": "socialNbFollowers",
    "follows": "socialNbFollows",
    "app": "hasAnyApp",
    "ios": "hasIosApp",
}

BUYERS: list[list[Any]] = [
    [
        *("France", 3, 1, 33.3, 2, 1, 1, 0, 66.7, 100.0),
        *(260.0, 40.63, 250.0, 33.33),  # 40.625: half up
        *(13, 5, 32, 10, 4, 30, 4.3, 1.7, 10.7, 10.0, 4.0, 30.0),
        *(15.5, 11.0, 4.0, 8.3, 5.0, 8.0),  # the one who never logged in has no offline days
    ],
    [
        *("Malte", 1, 0, 0.0, 1, 0, 0, 0, 100.0, None),
        *(None, None, None, None),
        *(1, 0, 0, 0, 0, 0, 1.0, 0.0, 0.0, None, None, None),
        *(366.0, None, 3.0, 8.0, None, None),
    ],
]

TOP_SELLERS = [
    [
        *("(unknown)", 1, 1, 100.0, 0.0, 0.0, 0, 0, 0, 0, None, None),
        *(20, 20, 0, 0, 20.0, 0.0, 20.0, 0.0, 50.0, 50.0, 3.0, 8.0, 3.0, 8.0),
    ],
    [
        *("France", 2, 1, 50.0, 50.0, 0.0, 1, 1, 0, 1, 6.5, 6.25),
        *(25, 26, 4, 4, 25.0, 4.0, 13.0, 2.0, 100.0, None, 6.5, 14.0, 3.0, 8.0),
    ],
]

UNKNOWN = [1, 20.0, 0.0, 0.0, 20, 0, 0.0, 0.0, 0.0, 0, 0, 0, 3.0, 8.0, None, None, 2998.0]
ESPAGNE_F = [1, 0.0, 2.0, 0.0, 0, 2, 0.0, 1.0, 0.0, 0, 1, 0, 3.0, 9.0, 100, 100, 3002.0]
FRANCE_F = [1, 1.0, 0.0, 0.0, 1, 0, 0.0, 7.0, 3.0, 0, 7, 3, 10.0, 20.0, None, None, 3001.0]
MALE = [1, 25.0, 4.0, 50.0, 25, 4, 2.0, 1.0, 0.0, 2, 1, 0, 3.0, 8.0, 100, None, 3000.0]
FEMALE = [2, 0.5, 1.0, 0.0, 1, 2, 0.0, 4.0, 1.5, 0, 8, 3, 6.5, 14.5, 50, 50, 3001.5]
ALL = [4, 11.5, 1.5, 12.5, 46, 6, 0.5, 2.25, 0.75, 2, 9, 3, 4.8, 11.3, 50, 25, 3000.25]
SELLERS = [
    ["(unknown)", "(unknown)", *UNKNOWN],
    ["Espagne", "Female", *ESPAGNE_F],
    ["France", "Female", *FRANCE_F],
    ["France", "Male", *MALE],
    [None, "(unknown)", *UNKNOWN],
    [None, "Female", *FEMALE],
    [None, "Male", *MALE],
    [None, None, *ALL],
]

# users, F, M, active, buyers, sellers, both; rates; bought, sold, listed; means
COUNTRIES: list[list[Any]] = [
    [
        *("France", 4, 3, 1, 4, 3, 2, 1, 100.0, 75.0, 50.0, 75.0),
        *(13, 26, 4, 4.33, 13.0, 25.0, 20.0),  # 11, 20, 100: one never logged in
    ],
    [
        *("(unknown)", 1, 0, 0, 1, 0, 1, 0, 100.0, 0.0, 100.0, 0.0),
        *(0, 20, 0, None, 20.0, 0.0, 50.0),
    ],
    ["Espagne", 1, 1, 0, 1, 0, 1, 0, 100.0, 0.0, 100.0, 100.0, 0, 0, 2, None, None, None, 12.0],
    ["Malte", 1, 1, 0, 1, 1, 0, 0, 100.0, 100.0, 0.0, 0.0, 1, 0, 0, 1.0, None, None, 366.0],
    ["Namibie", 1, 0, 1, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0, 0, 0, None, None, None, 1.0],
]

# account days and months, users, buyers, sellers; rates; bought, sold; means
COHORTS: list[list[Any]] = [
    [2998, 99, 1, 0, 1, 0.0, 100.0, 0.0, 100.0, 0.0, 0, 20, 0.0, 20.0],
    # 366 days are no year any more; one of five never logged in
    [3000, 100, 5, 4, 1, 80.0, 20.0, 60.0, 60.0, 60.0, 14, 25, 2.8, 5.0],
    [3001, 100, 1, 0, 1, 0.0, 100.0, 0.0, 100.0, 0.0, 0, 1, 0.0, 1.0],
    [3002, 100, 1, 0, 1, 0.0, 100.0, 100.0, 100.0, 100.0, 0, 0, 0.0, 0.0],
]


def users() -> list[dict[str, Any]]:
    """The users above; what is not said of them is not known."""
    header, *lines = (line.split() for line in USERS.strip().splitlines())
    read: dict[str, Callable[[str], Any]] = {
        "string": str,
        "integer": int,
        "number": float,
        "boolean": "T".__eq__,
    }
    names = [NAMES.get(name, name) for name in header]
    return [
        {
            name: None if cell == "-" else read[USER_TYPES[name]](cell)
            for name, cell in zip(names, line, strict=True)
        }
        for line in lines
    ]


def cells(spark_harness: SparkHarness, table: str) -> list[list[Any]]:
    """A gold table, row by row as it is stored."""
    return [list(row.values()) for row in spark_harness.rows(f"gold/{table}")]


def test_gold_is_what_its_definition_says(spark_harness: SparkHarness) -> None:
    """Every cell by hand; then a second build that has nothing to do, and a third that has."""
    drop = spark_harness.bronze("users", "r1", USER_TYPES, users(), "2026-11-22T12:00:00Z")
    arguments = spark_harness.batch("users", "b1", COLUMNS, ["identifierHash"], [drop])
    with pytest.raises(ResultError, match="has not run"):
        spark_harness.build(arguments)
    spark_harness.load(arguments)

    result = spark_harness.build(arguments)

    assert cells(spark_harness, "buyers_by_country") == BUYERS
    assert cells(spark_harness, "top_seller_countries") == TOP_SELLERS
    assert cells(spark_harness, "sellers_compared") == SELLERS
    assert cells(spark_harness, "country_kpis") == COUNTRIES
    assert cells(spark_harness, "cohort_kpis") == COHORTS
    tables = {path for path in result["tables"] if path.startswith("gold/")}
    origins = result.pop("origins")
    assert origins.keys() == tables
    for origin in origins.values():
        assert [("silver/users", 1)] == [(s["table"], s["version"]) for s in origin["sources"]]
    assert result == {
        "schema": 1,
        "batch_id": "b1",
        "dataset": "users",
        "rows_in": 8,
        "inserted": 8,
        "updated": 0,
        "unchanged": 0,
        "duplicates": 0,
        "rejected": 0,
        "by_run": {"r1": {"rows_in": 8, "rejected": 0}},
        "tables": {
            "silver/users": {"version": 1, "rows": 8},
            "gold/buyers_by_country": {"version": 0, "rows": 2, "rebuilt": True},
            "gold/cohort_kpis": {"version": 0, "rows": 4, "rebuilt": True},
            "gold/country_kpis": {"version": 0, "rows": 5, "rebuilt": True},
            "gold/sellers_compared": {"version": 0, "rows": 8, "rebuilt": True},
            "gold/top_seller_countries": {"version": 0, "rows": 2, "rebuilt": True},
        },
    }

    again = spark_harness.build(arguments)["tables"]
    assert again["gold/buyers_by_country"] == {"version": 0, "rows": 2, "rebuilt": False}

    malte = [user for user in users() if user["country"] == "Malte"]
    moved = [user | {"country": "Chypre"} for user in malte]
    drop = spark_harness.bronze("users", "r2", USER_TYPES, moved, "2026-11-22T13:00:00Z")
    arguments = spark_harness.batch("users", "b2", COLUMNS, ["identifierHash"], [drop])
    spark_harness.load(arguments)
    third = spark_harness.build(arguments)["tables"]
    assert third["gold/buyers_by_country"] == {"version": 1, "rows": 2, "rebuilt": True}
    assert [BUYERS[0], ["Chypre", *BUYERS[1][1:]]] == cells(spark_harness, "buyers_by_country")


def test_a_gold_table_that_reads_another_is_built_after_it(
    spark_harness: SparkHarness, tmp_path: Path
) -> None:
    """Both follow a load of the dataset at the bottom; an equal load rebuilds neither."""
    (tmp_path / "totals.sql").write_text("SELECT sum(users) AS users FROM gold_per_country")
    (tmp_path / "per_country.sql").write_text(
        "SELECT country, count(*) AS users FROM silver_users GROUP BY country"
    )
    spark_harness.define_gold(read_gold(tmp_path, {"users"}))
    drop = spark_harness.bronze("users", "r1", USER_TYPES, users(), "2026-11-22T12:00:00Z")
    arguments = spark_harness.batch("users", "b1", COLUMNS, ["identifierHash"], [drop])
    spark_harness.load(arguments)
    built = spark_harness.build(arguments)
    assert spark_harness.rows("gold/totals") == [{"users": 8}]
    assert built["origins"]["gold/totals"]["sources"][0]["table"] == "gold/per_country"
    again = spark_harness.build(arguments)["tables"]
    assert not again["gold/totals"]["rebuilt"]

    more = [users()[0] | {"identifierHash": 12345}]
    drop = spark_harness.bronze("users", "r2", USER_TYPES, more, "2026-11-22T13:00:00Z")
    arguments = spark_harness.batch("users", "b2", COLUMNS, ["identifierHash"], [drop])
    spark_harness.load(arguments)
    spark_harness.build(arguments)
    assert spark_harness.rows("gold/totals") == [{"users": 9}]


def test_deleted_rows_are_left_out(spark_harness: SparkHarness, tmp_path: Path) -> None:
    """A statement sees no row with a mark; a contract that says so later has gold built anew."""
    (tmp_path / "per_country.sql").write_text(
        "SELECT country, count(*) AS users FROM silver_users GROUP BY country"
    )
    gold = read_gold(tmp_path, {"users"})
    spark_harness.define_gold(gold)
    drop = spark_harness.bronze("users", "r1", USER_TYPES, users(), "2026-11-22T12:00:00Z")
    arguments = spark_harness.batch("users", "b1", COLUMNS, ["identifierHash"], [drop])
    spark_harness.load(arguments)
    spark_harness.build(arguments)
    assert sum(row["users"] for row in spark_harness.rows("gold/per_country")) == 8

    spark_harness.define_gold(replace(gold, deleted={"users": "hasAnyApp"}))
    built = spark_harness.build(arguments)["tables"]
    assert built["gold/per_country"]["rebuilt"]
    left = sum(not user["hasAnyApp"] for user in users())
    assert 0 < left < 8
    assert sum(row["users"] for row in spark_harness.rows("gold/per_country")) == left


def test_a_statement_that_fails_is_its_tables_own_trouble(
    spark_harness: SparkHarness, tmp_path: Path
) -> None:
    """Of five tables three cannot be built, each for another reason; the others are."""
    folder = tmp_path / "gold"
    folder.mkdir()
    for name, sql in {
        "good": "SELECT country, count(*) AS users FROM silver_users GROUP BY country",
        "of_good": "SELECT count(*) AS countries FROM gold_good",
        "no_column": "SELECT countri FROM silver_users",
        "no_sql": "SELECT count(* FROM silver_users",
        "no_number": "SELECT CAST(concat('x', country) AS INT) AS n FROM silver_users",
    }.items():
        (folder / f"{name}.sql").write_text(sql)
    spark_harness.define_gold(read_gold(folder, {"users"}))
    drop = spark_harness.bronze("users", "r1", USER_TYPES, users(), "2026-11-22T12:00:00Z")
    arguments = spark_harness.batch("users", "b1", COLUMNS, ["identifierHash"], [drop])
    spark_harness.load(arguments)

    result = spark_harness.build(arguments)

    assert {path for path in result["tables"] if path.startswith("gold/")} == {
        "gold/good",
        "gold/of_good",
    }
    assert result["unbuilt"].keys() == {"gold/no_column", "gold/no_sql", "gold/no_number"}
    assert "countri" in result["unbuilt"]["gold/no_column"]
    assert cells(spark_harness, "of_good") == [[5]]
