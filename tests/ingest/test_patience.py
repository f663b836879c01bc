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
from ingest.messages import Advance, Message
from ingest.operators import Origin, Wish
from ingest.run import Run
from ingest.states import State
from tests.e2e.drops import users
from tests.ingest.conftest import Clock, Sea
from tests.ingest.harbour import Harbour
from tests.ingest.memory import MemoryLake, Pond


class Killed(BaseException):
    """The process is gone: nothing that stands in an `except` or after it is done."""


class Deadly(MemoryLake):
    """The lake, with files that kill whoever reads them."""

    def stream(self, path: str) -> Iterator[bytes]:
        if "deadly" in path:
            raise Killed
        return super().stream(path)


@pytest.fixture
def harbour(clock: Clock) -> Harbour:
    """A service on a lake of its own."""
    return Harbour(Pond(clock), clock)


def deliver(harbour: Harbour, message: Message) -> list[Message]:
    """Deliver a message as the queue does, until it is done or given up; returns what follows.

    Each delivery that kills its worker is followed by a fresh worker.
    """
    for delivery in range(1, 6):
        try:
            return harbour.service.handle(message, delivery)
        except Killed:
            harbour.service = harbour.worker()
            harbour.clock.turn(seconds=5)
    return []


def test_a_file_that_kills_its_workers_ends_the_run(harbour: Harbour) -> None:
    """Deaths are counted in the record, so that the fifth ends the run and says what was seen."""
    harbour.sea.lake.__class__ = Deadly
    path = "landing/users/deadly.csv"
    harbour.sea.land(path, users([1]).encode())
    (first,) = harbour.service.on_landing(path)
    assert isinstance(first, Advance)
    queue: list[Message] = [first]
    ticks = 0
    while not harbour.run(first.run_id).final:
        while queue:
            queue += deliver(harbour, queue.pop())
        harbour.clock.turn(minutes=6)
        queue = harbour.service.reconcile()
        ticks += 1
        assert ticks < 10, "it is tried for ever"
    ended = harbour.run(first.run_id)
    assert ended.state is State.FAILED
    assert ended.faults == {"validating": 5}
    assert "validating failed 5 times; last: WorkerLost: worker" in ended.cause
    assert "fell silent while it judged the file" in ended.cause
    assert ended.raw is not None
    assert harbour.sea.lake.head(ended.raw) is not None


def test_a_lease_is_given_back_when_the_lake_does_not_answer(harbour: Harbour) -> None:
    """Whoever is delivered the message next takes the drop up at once, and counts no death."""
    path = "landing/users/blocked.csv"
    harbour.sea.land(path, users([2]).encode())
    (first,) = harbour.service.on_landing(path)
    assert isinstance(first, Advance)

    def away(_: str) -> Iterator[bytes]:
        raise Unavailable("503")

    harbour.sea.lake.stream = away
    for delivery in (1, 2, 3):
        with pytest.raises(Unavailable):
            harbour.service.handle(first, delivery)
    seen = harbour.run(first.run_id)
    assert (seen.state, seen.lease) == (State.VALIDATING, None)
    del harbour.sea.lake.stream
    harbour.service = harbour.worker()
    harbour.drive([first])
    done = harbour.run(first.run_id)
    assert (done.state, done.faults) == (State.SUCCEEDED, {})


# -- what a drop refers to ------------------------------------------------------------------

HEAD = (
    "product_id,seller_id,title,category,audience,brand,size,colour,condition,price,currency,"
    "listed_at\n"
)


def products(sellers: list[int]) -> bytes:
    """A drop with one product of each of these sellers."""
    rows = [
        f"{at},{seller},Dress,dresses,women,,,red,good,12.50,EUR,2026-11-01 10:00:00\n"
        for at, seller in enumerate(sellers, 1)
    ]
    return (HEAD + "".join(rows)).encode()


def known(sea: Sea, ids: range) -> None:
    """Users that are in silver from now on."""
    table: Path = sea.config.lake_folder / "silver" / "users"
    table.parent.mkdir(exist_ok=True)
    rows = pa.table({"identifierHash": pa.array(list(ids), pa.int64())})
    deltalake.write_deltalake(table, rows, mode="append")


SELLERS = [*range(1, 30), 77]
"""Thirty products; the contract tolerates one bad one among them."""


def wait_for(harbour: Harbour, run: Run, **amount: float) -> Run:
    """The run after so much time, with a tick a few seconds apart."""
    until = harbour.clock() + timedelta(**amount)
    while harbour.clock() < until and not harbour.run(run.run_id).final:
        harbour.drive(harbour.service.reconcile(), ticks=1)
    return harbour.run(run.run_id)


def test_a_drop_waits_for_what_it_refers_to(sea: Sea, clock: Clock) -> None:
    """Datasets are delivered in any order: what comes a little later is no reject."""
    harbour = Harbour(sea, clock)
    known(sea, range(1, 30))
    early = harbour.take("landing/products/early.csv", products(SELLERS))
    assert early.state is State.VALIDATING
    assert "records that refer to what is not there yet, of 30: 1 by seller_id;" in early.cause
    assert not list(sea.lake.list(f"{paths.quarantine_folder('products', early.run_id)}/"))
    assert early.raw is not None
    assert not list(sea.lake.list(f"{paths.raw_folder('products', early.run_id)}/"))
    known(sea, range(77, 78))
    done = wait_for(harbour, early, minutes=3)
    assert done.state is State.SUCCEEDED
    assert done.verdict is not None
    assert (done.verdict.accepted, done.verdict.rejected) == (30, 0)


def test_a_drop_that_would_be_refused_for_strangers_alone_waits(sea: Sea, clock: Clock) -> None:
    """More strangers than the contract tolerates are no refusal before their time is up."""
    harbour = Harbour(sea, clock)
    known(sea, range(1, 30))
    early = harbour.take("landing/products/all-early.csv", products([*range(3001, 3031)]))
    assert early.state is State.VALIDATING
    known(sea, range(3001, 3031))
    assert wait_for(harbour, early, minutes=3).state is State.SUCCEEDED


def test_a_file_that_cannot_be_read_does_not_wait(sea: Sea, clock: Clock) -> None:
    """What is refused for another reason is refused at once, whatever its records refer to."""
    harbour = Harbour(sea, clock)
    known(sea, range(1, 30))
    torn = products([4001, 4002]) + b'9,4003,"Dress'
    run = harbour.take("landing/products/torn.csv", torn)
    assert run.state is State.QUARANTINED
    assert "never closed" in run.cause


def test_waiting_for_what_never_comes_ends(sea: Sea, clock: Clock) -> None:
    """After the time of the setting the strangers are rejects, and the others are loaded."""
    harbour = Harbour(sea, clock)
    known(sea, range(1, 30))
    began = clock()
    orphans = harbour.take("landing/products/orphans.csv", products([*range(1, 30), 999]))
    assert orphans.state is State.VALIDATING
    done = wait_for(harbour, orphans, minutes=20)
    assert done.state is State.SUCCEEDED
    assert done.verdict is not None
    assert (done.verdict.accepted, done.verdict.rejected) == (29, 1)
    assert done.verdict.rejects is not None
    assert sea.lake.head(done.verdict.rejects) is not None
    judged = next(line.at for line in done.history if line.event == "accept")
    assert timedelta(minutes=5) <= judged - began < timedelta(minutes=6)
    assert sum(line.event == "postpone" for line in done.history) < 8


def test_a_replay_long_after_waits_anew(sea: Sea, clock: Clock) -> None:
    """What counts is when the file was taken up: a rebuild replays all datasets in any order."""
    harbour = Harbour(sea, clock, settings={"LANDFALL_REFERENCE_WAIT_SECONDS": "0"})
    known(sea, range(1, 30))
    rejected = harbour.take("landing/products/replayed.csv", products([*range(1, 30), 555]))
    assert rejected.state is State.SUCCEEDED
    harbour.settings = {}
    harbour.service = harbour.worker()
    clock.turn(days=1)
    again = harbour.service.operators.replay(rejected.run_id, Origin.RAW, Wish("a test"))
    harbour.drive([Advance(again.run_id)], ticks=1)
    assert harbour.run(again.run_id).state is State.VALIDATING
    known(sea, range(555, 556))
    done = wait_for(harbour, again, minutes=3)
    assert done.verdict is not None
    assert done.verdict.rejected == 0
