"""One dataset: its contract for people, and what became of its drops by day and by step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from ingest import paths
from ingest.console import plots, words
from ingest.console.reads import Reads, promise
from ingest.console.views.overview import outcome_stacks, view_of_freshness
from ingest.errors import NotFound
from ingest.reconcile.days import Day
from ingest.runs.document import Listed
from landfall.contract.folder import Contract, ContractError, parse
from landfall.contract.model import Column
from landfall.protocol import State

DAYS = 90
WEEKS = 12
DROPS = 50
STEPS = (
    State.CLAIMED,
    State.VALIDATING,
    State.VALIDATED,
    State.COPYING,
    State.COPIED,
    State.LOADING,
)
_SLOW = (1.5, 3.0)
"""From how many times the median on a step counts as slow, and as very slow."""
_VERSIONS = 12


@dataclass(frozen=True)
class AcceptedVersion:
    """A version of a contract by which drops were accepted, and how its columns differ."""

    version: str
    digest: str
    since: datetime
    columns: int
    changes: tuple[str, ...]


def index(reads: Reads) -> dict[str, Any]:
    """The values of the template `datasets.html`."""
    names = reads.datasets
    return {
        "datasets": [(name, reads.service.contracts.get(name)) for name in names],
        "freshness": {name: view_of_freshness(reads, name) for name in names},
    }


def view(reads: Reads, dataset: str) -> dict[str, Any]:
    """The values of the template `dataset.html`.

    Raises:
        NotFound: no contract of it is deployed, and nothing was ever dropped.
    """
    contract = reads.service.contracts.get(dataset)
    if dataset not in reads.datasets:
        known = ", ".join(reads.datasets)
        raise NotFound(f"there is no dataset {dataset!r}; there are: {known}")
    days = _window(reads, dataset)
    known_days = [day for _, day in days if day is not None]
    drops = reads.service.manifest.newest(limit=DROPS, dataset=dataset)
    rules: Counter[str] = Counter()
    for day in known_days:
        rules.update(day.rules)
    return {
        "dataset": dataset,
        "contract": contract,
        "fresh": view_of_freshness(reads, dataset),
        "promises": _promises(contract),
        "constraints": {column.name: _constraints(column) for column in contract.columns}
        if contract
        else {},
        "drops": drops,
        "totals": _totals(known_days),
        "outcomes": plots.stacks(
            outcome_stacks(days), f"Drops by day and outcome: {_sum(known_days)}"
        ),
        "rows": plots.stacks(
            [
                plots.Stack(
                    f"{label}: {day.accepted if day else 0:,} rows accepted, "
                    f"{day.rejected if day else 0:,} rejected",
                    [("good", day.accepted), ("bad", day.rejected)] if day else (),
                )
                for label, day in days
            ],
            f"Rows by day: {sum(day.rows for day in known_days):,} in {len(known_days)} days",
        ),
        "ratios": _ratios(days),
        "durations": _durations(days),
        "rules": rules.most_common(10),
        "matrix": _matrix(drops, reads.now),
        "calendar": _calendar(reads, contract, known_days),
        "versions": list(_versions(reads, dataset)),
        "days": DAYS,
        "weeks": WEEKS,
    }


def _window(reads: Reads, dataset: str) -> list[tuple[str, Day | None]]:
    """Each of the last days with its figures; None where nothing landed."""
    by_day = {day.day: day for day in reads.days_of(dataset)}
    moments = [reads.now - timedelta(days=back) for back in reversed(range(DAYS))]
    window = []
    for moment in moments:
        day = by_day.get(f"{moment:%Y%m%d}")
        window.append((f"{moment:%d %b}", day if day and day.drops else None))
    return window


def _sum(days: list[Day]) -> str:
    ended: Counter[str] = Counter()
    for day in days:
        ended.update(day.ended)
    return ", ".join(f"{count:,} {state}" for state, count in ended.most_common()) or "none"


def _totals(days: list[Day]) -> dict[str, Any]:
    rows = sum(day.rows for day in days)
    return {
        "drops": sum(day.drops for day in days),
        "rows": rows,
        "rejected": sum(day.rejected for day in days),
        "ratio": sum(day.rejected for day in days) / rows if rows else None,
        "size": sum(day.size for day in days),
    }


def _ratios(days: list[tuple[str, Day | None]]) -> Any:
    values = [100 * day.rejected / day.rows if day and day.rows else None for _, day in days]
    highest = max((value for value in values if value is not None), default=0.0)
    says = f"Share of rejected rows by day: {words.percent(highest / 100)} at most"
    return plots.lines([("bad", values)], says, " %")


def _durations(days: list[tuple[str, Day | None]]) -> Any:
    series = [
        (tone, [day.seconds.get(name) if day else None for _, day in days])
        for tone, name in (("warn", "p95"), ("good", "p50"))
    ]
    values = [value for _, line in series for value in line if value is not None]
    told = words.duration(max(values)) if values else "none"
    says = f"From landing to success by day, median and 95th percentile: {told} at most"
    return plots.lines(series, says, " s")


def _matrix(drops: list[Listed], now: datetime) -> Any:
    """The last drops, oldest at the left: the time of each step against its median, the outcome."""
    seconds = [(drop, dict(drop.steering.get("seconds") or {})) for drop in reversed(drops)]
    medians: dict[str, float] = {}
    for step in STEPS:
        times = sorted(spent[step] for _, spent in seconds if step in spent)
        if times:
            medians[step] = times[len(times) // 2]
    columns = []
    for drop, spent in seconds:
        if drop.state in STEPS:
            spent[drop.state.value] = max(
                0.0, (now.replace(second=0) - drop.updated).total_seconds()
            )
        cells = [_cell(step, spent, medians, drop.state is step) for step in STEPS]
        cells.append((words.tone(drop.state), drop.state.value))
        name = words.shortened(words.visible(str(drop.summary["name"])), 40)
        columns.append((f"{words.stamp(_landed(drop))} {name}", cells))
    says = f"The last {len(drops)} drops by step: " + _outcomes(drops)
    return plots.matrix(columns, [*(step.value for step in STEPS), "outcome"], says)


def _cell(
    step: State, spent: Mapping[str, float], medians: Mapping[str, float], here: bool
) -> tuple[str, str]:
    if step not in spent:
        return "", ""
    told = f"{step} {words.duration(spent[step])}"
    if here:
        return "busy", f"{told} until now"
    ratio = spent[step] / medians[step] if medians.get(step) else 1.0
    slow, very_slow = _SLOW
    # Differences of a second or two are noise, whatever they are times the median.
    if spent[step] - medians.get(step, 0.0) < 2 or ratio < slow:  # noqa: PLR2004
        return "good", told
    return ("warn" if ratio < very_slow else "bad"), f"{told}, {ratio:.1f} times the median"


def _outcomes(drops: list[Listed]) -> str:
    counts = Counter(drop.state.value for drop in drops)
    return ", ".join(f"{count} {state}" for state, count in counts.most_common())


def _landed(drop: Listed) -> datetime:
    return datetime.fromisoformat(drop.summary["landed_at"])


def _calendar(reads: Reads, contract: Contract | None, days: list[Day]) -> Any:
    """Green: all well; amber: rejects or repeats; red: something failed or was refused; missing."""
    tones: dict[date, tuple[str, str]] = {}
    for day in days:
        told = ", ".join(f"{count} {state}" for state, count in day.ended.items())
        bad = day.ended.get(State.FAILED, 0) + day.ended.get(State.QUARANTINED, 0)
        tone = (
            "bad" if bad else "warn" if day.rejected or day.ended.get(State.CANCELLED) else "good"
        )
        if not day.ended:
            tone, told = "busy", f"{day.active} active"
        tones[datetime.strptime(day.day, "%Y%m%d").replace(tzinfo=UTC).date()] = (tone, told)
    often = promise(contract)
    if often is not None and often <= timedelta(days=1) and tones:
        day_, last = min(tones), reads.now.date()
        while day_ < last:
            tones.setdefault(day_, ("missing", "no drop, though one is expected each day"))
            day_ += timedelta(days=1)
    counts = Counter(tone for tone, _ in tones.values())
    says = (
        f"The last {WEEKS} weeks: {counts['good']} good days, {counts['warn']} with rejects, "
        f"{counts['bad']} with failures, {counts['missing']} without a drop"
    )
    return plots.calendar(tones, reads.now.date(), WEEKS, says)


def _promises(contract: Contract | None) -> list[tuple[str, str]]:
    """What the contract says of service levels, in its own words."""
    told = []
    for entry in contract.sla if contract else ():
        value = f"{entry.get('value', '')} {entry.get('unit', '')}".strip()
        told.append(
            (str(entry.get("property", "")), f"{value} {entry.get('description', '')}".strip())
        )
    return told


def _constraints(column: Column) -> str:
    """What a value of a column must be, for people."""
    parts = []
    if column.format:
        parts.append(f"format {column.format}")
    low = column.minimum if column.minimum is not None else column.exclusive_minimum
    high = column.maximum if column.maximum is not None else column.exclusive_maximum
    if low is not None:
        parts.append(f"{'≥' if column.minimum is not None else '>'} {low}")
    if high is not None:
        parts.append(f"{'≤' if column.maximum is not None else '<'} {high}")
    if column.min_length is not None or column.max_length is not None:
        shortest, longest = column.min_length or 0, column.max_length
        parts.append(
            f"{shortest} to {longest} characters" if longest else f"≥ {shortest} characters"
        )
    if column.pattern:
        parts.append(f"matches {column.pattern}")
    if column.enum:
        parts.append("one of " + ", ".join(str(value) for value in column.enum[:12]))
    if column.multiple_of:
        parts.append(f"multiple of {column.multiple_of}")
    if column.unique and column.key_position is None:
        parts.append("unique")
    return "; ".join(parts)


def _versions(reads: Reads, dataset: str) -> Iterator[AcceptedVersion]:
    """The contracts that drops were accepted by, the latest first."""
    entries = sorted(
        reads.service.lake.list(paths.contracts_folder(dataset)),
        key=lambda entry: entry.version.modified,
    )[-_VERSIONS:]
    versions: list[AcceptedVersion] = []
    before: Contract | None = None
    for entry in entries:
        with suppress(ContractError, NotFound, UnicodeDecodeError):
            text = reads.service.lake.get(entry.version.path)[0].decode()
            contract = parse(text, file=entry.version.path)
            changes = tuple(_changes(before, contract)) if before else ()
            versions.append(
                AcceptedVersion(
                    contract.version,
                    contract.digest,
                    entry.version.modified,
                    len(contract.columns),
                    changes,
                )
            )
            before = contract
    yield from reversed(versions)


def _changes(before: Contract, after: Contract) -> Iterator[str]:
    old = {column.name: column for column in before.columns}
    new = {column.name: column for column in after.columns}
    yield from (f"+ {name}" for name in new if name not in old)
    yield from (f"- {name}" for name in old if name not in new)
    for name, column in new.items():
        if name in old and old[name].logical_type != column.logical_type:
            yield f"{name}: {old[name].logical_type} → {column.logical_type}"
        elif name in old and _constraints(old[name]) != _constraints(column):
            yield f"{name}: other constraints"
    if before.max_rejected_ratio != after.max_rejected_ratio:
        yield f"tolerance {before.max_rejected_ratio} → {after.max_rejected_ratio}"
