"""Which runs a caller means: by dataset, state, file name, time and content. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatchcase

from ingest.runs.document import Listed
from landfall.protocol import State, id_prefix

_AGO = re.compile(r"(\d{1,6})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True)
class RunQuery:
    """What runs must be; None does not matter.

    Attributes:
        name: the file's name below its dataset's folder, or its last part, with `*` and `?`; case
            does not matter.
        since, until: when the drop landed: from the one on, and before the other.
        sha256: of the file's content.
    """

    dataset: str | None = None
    state: State | None = None
    name: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    sha256: str | None = None

    @property
    def before(self) -> str | None:
        """Runs with ids from this one on landed too late."""
        return id_prefix(self.until) if self.until else None

    def matches(self, run: Listed) -> bool:
        """Whether a run of the right dataset, state and time is meant."""
        if self.sha256 is not None and run.summary.get("sha256") != self.sha256:
            return False
        if self.name is None:
            return True
        name, pattern = str(run.summary["name"]).lower(), self.name.lower()
        return fnmatchcase(name, pattern) or fnmatchcase(name.rpartition("/")[2], pattern)


def parse_moment(text: str, now: datetime) -> datetime:
    """Parse a time: ISO 8601, a day (its beginning, UTC), `today`, `yesterday`, `90m`, `6h`, `7d`.

    Raises:
        ValueError: it is none of these.
    """
    if text in ("today", "yesterday"):
        return _day(now.date() - timedelta(days=text == "yesterday"))
    if match := _AGO.fullmatch(text):
        try:
            return now - timedelta(**{_UNITS[match[2]]: int(match[1])})
        except OverflowError as error:
            raise ValueError(text) from error
    try:
        return _day(date.fromisoformat(text))
    except ValueError:
        moment = datetime.fromisoformat(text)
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError as error:
        raise ValueError(text) from error


def _day(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), UTC)
