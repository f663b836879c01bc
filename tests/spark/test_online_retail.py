"""A partner shop's invoices load through the same job, by their own contract."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.realdata import ONLINE_RETAIL
from tests.spark.harness import SparkHarness
from tests.unit.validation import CONTRACTS

CONTRACT = CONTRACTS["online_retail"]

pytestmark = [
    pytest.mark.spark,
    pytest.mark.skipif(ONLINE_RETAIL is None, reason="the days of Online Retail are not here"),
]


def invoices(path: Path) -> pd.DataFrame:
    """A day as it is published, its codes in capitals."""
    frame = pd.read_csv(path, dtype={"InvoiceNo": str, "StockCode": str})
    frame["StockCode"] = frame["StockCode"].str.upper()
    return frame


def test_real_days_load_and_codes_become_one(spark_harness: SparkHarness) -> None:
    """Two days in one batch: repeats go, codes are capitals, blanks go, no customer is null."""
    assert ONLINE_RETAIL is not None
    days = [ONLINE_RETAIL / f"2010-12-0{day}.csv" for day in (1, 2)]
    drops = [
        spark_harness.validated(f"r{n}", day.read_bytes(), CONTRACT, f"2010-12-0{n}T20:00:00Z")
        for n, day in enumerate(days, 1)
    ]
    arguments = spark_harness.batch("online_retail", "b1", drops=drops, **CONTRACT.table())

    result = spark_harness.load(arguments)

    pandas = pd.concat(map(invoices, days))
    kept = pandas.drop_duplicates(list(CONTRACT.key))
    assert result["inserted"] == len(kept)
    assert result["rows_in"] + result["rejected"] == len(pandas)
    assert result["rejected"] + result["duplicates"] == len(pandas) - len(kept) > 0
    silver = spark_harness.delta("silver/online_retail").to_pyarrow_table().to_pandas()
    assert set(kept["StockCode"]) == set(silver["StockCode"])
    assert (silver["Description"].dropna() == silver["Description"].dropna().str.strip()).all()
    assert kept["CustomerID"].isna().sum() == silver["CustomerID"].isna().sum()
    revenue = (kept["Quantity"] * kept["UnitPrice"]).sum()
    assert (silver["Quantity"] * silver["UnitPrice"]).sum() == pytest.approx(revenue)
