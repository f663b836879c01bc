"""What the pages read of the service; each thing is asked for once a page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cached_property
from itertools import islice
from typing import Any

from ingest import paths
from ingest.reconcile.backlog import Backlog
from ingest.reconcile.days import Day, summarise
from ingest.runs import archive
from ingest.runs.document import Listed
from ingest.service import Landfall
from landfall.contract.folder import Contract

MANY = 1000
"""Ended drops of a dataset and day from which on the tick's figures are shown, not a new count."""
_UNITS = {
    "m": timedelta(minutes=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
    "y": timedelta(days=365),
}


class Reads:
    """The service as a page sees it at one moment."""

    def __init__(self, service: Landfall, now: datetime) -> None:
        self.service = service
        self.now = now
        self._today: dict[str, tuple[Day, list[Listed]]] = {}

    @cached_property
    def backlog(self) -> Backlog:
        """The runs that are on their way."""
        return self.service.backlog()

    @cached_property
    def days(self) -> list[Day]:
        """The figures of all datasets and days, as the tick made them."""
        return self.service.days.read()

    @cached_property
    def datasets(self) -> list[str]:
        """All datasets that have a contract, a drop on its way, or one that has ended."""
        known = {*self.service.contracts, *self.service.lake.folders(paths.ARCHIVE)}
        return sorted(known | {run.dataset for run in self.backlog.runs})

    @property
    def day(self) -> str:
        """Today, as days are named."""
        return f"{self.now:%Y%m%d}"

    def days_of(self, dataset: str) -> list[Day]:
        """The days of a dataset, oldest first, today as it is now."""
        earlier = [day for day in self.days if day.dataset == dataset and day.day != self.day]
        return [*earlier, self.today(dataset)]

    def today(self, dataset: str) -> Day:
        """The figures of a dataset today: counted now, or by the tick where they are many."""
        return self._counted(dataset)[0]

    def ended_today(self, dataset: str) -> list[Listed]:
        """The drops of a dataset that landed and ended today; none where they are many."""
        return self._counted(dataset)[1]

    def _counted(self, dataset: str) -> tuple[Day, list[Listed]]:
        if dataset in self._today:
            return self._today[dataset]
        made = next((d for d in self.days if (d.dataset, d.day) == (dataset, self.day)), None)
        if made is not None and sum(made.ended.values()) >= MANY:
            counted: tuple[Day, list[Listed]] = (made, [])
        else:
            entries = self.service.lake.list(f"{paths.ARCHIVE}{dataset}/{self.day}/", metadata=True)
            runs = list(archive.readable(islice(entries, archive.PAGE)))
            mine = [
                run
                for run in self.backlog.runs
                if run.dataset == dataset and run.run_id.startswith(self.day)
            ]
            active = len({run.run_id for run in mine} - {run.run_id for run in runs})
            rules: Mapping[str, int] = made.rules if made else {}
            day = summarise(dataset, self.day, runs, self.now, active=active, rules=rules)
            counted = (day, runs)
        self._today[dataset] = counted
        return counted


def promise(contract: Contract | None, name: str = "frequency") -> timedelta | None:
    """How often, or how late, a contract says that its data comes; None where it does not."""
    for entry in contract.sla if contract else ():
        if entry.get("property") == name:
            return _period(entry)
    return None


def _period(entry: Mapping[str, Any]) -> timedelta | None:
    unit = str(entry.get("unit", "d")).lower()
    length = _UNITS.get(unit) or _UNITS.get(unit[:1])
    try:
        return length * float(entry["value"]) if length else None
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
