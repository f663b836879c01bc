"""What serving says to each kind of database, read by a parser of that kind of SQL.

PostgreSQL runs every one of these in `tests/spark/test_serving.py`; SQL Server runs nowhere here.
"""

from __future__ import annotations

import pytest
import sqlglot
from sqlglot import expressions as exp

from spark_jobs.serving.dialects import DIALECTS, SQLSERVER, SqlDialect

PARSERS = {"postgresql": "postgres", "sqlserver": "tsql"}


def statements(dialect: SqlDialect) -> dict[str, str]:
    """Every statement of a dialect, with values in the place of what the driver fills in."""
    forget, add = dialect.note()
    drop, make = dialect.make("sales", "20261122_sales")
    schema, _, ledger = dialect.prepare()
    sql = {
        "schema": schema,
        "ledger": ledger,
        "lock": dialect.lock_ledger(),
        "served": dialect.served(),
        "forget": forget,
        "add": add,
        "columns": dialect.columns(),
        "staged": dialect.staged(),
        "drop": drop,
        "make": make,
        "empty": dialect.empty("sales"),
        "fill": dialect.fill("sales", "20261122_sales", ["day", "odd]name", 'od"d']),
    }
    return {name: text.replace("%s", "'x'") for name, text in sql.items()}


@pytest.mark.parametrize("scheme", DIALECTS)
def test_every_statement_is_of_its_language(scheme: str) -> None:
    """A parser of the database's own SQL reads each of them as one statement of the right kind."""
    kinds: dict[str, type[exp.Expression] | tuple[type[exp.Expression], ...]] = {
        "ledger": (exp.Create, exp.IfBlock),
        "served": exp.Select,
        "forget": exp.Delete,
        "add": exp.Insert,
        "columns": exp.Select,
        "staged": exp.Select,
        "drop": exp.Drop,
        "make": (exp.Create, exp.Select),
        "empty": exp.Delete,
        "fill": exp.Insert,
    }
    for name, text in statements(DIALECTS[scheme]).items():
        (statement,) = sqlglot.parse(text, read=PARSERS[scheme])
        if name in kinds:
            assert isinstance(statement, kinds[name]), (name, text, type(statement))


def test_sql_server_says_it_in_its_own_way() -> None:
    """Names stand in brackets, tables are made by SELECT INTO, a hint locks the ledger."""
    sql = statements(SQLSERVER)
    assert sql["make"] == ("SELECT TOP 0 * INTO [gold].[sales] FROM [landfall].[20261122_sales]")
    assert sql["lock"] == "SELECT COUNT(*) FROM [landfall].[served] WITH (TABLOCKX, HOLDLOCK)"
    assert sql["schema"] == "IF SCHEMA_ID('landfall') IS NULL EXEC('CREATE SCHEMA landfall')"
    assert '[odd]]name], [od"d]' in sql["fill"]
    assert "IF EXISTS [gold].[sales]" in sql["drop"]
