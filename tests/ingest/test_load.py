"""Batches: one load a dataset at a time, every copied drop in one, none for ever in a bad one."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from ingest import paths
from ingest.errors import Retryable, Stale, Throttled
from ingest.load import BatchLoader, LoadRules
from ingest.manifest import Manifest
from ingest.ports import JobRun
from ingest.run import Load, Source, received
from ingest.states import FINAL, Event, State
from tests.ingest.conftest import Clock, Sea
from tests.ingest.memory import MemoryLake, Pond
from tests.ingest.remote import Workspace

TABLE = {"key": ["id"], "columns": []}


def copied(sea: Any, clock: Clock, dataset: str, *names: str) -> list[str]:
    """Runs of a dataset that wait for a load."""
    manifest = Manifest(sea.lake)
    made = []
    for name in names:
        path = f"landing/{dataset}/{name}"
        source = Source(path=path, etag=name, size=1, landed=clock(), via="event")
        run = received(paths.run_id(clock(), dataset, path, name), dataset, source, clock())
        stored, _ = manifest.create(run)
        run = run.apply(Event.CLAIM, "", clock()).apply(Event.START_VALIDATION, "", clock())
        run = run.apply(Event.ACCEPT, "", clock()).apply(Event.START_COPY, "", clock())
        manifest.update(stored, run.apply(Event.FINISH_COPY, "", clock()))
        made.append(run.run_id)
    return sorted(made)


def loader(sea: Any, clock: Clock, workspace: Workspace, max_attempts: int = 2) -> BatchLoader:
    """The loader as a fresh worker has it."""
    return BatchLoader(
        lake=sea.lake,
        manifest=Manifest(sea.lake),
        loader=workspace,
        clock=clock,
        rules=LoadRules(backoff=timedelta(seconds=30), max_attempts=max_attempts),
        spark_lake="file:///{container}",
    )


def states(sea: Any, runs: Iterable[str]) -> list[State]:
    """Where runs stand, freshly read."""
    manifest = Manifest(sea.lake)
    return [manifest.get(run).run.state for run in runs]


def frozen(sea: Sea, dataset: str) -> list[str]:
    """The members of a dataset's current batch."""
    batch = json.loads(sea.lake.get(paths.current_batch(dataset))[0])
    return [drop["run_id"] for drop in batch["drops"]]


def test_copied_drops_are_loaded_together(sea: Sea, clock: Clock) -> None:
    """All that wait go into one job run; those copied meanwhile into the next."""
    dataset, workspace = "together", Workspace(status="running")
    first = copied(sea, clock, dataset, "a", "b", "c")
    load = loader(sea, clock, workspace)
    assert not load.step(dataset, TABLE)
    assert frozen(sea, dataset) == first
    late = copied(sea, clock, dataset, "d")
    assert not load.step(dataset, TABLE)
    assert states(sea, [*first, *late]) == [State.LOADING] * 3 + [State.COPIED]
    load.arrived(dataset)
    workspace.status = "succeeded"
    assert load.step(dataset, TABLE)
    assert states(sea, first) == [State.SUCCEEDED] * 3
    load.step(dataset, TABLE)
    assert states(sea, late) == [State.SUCCEEDED]
    assert len(workspace.batches) == 2
    assert not load.step(dataset, TABLE)


def test_a_crash_after_the_start_finds_the_same_job_run(sea: Sea, clock: Clock) -> None:
    """Another worker asks with the same token, and is given the run that is there."""
    dataset, workspace = "tokens", Workspace(status="running")
    copied(sea, clock, dataset, "a")
    for _ in range(3):
        loader(sea, clock, workspace).step(dataset, TABLE)
    assert (workspace.posts, len(workspace.batches)) == (3, 1)


def test_a_crash_before_the_freeze_leaves_nobody_behind(sea: Sea, clock: Clock) -> None:
    """A member that was marked and never frozen joins the next batch."""
    dataset, workspace = "orphans", Workspace()
    orphan, other = copied(sea, clock, dataset, "a", "b")
    manifest = Manifest(sea.lake)
    stored = manifest.get(orphan)
    manifest.update(
        stored, stored.run.apply(Event.START_LOAD, "", clock(), load=Load(batch_id="lost"))
    )
    loader(sea, clock, workspace).step(dataset, TABLE)
    assert states(sea, [orphan, other]) == [State.SUCCEEDED] * 2


def test_a_copied_drop_waits_a_little_for_the_others(sea: Sea, clock: Clock) -> None:
    """While others of the dataset are on their way, a batch is not frozen yet; but not for long."""
    dataset, workspace = "gather", Workspace()
    (run,) = copied(sea, clock, dataset, "a")
    path = f"landing/{dataset}/b"
    source = Source(path=path, etag="b", size=1, landed=clock(), via="event")
    coming = received(paths.run_id(clock(), dataset, path, "b"), dataset, source, clock())
    Manifest(sea.lake).create(coming)
    load = loader(sea, clock, workspace)
    load.step(dataset, TABLE)
    assert states(sea, [run]) == [State.COPIED]
    clock.turn(seconds=10)
    load.step(dataset, TABLE)
    assert states(sea, [run]) == [State.SUCCEEDED]


def test_two_workers_load_one_batch(sea: Sea, clock: Clock) -> None:
    """A worker that remembers a batch which another has closed meanwhile disturbs nothing."""
    dataset, workspace = "shared", Workspace(status="running")
    runs = copied(sea, clock, dataset, "a", "b")
    one, two = loader(sea, clock, workspace), loader(sea, clock, workspace)
    one.step(dataset, TABLE)
    two.step(dataset, TABLE)
    workspace.status = "succeeded"
    two.step(dataset, TABLE)
    assert states(sea, runs) == [State.SUCCEEDED] * 2
    more = copied(sea, clock, dataset, "c")
    workspace.status = "running"
    two.step(dataset, TABLE)
    workspace.status = "succeeded"
    for _ in range(3):
        with suppress(Retryable):
            one.step(dataset, TABLE)
    assert states(sea, more) == [State.SUCCEEDED]
    assert len(workspace.batches) == 2


def test_a_batch_is_not_frozen_over_another(clock: Clock) -> None:
    """A worker that looked before the other froze the batch finds it there, and starts nothing."""
    pond, dataset, workspace = Pond(clock), "frozen", Workspace(status="running")
    runs = copied(pond, clock, dataset, "a", "b")
    one, two = loader(pond, clock, workspace), loader(pond, clock, workspace)
    lake: Any = pond.lake
    seen = list(Manifest(lake).active())
    copied(pond, clock, dataset, "c")  # so that the other's batch would be another
    one.step(dataset, TABLE)
    before, _ = pond.lake.get(paths.current_batch(dataset))
    two._manifest.active = lambda: iter(seen)  # type: ignore[method-assign]
    two.step(dataset, TABLE)
    assert pond.lake.get(paths.current_batch(dataset))[0] == before
    assert len(workspace.batches) == 1
    assert states(pond, runs) == [State.LOADING] * 2


def test_a_batch_is_not_set_back(clock: Clock) -> None:
    """A worker that remembers an earlier attempt cannot write over what followed it."""
    pond, dataset, workspace = Pond(clock), "back", Workspace(status="running")
    copied(pond, clock, dataset, "a")
    late, other = loader(pond, clock, workspace), loader(pond, clock, workspace)
    late.step(dataset, TABLE)
    other.step(dataset, TABLE)
    workspace.status = "interrupted"
    for _ in range(3):
        other.step(dataset, TABLE)
        clock.turn(minutes=10)
    before, _ = pond.lake.get(paths.current_batch(dataset))
    assert json.loads(before)["attempt"] > 2
    with pytest.raises(Stale):
        late.step(dataset, TABLE)
    assert pond.lake.get(paths.current_batch(dataset))[0] == before


def test_the_job_is_told_where_the_batch_is(sea: Sea, clock: Clock) -> None:
    """Parameters name the lake, the dataset and the frozen batch."""
    dataset, workspace = "told", Workspace(status="running")
    copied(sea, clock, dataset, "a")
    loader(sea, clock, workspace).step(dataset, TABLE)
    (parameters,) = workspace.batches.values()
    batch = json.loads(sea.lake.get(parameters["batch"])[0])
    assert parameters["batch_id"] == batch["batch_id"]
    assert parameters["lake"] == "file:///{container}"
    assert batch["table"] == TABLE


class Poisoned(Workspace):
    """A workspace whose job fails for every batch with a certain drop in it."""

    def __init__(self, sea: Sea, dataset: str, poison: str) -> None:
        super().__init__()
        self._sea, self._dataset, self._poison = sea, dataset, poison

    def observe(self, job_run_id: int) -> JobRun | None:
        bad = self._poison in frozen(self._sea, self._dataset)
        return JobRun(job_run_id, "failed" if bad else "succeeded", "a row is poisoned")


@pytest.mark.parametrize("bad", range(5))
def test_a_poisoned_drop_ends_alone(sea: Sea, clock: Clock, bad: int) -> None:
    """A failing batch is halved until one drop fails by itself; the others succeed."""
    dataset = f"poison{bad}"
    runs = copied(sea, clock, dataset, *"abcde")
    load = loader(sea, clock, Poisoned(sea, dataset, runs[bad]), max_attempts=1)
    for _ in range(12):
        load.step(dataset, TABLE)
    expected = [State.SUCCEEDED] * 5
    expected[bad] = State.FAILED
    assert states(sea, runs) == expected
    assert "a row is poisoned" in Manifest(sea.lake).get(runs[bad]).run.cause


def test_a_failed_load_is_tried_again_after_a_while(sea: Sea, clock: Clock) -> None:
    """The second attempt waits, and has a token of its own."""
    dataset, workspace = "again", Workspace(status="failed")
    (run,) = copied(sea, clock, dataset, "a")
    load = loader(sea, clock, workspace)
    load.step(dataset, TABLE)
    assert not load.step(dataset, TABLE)
    assert len(workspace.batches) == 1
    clock.turn(seconds=30)
    workspace.status = "succeeded"
    load.step(dataset, TABLE)
    assert len(workspace.batches) == 2
    assert states(sea, [run]) == [State.SUCCEEDED]


class Flaky(MemoryLake):
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
    pond, workspace = Pond(clock), Workspace()
    lake: Any = pond.lake
    runs = copied(pond, clock, "many", *(f"{number}.csv" for number in range(400)))
    lake.__class__ = Flaky
    steps = 0
    while waiting := Counter(
        run.state for run in Manifest(lake).active() if run.state not in FINAL
    ):
        worker = loader(pond, clock, workspace)  # each time another, which remembers nothing
        with suppress(Retryable):
            worker.step("many", TABLE)
        clock.turn(seconds=11)
        steps += 1
        assert steps < 40, waiting
    lake.__class__ = MemoryLake
    assert states(pond, runs) == [State.SUCCEEDED] * 400
