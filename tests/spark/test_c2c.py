"""The published C2C tables: the author's three aggregates come out of the jobs, cell by cell."""

from __future__ import annotations

import csv

import pytest

from tests.realdata import C2C
from tests.spark.harness import SparkHarness
from tests.unit.validation import CONTRACTS

pytestmark = [
    pytest.mark.spark,
    pytest.mark.skipif(C2C is None, reason="the published C2C tables are not on this machine"),
]

PUBLISHED = {
    "buyers_by_country": ("Buyers-repartition-by-country.csv", 1),
    "top_seller_countries": ("Countries-with-Top-Sellers-(Fashion-C2C).csv", 1),
    "sellers_compared": ("Comparison-of-Sellers-by-Gender-and-Country.csv", 2),
}
CELLS = 3638


def agrees(printed: str, computed: float | None) -> bool:
    """Equal as printed; the columns that are published unrounded agree to 1e-12."""
    if printed == "" or computed is None:
        return printed == "" and computed is None
    if len(printed.partition(".")[2]) > 2:
        return abs(float(printed) - computed) <= 1e-12 * abs(computed)
    return float(printed) == computed


def test_the_authors_tables_come_out_cell_by_cell(spark_harness: SparkHarness) -> None:
    """Five drops, one batch, three gold tables: 3,638 of 3,638 cells, under the author's names."""
    assert C2C is not None
    drops = [
        spark_harness.validated(
            f"r{part}",
            (C2C / f"users-{part}.csv").read_bytes(),
            CONTRACTS["users"],
            f"2026-11-22T13:0{part}:00Z",
        )
        for part in range(1, 6)
    ]
    arguments = spark_harness.batch("users", "b1", drops=drops, **CONTRACTS["users"].table())
    spark_harness.load(arguments)

    result = spark_harness.build(arguments)

    assert (result["rows_in"], result["inserted"], result["duplicates"]) == (98913, 98913, 0)
    right, wrong = 0, []
    for table, (name, keys) in PUBLISHED.items():
        with (C2C / name).open(newline="", encoding="utf-8") as file:
            published = list(csv.DictReader(file))
        computed = spark_harness.rows(f"gold/{table}")
        by_key = {tuple(v or "" for v in list(row.values())[:keys]): row for row in computed}
        assert list(published[0]) == list(computed[0])
        assert len(published) == len(computed) == len(by_key)
        for row in published:
            mine = by_key[tuple(list(row.values())[:keys])]
            for column in list(row)[keys:]:
                if agrees(row[column], mine[column]):
                    right += 1
                else:
                    wrong.append((table, list(row.values())[:keys], column, row[column], mine))
    assert wrong == []
    assert right == CELLS

    silver = spark_harness.rows("silver/users", "country", "countryCode", "daysSinceLastLogin")
    assert sum(row["daysSinceLastLogin"] is None for row in silver) == 10
    assert {"Namibie"} == {row["country"] for row in silver if row["countryCode"] == "na"}
    assert "Îles Turques-et-Caïques" in {row["country"] for row in silver}
