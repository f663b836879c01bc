"""Reads and previews the gold tables of a demo."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import polars as pl
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

_SHOWN_ROWS = 4
_GAP = 2
_MORE = "…"


@dataclass(frozen=True)
class TablePreview:
    """A Delta table and its first rows."""

    name: str
    path: Path
    rows: int
    columns: tuple[str, ...]
    head: Sequence[Sequence[object]]
    layer: str = "gold"


def tables(lake: Path) -> list[TablePreview]:
    """Return every Delta table under `gold` of a lake's folder, by name."""
    root = lake / "gold"
    folders = sorted(log.parent for log in root.rglob("_delta_log") if log.is_dir())
    return [_read(path, str(path.relative_to(root))) for path in folders]


def _read(path: Path, name: str) -> TablePreview:
    # Not with pyarrow: its threads over delta-rs can outlive the interpreter and abort it at exit.
    data = pl.read_delta(str(path))
    return TablePreview(name, path, data.height, tuple(data.columns), data.head(_SHOWN_ROWS).rows())


def preview(table: TablePreview, width: int) -> RenderableType:
    """Return the first rows of a table, with as many columns as fit into `width`."""
    title = f"{table.layer}/{table.name}: {table.rows:,} rows, {len(table.columns)} columns"
    view = Table(
        box=None,
        pad_edge=False,
        padding=(0, _GAP, 0, 0),
        header_style="dim",
    )
    columns = [(name, *map(_cell, cells)) for name, *cells in _columns(table)]
    left = width - len(_MORE) - _GAP
    shown = 0
    while shown < len(columns) and left >= (needed := max(map(len, columns[shown])) + _GAP):
        left -= needed
        shown += 1
    more = [_MORE] if shown < len(columns) else []
    for at, (name, *_) in enumerate(columns[:shown]):
        numbers = all(isinstance(row[at], (int, float, Decimal, type(None))) for row in table.head)
        view.add_column(escape(name), no_wrap=True, justify="right" if numbers else "left")
    for _ in more:
        view.add_column(_MORE, no_wrap=True)
    for row in range(len(table.head)):
        view.add_row(*(escape(column[row + 1]) for column in columns[:shown]), *more)
    return Group(Text(title, style="bold", no_wrap=True, overflow="ellipsis"), view)


def _columns(table: TablePreview) -> Iterator[tuple[str, *tuple[object, ...]]]:
    for at, name in enumerate(table.columns):
        yield (name, *(row[at] for row in table.head))


def _cell(value: object) -> str:
    if value is None:
        return "NULL"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
