"""A partner shop's invoices load through the same job, by their own contract."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc
import pytest

from tests.realdata import ONLINE_RETAIL
from tests.spark.harness import ARROW, SparkHarness
from tests.unit.validation import CONTRACTS

CONTRACT = CONTRACTS["online_retail"]

pytestmark = [
    pytest.mark.spark,
    pytest.mark.skipif(ONLINE_RETAIL is None, reason="the days of Online Retail are not here"),
]


def invoices(path: Path) -> pa.Table:
    """A day, typed as Data Factory's copy types it."""
    types = {column.name: ARROW[column.logical_type] for column in CONTRACT.columns}
    types["InvoiceDate"] = pa.timestamp("us")
    options = pc.ConvertOptions(column_types=types, strings_can_be_null=False)
    return pc.read_csv(path, convert_options=options)


def test_real_days_load_and_codes_become_one(spark_harness: SparkHarness) -> None:
    """Two days in one batch: repeats go, codes are capitals, blanks go, no customer is null."""
    assert ONLINE_RETAIL is not None
    types = {column.name: column.logical_type for column in CONTRACT.columns}
    tables = [invoices(ONLINE_RETAIL / f"2010-12-0{day}.csv") for day in (1, 2)]
    drops = [
        spark_harness.bronze("online_retail", f"r{n}", types, table, f"2010-12-0{n}T20:00:00Z")
        for n, table in enumerate(tables, 1)
    ]
    arguments = spark_harness.batch("online_retail", "b1", drops=drops, **CONTRACT.table())

    result = spark_harness.load(arguments)

    pandas = pa.concat_tables(tables).to_pandas()
    pandas["StockCode"] = pandas["StockCode"].str.upper()
    kept = pandas.drop_duplicates(list(CONTRACT.key))
    assert (result["rows_in"], result["inserted"]) == (len(pandas), len(kept))
    assert result["duplicates"] == len(pandas) - len(kept) > 0
    silver = spark_harness.delta("silver/online_retail").to_pyarrow_table().to_pandas()
    assert set(kept["StockCode"]) == set(silver["StockCode"])
    assert (silver["Description"].dropna() == silver["Description"].dropna().str.strip()).all()
    assert kept["CustomerID"].isna().sum() == silver["CustomerID"].isna().sum()
    revenue = (kept["Quantity"] * kept["UnitPrice"]).sum()
    assert (silver["Quantity"] * silver["UnitPrice"]).sum() == pytest.approx(revenue)
