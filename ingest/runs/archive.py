"""The filed runs, newest first, of a dataset and a state, without looking at all of them.

They stand by dataset and day: `manifest/runs/<dataset>/<day>/`. Most runs succeed; those that end
otherwise are noted once more under `manifest/index/<state>/<dataset>/<day>/`, with their summary,
so that few among many are found at once.

What a look costs: a folder listing for each dataset that is asked for, and one list call for each
of its days that has to be read; of a day with more than `PROBE` runs so many are read in vain,
and then it is read hour by hour, and such an hour minute by minute. Days with few runs are read by
months.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from ingest.errors import Damaged
from ingest.log import log, once
from ingest.paths import ARCHIVE, INDEX
from ingest.ports import Lake, ListEntry
from ingest.runs.document import Listed, from_metadata
from landfall.protocol import FINAL, State

PAGE = 5000
"""How many entries the lake tells in one answer."""
_FEW, _FEW_DAYS = 100, 2
"""A dataset that had fewer runs than this on two days in turn is read by months."""
PROBE = 500
"""Entries of a day that are asked for first: with more it is read by hours, from its end."""
UNCOMMON = FINAL - {State.SUCCEEDED}


def age(run: Listed) -> str:
    """What runs are ordered by: their ids begin with the time at which the drop landed."""
    return run.run_id


def newest(
    lake: Lake,
    *,
    dataset: str | None = None,
    state: State | None = None,
    before: str | None = None,
    oldest_day: str = "",
) -> Iterator[Listed]:
    """The filed runs, latest landed first.

    Args:
        lake: where they are.
        dataset: only its runs.
        state: only runs that ended so.
        before: only runs with smaller ids; days after it are not looked at.
        oldest_day: as YYYYMMDD; earlier days are not looked at.
    """
    root = f"{INDEX}{state}/" if state in UNCOMMON else ARCHIVE
    datasets = [dataset] if dataset else sorted(lake.folders(root))
    shelves = [_shelf(lake, f"{root}{name}/", before, oldest_day) for name in datasets]
    for run in heapq.merge(*shelves, key=age, reverse=True):
        if state in (None, run.state) and (before is None or run.run_id < before):
            yield run


def _shelf(lake: Lake, folder: str, before: str | None, oldest_day: str) -> Iterator[Listed]:
    days = [
        day
        for day in sorted(lake.folders(folder), reverse=True)
        if day >= oldest_day and (before is None or day <= before[:8])
    ]
    few, tried = 0, ""
    while days:
        month = days[0][:6]
        if few == _FEW_DAYS and tried != month:
            tried = month
            if (rest := _rest_of_month(lake, folder, days)) is not None:
                yield from rest
                days = [day for day in days if day[:6] != month]
                continue
        day = days.pop(0)
        number = 0
        for number, run in enumerate(  # noqa: B007 - counted
            latest_first(lake, f"{folder}{day}/{day}T", readable), start=1
        ):
            yield run
        few = min(few + 1, _FEW_DAYS) if number < _FEW else 0


def _rest_of_month(lake: Lake, folder: str, days: Sequence[str]) -> list[Listed] | None:
    """The runs of the first of the days and of all others of its month, by one list call.

    None where that is no gain: of a single day, and where they are more than a page.
    """
    month = [day for day in days if day[:6] == days[0][:6]]
    if len(month) == 1:
        return None
    page = list(islice(lake.list(f"{folder}{month[0][:6]}", metadata=True), PAGE))
    if len(page) == PAGE:
        return None
    mine = [entry for entry in page if entry.version.path.removeprefix(folder)[:8] in month]
    return sorted(readable(mine), key=age, reverse=True)


Read = Callable[[Iterable[ListEntry]], Iterator[Listed]]
_SPANS = (24, 60, 60)
"""Hours of a day, minutes, seconds: what the names of documents go on with."""


def latest_first(
    lake: Lake, prefix: str, read: Read, spans: Sequence[int] = _SPANS
) -> Iterator[Listed]:
    """The runs whose documents' names begin with a prefix up to a time, the latest first.

    A listing goes from the oldest to the latest. Where it has more than a page, it is asked for by
    hours, then by minutes and seconds, so that the latest are found without reading all.
    """
    probe = min(PROBE, PAGE)
    page = list(islice(lake.list(prefix, metadata=True, page=probe), probe))
    if len(page) == probe and spans:
        for part in reversed(range(spans[0])):
            yield from latest_first(lake, f"{prefix}{part:02}", read, spans[1:])
        return
    entries = page if len(page) < probe else lake.list(prefix, metadata=True)
    yield from sorted(read(entries), key=age, reverse=True)


def readable(entries: Iterable[ListEntry]) -> Iterator[Listed]:
    """The runs of a listing; one that cannot be read is named in the log and left out."""
    for entry in entries:
        try:
            yield listed(entry.metadata)
        except Damaged as error:
            once(log.error, f"{entry.version.path} is set aside: {error}")


def listed(metadata: Mapping[str, str]) -> Listed:
    """A run as its metadata show it.

    Raises:
        Damaged: they cannot be read, or are of a release that this one does not understand.
    """
    try:
        return from_metadata(metadata)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"its metadata cannot be read: {type(error).__name__}: {error}") from error
