"""The service as its triggers call it: whatever comes, in whatever order, each drop ends once."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import timedelta

import polars as pl
import pytest
import zstandard

from ingest.azure.lake import AzureLake
from ingest.errors import Conflict, NotFound, Retryable, Unavailable
from ingest.operations.operators import OperatorRequest
from ingest.paths import raw_file
from ingest.ports import CopyRun
from ingest.runs.messages import Advance, Claim, LoadDataset, Message, next_messages
from ingest.runs.run import Run
from ingest.service import Landfall
from ingest.settings import read
from ingest.wiring import build
from landfall.protocol import State
from tests.e2e.drops import users
from tests.ingest.conftest import REPOSITORY, Clock, StorageAccount
from tests.ingest.remote import Factory, Workspace

SETTLE = timedelta(seconds=120)


class Quick(Factory):
    """A data factory whose copies succeed at once."""

    def start(self, parameters: object) -> str:
        name = super().start(parameters)  # type: ignore[arg-type]
        self.runs[name] = CopyRun(name, "Succeeded", self.runs[name].attempt_id, copied=True)
        return name


@pytest.fixture
def factory() -> Quick:
    """A data factory in which nothing has run yet."""
    return Quick()


@pytest.fixture
def worker(storage_account: StorageAccount, clock: Clock, factory: Quick) -> Callable[[], Landfall]:
    """Makes workers: each remembers only what it has seen itself."""
    env = {
        "LANDFALL_LAKE": storage_account.config.lake_connection_string,
        "LANDFALL_ADF_SUBSCRIPTION": "s",
        "LANDFALL_ADF_RESOURCE_GROUP": "g",
        "LANDFALL_ADF_FACTORY": "f",
        "LANDFALL_NUDGE_SECONDS": "0",  # a tick looks at every copy: nobody calls back here
        "DATABRICKS_HOST": "http://localhost",
        "LANDFALL_SETTLE_SECONDS": str(SETTLE.total_seconds()),
    }
    workspace = Workspace()
    return lambda: build(
        read(env, app=REPOSITORY),
        clock=clock,
        lake=storage_account.lake,
        copier=factory,
        loader=workspace,
    )


def drive(service: Landfall, messages: list[Message]) -> None:
    """Work a queue until it is empty, a redelivered message after the others."""
    budget = 200
    while messages:
        budget -= 1
        assert budget, f"no end: {messages}"
        message, *messages = messages
        try:
            messages += service.handle(message)
        except Retryable:
            messages.append(message)


def run_of(service: Landfall, path: str) -> Run:
    """The newest run of a landed path."""
    listed = service.manifest.newest(limit=500)
    return service.manifest.get(
        next(r.run_id for r in listed if r.summary["path"] == path), fresh=True
    ).run


def test_an_event_drives_a_drop_to_its_end(
    storage_account: StorageAccount, worker: Callable[[], Landfall]
) -> None:
    """One event, and the queue does the rest."""
    path = "landing/users/driven.csv"
    storage_account.land(path, users([1]).encode())
    service = worker()
    drive(service, service.on_landing(path))
    drive(service, service.reconcile())
    assert run_of(service, path).state is State.SUCCEEDED


def test_late_and_foreign_events_are_let_go(
    storage_account: StorageAccount, worker: Callable[[], Landfall]
) -> None:
    """An event about what is gone, elsewhere, or a writer's marker starts nothing."""
    storage_account.land("landing/users/_SUCCESS", b"x")
    storage_account.land("raw/users/other.csv", b"x")
    service = worker()
    for path in ("landing/users/gone.csv", "raw/users/other.csv", "landing/users/_SUCCESS"):
        assert service.on_landing(path) == []


def test_an_empty_file_waits_until_it_has_settled(
    storage_account: StorageAccount, clock: Clock, worker: Callable[[], Landfall]
) -> None:
    """An upload begins with an empty file; one that stays empty is validated as it is."""
    path = "landing/users/nothing.csv"
    storage_account.lake.put(path, b"")
    service = worker()
    assert service.on_landing(path) == []
    assert Claim(path) not in service.reconcile()
    clock.turn(seconds=SETTLE.total_seconds() + 60)
    assert Claim(path) in service.reconcile()
    drive(service, [Claim(path)])
    run = run_of(service, path)
    assert (run.state, run.source.via) == (State.QUARANTINED, "sweep")


def test_a_crash_between_any_two_messages_is_mended_by_the_tick(
    storage_account: StorageAccount, clock: Clock, worker: Callable[[], Landfall]
) -> None:
    """Every message is lost; ticks alone, each by a fresh worker, bring the drop to its end."""
    path = "landing/users/ticked.csv"
    storage_account.land(path, users([2]).encode())
    worker().on_landing(path)
    for _ in range(12):
        clock.turn(minutes=6)
        for message in worker().reconcile():
            worker().handle(message)
        if run_of(worker(), path).final:
            break
    assert run_of(worker(), path).state is State.SUCCEEDED


def test_a_step_that_cannot_work_ends_the_run(
    storage_account: StorageAccount, worker: Callable[[], Landfall]
) -> None:
    """When the claimed file is taken away by hand, the run fails after a few tries, and says so."""
    path = "landing/users/robbed.csv"
    storage_account.land(path, users([3]).encode())
    service = worker()
    todo = service.on_landing(path)
    storage_account.lake.delete(raw_file("users", run_of(service, path).run_id, path))
    drive(service, todo)
    run = run_of(service, path)
    assert run.state is State.FAILED
    assert "5 times" in run.cause
    assert "not there" in run.cause


def test_a_side_that_is_away_does_not_stop_the_tick(
    storage_account: StorageAccount, clock: Clock, worker: Callable[[], Landfall], factory: Quick
) -> None:
    """While Data Factory is away, drops are still swept and others still move; nothing fails."""
    path = "landing/users/patient.csv"
    storage_account.land(path, users([4]).encode())
    service = worker()
    drive(service, service.on_landing(path)[:1])
    away = worker()

    def fail(since: object, attempts: object) -> list[CopyRun]:
        raise Unavailable(f"Data Factory is away ({since}, {attempts})")

    found, factory.find = factory.find, fail  # type: ignore[method-assign]
    storage_account.land("landing/users/meanwhile.csv", users([5]).encode())
    clock.turn(hours=1)
    assert Claim("landing/users/meanwhile.csv") in away.reconcile()
    assert run_of(away, path).state is State.COPYING
    factory.find = found  # type: ignore[method-assign]
    drive(away, away.reconcile())
    drive(away, away.reconcile())
    assert run_of(away, path).state is State.SUCCEEDED


def test_asking_twice_gives_the_same_run(
    storage_account: StorageAccount, worker: Callable[[], Landfall]
) -> None:
    """A second POST finds the file claimed, and is told its run; later it is not there."""
    path = "landing/users/asked.csv"
    storage_account.land(path, users([6]).encode())
    service = worker()
    first, todo = service.ingest("users", path)
    again, _ = worker().ingest("users", path)
    assert again.run_id == first.run_id
    drive(service, todo)
    drive(service, service.reconcile())
    assert worker().ingest("users", path)[0].run_id == first.run_id


def test_an_old_run_does_not_answer_for_a_missing_file(
    storage_account: StorageAccount, clock: Clock, worker: Callable[[], Landfall]
) -> None:
    """What ended long ago is not what a caller means who asks for a file that is not there."""
    path = "landing/users/yesterday.csv"
    storage_account.land(path, users([7]).encode())
    service = worker()
    drive(service, service.on_landing(path))
    drive(service, service.reconcile())
    clock.turn(hours=2)
    with pytest.raises(NotFound):
        worker().ingest("users", path)


def test_a_quarantined_drop_can_be_judged_again(
    storage_account: StorageAccount, worker: Callable[[], Landfall]
) -> None:
    """Retry brings the file back from quarantine and validates it anew."""
    path = "landing/users/hopeless.csv"
    storage_account.land(path, users(range(10), gender="X").encode())
    service = worker()
    drive(service, service.on_landing(path))
    run = run_of(service, path)
    assert run.state is State.QUARANTINED
    again = service.operators.retry(run.run_id, OperatorRequest("the contract was corrected"))
    assert again.state is State.CLAIMED
    assert again.raw is not None
    assert again.raw.startswith("raw/")
    drive(service, next_messages(again))
    assert run_of(service, path).state is State.QUARANTINED


def test_what_has_succeeded_is_neither_cancelled_nor_retried(
    storage_account: StorageAccount, worker: Callable[[], Landfall]
) -> None:
    """A final success stays one."""
    path = "landing/users/done.csv"
    storage_account.land(path, users([8]).encode())
    service = worker()
    drive(service, service.on_landing(path))
    drive(service, service.reconcile())
    run = run_of(service, path)
    assert run.state is State.SUCCEEDED
    with pytest.raises(Conflict):
        service.operators.cancel(run.run_id, OperatorRequest("too late"))
    with pytest.raises(Conflict):
        service.operators.retry(run.run_id, OperatorRequest("why not"))


def test_a_cancelled_drop_is_not_found_again(
    storage_account: StorageAccount, clock: Clock, worker: Callable[[], Landfall]
) -> None:
    """Cancelling a drop that still stands in landing takes it out of there first."""
    path = "landing/users/unwanted.csv"
    storage_account.land(path, users([9]).encode())
    storage_account.fault(
        method="PUT", path="mode=legacy", fault="status", status=503, when="before"
    )
    service = worker()
    with pytest.raises(Retryable):
        service.on_landing(path)
    storage_account.reset_faults()
    run = run_of(service, path)
    assert run.state is State.RECEIVED
    assert (
        service.operators.cancel(run.run_id, OperatorRequest("not this one")).state
        is State.CANCELLED
    )
    clock.turn(seconds=SETTLE.total_seconds() + 60)
    assert Claim(path) not in worker().reconcile()


def test_what_the_queue_gave_up_is_kept(
    storage_account: StorageAccount, worker: Callable[[], Landfall]
) -> None:
    """A message that nobody can read is put where a person finds it."""
    service = worker()
    service.handle_poison_message(b'{"kind": "advance", "run_id": "x"}', "m1")
    service.handle_poison_message(b"gibberish", "m2")
    kept = [entry.version.path for entry in storage_account.lake.list("manifest/poison/")]
    assert [path.rsplit("-", 1)[-1] for path in kept] == ["m2"]
    assert storage_account.lake.get(kept[0])[0] == b"gibberish"


def test_messages_about_nothing_do_nothing(worker: Callable[[], Landfall]) -> None:
    """A message for a run, file or dataset that is not there is let go."""
    service = worker()
    for message in (
        Advance("20261122T130114Z-users-00000000"),
        Claim("landing/users/not-there.csv"),
        LoadDataset("nobody"),
    ):
        assert service.handle(message) == []


def test_a_compressed_drop_is_copied_typed(
    storage_account: StorageAccount, worker: Callable[[], Landfall], factory: Quick
) -> None:
    """What Data Factory is told to copy is the Parquet of its records, whatever it came in."""
    content = users([10]).encode()
    path = "landing/users/packed.csv.zst"
    storage_account.land(path, zstandard.ZstdCompressor().compress(content))
    service = worker()
    drive(service, service.on_landing(path))
    asked = factory.started[-1]
    accepted = f"{asked['acceptedContainer']}/{asked['acceptedFolder']}/data.parquet"
    (row,) = pl.read_parquet(io.BytesIO(storage_account.lake.get(accepted)[0])).rows(named=True)
    assert (row["identifierHash"], row["_record"], row["_line"]) == (10, 1, 2)


def test_a_report_outlives_the_loss_of_its_content(
    storage_account: StorageAccount, worker: Callable[[], Landfall]
) -> None:
    """When a run fails and another accepts the same content, each still shows its own report."""
    content = users([11]).encode()
    first, second = "landing/users/first.csv", "landing/users/second.csv"
    service = worker()
    storage_account.land(first, content)
    drive(service, service.on_landing(first)[:1])
    service.operators.cancel(run_of(service, first).run_id, OperatorRequest("make room"))
    storage_account.land(second, content)
    drive(service, service.on_landing(second))
    for path in (first, second):
        report = service.report(run_of(service, path).run_id)
        assert (report["name"], report["accepted"]) == (path.rsplit("/", 1)[-1], 1)
    assert run_of(service, first).state is State.CANCELLED
    assert run_of(service, second).state is not State.DUPLICATE


def test_a_refused_file_reaches_quarantine_though_its_worker_dies(
    storage_account: StorageAccount, worker: Callable[[], Landfall]
) -> None:
    """The verdict is written before the move: whoever comes next finishes it."""
    path = "landing/users/halfway.csv"
    storage_account.land(path, users(range(10), gender="X").encode())
    service = worker()
    todo = service.on_landing(path)
    storage_account.fault(
        method="PUT", path="quarantine/.*mode=legacy", fault="status", status=503, times=3
    )
    with pytest.raises(Retryable):
        drive_once(service, todo)
    run = run_of(worker(), path)
    assert run.state is State.QUARANTINED
    assert run.raw is not None
    assert storage_account.lake.head(run.raw) is None
    storage_account.reset_faults()
    later = worker()
    drive(later, later.reconcile())
    assert storage_account.lake.head(run.raw) is not None
    assert [r for r in later.manifest.active() if r.run_id == run.run_id] == []


def drive_once(service: Landfall, messages: list[Message]) -> None:
    """Work the messages once, and let what goes wrong be seen."""
    for message in messages:
        service.handle(message)


class Slow:
    """The lake, read by a worker for whom each small piece takes eleven seconds."""

    def __init__(self, lake: AzureLake, clock: Clock, scan: Callable[[], None]) -> None:
        self._lake, self._clock, self._scan = lake, clock, scan

    def __getattr__(self, name: str) -> object:
        return getattr(self._lake, name)

    def stream(self, path: str) -> Iterator[bytes]:
        """The file in pieces; somebody looks after each."""
        content, _ = self._lake.get(path)
        for start in range(0, len(content), 4096):
            self._clock.turn(seconds=11)
            yield content[start : start + 4096]
            self._scan()


def test_a_long_judgement_is_leased(
    storage_account: StorageAccount, clock: Clock, worker: Callable[[], Landfall], factory: Quick
) -> None:
    """Once validating takes longer than a moment, the record says so and others keep away."""
    path = "landing/users/long.csv"
    storage_account.land(path, users(range(20_000, 20_400)).encode())
    other, leases = worker(), []

    def scan() -> None:
        run = run_of(worker(), path)
        if run.lease:
            leases.append(run.lease)
            assert run.state is State.VALIDATING
            assert other.advance(run.run_id) == []

    slow = worker()
    object.__setattr__(slow.context, "lake", Slow(storage_account.lake, clock, scan))
    drive(slow, slow.on_landing(path))
    assert len(leases) > 3
    assert {lease.owner for lease in leases} == {slow.context.worker}
    assert run_of(worker(), path).lease is None
    assert len(factory.started) == 1
