"""What is made of what: datasets, their tables in silver and gold, and where those are served."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from ingest.console.reads import Reads
from ingest.console.views.tables import GOLD, last_loads
from ingest.paths import SILVER

_ROW, _WIDE, _TALL, _LEFT = 38, 176, 26, 4
_COLUMNS = {"landing": 0, "bronze": 1, SILVER: 2, GOLD: 3, "database": 4}
_GAP = 240


@dataclass(frozen=True)
class LineageNode:
    """A place of the picture: in which column, what it is called, and its page."""

    column: str
    name: str
    page: str | None = None


def view(reads: Reads) -> dict[str, Any]:
    """The values of the template `lineage.html`."""
    edges = _edges(reads)
    return {"picture": _picture(edges), "edges": [(a, b) for a, b in edges if a.column != "bronze"]}


def _edges(reads: Reads) -> list[tuple[LineageNode, LineageNode]]:
    """What feeds what, by the contracts and by what the last loads wrote."""
    edges: dict[tuple[LineageNode, LineageNode], None] = {}
    for dataset in reads.datasets:
        landing = LineageNode("landing", dataset, f"/console/datasets/{dataset}")
        bronze = LineageNode("bronze", dataset)
        edges[landing, bronze] = None
        if dataset in reads.service.contracts:
            edges[bronze, _table(SILVER, dataset)] = None
    for run in last_loads(reads):
        result = (run.load.result if run.load else None) or {}
        silver = _table(SILVER, run.dataset)
        served = result.get("served") or {}
        for path in result.get("tables") or {}:
            layer, _, name = path.partition("/")
            if layer == GOLD:
                edges[silver, _table(GOLD, name)] = None
                if path in served or name in served:
                    edges[_table(GOLD, name), LineageNode("database", name)] = None
    return list(edges)


def _table(layer: str, name: str) -> LineageNode:
    return LineageNode(layer, name, f"/console/tables/{layer}/{name}")


def _picture(edges: list[tuple[LineageNode, LineageNode]]) -> Markup:
    """Columns of boxes with curves between them."""
    rows: dict[LineageNode, int] = {}
    used: dict[str, int] = dict.fromkeys(_COLUMNS, 0)
    for node in (node for edge in edges for node in edge):
        if node not in rows:
            rows[node] = used[node.column]
            used[node.column] += 1
    heads = [
        Markup('<text class="head" x="{}" y="14">{}</text>').format(_x(column), column)
        for column in _COLUMNS
        if used[column]
    ]
    curves = []
    for one, other in edges:
        x, y = _x(one.column) + _WIDE, _y(rows[one])
        to_x, to_y = _x(other.column), _y(rows[other])
        half = (x + to_x) / 2
        curve = f"M{x} {y}C{half:.0f} {y} {half:.0f} {to_y} {to_x} {to_y}"
        curves.append(Markup('<path class="edge" d="{}"/>').format(curve))
    boxes = [_box(node, row) for node, row in rows.items()]
    height = 24 + _ROW * max(used.values(), default=0)
    width = max((_x(c) + _WIDE + 4 for c in _COLUMNS if used[c]), default=100)
    parts = Markup("").join([*heads, *curves, *boxes])
    return Markup(
        '<svg class="plot lineage" viewBox="0 0 {} {}" width="{}" height="{}" role="group" '
        'aria-label="Lineage; the list below has the same content">{}</svg>'
    ).format(width, height, width, height, parts)


def _box(node: LineageNode, row: int) -> Markup:
    x, y = _x(node.column), _y(row) - _TALL // 2
    name = node.name if len(node.name) <= 23 else f"{node.name[:22]}…"  # noqa: PLR2004
    box = Markup(
        '<rect class="node" x="{}" y="{}" width="{}" height="{}" rx="5"/>'
        '<text x="{}" y="{}">{}</text><title>{}</title>'
    ).format(x, y, _WIDE, _TALL, x + 9, y + 17, name, f"{node.column}/{node.name}")
    if node.page:
        return Markup('<a href="{}">{}</a>').format(node.page, box)
    return Markup("<g>{}</g>").format(box)


def _x(column: str) -> int:
    return _LEFT + _COLUMNS[column] * _GAP


def _y(row: int) -> int:
    return 24 + row * _ROW + _ROW // 2
