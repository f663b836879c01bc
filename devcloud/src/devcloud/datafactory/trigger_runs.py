"""Runs of triggers: what is known of them, in memory and on disk.

One JSON document a run. Runs older than `RETENTION` are forgotten at the next start, but for the
windows of tumbling window triggers: by them it is known which windows are done.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from devcloud.clock import stamp
from devcloud.datafactory.resources import write_json
from devcloud.datafactory.runs import RETENTION

SUCCEEDED, FAILED, CANCELLED = "Succeeded", "Failed", "Cancelled"
WAITING, DEPENDENT, RUNNING = "Waiting", "WaitingOnDependency", "Running"
FINAL = (SUCCEEDED, FAILED, CANCELLED)


@dataclass
class TriggerRun:
    """One run of a trigger.

    Attributes:
        factory: key of its factory; trigger: name.
        started: stamp of when it was made.
        pipelines: by name of the pipeline, the run that it started last.
        window: start and end of a tumbling window, ISO 8601 in UTC.
        attempts: of the window, those that ended in failure.
        not_before: stamp before which the window is not tried again.
        waits: by name of the trigger, whether a dependency is fulfilled.
        retired: whether its trigger was deleted, so that the window counts no more.
    """

    trigger_run_id: str
    factory: str
    trigger: str
    kind: str
    started: str
    status: str
    message: str = ""
    properties: dict[str, str] = field(default_factory=dict)
    pipelines: dict[str, str] = field(default_factory=dict)
    window: list[str] | None = None
    attempts: int = 0
    not_before: str = ""
    waits: dict[str, str] = field(default_factory=dict)
    retired: bool = False

    @property
    def final(self) -> bool:
        """Whether it has ended."""
        return self.status in FINAL

    def to_json(self) -> dict[str, Any]:
        """The run as Azure tells it."""
        return {
            "triggerRunId": self.trigger_run_id,
            "triggerName": self.trigger,
            "triggerType": self.kind,
            "triggerRunTimestamp": self.started,
            "status": self.status,
            "message": self.message,
            "properties": self.properties,
            "triggeredPipelines": self.pipelines,
            "runDimension": {},
            "dependencyStatus": self.waits,
        }


class TriggerRuns:
    """All runs of all triggers."""

    def __init__(self, folder: Path, now: datetime) -> None:
        self._folder = folder
        self._runs: dict[str, TriggerRun] = {}
        self._windows: dict[tuple[str, str], dict[str, TriggerRun]] = {}
        self._running: dict[str, TriggerRun] = {}
        oldest = stamp(now - RETENTION)
        for file in folder.glob("*.json"):
            run = TriggerRun(**json.loads(file.read_text()))
            counts = run.window is not None and not run.retired
            if run.final and run.started < oldest and not counts:
                file.unlink()
            else:
                self._keep(run)

    def get(self, run_id: str) -> TriggerRun | None:
        """A run by its id."""
        return self._runs.get(run_id)

    def of_factory(self, factory: str) -> Iterator[TriggerRun]:
        """The runs of a factory."""
        return (run for run in list(self._runs.values()) if run.factory == factory)

    def windows(self, factory: str, trigger: str) -> Mapping[str, TriggerRun]:
        """The windows of a trigger that count, by their start."""
        return self._windows.get((factory, trigger.lower()), {})

    def running(self) -> list[TriggerRun]:
        """The windows of all triggers that run."""
        return list(self._running.values())

    def save(self, run: TriggerRun) -> None:
        """Keep a run as it is now."""
        self._keep(run)
        write_json(self._folder / f"{run.trigger_run_id}.json", asdict(run))

    def _keep(self, run: TriggerRun) -> None:
        self._runs[run.trigger_run_id] = run
        if run.window is None:
            return
        windows = self._windows.setdefault((run.factory, run.trigger.lower()), {})
        if not run.retired:
            windows[run.window[0]] = run
        elif windows.get(run.window[0]) is run:
            del windows[run.window[0]]
        if run.status == RUNNING:
            self._running[run.trigger_run_id] = run
        else:
            self._running.pop(run.trigger_run_id, None)
