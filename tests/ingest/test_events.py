"""Every way in which an event can be wrong, and every moment at which a file can change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from azure.storage.filedatalake import DataLakeServiceClient

from ingest.ports import Version
from ingest.runs.messages import Claim, Message
from landfall.protocol import State, run_id
from tests.e2e.drops import users
from tests.ingest.conftest import Clock, StorageAccount
from tests.ingest.harness import SETTLED, ServiceHarness
from tests.ingest.memory import InMemoryAccount


@pytest.fixture
def harness(clock: Clock) -> ServiceHarness:
    """A service on a lake of its own."""
    return ServiceHarness(InMemoryAccount(clock), clock)


def name_of(version: Version) -> str:
    """The run of a landed version."""
    return run_id(version.modified, "users", version.path, version.etag)


def test_a_rename_into_landing_raises_no_event_and_is_swept(
    storage_account: StorageAccount, clock: Clock
) -> None:
    """Writers that write elsewhere and rename: BlobRenamed starts nothing, the sweep does."""
    harness = ServiceHarness(storage_account, clock)
    storage_account.land("landing/users/_temporary/0/renamed.csv", users([10]).encode())
    connection = storage_account.config.lake_connection_string
    with DataLakeServiceClient.from_connection_string(connection) as service:
        file = service.get_file_client("landing", "users/_temporary/0/renamed.csv")
        file.rename_file("landing/users/renamed.csv")
    path = "landing/users/renamed.csv"
    clock.turn(seconds=SETTLED)
    assert Claim(path) in harness.service.reconcile()
    harness.drive([Claim(path)])
    (run,) = harness.service.manifest.newest(limit=1, dataset="users")
    assert (run.state, run.summary["path"]) == (State.SUCCEEDED, path)


def test_events_in_the_wrong_order_make_a_run_for_each_claimed_version(
    harness: ServiceHarness,
) -> None:
    """The event of the first version comes after that of the second: what stands there counts."""
    path = "landing/users/order.csv"
    first = harness.storage_account.land(path, users([20]).encode())
    harness.clock.turn(seconds=1)
    second = harness.storage_account.land(path, users([21]).encode())
    for _ in range(2):
        harness.drive(harness.service.on_landing(path), ticks=1)
    harness.drive(harness.service.reconcile())
    assert harness.run(name_of(second)).state is State.SUCCEEDED
    assert harness.service.manifest.find(name_of(first)) is None


@pytest.mark.parametrize("after", range(5))
def test_an_overwrite_during_any_step_is_a_drop_of_its_own(
    harness: ServiceHarness, after: int
) -> None:
    """However far the first version is, the second touches nothing of it and ends by itself."""
    path = "landing/users/over.csv"
    first = harness.storage_account.land(path, users([30]).encode())
    queue: list[Message] = harness.service.on_landing(path)
    for _ in range(after):
        queue = queue or harness.service.reconcile()
        if queue:
            message, *queue = queue
            queue += harness.service.handle(message)
        harness.clock.turn(seconds=31)
    second = harness.storage_account.land(path, users([31]).encode())
    harness.drive([*queue, *harness.service.on_landing(path)])
    for version in (first, second):
        run = harness.run(name_of(version))
        assert run.state is State.SUCCEEDED
        assert harness.workspace.loads_of(run.run_id) == 1
        assert run.raw is not None
        assert harness.storage_account.lake.get(run.raw)[0].count(b"\n") == 2
    loaded = [run.raw for run in map(harness.run, map(name_of, (first, second)))]
    assert len(set(loaded)) == 2


def test_a_file_that_is_being_copied_into_landing_waits(harness: ServiceHarness) -> None:
    """A server-side copy shows the file at its full size before its bytes are there."""
    path = "landing/users/copied.csv"
    version = harness.storage_account.land(path, users([40]).encode())
    scan: Callable[[str], Version | None] = harness.storage_account.lake.head
    harness.storage_account.lake.head = lambda _: replace(version, pending=True)
    assert harness.service.on_landing(path) == []
    harness.clock.turn(seconds=SETTLED)
    assert harness.service.sweep(path) == []
    harness.storage_account.lake.head = scan
    harness.drive(harness.service.reconcile())
    assert harness.run(name_of(version)).state is State.SUCCEEDED


def test_a_copy_that_was_done_is_no_copy_in_progress(
    storage_account: StorageAccount, clock: Clock
) -> None:
    """The real SDK's word for a finished copy is read as such."""
    storage_account.land("raw/users/source-of-copy.csv", users([50]).encode())
    blobs = storage_account.lake._blobs
    source = blobs.get_blob_client("raw", "users/source-of-copy.csv")
    target = blobs.get_blob_client("landing", "users/by-copy.csv")
    target.start_copy_from_url(source.url)
    seen = storage_account.lake.head("landing/users/by-copy.csv")
    assert seen is not None
    assert not seen.pending
    harness = ServiceHarness(storage_account, clock)
    harness.drive(harness.service.on_landing("landing/users/by-copy.csv"))
    assert harness.run(name_of(seen)).state is State.SUCCEEDED
