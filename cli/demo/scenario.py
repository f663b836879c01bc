"""What the demo drops and how each drop must end, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ingest.states import State

BAD_ROWS = 3
"""Rows of the tolerable file that break the contract."""

SMALL_ROWS = 200
"""Rows of the drop whose way is timed."""


@dataclass(frozen=True)
class Drop:
    """One delivery of the demo.

    Attributes:
        dataset: whose contract it follows.
        file: its name, in the demo's folder and in the lake.
        note: why it is part of the demo.
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


AGAIN = Drop("users", "users-1.csv", "the first file again", State.DUPLICATE, rejected=None)
"""Delivered when the first delivery of the same content has been accepted."""

SMALL = Drop("users", "users-small.csv", f"{SMALL_ROWS} rows, timed with Spark warm")
"""Delivered when all others have ended."""

BROKEN = Drop("users", "users-broken.csv", "beyond tolerance", State.QUARANTINED, rejected=None)

FIRST = (
    Drop("users", "users-1.csv", "good"),
    Drop("users", "users-2.csv", "good"),
    Drop("users", "users-3.csv", "good"),
    Drop("users", "users-4.csv", "good"),
    Drop("users", "users-5.csv", "good, by POST /ingest", how="post"),
    Drop("users", "users-flawed.csv", f"{BAD_ROWS} bad rows, tolerated", rejected=BAD_ROWS),
    BROKEN,
    Drop("buyers_by_country", "buyers_by_country.csv", "good"),
    Drop("top_seller_countries", "top_seller_countries.csv", "good"),
    Drop("sellers_compared", "sellers_compared.csv", "good"),
)
"""Delivered at once; the first of them is the one that comes again."""
