"""Databricks jobs: started with an idempotency token, so asking twice starts once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any

import requests
from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config, CredentialsStrategy, DatabricksError
from databricks.sdk.errors import (
    InvalidParameterValue,
    NotFound,
    PermissionDenied,
    Unauthenticated,
)
from databricks.sdk.service.jobs import (
    QueueSettings,
    RunLifeCycleState,
    RunResultState,
    TerminationTypeType,
)

from ingest.errors import AccessDenied, Refused, Unavailable
from ingest.ports import JobRun

# The Azure Databricks resource, as Entra ID knows it in every tenant.
_SCOPE = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d/.default"
_ENDED = frozenset(
    {RunLifeCycleState.TERMINATED, RunLifeCycleState.SKIPPED, RunLifeCycleState.INTERNAL_ERROR}
)
_NOT_OURS = frozenset({TerminationTypeType.CLOUD_FAILURE, TerminationTypeType.INTERNAL_ERROR})

# How it says that there is no such run (any more).
_UNKNOWN = (NotFound, InvalidParameterValue)


class _AppIdentity(CredentialsStrategy):
    """The app's Azure identity: the SDK has no strategy for a managed identity in Python."""

    def __init__(self, credential: Any) -> None:
        self._credential = credential

    def auth_type(self) -> str:
        return "azure-app-identity"

    def __call__(self, _cfg: Config) -> Any:
        def headers() -> dict[str, str]:
            return {"Authorization": f"Bearer {self._credential.get_token(_SCOPE).token}"}

        return headers


def workspace_client(host: str, token: str | None, credential: Any) -> WorkspaceClient:
    """A client of the workspace, by personal access token where there is one."""
    options: dict[str, Any] = {
        "host": host,
        "http_timeout_seconds": 30,
        "retry_timeout_seconds": 20,
        "product": "landfall",
    }
    if token:
        return WorkspaceClient(config=Config(token=token, auth_type="pat", **options))
    return WorkspaceClient(config=Config(credentials_strategy=_AppIdentity(credential), **options))


class DatabricksJob:
    """`ingest.ports.JobService` on the job of one name."""

    def __init__(self, client: WorkspaceClient, job: str) -> None:
        self._client = client
        self._job = job

    @cached_property
    def _job_id(self) -> int:
        job_ids = [job.job_id for job in self._client.jobs.list(name=self._job)]
        if len(job_ids) != 1 or job_ids[0] is None:
            raise AccessDenied(f"Databricks shows {len(job_ids)} jobs named {self._job!r}, not one")
        return int(job_ids[0])

    def start(self, token: str, parameters: Mapping[str, str]) -> int:
        """See `ingest.ports.JobService`."""
        with _answering():
            try:
                return self._run_now(token, parameters)
            except NotFound:
                self.__dict__.pop("_job_id", None)  # deployed anew under another id
                return self._run_now(token, parameters)

    def _run_now(self, token: str, parameters: Mapping[str, str]) -> int:
        started = self._client.jobs.run_now(
            self._job_id,
            idempotency_token=token,
            job_parameters=dict(parameters),
            queue=QueueSettings(enabled=True),
        )
        return int(started.run_id)

    def observe(self, job_run_id: int) -> JobRun | None:
        """See `ingest.ports.JobService`."""
        with _answering():
            try:
                run = self._client.jobs.get_run(job_run_id)
            except _UNKNOWN:
                return None
        state = run.state
        if state is None or state.life_cycle_state not in _ENDED:
            return JobRun(job_run_id, "running", url=run.run_page_url or "")
        good = state.result_state is RunResultState.SUCCESS
        message = state.state_message or str(state.result_state or state.life_cycle_state)
        if not good:
            message = self._reason(run) or message
        status = "succeeded" if good else "interrupted" if _interrupted(run) else "failed"
        return JobRun(job_run_id, status, message, run.run_page_url or "")

    def active(self) -> frozenset[int]:
        """See `ingest.ports.JobService`."""
        with _answering():
            runs = self._client.jobs.list_runs(job_id=self._job_id, active_only=True)
            return frozenset(int(run.run_id) for run in runs if run.run_id is not None)

    def cancel(self, job_run_id: int) -> None:
        """See `ingest.ports.JobService`."""
        with _answering(), suppress(*_UNKNOWN):
            self._client.jobs.cancel_run(job_run_id)

    def _reason(self, run: Any) -> str:
        """What the first failed task says of its failure."""
        for task in run.tasks or []:
            if task.state and task.state.result_state is RunResultState.FAILED and task.run_id:
                with _answering():
                    output = self._client.jobs.get_run_output(task.run_id)
                return f"task {task.task_key}: {output.error or task.state.state_message or ''}"
        return ""


def _interrupted(run: Any) -> bool:
    """Whether a run ended by no fault of its own: no machines, no room, the platform failed."""
    if run.state.life_cycle_state is RunLifeCycleState.SKIPPED:
        return True
    details = run.status.termination_details if run.status else None
    return details is not None and details.type in _NOT_OURS


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except InvalidParameterValue as error:
        raise Refused(str(error)) from error
    except (PermissionDenied, Unauthenticated, NotFound) as error:
        kind = getattr(error, "error_code", "") or type(error).__name__
        raise AccessDenied(f"Databricks refuses this app: {kind}: {error}") from error
    except (DatabricksError, TimeoutError, requests.RequestException, ValueError) as error:
        raise Unavailable(f"Databricks did not answer as it should: {error}") from error
