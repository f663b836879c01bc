"""Claiming: whatever happens to a landed file, its version ends up in exactly one place."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from azure.core.exceptions import ResourceNotFoundError

from ingest import paths
from ingest.errors import Retryable
from ingest.runs.register import Register
from ingest.runs.run import Run
from ingest.runs.states import Event
from ingest.stages.claim import claim, identify
from landfall.protocol import State
from tests.ingest.conftest import Clock, StorageAccount

NAMES = [
    "may.csv",
    "with blanks.csv",
    "été ünï 東京.csv",
    "percent%2Fslash.csv",
    "100%.csv",
    "a+b&c=d?e#f.csv",
    "..dots..csv",
    "deep/er/may.csv",
    "noextension",
]


def take(storage_account: StorageAccount, path: str, clock: Clock) -> Run:
    """Claim what stands at a path, as a fresh worker."""
    version = storage_account.lake.head(path)
    assert version is not None
    return claim(
        version,
        "users",
        "event",
        lake=storage_account.lake,
        manifest=Register(storage_account.lake),
        clock=clock,
    ).run


@pytest.mark.parametrize("name", NAMES)
def test_a_drop_of_any_name_is_claimed(
    storage_account: StorageAccount, clock: Clock, name: str
) -> None:
    """The file moves to raw as it is; the name it was delivered under is kept in the record."""
    path = f"landing/users/{name}"
    storage_account.land(path, name.encode())
    run = take(storage_account, path, clock)
    assert run.state is State.CLAIMED
    assert run.source.path == path
    assert run.raw is not None
    assert run.raw.startswith(f"raw/users/{run.run_id}-")
    assert storage_account.lake.get(run.raw)[0] == name.encode()
    assert storage_account.lake.head(path) is None


def test_a_doubled_event_claims_once(storage_account: StorageAccount, clock: Clock) -> None:
    """Eight workers with the same event: one run, one file in raw, all see the same run."""
    version = storage_account.land("landing/users/doubled.csv", b"x")

    def work(_: int) -> str:
        manifest = Register(storage_account.lake)
        for _attempt in range(10):
            try:
                return claim(
                    version,
                    "users",
                    "event",
                    lake=storage_account.lake,
                    manifest=manifest,
                    clock=clock,
                ).run.run_id
            except Retryable:
                continue
        raise AssertionError("ten times in a row another worker was faster")

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(work, range(8)))
    assert set(results) == {identify(version, "users")}
    run = Register(storage_account.lake).get(results[0]).run
    assert [line.state for line in run.history] == [State.RECEIVED]
    raw = paths.raw_file("users", run.run_id, version.path)
    assert [
        entry.version.path for entry in storage_account.lake.list(f"raw/users/{run.run_id}")
    ] == [raw]


def test_an_overwritten_version_gives_way(storage_account: StorageAccount, clock: Clock) -> None:
    """A version that was overwritten before its claim is cancelled, and names its successor."""
    old = storage_account.land("landing/users/twice.csv", b"old")
    new = storage_account.land("landing/users/twice.csv", b"new")
    manifest = Register(storage_account.lake)
    lost = claim(
        old, "users", "event", lake=storage_account.lake, manifest=manifest, clock=clock
    ).run
    assert lost.state is State.CANCELLED
    assert identify(new, "users") in lost.cause
    kept = take(storage_account, "landing/users/twice.csv", clock)
    assert kept.raw is not None
    assert storage_account.lake.get(kept.raw)[0] == b"new"


def test_a_deleted_file_is_said_to_be_deleted(
    storage_account: StorageAccount, clock: Clock
) -> None:
    """A file that went away between event and claim ends as cancelled, with the cause."""
    version = storage_account.land("landing/users/gone.csv", b"x")
    storage_account.lake.delete("landing/users/gone.csv")
    manifest = Register(storage_account.lake)
    run = claim(
        version, "users", "event", lake=storage_account.lake, manifest=manifest, clock=clock
    ).run
    assert run.state is State.CANCELLED
    assert "deleted before" in run.cause
    assert Register(storage_account.lake).get(run.run_id).run == run


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("request_", ["manifest/active", "raw/users"])
def test_an_interrupted_claim_is_gone_on_with(
    storage_account: StorageAccount, clock: Clock, request_: str, when: str
) -> None:
    """A claim that fails at a write, before or after its effect, succeeds when called again."""
    path = f"landing/users/interrupted-{request_.replace('/', '-')}-{when}.csv"
    version = storage_account.land(path, b"x")
    storage_account.fault(
        method="PUT", path=request_, fault="status", status=503, when=when, times=4
    )
    manifest = Register(storage_account.lake)
    for _ in range(3):
        try:
            claim(
                version, "users", "event", lake=storage_account.lake, manifest=manifest, clock=clock
            )
        except Retryable:
            continue
    storage_account.reset_faults()
    run = claim(
        version, "users", "event", lake=storage_account.lake, manifest=manifest, clock=clock
    ).run
    assert run.state is State.CLAIMED
    assert run.raw is not None
    assert storage_account.lake.get(run.raw)[0] == b"x"


def test_a_worker_from_the_past_wakes_nothing(
    storage_account: StorageAccount, clock: Clock
) -> None:
    """A claim that stood still while the run went by finds it filed, and leaves it so."""
    version = storage_account.land("landing/users/past.csv", b"x")
    manifest = Register(storage_account.lake)
    stored = claim(
        version, "users", "event", lake=storage_account.lake, manifest=manifest, clock=clock
    )
    assert stored.run.raw is not None
    storage_account.lake.rename(stored.run.raw, "quarantine/users/past/past.csv")
    final = manifest.update(stored, stored.run.apply(Event.CANCEL, "no", clock()))
    manifest.file(final)
    late = claim(
        version,
        "users",
        "event",
        lake=storage_account.lake,
        manifest=Register(storage_account.lake),
        clock=clock,
    )
    assert late.run.state is State.CANCELLED
    assert [run for run in manifest.active() if run.run_id == stored.run.run_id] == []


def test_the_landed_name_is_free_again(storage_account: StorageAccount, clock: Clock) -> None:
    """After the claim nothing stands in landing, and the same name is a new drop."""
    storage_account.land("landing/users/again.csv", b"1")
    first = take(storage_account, "landing/users/again.csv", clock)
    storage_account.land("landing/users/again.csv", b"1")
    second = take(storage_account, "landing/users/again.csv", clock)
    assert first.run_id != second.run_id
    with pytest.raises(ResourceNotFoundError):
        storage_account.lake._blob("landing/users/again.csv").get_blob_properties()
