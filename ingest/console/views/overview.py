"""The first page: what is on its way, what ended today, how fresh each dataset is, what waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ingest.console import plots, words
from ingest.console.plots import Stack
from ingest.console.reads import Reads, promise
from ingest.reconcile.days import Day
from ingest.runs.document import Listed
from ingest.runs.states import ACTIVE
from landfall.protocol import FINAL, State

_OLDEST = 5
_TROUBLE = 8
_SPARK_DAYS = 14
OUTCOMES = (
    State.SUCCEEDED,
    State.DUPLICATE,
    State.CANCELLED,
    State.QUARANTINED,
    State.FAILED,
)
"""The final states in the order in which plots stack them."""


@dataclass(frozen=True)
class Freshness:
    """How old the newest success of a dataset is, against what its contract says."""

    dataset: str
    newest: datetime | None
    promised: timedelta | None
    late: bool
    today: Day
    recent: Any

    @property
    def verdict(self) -> str:
        """In one word."""
        if self.newest is None:
            return "no success yet"
        if self.promised is None:
            return "no frequency"
        return "late" if self.late else "on time"


def view(reads: Reads) -> dict[str, Any]:
    """The values of the template `overview.html`."""
    backlog = reads.backlog
    active = Counter(run.state for run in backlog.runs)
    ended: Counter[str] = Counter()
    rows = rejected = 0
    for dataset in reads.datasets:
        day = reads.today(dataset)
        ended.update(day.ended)
        rows, rejected = rows + day.accepted, rejected + day.rejected
    return {
        "active": [(state.value, active[state]) for state in State if state in ACTIVE],
        "active_total": sum(active.values()),
        "ended": [(state.value, ended[state.value]) for state in OUTCOMES],
        "ended_total": sum(ended.values()),
        "rows": rows,
        "rejected": rejected,
        "oldest": sorted(
            (run for run in backlog.runs if run.state not in FINAL), key=lambda run: run.run_id
        )[:_OLDEST],
        "trouble": _trouble(reads),
        "freshness": [view_of_freshness(reads, dataset) for dataset in reads.datasets],
        "waits": list(_waits(reads)),
        "wrong": _wrong(reads),
        "set_aside": sorted(backlog.set_aside.items()),
        "caps": backlog.caps,
    }


def _wrong(reads: Reads) -> list[tuple[str, str]]:
    """Contracts, gold tables and source files that are left out, and why."""
    service = reads.service
    contracts = service.store.problems
    gold = service.context.gold.deployed.problems
    sources = service.extraction.catalog.files.current.errors.values()
    return [
        *((each.file, f"{each.path or 'document'}: {each.reason}") for each in contracts),
        *(
            (each.file, f"{each.place}: {each.reason}" if each.place else each.reason)
            for each in gold
        ),
        *((each.file, str(each)) for each in sources),
    ]


def _trouble(reads: Reads) -> list[Listed]:
    """What ended badly today, the latest first."""
    runs = [
        run
        for dataset in reads.datasets
        for run in reads.ended_today(dataset)
        if run.state in (State.FAILED, State.QUARANTINED)
    ]
    return sorted(runs, key=lambda run: run.updated, reverse=True)[:_TROUBLE]


def view_of_freshness(reads: Reads, dataset: str) -> Freshness:
    """How old the newest success of a dataset is."""
    days = reads.days_of(dataset)
    successes = [day.newest for day in days if day.newest]
    newest = datetime.fromisoformat(max(successes)) if successes else None
    promised = promise(reads.service.contracts.get(dataset))
    late = bool(newest and promised and reads.now - newest > promised)
    return Freshness(dataset, newest, promised, late, days[-1], _spark(reads, days))


def _spark(reads: Reads, days: list[Day]) -> Any:
    by_day = {day.day: day for day in days}
    values = []
    for back in reversed(range(_SPARK_DAYS)):
        name = f"{reads.now - timedelta(days=back):%Y%m%d}"
        drops = by_day[name].drops if name in by_day else 0
        values.append((f"{name}: {drops}", float(drops)))
    says = f"Drops in {_SPARK_DAYS} days: " + ", ".join(f"{value:.0f}" for _, value in values)
    return plots.bars(values, says, "busy")


def _waits(reads: Reads) -> Iterator[tuple[str, str, int, str]]:
    """Dataset, state, number of drops, and what they wait for."""
    backlog = reads.backlog
    counts = Counter((run.dataset, run.state) for run in backlog.runs)
    for (dataset, state), number in sorted(counts.items()):
        if why := backlog.waits(dataset, state):
            yield dataset, state.value, number, why


def outcome_stacks(days: list[tuple[str, Day | None]]) -> list[Stack]:
    """Bars of the drops of each day by outcome."""
    stacks = []
    for label, day in days:
        if day is None:
            stacks.append(Stack(f"{label}: no drop", ()))
            continue
        parts = [(words.tone(state), float(day.ended.get(state, 0))) for state in OUTCOMES]
        told = ", ".join(f"{count} {state}" for state, count in day.ended.items())
        if day.active:
            parts.append(("busy", float(day.active)))
            told = f"{told}, {day.active} active".lstrip(", ")
        stacks.append(Stack(f"{label}: {told or 'no drop'}", parts))
    return stacks
