"""Queries the served tables in the demo's database."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from rich.table import Table

_COUNTS = "SELECT table_name, row_count FROM landfall.served ORDER BY table_name"


@dataclass(frozen=True)
class Serving:
    """Rows of each served table, and the answer to the demo's query."""

    rows: dict[str, int]
    columns: tuple[str, ...] = ()
    answer: tuple[tuple[object, ...], ...] = ()


def read(dsn: str, query: str) -> Serving:
    """Ask the database; nothing is served where nothing was ever loaded."""
    try:
        with psycopg.connect(dsn, connect_timeout=5) as connection:
            rows = {str(name): int(count) for name, count in connection.execute(_COUNTS)}
            cursor = connection.execute(query.encode())
            columns = tuple(column.name for column in cursor.description or ())
            return Serving(rows, columns, tuple(cursor))
    except psycopg.Error:
        return Serving({})


def show(serving: Serving) -> Table:
    """The answer as a table, below the query; numbers to the right."""
    view = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for position, name in enumerate(serving.columns):
        text = any(isinstance(row[position], str) for row in serving.answer)
        view.add_column(name, no_wrap=True, justify="left" if text else "right")
    for row in serving.answer:
        view.add_row(*("" if cell is None else str(cell) for cell in row))
    return view
