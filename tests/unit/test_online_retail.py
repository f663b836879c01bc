"""The published days of Online Retail, real invoices, validated by their contract."""

import csv
from pathlib import Path

import pytest

from tests.realdata import ONLINE_RETAIL
from tests.unit.validation import CONTRACTS, run_validation

KEY = ("InvoiceNo", "StockCode", "Quantity", "UnitPrice")


def days(every: int) -> list[Path]:
    """Some of the days; none where they are not on this machine."""
    return sorted(ONLINE_RETAIL.glob("2*.csv"))[::every] if ONLINE_RETAIL else []


def repeats(path: Path) -> int:
    """Lines whose key an earlier line of the day has, whatever the case of its code."""
    with path.open(newline="", encoding="utf-8") as file:
        keys = [tuple(row[name].upper() for name in KEY) for row in csv.DictReader(file)]
    return len(keys) - len(set(keys))


@pytest.mark.skipif(ONLINE_RETAIL is None, reason="the days of Online Retail are not here")
def test_real_days_are_accepted_but_for_what_they_repeat() -> None:
    """Every fault of the source is a repeated line; cancellations, gifts and codes are no fault."""
    chosen = [*days(9), *(path for path in days(1) if path.stem == "2011-01-16")]
    assert len(chosen) > 10

    for path in chosen:
        report, _ = run_validation(path.read_bytes(), CONTRACTS["online_retail"])

        assert report.verdict in {"accepted", "accepted_with_rejects"}
        assert report.rejected == repeats(path)
        assert {check.rule for check in report.checks} <= {"unique"}


def test_a_day_like_theirs_is_judged_the_same() -> None:
    """A cancellation, a gift and a line without a customer are good; a code is one in any case."""
    lines = [
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country",
        "536365,85123A,HOLDER ,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom",
        "536365,85123a,HOLDER,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom",
        "C536379,D,Discount,-1,2010-12-01 09:41:00,27.5,14527.0,United Kingdom",
        "536414,22139,,56,2010-12-01 11:52:00,0.0,,United Kingdom",
        *["536415,22140,,1,2010-12-01 11:53:00,1.0,,EIRE"] * 8,
        "A563185,B,Adjust bad debt,1,2011-08-12 14:50:00,-11062.06,,United Kingdom",
    ]

    report, _ = run_validation("\n".join(lines).encode(), CONTRACTS["online_retail"])

    assert (report.rows, report.rejected, report.verdict) == (13, 8, "refused")
    assert [(check.rule, check.failed) for check in report.checks] == [("unique", 8)]
