"""Gold is loaded into a database: staged by Spark, then put in place in one transaction.

The ledger `landfall.served` says which version of each gold table is served, in the same
transaction as its rows. A version that is served already, or an older one, changes nothing; so a
load that is repeated, or overtaken by a newer one, does no harm. All tables of a load change
together.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from spark_jobs.lake import SparkLake
from spark_jobs.serving.database import Database, Transaction
from spark_jobs.serving.dialects import GOLD, OURS
from spark_jobs.session import SMALL_BYTES, small_queries
from spark_jobs.tables import delta_detail, look, read_delta

_AT_ONCE = 8
_STAMP = "%Y%m%dT%H%M%S"
# A staging table of this age was left by a load that died.
LEFT_OVER = timedelta(hours=6)


@dataclass(frozen=True)
class GoldSnapshot:
    """One version of a gold table that is to be served.

    Attributes:
        path: lake path of the table.
        identity, version: Delta's id of the table, and the version that is to be served.
        origin: what it was built from, silver versions included, as JSON.
        size: of its newest version, in bytes.
    """

    path: str
    identity: str
    version: int
    origin: str
    size: int

    @property
    def table(self) -> str:
        """Its name in the database."""
        return self.path.partition("/")[2].replace("/", "_")


@dataclass(frozen=True)
class Served:
    """How a table came to be served: `loaded` is False where it was so already."""

    version: int
    rows: int
    loaded: bool

    def to_json(self) -> dict[str, Any]:
        """Its form in the result document."""
        return {"version": self.version, "rows": self.rows, "loaded": self.loaded}


def serve(
    lake: SparkLake,
    database: Database,
    paths: Sequence[str],
    batch_id: str,
    builds: Mapping[str, tuple[int, Mapping[str, Any]]] = MappingProxyType({}),
) -> Mapping[str, Served]:
    """Bring the served tables to the newest version of the gold tables at these lake paths.

    Args:
        lake: where gold is.
        database: where it is to be served.
        paths: of the gold tables.
        batch_id: for the ledger.
        builds: version and origin of tables that the caller knows the newest build of; if one was
            built again since, the job that built it serves it.

    Raises:
        ServingError: the database does not answer.
    """
    with small_queries(lake.spark), ThreadPoolExecutor(_AT_ONCE) as pool:
        snapshots = list(pool.map(lambda path: _snapshot(lake, path, builds.get(path)), paths))
    with database.transaction() as work:
        for statement in database.dialect.prepare():
            work.run(statement)
        _sweep(database, work)
        served_tables = {
            snapshot.path: _standing(database, work, snapshot) for snapshot in snapshots
        }
    missing = [snapshot for snapshot in snapshots if served_tables[snapshot.path] is None]
    if not missing:
        return {path: served for path, served in served_tables.items() if served is not None}
    small = sum(snapshot.size for snapshot in missing) <= SMALL_BYTES
    with small_queries(lake.spark, small), ThreadPoolExecutor(_AT_ONCE) as pool:
        staged = list(pool.map(lambda snapshot: _stage(lake, database, snapshot), missing))
    with database.transaction() as work:
        work.run(database.dialect.lock_ledger())
        for snapshot, staging in zip(missing, staged, strict=True):
            served_tables[snapshot.path] = _put_in_place(
                database, work, snapshot, staging, batch_id
            )
    return {path: served for path, served in served_tables.items() if served is not None}


def _snapshot(
    lake: SparkLake, path: str, build: tuple[int, Mapping[str, Any]] | None
) -> GoldSnapshot:
    version, origin = build or _newest(lake, path)
    detail = delta_detail(lake, path)
    return GoldSnapshot(
        path, detail.identity, version, json.dumps(origin, sort_keys=True), detail.size
    )


def _newest(lake: SparkLake, path: str) -> tuple[int, Mapping[str, Any]]:
    newest, built = look(lake, path)
    # What came after the build (OPTIMIZE, VACUUM) left the rows as they are.
    return (built.version, built.origin) if built else (newest, {})


def _standing(database: Database, work: Transaction, snapshot: GoldSnapshot) -> Served | None:
    """Return what is served, if it is this snapshot or a newer one; else None."""
    for identity, version, rows in work.ask(database.dialect.served(), snapshot.table):
        if identity == snapshot.identity and version >= snapshot.version:
            return Served(int(version), int(rows), loaded=False)
    return None


def _stage(lake: SparkLake, database: Database, snapshot: GoldSnapshot) -> str:
    """Write a gold table into a staging table of its own; return its name."""
    stamp = f"{datetime.now(UTC):{_STAMP}}"
    name = f"{stamp}_{secrets.token_hex(4)}_{snapshot.table}"[:63]
    database.write(read_delta(lake, snapshot.path, snapshot.version), name)
    return name


def _put_in_place(
    database: Database, work: Transaction, snapshot: GoldSnapshot, staging: str, batch_id: str
) -> Served:
    dialect, table = database.dialect, snapshot.table
    served = _standing(database, work, snapshot)
    if served is None:
        columns = work.ask(dialect.columns(), OURS, staging)
        if columns == work.ask(dialect.columns(), GOLD, table):
            work.run(dialect.empty(table))
        else:
            for statement in dialect.make(table, staging):
                work.run(statement)
        rows = work.run(dialect.fill(table, staging, [str(name) for name, *_ in columns]))
        forget, add = dialect.note()
        work.run(forget, table)
        identity = (snapshot.identity, snapshot.version)
        work.run(add, table, *identity, rows, snapshot.origin, batch_id)
        served = Served(snapshot.version, rows, loaded=True)
    work.run(dialect.drop(OURS, staging))
    return served


def _sweep(database: Database, work: Transaction) -> None:
    """Drop the staging tables that failed loads have left."""
    before = datetime.now(UTC) - LEFT_OVER
    for (name,) in work.ask(database.dialect.staged()):
        stamp = str(name).partition("_")[0]
        try:
            made = datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
        except ValueError:
            continue  # none of ours
        if made < before:
            work.run(database.dialect.drop(OURS, str(name)))
