"""Sources through the committed pipelines: a real PostgreSQL, a real HTTP API, the unmodified SDK.

Loads are not of interest here, so no Spark runs: what has been extracted is read where the
validated drop stands.
"""

from __future__ import annotations

import io
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pyarrow.parquet as pq
import pytest
from azure.mgmt.datafactory import DataFactoryManagementClient

from devcloud.config import DATABASE, CloudConfig, create
from devcloud.supervisor import Supervisor
from landfall.azure.arm import data_factory_client
from landfall.cli.deploy import deploy_local_factory
from landfall.cli.identity import LocalIdentity
from landfall.contract.folder import load_folder
from landfall.sources import reader
from landfall.sources.triggers import trigger_of
from marketplace import carrier, shop
from marketplace.generator import write_users
from tests.e2e.conftest import REPOSITORY, wait
from tests.ingest.harness import FOLDERS

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("sources")]
Json = dict[str, Any]
ORDERS, PARCELS, SECONDS = 3000, 1300, 120.0
SECRET = "carrier-secret"
BEGIN = datetime(2026, 6, 1, tzinfo=UTC)


READINGS = """
  - name: readings
    dataset: readings
    table: public.readings
    mode: full
    partition: {column: id}
"""
FILES = """\
apiVersion: landfall/v1
kind: Source
name: files
connector: http
connection:
  url: http://replaced.example/
objects:
  - name: readings
    dataset: measures
    path: exports/measures-{low}.csv
    mode: window
    timeFormat: date
"""
HOURLY = """\
schedule:
  window: 1h
  start: 2026-06-01T00:00:00Z
  end: 2026-06-02T00:00:00Z
  atOnce: 4
  retries: 2
  retryAfter: 30s
"""


@dataclass
class Sources:
    """The cloud with its two sources, as an operator sees it."""

    config: CloudConfig
    http: httpx.Client
    factory: DataFactoryManagementClient
    dsn: str
    api: carrier.CarrierServer
    project: Path

    def sql(self, statement: str) -> list[Any]:
        """Carry out one statement in the shop's database."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def state(self, path: str) -> Json:
        """An object as `GET /sources/{source}/{object}` shows it."""
        reply = self.http.get(f"/sources/{path}")
        assert reply.status_code == 200, reply.text
        document: Json = reply.json()
        return document

    def extract(self, path: str, **body: Any) -> list[str]:
        """Extract an object by hand; returns how its pipeline runs ended."""
        reply = self.http.post(f"/sources/{path}/extract", json=body)
        assert reply.status_code == 202, reply.text
        return [self.ended(run["adf_run_id"]) for run in reply.json()["pipeline_runs"]]

    def ended(self, run_id: str) -> str:
        """Wait for a pipeline run to end."""

        def status() -> str:
            run = self.factory.pipeline_runs.get("landfall", "landfall", run_id)
            return str(run.status)

        wait(lambda: status() in {"Succeeded", "Failed", "Cancelled"}, SECONDS, status)
        return status()

    def caught_up(self, path: str, look: Callable[[], bool]) -> None:
        """Extract an object until something is so: rows younger than the lag come the next time."""

        def again() -> bool:
            assert self.extract(path) == ["Succeeded"], self.state(path)
            return look()

        wait(again, SECONDS, lambda: json.dumps(self.state(path)))

    def drops(self, dataset: str) -> Iterator[Path]:
        """The files of a dataset that were claimed, the oldest first."""
        folder = self.config.lake_folder / "raw" / dataset
        files = [path for path in folder.glob("*-*") if path.is_file()]
        return iter(sorted(files, key=lambda path: path.name))

    def claimed(self, dataset: str, run_id: str) -> Path:
        """The drop of a run where its claim has put it."""
        return next((self.config.lake_folder / "raw" / dataset).glob(f"{run_id}-*"))

    def orders(self) -> dict[int, Json]:
        """What silver would have: of each order the record that came last."""
        rows: dict[int, Json] = {}
        for path in self.drops("orders"):
            for row in pq.read_table(io.BytesIO(path.read_bytes())).to_pylist():
                rows[row["order_id"]] = row
        return rows

    def parcels(self) -> dict[str, Json]:
        """Likewise of parcels."""
        rows: dict[str, Json] = {}
        for path in self.drops("parcels"):
            for line in path.read_text().splitlines():
                rows[json.loads(line)["parcel_id"]] = json.loads(line)
        return rows

    def in_the_database(self) -> dict[int, tuple[Any, ...]]:
        """The orders of the database."""
        rows = self.sql("SELECT order_id, status, amount FROM public.orders")
        return {row[0]: tuple(row) for row in rows}

    def agrees(self) -> bool:
        """Whether what was extracted is what the database has."""
        mine = {k: (k, row["status"], row["amount"]) for k, row in self.orders().items()}
        return mine == self.in_the_database()


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sources]:
    """A cloud without Spark, a shop with orders, and a carrier with parcels."""
    root = tmp_path_factory.mktemp("sources")
    project = root / "project"
    shutil.copytree(REPOSITORY / "marketplace", project)
    for contract in (project / "contracts").glob("*.yaml"):
        if contract.name.partition(".")[0] not in {"orders", "parcels", "users"}:
            contract.unlink()
    text = (project / "sources" / "shop.yaml").read_text()
    (project / "sources" / "shop.yaml").write_text(_quick(text))
    readings = FOLDERS.replace("value: folder", "value: file")
    (project / "contracts" / "readings.odcs.yaml").write_text(readings)
    measures = readings.replace("readings", "measures")
    (project / "contracts" / "measures.odcs.yaml").write_text(measures)
    with (project / "sources" / "shop.yaml").open("a") as file:
        file.write(READINGS.lstrip("\n"))
    (project / "sources" / "files.yaml").write_text(FILES)
    text = (
        (project / "sources" / "carrier.yaml").read_text().replace("name: carrier", "name: hourly")
    )
    before, _, after = text.partition("schedule:")
    after = after[after.index("objects:") :]
    (project / "sources" / "hourly.yaml").write_text(f"{before}{HOURLY}{after}")
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("DEVCLOUD_FACTORY_SPEED", "30")  # an activity waits 30 s before it tries again
        parcels = carrier.Parcels(PARCELS, BEGIN, timedelta(hours=24))
        api = stack.enter_context(carrier.serving(parcels, SECRET))
        config = create(root / "cloud", REPOSITORY)
        files = stack.enter_context(_serving(root / "files"))
        config = replace(config, settings=_settings(config, project, api, files))
        config.save()
        services = ("lake", "datafactory", "functions", DATABASE)
        stack.enter_context(Supervisor(config, services=services))
        identity = LocalIdentity(config.identity_url, config.identity_secret)
        token = identity.get_token("https://vault.azure.net/.default").token
        httpx.put(
            f"{config.vault_url}/secrets/carrier-client-secret",
            params={"api-version": "7.4"},
            json={"value": SECRET},
            headers={"Authorization": f"Bearer {token}"},
        ).raise_for_status()
        dsn = shop.create_database(config.database_dsn, "shop")
        write_users(root / "users.csv", 2000, 7)
        shop.write_orders([root / "users.csv"], root / "orders.csv", ORDERS, 7)
        shop.fill(dsn, "orders", [root / "orders.csv"])
        deploy_local_factory(config)
        factory = data_factory_client(config.url("datafactory"), config.subscription, identity)
        headers = {"x-functions-key": config.function_key}
        http = stack.enter_context(
            httpx.Client(base_url=config.url("functions"), headers=headers, timeout=60)
        )
        yield Sources(config, http, factory, dsn, api, project)


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    """A web server for the files of a folder; its URL."""
    (folder / "exports").mkdir(parents=True)
    (folder / "exports" / "measures-2026-06-01.csv").write_text("id,value\n1,0.5\n2,0.25\n")
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _quick(text: str) -> str:
    """The shop's source with a short lag, and a relationship that nobody waits for."""
    return text.replace("lag: 5s", "lag: 1s")


def _settings(
    config: CloudConfig, project: Path, api: carrier.CarrierServer, files: str
) -> dict[str, str]:
    server = {
        "server": "127.0.0.1",
        "port": config.ports[DATABASE],
        "username": config.database_user,
        "auth": {"kind": "password", "secret": "database-password"},
        "sslMode": "disable",
    }
    service = {
        "url": f"{api.url}/v2/",
        "auth": {
            "kind": "oauth2",
            "tokenEndpoint": f"{api.url}/token",
            "clientId": carrier.CLIENT_ID,
            "secret": "carrier-client-secret",
            "scope": "parcels.read",
        },
        "interval": "1ms",
    }
    return {
        "LANDFALL_PROJECT": str(project),
        "LANDFALL_SOURCE_SHOP": json.dumps(server),
        "LANDFALL_SOURCE_CARRIER": json.dumps(service),
        "LANDFALL_SOURCE_FILES": json.dumps({"url": files}),
        "LANDFALL_SOURCE_HOURLY": json.dumps(service),
        "LANDFALL_TICK": "0 0 0 1 1 *",
        "LANDFALL_REFERENCE_WAIT_SECONDS": "86400",
    }


def test_orders_reach_landing_and_changed_ones_reach_it_again(sources: Sources) -> None:
    """Row for row what the database has; an idle start reads and writes nothing."""
    sources.caught_up("shop/orders", sources.agrees)
    state = sources.state("shop/orders")
    assert state["last"]["rows"] == ORDERS
    before, count = state["watermark"], state["extracts"]
    assert sources.extract("shop/orders") == ["Succeeded"]
    assert sources.state("shop/orders")["extracts"] == count
    with shop.living(sources.dsn, seed=3) as life:
        for _ in range(12):
            life.step()
            assert sources.extract("shop/orders") == ["Succeeded"]
    sources.caught_up("shop/orders", sources.agrees)
    state = sources.state("shop/orders")
    assert state["watermark"] > before
    assert state["failure"] is None
    assert state["running"] == []


def test_a_types_survives_from_the_database_to_the_drop(sources: Sources) -> None:
    """Numbers, times and nulls are not text on their way."""
    sources.caught_up("shop/orders", sources.agrees)
    first = next(sources.drops("orders"))
    schema = pq.read_schema(first)
    kinds = {name: str(schema.field(name).type) for name in schema.names}
    assert kinds["order_id"] == "int64"
    assert kinds["ordered_at"].startswith("timestamp[")
    assert kinds["amount"].startswith("decimal128(")


def test_windows_of_an_api_come_side_by_side_and_each_once(sources: Sources) -> None:
    """Six windows with several pages behind a token; a second backfill changes nothing."""
    end = BEGIN + timedelta(hours=24)
    body = {"from": BEGIN.isoformat(), "to": end.isoformat(), "every": "4h"}
    assert sources.extract("carrier/parcels", **body) == ["Succeeded"] * 6
    expected = {p["parcel_id"]: p for p in sources.api.parcels.all()}
    extracted = sources.parcels()
    assert set(extracted) == set(expected)
    for name, parcel in extracted.items():
        assert parcel["state"] == expected[name]["state"]
        assert parcel.get("delivered_at") == expected[name]["delivery"].get("at")
    drops = len(list(sources.drops("parcels")))
    assert drops == 6
    assert sources.extract("carrier/parcels", **body) == ["Succeeded"] * 6
    assert len(list(sources.drops("parcels"))) == drops


def test_a_source_that_cannot_be_reached_is_told_and_loses_nothing(sources: Sources) -> None:
    """The table is gone, then there again: a failure with its reason, then the rows."""
    sources.caught_up("shop/orders", sources.agrees)
    sources.sql("ALTER TABLE public.orders RENAME TO hidden")
    assert sources.extract("shop/orders") == ["Failed"]
    state = sources.state("shop/orders")
    assert state["failure"]["count"] == 1
    assert "orders" in state["failure"]["error"]
    sources.sql("ALTER TABLE public.hidden RENAME TO orders")
    sources.sql("UPDATE public.orders SET amount = amount + 1 WHERE order_id % 7 = 0")
    sources.caught_up("shop/orders", sources.agrees)
    assert sources.state("shop/orders")["failure"] is None


def test_a_column_dropped_between_plan_and_copy_is_told(sources: Sources) -> None:
    """The query names its columns: nothing goes missing without a word."""
    sources.caught_up("shop/orders", sources.agrees)
    sources.sql("ALTER TABLE public.orders RENAME COLUMN channel TO way")
    sources.sql("UPDATE public.orders SET amount = amount + 1 WHERE order_id % 5 = 0")

    def failed() -> bool:
        return sources.extract("shop/orders") == ["Failed"]

    wait(failed, SECONDS, lambda: "it never failed")
    assert "channel" in sources.state("shop/orders")["failure"]["error"]
    sources.sql("ALTER TABLE public.orders RENAME COLUMN way TO channel")
    sources.caught_up("shop/orders", sources.agrees)


def test_a_big_table_is_read_in_parts_and_is_one_drop(sources: Sources) -> None:
    """Four queries by ranges of a column, and all rows once."""
    sources.sql("CREATE TABLE public.readings AS SELECT n::bigint AS id, n / 2.0::float8 AS value "
                "FROM generate_series(1, 1000) AS n")  # fmt: skip
    assert sources.extract("shop/readings") == ["Succeeded"], sources.state("shop/readings")
    last = sources.state("shop/readings")["last"]
    assert last["rows"] == 1000
    table = pq.read_table(sources.claimed("readings", last["run_id"]))
    ids: list[Any] = table["id"].to_pylist()
    assert sorted(ids) == list(range(1, 1001))


def test_a_file_of_a_server_is_fetched_for_its_day(sources: Sources) -> None:
    """Byte for byte; a day without a file fails, and says so."""
    day = {"from": "2026-06-01T00:00:00Z", "to": "2026-06-02T00:00:00Z"}
    assert sources.extract("files/readings", **day) == ["Succeeded"], sources.state(
        "files/readings"
    )
    last = sources.state("files/readings")["last"]
    assert last["path"].endswith(".csv")
    content = sources.claimed("measures", last["run_id"]).read_text()
    assert content == "id,value\n1,0.5\n2,0.25\n"
    absent = {"from": "2026-06-02T00:00:00Z", "to": "2026-06-03T00:00:00Z"}
    assert sources.extract("files/readings", **absent) == ["Failed"]
    assert "404" in sources.state("files/readings")["failure"]["error"]


@pytest.mark.slow
def test_a_backfill_by_windows_delivers_each_hour_once(sources: Sources) -> None:
    """A trigger of the source file: 24 windows, four at a time, one of which fails twice."""
    contracts = load_folder(sources.project / "contracts")
    folder = reader.load_folder(sources.project / "sources", contracts)
    trigger = trigger_of(folder.sources["hourly"])
    assert trigger is not None
    # The Copy tries twice in a pipeline run: so often two runs of this window fail.
    sources.api.failing["2026-06-01T05:00:00Z"] = 4
    client: Any = sources.factory.triggers  # raw JSON is taken as well as models
    client.create_or_update("landfall", "landfall", trigger["name"], trigger)
    client.begin_start("landfall", "landfall", trigger["name"]).result()
    wait(
        lambda: sources.state("hourly/parcels")["extracts"] == 24,
        240,
        lambda: json.dumps(sources.state("hourly/parcels")),
    )
    client.begin_stop("landfall", "landfall", trigger["name"]).result()
    assert sources.api.failing["2026-06-01T05:00:00Z"] == 0
    state = sources.state("hourly/parcels")
    assert (state["running"], state["failure"]) == ([], None)
    rows = [
        json.loads(line)["parcel_id"]
        for path in sources.drops("parcels")
        if "-hourly-" in path.name
        for line in path.read_text().splitlines()
    ]
    assert sorted(rows) == sorted(parcel["parcel_id"] for parcel in sources.api.parcels.all())
