"""Batches: one load a dataset at a time, every copied drop in one, none for ever in a bad one."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from ingest import paths
from ingest.errors import Retryable, Stale, Throttled
from ingest.ports import JobRun
from ingest.runs.register import Register
from ingest.runs.run import LandedVersion, Load, received
from ingest.runs.states import Event
from ingest.stages.load.stage import BatchLoader
from ingest.stages.rules import LoadRules, Rules
from landfall import protocol
from landfall.protocol import FINAL, State
from tests.ingest.conftest import Clock, StorageAccount
from tests.ingest.contexts import stage_context
from tests.ingest.controlled_workers import ControlledWorker, Interceptor
from tests.ingest.memory import InMemoryAccount, InMemoryLake
from tests.ingest.remote import Workspace

TABLE = {"key": ["id"], "columns": []}


def table(_digest: str | None) -> Mapping[str, Any]:
    """The table of the only contract there is."""
    return TABLE


def copied(storage_account: Any, clock: Clock, dataset: str, *names: str) -> list[str]:
    """Runs of a dataset that wait for a load."""
    manifest = Register(storage_account.lake)
    made = []
    for name in names:
        path = f"landing/{dataset}/{name}"
        source = LandedVersion(path=path, etag=name, size=1, landed=clock(), via="event")
        run = received(protocol.run_id(clock(), dataset, path, name), dataset, source, clock())
        stored, _ = manifest.create(run)
        run = run.apply(Event.CLAIM, "", clock()).apply(Event.START_VALIDATION, "", clock())
        run = run.apply(Event.ACCEPT, "", clock()).apply(Event.START_COPY, "", clock())
        manifest.update(stored, run.apply(Event.FINISH_COPY, "", clock()))
        made.append(run.run_id)
    return sorted(made)


def loader(
    storage_account: Any, clock: Clock, workspace: Workspace, max_attempts: int = 2
) -> BatchLoader:
    """The loader as a fresh worker has it."""
    rules = Rules(load=LoadRules(backoff=timedelta(seconds=30), max_attempts=max_attempts))
    return BatchLoader(stage_context(storage_account.lake, clock, loader=workspace, rules=rules))


def strung(account: InMemoryAccount) -> Any:
    """The same lake, before whose calls puppets stop."""
    return SimpleNamespace(lake=Interceptor("lake", account.lake))


def states(storage_account: Any, runs: Iterable[str]) -> list[State]:
    """Where runs stand, freshly read."""
    manifest = Register(storage_account.lake)
    return [manifest.get(run).run.state for run in runs]


def frozen(storage_account: StorageAccount, dataset: str) -> list[str]:
    """The members of a dataset's current batch."""
    batch = json.loads(storage_account.lake.get(paths.current_batch(dataset))[0])
    return [drop["run_id"] for drop in batch["drops"]]


def test_copied_drops_are_loaded_together(storage_account: StorageAccount, clock: Clock) -> None:
    """All that wait go into one job run; those copied meanwhile into the next."""
    dataset, workspace = "together", Workspace(status="running")
    first = copied(storage_account, clock, dataset, "a", "b", "c")
    load = loader(storage_account, clock, workspace)
    assert not load.step(dataset, table)
    assert frozen(storage_account, dataset) == first
    late = copied(storage_account, clock, dataset, "d")
    assert not load.step(dataset, table)
    assert states(storage_account, [*first, *late]) == [State.LOADING] * 3 + [State.COPIED]
    load.arrived(dataset)
    workspace.status = "succeeded"
    assert load.step(dataset, table)
    assert states(storage_account, first) == [State.SUCCEEDED] * 3
    load.step(dataset, table)
    assert states(storage_account, late) == [State.SUCCEEDED]
    assert len(workspace.batches) == 2
    assert not load.step(dataset, table)


def test_a_crash_after_the_start_finds_the_same_job_run(
    storage_account: StorageAccount, clock: Clock
) -> None:
    """Another worker asks with the same token, and is given the run that is there."""
    dataset, workspace = "tokens", Workspace(status="running")
    copied(storage_account, clock, dataset, "a")
    for _ in range(3):
        loader(storage_account, clock, workspace).step(dataset, table)
    assert (workspace.posts, len(workspace.batches)) == (3, 1)


def test_a_crash_before_the_freeze_leaves_nobody_behind(
    storage_account: StorageAccount, clock: Clock
) -> None:
    """A member that was marked and never frozen joins the next batch."""
    dataset, workspace = "orphans", Workspace()
    orphan, other = copied(storage_account, clock, dataset, "a", "b")
    manifest = Register(storage_account.lake)
    stored = manifest.get(orphan)
    manifest.update(
        stored, stored.run.apply(Event.START_LOAD, "", clock(), load=Load(batch_id="lost"))
    )
    loader(storage_account, clock, workspace).step(dataset, table)
    assert states(storage_account, [orphan, other]) == [State.SUCCEEDED] * 2


def test_a_copied_drop_waits_a_little_for_the_others(
    storage_account: StorageAccount, clock: Clock
) -> None:
    """While others of the dataset are on their way, a batch is not frozen yet; but not for long."""
    dataset, workspace = "gather", Workspace()
    (run,) = copied(storage_account, clock, dataset, "a")
    path = f"landing/{dataset}/b"
    source = LandedVersion(path=path, etag="b", size=1, landed=clock(), via="event")
    coming = received(protocol.run_id(clock(), dataset, path, "b"), dataset, source, clock())
    Register(storage_account.lake).create(coming)
    load = loader(storage_account, clock, workspace)
    load.step(dataset, table)
    assert states(storage_account, [run]) == [State.COPIED]
    clock.turn(seconds=10)
    load.step(dataset, table)
    assert states(storage_account, [run]) == [State.SUCCEEDED]


def test_two_workers_load_one_batch(storage_account: StorageAccount, clock: Clock) -> None:
    """A worker that remembers a batch which another has closed meanwhile disturbs nothing."""
    dataset, workspace = "shared", Workspace(status="running")
    runs = copied(storage_account, clock, dataset, "a", "b")
    one, two = loader(storage_account, clock, workspace), loader(storage_account, clock, workspace)
    one.step(dataset, table)
    two.step(dataset, table)
    workspace.status = "succeeded"
    two.step(dataset, table)
    assert states(storage_account, runs) == [State.SUCCEEDED] * 2
    more = copied(storage_account, clock, dataset, "c")
    workspace.status = "running"
    two.step(dataset, table)
    workspace.status = "succeeded"
    for _ in range(3):
        with suppress(Retryable):
            one.step(dataset, table)
    assert states(storage_account, more) == [State.SUCCEEDED]
    assert len(workspace.batches) == 2


def test_a_batch_is_not_frozen_over_another(clock: Clock) -> None:
    """A worker that looked before the other froze the batch finds it there, and starts nothing."""
    account, dataset, workspace = InMemoryAccount(clock), "frozen", Workspace(status="running")
    runs = copied(account, clock, dataset, "a", "b")
    one, two = loader(account, clock, workspace), loader(account, clock, workspace)
    lake: Any = account.lake
    seen = list(Register(lake).active())
    copied(account, clock, dataset, "c")  # so that the other's batch would be another
    one.step(dataset, table)
    before, _ = account.lake.get(paths.current_batch(dataset))
    two._context.manifest.active = lambda set_aside=None: iter(seen)  # type: ignore[method-assign]  # noqa: ARG005
    two.step(dataset, table)
    assert account.lake.get(paths.current_batch(dataset))[0] == before
    assert len(workspace.batches) == 1
    assert states(account, runs) == [State.LOADING] * 2


def test_a_batch_is_not_set_back(clock: Clock) -> None:
    """A worker that stands still before it writes cannot write over what followed it."""
    account, dataset, workspace = InMemoryAccount(clock), "back", Workspace(status="running")
    copied(account, clock, dataset, "a")
    late, other = (loader(strung(account), clock, workspace) for _ in range(2))
    late.step(dataset, table)
    other.step(dataset, table)
    workspace.status = "interrupted"
    worker = ControlledWorker(lambda: late.step(dataset, table))
    while worker.at != "lake.put":
        worker.step()
    for _ in range(3):
        other.step(dataset, table)
        clock.turn(minutes=10)
    before, _ = account.lake.get(paths.current_batch(dataset))
    assert json.loads(before)["attempt"] > 2
    worker.finish()
    assert isinstance(worker.error, Stale)
    assert account.lake.get(paths.current_batch(dataset))[0] == before


def test_the_job_is_told_where_the_batch_is(storage_account: StorageAccount, clock: Clock) -> None:
    """Parameters name the lake, the dataset and the frozen batch."""
    dataset, workspace = "told", Workspace(status="running")
    copied(storage_account, clock, dataset, "a")
    loader(storage_account, clock, workspace).step(dataset, table)
    (parameters,) = workspace.batches.values()
    batch = json.loads(storage_account.lake.get(parameters["batch"])[0])
    assert parameters["batch_id"] == batch["batch_id"]
    assert parameters["lake"] == "file:///{container}"
    assert batch["table"] == TABLE


class Poisoned(Workspace):
    """A workspace whose job fails for every batch with a certain drop in it."""

    def __init__(self, storage_account: StorageAccount, dataset: str, poison: str) -> None:
        super().__init__()
        self._sea, self._dataset, self._poison = storage_account, dataset, poison

    def observe(self, job_run_id: int) -> JobRun | None:
        bad = self._poison in frozen(self._sea, self._dataset)
        return JobRun(job_run_id, "failed" if bad else "succeeded", "a row is poisoned")


@pytest.mark.parametrize("bad", range(5))
def test_a_poisoned_drop_ends_alone(
    storage_account: StorageAccount, clock: Clock, bad: int
) -> None:
    """A failing batch is halved until one drop fails by itself; the others succeed."""
    dataset = f"poison{bad}"
    runs = copied(storage_account, clock, dataset, *"abcde")
    load = loader(
        storage_account, clock, Poisoned(storage_account, dataset, runs[bad]), max_attempts=1
    )
    for _ in range(12):
        load.step(dataset, table)
    expected = [State.SUCCEEDED] * 5
    expected[bad] = State.FAILED
    assert states(storage_account, runs) == expected
    assert "a row is poisoned" in Register(storage_account.lake).get(runs[bad]).run.cause


def test_a_failed_load_is_tried_again_after_a_while(
    storage_account: StorageAccount, clock: Clock
) -> None:
    """The second attempt waits, and has a token of its own."""
    dataset, workspace = "again", Workspace(status="failed")
    (run,) = copied(storage_account, clock, dataset, "a")
    load = loader(storage_account, clock, workspace)
    load.step(dataset, table)
    assert not load.step(dataset, table)
    assert len(workspace.batches) == 1
    clock.turn(seconds=30)
    workspace.status = "succeeded"
    load.step(dataset, table)
    assert len(workspace.batches) == 2
    assert states(storage_account, [run]) == [State.SUCCEEDED]


class Flaky(InMemoryLake):
    """The lake, where one request in twenty fails before it does anything."""

    chance = random.Random(7)  # noqa: S311 - chances that can be had again

    def get(self, path: str) -> tuple[bytes, str]:
        self._perhaps_not()
        return super().get(path)

    def put(self, path: str, data: bytes, **options: Any) -> str:
        self._perhaps_not()
        return super().put(path, data, **options)

    def rename(self, source: str, target: str, **options: Any) -> None:
        self._perhaps_not()
        super().rename(source, target, **options)

    def _perhaps_not(self) -> None:
        if self.chance.random() < 0.05:
            raise Throttled("429")


def test_a_large_batch_ends_though_requests_fail(clock: Clock) -> None:
    """What was done for one member is not undone, or looked at again, for want of another."""
    account, workspace = InMemoryAccount(clock), Workspace()
    lake: Any = account.lake
    runs = copied(account, clock, "many", *(f"{number}.csv" for number in range(400)))
    lake.__class__ = Flaky
    steps = 0
    while waiting := Counter(
        run.state for run in Register(lake).active() if run.state not in FINAL
    ):
        worker = loader(account, clock, workspace)  # each time another, which remembers nothing
        with suppress(Retryable):
            worker.step("many", table)
        clock.turn(seconds=11)
        steps += 1
        assert steps < 40, waiting
    lake.__class__ = InMemoryLake
    assert states(account, runs) == [State.SUCCEEDED] * 400
