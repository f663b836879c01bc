"""Queries the served tables in the demo's database."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from rich.table import Table

QUERY = """SELECT country, buyers, topbuyers, topbuyerratio
FROM gold.buyers_by_country
ORDER BY topbuyers DESC, country LIMIT 4"""
_COUNTS = "SELECT table_name, row_count FROM landfall.served ORDER BY table_name"


@dataclass(frozen=True)
class Serving:
    """Row counts of served tables, and the result of `QUERY`."""

    rows: dict[str, int]
    answer: list[tuple[str, ...]]


def read(dsn: str) -> Serving:
    """Query the database; the result is empty if nothing was loaded."""
    try:
        with psycopg.connect(dsn, connect_timeout=5) as connection:
            rows = {str(name): int(count) for name, count in connection.execute(_COUNTS)}
            answer = [tuple(map(str, row)) for row in connection.execute(QUERY)]
    except psycopg.Error:
        return Serving({}, [])
    return Serving(rows, answer)


def show(serving: Serving) -> Table:
    """Return the query result as a table."""
    view = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    names = [part.strip() for part in QUERY.partition("FROM")[0].removeprefix("SELECT").split(",")]
    for name in names:
        view.add_column(name, no_wrap=True, justify="left" if name == "country" else "right")
    for row in serving.answer:
        view.add_row(*row)
    return view
