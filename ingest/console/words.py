"""How values are written on a page: times, sizes, counts, states, and any text that others gave."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from landfall.protocol import State

_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

NONE = "\N{EM DASH}"
"""Stands where there is no value."""
SYMBOLS = {
    State.RECEIVED: "○",
    State.CLAIMED: "◔",
    State.VALIDATING: "◑",
    State.VALIDATED: "◑",
    State.COPYING: "◕",
    State.COPIED: "◕",
    State.LOADING: "◕",
    State.SUCCEEDED: "✓",
    State.QUARANTINED: "!",
    State.DUPLICATE: "=",
    State.FAILED: "✕",
    State.CANCELLED: "-",
}
"""A shape for each state: colour alone tells nothing to some."""


def tone(state: str) -> str:
    """The class that colours a state."""
    match state:
        case State.SUCCEEDED:
            return "good"
        case State.FAILED:
            return "bad"
        case State.QUARANTINED:
            return "warn"
        case State.DUPLICATE | State.CANCELLED:
            return "calm"
        case _:
            return "busy"


def visible(text: str) -> str:
    """A text with what cannot be seen, or turns the direction of writing, written out."""
    clean = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return _INVISIBLE.sub(_written_out, clean)


def _written_out(match: re.Match[str]) -> str:
    return _ESCAPES.get(match.group()) or f"\\u{ord(match.group()):04x}"


def shortened(text: str, length: int) -> str:
    """A text of at most so many characters; the middle goes: names begin and end in what counts."""
    if len(text) <= length:
        return text
    tail = length // 3
    return f"{text[: length - tail - 1]}…{text[-tail:]}"


def count(value: Any) -> str:
    """A number with thousands apart; a dash for none."""
    if value is None:
        return NONE
    if isinstance(value, float):
        return f"{value:,.6g}"
    return f"{value:,}" if isinstance(value, int) else visible(str(value))


def size(value: int | None) -> str:
    """Bytes in the unit that fits."""
    if value is None:
        return NONE
    amount = float(value)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:  # noqa: PLR2004 - what the units are
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def duration(value: float | timedelta | None) -> str:
    """A stretch of time in its two largest units."""
    if value is None:
        return NONE
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if seconds < 10:  # noqa: PLR2004 - below it tenths are worth telling
        return f"{max(seconds, 0):.1f} s"
    for unit, name, part, part_name in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if seconds >= unit:
            rest = int(seconds % unit // part)
            return f"{int(seconds // unit)} {name}" + (f" {rest} {part_name}" if rest else "")
    return f"{seconds:.0f} s"


def age(moment: datetime, now: datetime) -> str:
    """How long ago something was, in one unit, as the page's script writes it too."""
    seconds = (now - moment).total_seconds()
    if seconds < 5:  # noqa: PLR2004
        return "just now"
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{int(seconds // unit)} {name} ago"
    return f"{int(seconds)} s ago"


def stamp(moment: datetime) -> str:
    """A time in UTC, to the second."""
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def percent(share: float | None) -> str:
    """A share as a percentage."""
    if share is None:
        return NONE
    value = 100 * share
    if 0 < value < 0.01:  # noqa: PLR2004 - two decimals would say nothing
        return "<0.01 %"
    return f"{value:.2f}".rstrip("0").rstrip(".") + " %"
