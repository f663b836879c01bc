"""Every way in which an event can be wrong, and every moment at which a file can change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from azure.storage.filedatalake import DataLakeServiceClient

from ingest.messages import Claim, Message
from ingest.paths import run_id
from ingest.ports import Version
from ingest.states import State
from tests.e2e.drops import users
from tests.ingest.conftest import Clock, Sea
from tests.ingest.harbour import SETTLED, Harbour
from tests.ingest.memory import Pond


@pytest.fixture
def harbour(clock: Clock) -> Harbour:
    """A service on a lake of its own."""
    return Harbour(Pond(clock), clock)


def name_of(version: Version) -> str:
    """The run of a landed version."""
    return run_id(version.modified, "users", version.path, version.etag)


def test_a_rename_into_landing_raises_no_event_and_is_swept(sea: Sea, clock: Clock) -> None:
    """Writers that write elsewhere and rename: BlobRenamed starts nothing, the sweep does."""
    harbour = Harbour(sea, clock)
    sea.land("landing/users/_temporary/0/renamed.csv", users([10]).encode())
    connection = sea.config.lake_connection_string
    with DataLakeServiceClient.from_connection_string(connection) as service:
        file = service.get_file_client("landing", "users/_temporary/0/renamed.csv")
        file.rename_file("landing/users/renamed.csv")
    path = "landing/users/renamed.csv"
    clock.turn(seconds=SETTLED)
    assert Claim(path) in harbour.service.reconcile()
    harbour.drive([Claim(path)])
    (run,) = harbour.service.manifest.newest(limit=1, dataset="users")
    assert (run.state, run.summary["path"]) == (State.SUCCEEDED, path)


def test_events_in_the_wrong_order_make_a_run_for_each_claimed_version(harbour: Harbour) -> None:
    """The event of the first version comes after that of the second: what stands there counts."""
    path = "landing/users/order.csv"
    first = harbour.sea.land(path, users([20]).encode())
    harbour.clock.turn(seconds=1)
    second = harbour.sea.land(path, users([21]).encode())
    for _ in range(2):
        harbour.drive(harbour.service.on_landing(path), ticks=1)
    harbour.drive(harbour.service.reconcile())
    assert harbour.run(name_of(second)).state is State.SUCCEEDED
    assert harbour.service.manifest.find(name_of(first)) is None


@pytest.mark.parametrize("after", range(5))
def test_an_overwrite_during_any_step_is_a_drop_of_its_own(harbour: Harbour, after: int) -> None:
    """However far the first version is, the second touches nothing of it and ends by itself."""
    path = "landing/users/over.csv"
    first = harbour.sea.land(path, users([30]).encode())
    queue: list[Message] = harbour.service.on_landing(path)
    for _ in range(after):
        queue = queue or harbour.service.reconcile()
        if queue:
            message, *queue = queue
            queue += harbour.service.handle(message)
        harbour.clock.turn(seconds=31)
    second = harbour.sea.land(path, users([31]).encode())
    harbour.drive([*queue, *harbour.service.on_landing(path)])
    for version in (first, second):
        run = harbour.run(name_of(version))
        assert run.state is State.SUCCEEDED
        assert harbour.workspace.loads_of(run.run_id) == 1
        assert run.raw is not None
        assert harbour.sea.lake.get(run.raw)[0].count(b"\n") == 2
    loaded = [run.raw for run in map(harbour.run, map(name_of, (first, second)))]
    assert len(set(loaded)) == 2


def test_a_file_that_is_being_copied_into_landing_waits(harbour: Harbour) -> None:
    """A server-side copy shows the file at its full size before its bytes are there."""
    path = "landing/users/copied.csv"
    version = harbour.sea.land(path, users([40]).encode())
    look: Callable[[str], Version | None] = harbour.sea.lake.head
    harbour.sea.lake.head = lambda _: replace(version, pending=True)
    assert harbour.service.on_landing(path) == []
    harbour.clock.turn(seconds=SETTLED)
    assert harbour.service.sweep(path) == []
    harbour.sea.lake.head = look
    harbour.drive(harbour.service.reconcile())
    assert harbour.run(name_of(version)).state is State.SUCCEEDED


def test_a_copy_that_was_done_is_no_copy_in_progress(sea: Sea, clock: Clock) -> None:
    """The real SDK's word for a finished copy is read as such."""
    sea.land("raw/users/source-of-copy.csv", users([50]).encode())
    blobs = sea.lake._blobs
    source = blobs.get_blob_client("raw", "users/source-of-copy.csv")
    target = blobs.get_blob_client("landing", "users/by-copy.csv")
    target.start_copy_from_url(source.url)
    seen = sea.lake.head("landing/users/by-copy.csv")
    assert seen is not None
    assert not seen.pending
    harbour = Harbour(sea, clock)
    harbour.drive(harbour.service.on_landing("landing/users/by-copy.csv"))
    assert harbour.run(name_of(seen)).state is State.SUCCEEDED
