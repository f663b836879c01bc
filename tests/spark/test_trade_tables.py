"""Orders, lines, products and interactions to gold: every cell by hand, days refreshed alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from spark_jobs.gold import build as build_gold
from spark_jobs.gold import refresh
from spark_jobs.lake import SparkLake
from tests.spark.harness import USER_TYPES, SparkHarness, columns_of
from tests.spark.test_gold_tables import users

pytestmark = pytest.mark.spark

TYPES: Mapping[str, Mapping[str, str]] = {
    "products": {"product_id": "integer", "seller_id": "integer", "category": "string"},
    "orders": {
        "order_id": "integer",
        "buyer_id": "integer",
        "ordered_at": "timestamp",
        "status": "string",
        "country_code": "string",
    },
    "order_lines": {
        "order_id": "integer",
        "line_number": "integer",
        "product_id": "integer",
        "quantity": "integer",
        "amount": "number",
        "status": "string",
    },
    "interactions": {
        "interaction_id": "integer",
        "user_id": "integer",
        "product_id": "integer",
        "kind": "string",
    },
    "users": USER_TYPES,
}
KEYS = {
    "products": ["product_id"],
    "orders": ["order_id"],
    "order_lines": ["order_id", "line_number"],
    "interactions": ["interaction_id"],
    "users": ["identifierHash"],
}
ROWS = {
    "products": """
        100 3  bags
        101 3  shoes
        102 99 bags""",
    "orders": """
        1 10 2026-11-01T23:59:59 delivered fr
        2 10 2026-11-02T00:00:00 delivered fr
        3 11 2026-11-02T12:00:00 cancelled de
        4 12 2026-11-03T08:00:00 returned  fr""",
    # 999 is no product that anybody knows, 77 no order
    "order_lines": """
        1  1 100 1 10.10 sold
        1  2 101 2 20.20 returned
        2  1 100 1 10.10 sold
        2  2 999 1 5.05  sold
        3  1 100 3 30.30 cancelled
        4  1 102 1 7.00  returned
        77 1 100 9 90.00 sold""",
    # user 10 looks twice, likes and buys bag 100; 11 only looks; 12 wishes bag 102 and buys it
    "interactions": """
        1 10 100 view
        2 10 100 view
        3 10 100 like
        4 11 101 view
        5 12 102 wish
        6 11 100 view""",
}
A, B, C, D = (date(2026, 11, day) for day in (1, 2, 3, 5))


def money(*amounts: str) -> list[Decimal]:
    """Amounts as they are stored."""
    return [Decimal(amount) for amount in amounts]


# orders, lines, pieces; gross, cancelled, returned, net; net pieces
SALES: list[list[Any]] = [
    [A, "bags", "fr", 1, 1, 1, *money("10.10", "0.00", "0.00", "10.10"), 1],
    [A, "shoes", "fr", 1, 1, 2, *money("20.20", "0.00", "20.20", "0.00"), 0],
    [B, "(unknown)", "fr", 1, 1, 1, *money("5.05", "0.00", "0.00", "5.05"), 1],
    [B, "bags", "de", 1, 1, 3, *money("30.30", "30.30", "0.00", "0.00"), 0],
    [B, "bags", "fr", 1, 1, 1, *money("10.10", "0.00", "0.00", "10.10"), 1],
    [C, "bags", "fr", 1, 1, 1, *money("7.00", "0.00", "7.00", "0.00"), 0],
]
# seller 3 is of France; 99 is no user. 7 pieces, 3 cancelled: of 4 are 2 returned
LEAGUE: list[list[Any]] = [
    [1, 3, "France", 3, 2, 7, 2, 3, 2, *money("70.70", "20.20"), 50.0, A, B],
    [2, 99, "(unknown)", 1, 1, 1, 0, 0, 1, *money("7.00", "0.00"), 100.0, C, C],
]
# Pairs: (10,100) (11,101) (12,102) (11,100) with interest; ordered without: (10,101), (10,999)
FUNNEL: list[list[Any]] = [
    ["(unknown)", 0, 0, 0, 1, 1, 1, None, None, None, 100.0],
    ["bags", 2, 1, 1, 3, 1, 0, 50.0, 0.0, 100.0, 33.33],
    ["shoes", 1, 0, 0, 1, 0, 1, 0.0, 0.0, 0.0, 0.0],
    [None, 3, 1, 1, 5, 2, 2, 33.33, 0.0, 66.67, 40.0],
]


def rows_of(dataset: str, text: str | None = None) -> list[dict[str, Any]]:
    """Rows of a table above, or of one like it."""
    read: Mapping[str, Callable[[str], Any]] = {
        "integer": int,
        "number": float,
        "string": str,
        "timestamp": lambda cell: datetime.fromisoformat(cell).replace(tzinfo=UTC),
    }
    types = TYPES[dataset]
    return [
        {name: read[types[name]](cell) for name, cell in zip(types, line.split(), strict=True)}
        for line in (text or ROWS[dataset]).strip().splitlines()
    ]


class Trade:
    """Drops of all datasets, one batch after the other."""

    def __init__(self, spark_harness: SparkHarness) -> None:
        self.spark_harness = spark_harness
        self.number = 0

    def load(self, dataset: str, text: str | None = None) -> dict[str, Any]:
        """Load a drop through both tasks; the tables of the result document."""
        self.number += 1
        run, types = f"r{self.number}", TYPES[dataset]
        rows = users() if dataset == "users" else rows_of(dataset, text)
        landed = f"2026-11-22T12:00:{self.number:02}Z"
        drop = self.spark_harness.bronze(dataset, run, types, rows, landed)
        columns = columns_of(types, required=KEYS[dataset])
        arguments = self.spark_harness.batch(
            dataset, f"b{self.number}", columns, KEYS[dataset], [drop]
        )
        self.spark_harness.load(arguments)
        tables: dict[str, Any] = self.spark_harness.build(arguments)["tables"]
        return tables

    def cells(self, table: str) -> list[list[Any]]:
        """A gold table, row by row, in the order of its first columns."""
        found = [list(row.values()) for row in self.spark_harness.rows(f"gold/{table}")]
        return sorted(found, key=lambda row: [(cell is None, cell) for cell in row[:3]])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_trade_to_gold_and_only_touched_days_anew(spark_harness: SparkHarness) -> None:
    """Tables wait for all that they read; then every cell is as by hand.

    A later batch makes only the days anew that it reaches, also those that an order leaves; and
    what comes of it is what a build of the whole gives.
    """
    trade = Trade(spark_harness)
    assert set(trade.load("users")) >= {"gold/country_kpis"}
    assert "gold/sales_by_day" not in trade.load("orders")
    trade.load("order_lines")
    first = trade.load("products")
    assert first["gold/sales_by_day"] == {"version": 0, "rows": 6, "rebuilt": True}
    assert first["gold/seller_league"] == {"version": 0, "rows": 2, "rebuilt": True}
    assert "gold/funnel" not in first
    trade.load("interactions")

    assert trade.cells("sales_by_day") == SALES
    assert trade.cells("seller_league") == LEAGUE
    assert trade.cells("funnel") == FUNNEL

    # One order moves from the 2nd to the 5th, one is cancelled on the 3rd, one comes on the 9th
    # without lines: the 1st stays.
    moved = trade.load(
        "orders",
        """2 10 2026-11-05T01:00:00 delivered fr
           4 12 2026-11-03T08:00:00 cancelled fr
           5 10 2026-11-09T00:00:00 placed fr""",
    )["gold/sales_by_day"]
    assert (moved["parts"], moved["rows"]) == (4, 6)
    after = [
        *SALES[:2],
        SALES[3],
        [C, "bags", "fr", 1, 1, 1, *money("7.00", "7.00", "0.00", "0.00"), 0],
        [D, *SALES[2][1:]],
        [D, *SALES[4][1:]],
    ]
    assert trade.cells("sales_by_day") == after

    # A product that nobody knew is a hat: it was ordered on the 5th alone.
    named = trade.load("products", "999 3 hats")["gold/sales_by_day"]
    assert (named["parts"], named["rows"]) == (1, 6)
    after[4][1] = "hats"
    assert trade.cells("sales_by_day") == sorted(after)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_refreshed_by_parts_is_as_made_whole(
    spark_harness: SparkHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same batches give the same table, whether days were made anew or the whole."""
    found = []
    for most, place in ((200, "parts"), (0, "whole")):
        monkeypatch.setattr("spark_jobs.gold.refresh.MOST_PARTS", most)
        trade = Trade(SparkHarness(spark_harness.spark, spark_harness.root / place))
        for dataset in ("orders", "order_lines", "products"):
            trade.load(dataset)
        trade.load("order_lines", "2 1 100 1 10.11 sold")
        last = trade.load("orders", "1 10 2026-11-03T23:59:58 delivered fr")["gold/sales_by_day"]
        assert ("parts" in last) == (place == "parts")
        found.append(trade.cells("sales_by_day"))
    assert found[0] == found[1]
    assert Decimal("10.11") in {row[6] for row in found[0]}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_build_that_was_overtaken_looks_again(
    spark_harness: SparkHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should another dataset's load move silver on during a build, gold ends with the newest."""
    trade = Trade(spark_harness)
    for dataset in ("orders", "order_lines", "products"):
        trade.load(dataset)
    bring_up, overtaken = refresh.refresh, list[str]()

    def meanwhile(lake: SparkLake, definition: Any, sources: Any) -> Any:
        table = bring_up(lake, definition, sources)
        if not overtaken:
            overtaken.append(definition.name)
            name = lake.sql_name("silver/products")
            lake.spark.sql(f"UPDATE {name} SET category = 'clogs' WHERE product_id = 101")
        return table

    monkeypatch.setattr(build_gold, "refresh", meanwhile)
    trade.load("orders", "1 10 2026-11-01T23:59:58 delivered fr")
    assert overtaken == ["sales_by_day"]
    assert [row[1] for row in trade.cells("sales_by_day")][:2] == ["bags", "clogs"]
