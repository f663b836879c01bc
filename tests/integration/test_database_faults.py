"""What goes wrong with a database, through the committed pipeline and a real PostgreSQL.

Each ends in a state that says why, and afterwards what was extracted is what the database has.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import psycopg
import pytest

from devcloud.config import DATABASE
from devcloud.supervisor import Supervisor
from devcloud.testing.factory import configure
from ingest import paths
from landfall.protocol import State
from tests.integration.extraction import Extraction, extracting

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("database_faults")]
READER, PASSWORD, WRONG = "reader", "reader-password", "no-such-password"
ROWS = 50
STAMP = "TIMESTAMPTZ '2026-06-01 00:00:00Z'"


@dataclass
class Shop:
    """A database with one table a test, and the product that extracts it."""

    extraction: Extraction
    supervisor: Supervisor
    dsn: str
    _names: Iterator[int] = field(default_factory=lambda: count(1))

    def sql(self, *statements: str) -> list[Any]:
        """Carry out statements; returns the rows of the last."""
        rows: list[Any] = []
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
                rows = cursor.fetchall() if cursor.description else []
        return rows

    def table(self, rows: int = ROWS) -> str:
        """Create a table with rows that were stamped a second apart."""
        name = f"items{next(self._names)}"
        self.sql(
            f"CREATE TABLE {name} (id bigint PRIMARY KEY, name text, amount numeric, "
            "at timestamptz, number bigint)",
            f"GRANT SELECT ON {name} TO {READER}",
            f"INSERT INTO {name} SELECT n, '{name} ' || n, n / 4.0, "
            f"{STAMP} + n * interval '1 second', n FROM generate_series(1, {rows}) AS n",
        )
        return name

    def connection(self, **changes: Any) -> dict[str, Any]:
        """How the product reaches the database."""
        config = self.extraction.host.config
        return {
            "server": "127.0.0.1",
            "port": config.ports[DATABASE],
            "database": config.database_name,
            "username": READER,
            "auth": {"kind": "password", "secret": PASSWORD},
            "sslMode": "disable",
            **changes,
        }

    def source(self, table: str, **entry: Any) -> str:
        """A source that reads a table; returns its name."""
        return self.extraction.source(
            "postgresql", self.connection(), **{**INCREMENTAL, "table": f"public.{table}", **entry}
        )

    def compare(self, source: str, table: str) -> None:
        """What was extracted is what the database has."""
        rows = self.sql(f"SELECT id, name, round(amount, 2) FROM {table}")
        assert self.extraction.rows(source) == {row[0]: tuple(row) for row in rows}

    def catch_up(self, source: str, table: str) -> None:
        """Extract once more, and compare."""
        self.extraction.delivered(source)
        self.compare(source, table)


INCREMENTAL = {
    "mode": "incremental",
    "watermark": {"column": "at", "type": "timestamptz"},
    "lag": "1s",
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One database, one factory and one service for all tests here."""
    config = configure(tmp_path_factory.mktemp("cloud"))
    with (
        Supervisor(config, services=(DATABASE,)) as supervisor,
        extracting(config, tmp_path_factory.mktemp("project") / "project") as extraction,
    ):
        shop = Shop(extraction, supervisor, config.database_dsn)
        shop.sql(f"CREATE ROLE {READER} LOGIN PASSWORD 'secret'")
        extraction.secret(PASSWORD, "secret")
        extraction.secret(WRONG, "no secret")
        yield shop


# -- what is wrong before a row is read -----------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"port": 1}, ["Cannot connect to PostgreSQL", "127.0.0.1:1", "refused"]),
        ({"auth": {"kind": "password", "secret": WRONG}},
         ["Cannot connect to PostgreSQL", READER, "password authentication failed"]),
        ({"auth": {"kind": "password", "secret": "not-there"}}, ["not-there"]),
        ({"database": "elsewhere"}, ['database "elsewhere" does not exist']),
        ({"username": "nobody"}, ["nobody", "password authentication failed"]),
        ({"sslMode": "require"}, ["does not support SSL"]),
    ],
    ids=["refused", "password", "secret", "database", "role", "tls"],
)  # fmt: skip
def test_no_connection(shop: Shop, change: dict[str, Any], words: list[str]) -> None:
    """The object says why, without the password; put right, all rows come."""
    table = shop.table()
    source = shop.source(table)
    extraction = shop.extraction
    extraction.delivered(source)
    shop.sql(f"UPDATE {table} SET amount = amount + 1, at = now() - interval '1 hour'")
    entry = {**INCREMENTAL, "table": f"public.{table}"}
    extraction.write(source, "postgresql", shop.connection(**change), **entry)
    before = extraction.state(source)["watermark"]
    error = extraction.failed(source)
    assert all(word in error for word in words), error
    assert "no secret" not in error
    assert extraction.failed(source)
    state = extraction.state(source)
    assert (state["failure"]["count"], state["watermark"]) == (2, before)
    extraction.write(source, "postgresql", shop.connection(), **entry)
    shop.catch_up(source, table)


@dataclass(frozen=True)
class Break:
    """What breaks a table for its reader, what mends it, and the words of the failure."""

    broken: str
    mended: str
    words: tuple[str, ...]
    entry: dict[str, Any] = field(default_factory=dict)


BREAKS = {
    "table dropped": Break(
        "ALTER TABLE {0} RENAME TO {0}_away", "ALTER TABLE {0}_away RENAME TO {0}",
        ("42P01", "{0}", "does not exist"),
    ),
    "column dropped": Break(
        "ALTER TABLE {0} RENAME amount TO total", "ALTER TABLE {0} RENAME total TO amount",
        ("42703", '"amount" does not exist'),
    ),
    "watermark dropped": Break(
        "ALTER TABLE {0} RENAME at TO changed", "ALTER TABLE {0} RENAME changed TO at",
        ("42703", '"at" does not exist'),
    ),
    "no right": Break(
        f"REVOKE SELECT ON {{0}} FROM {READER}", f"GRANT SELECT ON {{0}} TO {READER}",
        ("42501", "permission denied", "{0}"),
    ),
    "numeric beyond 28 digits": Break(
        "UPDATE {0} SET amount = 12345678901234567890123456789.25 WHERE id = 7",
        "UPDATE {0} SET amount = 7 WHERE id = 7",
        ("'amount'", "12345678901234567890123456789.25", "28"),
    ),
    "a number that is none": Break(
        "UPDATE {0} SET amount = 'NaN' WHERE id = 7", "UPDATE {0} SET amount = 7 WHERE id = 7",
        ("'amount'", "NaN"),
    ),
    "statement timeout": Break(
        f"ALTER ROLE {READER} SET statement_timeout = '1ms'", f"ALTER ROLE {READER} RESET ALL",
        ("57014", "statement timeout"),
        {"where": "length(repeat(md5(name), 20000)) > 0"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BREAKS)
def test_a_table_that_cannot_be_read(shop: Shop, name: str) -> None:
    """The failure has the database's code and names what it is about; mended, all rows come."""
    breaks = BREAKS[name]
    table = shop.table()
    source = shop.source(table, **breaks.entry)
    extraction = shop.extraction
    extraction.delivered(source)
    shop.sql(
        f"UPDATE {table} SET name = name || '!', at = now() - interval '1 hour'",
        breaks.broken.format(table),
    )
    try:
        error = extraction.failed(source)
    finally:
        shop.sql(breaks.mended.format(table))
    assert [word for word in breaks.words if word.format(table) not in error] == [], error
    shop.catch_up(source, table)


# -- while it is read -----------------------------------------------------------------------


def slowly(shop: Shop, table: str) -> str:
    """A view of the table; the next copy of it takes 20 s, until `quick`."""
    view = f"{table}_slow"
    shop.sql(
        "CREATE TABLE IF NOT EXISTS pace (seconds float8)",
        "TRUNCATE pace",
        "INSERT INTO pace VALUES (0)",
        f"GRANT SELECT ON pace TO {READER}",
        f"CREATE VIEW {view} AS SELECT t.* FROM {table} t, "
        "LATERAL pg_sleep((SELECT seconds FROM pace) + 0 * t.id)",
        f"GRANT SELECT ON {view} TO {READER}",
    )
    shop.extraction.after_begin = [lambda: shop.sql(f"UPDATE pace SET seconds = {20 / ROWS}")]
    return view


def quick(shop: Shop) -> None:
    """The views take no time any more; a query under way goes on as it was."""
    shop.sql("UPDATE pace SET seconds = 0")


def backend(shop: Shop, view: str, *, other: int = 0) -> int:
    """Wait for the backend that copies the view; its process id."""
    query = (
        f"SELECT pid FROM pg_stat_activity WHERE query LIKE 'COPY%name%{view}%' "
        f"AND pid <> {other} AND state = 'active' AND now() - query_start > interval '0.2 s'"
    )
    ((pid,),) = until(lambda: shop.sql(query))
    return int(pid)


def until(look: Callable[[], Any], seconds: float = 60) -> Any:
    """What is found in the end."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)
    return found


def test_a_backend_killed_in_mid_copy(shop: Shop) -> None:
    """The activity is tried again, and reads all rows; none comes of the first try."""
    table, extraction = shop.table(), shop.extraction
    view = slowly(shop, table)
    source = shop.source(view)
    (run_id,) = extraction.start(source)
    pid = backend(shop, view)
    quick(shop)
    shop.sql(f"SELECT pg_terminate_backend({pid})")
    assert extraction.host.ended(run_id, 120).status == "Succeeded"
    assert extraction.tries(run_id, "CopyWhole") == 2
    assert extraction.state(source)["failure"] is None
    assert [run.verdict.rows for run in extraction.drops(source) if run.verdict] == [ROWS]
    shop.compare(source, table)


def test_a_backend_killed_in_each_try(shop: Shop) -> None:
    """The run fails with the database's code, and leaves no drop; the next has all rows."""
    table, extraction = shop.table(), shop.extraction
    view = slowly(shop, table)
    source = shop.source(view)
    (run_id,) = extraction.start(source)
    pid = backend(shop, view)
    shop.sql(f"SELECT pg_terminate_backend({pid})")
    shop.sql(f"SELECT pg_terminate_backend({backend(shop, view, other=pid)})")
    assert extraction.host.ended(run_id, 120).status == "Failed"
    state = extraction.state(source)
    assert (state["running"], state["watermark"]) == ([], None)
    assert "57P01" in state["failure"]["error"], state
    assert extraction.drops(source) == []
    quick(shop)
    shop.catch_up(source, table)


def test_a_server_that_restarts(shop: Shop) -> None:
    """What was being read fails and is read again; the watermark is where it was."""
    table, extraction = shop.table(), shop.extraction
    view = slowly(shop, table)
    source = shop.source(view)
    (run_id,) = extraction.start(source)
    backend(shop, view)
    quick(shop)
    shop.supervisor.kill(DATABASE)
    run = extraction.host.ended(run_id, 120)
    shop.supervisor.wait_ready(DATABASE)
    state = extraction.state(source)
    assert state["running"] == []
    if run.status == "Failed":  # else the second try found it up again
        error = state["failure"]["error"]
        assert "connection" in error or "57P" in error, error
        assert state["watermark"] is None
    shop.catch_up(source, table)


# -- a table that changes between plan and copy ---------------------------------------------


def test_a_column_dropped_between_begin_and_copy(shop: Shop) -> None:
    """The copy fails with its name; with the column back, nothing is missing."""
    table, extraction = shop.table(), shop.extraction
    source = shop.source(table)
    extraction.after_begin = [lambda: shop.sql(f"ALTER TABLE {table} RENAME amount TO total")]
    error = extraction.failed(source)
    assert '"amount" does not exist' in error
    assert extraction.drops(source) == []
    shop.sql(f"ALTER TABLE {table} RENAME total TO amount")
    shop.catch_up(source, table)


def test_a_column_added_between_begin_and_copy(shop: Shop) -> None:
    """The query names its columns: another one is not read, and nothing fails."""
    table, extraction = shop.table(), shop.extraction
    source = shop.source(table)
    extraction.after_begin = [
        lambda: shop.sql(f"ALTER TABLE {table} ADD COLUMN more text DEFAULT 'x'")
    ]
    shop.catch_up(source, table)


def test_a_column_retyped_to_what_the_contract_can_read(shop: Shop) -> None:
    """A bigint that has become a numeric is an integer all the same."""
    table, extraction = shop.table(), shop.extraction
    source = shop.source(table)
    extraction.after_begin = [lambda: shop.sql(f"ALTER TABLE {table} ALTER id TYPE numeric(20, 0)")]
    shop.catch_up(source, table)


def test_a_column_retyped_to_what_the_contract_refuses(shop: Shop) -> None:
    """The drop is quarantined with the column's name; read again by hand, nothing is missing."""
    table, extraction = shop.table(), shop.extraction
    source = shop.source(table)
    extraction.after_begin = [
        lambda: shop.sql(
            f"ALTER TABLE {table} ALTER id TYPE date USING date '2026-01-01' + id::int"
        )
    ]
    state = extraction.delivered(source)
    (run,) = extraction.drops(source)
    assert run.state is State.QUARANTINED
    assert run.verdict is not None
    assert "id" in str(run.verdict.problem)
    shop.sql(f"ALTER TABLE {table} ALTER id TYPE bigint USING id - date '2026-01-01'")
    reply = extraction.http.post(
        f"/sources/{source}/rows/rewind", json={"to": None, "reason": "the type is back"}
    )
    assert reply.status_code == 200, reply.text
    assert state["watermark"] is not None
    extraction.delivered(source)
    assert extraction.drops(source)[1].verdict is not None
    extraction.runs.remove(run.run_id)
    shop.compare(source, table)


# -- watermarks -----------------------------------------------------------------------------


def test_equal_watermarks_at_the_boundary(shop: Shop) -> None:
    """Rows of one stamp come together; those that change to it later come with the overlap."""
    table, extraction = shop.table(), shop.extraction
    shop.sql(f"UPDATE {table} SET at = {STAMP}")
    source = shop.source(table, overlap="1s")
    assert extraction.delivered(source)["last"]["rows"] == ROWS
    shop.sql(
        f"INSERT INTO {table} VALUES (1001, 'late', 1, {STAMP}, 1)",
        f"INSERT INTO {table} VALUES (1002, 'next', 1, {STAMP} + interval '1 second', 1)",
    )
    state = extraction.delivered(source)
    assert state["last"]["rows"] == ROWS + 2
    shop.compare(source, table)
    assert extraction.delivered(source)["extracts"] == state["extracts"]


def test_equal_integers_at_the_boundary(shop: Shop) -> None:
    """A number that comes late is within the overlap of the next extract."""
    table, extraction = shop.table(), shop.extraction
    watermark = {"column": "number", "type": "integer"}
    source = shop.extraction.source(
        "postgresql", shop.connection(), table=f"public.{table}", mode="incremental",
        watermark=watermark, overlap="5",
    )  # fmt: skip
    assert extraction.delivered(source)["watermark"] == str(ROWS)
    shop.sql(
        f"INSERT INTO {table} VALUES (1001, 'late', 1, now(), {ROWS}), "
        f"(1002, 'next', 1, now(), {ROWS + 1})"
    )
    assert extraction.delivered(source)["last"]["rows"] == 4 + 1 + 1 + 1
    shop.compare(source, table)


def test_rows_without_a_watermark(shop: Shop) -> None:
    """They come with each extract that finds something new, the first one included."""
    table, extraction = shop.table(), shop.extraction
    shop.sql(f"UPDATE {table} SET at = NULL WHERE id <= 5")
    source = shop.source(table)
    assert extraction.delivered(source)["last"]["rows"] == ROWS
    shop.sql(
        f"UPDATE {table} SET name = 'changed' WHERE id = 1",
        f"UPDATE {table} SET at = now() - interval '1 hour' WHERE id = 6",
    )
    assert extraction.delivered(source)["last"]["rows"] == 6
    shop.compare(source, table)


def test_only_rows_without_a_watermark(shop: Shop) -> None:
    """A table without any stamp is read too, whole, each time."""
    table, extraction = shop.table(), shop.extraction
    shop.sql(f"UPDATE {table} SET at = NULL")
    source = shop.source(table)
    extraction.delivered(source)
    shop.compare(source, table)
    shop.sql(f"UPDATE {table} SET name = 'changed', at = now() - interval '1 hour' WHERE id = 1")
    extraction.delivered(source)
    shop.compare(source, table)


@pytest.mark.parametrize("mode", ["incremental", "full"])
def test_an_empty_table(shop: Shop, mode: str) -> None:
    """It succeeds, and makes no drop; its first rows come as soon as they are there."""
    table, extraction = shop.table(0), shop.extraction
    source = (
        shop.source(table)
        if mode == "incremental"
        else extraction.source(
            "postgresql", shop.connection(), table=f"public.{table}", mode="full"
        )
    )
    state = extraction.delivered(source)
    assert state["watermark"] is None
    assert extraction.drops(source) == []
    shop.sql(f"INSERT INTO {table} VALUES (1, '{table}', 1, now() - interval '1 hour', 1)")
    extraction.clock.shift += timedelta(seconds=2)  # a full reading is named by its second
    shop.catch_up(source, table)
    extraction.clock.shift = timedelta()


@pytest.mark.parametrize("hours", [-30, 30])
def test_a_service_whose_clock_is_wrong(shop: Shop, hours: int) -> None:
    """The high end is of the database's clock: neither direction loses a row."""
    table, extraction = shop.table(), shop.extraction
    source = shop.source(table)
    extraction.clock.shift = timedelta(hours=hours)
    try:
        shop.catch_up(source, table)
        for _ in range(3):
            shop.sql(f"UPDATE {table} SET amount = amount + 1, at = now() - interval '2 s'")
            shop.catch_up(source, table)
    finally:
        extraction.clock.shift = timedelta()


# -- two at once, and again -----------------------------------------------------------------


def test_two_pipeline_runs_at_once(shop: Shop) -> None:
    """The second finds the range taken and has nothing to do; each row is delivered once."""
    table, extraction = shop.table(), shop.extraction
    source = shop.source(table)
    second: list[Any] = []
    extraction.after_begin = [lambda: second.append(extraction.extract(source))]
    state = extraction.delivered(source)
    assert [run.status for run in second] == ["Succeeded"]
    assert state["extracts"] == 1
    assert len(extraction.drops(source)) == 1
    shop.compare(source, table)


def test_many_pipeline_runs_at_once(shop: Shop) -> None:
    """Eight starts while rows change: all succeed, and nothing is missing."""
    table, extraction = shop.table(), shop.extraction
    source = shop.source(table, overlap="10s")
    started = []
    for _ in range(4):
        started += extraction.start(source) + extraction.start(source)
        stamp = "now() - interval '2 s'"  # older than the lag
        shop.sql(f"UPDATE {table} SET amount = amount + 1, at = {stamp} WHERE id % 7 = 0")
    ended = [extraction.host.ended(run_id, 120).status for run_id in started]
    assert ended == ["Succeeded"] * 8
    shop.catch_up(source, table)


def test_a_table_that_goes_back_to_what_it_was(shop: Shop) -> None:
    """The same rows as two readings ago are no duplicate: silver has those of the last reading.

    An unchanged table is one, and is not loaded again.
    """
    table, extraction = shop.table(), shop.extraction
    source = extraction.source(
        "postgresql", shop.connection(), table=f"public.{table}", mode="full"
    )
    for name in ("placed", "cancelled", "placed", "placed"):
        shop.sql(f"UPDATE {table} SET name = '{name} of {table}'")
        shop.catch_up(source, table)
        second = datetime.now(UTC).second  # that a drop landed in, and that names a reading
        until(lambda second=second: datetime.now(UTC).second != second)  # type: ignore[misc]
    states = [run.state is State.DUPLICATE for run in extraction.drops(source)]
    assert states == [False, False, False, True]


def test_a_row_of_50_megabytes(shop: Shop) -> None:
    """It comes whole; validation refuses it with its limit, and keeps it."""
    table, extraction = shop.table(1), shop.extraction
    shop.sql(f"UPDATE {table} SET name = repeat('{table} ', 6000000)")
    source = shop.source(table)
    assert extraction.delivered(source)["last"]["rows"] == 1
    (run,) = extraction.drops(source)
    assert (run.state, run.verdict and run.verdict.problem) == (
        State.QUARANTINED,
        "record 1 of the Parquet file is longer than 8 MiB",
    )
    kept = paths.quarantined_file("items", run.run_id, run.source.path)
    assert extraction.service.lake.head(kept) is not None


WINDOW = {"from": "2026-06-01T00:00:00Z", "to": "2026-06-01T00:00:30Z"}


def test_a_window_that_two_runs_want(shop: Shop) -> None:
    """The second fails and says whose it is: skipped, it would count as read."""
    table, extraction = shop.table(), shop.extraction
    source = shop.source(table, mode="window")
    second: list[Any] = []
    extraction.after_begin = [lambda: second.append(extraction.extract(source, **WINDOW))]
    state = extraction.delivered(source, **WINDOW)
    assert [run.status for run in second] == ["Failed"]
    assert "is at it" in second[0].message
    assert state["extracts"] == 1
    assert sorted(extraction.rows(source)) == list(range(1, 30))


def test_a_window_rerun_after_its_delivery(shop: Shop) -> None:
    """It reads nothing; asked for `again` it does, and what changed comes."""
    table, extraction = shop.table(), shop.extraction
    source = shop.source(table, mode="window")
    assert extraction.delivered(source, **WINDOW)["extracts"] == 1
    shop.sql(f"UPDATE {table} SET name = 'changed' WHERE id = 3")
    assert extraction.delivered(source, **WINDOW)["extracts"] == 1
    assert extraction.rows(source)[3][1] == f"{table} 3"
    assert extraction.delivered(source, **WINDOW, again=True)["extracts"] == 2
    assert extraction.rows(source)[3][1] == "changed"
    assert extraction.delivered(source, **WINDOW, again=True)["extracts"] == 3
    assert extraction.rows(source)[3][1] == "changed"


def test_an_idle_start(shop: Shop) -> None:
    """One pipeline run, one plan, one lookup an object; no copy, no drop, no write of a state."""
    table, extraction = shop.table(), shop.extraction
    source = shop.source(table)
    extraction.delivered(source)
    before, drops = extraction.state(source), len(extraction.drops(source))
    extraction.asked.clear()
    (run_id,) = extraction.start(source)
    assert extraction.host.ended(run_id, 60).status == "Succeeded"
    names = sorted(extraction.host.activities(run_id))
    assert names == ["Begin", "ByCase", "EachObject", "GetKey", "High", "Plan"]
    asked = [name for name, route in extraction.asked if route.get("source") == source]
    assert sorted(asked) == ["begin", "extract", "plan"]
    assert extraction.state(source) | {"lag_seconds": 0} == before | {"lag_seconds": 0}
    assert len(extraction.drops(source)) == drops
