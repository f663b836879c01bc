"""Runs jobs at the times of their schedules, while they are not paused."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from devcloud.clock import Clock
from devcloud.databricks.errors import ApiError
from devcloud.databricks.store import WorkspaceStore
from devcloud.databricks.timing import times_of
from devcloud.scheduler import TriggerScheduler

log = logging.getLogger("devcloud.databricks")

SHORTEST_INTERVAL = timedelta(seconds=10)
"""Between runs that a schedule starts, whatever its seconds say.

Source: docs.databricks.com, "Run jobs on a schedule".
"""


class Schedules:
    """The schedules of all jobs.

    Args:
        store: where jobs are kept.
        run: starts a run of a job; may raise `ApiError`.
        clock: tells and passes time.
    """

    def __init__(self, store: WorkspaceStore, run: Callable[[int], int], clock: Clock) -> None:
        self._store = store
        self._run = run
        self._triggers: TriggerScheduler[int] = TriggerScheduler(clock)
        self._last: dict[int, datetime] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Take up the schedules of all jobs; from here on in the running event loop."""
        self._loop = asyncio.get_running_loop()
        for job_id, _, _ in self._store.jobs():
            self._read(job_id)

    def changed(self, job_id: int) -> None:
        """Go by a job's settings as they are now, or forget a job that is gone; from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._read, job_id)

    async def close(self) -> None:
        """Start nothing more."""
        self._loop = None
        await self._triggers.close()

    def _read(self, job_id: int) -> None:
        job = self._store.job(job_id)
        try:
            times = times_of(*job) if job else None
        except ApiError as error:  # stored before schedules were run
            log.warning("job %s is not run by its schedule: %s", job_id, error.message)
            times = None
        if times is None:
            self._triggers.drop(job_id)
            return

        async def fire(due: datetime, _now: datetime) -> None:
            await self._fire(job_id, due)

        self._triggers.put(job_id, times, fire)

    async def _fire(self, job_id: int, due: datetime) -> None:
        last = self._last.get(job_id)
        if last is not None and due - last < SHORTEST_INTERVAL:
            return
        self._last[job_id] = due
        try:
            run_id = await asyncio.to_thread(self._run, job_id)
        except ApiError as error:
            log.warning("the schedule of job %s started no run: %s", job_id, error.message)
        else:
            log.info("the schedule of job %s started run %s", job_id, run_id)
