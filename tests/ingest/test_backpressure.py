"""Caps and batches through the whole service: what has no room waits, is seen, and goes on."""

from __future__ import annotations

import pytest

from ingest.http import api
from ingest.runs.messages import Advance, LoadDataset
from landfall.protocol import State
from tests.e2e.drops import users
from tests.ingest.conftest import Clock
from tests.ingest.harness import ServiceHarness
from tests.ingest.memory import InMemoryAccount


def landed(harness: ServiceHarness, name: str, seeds: range) -> list[str]:
    """Drops whose events were heard and worked, so far as copies go."""
    made = []
    for seed in seeds:
        path = f"landing/users/{name}-{seed}.csv"
        harness.storage_account.land(path, users(range(seed * 10, seed * 10 + 2)).encode())
        queue = harness.service.on_landing(path)
        while queue:
            message, *queue = queue
            if isinstance(message, Advance):
                made.append(message.run_id)
                queue += harness.service.handle(message)
    return list(dict.fromkeys(made))


def states(harness: ServiceHarness, runs: list[str]) -> list[State]:
    """Where runs stand."""
    return [harness.run(run).state for run in runs]


def test_copies_beyond_the_cap_wait_and_are_seen(clock: Clock) -> None:
    """Two copies at once: the others stay validated, say why, and go on as copies end."""
    harness = ServiceHarness(InMemoryAccount(clock), clock, {"LANDFALL_MAX_COPIES": "2"})
    harness.factory.holding = True
    runs = landed(harness, "cap", range(100, 105))
    assert states(harness, runs) == [State.COPYING] * 2 + [State.VALIDATED] * 3
    backlog = harness.post(api.get_backlog).body
    assert backlog["copies"] == {"under_way": 2, "at_once": 2, "waiting": 3}
    shown = harness.post(api.get_run, run_id=runs[-1]).body
    assert shown["waits"] == "for a copy: 2 are under way, 2 may be at once"
    assert not {Advance(run) for run in runs[2:]} & set(harness.service.reconcile())
    clock.turn(hours=1)
    harness.drive(harness.service.reconcile(), ticks=1)
    assert states(harness, runs).count(State.VALIDATED) == 3
    for _ in range(4):
        for name, run in list(harness.factory.runs.items()):
            if run.status == "InProgress":
                harness.factory.copy(name)
        assert sum(r.status == "InProgress" for r in harness.factory.runs.values()) == 0
        harness.drive(harness.service.reconcile(), ticks=2)
        under_way = sum(r.status == "InProgress" for r in harness.factory.runs.values())
        assert under_way <= 2
    harness.drive(harness.service.reconcile())
    assert states(harness, runs) == [State.SUCCEEDED] * 5
    assert len(harness.factory.started) == 5


def test_loads_beyond_the_cap_wait(clock: Clock) -> None:
    """One load at once: a second dataset's drops wait for the first's batch, and say so."""
    harness = ServiceHarness(InMemoryAccount(clock), clock, {"LANDFALL_MAX_LOADS": "1"})
    harness.workspace.status = "running"
    (first,) = landed(harness, "first", range(110, 111))
    harness.drive(harness.service.reconcile())
    assert harness.run(first).state is State.LOADING
    path = "landing/buyers_by_country/b.csv"
    harness.storage_account.land(path, b"x")
    other = harness.service.backlog()
    assert len(other.loading) == 1
    assert harness.service.load("users") == []
    backlog = harness.post(api.get_backlog).body
    assert backlog["loads"] == {"under_way": 1, "at_once": 1, "waiting": 0}
    harness.workspace.status = "succeeded"
    harness.drive(harness.service.reconcile())
    assert harness.run(first).state is State.SUCCEEDED


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("bad", [0, 2, 4])
def test_a_poisoned_drop_ends_alone_in_batches_of_any_size(
    clock: Clock, size: int, bad: int
) -> None:
    """Wherever it stands and however the batches are cut, it fails alone and all others succeed."""
    harness = ServiceHarness(InMemoryAccount(clock), clock, {"LANDFALL_BATCH_MAX_DROPS": str(size)})
    seed = 120 + 30 * size + 6 * bad
    harness.workspace.status = "running"
    runs = landed(harness, f"poison-{size}-{bad}", range(seed, seed + 5))
    harness.workspace.status = "succeeded"
    harness.workspace.poison = {runs[bad]}
    harness.drive([LoadDataset("users")], ticks=30)
    expected = [State.SUCCEEDED] * 5
    expected[bad] = State.FAILED
    assert states(harness, runs) == expected
    assert "poisoned" in harness.run(runs[bad]).cause
    assert all(len(document["drops"]) <= size for document in harness.workspace.documents)
    loaded = [
        drop["run_id"]
        for number, document in enumerate(harness.workspace.documents)
        if (seen := harness.workspace.observe(number + 1)) and seen.status == "succeeded"
        for drop in document["drops"]
    ]
    assert sorted(loaded) == sorted(run for run in runs if run != runs[bad])
