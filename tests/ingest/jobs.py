"""A workspace whose job runs end when a test lets them, each by what is in the batch that it reads.

A job reads `current.json` when it ends, as the real one does at its start, and fails where another
batch is there, or where one of its drops is poisoned. What it merged is written down, so that of
every success can be asked whether its own batch loaded it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ingest.errors import NotFound
from ingest.ports import Clock, JobRun


@dataclass
class Job:
    """A job run; `loaded` has the run ids of the drops that it merged, by a contract's digest."""

    number: int
    parameters: Mapping[str, str]
    begun: datetime
    status: str = "running"
    message: str = ""
    loaded: tuple[str, ...] = ()
    contract: str | None = None


@dataclass
class Jobs:
    """`ingest.ports.JobService` over a lake; `poison` has the run ids whose rows no job takes."""

    lake: Any
    clock: Clock
    poison: set[str] = field(default_factory=set)
    tokens: dict[str, Job] = field(default_factory=dict)

    def start(self, token: str, parameters: Mapping[str, str]) -> int:
        job = Job(len(self.tokens) + 1, parameters, self.clock())
        return self.tokens.setdefault(token, job).number

    def observe(self, job_run_id: int) -> JobRun | None:
        job = self.job(job_run_id)
        return JobRun(job.number, job.status, job.message) if job else None

    def active(self) -> frozenset[int]:
        return frozenset(job.number for job in self.running())

    def cancel(self, job_run_id: int) -> None:
        job = self.job(job_run_id)
        if job and job.status == "running":
            job.status = "failed"

    def job(self, job_run_id: int | None) -> Job | None:
        """A job run by its number."""
        return next((job for job in self.tokens.values() if job.number == job_run_id), None)

    def running(self) -> list[Job]:
        """The job runs that have not ended."""
        return [job for job in self.tokens.values() if job.status == "running"]

    def end(self, older_than: timedelta = timedelta(0)) -> None:
        """Let all end that have run for so long."""
        for job in self.running():
            if self.clock() - job.begun >= older_than:
                self._end(job)

    def _end(self, job: Job) -> None:
        try:
            batch = json.loads(self.lake.get(job.parameters["batch"])[0])
        except (NotFound, ValueError):
            batch = {}
        job.contract = batch.get("contract")
        members = tuple(drop["run_id"] for drop in batch.get("drops", ()))
        if batch.get("batch_id") != job.parameters["batch_id"]:
            job.status, job.message = "failed", "another batch is current"
        elif bad := self.poison & set(members):
            job.status, job.message = "failed", f"poisoned by {min(bad)}"
        else:
            job.status, job.loaded = "succeeded", members
