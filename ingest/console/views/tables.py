"""The tables of silver and gold: what the last load said of them, and a look into each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ingest.console import delta, plots, words
from ingest.console.delta import TableSample
from ingest.console.reads import Reads
from ingest.console.views import analytics
from ingest.errors import Damaged, LandfallError, NotFound
from ingest.paths import SILVER
from ingest.runs.run import Run
from landfall.protocol import State
from landfall.validation.report import MASK

GOLD = "gold"
_LAYERS = (SILVER, GOLD)
_ROWS, _CHARTED, _BARS = 10, 1000, 15


@dataclass(frozen=True)
class Table:
    """A table as the last load that touched it left it; the rest is None where none did."""

    layer: str
    name: str
    version: int | None = None
    rows: int | None = None
    loaded: datetime | None = None
    run_id: str | None = None
    dataset: str | None = None

    @property
    def path(self) -> str:
        """Where it is in the lake."""
        return f"{self.layer}/{self.name}"


def index(reads: Reads) -> dict[str, Any]:
    """The values of the template `tables.html`."""
    return {
        "tables": list(known(reads).values()),
        "analytics": analytics.exists(reads.service.lake),
    }


def known(reads: Reads) -> dict[str, Table]:
    """All tables by their path in the lake: two list calls, and the last load of each dataset."""
    tables = {
        f"{layer}/{name}": Table(layer, name)
        for layer in _LAYERS
        for name in sorted(reads.service.lake.folders(f"{layer}/"))
        if not name.startswith("_")
    }
    for run in last_loads(reads):
        for path, table in _results(run).items():
            layer, _, name = path.partition("/")
            before = tables.get(path)
            if layer in _LAYERS and (before is None or (before.version or -1) < table["version"]):
                tables[path] = Table(
                    layer, name, table["version"], table.get("rows"), run.updated, run.run_id,
                    run.dataset,
                )  # fmt: skip
    return tables


def last_loads(reads: Reads) -> list[Run]:
    """The newest run of each dataset that succeeded."""
    runs = []
    for dataset in reads.datasets:
        manifest = reads.service.manifest
        for listed in manifest.newest(limit=1, dataset=dataset, state=State.SUCCEEDED):
            try:
                runs.append(manifest.get(listed.run_id, fresh=True).run)
            except (Damaged, NotFound):
                continue
    return runs


def _results(run: Run) -> Mapping[str, Mapping[str, Any]]:
    result = run.load.result if run.load else None
    return (result or {}).get("tables") or {}


def view(reads: Reads, layer: str, name: str) -> dict[str, Any]:
    """The values of the template `table.html`.

    Raises:
        NotFound: there is no such table.
    """
    path = f"{layer}/{name}"
    state = delta.read(reads.service.lake, path)
    wrong: str | None = None
    rows: TableSample | None = None
    try:
        rows = delta.sample(reads.service.lake, state, _CHARTED)
    except LandfallError as error:
        wrong = str(error)
    hidden = _masked(reads, layer, name)
    columns = [column for column in rows.columns if not column.startswith("_")] if rows else []
    return {
        "layer": layer,
        "name": name,
        "state": state,
        "wrong": wrong,
        "columns": columns,
        "rows": [
            [MASK if column in hidden else delta.shown(row[column]) for column in columns]
            for row in (rows.rows[:_ROWS] if rows else [])
        ],
        "charts": _charts(rows, columns, hidden) if rows and layer == GOLD else [],
        "masked": sorted(hidden & set(columns)),
        "dataset": name if name in reads.service.contracts else None,
    }


def _masked(reads: Reads, layer: str, name: str) -> frozenset[str]:
    """The columns whose values are not shown: those that a contract masks.

    A gold table has what its query takes from any dataset, so there a name that any contract masks
    is masked.
    """
    contracts = reads.service.contracts
    mine = [contracts[name]] if layer == SILVER and name in contracts else contracts.values()
    return frozenset(
        column.name for contract in mine for column in contract.columns if column.masked
    )


def _charts(rows: TableSample, columns: list[str], hidden: frozenset[str]) -> list[tuple[str, Any]]:
    """The first measures of a gold table over its first dimension."""
    seen = [column for column in columns if column not in hidden]
    labels = [column for column in seen if rows.columns[column] != "number"]
    measures = [column for column in seen if rows.columns[column] == "number"][:3]
    if not labels or not rows.rows:
        return []
    label = next((column for column in labels if rows.columns[column] == "time"), labels[0])
    charts = []
    for measure in measures:
        values = [
            (delta.shown(row[label]), float(row[measure]))
            for row in rows.rows
            if row[measure] is not None and row[measure] >= 0
        ]
        if rows.columns[label] == "time":
            values = sorted(values)[-90:]
        else:
            values = sorted(values, key=lambda pair: -pair[1])[:_BARS]
        stacks = [
            plots.Stack(f"{name}: {words.count(value)}", [("good", value)])
            for name, value in values
        ]
        first = f"{values[0][0]} {words.count(values[0][1])}" if values else "none"
        says = f"{measure} by {label}: {len(values)} values, the first {first}"
        charts.append((f"{measure} by {label}", plots.stacks(stacks, says, height=90)))
    return charts
