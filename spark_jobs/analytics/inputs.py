"""What the models read: silver at one version each, cleaned, with what was left out counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pandas as pd

from spark_jobs.analytics.forecasts.series import complete_until
from spark_jobs.analytics.gates import Gate, at_most
from spark_jobs.analytics.segments.customers import DAY, History
from spark_jobs.lake import SparkLake
from spark_jobs.tables import data_version, delta_detail, read_delta

CURRENCY = "EUR"
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "silver/products": (
        "product_id", "seller_id", "category", "brand", "size", "price", "currency", "listed_at",
        "delisted_at", "status",
    ),
    "silver/orders": (
        "order_id", "buyer_id", "ordered_at", "status", "cancelled_at", "country_code", "currency",
        "_landed_at",
    ),
    "silver/order_lines": ("order_id", "line_number", "product_id", "amount", "status",
                           "returned_on"),
    "silver/interactions": ("user_id", "product_id", "kind", "occurred_at"),
    "silver/users": ("identifierHash", "countryCode"),
    "silver/objections": ("user_id", "withdrawn_at"),
}  # fmt: skip
MOST_EXCLUDED = 0.01
STALE_DAYS = 3
UNKNOWN = "(unknown)"


@dataclass(frozen=True)
class InputTable:
    """A table that went in: where it is, Delta's id of it, and the version that was read."""

    path: str
    identity: str
    version: int

    def to_json(self) -> dict[str, Any]:
        """Return its form in the ledger."""
        return {"table": self.path, "id": self.identity, "version": self.version}


@dataclass
class Inputs:
    """Cleaned frames.

    Attributes:
        purchases: lines with their orders: `user_id`, `order_id`, `product_id`, `at`, `amount`,
            `country`, `category`, `cancelled_at`, `returned_at`.
        products, interactions: as in silver.
        countries: country code by user id; users: number of all users.
        objectors: users who object to profiling and have not withdrawn it.
        until: the newest complete day; None without orders.
        delivered: when the newest order was delivered.
        excluded: number of rows left out by rule; told: numbers of rows worth knowing of.
        rows: number of rows that were held against the rules.
        sources: what was read.
    """

    purchases: pd.DataFrame
    products: pd.DataFrame
    interactions: pd.DataFrame
    countries: pd.Series[str]
    objectors: frozenset[int]
    until: date | None
    delivered: date | None
    excluded: dict[str, int] = field(default_factory=dict)
    told: dict[str, int] = field(default_factory=dict)
    rows: int = 0
    sources: list[InputTable] = field(default_factory=list)

    @property
    def at(self) -> pd.Timestamp:
        """The moment that the models see: the end of the newest complete day."""
        return pd.Timestamp(self.until or date(1970, 1, 1)) + DAY

    def history(self) -> History:
        """Return what segments are made of, without those who object."""
        seen = self.interactions[~self.interactions["user_id"].isin(self.objectors)]
        grouped = seen.groupby("user_id")["occurred_at"].agg(first_at="min", last_at="max")
        mine = self.purchases[~self.purchases["user_id"].isin(self.objectors)]
        listed = self.products[~self.products["seller_id"].isin(self.objectors)]
        return History(
            mine, listed[["product_id", "seller_id", "listed_at"]], grouped.reset_index()
        )

    def gates(self) -> list[Gate]:
        """Return the gates of the data: too many broken rows stop, an old feed warns."""
        share = sum(self.excluded.values()) / max(self.rows, 1)
        gates = [at_most("B1", share, MOST_EXCLUDED, "share of rows left out as broken")]
        if self.until and self.delivered:
            age = (self.delivered - self.until).days
            says = "days between the newest complete day and the newest delivery"
            gates.append(at_most("B2", age, STALE_DAYS, says, blocks=False))
        return gates


def snapshot(lake: SparkLake, paths: tuple[str, ...] = tuple(COLUMNS)) -> list[InputTable]:
    """Return the tables that are there, each at its newest version."""
    sources = []
    for path in paths:
        version = data_version(lake, path)
        if version is not None:
            sources.append(InputTable(path, delta_detail(lake, path).identity, version))
    return sources


def read(lake: SparkLake, sources: list[InputTable]) -> Inputs:
    """Read and clean the tables at these versions; a table that is not there is empty."""
    frames = {path: pd.DataFrame(columns=list(names)) for path, names in COLUMNS.items()}
    for source in sources:
        table = read_delta(lake, source.path, source.version)
        names = [name for name in COLUMNS[source.path] if name in table.columns]
        frames[source.path] = table.select(*names).toPandas().reindex(columns=COLUMNS[source.path])
    inputs = clean(frames)
    inputs.sources = sources
    return inputs


def clean(frames: Mapping[str, pd.DataFrame]) -> Inputs:
    """Leave out and count what no model may see.

    Args:
        frames: by lake path, with the columns of `COLUMNS`.
    """
    products = frames["silver/products"].copy()
    orders = frames["silver/orders"].copy()
    lines, interactions = frames["silver/order_lines"], frames["silver/interactions"].copy()
    for frame, names in (
        (products, ("listed_at", "delisted_at")),
        (orders, ("ordered_at", "cancelled_at", "_landed_at")),
        (interactions, ("occurred_at",)),
    ):
        for name in names:
            frame[name] = pd.to_datetime(frame[name]).astype("datetime64[us]")
    delivered = orders["_landed_at"].max()
    limit = delivered if pd.notna(delivered) else pd.Timestamp.max
    filters = _Filters()
    products = filters.keep(products, "price_not_positive", products["price"] > 0)
    products = filters.keep(products, "foreign_currency", _euro(products))
    rows = len(frames["silver/products"]) + len(lines) + len(interactions)
    orders = filters.keep(orders, "foreign_currency", _euro(orders))
    orders = filters.keep(orders, "in_the_future", orders["ordered_at"] <= limit)
    interactions = filters.keep(interactions, "in_the_future", interactions["occurred_at"] <= limit)
    lines = filters.keep(lines, "amount_not_positive", lines["amount"] > 0)
    columns = ["order_id", "buyer_id", "ordered_at", "cancelled_at", "country_code"]
    bought = lines.merge(orders[columns], on="order_id").merge(
        products[["product_id", "category", "listed_at"]], on="product_id", how="left"
    )
    bought = filters.keep(
        bought, "before_the_listing",
        bought["listed_at"].isna() | (bought["listed_at"] <= bought["ordered_at"]),
    )  # fmt: skip
    purchases = pd.DataFrame(
        {
            "user_id": bought["buyer_id"].astype("int64"),
            "order_id": bought["order_id"].astype("int64"),
            "product_id": bought["product_id"].astype("int64"),
            "at": bought["ordered_at"],
            "amount": bought["amount"].astype(float),
            "country": bought["country_code"].fillna(UNKNOWN),
            "category": bought["category"].fillna(UNKNOWN),
            "cancelled_at": bought["cancelled_at"],
            "returned_at": pd.to_datetime(bought["returned_on"]).astype("datetime64[us]"),
        }
    ).sort_values(["at", "order_id", "product_id"], kind="stable", ignore_index=True)
    users = frames["silver/users"]
    countries = pd.Series(
        users["countryCode"].fillna(UNKNOWN).to_numpy(), users["identifierHash"].astype("int64")
    )
    last = purchases["at"].max()
    told = {
        "buyers_not_in_users": int((~purchases["user_id"].isin(countries.index)).sum()),
        "lines_of_unknown_products": int((purchases["category"] == UNKNOWN).sum()),
    }
    until = None
    if pd.notna(last) and pd.notna(delivered):
        until = complete_until(last.date(), (delivered - DAY).date())
    return Inputs(
        purchases=purchases,
        products=products,
        interactions=interactions,
        countries=countries,
        objectors=_objectors(frames["silver/objections"]),
        until=until,
        delivered=delivered.date() if pd.notna(delivered) else None,
        excluded=filters.counts,
        told=told,
        rows=rows,
    )


def _objectors(objections: pd.DataFrame) -> frozenset[int]:
    """Return the users whose objection has not been withdrawn."""
    holds = objections["withdrawn_at"].isna()
    return frozenset(int(user) for user in objections.loc[holds, "user_id"])


def _euro(frame: pd.DataFrame) -> pd.Series[bool]:
    return frame["currency"].fillna(CURRENCY) == CURRENCY


class _Filters:
    """Rules that rows must keep, and how many did not."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def keep(self, frame: pd.DataFrame, rule: str, good: pd.Series[bool]) -> pd.DataFrame:
        """Return the rows that keep a rule; count the others."""
        self.counts[rule] = self.counts.get(rule, 0) + int((~good).sum())
        return frame[good]
