"""The SQL that serving speaks, for each kind of database; only what differs is said twice.

Readers must never see half a table, nor wait for one. So the rows of a served table are replaced
by DELETE and INSERT in one transaction, and not by dropping or renaming: who reads sees all the
old rows or all the new ones, and views, indexes and grants on the table stay. Where a statement
needs values it takes them as `%s`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

GOLD = "gold"
OURS = "landfall"
LEDGER = "served"

_LEDGER_COLUMNS = ("table_name", "gold_id", "gold_version", "row_count", "origin", "batch_id")


@dataclass(frozen=True)
class SqlDialect:
    """One kind of database.

    Attributes:
        scheme: what its URLs begin with; port: where it listens unless the URL says otherwise.
        jdbc: its JDBC URL, with `{host}`, `{port}` and `{database}` to be filled in.
        driver: class of its JDBC driver.
        quotes: what a name is put between.
        schema, ledger: make a schema `{name}`, the ledger `{table}`, where they are not yet there.
        lock: keeps other loaders of the ledger `{table}` out until the transaction ends.
        like: makes the table `{target}` with the columns of `{source}`, empty.
        types: how Spark's JDBC writer is to declare columns of a Spark type.
    """

    scheme: str
    port: int
    jdbc: str
    driver: str
    quotes: tuple[str, str]
    schema: str
    ledger: str
    lock: str
    like: str
    types: Mapping[str, str]

    def name(self, *parts: str) -> str:
        """A qualified name, quoted."""
        start, end = self.quotes
        return ".".join(f"{start}{part.replace(end, end * 2)}{end}" for part in parts)

    def prepare(self) -> list[str]:
        """What must be there before anything is served: both schemas and the ledger."""
        return [
            *(self.schema.format(name=name) for name in (OURS, GOLD)),
            self.ledger.format(table=self.name(OURS, LEDGER)),
        ]

    def lock_ledger(self) -> str:
        """One loader at a time from here to the end of the transaction; readers go on."""
        return self.lock.format(table=self.name(OURS, LEDGER))

    def served(self) -> str:
        """Which version of a gold table is served; takes its name."""
        ledger = self.name(OURS, LEDGER)
        return f"SELECT gold_id, gold_version, row_count FROM {ledger} WHERE table_name = %s"  # noqa: S608

    def note(self) -> list[str]:
        """Write into the ledger: forget the old line (takes the name), add the new one.

        The second takes values for table_name, gold_id, gold_version, row_count, origin, batch_id.
        """
        ledger = self.name(OURS, LEDGER)
        columns = ", ".join((*_LEDGER_COLUMNS, "served_at"))
        values = ", ".join(["%s"] * len(_LEDGER_COLUMNS))
        return [
            f"DELETE FROM {ledger} WHERE table_name = %s",  # noqa: S608
            f"INSERT INTO {ledger} ({columns}) VALUES ({values}, CURRENT_TIMESTAMP)",  # noqa: S608
        ]

    def columns(self) -> str:
        """Names and types of a table's columns in order; takes its schema and name."""
        return (
            "SELECT column_name, data_type, character_maximum_length "
            "FROM information_schema.columns WHERE table_schema = %s AND table_name = %s "
            "ORDER BY ordinal_position"
        )

    def staged(self) -> str:
        """Names of the staging tables."""
        return (
            "SELECT table_name FROM information_schema.tables "  # noqa: S608
            f"WHERE table_schema = '{OURS}' AND table_name <> '{LEDGER}' ORDER BY table_name"
        )

    def make(self, table: str, staging: str) -> list[str]:
        """Make a served table as its staging table is, in the place of one of another shape."""
        target = self.name(GOLD, table)
        source = self.name(OURS, staging)
        return [self.drop(GOLD, table), self.like.format(target=target, source=source)]

    def empty(self, table: str) -> str:
        """Delete every row of a served table, for this transaction only until it commits."""
        return f"DELETE FROM {self.name(GOLD, table)}"  # noqa: S608

    def fill(self, table: str, staging: str, columns: Sequence[str]) -> str:
        """Copy the staged rows into the served table."""
        listed = ", ".join(self.name(column) for column in columns)
        return (
            f"INSERT INTO {self.name(GOLD, table)} ({listed}) "  # noqa: S608
            f"SELECT {listed} FROM {self.name(OURS, staging)}"
        )

    def drop(self, schema: str, table: str) -> str:
        """Drop a table, if it is there."""
        return f"DROP TABLE IF EXISTS {self.name(schema, table)}"


_LEDGER_SHAPE = (
    "table_name VARCHAR(128) NOT NULL PRIMARY KEY, gold_id VARCHAR(64) NOT NULL, "
    "gold_version BIGINT NOT NULL, row_count BIGINT NOT NULL, origin {text} NOT NULL, "
    "batch_id VARCHAR(400) NOT NULL, served_at {instant} NOT NULL"
)

POSTGRESQL = SqlDialect(
    scheme="postgresql",
    port=5432,
    jdbc="jdbc:postgresql://{host}:{port}/{database}",
    driver="org.postgresql.Driver",
    quotes=('"', '"'),
    schema="CREATE SCHEMA IF NOT EXISTS {name}",
    ledger="CREATE TABLE IF NOT EXISTS {table} "
    f"({_LEDGER_SHAPE.format(text='TEXT', instant='TIMESTAMP WITH TIME ZONE')})",
    lock="LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE",
    like="CREATE TABLE {target} (LIKE {source})",
    types={},
)

SQLSERVER = SqlDialect(
    scheme="sqlserver",
    port=1433,
    jdbc="jdbc:sqlserver://{host}:{port};databaseName={database};encrypt=true",
    driver="com.microsoft.sqlserver.jdbc.SQLServerDriver",
    quotes=("[", "]"),
    # CREATE SCHEMA must stand alone in its batch.
    schema="IF SCHEMA_ID('{name}') IS NULL EXEC('CREATE SCHEMA {name}')",
    ledger=f"IF OBJECT_ID('{OURS}.{LEDGER}') IS NULL CREATE TABLE {{table}} "
    f"({_LEDGER_SHAPE.format(text='NVARCHAR(MAX)', instant='DATETIMEOFFSET')})",
    lock="SELECT COUNT(*) FROM {table} WITH (TABLOCKX, HOLDLOCK)",
    like="SELECT TOP 0 * INTO {target} FROM {source}",
    # The writer's own choice for text is NVARCHAR(MAX), which no index takes.
    types={"string": "NVARCHAR(400)"},
)

DIALECTS: Mapping[str, SqlDialect] = {each.scheme: each for each in (POSTGRESQL, SQLSERVER)}
