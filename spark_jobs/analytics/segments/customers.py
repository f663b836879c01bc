"""What is known of users as of a moment: roles, recency, orders, net spend, listings.

Nothing that became known later is used: an order that was cancelled, or a piece that came back,
after the moment still counts. The snapshot `users` is not used, for its counters are of today.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

BUYER, SELLER, TRADER, PROSPECT = ROLES = ("buyer", "seller", "trader", "prospect")
TOP_SELLER = 20
NEW_DAYS, DORMANT_DAYS = 30, 365
DAY = pd.Timedelta(days=1)


@dataclass(frozen=True)
class History:
    """What users did, without what is broken.

    Attributes:
        purchases: a line of an order: `user_id`, `order_id`, `product_id`, `at`, `amount`,
            `cancelled_at`, `returned_at`.
        listings: `product_id`, `seller_id`, `listed_at`.
        interests: first and last view, like or wish of a user: `user_id`, `first_at`, `last_at`.
    """

    purchases: pd.DataFrame
    listings: pd.DataFrame
    interests: pd.DataFrame


def features(history: History, at: pd.Timestamp) -> pd.DataFrame:
    """Return a row for each user with any act before `at`, by ascending user id.

    Columns: `role`, `recency_days` (since the last order, else since the last act), `orders`,
    `amount` (net), `first_days`, `listed`, `sold`, `sold_amount`, `returned_share`.
    """
    bought = history.purchases[history.purchases["at"] < at]
    undone = (bought["cancelled_at"] < at) | (bought["returned_at"] < at)
    net = bought["amount"].where(~undone, 0.0)
    returned = (bought["returned_at"] < at).astype(float)
    lines = bought.assign(net=net, returned=returned, kept=~(bought["cancelled_at"] < at))
    buyers = lines.groupby("user_id").agg(
        last=("at", "max"), first=("at", "min"), orders=("order_id", "nunique"),
        amount=("net", "sum"), returned_share=("returned", "mean"),
    )  # fmt: skip
    listed = history.listings[history.listings["listed_at"] < at]
    sold = lines.loc[lines["kept"], ["product_id", "net"]].merge(
        history.listings[["product_id", "seller_id"]], on="product_id"
    )
    sellers = pd.DataFrame(
        {
            "listed": listed.groupby("seller_id").size(),
            "sold": sold.groupby("seller_id").size(),
            "sold_amount": sold.groupby("seller_id")["net"].sum(),
            "last_listed": listed.groupby("seller_id")["listed_at"].max(),
        }
    )
    interests = history.interests[history.interests["first_at"] < at].set_index("user_id")
    seen = interests["last_at"].where(interests["last_at"] < at, at).rename("last_seen")
    table = buyers.join(sellers, how="outer").join(seen, how="outer").sort_index()
    table.index.name = "user_id"
    for name in ("orders", "amount", "listed", "sold", "sold_amount", "returned_share"):
        table[name] = table[name].fillna(0)
    acts = table[["last_listed", "last_seen"]].max(axis=1)
    recency = (at - table["last"].fillna(acts)).dt.total_seconds() / 86_400
    table["recency_days"] = np.maximum(recency.fillna(0).to_numpy(dtype=float), 0)
    table["first_days"] = (at - table["first"]).dt.total_seconds() / 86_400
    table["role"] = np.select(
        [
            (table["orders"] > 0) & (table["listed"] > 0),
            table["orders"] > 0,
            table["listed"] > 0,
        ],
        [TRADER, BUYER, SELLER],
        PROSPECT,
    )
    columns = [
        "role", "recency_days", "orders", "amount", "first_days", "listed", "sold", "sold_amount",
        "returned_share",
    ]  # fmt: skip
    return table[columns]


def by_rule(table: pd.DataFrame) -> pd.Series[str]:
    """Return the segment of each user that rules decide; empty where the clusters do.

    Rules come first: who has not bought for a year is dormant, whose first order is of the last 30
    days is new. Sellers who do not buy are ranked by what they sold.
    """
    buys = table["role"].isin([BUYER, TRADER])
    rules = np.select(
        [
            buys & (table["recency_days"] > DORMANT_DAYS),
            buys & (table["first_days"] <= NEW_DAYS),
            buys,
            (table["role"] == SELLER) & (table["sold"] >= TOP_SELLER),
            (table["role"] == SELLER) & (table["sold"] > 0),
            table["role"] == SELLER,
        ],
        ["dormant", "new", "", "top_seller", "seller", "lister"],
        "window_shopper",
    )
    return pd.Series(rules, index=table.index)


LIFECYCLE = (
    ("trader", "bought > 0 AND (sold > 0 OR listed > 0)"),
    ("top_buyer", "bought >= 10"),
    ("repeat_buyer", "bought >= 2"),
    ("one_time_buyer", "bought = 1"),
    ("top_seller", "sold >= 20"),
    ("seller", "sold > 0"),
    ("lister", "listed > 0"),
    ("window_shopper", "wished > 0 OR liked > 0"),
    ("recent_visitor", "offline <= 180"),
)
"""Stages of the users table's counters, first match wins; for description alone."""


def lifecycle(users: pd.DataFrame) -> pd.Series[str]:
    """Return the stage of each user by the counters of the users table; the rest are dormant.

    Args:
        users: `bought`, `sold`, `listed`, `wished`, `liked`, `offline` (days since the last login,
            missing where there was none).
    """
    bought, sold, listed = users["bought"], users["sold"], users["listed"]
    conditions = [
        (bought > 0) & ((sold > 0) | (listed > 0)),
        bought >= 10,  # noqa: PLR2004 - the definition of a top buyer
        bought >= 2,  # noqa: PLR2004 - more than once
        bought == 1,
        sold >= TOP_SELLER,
        sold > 0,
        listed > 0,
        (users["wished"] > 0) | (users["liked"] > 0),
        users["offline"] <= 180,  # noqa: PLR2004 - half a year
    ]
    stages = np.select(conditions, [name for name, _ in LIFECYCLE], "dormant")
    return pd.Series(stages, index=users.index)
