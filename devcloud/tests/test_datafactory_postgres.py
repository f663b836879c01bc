"""Copy and Lookup from a real PostgreSQL, through the unmodified SDK."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest

from devcloud.config import DATABASE
from devcloud.supervisor import Supervisor
from devcloud.testing.factory import FactoryHost, configure, hosting


@dataclass
class Shop:
    """A factory with its lake, and a database with its linked service `shop`."""

    host: FactoryHost
    dsn: str

    def sql(self, *statements: str) -> None:
        """Carry out statements."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def copy(self, query: str | None = None, **more: Any) -> Any:
        """Run one Copy of a query; the activity run."""
        sink = more.pop("sink", "Parquet")
        source = {"type": "AzurePostgreSqlSource", **more.pop("source", {})}
        if query is not None:
            source["query"] = query
        activity = {
            "name": "C",
            "type": "Copy",
            "inputs": [
                reference("table", schema=more.pop("schema", ""), table=more.pop("table", ""))
            ],
            "outputs": [reference(sink.lower(), file=more.pop("file", "out"))],
            "typeProperties": {"source": source, "sink": {"type": f"{sink}Sink"}, **more},
        }
        self.host.pipeline("copying", activity)
        run = self.host.ended(self.host.start("copying"), 120)
        return self.host.activities(run.run_id)["C"]

    def lookup(self, query: str, *, first: bool = True) -> Any:
        """Run one Lookup of a query; the activity run."""
        inside = {
            "source": {"type": "AzurePostgreSqlSource", "query": query},
            "dataset": reference("table", schema="", table=""),
            "firstRowOnly": first,
        }
        self.host.pipeline("asking", {"name": "L", "type": "Lookup", "typeProperties": inside})
        run = self.host.run("asking")
        return self.host.activities(run.run_id)["L"]

    def rows(self) -> list[dict[str, Any]]:
        """What was copied to Parquet."""
        rows: list[dict[str, Any]] = pq.read_table(
            io.BytesIO(self.host.read("bronze/out/out"))
        ).to_pylist()
        return rows


def reference(name: str, **parameters: Any) -> dict[str, Any]:
    """A reference to a dataset."""
    return {"referenceName": name, "type": "DatasetReference", "parameters": parameters}


def linked(name: str, **parameters: Any) -> dict[str, Any]:
    """A reference to a linked service."""
    document: dict[str, Any] = {"referenceName": name, "type": "LinkedServiceReference"}
    return {**document, "parameters": parameters} if parameters else document


PASSWORD = "database-password"


def server(host: FactoryHost, secret: str = PASSWORD, **more: Any) -> dict[str, Any]:
    """A linked service to the database, with parameters and its password in the vault."""
    return {
        "type": "AzurePostgreSql",
        "version": "2.0",
        "parameters": {"database": {"type": "String", "defaultValue": host.config.database_name}},
        "typeProperties": {
            "server": "127.0.0.1",
            "port": host.config.ports[DATABASE],
            "database": "@{linkedService().database}",
            "username": host.config.database_user,
            "sslMode": 0,
            "authenticationType": "Basic",
            "password": {
                "type": "AzureKeyVaultSecret",
                "store": linked("vault"),
                "secretName": secret,
            },
            **more,
        },
    }


def define(host: FactoryHost) -> None:
    """Linked services and datasets."""
    host.put(
        "linked_services",
        "vault",
        {"type": "AzureKeyVault", "typeProperties": {"baseUrl": host.config.vault_url}},
    )
    host.put("linked_services", "shop", server(host))
    host.put(
        "linked_services",
        "lake",
        {
            "type": "AzureBlobFS",
            "typeProperties": {
                "url": host.config.lake_url,
                "accountKey": {"type": "SecureString", "value": host.config.account_key},
            },
        },
    )
    host.put(
        "datasets",
        "table",
        {
            "type": "AzurePostgreSqlTable",
            "linkedServiceName": linked("shop"),
            "parameters": {"schema": {"type": "String"}, "table": {"type": "String"}},
            "typeProperties": {"schema": "@dataset().schema", "table": "@dataset().table"},
        },
    )
    place = {
        "type": "AzureBlobFSLocation",
        "fileSystem": "bronze",
        "folderPath": "out",
        "fileName": "@dataset().file",
    }
    more: dict[str, dict[str, Any]] = {"DelimitedText": {"firstRowAsHeader": True}}
    for kind in ("Parquet", "Json", "DelimitedText"):
        host.put(
            "datasets",
            kind.lower(),
            {
                "type": kind,
                "linkedServiceName": linked("lake"),
                "parameters": {"file": {"type": "String"}},
                "typeProperties": {"location": place, **more.get(kind, {})},
            },
        )


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One factory and one database for all tests here."""
    config = configure(tmp_path_factory.mktemp("cloud"))
    with Supervisor(config, services=[DATABASE]), hosting(config, lake=True) as host:
        define(host)
        yield Shop(host, config.database_dsn)


TYPED = """
    SELECT 7::int2 AS small, -8::int4 AS whole, 9007199254740993::int8 AS big,
           1.5::float4 AS real, 'NaN'::float8 AS double,
           12345678901234567890.12345678::numeric(28,8) AS exact,
           0.000000000000000001::numeric AS free, true AS yes, ''::text AS nothing,
           NULL::text AS gone, E'a,"b"\nc\\\\d' AS odd, date '2026-01-31' AS day,
           timestamp '2026-01-31 12:00:00.123456' AS local,
           timestamptz '2026-01-31 12:00:00+05:30' AS instant, time '01:02:03' AS clock,
           '\\x00ff'::bytea AS bytes, '{"a":[1]}'::jsonb AS doc, ARRAY[1,2] AS list,
           '00000000-0000-0000-0000-00000000000a'::uuid AS id
"""


def test_types_arrive_without_loss(shop: Shop) -> None:
    """Each type of the documentation's table has its interim type; no digit and no null is lost."""
    run = shop.copy(TYPED)
    assert run["status"] == "Succeeded", run["error"]
    assert (run["output"]["rowsRead"], run["output"]["rowsCopied"]) == (1, 1)
    table = pq.read_table(io.BytesIO(shop.host.read("bronze/out/out")))
    kinds = {field.name: str(field.type) for field in table.schema}
    assert kinds["small"] == "int16"
    assert kinds["exact"] == "decimal128(28, 8)"
    assert kinds["free"] == "decimal128(38, 18)"
    [row] = table.to_pylist()
    assert (row["small"], row["whole"], row["big"]) == (7, -8, 9007199254740993)
    assert (row["real"], str(row["double"]), row["yes"]) == (1.5, "nan", True)
    assert row["exact"] == Decimal("12345678901234567890.12345678")
    assert row["free"] == Decimal("1E-18")
    assert (row["nothing"], row["gone"], row["odd"]) == ("", None, 'a,"b"\nc\\d')
    assert str(row["day"]) == "2026-01-31 00:00:00"
    assert str(row["local"]) == "2026-01-31 12:00:00.123456"
    assert str(row["instant"]) == "2026-01-31 06:30:00"
    assert (row["clock"], row["bytes"]) == ("01:02:03", b"\x00\xff")
    assert (row["doc"], row["list"]) == ('{"a": [1]}', "{1,2}")


def test_text_sinks_keep_every_digit(shop: Shop) -> None:
    """JSON has numbers of any length, delimited text has what the database says."""
    query = "SELECT 9007199254740993::int8 AS big, 0.10::numeric(28,2) AS exact, 'é,' AS text"
    assert shop.copy(query, sink="Json")["status"] == "Succeeded"
    assert shop.host.read("bronze/out/out") == (
        '{"big":9007199254740993,"exact":0.10,"text":"é,"}\r\n'.encode()
    )
    assert shop.copy(query, sink="DelimitedText")["status"] == "Succeeded"
    assert shop.host.read("bronze/out/out") == (
        'big,exact,text\r\n9007199254740993,0.10,"é,"\r\n'.encode()
    )


def test_no_rows_give_a_file_with_the_schema(shop: Shop) -> None:
    """A reader finds the columns, and no rows."""
    assert shop.copy("SELECT 1 AS a, 'x'::text AS b WHERE false;")["output"]["rowsCopied"] == 0
    table = pq.read_table(io.BytesIO(shop.host.read("bronze/out/out")))
    assert (table.column_names, table.num_rows) == (["a", "b"], 0)


def test_one_column_of_nulls_and_empty_texts(shop: Shop) -> None:
    """A row that is an empty line is a row."""
    run = shop.copy("SELECT CASE n WHEN 1 THEN '' WHEN 2 THEN 'x' END AS a FROM"
                    " generate_series(1, 3) AS n ORDER BY n")  # fmt: skip
    assert run["status"] == "Succeeded", run["error"]
    assert [row["a"] for row in shop.rows()] == ["", "x", None]


def test_a_row_longer_than_any_buffer(shop: Shop) -> None:
    """A text of 20 MB between short ones."""
    query = "SELECT repeat('ab', CASE n WHEN 2 THEN 10000000 ELSE n END) AS a FROM"
    run = shop.copy(f"{query} generate_series(1, 3) AS n ORDER BY n")
    assert run["status"] == "Succeeded", run["error"]
    assert [len(row["a"]) for row in shop.rows()] == [2, 20_000_000, 6]


def test_a_translator_renames_and_converts(shop: Shop) -> None:
    """Columns are taken by name and written in the types asked for."""
    translator = {
        "type": "TabularTranslator",
        "typeConversion": True,
        "typeConversionSettings": {"allowDataTruncation": False},
        "mappings": [
            {"source": {"name": "n"}, "sink": {"name": "number", "type": "Int64"}},
            {"source": {"name": "when"}, "sink": {"name": "at", "type": "DateTime"}},
            {"source": {"name": "source"}, "sink": {"name": "source"}},
        ],
    }
    query = "SELECT 1::int2 AS n, timestamptz '2026-01-01 00:00:00+00' AS when"
    extra = {"additionalColumns": [{"name": "source", "value": "@pipeline().Pipeline"}]}
    run = shop.copy(query, translator=translator, source=extra)
    assert run["status"] == "Succeeded", run["error"]
    [row] = shop.rows()
    assert (row["number"], str(row["at"]), row["source"]) == (1, "2026-01-01 00:00:00", "copying")


def test_a_table_is_read_by_schema_and_name(shop: Shop) -> None:
    """Without a query the dataset's table is read; its name is quoted."""
    shop.sql(
        'CREATE SCHEMA IF NOT EXISTS "Odd one"',
        'DROP TABLE IF EXISTS "Odd one"."T"',
        'CREATE TABLE "Odd one"."T" AS SELECT 1 AS a',
    )
    run = shop.copy(schema="Odd one", table="T")
    assert run["status"] == "Succeeded", run["error"]
    assert shop.rows() == [{"a": 1}]


def ids(host: FactoryHost) -> list[list[int | None]]:
    """The ids in each file of the folder `out`, the files in order of their names."""
    assert host.lake is not None
    blobs = host.lake.get_container_client("bronze").list_blobs("out/data_")
    files = [pq.read_table(io.BytesIO(host.read(f"bronze/{blob.name}"))) for blob in blobs]
    return [list(file["id"].to_pylist()) for file in files]


@pytest.fixture(name="parts")
def _parts(shop: Shop) -> Iterator[Shop]:
    """Nothing in the folder, and a table of the ids 1 to 100 with a null."""
    shop.sql(
        "DROP TABLE IF EXISTS parts CASCADE",
        "CREATE TABLE parts AS SELECT n AS id, date '2026-01-01' + n AS day FROM"
        " generate_series(1, 100) AS n UNION ALL SELECT NULL, NULL",
    )
    yield shop
    assert shop.host.lake is not None
    container = shop.host.lake.get_container_client("bronze")
    for blob in list(container.list_blobs("out/")):
        container.delete_blob(blob.name)


def dynamic(column: str, **bounds: str) -> dict[str, Any]:
    """A partitioned source."""
    settings = {"partitionColumnName": column, **bounds}
    return {"partitionOption": "DynamicRange", "partitionSettings": settings}


RANGED = "SELECT * FROM parts WHERE ?AdfDynamicRangePartitionCondition"


def test_the_documented_range_partitions(parts: Shop) -> None:
    """Bounds 20 and 80, four parts: up to 20, 21 to 50, 51 to 80, from 81; null once."""
    source = dynamic("id", partitionLowerBound="20", partitionUpperBound="80")
    run = parts.copy(RANGED, source=source, parallelCopies=4, file="")
    assert run["status"] == "Succeeded", run["error"]
    whole = [[*range(1, 21), None], list(range(21, 51)), list(range(51, 81)), [*range(81, 101)]]
    assert ids(parts.host) == whole
    output = run["output"]
    assert (output["filesWritten"], output["usedParallelCopies"]) == (4, 4)
    assert output["rowsCopied"] == 101


@pytest.mark.parametrize("column", ["id", "day"])
@pytest.mark.parametrize("parallel", [1, 3, 7])
def test_ranges_without_bounds_have_every_row_once(parts: Shop, column: str, parallel: int) -> None:
    """Least and greatest value are asked for; the parts are of about equal width."""
    run = parts.copy(RANGED, source=dynamic(column), parallelCopies=parallel, file="")
    assert run["status"] == "Succeeded", run["error"]
    files = ids(parts.host)
    assert len(files) == parallel
    every = [each for file in files for each in file]
    assert sorted(each for each in every if each is not None) == list(range(1, 101))
    assert every.count(None) == 1


def test_a_table_is_parted_by_its_key(parts: Shop) -> None:
    """Without a column the first of the primary key is taken; without a key there is an error."""
    run = parts.copy(table="parts", source={"partitionOption": "DynamicRange"}, file="")
    assert run["error"]["errorCode"] == "AzurePostgreSqlNpgsqlPartitionColumnNameNotProvided"
    parts.sql("DELETE FROM parts WHERE id IS NULL", "ALTER TABLE parts ADD PRIMARY KEY (id)")
    run = parts.copy(table="parts", source={"partitionOption": "DynamicRange"}, file="")
    assert run["status"] == "Succeeded", run["error"]
    assert [len(file) for file in ids(parts.host)] == [25, 25, 25, 25]


def test_physical_partitions(parts: Shop) -> None:
    """One query a partition of the table; one file where the sink names one."""
    parts.sql(
        "DROP TABLE IF EXISTS halves",
        "CREATE TABLE halves (id int) PARTITION BY RANGE (id)",
        "CREATE TABLE halves_low PARTITION OF halves FOR VALUES FROM (0) TO (50)",
        'CREATE TABLE "halves High" PARTITION OF halves FOR VALUES FROM (50) TO (200)',
        "INSERT INTO halves SELECT generate_series(1, 100)",
    )
    source = {"partitionOption": "PhysicalPartitionsOfTable"}
    run = parts.copy(table="halves", source=source, file="")
    assert run["status"] == "Succeeded", run["error"]
    assert ids(parts.host) == [list(range(1, 50)), list(range(50, 101))]
    assert parts.copy(table="halves", source=source)["output"]["filesWritten"] == 1
    assert sorted(row["id"] for row in parts.rows()) == list(range(1, 101))


def test_parts_of_one_file_are_read_at_once(parts: Shop) -> None:
    """The queries of two parts are at work at the same time, and all rows are in the one file."""
    query = (
        "SELECT id, clock_timestamp() AS at FROM parts, LATERAL pg_sleep(0.01 + 0 * id) "
        "WHERE ?AdfDynamicRangePartitionCondition"
    )
    bounds = {"partitionLowerBound": "25", "partitionUpperBound": "75"}
    run = parts.copy(query, source=dynamic("id", **bounds), parallelCopies=2)
    assert run["status"] == "Succeeded", run["error"]
    assert run["output"]["usedParallelCopies"] == 2
    rows = [row for row in parts.rows() if row["id"] is not None]
    assert sorted(row["id"] for row in rows) == list(range(1, 101))
    low, high = ([row["at"] for row in rows if (row["id"] <= 50) is half] for half in (True, False))
    assert max(min(low), min(high)) < min(max(low), max(high))


def test_a_part_that_fails_leaves_no_file(parts: Shop) -> None:
    """The files of all parts appear together or not at all."""
    query = "SELECT id, 1 / (id - 90) AS x FROM parts WHERE ?AdfDynamicRangePartitionCondition"
    run = parts.copy(query, source=dynamic("id"), parallelCopies=2, file="")
    assert "22012" in run["error"]["message"]
    assert ids(parts.host) == []


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"partitionOption": "Hash"}, "partitionOption"),
        ({**dynamic("id"), "query": "SELECT * FROM parts"}, "must contain"),
        ({"partitionOption": "DynamicRange", "query": RANGED}, "partitionColumnName"),
        ({**dynamic("id", bounds="x"), "query": RANGED}, "'bounds' is not known"),
    ],
)
def test_partitions_that_are_refused_at_deployment(
    shop: Shop, source: dict[str, Any], words: str
) -> None:
    """An option that is not documented, or not with that query."""
    with pytest.raises(Exception, match=words.replace("?", r"\?")):
        shop.copy(source=source)


def test_a_column_without_ranges(parts: Shop) -> None:
    """A text column has no ranges."""
    query = RANGED.replace("*", "id::text AS id")
    error = parts.copy(query, source=dynamic("id"), file="")["error"]
    assert error["errorCode"] == "AzurePostgreSqlNpgsqlDataTypeNotSupported"


def test_lookup_gives_rows_as_json(shop: Shop) -> None:
    """The first row, or all; times in ISO 8601 with Z, exact numbers as numbers or text."""
    query = (
        "SELECT max(n) AS high, timestamptz '2026-01-02 03:04:05.5+00' AS at, 1.25::numeric AS x,"
        " 12345678901234567890.1::numeric(21,1) AS long FROM generate_series(1, 3) AS n"
    )
    assert shop.lookup(query)["output"] == {
        "firstRow": {
            "high": 3,
            "at": "2026-01-02T03:04:05.5Z",
            "x": 1.25,
            "long": "12345678901234567890.1",
        }
    }
    many = shop.lookup("SELECT n FROM generate_series(1, 5001) AS n", first=False)["output"]
    assert (many["count"], many["value"][-1]) == (5000, {"n": 5000})
    assert shop.lookup("SELECT 1 AS a WHERE false")["output"] == {}


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ("SELECT gone FROM pg_class", "AzurePostgreSqlNpgsqlOperationFailed", "42703: column"),
        ("SELECT 1 +", "AzurePostgreSqlNpgsqlOperationFailed", "42601"),
        ("SELECT 1 AS a, 2 AS a", "UserErrorDuplicateColumn", "'a'"),
        ("SELECT 1::numeric(30,2) AS a", "UserErrorUnsupportedColumnType", "28 digits"),
        ("SELECT 12345678901234567890123456789::numeric AS a", "UserErrorNumericOutOfRange", "'a'"),
        ("SELECT 'infinity'::timestamptz AS t", "UserErrorInvalidColumnValue", "'t'"),
        ("SELECT timestamp '0044-03-15 BC' AS t", "UserErrorInvalidColumnValue", "'t'"),
        ("SELECT 5::money AS m", "UserErrorUnsupportedColumnType", "numeric"),
        ("SELECT 1 / (3 - n) FROM generate_series(1, 9) AS n", "Azure", "22012"),
    ],
)
def test_a_query_that_fails_says_why(shop: Shop, query: str, code: str, words: str) -> None:
    """Code and message name the column, the value or PostgreSQL's own code."""
    error = shop.copy(query)["error"]
    assert error["errorCode"].startswith(code), error
    assert words in error["message"]
    assert error["failureType"] == "UserError"


def test_a_statement_that_takes_too_long(shop: Shop) -> None:
    """QueryTimeout ends the statement, on the server too."""
    run = shop.copy("SELECT pg_sleep(60) AS a", source={"queryTimeout": "00:00:01"})
    assert run["error"]["errorCode"] == "UserErrorQueryTimeout"
    with psycopg.connect(shop.dsn) as connection:
        counted = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%'"
            " AND state = 'active' AND pid <> pg_backend_pid()"
        ).fetchone()
    assert counted == (0,)


def test_the_servers_own_timeout(shop: Shop) -> None:
    """A statement_timeout of the role is told with its code."""
    user = shop.host.config.database_user
    shop.sql(f"ALTER ROLE {user} SET statement_timeout = '300ms'")
    try:
        error = shop.copy("SELECT pg_sleep(60) AS a")["error"]
    finally:
        shop.sql(f"ALTER ROLE {user} RESET statement_timeout")
    assert "57014" in error["message"]


def test_a_backend_killed_in_mid_copy(shop: Shop) -> None:
    """The copy fails, nothing appears in the lake; the next try has all rows."""
    kill = (
        "SELECT n, CASE n WHEN 300000 THEN pg_terminate_backend(pg_backend_pid()) END AS x"
        " FROM generate_series(1, 900000) AS n"
    )
    shop.sql("DROP TABLE IF EXISTS tries", "CREATE TABLE tries (n int)")
    shop.copy("SELECT 0 AS n")
    run = shop.copy(kill)
    assert run["status"] == "Failed"
    assert run["error"]["failureType"] == "SystemError", run["error"]
    assert shop.rows() == [{"n": 0}]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"port": 1}, "refused"),
        ({"username": "nobody"}, "password authentication failed"),
        ({"password": {"type": "SecureString", "value": "wrong"}}, "password authentication"),
        ({"database": "absent"}, "does not exist"),
        ({"sslMode": 3}, "SSL"),
    ],
)
def test_no_connection(shop: Shop, change: dict[str, Any], words: str) -> None:
    """What libpq says, with the server and the user; never the password."""
    shop.host.put("linked_services", "shop", server(shop.host, **change))
    try:
        error = shop.copy("SELECT 1 AS a")["error"]
    finally:
        shop.host.put("linked_services", "shop", server(shop.host))
    assert error["errorCode"] == "UserErrorFailedToConnectToPostgreSql"
    assert words in error["message"]
    assert shop.host.config.database_password not in json.dumps(error)


def test_a_secret_that_the_vault_does_not_have(shop: Shop) -> None:
    """The deployment passes, the activity fails and names the secret."""
    shop.host.put("linked_services", "shop", server(shop.host, secret="absent"))
    try:
        error = shop.copy("SELECT 1 AS a")["error"]
    finally:
        shop.host.put("linked_services", "shop", server(shop.host))
    assert error["errorCode"] == "AzureKeyVaultSecretNotFound"
    assert "absent" in error["message"]


@pytest.mark.parametrize(
    ("kind", "properties", "words"),
    [
        ("AzurePostgreSql", {"connectionString": "host=x"}, "version 1.0"),
        ("PostgreSqlV2", {"server": "s", "database": "d"}, "'username' is missing"),
        (
            "AzurePostgreSql",
            {"server": "s", "database": "d", "password": "plain"},
            "SecureString or an AzureKeyVaultSecret",
        ),
        (
            "AzurePostgreSql",
            {"server": "s", "database": "d", "authenticationType": "Kerberos"},
            "authenticationType",
        ),
        ("PostgreSql", {"connectionString": "x"}, "not known"),
        ("AzureSqlDatabase", {"server": "s"}, "server and database"),
    ],
)
def test_linked_services_that_are_refused(
    shop: Shop, kind: str, properties: dict[str, Any], words: str
) -> None:
    """A deployment is refused with the place and the reason."""
    with pytest.raises(Exception, match=words):
        shop.host.put("linked_services", "bad", {"type": kind, "typeProperties": properties})


def test_azure_sql_is_checked_and_not_run(shop: Shop) -> None:
    """Its shapes are accepted; a run says that there is no server."""
    inside = {"server": "s.database.windows.net", "database": "d", "authenticationType": "SQL"}
    host = shop.host
    host.put("linked_services", "sql", {"type": "AzureSqlDatabase", "typeProperties": inside})
    table = {"type": "AzureSqlTable", "linkedServiceName": linked("sql"), "typeProperties": {}}
    host.put("datasets", "sql_table", table)
    source = {"type": "AzureSqlSource", "sqlReaderQuery": "SELECT 1 AS a", "isolationLevel": "x"}
    lookup = {"source": source, "dataset": reference("sql_table")}
    host.pipeline("sql", {"name": "L", "type": "Lookup", "typeProperties": lookup})
    run = host.run("sql")
    assert "no server of it here" in host.activities(run.run_id)["L"]["error"]["message"]
