"""Gold in a real PostgreSQL: whole at every moment, loaded once, never a reason to fail."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from pyspark.sql import SparkSession

from devcloud.config import CloudConfig
from devcloud.testing.database import local_database
from spark_jobs.errors import ArgumentError, ServingError
from spark_jobs.lake import SparkLake
from spark_jobs.serving import serve as serve_task
from spark_jobs.serving import tables as serving
from spark_jobs.serving.database import Database, locate
from spark_jobs.serving.dialects import GOLD, OURS
from spark_jobs.serving.tables import Served, serve
from spark_jobs.tables import overwrite
from tests.spark.harness import USER_TYPES, SparkHarness
from tests.spark.test_gold_tables import BUYERS, COLUMNS, users

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudConfig]:
    """One server for all tests here."""
    with local_database(tmp_path_factory.mktemp("database")) as config:
        yield config


@pytest.fixture
def database(server: CloudConfig) -> Iterator[Database]:
    """The database as the job sees it, empty."""
    yield locate(server.database_url, server.database_user, server.database_password)
    with psycopg.connect(server.database_dsn) as connection:
        for schema in (GOLD, OURS):
            connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())


@pytest.fixture
def query(server: CloudConfig) -> Callable[[str], list[tuple[Any, ...]]]:
    """Ask as a report would, on a connection of its own."""

    def ask(statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(server.database_dsn) as connection:
            return connection.execute(statement.encode()).fetchall()

    return ask


@pytest.fixture
def lake(spark_harness: SparkHarness) -> SparkLake:
    """The workshop's lake, as the jobs see it."""
    return SparkLake(spark_harness.spark, f"file://{spark_harness.root}/{{container}}")


def put(lake: SparkLake, name: str, select: str) -> str:
    """Give a gold table a new version; its lake path."""
    path = f"gold/{name}"
    overwrite(lake, path, lake.spark.sql(select), {"made": "for a test"})
    return path


def test_a_batch_is_served_as_gold_has_it_and_once(
    spark_harness: SparkHarness,
    lake: SparkLake,
    database: Database,
    query: Callable[[str], list[Any]],
) -> None:
    """Every cell of gold is served; the same batch again touches no row and no line of the ledger.

    The ledger says which version of gold, built from which of silver, is served.
    """
    drop = spark_harness.bronze("users", "r1", USER_TYPES, users(), "2026-11-22T12:00:00Z")
    arguments = spark_harness.batch("users", "b1", COLUMNS, ["identifierHash"], [drop])
    spark_harness.load(arguments)
    tables = [path for path in spark_harness.build(arguments)["tables"] if path.startswith("gold/")]

    first = serve_task.served_tables(lake, database, tables, "b1")

    assert first["gold/buyers_by_country"] == {"version": 0, "rows": 2, "loaded": True}
    assert [list(row) for row in query("SELECT * FROM gold.buyers_by_country")] == BUYERS
    (line,) = query(
        "SELECT gold_version, row_count, origin::json->'sources'->0->>'table', batch_id "
        "FROM landfall.served WHERE table_name = 'buyers_by_country'"
    )
    assert line == (0, 2, "silver/users", "b1")

    marks = "SELECT xmin::text, ctid::text FROM gold.buyers_by_country"
    ledger = "SELECT * FROM landfall.served ORDER BY table_name"
    before = query(marks), query(ledger)
    again = serve_task.served_tables(lake, database, tables, "b1")
    assert {each["loaded"] for each in again.values()} == {False}
    assert (query(marks), query(ledger)) == before
    assert (
        query("SELECT * FROM information_schema.tables WHERE table_schema = 'landfall'")[1:] == []
    )


def test_readers_see_all_of_one_version_and_never_wait(
    lake: SparkLake, database: Database, server: CloudConfig
) -> None:
    """While versions follow one another, every read finds one version whole, in both tables alike.

    A view made on a served table goes on working.
    """
    rows = 3000

    def load(version: int) -> None:
        paths = [
            put(lake, name, f"FROM range({rows + version}) SELECT id, {version}L AS version")
            for name in ("left_side", "right_side")
        ]
        found = serve(lake, database, paths, f"b{version}")
        assert {each.loaded for each in found.values()} == {True}

    load(0)
    with psycopg.connect(server.database_dsn) as connection:
        connection.execute("CREATE VIEW gold.report AS SELECT * FROM gold.left_side")
    over, seen, wrong = threading.Event(), set[int](), []

    def read() -> None:
        with psycopg.connect(server.database_dsn) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            # A reader that had to wait for a loader would be told so, and fail the test.
            connection.execute("SET lock_timeout = '2s'")
            connection.commit()
            while not over.is_set():
                found = [
                    connection.execute(
                        f"SELECT count(*), min(version), max(version) FROM {table}".encode()
                    ).fetchone()
                    for table in ("gold.left_side", "gold.report", "gold.right_side")
                ]
                connection.commit()
                count, low, high = found[0] or (0, 0, 0)
                seen.add(low)
                if found != [(rows + low, low, low)] * 3 or (low, count) != (high, rows + high):
                    wrong.append(found)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for each in readers:
        each.start()
    try:
        for version in range(1, 5):
            load(version)
    finally:
        over.set()
        for each in readers:
            each.join()
    assert wrong == []
    assert len(seen) > 1


@pytest.mark.slow
def test_a_table_of_another_shape_takes_the_place_of_the_old(
    lake: SparkLake, database: Database, query: Callable[[str], list[Any]]
) -> None:
    """A gold table that gains a column or changes a type is served as it is now."""
    path = put(lake, "shaped", "SELECT 1 AS id, 'a' AS name")
    serve(lake, database, [path], "b1")
    put(lake, "shaped", "SELECT DATE'2026-11-22' AS day, 1.5D AS value, true AS flag, 2L AS id")
    serve(lake, database, [path], "b2")
    shaped = query("SELECT day::text, value, flag, id FROM gold.shaped")
    assert shaped == [("2026-11-22", 1.5, True, 2)]


@pytest.mark.slow
def test_a_load_that_was_overtaken_changes_nothing(
    lake: SparkLake,
    database: Database,
    query: Callable[[str], list[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A loader that read version 0 and comes to write after version 1 is served leaves it there."""
    path = put(lake, "raced", "SELECT 0 AS version")
    stage = serving._stage
    newer: list[Served] = []

    def overtaken(lake: SparkLake, database: Database, snapshot: serving.GoldSnapshot) -> str:
        name = stage(lake, database, snapshot)
        if snapshot.version == 0:
            put(lake, "raced", "SELECT 1 AS version")
            newer.extend(serve(lake, database, [path], "newer").values())
        return name

    monkeypatch.setattr(serving, "_stage", overtaken)
    older = serve(lake, database, [path], "older")
    assert newer == [Served(1, 1, loaded=True)]
    assert older == {path: Served(1, 1, loaded=False)}
    assert query("SELECT version FROM gold.raced") == [(1,)]
    assert query("SELECT batch_id FROM landfall.served") == [("newer",)]


@pytest.mark.slow
def test_a_load_that_died_leaves_nothing_for_ever(
    lake: SparkLake,
    database: Database,
    query: Callable[[str], list[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A job killed between staging and the swap changed nothing; its tables are swept when old."""
    path = put(lake, "killed", "SELECT 1 AS id")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(serving, "_put_in_place", die)
        with pytest.raises(KeyboardInterrupt):
            serve(lake, database, [path], "b1")
    staged = "SELECT count(*) FROM information_schema.tables WHERE table_name LIKE '%_killed'"
    assert query(staged) == [(1,)]
    assert serve(lake, database, [path], "b1")[path].loaded
    assert query(staged) == [(1,)]  # it might be another load's, at work
    with monkeypatch.context() as patched:
        patched.setattr(serving, "LEFT_OVER", -serving.LEFT_OVER)
        serve(lake, database, [path], "b1")
    assert query(staged) == [(0,)]


def test_a_database_that_is_down_does_not_fail_the_load(
    lake: SparkLake, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gold is right all the same; the result says what is behind, and the next load catches up."""
    path = put(lake, "waiting", "SELECT 1 AS id")
    monkeypatch.setattr("spark_jobs.serving.database.PATIENCE_SECONDS", 0.0)
    nowhere = locate("postgresql://127.0.0.1:1/landfall", "me", "secret")
    told = serve_task.served_tables(lake, nowhere, [path], "b1")
    assert told["behind"].startswith("No connection to 127.0.0.1:1/landfall")
    assert "secret" not in str(told)
    with pytest.raises(ServingError):
        serve(lake, nowhere, [path], "b1")
    assert serve_task.served_tables(lake, database, [path], "b2")[path]["loaded"]


def test_without_a_database_there_is_nothing_to_do(
    spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    """A deployment that names none runs the task all the same, and it says so."""
    assert spark is not None
    serve_task.main(["--lake", "file:///{container}", "--dataset", "users", "--batch-id", "b1"])
    assert "nothing is served" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://host/db", "postgresql://host"),
        ("postgresql://host", "postgresql://host"),
        ("postgresql://me:secret@host/db", "must not carry credentials"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(url: str, words: str) -> None:
    """The message says what an address looks like, and repeats no secret."""
    with pytest.raises(ArgumentError, match=words) as refused:
        locate(url, "", "")
    assert "secret@" not in str(refused.value)
