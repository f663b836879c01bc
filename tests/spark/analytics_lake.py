"""A lake with silver tables of a generated market, for the tasks of landfall_analytics."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import DeltaTable, write_deltalake

from marketplace.generator.market import DATASETS, MarketPlan, write_market
from spark_jobs.analytics import tasks

PLAN = MarketPlan(
    datasets=DATASETS, users=30_000, products=15_000, orders=6_000, visits=60_000, days=400, seed=21
)
EVENTS = "black friday: 11-27 11-28, winter sales: 01-08"
LANDED = datetime(2026, 11, 30, 4)  # noqa: DTZ001 - silver's times are UTC without a zone


class AnalyticsLake:
    """A lake in a folder; what the tasks left in it is read by other readers than theirs."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def silver(self, frames: dict[str, pl.DataFrame]) -> None:
        """Write silver tables, in the place of what was there."""
        for name, frame in frames.items():
            table = frame.with_columns(
                pl.lit(LANDED).cast(pl.Datetime("us", "UTC")).alias("_landed_at")
            )
            times = [c for c, kind in table.schema.items() if kind == pl.Datetime("us")]
            table = table.with_columns(pl.col(times).dt.replace_time_zone("UTC"))
            write_deltalake(str(self.root / "silver" / name), table.to_arrow(), mode="overwrite")

    def arguments(self, *more: str) -> list[str]:
        """Parameters of a task."""
        return [f"--lake=file://{self.root}/{{container}}", "--run=7", f"--events={EVENTS}", *more]

    def latest(self, model: str) -> dict[str, Any]:
        """The document of a model's last run."""
        (part,) = (self.root / tasks.latest_folder(model)).glob("part-*")
        document: dict[str, Any] = json.loads(part.read_text())
        return document

    def gold(self, name: str) -> pl.DataFrame:
        """A gold table, by another reader."""
        return pl.read_delta(str(self.root / "gold" / name))

    def version(self, name: str) -> int:
        """The newest version of a gold table."""
        return DeltaTable(str(self.root / "gold" / name)).version()


def frames_of(plan: MarketPlan, folder: Path) -> dict[str, pl.DataFrame]:
    """The generated tables, typed as silver is."""
    folder.mkdir()
    write_market(plan, folder)
    frames = {}
    for name in DATASETS:
        frame = pl.read_csv(folder / f"{name}.csv", try_parse_dates=True, infer_schema_length=None)
        stamps = [c for c, kind in frame.schema.items() if isinstance(kind, pl.Datetime)]
        frames[name] = frame.with_columns(pl.col(stamps).cast(pl.Datetime("us")))
    return frames
