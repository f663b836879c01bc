"""Patience that ends: with a file that kills its workers, and with what a file refers to.

The clock is turned; a worker that is killed leaves what it wrote, and nothing after that.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import deltalake
import pyarrow as pa
import pytest

from ingest import paths
from ingest.errors import Unavailable
from ingest.operations.operators import OperatorRequest, ReplayOrigin
from ingest.runs.messages import Advance, Message
from ingest.runs.run import Run
from landfall.protocol import State
from tests.e2e.drops import users
from tests.ingest.conftest import Clock, StorageAccount
from tests.ingest.harness import ServiceHarness
from tests.ingest.memory import InMemoryAccount, InMemoryLake


class Killed(BaseException):
    """The process is gone: nothing that stands in an `except` or after it is done."""


class Deadly(InMemoryLake):
    """The lake, with files that kill whoever reads them."""

    def stream(self, path: str) -> Iterator[bytes]:
        if "deadly" in path:
            raise Killed
        return super().stream(path)


@pytest.fixture
def harness(clock: Clock) -> ServiceHarness:
    """A service on a lake of its own."""
    return ServiceHarness(InMemoryAccount(clock), clock)


def deliver(harness: ServiceHarness, message: Message) -> list[Message]:
    """Deliver a message as the queue does, until it is done or given up; returns what follows.

    Each delivery that kills its worker is followed by a fresh worker.
    """
    for delivery in range(1, 6):
        try:
            return harness.service.handle(message, delivery)
        except Killed:
            harness.service = harness.worker()
            harness.clock.turn(seconds=5)
    return []


def test_a_file_that_kills_its_workers_ends_the_run(harness: ServiceHarness) -> None:
    """Deaths are counted in the record, so that the fifth ends the run and says what was seen."""
    harness.storage_account.lake.__class__ = Deadly
    path = "landing/users/deadly.csv"
    harness.storage_account.land(path, users([1]).encode())
    (first,) = harness.service.on_landing(path)
    assert isinstance(first, Advance)
    queue: list[Message] = [first]
    ticks = 0
    while not harness.run(first.run_id).final:
        while queue:
            queue += deliver(harness, queue.pop())
        harness.clock.turn(minutes=6)
        queue = harness.service.reconcile()
        ticks += 1
        assert ticks < 10, "it is tried for ever"
    ended = harness.run(first.run_id)
    assert ended.state is State.FAILED
    assert ended.faults == {"validating": 5}
    assert "validating failed 5 times; last: WorkerLost: worker" in ended.cause
    assert "fell silent while it validated the file" in ended.cause
    assert ended.raw is not None
    assert harness.storage_account.lake.head(ended.raw) is not None


def test_a_lease_is_given_back_when_the_lake_does_not_answer(harness: ServiceHarness) -> None:
    """Whoever is delivered the message next takes the drop up at once, and counts no death."""
    path = "landing/users/blocked.csv"
    harness.storage_account.land(path, users([2]).encode())
    (first,) = harness.service.on_landing(path)
    assert isinstance(first, Advance)

    def away(_: str) -> Iterator[bytes]:
        raise Unavailable("503")

    harness.storage_account.lake.stream = away
    for delivery in (1, 2, 3):
        with pytest.raises(Unavailable):
            harness.service.handle(first, delivery)
    seen = harness.run(first.run_id)
    assert (seen.state, seen.lease) == (State.VALIDATING, None)
    del harness.storage_account.lake.stream
    harness.service = harness.worker()
    harness.drive([first])
    done = harness.run(first.run_id)
    assert (done.state, done.faults) == (State.SUCCEEDED, {})


# -- what a drop refers to ------------------------------------------------------------------

HEAD = (
    "product_id,seller_id,title,category,audience,brand,size,colour,condition,price,currency,"
    "listed_at,status,delisted_at\n"
)


def products(sellers: list[int]) -> bytes:
    """A drop with one product of each of these sellers."""
    rows = [
        f"{at},{seller},Dress,dresses,women,,,red,good,12.50,EUR,2026-11-01 10:00:00,live,\n"
        for at, seller in enumerate(sellers, 1)
    ]
    return (HEAD + "".join(rows)).encode()


def known(storage_account: StorageAccount, ids: range) -> None:
    """Users that are in silver from now on."""
    table: Path = storage_account.config.lake_folder / "silver" / "users"
    table.parent.mkdir(exist_ok=True)
    rows = pa.table({"identifierHash": pa.array(list(ids), pa.int64())})
    deltalake.write_deltalake(table, rows, mode="append")


SELLERS = [*range(1, 30), 77]
"""Thirty products; the contract tolerates one bad one among them."""


def wait_for(harness: ServiceHarness, run: Run, **amount: float) -> Run:
    """The run after so much time, with a tick a few seconds apart."""
    until = harness.clock() + timedelta(**amount)
    while harness.clock() < until and not harness.run(run.run_id).final:
        harness.drive(harness.service.reconcile(), ticks=1)
    return harness.run(run.run_id)


def test_a_drop_waits_for_what_it_refers_to(storage_account: StorageAccount, clock: Clock) -> None:
    """Datasets are delivered in any order: what comes a little later is no reject."""
    harness = ServiceHarness(storage_account, clock)
    known(storage_account, range(1, 30))
    early = harness.take("landing/products/early.csv", products(SELLERS))
    assert early.state is State.VALIDATING
    assert "records that refer to what is not there yet, of 30: 1 by seller_id;" in early.cause
    assert not list(
        storage_account.lake.list(f"{paths.quarantine_folder('products', early.run_id)}/")
    )
    assert early.raw is not None
    assert not list(storage_account.lake.list(f"{paths.raw_folder('products', early.run_id)}/"))
    known(storage_account, range(77, 78))
    done = wait_for(harness, early, minutes=3)
    assert done.state is State.SUCCEEDED
    assert done.verdict is not None
    assert (done.verdict.accepted, done.verdict.rejected) == (30, 0)


def test_a_drop_that_would_be_refused_for_strangers_alone_waits(
    storage_account: StorageAccount, clock: Clock
) -> None:
    """More orphans than the contract tolerates are no refusal before their time is up."""
    harness = ServiceHarness(storage_account, clock)
    known(storage_account, range(1, 30))
    early = harness.take("landing/products/all-early.csv", products([*range(3001, 3031)]))
    assert early.state is State.VALIDATING
    known(storage_account, range(3001, 3031))
    assert wait_for(harness, early, minutes=3).state is State.SUCCEEDED


def test_a_file_that_cannot_be_read_does_not_wait(
    storage_account: StorageAccount, clock: Clock
) -> None:
    """What is refused for another reason is refused at once, whatever its records refer to."""
    harness = ServiceHarness(storage_account, clock)
    known(storage_account, range(1, 30))
    torn = products([4001, 4002]) + b'9,4003,"Dress'
    run = harness.take("landing/products/torn.csv", torn)
    assert run.state is State.QUARANTINED
    assert "never closed" in run.cause


def test_waiting_for_what_never_comes_ends(storage_account: StorageAccount, clock: Clock) -> None:
    """After the time of the setting the orphans are rejects, and the others are loaded."""
    harness = ServiceHarness(storage_account, clock)
    known(storage_account, range(1, 30))
    began = clock()
    orphans = harness.take("landing/products/orphans.csv", products([*range(1, 30), 999]))
    assert orphans.state is State.VALIDATING
    done = wait_for(harness, orphans, minutes=20)
    assert done.state is State.SUCCEEDED
    assert done.verdict is not None
    assert (done.verdict.accepted, done.verdict.rejected) == (29, 1)
    assert done.verdict.rejects is not None
    assert storage_account.lake.head(done.verdict.rejects) is not None
    validated = next(line.at for line in done.history if line.event == "accept")
    assert timedelta(minutes=5) <= validated - began < timedelta(minutes=6)
    assert sum(line.event == "postpone" for line in done.history) < 8


def test_a_replay_long_after_waits_anew(storage_account: StorageAccount, clock: Clock) -> None:
    """What counts is when the file was taken up: a rebuild replays all datasets in any order."""
    harness = ServiceHarness(
        storage_account, clock, settings={"LANDFALL_REFERENCE_WAIT_SECONDS": "0"}
    )
    known(storage_account, range(1, 30))
    rejected = harness.take("landing/products/replayed.csv", products([*range(1, 30), 555]))
    assert rejected.state is State.SUCCEEDED
    harness.settings = {}
    harness.service = harness.worker()
    clock.turn(days=1)
    again = harness.service.operators.replay(
        rejected.run_id, ReplayOrigin.RAW, OperatorRequest("a test")
    )
    harness.drive([Advance(again.run_id)], ticks=1)
    assert harness.run(again.run_id).state is State.VALIDATING
    known(storage_account, range(555, 556))
    done = wait_for(harness, again, minutes=3)
    assert done.verdict is not None
    assert done.verdict.rejected == 0
