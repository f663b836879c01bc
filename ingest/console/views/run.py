"""One run: where it is and why, every move, what validation found, what can be done about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from ingest.console import plots, words
from ingest.console.identity import Person
from ingest.console.plots import Span
from ingest.console.reads import Reads
from ingest.errors import LandfallError, NotFound
from ingest.runs.document import Listed
from ingest.runs.run import Run, Transition
from ingest.runs.states import REOPENING, RETRYABLE, TRANSITIONS, Event
from landfall.protocol import FINAL, State

WAITING = frozenset({State.RECEIVED, State.CLAIMED, State.VALIDATED, State.COPIED})
"""The states in which nobody works on a run: it waits for somebody."""
_RECORDS, _CELLS = 20, 12
_PORTAL = "https://adf.azure.com/en/monitoring/pipelineruns/"


@dataclass(frozen=True)
class Verb:
    """Something that can be asked of a run; `why_not` says why it cannot be now."""

    name: str
    label: str
    why_not: str | None


def view(reads: Reads, run: Run, person: Person, factory: str | None = None) -> dict[str, Any]:
    """The values of the template `run.html`.

    Args:
        reads: the service.
        run: as its document stands.
        person: who looks at it.
        factory: the resource id of the Data Factory where its runs have a page.
    """
    service = reads.service
    waits = run.blocked.cause if run.blocked else None
    if waits is None and run.state in (State.VALIDATED, State.COPIED, State.LOADING):
        waits = service.backlog_lately().waits(run.dataset, run.state)
    report, missing = _report(reads, run)
    return {
        "run": run,
        "waits": waits,
        "next_try": run.postponed or (run.judging.not_before if run.judging else None),
        "rounds": [_plot(part, number, reads.now) for number, part in _rounds(run.history)],
        "history": list(zip(run.history, _stays(run, reads.now), strict=True)),
        "report": report,
        "report_missing": missing,
        "shares": _shares(run),
        "names": _columns(report),
        "records": report["examples"][:_RECORDS] if report else [],
        "resends": service.operators.resends(run.run_id) if run.has_rejects else [],
        "verbs": verbs(run, person, known=run.dataset in service.contracts),
        "pipeline": _pipeline(run, factory),
        "job": run.load.result.get("url") if run.load and run.load.result else None,
        "tables": run.load.result.get("tables", {}) if run.load and run.load.result else {},
        "faulty": _faulty,
    }


def verbs(run: Run, person: Person, *, known: bool) -> list[Verb]:
    """What can be asked of a run, by whom it is."""
    reader = None if person.acts else "your role is Reader: this needs the role Operator"
    ended = None if run.final else f"it is {run.state}: wait for its end, or cancel it"
    retry = ended
    if run.final and run.state not in RETRYABLE:
        retry = f"it {'has succeeded' if run.state is State.SUCCEEDED else f'is a {run.state}'}: "
        retry += "there is nothing to retry; replay it instead"
    cancel = None
    if (run.state, Event.CANCEL) not in TRANSITIONS:
        cancel = (
            "it is loading: its rows may be in silver already"
            if run.state is State.LOADING
            else "it has ended"
        )
    resend = None if run.has_rejects else "it has no rejects"
    if not known:
        resend = f"no contract of dataset {run.dataset} is deployed"
    return [
        Verb("retry", "Retry", reader or retry),
        Verb("cancel", "Cancel", reader or cancel),
        Verb("replay", "Replay", reader or ended),
        Verb("resend", "Send corrected rejects", reader or resend),
    ]


def _report(reads: Reads, run: Run) -> tuple[Mapping[str, Any] | None, str | None]:
    """The report; else why there is none. A page stands without it."""
    if run.verdict is None:
        return None, None
    try:
        report = dict(reads.service.context.contents.report(run))
        return {"checks": (), "examples": (), "profile": (), "measures": (), "columns": {}} | (
            report
        ), None
    except NotFound:
        return None, f"its report {run.verdict.report} no longer exists"
    except (LandfallError, ValueError, KeyError, TypeError) as error:
        return None, f"its report {run.verdict.report} cannot be read: {error}"


def _shares(run: Run) -> Any:
    if run.verdict is None or not run.verdict.rows:
        return None
    accepted, rejected = run.verdict.accepted, run.verdict.rejected
    says = f"{accepted:,} of {run.verdict.rows:,} rows valid, {rejected:,} invalid"
    return plots.share([("good", accepted), ("bad", rejected)], says)


def _faulty(example: Mapping[str, Any]) -> frozenset[str]:
    """The columns of a record that break a rule; a composite key names several."""
    columns = [column for _, column in example["faults"] if column]
    return frozenset(name for column in columns for name in (column, *column.split(",")))


def _columns(report: Mapping[str, Any] | None) -> list[str]:
    """The columns of the rejected records, those with faults first."""
    examples = report["examples"][:_RECORDS] if report else ()
    names = list(dict.fromkeys(name for example in examples for name in example["cells"]))
    faulty = frozenset[str]().union(*(_faulty(example) for example in examples))
    return sorted(names, key=lambda name: name not in faulty)[:_CELLS]


def _rounds(history: Sequence[Transition]) -> list[tuple[int, list[Transition]]]:
    """The history, cut where the run was taken up again after its end."""
    rounds: list[list[Transition]] = [[]]
    for line in history:
        if line.event in REOPENING:
            rounds.append([])
        rounds[-1].append(line)
    return list(enumerate(rounds, start=1))


def _plot(lines: Sequence[Transition], number: int, now: datetime) -> Any:
    """The timeline of one round."""
    begin = lines[0].at
    spans = []
    for place, line in enumerate(lines):
        if line.state in FINAL:
            continue
        # A minute is fine enough for what goes on, and does not change the page all the time.
        following = lines[place + 1].at if place + 1 < len(lines) else now.replace(second=0)
        end = max(following, line.at)
        stay = (end - line.at).total_seconds()
        what = "waits" if line.state in WAITING else "works"
        spans.append(
            Span(
                line.state.value,
                (line.at - begin).total_seconds(),
                (end - begin).total_seconds(),
                words.tone(State.SUCCEEDED) if place + 1 < len(lines) else "busy",
                line.state in WAITING,
                f"{line.state}: {what} {words.duration(stay)} from {words.stamp(line.at)}",
            )
        )
    whole = words.duration(max((span.end for span in spans), default=0.0))
    told = ", ".join(f"{span.label} {words.duration(span.end - span.begin)}" for span in spans)
    return plots.timeline(spans, f"Timeline of round {number}: {whole} in all: {told}")


def _stays(run: Run, now: datetime) -> list[float | None]:
    """How long the run stayed after each line; None where it has ended."""
    stays: list[float | None] = []
    for place, line in enumerate(run.history):
        if place + 1 < len(run.history):
            stays.append((run.history[place + 1].at - line.at).total_seconds())
        else:
            stays.append(None if run.final else (now - line.at).total_seconds())
    return stays


def _pipeline(run: Run, factory: str | None) -> tuple[str, str | None] | None:
    """The id of the pipeline run, and its page where there is one."""
    if run.copy is None or run.copy.adf_run_id is None:
        return None
    adf_run_id = run.copy.adf_run_id
    page = f"{_PORTAL}{quote(adf_run_id)}?factory={quote(factory)}" if factory else None
    return adf_run_id, page


def damaged(reads: Reads, run_id: str, why: str) -> dict[str, Any]:
    """The values of the template `damaged.html`: a run whose document cannot be read."""
    seen: Listed | None = next((r for r in reads.backlog.runs if r.run_id == run_id), None)
    return {"run_id": run_id, "why": why, "seen": seen}
