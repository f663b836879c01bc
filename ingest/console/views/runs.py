"""The list of runs: filtered, searched, page by page; every filter is in the address."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from ingest import paths
from ingest.console.reads import Reads
from ingest.errors import BadRequest, Damaged, LandfallError
from ingest.runs.document import Listed, from_metadata, to_metadata
from ingest.service import Landfall
from landfall.protocol import FINAL, UNASSIGNED, State, id_prefix, is_dataset, is_run_id

PAGE = 50
_RECENT_DAYS = 7
_QUERY_LENGTH = 300
_HASH = re.compile(r"[0-9a-f]{8,64}")
VIA = ("event", "http", "resend", "sweep")


@dataclass(frozen=True)
class Filter:
    """What the address of the list asks for; empty texts are left out.

    `since` and `until` are days, `YYYY-MM-DD`, by which drops landed, both included.
    """

    q: str = ""
    dataset: str = ""
    state: str = ""
    via: str = ""
    since: str = ""
    until: str = ""
    cursor: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Filter:
        """Read from a query.

        Raises:
            BadRequest: a value that no filter can have.
        """
        given = {f.name: query.get(f.name, "").strip() for f in fields(cls)}
        filters = cls(**given)
        if filters.dataset and filters.dataset != UNASSIGNED and not is_dataset(filters.dataset):
            raise BadRequest(f"{filters.dataset!r} is not a valid dataset name")
        if filters.state and filters.state not in list(State):
            raise BadRequest(f"state {filters.state!r} is not one of {', '.join(State)}")
        if filters.via and filters.via not in VIA:
            raise BadRequest(f"via {filters.via!r} is not one of {', '.join(VIA)}")
        if filters.cursor and not is_run_id(filters.cursor):
            raise BadRequest(f"cursor {filters.cursor!r} is not a cursor of this list")
        if len(filters.q) > _QUERY_LENGTH:
            raise BadRequest(f"the search text is longer than {_QUERY_LENGTH} characters")
        filters.first, filters.end  # noqa: B018 - raises where a day is none
        return filters

    @property
    def first(self) -> datetime | None:
        """When the first drops landed that are asked for."""
        return _day("since", self.since) if self.since else None

    @property
    def end(self) -> datetime | None:
        """Before when they landed."""
        return _day("until", self.until) + timedelta(days=1) if self.until else None

    def query(self, **changes: str) -> str:
        """The same as the query of an address, with changes; without `?` where it is empty."""
        values = {f.name: getattr(self, f.name) for f in fields(self)} | changes
        return urlencode({name: value for name, value in values.items() if value})


def _day(name: str, text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise BadRequest(f"{name} {text!r} is not a day such as 2026-11-30") from None


def listing(service: Landfall, filters: Filter, limit: int) -> tuple[list[Listed], str | None]:
    """The runs of a filter, newest landing first, and the cursor of the page after it."""
    before = filters.cursor or None
    if filters.end:
        end = id_prefix(filters.end)
        before = min(before, end) if before else end
    return service.manifest.search(
        _matcher(filters),
        limit=limit,
        before=before,
        since=filters.first,
        dataset=filters.dataset or None,
        state=State(filters.state) if filters.state else None,
    )


def _matcher(filters: Filter) -> Callable[[Listed], bool]:
    needle = filters.q.casefold()

    def matches(run: Listed) -> bool:
        if filters.via and run.steering.get("via") != filters.via:
            return False
        if not needle:
            return True
        summary, steering = run.summary, run.steering
        texts = (run.run_id, run.dataset, summary["name"], summary["path"])
        if any(needle in str(text).casefold() for text in texts):
            return True
        named = ("sha256", "adf_run_id", "batch_id", "attempt_id")
        return any(str(steering.get(name) or "").startswith(needle) for name in named)

    return matches


def exact(service: Landfall, text: str) -> list[Listed]:
    """The runs that a run id or the hash of an accepted content names, wherever they are."""
    needle = text.casefold()
    ids = [text] if is_run_id(text) else []
    if _HASH.fullmatch(needle):
        for dataset in service.contracts:
            prefix = paths.content_document(dataset, needle)
            for entry in service.lake.list(prefix):
                with suppress(ValueError, KeyError, LandfallError):
                    ids.append(str(_json(service, entry.version.path)["run_id"]))
    runs = []
    for run_id in ids[:PAGE]:
        with suppress(Damaged):
            if stored := service.manifest.find(run_id, fresh=True):
                runs.append(from_metadata(to_metadata(stored.run)))
    return runs


def _json(service: Landfall, path: str) -> Any:
    return json.loads(service.lake.get(path)[0])


def view(reads: Reads, filters: Filter) -> dict[str, Any]:
    """The values of the template `runs.html`."""
    runs, cursor = listing(reads.service, filters, PAGE)
    if filters.q and not filters.cursor:
        known = {run.run_id for run in runs}
        runs = [run for run in exact(reads.service, filters.q) if run.run_id not in known] + runs
    base = replace(filters, cursor="")
    counts = _counts(reads, filters.dataset)
    return {
        "filters": filters,
        "base": base,
        "runs": runs,
        "next": filters.query(cursor=cursor) if cursor else None,
        "reached": _reached(cursor) if cursor and len(runs) < PAGE else None,
        "counts": [(state.value, counts[state.value]) for state in State],
        "final": sorted(FINAL),
        "recent_days": _RECENT_DAYS,
        "datasets": reads.datasets,
        "states": [state.value for state in State],
        "vias": VIA,
        "replayable": filters.dataset in reads.service.contracts and filters.state in FINAL,
    }


def _counts(reads: Reads, dataset: str) -> Counter[str]:
    """Drops on their way now, and those that ended among the landed of the last days."""
    counts = Counter(run.state.value for run in reads.backlog.runs if dataset in ("", run.dataset))
    oldest = f"{reads.now - timedelta(days=_RECENT_DAYS - 1):%Y%m%d}"
    for name in [dataset] if dataset else reads.datasets:
        for day in reads.days_of(name):
            if day.day >= oldest:
                counts.update(day.ended)
    return counts


def _reached(cursor: str) -> datetime:
    """Until when a search that stopped has looked."""
    return datetime.strptime(cursor[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
