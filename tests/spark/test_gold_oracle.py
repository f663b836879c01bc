"""Gold of a generated marketplace, computed again by pandas: another engine, other words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from marketplace.__main__ import main as generate
from spark_jobs.gold.build import build
from spark_jobs.gold.definitions import read_definitions
from spark_jobs.lake import SparkLake
from tests.spark.harness import SparkHarness

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(900)]

TIMES = {"orders": ["ordered_at"], "interactions": ["occurred_at"]}


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, pd.DataFrame]:
    """A small marketplace whose tables refer to one another."""
    arguments = ["--datasets", "all", "--rows", "400", "--seed", "11", "--days", "40"]
    assert generate([*arguments, "--out", str(tmp_path / "made")]) == 0
    return {
        name: pd.read_csv(
            tmp_path / "made" / f"{name}.csv",
            parse_dates=TIMES.get(name, []),
            keep_default_na=False,
        )
        for name in ("users", "products", "orders", "order_lines", "interactions")
    }


def cents(amounts: pd.Series[Any]) -> pd.Series[Any]:
    """Amounts as whole cents."""
    return (amounts.astype(float) * 100).round().astype(int)


def trade(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Lines with their orders and products."""
    lines = tables["order_lines"].merge(tables["orders"], on="order_id", suffixes=("", "_order"))
    lines = lines.merge(
        tables["products"][["product_id", "category", "seller_id"]], on="product_id"
    )
    lines["cents"] = cents(lines["amount"])
    lines["cancelled"] = (lines["status_order"] == "cancelled") | (lines["status"] == "cancelled")
    lines["returned"] = (lines["status_order"] != "cancelled") & (lines["status"] == "returned")
    lines["stands"] = ~lines["cancelled"] & ~lines["returned"]
    lines["day"] = lines["ordered_at"].dt.date
    return lines


def test_gold_is_what_pandas_computes(
    spark_harness: SparkHarness, tables: dict[str, pd.DataFrame]
) -> None:
    """Sales by day, the league, the funnel and the figures by country agree in every row."""
    lake = SparkLake(spark_harness.spark, f"file://{spark_harness.root}/{{container}}")
    for name, frame in tables.items():
        table = pa.Table.from_pandas(frame, preserve_index=False)
        for column in TIMES.get(name, []):
            place = table.schema.get_field_index(column)
            instants = table.column(place).cast(pa.timestamp("us", tz="UTC"))
            table = table.set_column(place, column, instants)
        write_deltalake(str(spark_harness.root / "silver" / name), table)
    built = build(lake, read_definitions(lake, None))
    assert built.keys() >= {f"gold/{name}" for name in ("sales_by_day", "seller_league", "funnel")}
    lines = trade(tables)

    sales = {
        (str(day), category, country): (
            part["order_id"].nunique(),
            int(part["quantity"].sum()),
            int(part["cents"].sum()),
            int(part.loc[part["stands"], "cents"].sum()),
        )
        for (day, category, country), part in lines.groupby(["day", "category", "country_code"])
    }
    assert sales == {
        (str(row["day"]), row["category"], row["country"]): (
            row["orders"],
            row["pieces"],
            int(row["gross_amount"] * 100),
            int(row["net_amount"] * 100),
        )
        for row in spark_harness.rows("gold/sales_by_day")
    }

    net = lines[lines["stands"]].groupby("seller_id")["cents"].sum()
    league = {
        int(str(seller)): (int(net.get(seller, 0)), part["buyer_id"].nunique())
        for seller, part in lines.groupby("seller_id")
    }
    found = spark_harness.rows("gold/seller_league", by="place")
    assert league == {r["seller_id"]: (int(r["net_amount"] * 100), r["buyers"]) for r in found}
    assert [int(r["net_amount"] * 100) for r in found] == sorted(
        (amount for amount, _ in league.values()), reverse=True
    )

    seen = tables["interactions"].groupby(["user_id", "product_id"])["kind"].agg(set)
    bought = lines.groupby(["buyer_id", "product_id"])["stands"].any()
    (total,) = (row for row in spark_harness.rows("gold/funnel") if row["category"] is None)
    viewed = {pair for pair, kinds in seen.items() if "view" in kinds}
    ordered = set(bought.index)
    assert (total["viewed"], total["ordered"]) == (len(viewed), len(ordered))
    assert total["kept"] == int(bought.sum())
    assert total["liked"] == sum("like" in kinds for kinds in seen)
    assert total["unseenorders"] == len(ordered - set(seen.index))
    assert total["orderrate"] == pytest.approx(
        100 * len(viewed & ordered) / len(viewed), abs=0.005 + 1e-9
    )

    users = tables["users"]
    countries = {
        country: (
            len(part),
            int((part["productsBought"] > 0).sum()),
            int(part["productsSold"].sum()),
            float(part["daysSinceLastLogin"].median()),
        )
        for country, part in users.groupby("country")
    }
    assert countries == {
        row["country"]: (row["users"], row["buyers"], row["productssold"], row["offlinedays"])
        for row in spark_harness.rows("gold/country_kpis")
    }
