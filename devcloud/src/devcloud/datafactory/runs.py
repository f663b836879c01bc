"""Pipeline runs and their activity runs: what is known of them, in memory and on disk.

One JSON document a run, rewritten at each change of its status, and one line a finished activity
run in a file beside it. Runs older than `RETENTION` are forgotten at the next start.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from devcloud.clock import stamp
from devcloud.datafactory.resources import write_json

RETENTION = timedelta(days=45)
FINAL = ("Succeeded", "Failed", "Cancelled")
_MASK = "**********"


@dataclass
class PipelineRun:
    """One run of a pipeline.

    Attributes:
        factory: key of its factory.
        parameters: typed values; secrets names those that are not shown.
        status: Queued, InProgress, Succeeded, Failed, Canceling or Cancelled.
        created, started, ended, updated: stamps in UTC; ended is None until it is final.
        parent: run id of the pipeline that executes it.
        trigger: what the root `trigger()` is in it.
        returned: what it has set as its return value.
        history: (stamp, status) of every change, oldest first.
    """

    run_id: str
    factory: str
    pipeline: str
    parameters: dict[str, Any]
    created: str
    invoked_by: dict[str, str]
    secrets: list[str] = field(default_factory=list)
    status: str = "Queued"
    message: str = ""
    started: str | None = None
    ended: str | None = None
    updated: str = ""
    parent: str | None = None
    group: str = ""
    trigger: dict[str, Any] | None = None
    returned: dict[str, Any] = field(default_factory=dict)
    history: list[list[str]] = field(default_factory=list)

    @property
    def final(self) -> bool:
        """Whether it has ended."""
        return self.status in FINAL

    def as_of(self, moment: str | None) -> str | None:
        """Its status at a moment; None if it was not there yet."""
        if moment is None:
            return self.status
        known = [status for at, status in self.history if at <= moment]
        return known[-1] if known else None

    def to_json(self, status: str | None = None) -> dict[str, Any]:
        """The run as Azure tells it, with a status of the past where one is given."""
        shown = status or self.status
        over = shown in FINAL
        return {
            "runId": self.run_id,
            "runGroupId": self.group or self.run_id,
            "isLatest": True,
            "pipelineName": self.pipeline,
            "parameters": {
                name: _MASK if name in self.secrets else as_text(value)
                for name, value in self.parameters.items()
            },
            "runDimensions": {},
            "invokedBy": self.invoked_by,
            "runStart": self.started or self.created,
            "runEnd": self.ended if over else None,
            "durationInMs": _duration(self.started, self.ended) if over else None,
            "lastUpdated": self.updated,
            "status": shown,
            "message": self.message if over else "",
        }


@dataclass
class ActivityRun:
    """One try of one activity; `to_json` is what Azure tells of it."""

    activity_run_id: str
    name: str
    kind: str
    pipeline: str
    run_id: str
    started: str
    status: str = "InProgress"
    ended: str | None = None
    input: Any = None
    output: Any = None
    error: dict[str, Any] | None = None
    attempt: int | None = None
    iteration: str = ""
    user_properties: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The activity run as Azure tells it."""
        nothing = {
            "errorCode": "",
            "message": "",
            "failureType": "",
            "target": self.name,
            "details": "",
        }
        return {
            "activityRunId": self.activity_run_id,
            "activityName": self.name,
            "activityType": self.kind,
            "pipelineName": self.pipeline,
            "pipelineRunId": self.run_id,
            "status": self.status,
            "activityRunStart": self.started,
            "activityRunEnd": self.ended,
            "durationInMs": _duration(self.started, self.ended),
            "input": self.input,
            "output": self.output,
            "error": self.error or nothing,
            "retryAttempt": self.attempt,
            "iterationHash": self.iteration,
            "userProperties": self.user_properties,
        }


class Runs:
    """All runs of all factories."""

    def __init__(self, folder: Path, now: datetime) -> None:
        self._folder = folder
        self._runs: dict[str, PipelineRun] = {}
        self._open: dict[str, PipelineRun] = {}
        self._activities: dict[str, list[ActivityRun]] = {}
        oldest = stamp(now - RETENTION)
        for file in folder.glob("*.json"):
            run = PipelineRun(**json.loads(file.read_text()))
            if run.final and run.updated < oldest:
                file.unlink()
                self._log(run.run_id).unlink(missing_ok=True)
            else:
                self._keep(run)

    def get(self, run_id: str) -> PipelineRun | None:
        """A run by its id."""
        return self._runs.get(run_id.lower())

    def all(self) -> Iterator[PipelineRun]:
        """Every run."""
        return iter(list(self._runs.values()))

    def unfinished(self) -> list[PipelineRun]:
        """The runs that have not ended, oldest first."""
        return list(self._open.values())

    def save(self, run: PipelineRun, now: datetime) -> None:
        """Keep a run as it is now."""
        run.updated = stamp(now)
        if not run.history or run.history[-1][1] != run.status:
            run.history.append([run.updated, run.status])
        self._keep(run)
        write_json(self._folder / f"{run.run_id}.json", asdict(run))

    def activities(self, run_id: str) -> list[ActivityRun]:
        """The activity runs of a run, in the order of their start."""
        if run_id not in self._activities:
            log = self._log(run_id)
            # A line without its end was being written when the process was killed.
            lines = log.read_text().splitlines(keepends=True) if log.exists() else []
            activity_runs = [
                ActivityRun(**json.loads(line)) for line in lines if line.endswith("\n")
            ]
            self._activities[run_id] = sorted(activity_runs, key=lambda each: each.started)
        return self._activities[run_id]

    def begin_activity(self, activity: ActivityRun) -> None:
        """Show an activity run that has begun."""
        self.activities(activity.run_id).append(activity)

    def end_activity(self, activity: ActivityRun) -> None:
        """Keep an activity run that has ended."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._log(activity.run_id).open("a") as log:
            log.write(json.dumps(asdict(activity)) + "\n")

    def _keep(self, run: PipelineRun) -> None:
        self._runs[run.run_id] = run
        if run.final:
            self._open.pop(run.run_id, None)
        else:
            self._open[run.run_id] = run

    def _log(self, run_id: str) -> Path:
        return self._folder / f"{run_id}.activities.jsonl"


def as_text(value: Any) -> str:
    """A run parameter as Azure gives it back: always a string."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _duration(start: str | None, end: str | None) -> int | None:
    if start is None or end is None:
        return None
    span = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    return round(span / timedelta(milliseconds=1))
