"""The tick: finds what is to be done, and what no event has told.

Pure but for what it lists: it returns messages, and the queue's workers do the work. A tick over N
active runs costs one list call for 5,000 of them, and one query for 100 pipeline runs whose end is
overdue: most copies are told to have ended by Data Factory itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from ingest import paths
from ingest.ports import CopyRun, CopyService, JobService, ListEntry
from ingest.runs.document import Listed
from ingest.runs.messages import Advance, Claim, LoadDataset, Message
from ingest.runs.run import holds
from ingest.runs.states import COMMANDS, Command
from ingest.stages.copy import CLOCK_SKEW, RUNNING
from ingest.stages.rules import CopyRules
from landfall.protocol import State


@dataclass(frozen=True)
class TickRules:
    """Patience: how long a file must stand, and how long a run may rest, before a tick acts.

    Attributes:
        settle: a landed file that no event has told of is claimed when it has not changed for so
            long; also how long an empty file is taken for an upload that has just begun.
        nudge: a run that should move by a message in the queue is reminded after so long, and a
            copy of which nothing was heard is looked at.
        longest_hold: for how long a lease, or a wait for what a drop refers to, is believed.
    """

    settle: timedelta = timedelta(minutes=2)
    nudge: timedelta = timedelta(minutes=2)
    longest_hold: timedelta = timedelta(minutes=5)


def unannounced(
    entries: Iterable[ListEntry], now: datetime, rules: TickRules, folders: Collection[str] = ()
) -> Iterator[Message]:
    """Claims for the files that stand in landing and have settled."""
    for entry in entries:
        version = entry.version
        if paths.is_drop(version.path, folders) and now - version.modified >= rules.settle:
            yield Claim(version.path)


def due(
    runs: Iterable[Listed], now: datetime, rules: TickRules, copies: CopyRules, service: CopyService
) -> Iterator[Message]:
    """Messages for the active runs that can move."""
    copying: list[Listed] = []
    datasets: set[str] = set()
    for run in runs:
        match COMMANDS[run.state]:
            case Command.WATCH_COPY if _copy_overdue(run, now, rules, copies):
                copying.append(run)
            case Command.LOAD:
                datasets.add(run.dataset)
            # A copy that was not started has waited for room, and has it now.
            case Command.START_COPY | Command.ARCHIVE:
                yield Advance(run.run_id)
            case Command.CLAIM | Command.VALIDATE if _rests(run, now, rules):
                yield Advance(run.run_id)
    for dataset in sorted(datasets):
        yield LoadDataset(dataset)
    if copying:
        since = min(run.time("intent_at") or run.updated for run in copying) - CLOCK_SKEW
        attempts = {str(run.steering.get("attempt_id")) for run in copying}
        copy_runs = service.find(since, attempts)
        seen = {copy.attempt_id: copy for copy in copy_runs} | {c.adf_run_id: c for c in copy_runs}
        yield from (Advance(run.run_id) for run in copying if _copy_moved(run, seen, now, copies))


def _copy_overdue(run: Listed, now: datetime, rules: TickRules, copies: CopyRules) -> bool:
    """Whether to look at a copy: it began long ago, or it should have begun by now."""
    begun = run.steering.get("adf_run_id") is not None
    return now - run.updated >= (rules.nudge if begun else min(rules.nudge, copies.grace))


def validated_remotely(runs: Iterable[Listed], jobs: JobService) -> Iterator[Message]:
    """Messages for the runs whose drop Databricks has validated: one call tells of all its jobs."""
    waiting = {
        run.run_id: run.steering["judging_job"]
        for run in runs
        if run.state is State.VALIDATING
        and run.steering.get("judging_job") is not None
        and run.steering.get("lease_until") is None
    }
    if waiting:
        active = jobs.active()
        yield from (Advance(run_id) for run_id, job in waiting.items() if job not in active)


def _rests(run: Listed, now: datetime, rules: TickRules) -> bool:
    if run.state is State.VALIDATING:
        until = run.time("lease_until") or run.time("postponed")
        if until is None:
            return run.steering.get("judging_job") is None
        return not holds(until, now, rules.longest_hold)
    return now - run.updated >= rules.nudge


def _copy_moved(
    run: Listed, seen: Mapping[str | None, CopyRun], now: datetime, rules: CopyRules
) -> bool:
    adf_run_id = run.steering.get("adf_run_id")
    copy = seen.get(adf_run_id or run.steering.get("attempt_id"))
    if copy is not None:
        return copy.status not in RUNNING or adf_run_id is None
    # Not among the runs that changed lately: never started, or forgotten by Data Factory.
    return now - (run.time("intent_at") or run.updated) >= rules.grace
