"""What a report means for its run: the verdict in short, and the cause that people read. Pure."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta

from ingest.runs.run import Run, Verdict
from ingest.runs.states import Event
from ingest.stages.rules import LONGEST_WAIT
from ingest.stages.validate.outputs import ValidationPaths
from landfall import protocol
from landfall.protocol import State
from landfall.validation import Format, Problem, Report
from landfall.validation.readers.header import nearest


def verdict(places: ValidationPaths, report: Report, path: str, digest: str | None) -> Verdict:
    """The verdict as the run's document carries it.

    The report stands at `path`; `digest` is that of the contract that validated.
    """
    return Verdict(
        verdict=report.verdict,
        rows=report.rows,
        accepted=report.accepted,
        rejected=report.rejected,
        sha256=report.sha256 or "",
        report=path,
        rejects=places.rejects if report.rejects else None,
        format=asdict(report.format),
        problem=report.problem.reason if report.problem else None,
        attempt=places.attempt,
        contract=report.contract_version,
        digest=digest,
        parquet=None
        if report.parquet is None
        else {"folder": places.accepted, **asdict(report.parquet)},
    )


def refusal(report: Report) -> str:
    """Why a drop was refused, and what to do about it."""
    if report.problem:
        action = report.problem.action
        return f"{report.problem.reason.rstrip('.')}. {action[:1].upper()}{action[1:]}"
    worst = max(report.checks, key=lambda check: check.failed)
    return (
        f"{report.rejected} of {report.rows} rows break the contract, more than the "
        f"{report.max_rejected_ratio:.2%} it tolerates; most often {worst.rule}"
        f" on {worst.column or 'the record'} ({worst.failed} rows)"
    )


def no_contract(run: Run, known: list[str]) -> Report:
    """The refusal of a drop that lies in nobody's folder; names the dataset that may be meant."""
    where = f"landing/{run.dataset}/" if run.dataset != protocol.UNASSIGNED else "landing/"
    near = nearest(run.dataset, known)
    meant = f"landing/{near}/ may be meant" if near else f"there are {', '.join(known)}"
    return refused(
        run,
        Problem(
            reason=f"no data contract speaks for files in {where}",
            action=f"Drop it in the folder of a known dataset ({meant}), or add a contract.",
        ),
    )


def refused(run: Run, problem: Problem) -> Report:
    """The refusal of a drop that could not be read at all."""
    return Report(
        dataset=run.dataset,
        name=run.name,
        verdict="refused",
        rows=0,
        accepted=0,
        rejected=0,
        bytes=run.source.size,
        sha256=None,
        format=Format(),
        problem=problem,
    )


def postponement(run: Run, report: Report, patience: timedelta, now: datetime) -> datetime | None:
    """When a drop with orphan records is validated again; None where it is not.

    The waits grow with the time that was waited, up to the end of `patience`; see `last_look`.
    """
    # A file that cannot be read to its end is refused, whatever its records refer to.
    torn = report.sha256 is None or (report.problem is not None and report.problem.line is not None)
    if torn or not _orphans(report):
        return None
    return now + max(_wait(_waited(run, patience, now), patience), timedelta(seconds=1))


def last_look(run: Run, patience: timedelta, now: datetime) -> bool:
    """Whether a drop has waited for long enough for what its records refer to."""
    return _waited(run, patience, now) >= patience


def _waited(run: Run, patience: timedelta, now: datetime) -> timedelta:
    """How long a drop has waited since its file came into `raw`.

    That is the time since then, where it is of one order with the sum of the waits that it was
    told; else that sum, as the clock of some instance is wrong.
    """
    recorded = _told(run, patience)
    since = now - run.claimed_at
    return since if recorded <= since <= 2 * recorded + LONGEST_WAIT else recorded


def _told(run: Run, patience: timedelta) -> timedelta:
    """How long a drop was told to wait, since its file came into `raw`."""
    times = 0
    for line in reversed(run.history):
        if line.state is State.CLAIMED:
            break
        times += line.count if line.event == Event.POSTPONE else 0
    waited = timedelta(0)
    for _ in range(times):
        if waited >= patience:
            break
        waited += _wait(waited, patience)
    return waited


def _wait(waited: timedelta, patience: timedelta) -> timedelta:
    return min(max(waited, _SHORTEST), LONGEST_WAIT, patience - waited)


def missing(report: Report) -> str:
    """Which records refer to what is not there."""
    orphan_counts = [f"{failed} by {column}" for column, failed in _orphans(report).items()]
    return (
        f"records that refer to what is not there yet, of {report.rows}: {', '.join(orphan_counts)}"
    )


def _orphans(report: Report) -> dict[str | None, int]:
    return {c.column: c.failed for c in report.checks if c.rule == "foreignKey" and c.failed}


_SHORTEST = timedelta(seconds=10)
"""Between two validations of a drop whose records refer to what is not there."""
