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
from ingest.messages import Advance
from ingest.operators import Wish
from ingest.ports import JobRun
from ingest.run import Run
from ingest.service import Landfall
from ingest.settings import read
from ingest.states import State
from ingest.wiring import build
from tests.e2e.drops import users
from tests.ingest.conftest import REPOSITORY, Clock, Sea
from tests.ingest.remote import Factory, Workspace
from tests.ingest.test_crashes import DeathError, Fate, Mortal

SETTINGS = {
    "LANDFALL_LAKE": "AccountName=local;BlobEndpoint=http://127.0.0.1:1/local",
    "LANDFALL_ADF_SUBSCRIPTION": "s",
    "LANDFALL_ADF_RESOURCE_GROUP": "g",
    "LANDFALL_ADF_FACTORY": "f",
    "DATABRICKS_HOST": "http://127.0.0.1:1",
    "LANDFALL_SPARK_LAKE": "file:///{container}",
    "LANDFALL_VALIDATE_IN_SPARK_ABOVE": "1000",
}


class Judges(Workspace):
    """The validation job: its runs end as it is told, and leave an answer."""

    def __init__(self, sea: Sea) -> None:
        super().__init__(status="running")
        self._sea = sea
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
        columns = json.loads(self._sea.lake.get(plan)[0])["columns"]
        found = {
            "schema": 1,
            "contract_version": json.loads(self._sea.lake.get(plan)[0])["contract_version"],
            "problem": None,
            "rows": 20,
            "rejected": 0,
            "clean": False,
            "checks": [],
            "gauges": [],
            "repeats": [0],
            "examples": [],
            "columns": [column] * len(columns),
            "sample": [],
            "extra": [],
        }
        body = json.dumps(found | changes).encode()
        self._sea.lake.put(f"{folder}/result/part-00000.txt", body)
        self.status = "succeeded"


@dataclass
class Bay:
    """A service whose limit is low, with what stands around it."""

    sea: Sea
    clock: Clock
    judges: Judges
    factory: Factory

    def service(self, fate: Fate | None = None) -> Landfall:
        """The service as a fresh process has it, which may meet its fate."""
        fate = fate or Fate()
        return build(
            read(SETTINGS, app=REPOSITORY),
            clock=self.clock,
            lake=Mortal("lake", self.sea.lake, fate),
            copier=self.factory,
            loader=Workspace(),
            validator=Mortal("jobs", self.judges, fate),
        )

    def land(self, content: bytes) -> str:
        """Land a drop; its run's id."""
        name = f"{hashlib.sha256(content).hexdigest()[:8]}-{id(self)}.csv"
        self.sea.land(f"landing/users/{name}", content)
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
def bay(sea: Sea, clock: Clock) -> Iterator[Bay]:
    """One for each test, on the lake that they share; what it leaves under way is cancelled."""
    bay = Bay(sea, clock, Judges(sea), Factory())
    yield bay
    service = bay.service()
    for run in list(service.manifest.active()):
        service.operators.cancel(run.run_id, Wish("the test is over"))


def content(mark: str) -> bytes:
    """A drop that no other test sends."""
    return users(range(20), country=mark).encode()


def test_the_run_waits_and_is_watched_in_bulk(bay: Bay) -> None:
    """It stays `validating`, names the job run, and a tick takes it up only when that has ended."""
    run_id = bay.land(content("Waiting"))
    run = bay.run(run_id)
    assert (run.state, run.lease) == (State.VALIDATING, None)
    assert "judged by job run 1 of landfall_validate" in run.cause
    assert run.judging is not None
    assert run.judging.url == "https://jobs/1"
    assert run.judging.sha256 == hashlib.sha256(content("Waiting")).hexdigest()
    assert not bay.ticked(run_id)
    bay.judges.answer()
    assert bay.ticked(run_id)
    bay.service().advance(run_id)
    run = bay.run(run_id)
    assert run.state is State.COPYING
    assert run.verdict is not None
    assert (run.verdict.rows, run.verdict.sha256) == (20, run.judging and run.judging.sha256)
    assert list(bay.sea.lake.list(f"raw/users/{run_id}/judging/")) == []


def test_a_start_that_is_asked_for_again_is_the_same(bay: Bay) -> None:
    """A worker that died behind the start is followed by one that finds the job run there."""
    bay.sea.land("landing/users/again.csv", content("Again"))
    (message,) = bay.service().on_landing("landing/users/again.csv")
    bay.sea.fault(fault="status", status=503, method="PUT", path="manifest/active", times=None)
    with pytest.raises(Unavailable):
        bay.service().handle(message)
    bay.sea.calm()
    bay.service().handle(message)
    assert bay.judges.posts == 2
    assert len(bay.judges.batches) == 1


def test_a_failed_job_is_tried_again_and_then_fails_the_run(bay: Bay) -> None:
    """Each attempt has a token and a folder of its own; the cause of the last one is the run's."""
    run_id = bay.land(content("Failing"))
    bay.judges.status = "failed"
    bay.service().advance(run_id)
    run = bay.run(run_id)
    assert run.state is State.VALIDATING
    assert run.judging is not None
    assert (run.judging.number, run.judging.job_run_id) == (2, None)
    bay.service().advance(run_id)
    assert len(bay.judges.batches) == 1  # it waits a little
    bay.clock.turn(minutes=1)
    bay.service().advance(run_id)
    run = bay.run(run_id)
    assert run.state is State.FAILED
    assert "job run 2 of landfall_validate failed" in run.cause
    assert list(bay.sea.lake.list(f"raw/users/{run_id}/judging/")) == []
    bay.judges.status = "running"
    bay.service().operators.retry(run_id, Wish("try again"))
    bay.service().advance(run_id)
    assert len({tuple(one.values()) for one in bay.judges.batches.values()}) == 3


def test_a_job_that_leaves_no_answer_has_failed(bay: Bay) -> None:
    """So has one whose answer is of another schema."""
    run_id = bay.land(content("Silent"))
    bay.judges.status = "succeeded"
    bay.service().advance(run_id)
    assert "left no answer" in bay.run(run_id).cause
    bay.clock.turn(minutes=1)
    bay.judges.status = "running"
    bay.service().advance(run_id)
    bay.judges.answer(schema=99)
    bay.service().advance(run_id)
    assert bay.run(run_id).state is State.FAILED
    assert "schema 99" in bay.run(run_id).cause


@pytest.mark.parametrize("changes", [{"contract_version": "0"}, {"gauges": [[1, 2, 3, 4]]}])
def test_an_answer_by_another_contract_is_not_used(bay: Bay, changes: dict[str, Any]) -> None:
    """The contract was changed while the job ran: the drop is judged again, by the new one."""
    run_id = bay.land(content(f"Changed {next(iter(changes))}"))
    bay.judges.answer(**changes)
    bay.service().advance(run_id)
    run = bay.run(run_id)
    assert run.state is State.VALIDATING
    assert "left no answer to use" in run.cause
    assert run.judging is not None
    assert run.judging.number == 2


def test_a_job_that_cannot_be_started_fails_the_run(bay: Bay) -> None:
    """Databricks says no: the run ends with what it said."""
    bay.judges.refuses = True
    run_id = bay.land(content("Refused"))
    bay.clock.turn(minutes=1)
    bay.service().advance(run_id)
    assert bay.run(run_id).state is State.FAILED
    assert "no such job" in bay.run(run_id).cause


def test_cancel_stops_the_job(bay: Bay) -> None:
    """The run ends at once, and its job run is told to stop."""
    run_id = bay.land(content("Cancelled"))
    run = bay.service().operators.cancel(run_id, Wish("not now"))
    assert run.state is State.CANCELLED
    assert bay.judges.cancelled == [1]


def test_a_refusal_by_the_answer_is_quarantined(bay: Bay) -> None:
    """What the job found beyond tolerance refuses the drop, in the words of the other engine."""
    run_id = bay.land(content("Bad"))
    bay.judges.answer(rejected=19)
    bay.service().advance(run_id)
    run = bay.run(run_id)
    assert run.state is State.QUARANTINED
    assert "19 of 20 records break the contract" in run.cause


@pytest.mark.parametrize("kind", ["small", "packed", "headless"])
def test_what_is_not_for_the_job_is_judged_here(bay: Bay, kind: str) -> None:
    """Small drops, compressed ones, and those that their beginning refuses start no job."""
    drop = {
        "small": users([1], country="Small").encode(),
        "packed": gzip.compress(users(range(2000), country="Packed").encode()),
        "headless": b"x" * 2000,
    }[kind]
    run_id = bay.land(drop)
    run = bay.run(run_id)
    assert bay.judges.posts == 0
    assert run.state in {State.COPYING, State.QUARANTINED}
    assert run.judging is None


def journey(bay: Bay, mark: str, fate: Fate) -> str:
    """A large drop whose worker meets its fate; returns what is wrong in the end, or nothing."""
    path = f"landing/users/{mark}.csv"
    bay.sea.land(path, content(mark))
    bay.judges.status, begun = "running", len(bay.judges.batches)
    service = bay.service(fate)
    with suppress(DeathError):
        for message in service.on_landing(path):
            service.handle(message)
        bay.judges.answer()
        for message in service.reconcile():
            service.handle(message)
    for _ in range(6):
        bay.clock.turn(minutes=6)
        service = bay.service()
        for message in service.reconcile():
            with suppress(Retryable):
                service.handle(message)
        if len(bay.judges.batches) > begun:
            with suppress(NotFound):  # concluded and cleared away
                bay.judges.answer()
    found = [run for run in bay.service().manifest.newest(limit=500) if run.summary["path"] == path]
    run_id = found[0].run_id
    run = bay.run(run_id)
    tokens = len(bay.judges.batches) - begun
    bay.service().operators.cancel(run_id, Wish("seen"))
    hashed = (
        run.verdict is not None and run.verdict.sha256 == hashlib.sha256(content(mark)).hexdigest()
    )
    seen = (len(found), run.state, tokens, hashed)
    return "" if seen == (1, State.COPYING, 1, True) else str(seen)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_death_at_any_point_judges_once(bay: Bay) -> None:
    """Wherever a worker dies on the way of a large drop, one job run judges it and it goes on."""
    calm = Fate()
    assert journey(bay, "calm", calm) == ""
    assert "jobs.start" in calm.calls
    wrong: dict[str, str] = {}
    for at in range(len(calm.calls)):
        for when in ("before", "after"):
            fate = Fate(at, when)
            if result := journey(bay, f"dies-{at}-{when}", fate):
                wrong[f"{when} call {at}, {fate.calls[-1]}"] = result
    assert wrong == {}
