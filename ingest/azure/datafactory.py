"""Copies by Azure Data Factory.

`createRun` is not idempotent, and the SDK repeats a POST that was answered 5xx: it would start the
copy several times. So it is sent with `retry_total=0`, and an unclear outcome is said as such.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
)
from azure.mgmt.datafactory import DataFactoryManagementClient
from azure.mgmt.datafactory.models import RunFilterParameters, RunQueryFilter, RunQueryOrderBy

from ingest.errors import AccessDenied, OutcomeUnknown, Refused, Throttled, Unavailable
from ingest.ports import CopyRun

_BAD_REQUEST, _TOO_MANY = 400, 429
_DENIED = frozenset({401, 403, 404})
"""What stays so until a person acts: no right, or a factory or pipeline of another name."""
_TIMEOUTS: dict[str, Any] = {"connection_timeout": 5, "read_timeout": 30}
_QUICK: dict[str, Any] = {**_TIMEOUTS, "retry_total": 1}


@dataclass(frozen=True)
class DataFactory:
    """`ingest.ports.CopyService` on one pipeline of one factory."""

    client: DataFactoryManagementClient
    resource_group: str
    factory: str
    pipeline: str

    def start(self, parameters: Mapping[str, Any]) -> str:
        """See `ingest.ports.CopyService`."""
        try:
            created = self.client.pipelines.create_run(
                self.resource_group,
                self.factory,
                self.pipeline,
                parameters=dict(parameters),
                retry_total=0,
                **_TIMEOUTS,
            )
            return str(created.run_id)
        except HttpResponseError as error:
            if isinstance(error, ClientAuthenticationError) and error.status_code is None:
                raise AccessDenied(f"this app has no token for Data Factory: {error}") from error
            if error.status_code == _TOO_MANY:
                raise Throttled(f"Data Factory is throttling: {error.message}") from error
            if error.status_code == _BAD_REQUEST:
                raise Refused(error.message or "bad request") from error
            if error.status_code in _DENIED:
                raise _denied(error, f"start the pipeline {self.pipeline}") from error
            raise OutcomeUnknown(f"createRun answered {error.status_code}") from error
        except (AzureError, AttributeError, TypeError, ValueError) as error:
            # The last three: a reply that was cut off after the effect cannot be decoded.
            raise OutcomeUnknown(f"createRun was not answered: {error}") from error

    def find(self, since: datetime, attempts: Collection[str]) -> list[CopyRun]:
        """See `ingest.ports.CopyService`; one call for 100 runs."""
        missing = set(attempts)
        query = RunFilterParameters(
            last_updated_after=since,
            last_updated_before=datetime.now(UTC) + timedelta(days=1),
            filters=[
                RunQueryFilter(
                    operand="PipelineName", operator="Equals", values_property=[self.pipeline]
                )
            ],
            order_by=[RunQueryOrderBy(order_by="RunStart", order="ASC")],
        )
        copy_runs: list[CopyRun] = []
        with _answering():
            while True:
                page = self.client.pipeline_runs.query_by_factory(
                    self.resource_group, self.factory, query, **_QUICK
                )
                copy_runs += [_copy_run(run) for run in page.value]
                missing.difference_update(run.attempt_id for run in copy_runs[-len(page.value) :])
                if not page.continuation_token or not missing:
                    return copy_runs
                query.continuation_token = page.continuation_token

    def observe(self, adf_run_id: str) -> CopyRun | None:
        """See `ingest.ports.CopyService`."""
        with _answering():
            try:
                run = self.client.pipeline_runs.get(
                    self.resource_group, self.factory, adf_run_id, **_QUICK
                )
            except ResourceNotFoundError:
                return None
            activities = self.client.activity_runs.query_by_pipeline_run(
                self.resource_group,
                self.factory,
                adf_run_id,
                RunFilterParameters(
                    last_updated_after=datetime.now(UTC) - timedelta(days=45),
                    last_updated_before=datetime.now(UTC) + timedelta(days=1),
                ),
                **_QUICK,
            )
        copy = next(
            (a for a in activities.value if a.activity_type == "Copy" and a.status == "Succeeded"),
            None,
        )
        output: Mapping[str, Any] = (copy.output if copy else None) or {}
        seen = _copy_run(run)
        return CopyRun(
            adf_run_id=seen.adf_run_id,
            status=seen.status,
            attempt_id=seen.attempt_id,
            message=seen.message,
            copied=copy is not None,
            size=output.get("dataWritten"),
            rows=output.get("rowsCopied"),
        )

    def cancel(self, adf_run_id: str) -> None:
        """See `ingest.ports.CopyService`."""
        with _answering():
            try:
                self.client.pipeline_runs.cancel(
                    self.resource_group, self.factory, adf_run_id, is_recursive=True, **_QUICK
                )
            except HttpResponseError as error:
                if error.status_code not in (_BAD_REQUEST, 404):
                    raise


def _denied(error: HttpResponseError, what: str) -> AccessDenied:
    """What a person has to fix: a role, or the name of a factory or pipeline."""
    code = error.error.code if error.error and error.error.code else error.reason
    return AccessDenied(f"Data Factory does not let this app {what}: {error.status_code} {code}")


def _copy_run(run: Any) -> CopyRun:
    return CopyRun(
        adf_run_id=str(run.run_id),
        status=str(run.status),
        attempt_id=(run.parameters or {}).get("attemptId"),
        message=run.message or "",
    )


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except HttpResponseError as error:
        if error.status_code == _TOO_MANY:
            raise Throttled(f"Data Factory is throttling: {error.message}") from error
        if error.status_code in _DENIED:
            raise _denied(error, "look at its pipeline runs") from error
        raise Unavailable(f"Data Factory answered {error.status_code}: {error.message}") from error
    except AzureError as error:
        raise Unavailable(f"Data Factory did not answer: {error}") from error
