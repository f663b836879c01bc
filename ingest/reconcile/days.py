"""The figures of a dataset's drops by the day on which they landed, made by the tick.

One document a dataset and day, `manifest/days/<dataset>/<YYYYMMDD>.json`, whose metadata carry the
figures too: 90 days are one list call. They are made from the listing of the filed runs, so a drop
costs nothing for them. They are for people to look at: nothing is decided by them.
"""

from __future__ import annotations

import base64
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any

from ingest import paths
from ingest.errors import Damaged, LandfallError, NotFound
from ingest.log import log
from ingest.ports import Clock, Lake
from ingest.runs import archive
from ingest.runs.document import Listed
from ingest.runs.register import Register
from landfall.protocol import State, day_and_dataset

KEPT_DAYS = 90
"""So many days back a missing document is made."""
LOOK = timedelta(minutes=10)
"""How often a process looks for days whose figures are missing or may have changed."""
SHOWN = timedelta(seconds=30)
"""How old figures may be that are only shown."""
STEP = 8
"""Documents that one tick makes at most."""
REPORTS = 50
"""Reports of a day that are read for its rules."""
_SCHEMA = 1
_NAME = 60
"""Characters kept of a rule's name: the figures have to fit into 8 KB of metadata."""

Rules = Callable[[str], Mapping[str, int]]
"""The broken rules of a run, with the number of records that break each."""


@dataclass(frozen=True)
class Day:
    """The figures of one dataset's drops that landed on one day.

    Attributes:
        day: as YYYYMMDD, in UTC; made: when the figures were taken.
        active: drops that had not ended then.
        ended: the number of drops by the state in which they ended.
        size: bytes that landed.
        seconds: `p50`, `p95` and `max` from landing to success.
        steps: the same without `max`, of the time in each state.
        rules: records by the rule that they break, of at most `REPORTS` drops.
        newest: when the latest drop landed that succeeded.
    """

    dataset: str
    day: str
    made: datetime
    active: int = 0
    ended: Mapping[str, int] = field(default_factory=dict)
    rows: int = 0
    accepted: int = 0
    rejected: int = 0
    size: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    steps: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    rules: Mapping[str, int] = field(default_factory=dict)
    newest: str | None = None
    schema: int = _SCHEMA

    @property
    def drops(self) -> int:
        """All drops of the day."""
        return self.active + sum(self.ended.values())

    @property
    def over(self) -> bool:
        """Whether the day was over and all its drops had ended when the figures were taken."""
        return self.active == 0 and f"{self.made:%Y%m%d}" > self.day


def summarise(
    dataset: str,
    day: str,
    runs: Iterable[Listed],
    now: datetime,
    *,
    active: int = 0,
    rules: Mapping[str, int] | None = None,
) -> Day:
    """The figures of the filed runs of a day. Pure."""
    ended: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    durations: list[float] = []
    steps: defaultdict[str, list[float]] = defaultdict(list)
    newest: str | None = None
    for run in runs:
        ended[run.state.value] += 1
        for name in ("rows", "accepted", "rejected", "size"):
            sums[name] += run.summary.get(name) or 0
        for state, spent in (run.steering.get("seconds") or {}).items():
            steps[state].append(spent)
        if run.state is State.SUCCEEDED:
            landed = str(run.summary["landed_at"])
            newest = max(newest or landed, landed)
            durations.append((run.updated - datetime.fromisoformat(landed)).total_seconds())
    return Day(
        dataset=dataset,
        day=day,
        made=now,
        active=active,
        ended=dict(ended),
        rows=sums["rows"],
        accepted=sums["accepted"],
        rejected=sums["rejected"],
        size=sums["size"],
        seconds=_quantiles(durations) | ({"max": max(durations)} if durations else {}),
        steps={state: _quantiles(spent) for state, spent in steps.items()},
        rules={name[:_NAME]: count for name, count in Counter(rules or {}).most_common(12)},
        newest=newest,
    )


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    """The median and the 95th percentile by nearest rank; nothing of nothing."""
    ordered = sorted(values)
    if not ordered:
        return {}
    return {f"p{percent}": ordered[-(-len(ordered) * percent // 100) - 1] for percent in (50, 95)}


class DayBook:
    """Reads the documents of days, and makes those that are missing.

    What it remembers saves requests: a process that remembers nothing makes the same documents.
    """

    def __init__(self, lake: Lake, manifest: Register, rules: Rules, clock: Clock) -> None:
        self._lake = lake
        self._manifest = manifest
        self._rules = rules
        self._clock = clock
        self._looked: datetime | None = None
        self._shown: tuple[datetime, list[Day]] | None = None
        self._pending: list[tuple[str, str]] = []
        self._active: Counter[tuple[str, str]] = Counter()

    def read(self) -> list[Day]:
        """The days of all datasets, oldest first: one list call; as they were seconds ago."""
        now = self._clock()
        shown = self._shown
        if shown is None or not timedelta(0) <= now - shown[0] < SHOWN:
            days = sorted(self._read(paths.DAYS), key=lambda day: (day.day, day.dataset))
            shown = self._shown = (now, days)
        return shown[1]

    def _read(self, prefix: str) -> Iterator[Day]:
        for entry in self._lake.list(prefix, metadata=True):
            try:
                yield _parse(base64.b64decode(entry.metadata["figures"]))
            except (KeyError, ValueError, TypeError) as error:
                log.warning("%s cannot be read: %s", entry.version.path, error)

    def tick(self) -> int:
        """Make the next documents that are due; returns how many. Never raises for the lake."""
        try:
            now = self._clock()
            if self._looked is None or now - self._looked >= LOOK:
                self._pending = self._due(now)
                self._looked = now
            made = 0
            while self._pending and made < STEP:
                self._make(*self._pending[-1], now)
                self._pending.pop()
                made += 1
        except LandfallError as error:
            log.warning("the figures of days are left to a later tick: %s", error)
            return 0
        return made

    def _due(self, now: datetime) -> list[tuple[str, str]]:
        """The days to be made, the latest last: it is made first."""
        standing = {(day.dataset, day.day): day for day in self._read(paths.DAYS)}
        named = (day_and_dataset(run.run_id) for run in self._manifest.active())
        self._active = Counter((name[1], name[0]) for name in named if name)
        oldest = f"{now - timedelta(days=KEPT_DAYS):%Y%m%d}"
        filed = {
            (dataset, day)
            for dataset in self._lake.folders(paths.ARCHIVE)
            for day in self._lake.folders(f"{paths.ARCHIVE}{dataset}/")
            if day >= oldest
        }
        due = {
            key
            for key in filed
            if key not in standing or not standing[key].over or self._active[key]
        }
        return sorted(due, key=lambda key: (key[1], key[0]))

    def _make(self, dataset: str, day: str, now: datetime) -> None:
        prefix = f"{paths.ARCHIVE}{dataset}/{day}/"
        runs = list(archive.readable(self._lake.list(prefix, metadata=True)))
        broken: Counter[str] = Counter()
        for run in [run for run in runs if run.summary.get("rejected")][:REPORTS]:
            try:
                broken.update(self._rules(run.run_id))
            except (NotFound, Damaged) as error:
                log.info("no rules of run %s: %s", run.run_id, error)
        figures = summarise(
            dataset, day, runs, now, active=self._active[dataset, day], rules=broken
        )
        body = _dump(figures)
        metadata = {"figures": base64.b64encode(body).decode()}
        self._lake.put(paths.day_document(dataset, day), body, metadata=metadata)


def _dump(day: Day) -> bytes:
    document = asdict(day) | {"made": day.made.isoformat()}
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    return text.encode(errors="replace")


def _parse(body: bytes) -> Day:
    raw: dict[str, Any] = json.loads(body)
    known = {f.name: raw[f.name] for f in fields(Day) if f.name in raw}
    return Day(**known | {"made": datetime.fromisoformat(raw["made"])})
