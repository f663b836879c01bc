"""What an extract reads: its range, how ranges follow each other, and the id that names one.

A mark is a point on the scale of a watermark: a time in UTC, or an integer. The watermark of an
object is the high end of its last delivered extract.

    incremental   (watermark - overlap, high]   high is the greatest value older than the lag
    window        [begin, end)                  from the schedule, or asked for by hand
    full          all; its high is the time at which it was asked for, and only names it

Why no row is lost between two incremental extracts: a transaction stamps its rows when it begins or
later, and commits within the lag. So when an extract reads rows up to a high that is older than the
lag, every row with a stamp up to there is committed, and visible to a query that begins now. Equal
stamps at the boundary are on one side of it, all of them: they are no younger than the lag either.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Literal

Mark = datetime | int

BEFORE_ALL: tuple[Mark, Mark] = (datetime(1900, 1, 1, tzinfo=UTC), -(10**18))
"""A time and an integer before all that a watermark may be: the high end of rows without one."""

_FRACTION = re.compile(r"^([^.]*)\.([0-9]{1,9})(.*)$")
_MICRO = 6


@dataclass(frozen=True)
class Range:
    """What is read; None is an end that is open. A window has its low end in it, others the high.

    `whole` is a full reading: it has no low end, and its high end is the time it was asked for.
    """

    low: Mark | None
    high: Mark
    kind: Literal["incremental", "window", "full"]


def following(watermark: Mark | None, high: Mark | None, overlap: timedelta | int) -> Range | None:
    """Return the range after a watermark up to a high mark; None where there is nothing new.

    Raises:
        TypeError: the marks are not of one kind.
    """
    if high is None:
        return None
    if watermark is None:
        return Range(None, high, "incremental")
    if isinstance(watermark, int) != isinstance(high, int):
        raise TypeError(f"the watermark is {watermark!r}, the source has {high!r}")
    if high <= watermark:  # type: ignore[operator]
        return None
    return Range(watermark - overlap, high, "incremental")  # type: ignore[operator]


def extract_id(source: str, entry: str, extent: Range) -> str:
    """Return the id of an extract: the same object and range always have the same id.

    It begins with the high end, so that ids of one object are in the order of their ranges.
    """
    ends = [None if mark is None else mark_text(mark) for mark in (extent.low, extent.high)]
    identity = json.dumps([source, entry, extent.kind, *ends])
    digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
    return f"{_compact(extent.high)}-{digest}"


EXTRACT_ID = re.compile(r"(?:[0-9]{8}T[0-9]{6}Z|n?[0-9]{19})-[0-9a-f]{8}")


def _compact(mark: Mark) -> str:
    if isinstance(mark, int):
        return f"{'n' if mark < 0 else ''}{abs(mark):019}"
    return f"{mark:%Y%m%dT%H%M%SZ}"


def mark_text(mark: Mark) -> str:
    """Return a mark as documents and people have it: an integer, or a time in ISO 8601 with Z."""
    if isinstance(mark, int):
        return str(mark)
    return mark.astimezone(UTC).isoformat().replace("+00:00", "Z")


def read_mark(text: str | int, *, counted: bool) -> Mark:
    """Return the mark of a text; times without an offset are in UTC.

    Digits after the sixth of a second are rounded up, as a range has to reach what it was told of.

    Raises:
        ValueError: it is none; `counted` asks for an integer.
    """
    text = str(text).strip()
    if counted:
        if not re.fullmatch(r"-?[0-9]{1,19}", text, re.ASCII):
            raise ValueError(f"{text!r} is not an integer")
        return int(text)
    finer = timedelta()
    if match := _FRACTION.match(text):
        digits = match[2].ljust(_MICRO, "0")
        finer = timedelta(microseconds=1) if digits[_MICRO:].strip("0") else finer
        text = f"{match[1]}.{digits[:_MICRO]}{match[3]}"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a time such as 2026-01-31T06:00:00Z") from None
    moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment + finer


def windows(begin: datetime, end: datetime, step: timedelta) -> list[tuple[datetime, datetime]]:
    """Return the windows of a time without gaps; the last may be shorter.

    Raises:
        ValueError: the end is not after the begin, or the step is not positive.
    """
    if end <= begin or step <= timedelta():
        raise ValueError("a time to cut into windows needs an end after its begin, and a step")
    cuts = [begin]
    while cuts[-1] < end:
        cuts.append(min(cuts[-1] + step, end))
    return list(pairwise(cuts))
