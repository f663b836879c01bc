"""The SQL by which Data Factory reads a table: the one place where it is built.

Names are quoted and literals typed here. A `where` of a source file is parsed, and what is sent is
written anew from the parsed tree, so that it cannot reach beyond its parentheses.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, timedelta

from landfall.sources.model import SourceObject, Watermark
from landfall.sources.ranges import BEFORE_ALL, Mark, Range, mark_text

PARTITION_CONDITION = "?AdfDynamicRangePartitionCondition"
"""Data Factory puts the range of a part here; see its page on Azure Database for PostgreSQL."""


class WhereError(ValueError):
    """A condition is not one, or does more than to choose rows."""


@dataclass(frozen=True)
class Dialect:
    """How one database writes names, times and the text of a mark.

    Each of the expressions has `{0}` where its argument goes.
    """

    opening: str
    closing: str
    timestamp: str
    timestamptz: str
    ago: str
    """A time without zone, `{0}` seconds before now in UTC."""
    ago_tz: str
    text: str
    text_tz: str
    integer: str

    def name(self, name: str) -> str:
        """Quote a name."""
        return f"{self.opening}{name.replace(self.closing, self.closing * 2)}{self.closing}"

    def table(self, name: str) -> str:
        """Quote a table's name, part by part."""
        return ".".join(self.name(part) for part in name.split("."))

    def literal(self, mark: Mark, kind: str) -> str:
        """Write a mark as a literal of the watermark's type."""
        if isinstance(mark, int):
            return str(mark)
        text = f"{mark.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}"
        return (self.timestamptz if kind == "timestamptz" else self.timestamp).format(text)


POSTGRESQL = Dialect(
    opening='"',
    closing='"',
    timestamp="TIMESTAMP '{0}'",
    timestamptz="TIMESTAMPTZ '{0}Z'",
    ago="(now() AT TIME ZONE 'UTC') - interval '{0} seconds'",
    ago_tz="now() - interval '{0} seconds'",
    text="to_char({0}, 'YYYY-MM-DD\"T\"HH24:MI:SS.US')",
    text_tz="to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
    integer="CAST({0} AS varchar(20))",
)
AZURESQL = Dialect(
    opening="[",
    closing="]",
    timestamp="CONVERT(datetime2, '{0}', 126)",
    timestamptz="CONVERT(datetimeoffset, '{0}Z', 127)",
    ago="DATEADD(second, -{0}, SYSUTCDATETIME())",
    ago_tz="DATEADD(second, -{0}, SYSDATETIMEOFFSET())",
    text="CONVERT(varchar(33), {0}, 126)",
    text_tz="CONVERT(varchar(33), SWITCHOFFSET({0}, '+00:00'), 127)",
    integer="CONVERT(varchar(20), {0})",
)
DIALECTS = {"postgresql": POSTGRESQL, "azuresql": AZURESQL}
_SQLGLOT = {"postgresql": "postgres", "azuresql": "tsql"}


def high_query(entry: SourceObject, connector: str, *, first: bool = False) -> str:
    """Return the query for the greatest watermark that is older than the lag, as text `high`.

    The `first` time rows without a watermark count too: where there are no others, the answer is a
    mark before all. Later it is left to the index of the watermark, which has the greatest at once.
    An object without a watermark asks for nothing: the answer is a null.
    """
    dialect, mark = DIALECTS[connector], entry.watermark
    if mark is None or entry.mode != "incremental":
        return "SELECT NULL AS high"
    column = dialect.name(mark.column)
    conditions = _where(entry, connector)
    nulls = first and mark.nulls == "include"
    if mark.type == "integer":
        high = dialect.integer.format(f"max({column})")
    else:
        zoned = mark.type == "timestamptz"
        seconds = _seconds(entry.lag)
        high = (dialect.text_tz if zoned else dialect.text).format(f"max({column})")
        ago = (dialect.ago_tz if zoned else dialect.ago).format(seconds)
        old = f"{column} <= {ago}"
        conditions = [f"({old} OR {column} IS NULL)" if nulls else old, *conditions]
    if nulls:
        before_all = mark_text(BEFORE_ALL[mark.type == "integer"])
        high = f"CASE WHEN count(*) > 0 THEN COALESCE({high}, '{before_all}') END"
    return _select([f"{high} AS high"], entry, dialect, conditions)


def read_query(entry: SourceObject, connector: str, extent: Range) -> str:
    """Return the query of an extract."""
    dialect = DIALECTS[connector]
    conditions = [PARTITION_CONDITION] if entry.partition else []
    if entry.watermark is not None and extent.kind != "full":
        conditions.append(_ranged(entry.watermark, dialect, extent))
    conditions += _where(entry, connector)
    return _select([dialect.name(c) for c in entry.columns], entry, dialect, conditions)


def keys_query(entry: SourceObject, connector: str) -> str:
    """Return the query for the keys of all rows that are there."""
    dialect = DIALECTS[connector]
    return _select([dialect.name(c) for c in entry.key], entry, dialect, _where(entry, connector))


def condition(where: str, connector: str) -> str:
    """Return a condition of a source file, checked and written anew.

    Raises:
        WhereError: it is not one boolean expression, or has a subquery.
    """
    import sqlglot  # noqa: PLC0415 - only for sources with conditions
    from sqlglot import exp  # noqa: PLC0415 - likewise

    dialect = _SQLGLOT[connector]
    try:
        tree = sqlglot.parse_one(where, into=exp.Condition, dialect=dialect)
    except (sqlglot.errors.SqlglotError, RecursionError) as error:
        raise WhereError(f"is no SQL condition: {str(error).splitlines()[0]}") from error
    if not isinstance(tree, (exp.Condition, exp.Predicate)) or isinstance(
        tree, (exp.Column, exp.Literal, exp.Query)
    ):
        raise WhereError("is not a condition")
    if tree.find(exp.Query, exp.Command, exp.DDL, exp.DML, exp.Placeholder, exp.Parameter):
        raise WhereError("has a subquery, a statement or a parameter; only conditions are allowed")
    return tree.sql(dialect=dialect, comments=False)


def _ranged(mark: Watermark, dialect: Dialect, extent: Range) -> str:
    column = dialect.name(mark.column)
    above, below = (">=", "<") if extent.kind == "window" else (">", "<=")
    bounds = [f"{column} {below} {dialect.literal(extent.high, mark.type)}"]
    if extent.low is not None:
        bounds.insert(0, f"{column} {above} {dialect.literal(extent.low, mark.type)}")
    text = " AND ".join(bounds)
    if mark.nulls == "include" and extent.kind == "incremental":
        return f"({text} OR {column} IS NULL)"
    return text


def _where(entry: SourceObject, connector: str) -> list[str]:
    return [] if entry.where is None else [f"({condition(entry.where, connector)})"]


def _select(
    columns: Iterable[str], entry: SourceObject, dialect: Dialect, conditions: list[str]
) -> str:
    # Names are quoted and literals typed above; there is no value of a stranger here.
    text = f"SELECT {', '.join(columns)} FROM {dialect.table(str(entry.table))}"  # noqa: S608
    return f"{text} WHERE {' AND '.join(conditions)}" if conditions else text


def _seconds(length: timedelta) -> int:
    return -(-length // timedelta(seconds=1))  # a part of a second counts whole
