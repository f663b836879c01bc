"""Ranges that somebody asks for: of a window trigger, or by hand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ingest.errors import BadRequest
from landfall.sources.durations import duration
from landfall.sources.model import SourceObject
from landfall.sources.ranges import Mark, Range, mark_text, read_mark, windows

MOST_WINDOWS = 100
"""Pipeline runs that one request starts."""


@dataclass(frozen=True)
class Window:
    """A range from outside, as text; `again` reads it even if it was delivered before."""

    begin: str = ""
    end: str = ""
    again: bool = False

    @property
    def given(self) -> bool:
        """Whether there is one."""
        return bool(self.begin or self.end)


def mark_of(text: str, what: str, *, counted: bool) -> Mark:
    """Read an end of a range; `what` names it in the error.

    Raises:
        BadRequest: it is none.
    """
    try:
        return read_mark(text, counted=counted)
    except ValueError as error:
        raise BadRequest(f"{what}: {error}", 422) from error


def range_of_window(entry: SourceObject, window: Window) -> Range:
    """The range of a window; of an object that is read whole only its end counts.

    Raises:
        BadRequest: the window has no length, or an end that cannot be read.
    """
    counted = entry.counted
    low, high = (
        mark_of(text, what, counted=counted)
        for text, what in ((window.begin, "window_start"), (window.end, "window_end"))
    )
    if high <= low:  # type: ignore[operator]
        raise BadRequest(f"the window {window.begin} to {window.end} has no length", 422)
    if entry.mode == "full":
        return Range(None, high, "full")
    return Range(low, high, "window")


def parts_of(window: Window, every: str | None) -> list[Window]:
    """The windows into which a length of time cuts one; without it that one.

    Raises:
        BadRequest: it cannot be cut so, or into too many.
    """
    if every is None:
        return [window]
    begin, end = (
        mark_of(text, what, counted=False)
        for text, what in ((window.begin, "from"), (window.end, "to"))
    )
    try:
        step = duration(every)
    except (ValueError, AttributeError, KeyError):
        raise BadRequest(f"every {every!r} is no length of time such as 1h or 1d", 422) from None
    if not isinstance(begin, datetime) or not isinstance(end, datetime) or end <= begin:
        raise BadRequest("from and to are no time with a length", 422)
    if (end - begin) / step > MOST_WINDOWS:
        raise BadRequest(f"that is more than {MOST_WINDOWS} windows: ask for fewer at once", 422)
    return [
        Window(mark_text(low), mark_text(high), window.again)
        for low, high in windows(begin, end, step)
    ]
