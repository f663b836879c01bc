r"""Measures how the local Data Factory reads PostgreSQL, against `psql`.

    python -m benchmarks.extract [--rows 1000000] [--rounds 3]

whole        a Copy of all orders to one Parquet file of the lake, beside `psql` writing the same
             query to a file with `\copy`, in turn: at most 2.5x.
partitioned  the same Copy by DynamicRange, 2 parts at once into one file: at most 0.8x of the whole
             one where the server has a core to spare.
waiting      both again by a query that waits for 2 s in all, as a server does for its disk or its
             network: what parts at once are worth where no core is busy.
memory       resident memory of the factory's process at its highest: at most 300 MB for the whole
             copy, and for two parts at once.

Times are the best of the rounds. `psql` must be on the PATH, or PSQL name it.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
from azure.storage.blob import BlobServiceClient

from devcloud.config import DATABASE, CloudConfig, create
from devcloud.supervisor import Supervisor
from devcloud.testing.factory import FACTORY, FINAL, GROUP, FactoryHost, Service, client_of

COLUMNS = "order_id, buyer_id, ordered_at, status, amount, updated_at"
QUERY = f"SELECT {COLUMNS} FROM orders"  # noqa: S608 - a constant
WAITING = """
    SELECT order_id, buyer_id, ordered_at, amount, updated_at,
           status || CASE WHEN order_id % {} = 0 THEN pg_sleep(0.04)::text ELSE '' END AS status
    FROM orders
"""
RANGED = f"{QUERY} WHERE ?AdfDynamicRangePartitionCondition"
TABLE = """
    CREATE TABLE orders AS
    SELECT n::bigint AS order_id, (n % 98913)::int AS buyer_id,
           timestamptz '2026-01-01' + n * interval '31 seconds' AS ordered_at,
           (ARRAY['placed', 'paid', 'shipped', 'returned'])[1 + n % 4] AS status,
           ((n::bigint * 7919) % 1000000 / 100.0)::numeric(12, 2) AS amount,
           timestamptz '2026-01-01' + n * interval '37 seconds' AS updated_at
    FROM generate_series(1, {}) AS n
"""


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, _cloud(Path(folder)) as host:
        with psycopg.connect(host.config.database_dsn, autocommit=True) as connection:
            connection.execute(TABLE.format(options.rows).encode())
            connection.execute("ALTER TABLE orders ADD PRIMARY KEY (order_id)")
            connection.execute("VACUUM ANALYZE orders")
        psql, whole, parted, waiting, waiting_parted = [], [], [], [], []
        idle, memory = _memory(host.config, "VmRSS"), 0
        for _ in range(options.rounds):
            psql.append(_psql(host.config, Path(folder)))
            whole.append(_copy(host, {"query": QUERY}, "whole.parquet", options.rows))
            memory = memory or _memory(host.config, "VmHWM")
            parted.append(_copy(host, _ranged(), "parts.parquet", options.rows))
            query = WAITING.format(max(options.rows // 50, 1))
            waiting.append(_copy(host, {"query": query}, "whole.parquet", options.rows))
            waiting_parted.append(
                _copy(host, _waiting(query, options.rows), "parts.parquet", options.rows)
            )
        memory_of_both = _memory(host.config, "VmHWM")
    base = min(psql)
    print(f"rows         {options.rows:,}")
    print(f"psql         {base:.2f} s")
    print(f"whole        {min(whole):.2f} s  {min(whole) / base:.2f}x of psql (at most 2.5x)")
    print(f"partitioned  {min(parted):.2f} s  {min(parted) / min(whole):.2f}x of the whole one")
    ratio = min(waiting_parted) / min(waiting)
    print(
        f"waiting      {min(waiting):.2f} s, partitioned {min(waiting_parted):.2f} s  {ratio:.2f}x"
    )
    print(f"memory       {memory / 2**20:.0f} MB (at most 300 MB), {idle / 2**20:.0f} MB idle")
    print(f"             {memory_of_both / 2**20:.0f} MB with two parts at once (at most 300 MB)")


def _ranged() -> dict[str, Any]:
    settings = {"partitionColumnName": "order_id"}
    return {"query": RANGED, "partitionOption": "DynamicRange", "partitionSettings": settings}


def _waiting(query: str, rows: int) -> dict[str, Any]:
    """In parts by bounds: to ask for least and greatest value would wait, too."""
    settings = {
        "partitionColumnName": "order_id",
        "partitionLowerBound": str(rows // 4),
        "partitionUpperBound": str(rows * 3 // 4),
    }
    ranged = f"{query} WHERE ?AdfDynamicRangePartitionCondition"
    return {"query": ranged, "partitionOption": "DynamicRange", "partitionSettings": settings}


@contextmanager
def _cloud(root: Path) -> Iterator[FactoryHost]:
    """Database, lake and factory as processes of their own, with linked services and datasets."""
    config = create(root / "cloud", root)
    with (
        Supervisor(config, services=["lake", "datafactory", DATABASE]),
        client_of(config, config.url("datafactory")) as client,
    ):
        body: Any = {"location": "local", "properties": {}}
        client.factories.create_or_update(GROUP, FACTORY, body)
        lake = BlobServiceClient.from_connection_string(config.lake_connection_string)
        host = FactoryHost(config, client, config.url("datafactory"), Service(), "", lake)
        _define(host)
        yield host


def _define(host: FactoryHost) -> None:
    config = host.config
    password = {"type": "SecureString", "value": config.database_password}
    server = {
        "server": "127.0.0.1",
        "port": config.ports[DATABASE],
        "database": config.database_name,
        "username": config.database_user,
        "password": password,
        "sslMode": 0,
        "authenticationType": "Basic",
    }
    key = {"type": "SecureString", "value": config.account_key}
    lake = {"url": config.lake_url, "accountKey": key}
    linked = {"type": "LinkedServiceReference"}
    put = host.put
    put("linked_services", "shop", {"type": "AzurePostgreSql", "typeProperties": server})
    put("linked_services", "lake", {"type": "AzureBlobFS", "typeProperties": lake})
    table = {"type": "AzurePostgreSqlTable", "typeProperties": {}}
    put("datasets", "table", {**table, "linkedServiceName": {**linked, "referenceName": "shop"}})
    location = {
        "type": "AzureBlobFSLocation",
        "fileSystem": "landing",
        "folderPath": "orders",
        "fileName": "@dataset().file",
    }
    parquet = {
        "type": "Parquet",
        "linkedServiceName": {**linked, "referenceName": "lake"},
        "parameters": {"file": {"type": "String"}},
        "typeProperties": {"location": location},
    }
    put("datasets", "parquet", parquet)


def _psql(config: CloudConfig, folder: Path) -> float:
    r"""Seconds that `\copy` takes to write the query to a file."""
    psql = os.environ.get("PSQL") or shutil.which("psql")
    if psql is None:
        raise SystemExit("psql is not on the PATH: set PSQL")
    began = time.perf_counter()
    command = f"\\copy ({QUERY}) to '{folder / 'orders.txt'}'"
    subprocess.run([psql, config.database_dsn, "-qc", command], check=True)
    return time.perf_counter() - began


def _copy(host: FactoryHost, source: dict[str, Any], file: str, rows: int) -> float:
    """Seconds of a Copy, as its activity run says; all rows must be in the lake."""
    dataset = {"type": "DatasetReference"}
    activity = {
        "name": "Copy",
        "type": "Copy",
        "inputs": [{**dataset, "referenceName": "table"}],
        "outputs": [{**dataset, "referenceName": "parquet", "parameters": {"file": file}}],
        "typeProperties": {
            "source": {"type": "AzurePostgreSqlSource", **source},
            "sink": {"type": "ParquetSink"},
            "parallelCopies": 2,
        },
    }
    host.pipeline("extract", activity)
    run_id = host.start("extract")
    while host.status(run_id) not in FINAL:
        time.sleep(0.05)
    run = host.activities(run_id)["Copy"]
    if run["status"] != "Succeeded":
        raise SystemExit(str(run["error"]))
    assert host.lake is not None  # noqa: S101 - there is one
    container = host.lake.get_container_client("landing")
    written = 0
    for blob in container.list_blobs("orders/"):
        data = container.download_blob(blob.name).readall()
        written += pq.ParquetFile(io.BytesIO(data)).metadata.num_rows
        container.delete_blob(blob.name)
    if written != rows:
        raise SystemExit(f"{written} rows in the lake, not {rows}")
    return float(run["durationInMs"]) / 1000


def _memory(config: CloudConfig, name: str) -> int:
    """Bytes of the factory's resident memory: `VmRSS` now, `VmHWM` at its highest."""
    process = config.pid_file("datafactory").read_text().split()[0]
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"the kernel tells no {name}")


if __name__ == "__main__":
    main()
