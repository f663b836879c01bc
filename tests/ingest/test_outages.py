"""An hour without a service delays a run and fails none; what a bad end of a job run means.

The clock is turned; how the real SDKs meet real endpoints that fail is in tests/e2e.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from devcloud.serving import serve_in_thread
from ingest.azure.databricks import DatabricksJob, workspace_client
from ingest.errors import OutcomeUnknown, Throttled, Unavailable
from ingest.ports import JobRun
from ingest.runs.messages import Advance
from ingest.runs.run import Lease
from ingest.runs.states import Event
from landfall.protocol import State
from tests.e2e.drops import users
from tests.ingest.conftest import Clock
from tests.ingest.harness import ServiceHarness
from tests.ingest.memory import InMemoryAccount


@pytest.fixture
def harness(clock: Clock) -> ServiceHarness:
    """A service on a lake of its own."""
    return ServiceHarness(InMemoryAccount(clock), clock)


def away(part: object, error: Callable[[], Exception], *names: str) -> Callable[[], None]:
    """Let these calls of a part fail; returns what brings them back."""

    def fail(*_: Any, **__: Any) -> Any:
        raise error()

    for name in names:
        setattr(part, name, fail)

    def back() -> None:
        for name in names:
            delattr(part, name)

    return back


def hour(harness: ServiceHarness) -> None:
    """An hour of ticks, a minute apart, each worked by what its process can do."""
    for _ in range(60):
        harness.drive(harness.service.reconcile(), ticks=1)
        harness.clock.turn(seconds=29)


@pytest.mark.parametrize(
    ("start", "others"),
    [
        (lambda: OutcomeUnknown("503"), lambda: Unavailable("503")),
        (lambda: Throttled("429"), lambda: Throttled("429")),
    ],
    ids=["away", "throttling"],
)
def test_an_hour_without_data_factory_fails_no_copy(
    harness: ServiceHarness,
    start: Callable[[], Exception],
    others: Callable[[], Exception],
    request: pytest.FixtureRequest,
) -> None:
    """Starts that come to nothing are replaced and not counted; then the drop is copied once."""
    seed = 10 if "away" in request.node.name else 20
    back = [
        away(harness.factory, start, "start"),
        away(harness.factory, others, "find", "observe"),
    ]
    run = harness.take(f"landing/users/outage-{seed}.csv", users([seed]).encode())
    assert run.state is State.COPYING
    hour(harness)
    waiting = harness.run(run.run_id)
    assert waiting.state is State.COPYING
    assert waiting.copy is not None
    assert waiting.copy.failures == 0
    for each in back:
        each()
    hour(harness)
    done = harness.run(run.run_id)
    assert done.state is State.SUCCEEDED
    assert len(harness.factory.started) == 1


def test_an_hour_without_databricks_fails_no_load(harness: ServiceHarness) -> None:
    """Copied drops wait, gather, and are loaded together when it is back."""
    back = away(harness.workspace, lambda: Unavailable("503"), "start", "observe")
    one = harness.take("landing/users/first-out.csv", users([30]).encode())
    hour(harness)
    assert harness.run(one.run_id).state is State.LOADING
    two = harness.take("landing/users/second-out.csv", users([31]).encode())
    assert two.state is State.COPIED
    back()
    hour(harness)
    assert [harness.run(run.run_id).state for run in (one, two)] == [State.SUCCEEDED] * 2
    assert [len(document["drops"]) for document in harness.workspace.documents] == [1, 1]


@pytest.mark.parametrize("status", ["interrupted", None])
def test_a_job_run_that_ended_for_want_of_machines_says_nothing_of_the_data(
    harness: ServiceHarness, status: str | None
) -> None:
    """For an hour each attempt is interrupted, or not known any more: no drop fails of it."""

    def observe(job_run_id: int) -> JobRun | None:
        return JobRun(job_run_id, status, "no machines") if status else None

    observed = harness.workspace.observe
    harness.workspace.observe = observe  # type: ignore[method-assign]
    name = f"machines-{status}"
    run = harness.take(f"landing/users/{name}.csv", users([40 if status else 41]).encode())
    hour(harness)
    assert harness.run(run.run_id).state is State.LOADING
    assert len(harness.workspace.batches) > 10
    harness.workspace.observe = observed  # type: ignore[method-assign]
    hour(harness)
    assert harness.run(run.run_id).state is State.SUCCEEDED


def test_one_that_is_interrupted_for_ever_fails_in_the_end(harness: ServiceHarness) -> None:
    """After more than an hour it counts as a failure, so that a cause in the data is found too."""

    def observe(job_run_id: int) -> JobRun | None:
        return JobRun(job_run_id, "interrupted", "the machine died of it")

    harness.workspace.observe = observe  # type: ignore[method-assign]
    run = harness.take("landing/users/killer.csv", users([50]).encode())
    hour(harness)
    hour(harness)
    failed = harness.run(run.run_id)
    assert failed.state is State.FAILED
    assert "the machine died of it" in failed.cause


@pytest.mark.parametrize("status", ["Failed", "Cancelled"])
def test_a_copy_that_ended_badly_is_tried_again(harness: ServiceHarness, status: str) -> None:
    """Failed, timed out or cancelled at Data Factory by somebody: a new attempt copies it."""
    harness.factory.holding = True
    run = harness.take(f"landing/users/{status}.csv", users([60 + len(status)]).encode())
    harness.factory.end("adf-1", status)
    harness.factory.holding = False
    hour(harness)
    done = harness.run(run.run_id)
    assert done.state is State.SUCCEEDED
    assert done.copy is not None
    assert (done.copy.number, done.copy.failures) == (2, 1)
    assert any(status.lower() in line.cause for line in done.history)


def test_a_lease_of_the_dead_runs_out(harness: ServiceHarness) -> None:
    """A drop that a worker held when it died is validated by another, when its lease has ended."""
    path = "landing/users/held.csv"
    harness.storage_account.land(path, users([70]).encode())
    (message,) = harness.service.on_landing(path)
    assert isinstance(message, Advance)
    stored = harness.service.manifest.get(message.run_id, fresh=True)
    raw = f"raw/users/{message.run_id}-held.csv"
    held = stored.run.apply(Event.CLAIM, "", harness.clock(), raw=raw).apply(
        Event.START_VALIDATION,
        "validating against the contract",
        harness.clock(),
        lease=Lease("another process", harness.clock.now + timedelta(minutes=5)),
    )
    stored = harness.service.manifest.update(stored, held)
    harness.service = harness.worker()
    harness.clock.turn(minutes=4)
    harness.drive(harness.service.reconcile(), ticks=1)
    assert harness.run(message.run_id).state is State.VALIDATING
    harness.clock.turn(minutes=1)
    harness.drive(harness.service.reconcile())
    done = harness.run(message.run_id)
    assert done.state is State.SUCCEEDED
    assert "attempts that failed: 1" in [line.cause for line in done.history if line.event][3]


# -- what the real SDK makes of Databricks' words -------------------------------------------


@contextmanager
def workspace(answer: dict[str, Any]) -> Iterator[DatabricksJob]:
    """The job service on a workspace that answers so for every run."""

    async def reply(_: Request) -> JSONResponse:
        return JSONResponse(answer)

    app = Starlette(routes=[Route("/{path:path}", reply, methods=["GET", "POST"])])
    with serve_in_thread(app) as url:
        yield DatabricksJob(workspace_client(url, "token", None), "job")


@pytest.mark.parametrize(
    ("life", "result", "kind", "status"),
    [
        ("TERMINATED", "SUCCESS", "SUCCESS", "succeeded"),
        ("TERMINATED", "FAILED", "CLIENT_ERROR", "failed"),
        ("TERMINATED", "TIMEDOUT", "CLIENT_ERROR", "failed"),
        ("TERMINATED", "CANCELED", "CLIENT_ERROR", "failed"),
        ("INTERNAL_ERROR", "FAILED", "CLOUD_FAILURE", "interrupted"),
        ("INTERNAL_ERROR", "FAILED", "INTERNAL_ERROR", "interrupted"),
        ("INTERNAL_ERROR", "FAILED", None, "failed"),
        ("SKIPPED", None, None, "interrupted"),
        ("RUNNING", None, None, "running"),
    ],
)
def test_what_an_ended_job_run_means(
    life: str, result: str | None, kind: str | None, status: str
) -> None:
    """Databricks says whose fault an end was; where it does not, it is taken for the job's."""
    answer: dict[str, Any] = {
        "run_id": 7,
        "state": {"life_cycle_state": life, "result_state": result, "state_message": "so"},
    }
    if kind:
        answer["status"] = {"state": "TERMINATED", "termination_details": {"type": kind}}
    with workspace(answer) as job:
        seen = job.observe(7)
    assert seen is not None
    assert (seen.status, seen.message) == (status, "so" if status != "running" else "")
