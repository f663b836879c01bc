"""The database that gold is served from: its address, and the two ways to reach it.

Spark's JDBC writer brings the rows, in as many connections as it likes; what must happen in one
transaction is said over a connection of our own, by a Python driver, for jobs may not reach into
the JVM.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from pyspark.sql import DataFrame

from spark_jobs.errors import ArgumentError, ServingError
from spark_jobs.serving.dialects import DIALECTS, OURS, POSTGRESQL, SQLSERVER, SqlDialect

PATIENCE_SECONDS = 20.0
_FIRST_WAIT_SECONDS = 0.5
_CONNECT_SECONDS = 10
_BATCH_ROWS = 5000


@dataclass(frozen=True)
class Database:
    """A database and who we are there.

    Attributes:
        host, port, name: where it is; name is that of the database on its server.
        connection: a JDBC connection of Unity Catalog for Spark to write through, which is how
            serverless compute reaches a database; "" where Spark connects by itself.
        token: whether `password` is a token of Entra ID. PostgreSQL takes one as a password, SQL
            Server in a place of its own, and names the user by it.
    """

    dialect: SqlDialect
    host: str
    port: int
    name: str
    user: str
    password: str = field(repr=False)
    connection: str = ""
    token: bool = False

    def options(self) -> dict[str, str]:
        """What Spark's JDBC source needs to reach it."""
        if self.connection:
            return {"databricks.connection": self.connection}
        address = {"host": self.host, "port": self.port, "database": self.name}
        to = {"url": self.dialect.jdbc.format(**address), "driver": self.dialect.driver}
        if self.token and self.dialect is SQLSERVER:
            return to | {"accessToken": self.password}
        return to | {"user": self.user, "password": self.password}

    def write(self, rows: DataFrame, table: str) -> None:
        """Write rows into a table of our own schema, which is made for them."""
        declared = [
            f"`{field.name}` {self.dialect.types[field.dataType.typeName()]}"
            for field in rows.schema
            if field.dataType.typeName() in self.dialect.types
        ]
        options = self.options() | {
            "dbtable": self.dialect.name(OURS, table),
            "batchsize": str(_BATCH_ROWS),
            **({"createTableColumnTypes": ", ".join(declared)} if declared else {}),
        }
        # Spark Connect knows this mode by its short name alone.
        rows.write.format("jdbc").options(**options).mode("error").save()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A connection whose work is done when the block ends well, and undone otherwise.

        Raises:
            ServingError: the database does not answer, or the credentials are refused.
        """
        connection = _patiently(self._connect, f"{self.host}:{self.port}/{self.name}")
        try:
            yield Transaction(connection)
            connection.commit()
        except BaseException:
            connection.rollback()
            raise
        finally:
            connection.close()

    def _connect(self) -> Any:
        if self.dialect is POSTGRESQL:
            import psycopg  # noqa: PLC0415 - the other driver need not be there

            return psycopg.connect(
                host=self.host, port=self.port, dbname=self.name, user=self.user,
                password=self.password, connect_timeout=_CONNECT_SECONDS,
                application_name="landfall",
            )  # fmt: skip
        if self.token:
            return self._connect_by_token()
        import pymssql  # noqa: PLC0415 - likewise

        return pymssql.connect(
            server=self.host, port=str(self.port), database=self.name, user=self.user,
            password=self.password, login_timeout=_CONNECT_SECONDS, encryption="require",
            appname="landfall",
        )  # fmt: skip

    def _connect_by_token(self) -> Any:
        """Sign in to SQL Server by a token, which the driver that takes passwords does not know."""
        import certifi  # noqa: PLC0415 - as the drivers
        import pytds  # noqa: PLC0415

        return pytds.connect(
            self.host, self.name, port=self.port, login_timeout=_CONNECT_SECONDS,
            access_token_callable=lambda: self.password, cafile=certifi.where(),
            appname="landfall",
        )  # fmt: skip


class Transaction:
    """Statements on one connection, in one transaction."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def run(self, statement: str, *values: object) -> int:
        """Run a statement; how many rows it touched, -1 where that is no question."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return int(cursor.rowcount)

    def ask(self, statement: str, *values: object) -> Sequence[tuple[Any, ...]]:
        """The rows of a query."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return [tuple(row) for row in cursor.fetchall()]


def locate(
    url: str, user: str, password: str, connection: str = "", *, token: bool = False
) -> Database:
    """The database that a URL names: `postgresql://host[:port]/name` or `sqlserver://...`.

    Raises:
        ArgumentError: it names none that is known, or carries credentials.
    """
    parts = urlsplit(url)
    dialect = DIALECTS.get(parts.scheme)
    if dialect is None or not parts.hostname or not parts.path.strip("/"):
        known = " or ".join(f"{scheme}://host[:port]/database" for scheme in DIALECTS)
        raise ArgumentError(f"--database must be {known}, not {_without_credentials(url)}.")
    if parts.username or parts.password:
        raise ArgumentError(
            "--database must not carry credentials: they belong in a secret scope, "
            "and --database-user and --database-secret name them."
        )
    name = unquote(parts.path.strip("/"))
    return Database(
        dialect,
        parts.hostname,
        parts.port or dialect.port,
        name,
        user,
        password,
        connection,
        token,
    )


def _without_credentials(url: str) -> str:
    return url.rpartition("@")[2] if "@" in url else url


def _patiently(connect: Callable[[], Any], where: str) -> Any:
    """Connect; try again while there is no answer: a database that restarts is back in seconds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    wait = _FIRST_WAIT_SECONDS
    while True:
        try:
            return connect()
        except Exception as error:
            # Drivers have no common class for it; what is not about connecting fails again anyhow.
            if time.monotonic() + wait > deadline:
                reason = str(error).strip() or type(error).__name__
                raise ServingError(f"No connection to {where}: {reason}") from error
        time.sleep(wait)
        wait *= 2
