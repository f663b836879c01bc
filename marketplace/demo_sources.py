"""The sources of the marketplace's demo: the shop's database and the carrier's API, both real."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg

from landfall.cli.demo.sources import DemoObject, Facts, LocalDatabase
from marketplace import carrier, shop
from marketplace.generator.market import TRADE, MarketPlan, write_trade

ORDERS, VISITS, PARCELS = 20_000, 60_000, 5_000
CHANGED = 1_000
BEGIN = datetime(2026, 6, 1, tzinfo=UTC)
_MIDDLE, _END = BEGIN + timedelta(hours=6), BEGIN + timedelta(hours=8)
_SEED = 7


class MarketSources:
    """The sources while the demo runs."""

    def __init__(self, api: carrier.CarrierServer) -> None:
        self._api = api

    @property
    def secrets(self) -> Mapping[str, str]:
        """The carrier's; that of the database is in the vault by itself."""
        return {"carrier-client-secret": self._api.secret}

    def connections(self, database: LocalDatabase) -> Mapping[str, Mapping[str, Any]]:
        """A database of the local PostgreSQL, and the API of this process."""
        return {
            "shop": {
                "server": database.host,
                "port": database.port,
                "username": database.user,
                "auth": {"kind": "password", "secret": database.secret},
                "sslMode": "disable",
            },
            "carrier": {
                "url": f"{self._api.url}/v2/",
                "auth": {
                    "kind": "oauth2",
                    "tokenEndpoint": f"{self._api.url}/token",
                    "clientId": carrier.CLIENT_ID,
                    "secret": "carrier-client-secret",
                    "scope": "parcels.read",
                },
                "interval": "1ms",
            },
        }

    def fill(self, database: LocalDatabase, files: Path) -> Sequence[DemoObject]:
        """Make the shop's database of orders of the users that are dropped.

        What belongs to the orders is written beside the users' files: it is dropped later.
        """
        dsn = shop.create_database(database.dsn, "shop")
        people = shop.people_of(sorted(files.glob("users-[0-9].csv")), _SEED)
        days = timedelta(days=MarketPlan.days)
        plan = MarketPlan(
            datasets=TRADE, orders=ORDERS, visits=VISITS, seed=_SEED,
            # On a clock that is behind, nothing may be of the future.
            start=min(MarketPlan.start, datetime.now(UTC).date() - days),
        )  # fmt: skip
        write_trade(plan, people, files)
        shop.fill(dsn, "orders", [files / "orders.csv"])
        parcels = self._api.parcels
        return (
            DemoObject(
                "shop",
                "orders",
                "orders",
                "amount",
                facts=lambda: _orders(dsn),
                change=lambda: shop.Life(dsn, _SEED).change(CHANGED),
            ),
            DemoObject(
                "carrier",
                "parcels",
                "parcels",
                "weight_grams",
                facts=lambda: _parcels(parcels),
                change=lambda: parcels.deliver(CHANGED, _MIDDLE + timedelta(minutes=10)),
                ranges=(_range(BEGIN, _MIDDLE), _range(_MIDDLE, _END)),
            ),
        )


def _range(begin: datetime, end: datetime) -> dict[str, str]:
    return {"from": begin.isoformat(), "to": end.isoformat(), "every": "2h"}


def _orders(dsn: str) -> Facts:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT count(*), sum(amount) FROM public.orders").fetchone()
    count, total = row or (0, None)
    return Facts(int(count), Decimal(total or 0))


def _parcels(parcels: carrier.Parcels) -> Facts:
    weights = [Decimal(parcel["weight_grams"]) for parcel in parcels.all()]
    return Facts(len(weights), sum(weights, Decimal(0)))


@contextmanager
def start() -> Iterator[MarketSources]:
    """Serve the carrier's API while the demo runs."""
    parcels = carrier.Parcels(PARCELS, BEGIN, timedelta(hours=6))
    with carrier.serving(parcels, secrets.token_urlsafe()) as api:
        yield MarketSources(api)
