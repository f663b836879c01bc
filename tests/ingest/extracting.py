"""A source that is really read: a table in memory, and pipeline runs that do what the JSON does."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from ingest.errors import LandfallError
from ingest.http import sources, web
from ingest.ports import CopyRun
from ingest.service import Landfall
from ingest.settings import read
from ingest.wiring import build
from landfall.sources.ranges import read_mark
from tests.ingest.conftest import Clock, StorageAccount
from tests.ingest.memory import InMemoryAccount
from tests.shop_source import ORDERS, orders_contract, shop

SOURCE = shop(
    ORDERS + "    lag: 60s\n",
    """\
  - name: counted
    dataset: orders
    table: public.counted
    mode: incremental
    watermark: {column: number, type: integer}
    overlap: '2'
  - name: history
    dataset: orders
    table: public.history
    mode: window
    watermark: {column: updated_at, type: timestamptz}
  - name: whole
    dataset: orders
    table: public.whole
    mode: full
    every: 1d
""",
)
LAG = timedelta(seconds=60)


def project(folder: Path, source: str = SOURCE) -> Path:
    """A team's folder with one contract and one source."""
    (folder / "contracts").mkdir(parents=True, exist_ok=True)
    (folder / "sources").mkdir(exist_ok=True)
    (folder / "contracts" / "orders.odcs.yaml").write_text(orders_contract())
    (folder / "sources" / "shop.yaml").write_text(source)
    return folder


@dataclass
class Row:
    """A version of a row: its stamp, and when its transaction commits."""

    key: int
    stamp: datetime | None
    committed: datetime


@dataclass
class Table:
    """A table of a database whose transactions stamp rows before they commit."""

    clock: Clock
    rows: list[Row] = field(default_factory=list)

    def insert(self, key: int, held: timedelta = timedelta()) -> None:
        """Stamp a row now; its transaction commits after a while."""
        now = self.clock()
        self.rows.append(Row(key, now, now + held))

    def visible(self) -> list[Row]:
        """What a query sees that begins now."""
        return [row for row in self.rows if row.committed <= self.clock()]

    def high(self) -> str:
        """What `high_query` answers."""
        stamps = [
            row.stamp
            for row in self.visible()
            if row.stamp is not None and row.stamp <= self.clock() - LAG
        ]
        return max(stamps).astimezone(UTC).isoformat() if stamps else ""

    def read(self, grant: Mapping[str, Any]) -> list[int]:
        """What `read_query` answers, by the range of the grant."""
        low = read_mark(grant["low"], counted=False) if grant["low"] else None
        high = read_mark(grant["high"], counted=False)
        assert isinstance(high, datetime)
        return [
            row.key
            for row in self.visible()
            if row.stamp is None
            or (row.stamp <= high and (not isinstance(low, datetime) or row.stamp > low))
        ]


@dataclass
class Pipelines:
    """Data Factory: it knows which pipeline runs are at work."""

    working: set[str] = field(default_factory=set)
    started: list[Mapping[str, Any]] = field(default_factory=list)

    def start(self, parameters: Mapping[str, Any]) -> str:
        self.started.append(parameters)
        return f"started-{len(self.started)}"

    def find(self, since: datetime, attempts: Collection[str]) -> list[CopyRun]:
        raise NotImplementedError

    def observe(self, adf_run_id: str) -> CopyRun | None:
        status = "InProgress" if adf_run_id in self.working else "Failed"
        return CopyRun(adf_run_id, status, None)

    def cancel(self, adf_run_id: str) -> None:
        raise NotImplementedError


@dataclass
class Extracting:
    """A shop, a lake, and the service between them."""

    storage_account: StorageAccount | InMemoryAccount
    clock: Clock
    project: Path
    table: Table = field(init=False)
    pipelines: Pipelines = field(default_factory=Pipelines)
    service: Landfall = field(init=False)
    _runs: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.table = Table(self.clock)
        self.service = self.worker()

    def worker(self, wrap: Callable[[str, object], Any] = lambda _, real: real) -> Landfall:
        """A fresh process, whose outside may be wrapped."""
        env = {
            "LANDFALL_LAKE": self.storage_account.config.lake_connection_string,
            "LANDFALL_ADF_SUBSCRIPTION": "s",
            "LANDFALL_ADF_RESOURCE_GROUP": "g",
            "LANDFALL_ADF_FACTORY": "f",
            "DATABRICKS_HOST": "http://localhost",
            "LANDFALL_PROJECT": str(self.project),
        }
        pipelines = wrap("adf", self.pipelines)
        return build(
            read(env, app=self.project),
            clock=self.clock,
            lake=wrap("lake", self.storage_account.lake),
            pipelines=lambda _: pipelines,
        )

    def ask(
        self,
        endpoint: web.Endpoint,
        body: Mapping[str, Any],
        *,
        entry: str = "orders",
        service: Landfall | None = None,
    ) -> web.ApiResponse:
        """Ask as a pipeline or a person would."""
        request = web.ApiRequest(
            body=json.dumps(body).encode(),
            content_type="application/json",
            route={"source": "shop", "object": entry},
        )
        return web.answer(endpoint, lambda: service or self.service, request)

    def run(
        self,
        entry: str = "orders",
        *,
        service: Landfall | None = None,
        more: Mapping[str, Any] | None = None,
        high: str | None = None,
    ) -> web.ApiResponse:
        """One pipeline run: High, Begin, Copy, Finish; each call is tried again as its policy says.

        Returns the last answer. Whatever is raised in the service leaves the run where it stands.
        """
        name = f"run-{next(self._runs)}"
        self.pipelines.working.add(name)
        try:
            highest = self.table.high() if high is None else high
            asked = {"adf_run_id": name, "high": highest, **(more or {})}
            begun = self._again(sources.begin, asked, entry, service)
            if not begun.body.get("granted"):
                return begun
            keys = self.table.read(begun.body)
            self.write(begun.body, keys)
            done = {
                "adf_run_id": name,
                "extract_id": begun.body["extract_id"],
                "rows": len(keys),
                "bytes": 1,
            }
            return self._again(sources.finish, done, entry, service)
        finally:
            self.pipelines.working.discard(name)

    def _again(
        self,
        endpoint: web.Endpoint,
        body: Mapping[str, Any],
        entry: str,
        service: Landfall | None,
        tries: int = 3,
    ) -> web.ApiResponse:
        answer = self.ask(endpoint, body, entry=entry, service=service)
        for _ in range(tries - 1):
            if answer.status < 500:
                break
            answer = self.ask(endpoint, body, entry=entry, service=service)
        return answer

    def write(self, grant: Mapping[str, Any], keys: list[int]) -> None:
        """What the Copy does."""
        path = f"{grant['container']}/{grant['folder']}/{grant['file']}"
        self.storage_account.lake.put(path, json.dumps(keys).encode())

    def delivered(self) -> list[list[int]]:
        """The keys of each drop that came out of landing, claimed or on its way."""
        drops = []
        for prefix in ("landing/orders/", "raw/orders/"):
            for found in self.storage_account.lake.list(prefix):
                with suppress(ValueError, LandfallError):
                    drops.append(json.loads(self.storage_account.lake.get(found.version.path)[0]))
        return drops
