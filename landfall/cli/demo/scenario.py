"""The drops of the demo and their expected results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from landfall.protocol import State

BAD_ROWS = 3
"""Invalid rows of the file that is accepted with rejects."""

SMALL_ROWS = 200
"""Rows of the drop that is timed."""


@dataclass(frozen=True)
class DemoDrop:
    """One drop of the demo.

    Attributes:
        dataset: its dataset.
        file: its name in the lake.
        note: why it is part of the demo; empty for an ordinary good file.
        expect: the expected final state of its run.
        how: closed upload, which raises an event, or upload without event and POST /ingest.
        rejected: the expected number of rejected rows; None for any number.
    """

    dataset: str
    file: str
    note: str
    expect: State = State.SUCCEEDED
    how: Literal["event", "post"] = "event"
    rejected: int | None = 0

    @property
    def path(self) -> str:
        """Lake path of the drop."""
        return f"landing/{self.dataset}/{self.file}"

    @property
    def source(self) -> str:
        """Name of its file in the demo's folder."""
        return f"{self.dataset}.csv" if self.file == "all.csv" else self.file


AGAIN = DemoDrop("users", "users-1.csv", "the same again", State.DUPLICATE, rejected=None)
"""Delivered after the first delivery of the same content was accepted."""

SMALL = DemoDrop("users", "users-small.csv", "timed")
"""Delivered after all others have ended."""

BROKEN = DemoDrop("users", "users-broken.csv", "a third bad", State.QUARANTINED, rejected=None)

FIRST = (
    DemoDrop("users", "users-1.csv", ""),
    DemoDrop("users", "users-2.csv", ""),
    DemoDrop("users", "users-3.csv", ""),
    DemoDrop("users", "users-4.csv", ""),
    DemoDrop("users", "users-5.csv", "by POST", how="post"),
    DemoDrop("users", "users-flawed.csv", f"{BAD_ROWS} bad rows", rejected=BAD_ROWS),
    BROKEN,
    DemoDrop("buyers_by_country", "all.csv", ""),
    DemoDrop("top_seller_countries", "all.csv", ""),
    DemoDrop("sellers_compared", "all.csv", ""),
)
"""Delivered first; the first of them is delivered again later."""
