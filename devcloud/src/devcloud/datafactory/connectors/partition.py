"""A partitioned read of PostgreSQL: the queries that together give all rows once.

Source: learn.microsoft.com/azure/data-factory/connector-azure-database-for-postgresql; the bounds
as learn.microsoft.com/azure/data-factory/connector-azure-sql-database has them: they decide the
stride, not which rows are read. Each query sees the table as it is when it begins.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from psycopg import sql

from devcloud.datafactory.connectors.postgres import PostgresServer, one_row
from devcloud.datafactory.copy.failure import CopyError

CONDITION = "?AdfDynamicRangePartitionCondition"
PHYSICAL = "?AdfTabularPartitionName"
OPTIONS = ("None", "PhysicalPartitionsOfTable", "DynamicRange")
DEFAULT_PARTS = 4
_BOUNDED_ENDS = 2  # parts that lie below the lower and above the upper bound

_CHILDREN = """
    SELECT string_agg(quote_ident(n.nspname) || '.' || quote_ident(c.relname), chr(10)
                      ORDER BY c.oid) AS names
    FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE i.inhparent = {}::regclass
"""
_FIRST_KEY = """
    SELECT a.attname::text AS name
    FROM pg_index i
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    WHERE i.indisprimary AND i.indrelid = {}::regclass
"""

Bound = int | datetime
OneRow = Callable[[str], dict[str, Any] | None]


@dataclass(frozen=True)
class Partitioning:
    """What a source says of partitions.

    Attributes:
        table: schema and name of the dataset's table; None where a query is given.
    """

    option: str
    query: str | None
    table: tuple[str, str] | None
    column: str | None = None
    lower: str | None = None
    upper: str | None = None
    names: tuple[str, ...] = ()
    parts: int = DEFAULT_PARTS

    def queries(self, server: PostgresServer, stop: threading.Event, seconds: float) -> list[str]:
        """The queries to read.

        Raises:
            CopyError: the column is missing or of a type that has no ranges.
        """

        def ask(query: str) -> dict[str, Any] | None:
            return one_row(server, query, stop, seconds)

        if self.option == "PhysicalPartitionsOfTable":
            return self._physical(ask)
        if self.option == "DynamicRange":
            return self._ranges(ask)
        return [self.query or f"SELECT * FROM {self._table}"]  # noqa: S608  (quoted)

    @property
    def _table(self) -> str:
        if self.table is None or not self.table[1]:
            raise CopyError("UserErrorInvalidDataset", "there is neither a query nor a table")
        return sql.Identifier(*(part for part in self.table if part)).as_string(None)

    def _physical(self, ask: OneRow) -> list[str]:
        """One query a partition of the table, or one of the whole where it has none."""
        names = list(self.names)
        if not names and self.table is not None:
            found = ask(_CHILDREN.format(sql.Literal(self._table).as_string(None)))
            names = str((found or {}).get("names") or "").splitlines() or [self._table]
        if not names:
            raise CopyError("UserErrorInvalidPartition", "partitionNames is empty")
        if self.query is None:
            return [f"SELECT * FROM {name}" for name in names]  # noqa: S608  (quoted)
        if PHYSICAL not in self.query:
            raise CopyError("UserErrorInvalidPartition", f"the query does not contain {PHYSICAL}")
        return [self.query.replace(PHYSICAL, name) for name in names]

    def _ranges(self, ask: OneRow) -> list[str]:
        query = self.query or f"SELECT * FROM {self._table} WHERE {CONDITION}"  # noqa: S608
        if CONDITION not in query:
            raise CopyError(
                "UserErrorInvalidPartition",
                f"with DynamicRange the query must contain {CONDITION} in its WHERE clause",
            )
        column = sql.Identifier(self.column or self._key(ask)).as_string(None)
        low, high = self._bounds(ask, query.replace(CONDITION, "TRUE"), column)
        explicit = self.lower is not None and self.upper is not None
        conditions = _conditions(column, low, high, self.parts, explicit=explicit)
        return [query.replace(CONDITION, condition) for condition in conditions]

    def _key(self, ask: OneRow) -> str:
        """The first column of the table's primary key."""
        found = None
        if self.query is None:
            found = ask(_FIRST_KEY.format(sql.Literal(self._table).as_string(None)))
        if not found:
            raise CopyError(
                "AzurePostgreSqlNpgsqlPartitionColumnNameNotProvided",
                "Partition column name must be specified.",
            )
        return str(found["name"])

    def _bounds(self, ask: OneRow, query: str, column: str) -> tuple[Bound, Bound]:
        """The bounds given, or the least and greatest value."""
        given = self.lower is not None and self.upper is not None
        limit = " LIMIT 1" if given else ""
        inner = f"SELECT {column} AS value FROM ({query}) AS part{limit}"  # noqa: S608  (quoted)
        bare = f"SELECT pg_typeof(value)::text AS kind FROM ({inner}) AS v"  # noqa: S608
        described = ask(
            f"SELECT min(value) AS low, max(value) AS high, "  # noqa: S608
            f"(SELECT max(kind) FROM ({bare} LIMIT 1) AS k) AS kind FROM ({inner}) AS part"
        )
        kind = str((described or {}).get("kind") or "integer")
        if not kind.startswith(("smallint", "integer", "bigint", "date", "timestamp")):
            raise CopyError(
                "AzurePostgreSqlNpgsqlDataTypeNotSupported",
                f"The data type of the chosen Partition Column, '{self.column}', is '{kind}' and "
                "this data type is not supported for partitioning.",
            )
        if given:
            read = _time if kind.startswith(("date", "timestamp")) else _integer
            return read(str(self.lower)), read(str(self.upper))
        low, high = (described or {}).get("low"), (described or {}).get("high")
        return (0, 0) if low is None or high is None else (low, high)


def _conditions(column: str, low: Bound, high: Bound, parts: int, *, explicit: bool) -> list[str]:
    """Conditions that together are true once for every row, null included.

    With bounds given, the parts below the lower and above the upper bound are parts of their own;
    without, least and greatest value stand in the first and the last of equal parts.
    """
    if explicit and parts > _BOUNDED_ENDS:
        edges = [low, *(end for _, end in _slices(low, high, parts - _BOUNDED_ENDS))]
    else:
        edges = [end for _, end in _slices(low, high, parts)][:-1]
    edges = list(dict.fromkeys(edges))
    if not edges:
        return ["TRUE"]
    between = [
        f"{column} > {_literal(start)} AND {column} <= {_literal(end)}"
        for start, end in pairwise(edges)
    ]
    first = f"({column} <= {_literal(edges[0])} OR {column} IS NULL)"
    return [first, *between, f"{column} > {_literal(edges[-1])}"]


def _slices(low: Bound, high: Bound, parts: int) -> list[tuple[Bound, Bound]]:
    """From low to high in so many parts, as far as there are different values."""
    if isinstance(low, datetime) and isinstance(high, datetime):
        step = (high - low) / parts
        ends: list[Bound] = [low + step * number for number in range(1, parts)]
    elif isinstance(low, int) and isinstance(high, int):
        width = high - low
        ends = [low + width * number // parts for number in range(1, parts)]
    else:
        raise CopyError("UserErrorInvalidPartition", "the bounds are of different types")
    edges = list(dict.fromkeys([low, *ends, high]))
    return list(pairwise(edges)) or [(low, high)]


def _literal(value: Bound) -> str:
    """Of a time with its zone, which a column without one does not look at."""
    return str(value) if isinstance(value, int) else f"'{value.isoformat(sep=' ')}+00'"


def _integer(text: str) -> Bound:
    try:
        return int(text)
    except ValueError:
        raise CopyError(
            "UserErrorInvalidPartition", f"the bound {text!r} is not an integer"
        ) from None


def _time(text: str) -> Bound:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CopyError("UserErrorInvalidPartition", f"the bound {text!r} is not a time") from None
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
