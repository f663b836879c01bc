"""The crash matrix of extraction: every fault at every boundary of one extract.

    python -m tests.faults.extraction [--out docs/reference/crash-matrix-extract.md]

A table of a real PostgreSQL, the committed pipeline, one change of a row for each cell. A fault
strikes one of the service's requests while a pipeline run extracts; the pipeline tries its calls
again as its policies say, and a second pipeline run follows, which nothing disturbs. Then the
change is in one drop, that drop has one run, and the watermark is past it.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import psycopg
import pyarrow.parquet as pq
from azure.mgmt.datafactory import DataFactoryManagementClient

from devcloud.config import DATABASE, create
from landfall.azure.arm import data_factory_client
from landfall.cli.identity import LocalIdentity
from marketplace import shop
from marketplace.generator import write_users
from tests.faults.boundaries import Boundary, boundaries_of
from tests.faults.environment import (
    OUTSIDE,
    REPOSITORY,
    SETTINGS,
    FaultEnvironment,
    Json,
    fault_environment,
    wait,
)
from tests.faults.matrix import FAULTS

OWN = ("/manifest/sources/", "/raw/_extracts/", "/landing/")
"""What only an extract touches; a claimed drop has a matrix of its own."""
STATE = "sources/shop/orders"
ORDERS, SECONDS = 60, 90.0
ENDED = frozenset({"Succeeded", "Failed", "Cancelled"})


@dataclass
class Cell:
    """How one fault at one boundary went; the problem is empty where all is as it must be."""

    problem: str
    struck: bool
    seconds: float


@dataclass
class ExtractRow:
    """One boundary with its cells."""

    boundary: Boundary
    cells: dict[str, Cell] = field(default_factory=dict)


@dataclass
class ExtractEnvironment:
    """The cloud, the shop's database, and the factory as a trigger uses it."""

    cloud: FaultEnvironment
    factory: DataFactoryManagementClient
    dsn: str

    def change(self) -> tuple[int, Any]:
        """Change one order; returns its key and its new amount."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            row = connection.execute(
                "UPDATE public.orders SET amount = amount + 1 WHERE order_id = "
                "(SELECT order_id FROM public.orders ORDER BY updated_at, order_id LIMIT 1) "
                "RETURNING order_id, amount"
            ).fetchone()
        assert row is not None
        return int(row[0]), row[1]

    def old_enough(self) -> None:
        """Wait until the last change is older than the lag."""

        def old() -> bool:
            with psycopg.connect(self.dsn) as connection:
                row = connection.execute(
                    "SELECT max(updated_at) <= now() - interval '1 second' FROM public.orders"
                ).fetchone()
            return bool(row and row[0])

        wait(old, 5)

    def run(self) -> str:
        """One pipeline run to its end; returns its status."""
        created = self.factory.pipelines.create_run(
            "landfall",
            "landfall",
            "extract_postgresql",
            parameters={"source": "shop", "objects": "orders"},
            retry_total=0,
        )
        status = ""

        def ended() -> bool:
            nonlocal status
            run = self.factory.pipeline_runs.get("landfall", "landfall", created.run_id)
            status = str(run.status)
            return status in ENDED

        wait(ended, SECONDS)
        return status

    def state(self) -> Json:
        """The object's document as it stands in the lake."""
        path = self.cloud.config.lake_folder / "manifest" / STATE / "state.json"
        document: Json = json.loads(path.read_text())
        return document

    def drops_with(self, key: int, amount: Any) -> list[str]:
        """The drops that have a version of an order, by their names."""
        found = []
        for folder in ("landing/orders", "raw/orders"):
            for path in (self.cloud.config.lake_folder / folder).glob("*.parquet"):
                table = pq.read_table(io.BytesIO(path.read_bytes()), columns=["order_id", "amount"])
                rows = [(row["order_id"], row["amount"]) for row in table.to_pylist()]
                if (key, amount) in rows:
                    found.append(path.name)
        return found

    def extract(self, *faults: tuple[str, Json]) -> Cell:
        """Change a row, extract it while faults strike, extract once more, and look."""
        self.cloud.reset_faults()
        key, amount = self.change()
        self.old_enough()
        began = time.monotonic()
        for service, rule in faults:
            self.cloud.arm(service, **rule)
        self.run()
        struck = self.cloud.struck() > 0
        if faults:
            for service in OUTSIDE:
                httpx.delete(f"{self.cloud.config.url(service)}/_devcloud/faults")
            wait(self._answers, 20)
        last = self.run() if faults else ""
        return Cell(self._problem(key, amount, last), struck, time.monotonic() - began)

    def _answers(self) -> bool:
        """Whether the service is there (again)."""
        with suppress(httpx.HTTPError):
            return self.cloud.http.get("/health").status_code == 200
        return False

    def _problem(self, key: int, amount: Any, last: str) -> str:
        state = self.state()
        drops = self.drops_with(key, amount)
        runs = [
            run["source"]["path"]
            for active in (True, False)
            for run in self.cloud.documents(active=active)
        ]
        wanted = {
            "the last pipeline run": (last, "Succeeded" if last else ""),
            "drops with the change": (len(drops), 1),
            "runs of one drop": (len(runs), len(set(runs))),
            "extracts under way": (len(state["running"]), 0),
        }
        wrong = [f"{what}: {is_} for {must}" for what, (is_, must) in wanted.items() if is_ != must]
        return "; ".join(wrong)


@contextmanager
def extracting(root: Path) -> Iterator[ExtractEnvironment]:
    """A cloud with a shop of a few orders, of which all were extracted once."""
    project = root / "project"
    shutil.copytree(REPOSITORY / "marketplace", project)
    file = project / "sources" / "shop.yaml"
    text = file.read_text().replace("lag: 5s", "lag: 1s").replace("    overlap: 1m\n", "")
    file.write_text(text)
    cloud = root / "cloud"
    ports = create(cloud, REPOSITORY).ports  # kept by whoever makes the same folder again
    connection = {
        "server": "127.0.0.1",
        "port": ports[DATABASE],
        "username": "landfall",
        "auth": {"kind": "password", "secret": "database-password"},
        "sslMode": "disable",
    }
    settings = SETTINGS | {
        "LANDFALL_PROJECT": str(project),
        "LANDFALL_SOURCE_SHOP": json.dumps(connection),
        "LANDFALL_REFERENCE_WAIT_SECONDS": "86400",
    }
    with (
        mock.patch.dict(os.environ, DEVCLOUD_FACTORY_SPEED="10"),  # 30 s between two tries
        fault_environment(cloud, settings=settings) as environment,
    ):
        config = environment.config
        dsn = shop.create_database(config.database_dsn, "shop")
        write_users(root / "users.csv", 200, 7)
        shop.write_orders([root / "users.csv"], root / "orders.csv", ORDERS, 7)
        shop.fill(dsn, "orders", [root / "orders.csv"])
        identity = LocalIdentity(config.identity_url, config.identity_secret)
        factory = data_factory_client(config.url("datafactory"), config.subscription, identity)
        made = ExtractEnvironment(environment, factory, dsn)
        told = made.extract()
        if told.problem:
            raise AssertionError(f"nothing was disturbed, and yet: {told.problem}")
        yield made


def listen(made: ExtractEnvironment) -> list[ExtractRow]:
    """The boundaries of an extract that nothing disturbs."""
    told = made.extract()
    if told.problem:
        raise AssertionError(f"nothing was disturbed, and yet: {told.problem}")
    journals = {service: made.cloud.journal(service) for service in OUTSIDE}
    return [
        ExtractRow(boundary)
        for boundary in boundaries_of(journals)
        if any(place in boundary.shape for place in OWN)
    ]


def wrong(rows: list[ExtractRow]) -> list[str]:
    """What is not as it must be, or was not met."""
    return [
        f"{row.boundary.name}, {name}: {cell.problem or 'was not met'}"
        for row in rows
        for name, cell in row.cells.items()
        if cell.problem or not cell.struck
    ]


_HEAD = """# The crash matrix of extraction

Made by `python -m tests.faults.extraction`; not to be edited.
{points} points at which the service touches the lake while a pipeline run extracts, found by
listening to one that nothing disturbs. {cells} extracts of a real PostgreSQL by the committed
pipeline, each harmed once at one of them, {kills} of them by `kill -9` of the service.
{wrong} wrong. {minutes} minutes.

A cell tells the seconds until two pipeline runs have ended, the one that was harmed and one after
it. Then is true: the changed row is in one drop, that drop has one run, nothing is under way, and
the second pipeline run succeeded.

How it heals: [extraction and the watermark](../explanation/watermark.md#when-something-dies).
"""


def page(rows: list[ExtractRow], seconds: float) -> str:
    """The matrix as a page of the documentation."""
    cells = [cell for row in rows for cell in row.cells.values()]
    kills = sum("killed" in name for row in rows for name in row.cells)
    names = list(dict.fromkeys(name for row in rows for name in row.cells))
    lines = [
        _HEAD.format(
            points=len(rows),
            cells=len(cells),
            kills=kills,
            wrong=len(wrong(rows)),
            minutes=round(seconds / 60),
        ),
        f"| point | {' | '.join(names)} |",
        f"|---|{'---|' * len(names)}",
        *(_line(row, names) for row in rows),
    ]
    return "\n".join(lines) + "\n"


def _line(row: ExtractRow, names: list[str]) -> str:
    def shown(cell: Cell | None) -> str:
        if cell is None:
            return ""
        if cell.problem:
            return f"**{cell.problem}**"
        return f"{cell.seconds:.1f}" if cell.struck else "not met"

    cells = [shown(row.cells.get(name)) for name in names]
    return f"| {row.boundary.service}: `{row.boundary.name}` | {' | '.join(cells)} |"


def main() -> int:
    """Fill the matrix and write it; 1 where a cell is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.extraction")
    parser.add_argument("--out", type=Path, help="write the page there")
    parser.add_argument("--fault", action="append", choices=list(FAULTS), help="default: all")
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, extracting(Path(folder)) as made:
        rows = listen(made)
        for name in options.fault or FAULTS:
            for row in rows:
                rule = FAULTS[name] | row.boundary.rule()
                cell = row.cells[name] = made.extract((row.boundary.service, rule))
                word = cell.problem or ("ok" if cell.struck else "was not met")
                sys.stderr.write(f"{cell.seconds:5.1f} s  {row.boundary.name}, {name}: {word}\n")
            if options.out:
                options.out.write_text(page(rows, time.monotonic() - began))
    sys.stdout.write(page(rows, time.monotonic() - began))
    faulty = wrong(rows)
    sys.stderr.write("".join(f"WRONG {line}\n" for line in faulty))
    return 1 if faulty else 0


if __name__ == "__main__":
    sys.exit(main())
