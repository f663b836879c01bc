"""The Jobs API: runs of jobs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devcloud.databricks.errors import invalid, unsupported
from devcloud.databricks.parameters import flag, number, page_limit
from devcloud.databricks.runs import Attempt, WorkspaceRun, WorkspaceRunState
from devcloud.databricks.scheduler import Scheduler, new_attempts
from devcloud.databricks.selection import narrowed, to_repair
from devcloud.databricks.settings import check_settings, parameter_defaults
from devcloud.databricks.store import WorkspaceStore
from devcloud.databricks.views import run_view, task_view

Document = dict[str, Any]
LONGEST_TOKEN = 64
MOST_RUNS = 25  # of one page
LONGEST_LOG = 5 * 1024 * 1024  # bytes shown; the end of the log is kept


@dataclass(frozen=True)
class RunsApi:
    """One method for each call; each takes the request's parameters and gives the reply.

    Raises (all of them):
        ApiError: the refusal.
    """

    store: WorkspaceStore
    scheduler: Scheduler
    clock: Callable[[], int]
    user: str
    url: str
    logs: Path

    def run_now(self, body: Document) -> Document:
        """`jobs/run-now`: one idempotency token, one run; `only` takes some of the job's tasks."""
        run_id = self._start(body, self._new_run)
        return {"run_id": run_id, "number_in_job": run_id}

    def submit(self, body: Document) -> Document:
        """`jobs/runs/submit`: run tasks once, without a job; one idempotency token, one run."""
        return {"run_id": self._start(body, self._new_submission)}

    def _start(self, body: Document, new: Callable[..., WorkspaceRun]) -> int:
        token = body.get("idempotency_token") or ""
        if len(token) > LONGEST_TOKEN:
            raise invalid(f"idempotency_token has {len(token)} characters; 64 is the most.")

        def make() -> WorkspaceRun:
            earlier = self.store.token_run(token) if token else None
            if earlier is not None:
                run = self.store.run(earlier)
                if run is None:
                    raise invalid("The run that this idempotency_token started has been deleted.")
                return run
            return new(body, token=token)

        return self.scheduler.submit(make).run_id

    def run_on_schedule(self, job_id: int) -> int:
        """Start a run because the job's schedule says so; its id. Limits hold as for run-now."""
        body = {"job_id": job_id}
        return self.scheduler.submit(lambda: self._new_run(body, trigger="PERIODIC")).run_id

    def get(self, query: Document) -> Document:
        """`jobs/runs/get`: of a run, or of one attempt of a task."""
        run_id = number(query, "run_id")
        run = self.store.run(run_id)
        if run is not None:
            return run_view(run, self.user, self._page(run))
        run, attempt = self._attempt(run_id)
        return self._attempt_view(run, attempt)

    def list(self, query: Document) -> Document:
        """`jobs/runs/list`: newest first, paged by the last run id."""
        active, completed = flag(query, "active_only"), flag(query, "completed_only")
        if active and completed:
            raise invalid("active_only and completed_only exclude each other.")
        kind = query.get("run_type") or ""
        if kind not in ("", "JOB_RUN", "SUBMIT_RUN"):
            raise unsupported(f"run_type {kind}")
        limit = page_limit(query, MOST_RUNS)
        runs = self.store.list_runs(
            job_id=number(query, "job_id", 0) or None,
            final=True if completed else False if active else None,
            before=number(query, "page_token", 0) or None,
            limit=limit + 1,
            kind=kind,
        )
        whole = flag(query, "expand_tasks")
        shown = [run_view(run, self.user, self._page(run), tasks=whole) for run in runs[:limit]]
        reply: Document = {"runs": shown, "has_more": len(runs) > limit}
        if len(runs) > limit:
            reply["next_page_token"] = str(runs[limit - 1].run_id)
        return reply

    def cancel(self, body: Document) -> Document:
        """`jobs/runs/cancel`: asks for it; a run that has ended stays as it is."""

        def change(run: WorkspaceRun) -> None:
            run.cancelled = run.cancelled or not run.state.final

        self._change(number(body, "run_id"), change)
        return {}

    def cancel_all(self, body: Document) -> Document:
        """`jobs/runs/cancel-all`: of a job; or all that are queued, of a job or of all."""
        job_id = number(body, "job_id", 0)
        queued = flag(body, "all_queued_runs")
        if not job_id and not queued:
            raise invalid("job_id is missing; without it give all_queued_runs.")
        if job_id and self.store.job(job_id) is None:
            raise invalid(f"Job {job_id} does not exist.")
        for run in self.store.list_runs(job_id=job_id or None, final=False):
            if not queued or run.state.life == "QUEUED":
                self.cancel({"run_id": run.run_id})
        return {}

    def repair(self, body: Document) -> Document:
        """`jobs/runs/repair`: run tasks of an ended run again, in the same run."""
        repair_id = self.store.new_id()

        def change(run: WorkspaceRun) -> None:
            if not run.state.final:
                raise invalid(f"Run {run.run_id} is active: only an ended run can be repaired.")
            latest = run.repairs[-1]["id"] if run.repairs else 0
            if latest and body.get("latest_repair_id") != latest:
                raise invalid(f"latest_repair_id must be {latest}, the id of the latest repair.")
            chosen = to_repair(run, body)
            run.overrides |= self._known(run.settings, body.get("job_parameters") or {})
            run.parameters |= run.overrides
            ids = []
            for key in chosen:
                number = run.attempts[key][-1].number + 1
                attempt = Attempt(key, self.store.new_id(), number, repair=repair_id)
                run.attempts[key].append(attempt)
                ids.append(attempt.run_id)
            run.state, run.ended = (
                WorkspaceRunState("PENDING", message="Waiting for the worker."),
                0,
            )
            run.cancelled = run.timed_out = False
            run.started = 0
            run.repairs.append(
                {"type": "REPAIR", "id": repair_id, "start_time": self.clock(), "task_run_ids": ids}
            )

        self._change(number(body, "run_id"), change)
        return {"repair_id": repair_id}

    def get_output(self, query: Document) -> Document:
        """`jobs/runs/get-output`: log and error of one attempt of a task."""
        run_id = number(query, "run_id")
        run = self.store.run(run_id)
        if run is None:
            run, attempt = self._attempt(run_id)
        elif len(run.attempts) == 1:
            attempt = run.latest()[0]
        else:
            ids = ", ".join(f"{each.task_key}: {each.run_id}" for each in run.latest())
            raise invalid(
                f"Run {run_id} has several tasks; ask for the output of one of them ({ids})."
            )
        logs, truncated = self._read_log(attempt)
        reply: Document = {"metadata": self._attempt_view(run, attempt), "logs": logs}
        reply["logs_truncated"] = truncated
        if attempt.error:
            reply["error"] = attempt.error
        if attempt.trace:
            reply["error_trace"] = attempt.trace
        return reply

    def delete(self, body: Document) -> Document:
        """`jobs/runs/delete`: of an ended run; its token stays used."""
        run_id = number(body, "run_id")
        run = self.store.run(run_id)
        if run is None:
            raise invalid(f"Run {run_id} does not exist.")
        if not run.state.final:
            raise invalid(f"Run {run_id} is active: cancel it first.")
        self.store.delete_run(run_id)
        for tries in run.attempts.values():
            for attempt in tries:
                self._log(attempt).unlink(missing_ok=True)
        return {}

    def _new_run(
        self, body: Document, *, token: str = "", trigger: str = "ONE_TIME"
    ) -> WorkspaceRun:
        job_id = number(body, "job_id")
        job = self.store.job(job_id)
        if job is None:
            raise invalid(f"Job {job_id} does not exist.")
        settings = narrowed(job[0], body.get("only") or [])
        known = self._known(settings, body.get("job_parameters") or {})
        queue = body.get("queue") or settings.get("queue") or {}
        return WorkspaceRun(
            run_id=self.store.new_id(),
            job_id=job_id,
            settings=settings,
            parameters=parameter_defaults(settings) | known,
            overrides=known,
            created=self.clock(),
            queued=bool(queue.get("enabled")),
            token=token,
            trigger=trigger,
            attempts=new_attempts(self.store, settings["tasks"]),
        )

    def _new_submission(self, body: Document, *, token: str = "") -> WorkspaceRun:
        settings = {
            key: value
            for key, value in body.items()
            if key not in ("run_name", "idempotency_token", "queue", "access_control_list")
        }
        if body.get("access_control_list"):
            raise unsupported("access_control_list")
        settings["name"] = body.get("run_name") or "Untitled"
        for task in settings.get("tasks") or []:  # a single task may go without a key
            task.setdefault("task_key", "main")
        check_settings(settings)
        return WorkspaceRun(
            run_id=self.store.new_id(),
            job_id=self.store.new_id(),  # it has one, of no job that can be asked for
            settings=settings,
            parameters=parameter_defaults(settings),
            overrides={},
            created=self.clock(),
            token=token,
            kind="SUBMIT_RUN",
            attempts=new_attempts(self.store, settings["tasks"]),
        )

    def _known(self, settings: Document, given: Document) -> dict[str, str]:
        defaults = parameter_defaults(settings)
        for name, value in given.items():
            if name not in defaults:
                known = ", ".join(defaults) or "none"
                raise invalid(f"Job parameter {name!r} is not defined by the job (known: {known}).")
            if not isinstance(value, str):
                raise invalid(f"Job parameter {name!r} must be a string.")
        return dict(given)

    def _attempt(self, run_id: int) -> tuple[WorkspaceRun, Attempt]:
        run = self.store.run_of_attempt(run_id)
        if run is None:
            raise invalid(f"Run {run_id} does not exist.")
        tries = [each for attempts in run.attempts.values() for each in attempts]
        return run, next(each for each in tries if each.run_id == run_id)

    def _attempt_view(self, run: WorkspaceRun, attempt: Attempt) -> Document:
        view = task_view(run, attempt, self._page(run))
        return view | {
            "job_id": run.job_id,
            "job_run_id": run.run_id,
            "parent_run_id": run.run_id,
            "run_name": attempt.task_key,
            "creator_user_name": self.user,
            "run_type": run.kind,
        }

    def _page(self, run: WorkspaceRun) -> str:
        """There is no user interface here: the API itself shows a run."""
        return f"{self.url}/api/2.2/jobs/runs/get?run_id={run.run_id}"

    def _log(self, attempt: Attempt) -> Path:
        return self.logs / f"{attempt.run_id}.log"

    def _read_log(self, attempt: Attempt) -> tuple[str, bool]:
        try:
            with self._log(attempt).open("rb") as log:
                size = log.seek(0, 2)
                log.seek(max(size - LONGEST_LOG, 0))
                return log.read().decode(errors="replace"), size > LONGEST_LOG
        except FileNotFoundError:
            return "", False

    def _change(self, run_id: int, change: Callable[[WorkspaceRun], None]) -> None:
        if self.scheduler.change(run_id, change) is None:
            raise invalid(f"Run {run_id} does not exist.")
