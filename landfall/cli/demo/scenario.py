"""What the demo drops and how each drop must end, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from landfall.protocol import State

BAD_ROWS = 3
"""Rows of the tolerable file that break the contract."""

SMALL_ROWS = 200
"""Rows of the drop whose way is timed."""


@dataclass(frozen=True)
class DemoDrop:
    """One delivery of the demo.

    Attributes:
        dataset: whose contract it follows.
        file: its name in the lake.
        note: why it is part of the demo, in few words; empty where it is just a good file.
        expect: the state in which its run must end.
        how: closed upload, which raises an event, or a quiet one followed by POST /ingest.
        rejected: how many rows must be rejected; None where any number may be.
    """

    dataset: str
    file: str
    note: str
    expect: State = State.SUCCEEDED
    how: Literal["event", "post"] = "event"
    rejected: int | None = 0

    @property
    def path(self) -> str:
        """Where it lands."""
        return f"landing/{self.dataset}/{self.file}"

    @property
    def source(self) -> str:
        """Its file in the demo's own folder."""
        return f"{self.dataset}.csv" if self.file == "all.csv" else self.file


AGAIN = DemoDrop("users", "users-1.csv", "the same again", State.DUPLICATE, rejected=None)
"""Delivered when the first delivery of the same content has been accepted."""

SMALL = DemoDrop("users", "users-small.csv", "timed")
"""Delivered when all others have ended."""

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
"""Delivered at once; the first of them is the one that comes again."""
