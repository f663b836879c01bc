"""Data Factory and Databricks as a test needs them: told what to answer, and remembering.

How the real SDKs behave towards real endpoints is tested in tests/e2e; here it is what the stages
make of each answer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ingest.ports import CopyRun, JobRun


@dataclass
class Factory:
    """A data factory: `on_start` may raise, before or after it calls `begin`."""

    runs: dict[str, CopyRun] = field(default_factory=dict)
    started: list[Mapping[str, Any]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    on_start: Callable[[], None] = lambda: None
    begins: bool = True

    def start(self, parameters: Mapping[str, Any]) -> str:
        self.started.append(parameters)
        name = f"adf-{len(self.started)}"
        if self.begins:
            self.runs[name] = CopyRun(name, "InProgress", str(parameters["attemptId"]))
        self.on_start()
        return name

    def end(
        self,
        name: str,
        status: str = "Succeeded",
        *,
        size: int | None = None,
        rows: int | None = None,
    ) -> None:
        """A pipeline run ends; `rows` is what the pipeline of earlier releases counted."""
        attempt = self.runs[name].attempt_id
        self.runs[name] = CopyRun(
            name,
            status,
            attempt,
            message=status,
            copied=status == "Succeeded",
            size=size,
            rows=rows,
        )

    def find(self, since: datetime, attempts: Collection[str]) -> list[CopyRun]:
        assert since.tzinfo is not None
        assert attempts
        return list(self.runs.values())

    def observe(self, adf_run_id: str) -> CopyRun | None:
        return self.runs.get(adf_run_id)

    def cancel(self, adf_run_id: str) -> None:
        self.cancelled.append(adf_run_id)


@dataclass
class Workspace:
    """A job of a Databricks workspace: all its runs are in the state that it is told."""

    batches: dict[str, Mapping[str, str]] = field(default_factory=dict)
    status: str = "succeeded"
    posts: int = 0
    cancelled: list[int] = field(default_factory=list)

    def start(self, token: str, parameters: Mapping[str, str]) -> int:
        self.posts += 1
        self.batches.setdefault(token, parameters)
        return list(self.batches).index(token) + 1

    def observe(self, job_run_id: int) -> JobRun | None:
        return JobRun(job_run_id, self.status, self.status)

    def active(self) -> frozenset[int]:
        running = self.status == "running"
        return frozenset(range(1, len(self.batches) + 1)) if running else frozenset()

    def cancel(self, job_run_id: int) -> None:
        self.cancelled.append(job_run_id)
