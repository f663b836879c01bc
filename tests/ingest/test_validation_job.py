"""A drop above the limit waits for the job: started once, watched in bulk, tried again, stopped.

The job itself is tested in tests/spark; here its answer is written by hand.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from ingest.errors import NotFound, Refused, Retryable, Unavailable
from ingest.operations.operators import OperatorRequest
from ingest.ports import JobRun
from ingest.runs.messages import Advance
from ingest.runs.run import Run
from ingest.service import Landfall
from ingest.settings import read
from ingest.wiring import build
from landfall.contract.odcs import parse
from landfall.protocol import State
from tests.e2e.drops import users
from tests.ingest.conftest import REPOSITORY, Clock, StorageAccount
from tests.ingest.remote import Factory, Workspace
from tests.ingest.test_crashes import CrashingPort, CrashPoint, WorkerKilledError

SETTINGS = {
    "LANDFALL_LAKE": "AccountName=local;BlobEndpoint=http://127.0.0.1:1/local",
    "LANDFALL_ADF_SUBSCRIPTION": "s",
    "LANDFALL_ADF_RESOURCE_GROUP": "g",
    "LANDFALL_ADF_FACTORY": "f",
    "DATABRICKS_HOST": "http://127.0.0.1:1",
    "LANDFALL_SPARK_LAKE": "file:///{container}",
    "LANDFALL_VALIDATE_IN_SPARK_ABOVE": "1000",
}


class ValidatingWorkspace(Workspace):
    """The validation job: its runs end as it is told, and leave an answer."""

    def __init__(self, storage_account: StorageAccount) -> None:
        super().__init__(status="running")
        self._sea = storage_account
        self.refuses = False

    def start(self, token: str, parameters: Any) -> int:
        if self.refuses:
            raise Refused("no such job")
        return super().start(token, parameters)

    def observe(self, job_run_id: int) -> JobRun | None:
        return JobRun(job_run_id, self.status, self.status, f"https://jobs/{job_run_id}")

    def answer(self, number: int = -1, **changes: Any) -> None:
        """The job run of this start ends well."""
        plan = list(self.batches.values())[number]["plan"]
        folder = plan.rpartition("/")[0]
        column = {"count": 20, "nulls": 0, "least": 0, "most": 1, "distinct": 1, "exact": True}
        planned = json.loads(self._sea.lake.get(plan)[0])
        found = {
            "schema": 1,
            "contract_version": parse(planned["contract"], file=plan).version,
            "problem": None,
            "rows": 20,
            "rejected": 0,
            "checks": [],
            "gauges": [],
            "repeats": [0],
            "examples": [],
            "columns": [column] * len(planned["layout"]["names"]),
            "sample": [],
            "extra": [],
        }
        self._sea.lake.put(f"{folder}/accepted/part-00000.parquet", b"PAR1")
        body = json.dumps(found | changes).encode()
        self._sea.lake.put(f"{folder}/result/part-00000.txt", body)
        self.status = "succeeded"


@dataclass
class JobHarness:
    """A service whose limit is low, with what stands around it."""

    storage_account: StorageAccount
    clock: Clock
    validators: ValidatingWorkspace
    factory: Factory

    def service(self, crash_point: CrashPoint | None = None) -> Landfall:
        """The service as a fresh process has it, which may meet its fate."""
        crash_point = crash_point or CrashPoint()
        return build(
            read(SETTINGS, app=REPOSITORY),
            clock=self.clock,
            lake=CrashingPort("lake", self.storage_account.lake, crash_point),
            copier=self.factory,
            loader=Workspace(),
            validator=CrashingPort("jobs", self.validators, crash_point),
        )

    def land(self, content: bytes) -> str:
        """Land a drop; its run's id."""
        name = f"{hashlib.sha256(content).hexdigest()[:8]}-{id(self)}.csv"
        self.storage_account.land(f"landing/users/{name}", content)
        (message,) = self.service().on_landing(f"landing/users/{name}")
        assert isinstance(message, Advance)
        self.service().handle(message)
        return message.run_id

    def run(self, run_id: str) -> Run:
        """The run as it is written."""
        return self.service().manifest.get(run_id, fresh=True).run

    def ticked(self, run_id: str) -> bool:
        """Whether a tick would take the run up."""
        return Advance(run_id) in self.service().reconcile()


@pytest.fixture
def bay(storage_account: StorageAccount, clock: Clock) -> Iterator[JobHarness]:
    """One for each test, on the lake that they share; what it leaves under way is cancelled."""
    bay = JobHarness(storage_account, clock, ValidatingWorkspace(storage_account), Factory())
    yield bay
    service = bay.service()
    for run in list(service.manifest.active()):
        service.operators.cancel(run.run_id, OperatorRequest("the test is over"))


def content(mark: str) -> bytes:
    """A drop that no other test sends."""
    return users(range(20), country=mark).encode()


def test_the_run_waits_and_is_watched_in_bulk(bay: JobHarness) -> None:
    """It stays `validating`, names the job run, and a tick takes it up only when that has ended."""
    run_id = bay.land(content("Waiting"))
    run = bay.run(run_id)
    assert (run.state, run.lease) == (State.VALIDATING, None)
    assert "validated by job run 1 of landfall_validate" in run.cause
    assert run.judging is not None
    assert run.judging.url == "https://jobs/1"
    assert run.judging.sha256 == hashlib.sha256(content("Waiting")).hexdigest()
    assert not bay.ticked(run_id)
    bay.validators.answer()
    assert bay.ticked(run_id)
    bay.service().advance(run_id)
    run = bay.run(run_id)
    assert run.state is State.COPYING
    assert run.verdict is not None
    assert (run.verdict.rows, run.verdict.sha256) == (20, run.judging and run.judging.sha256)
    assert list(bay.storage_account.lake.list(f"raw/users/{run_id}/judging/")) == []


def test_a_start_that_is_asked_for_again_is_the_same(bay: JobHarness) -> None:
    """A worker that died behind the start is followed by one that finds the job run there."""
    bay.storage_account.land("landing/users/again.csv", content("Again"))
    (message,) = bay.service().on_landing("landing/users/again.csv")
    bay.storage_account.fault(
        fault="status", status=503, method="PUT", path="manifest/active", times=None
    )
    with pytest.raises(Unavailable):
        bay.service().handle(message)
    bay.storage_account.reset_faults()
    bay.service().handle(message)
    assert bay.validators.posts == 2
    assert len(bay.validators.batches) == 1


def test_a_failed_job_is_tried_again_and_then_fails_the_run(bay: JobHarness) -> None:
    """Each attempt has a token and a folder of its own; the cause of the last one is the run's."""
    run_id = bay.land(content("Failing"))
    bay.validators.status = "failed"
    bay.service().advance(run_id)
    run = bay.run(run_id)
    assert run.state is State.VALIDATING
    assert run.judging is not None
    assert (run.judging.number, run.judging.job_run_id) == (2, None)
    bay.service().advance(run_id)
    assert len(bay.validators.batches) == 1  # it waits a little
    bay.clock.turn(minutes=1)
    bay.service().advance(run_id)
    run = bay.run(run_id)
    assert run.state is State.FAILED
    assert "job run 2 of landfall_validate failed" in run.cause
    assert list(bay.storage_account.lake.list(f"raw/users/{run_id}/judging/")) == []
    bay.validators.status = "running"
    bay.service().operators.retry(run_id, OperatorRequest("try again"))
    bay.service().advance(run_id)
    assert len({tuple(one.values()) for one in bay.validators.batches.values()}) == 3


def test_a_job_that_leaves_no_answer_has_failed(bay: JobHarness) -> None:
    """So has one whose answer is of another schema."""
    run_id = bay.land(content("Silent"))
    bay.validators.status = "succeeded"
    bay.service().advance(run_id)
    assert "left no answer" in bay.run(run_id).cause
    bay.clock.turn(minutes=1)
    bay.validators.status = "running"
    bay.service().advance(run_id)
    bay.validators.answer(schema=99)
    bay.service().advance(run_id)
    assert bay.run(run_id).state is State.FAILED
    assert "schema 99" in bay.run(run_id).cause


@pytest.mark.parametrize("changes", [{"contract_version": "0"}, {"gauges": [[1, 2, 3, 4]]}])
def test_an_answer_by_another_contract_is_not_used(
    bay: JobHarness, changes: dict[str, Any]
) -> None:
    """The contract was changed while the job ran: the drop is validated again, by the new one."""
    run_id = bay.land(content(f"Changed {next(iter(changes))}"))
    bay.validators.answer(**changes)
    bay.service().advance(run_id)
    run = bay.run(run_id)
    assert run.state is State.VALIDATING
    assert "left no answer to use" in run.cause
    assert run.judging is not None
    assert run.judging.number == 2


def test_a_job_that_cannot_be_started_fails_the_run(bay: JobHarness) -> None:
    """Databricks says no: the run ends with what it said."""
    bay.validators.refuses = True
    run_id = bay.land(content("Refused"))
    bay.clock.turn(minutes=1)
    bay.service().advance(run_id)
    assert bay.run(run_id).state is State.FAILED
    assert "no such job" in bay.run(run_id).cause


def test_cancel_stops_the_job(bay: JobHarness) -> None:
    """The run ends at once, and its job run is told to stop."""
    run_id = bay.land(content("Cancelled"))
    run = bay.service().operators.cancel(run_id, OperatorRequest("not now"))
    assert run.state is State.CANCELLED
    assert bay.validators.cancelled == [1]


def test_a_refusal_by_the_answer_is_quarantined(bay: JobHarness) -> None:
    """What the job found beyond tolerance refuses the drop, in the words of the other engine."""
    run_id = bay.land(content("Bad"))
    bay.validators.answer(rejected=19)
    bay.service().advance(run_id)
    run = bay.run(run_id)
    assert run.state is State.QUARANTINED
    assert "19 of 20 records break the contract" in run.cause


@pytest.mark.parametrize("kind", ["small", "packed", "headless"])
def test_what_is_not_for_the_job_is_judged_here(bay: JobHarness, kind: str) -> None:
    """Small drops, compressed ones, and those that their beginning refuses start no job."""
    drop = {
        "small": users([1], country="Small").encode(),
        "packed": gzip.compress(users(range(2000), country="Packed").encode()),
        "headless": b"x" * 2000,
    }[kind]
    run_id = bay.land(drop)
    run = bay.run(run_id)
    assert bay.validators.posts == 0
    assert run.state in {State.COPYING, State.QUARANTINED}
    assert run.judging is None


def drop_with_crash(bay: JobHarness, mark: str, crash_point: CrashPoint) -> str:
    """A large drop whose worker meets its fate; returns what is wrong in the end, or nothing."""
    path = f"landing/users/{mark}.csv"
    bay.storage_account.land(path, content(mark))
    bay.validators.status, begun = "running", len(bay.validators.batches)
    service = bay.service(crash_point)
    with suppress(WorkerKilledError):
        for message in service.on_landing(path):
            service.handle(message)
        bay.validators.answer()
        for message in service.reconcile():
            service.handle(message)
    for _ in range(6):
        bay.clock.turn(minutes=6)
        service = bay.service()
        for message in service.reconcile():
            with suppress(Retryable):
                service.handle(message)
        if len(bay.validators.batches) > begun:
            with suppress(NotFound):  # concluded and cleared away
                bay.validators.answer()
    found = [run for run in bay.service().manifest.newest(limit=500) if run.summary["path"] == path]
    run_id = found[0].run_id
    run = bay.run(run_id)
    tokens = len(bay.validators.batches) - begun
    bay.service().operators.cancel(run_id, OperatorRequest("seen"))
    hashed = (
        run.verdict is not None and run.verdict.sha256 == hashlib.sha256(content(mark)).hexdigest()
    )
    seen = (len(found), run.state, tokens, hashed)
    return "" if seen == (1, State.COPYING, 1, True) else str(seen)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_death_at_any_point_judges_once(bay: JobHarness) -> None:
    """Wherever a worker dies during a large drop, one job run validates it and it goes on."""
    reset_faults = CrashPoint()
    assert drop_with_crash(bay, "calm", reset_faults) == ""
    assert "jobs.start" in reset_faults.calls
    wrong: dict[str, str] = {}
    for at in range(len(reset_faults.calls)):
        for when in ("before", "after"):
            crash_point = CrashPoint(at, when)
            if result := drop_with_crash(bay, f"dies-{at}-{when}", crash_point):
                wrong[f"{when} call {at}, {crash_point.calls[-1]}"] = result
    assert wrong == {}
