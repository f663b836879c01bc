"""The gold tables that a demo leaves behind, read as any Delta reader would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deltalake import DeltaTable
from rich.markup import escape
from rich.table import Table

_SHOWN_ROWS = 4
_SHOWN_COLUMNS = 6


@dataclass(frozen=True)
class GoldTable:
    """A Delta table and the first of its rows."""

    name: str
    path: Path
    rows: int
    columns: tuple[str, ...]
    head: Sequence[Sequence[object]]


def tables(lake: Path) -> list[GoldTable]:
    """Every Delta table under `gold` of a lake's folder, by name."""
    root = lake / "gold"
    found = sorted(log.parent for log in root.rglob("_delta_log") if log.is_dir())
    return [_read(path, str(path.relative_to(root))) for path in found]


def _read(path: Path, name: str) -> GoldTable:
    data = DeltaTable(str(path)).to_pyarrow_table()
    columns = tuple(data.column_names)
    head = [
        tuple(record[column] for column in columns)
        for record in data.slice(0, _SHOWN_ROWS).to_pylist()
    ]
    return GoldTable(name, path, data.num_rows, columns, head)


def preview(table: GoldTable) -> Table:
    """The first rows and columns of a table, and how much more there is."""
    more = len(table.columns) - _SHOWN_COLUMNS
    view = Table(
        title=f"gold/{escape(table.name)}: {table.rows:,} rows, {len(table.columns)} columns",
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        header_style="dim",
    )
    for column in table.columns[:_SHOWN_COLUMNS]:
        view.add_column(escape(column), no_wrap=True)
    if more > 0:
        view.add_column("…", no_wrap=True)
    for row in table.head:
        cells = [escape(_cell(value)) for value in row[:_SHOWN_COLUMNS]]
        view.add_row(*cells, *(["…"] if more > 0 else []))
    return view


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
