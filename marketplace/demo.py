"""The marketplace's demo: which files are dropped, and how each drop must end."""

from __future__ import annotations

from landfall.cli.demo.scenario import DemoDrop, Scenario
from landfall.protocol import State
from marketplace.demo_files import SMALL_ROWS, check, prepare
from marketplace.demo_sources import start

BAD_ROWS = 3
"""Rows of the tolerable file that break the contract."""

AGAIN = DemoDrop("users", "users-1.csv", "the same again", State.DUPLICATE, rejected=None)
"""Delivered when the first delivery of the same content has been accepted."""

SMALL = DemoDrop("users", "users-small.csv", "timed")
"""Delivered when all others have ended."""

BROKEN = DemoDrop("users", "users-broken.csv", "a third bad", State.QUARANTINED, rejected=None)

FIRST = (
    DemoDrop("users", "users-1.csv", ""),
    DemoDrop("users", "users-2.csv", ""),
    DemoDrop("users", "users-3.csv", ""),
    DemoDrop("users", "users-4.csv", ""),
    DemoDrop("users", "users-5.csv", "by POST", how="post"),
    DemoDrop("users", "users-flawed.csv", f"{BAD_ROWS} bad rows", rejected=BAD_ROWS),
    BROKEN,
    DemoDrop("buyers_by_country", "all.csv", ""),
    DemoDrop("top_seller_countries", "all.csv", ""),
    DemoDrop("sellers_compared", "all.csv", ""),
)
"""Delivered at once; the first of them is the one that comes again."""

LATER = (
    DemoDrop("products", "all.csv", ""),
    DemoDrop("order_lines", "all.csv", ""),
    DemoDrop("interactions", "all.csv", ""),
)
"""Delivered when the orders have been extracted that they belong to."""

QUERY = """SELECT country, buyers, topbuyers, topbuyerratio
FROM gold.buyers_by_country
ORDER BY topbuyers DESC, country LIMIT 4"""

SCENARIO = Scenario(
    first=FIRST,
    again=AGAIN,
    small=SMALL,
    later=LATER,
    analytics=True,
    small_rows=SMALL_ROWS,
    refused=BROKEN,
    query=QUERY,
    check=check,
    prepare=prepare,
    sources=start,
)
