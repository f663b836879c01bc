"""Segments, recommendations and forecasts of a demo: the job, a few rows, and the page."""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from landfall.cli import analytics
from landfall.cli.demo.gold import TablePreview, preview
from landfall.cli.gold import Place, place_of
from landfall.protocol import ANALYTICS_PAGE

Json = dict[str, Any]
_ROWS = 3
_NOTHING = ("failed", "not_published", "")


@dataclass
class DemoAnalytics:
    """What the job made.

    Attributes:
        good: whether the job succeeded and each model published something, a baseline where it
            lost to one; message: why not.
        verdicts: of each model; tables: with a few rows each.
        page: where the page is when the demo has ended.
        seconds: that the job took.
    """

    good: bool
    message: str
    verdicts: dict[str, str]
    tables: list[TablePreview]
    page: Path
    seconds: float
    gates: list[Json] = field(default_factory=list)

    def to_json(self) -> Json:
        """What the demo's document has of it."""
        return {
            "ok": self.good,
            "models": self.verdicts,
            "gates": self.gates,
            "page": str(self.page),
            "seconds": round(self.seconds, 1),
        }


def run(root: Path, lake: Path, *, kept: bool) -> DemoAnalytics:
    """Run the job in the local cloud of a folder.

    Without `kept` the page is copied to where it outlives the demo.
    """
    started = time.monotonic()
    ended = analytics.run_job(root)
    seconds = time.monotonic() - started
    summary = ended.summary()
    if summary is None:
        return DemoAnalytics(False, ended.message, {}, [], lake / ANALYTICS_PAGE, seconds)
    place, page = place_of(root), lake / ANALYTICS_PAGE
    if not kept:
        page = Path(tempfile.gettempdir()) / "landfall-analytics.html"
        shutil.copyfile(lake / ANALYTICS_PAGE, page)
    names = [name for tables in analytics.TABLES.values() for name in tables]
    failed = [model for model in summary["models"].values() if model["verdict"] in _NOTHING]
    return DemoAnalytics(
        ended.good and not failed,
        "; ".join(model["reason"] for model in failed),
        analytics.last_verdicts(place, tuple(analytics.TABLES)),
        [_table(place, name, summary["tables"][name]["rows"]) for name in names],
        page,
        seconds,
        summary["gates"],
    )


def show(console: Console, made: DemoAnalytics) -> None:
    """Print the verdicts, a few rows of each table, and where the page is."""
    for model, verdict in made.verdicts.items():
        console.print(f"  {model}: {verdict}", highlight=False, markup=False, soft_wrap=True)
    for table in made.tables:
        console.print(Padding(preview(table, console.width - 2), (1, 0, 0, 2), expand=False))
    if not made.good:
        console.print(f"NOT AS EXPECTED: {made.message}", markup=False, soft_wrap=True)
    console.print(Text(f"\n  page: {made.page}"), soft_wrap=True)


def _table(place: Place, name: str, rows: int) -> TablePreview:
    head = analytics.rows_of(place, name, _ROWS)
    columns = tuple(analytics.shown_columns(head))
    cells = [[row[column] for column in columns] for row in head]
    return TablePreview(name, Path(name), rows, columns, cells)
