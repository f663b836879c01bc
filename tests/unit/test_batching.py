"""Which copied drops are loaded in one batch, and why others wait."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ingest.reconcile.backlog import Backlog, Caps
from ingest.runs.document import Listed
from ingest.stages.copy_limit import CopyLimit
from ingest.stages.load.batching import Choice, Limits, choose
from landfall.contract.folder import DeliveryOptions
from landfall.protocol import State

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
NO_WINDOW = Limits(window=timedelta(0))


def run(second: int, state: State, dataset: str = "users", rows: int = 10, **more: Any) -> Listed:
    """A listed run that landed at some second."""
    run_id = f"20261124T1100{second:02}Z-{dataset}-{second:08x}"
    summary = {"accepted": rows, "landed_at": f"2026-11-24T11:00:{second:02}+00:00"}
    return Listed(run_id, dataset, state, more.get("updated", NOW), summary, {})


def chosen(runs: list[Listed], limits: Limits = NO_WINDOW, max_loads: int = 10) -> list[int]:
    """The seconds at which the members of the next batch landed."""
    members = choose(runs, "users", limits, max_loads, NOW).members
    return [int(member[13:15]) for member in members]


def test_copied_drops_are_loaded_in_one_batch() -> None:
    """The batch is ordered by landing time, and has only runs of its dataset."""
    runs = [run(3, State.COPIED), run(1, State.COPIED), run(2, State.COPIED, "orders")]
    assert chosen(runs) == [1, 3]
    assert choose([], "users", NO_WINDOW, 1, NOW) == Choice()


def test_a_batch_has_a_size() -> None:
    """A batch is limited in drops and in rows; a larger drop is loaded alone."""
    runs = [run(second, State.COPIED, rows=40) for second in range(5)]
    assert chosen(runs, Limits(max_drops=2)) == [0, 1]
    assert chosen(runs, Limits(max_rows=100)) == [0, 1]
    assert chosen(runs, Limits(max_rows=10)) == [0]


def test_a_batch_is_of_one_contract() -> None:
    """The oldest says of which version; drops that another has validated are in the next batch."""
    runs = [
        replace(run(second, State.COPIED), steering={"contract": digest})
        for second, digest in enumerate(["a", "b", "a", None, "b"])
    ]
    assert chosen(runs) == [0, 2]
    assert chosen(runs[1:]) == [1, 4]
    assert chosen(runs[3:]) == [3]


def test_a_full_batch_waits_for_nobody() -> None:
    """The window is for batches with room: those on their way would not fit anyway."""
    runs = [run(1, State.COPIED), run(2, State.COPIED), run(3, State.COPYING)]
    assert (
        choose(runs, "users", Limits(), 10, NOW).waits == "for 1 more on their way, a little while"
    )
    assert chosen(runs, Limits(max_drops=2)) == [1, 2]
    waited = [run(1, State.COPIED, updated=NOW - timedelta(seconds=10)), run(3, State.COPYING)]
    assert chosen(waited, Limits()) == [1]


def test_load_order_waits_for_earlier_drops() -> None:
    """In landing order, a drop waits for all earlier active drops."""
    runs = [run(1, State.COPIED), run(2, State.VALIDATING), run(3, State.COPIED)]
    ordered = Limits(window=timedelta(0), ordered=True)
    assert chosen(runs) == [1, 3]
    assert chosen(runs, ordered) == [1]
    waits = choose(runs[1:], "users", ordered, 10, NOW).waits
    assert waits is not None
    assert runs[1].run_id in waits
    assert chosen([runs[0], runs[2]], ordered) == [1, 3]


def test_loads_at_once_are_limited() -> None:
    """A dataset waits if the limit of loads is reached by other datasets."""
    loading = [run(1, State.LOADING, "orders"), run(2, State.LOADING, "orders")]
    copied = run(3, State.COPIED)
    assert chosen([*loading, copied], max_loads=2) == [3]
    assert choose([*loading, copied], "users", NO_WINDOW, 1, NOW).waits is not None


def test_a_contract_overrides_the_settings() -> None:
    """Options that the contract does not have are those of the service."""
    base = Limits(max_drops=500, window=timedelta(seconds=10))
    assert base.of(DeliveryOptions()) == base
    delivery = DeliveryOptions(
        ordered=True, batch_drops=3, batch_rows=9, batch_window=timedelta(seconds=0)
    )
    assert base.of(delivery) == Limits(3, 9, timedelta(0), ordered=True)


def test_the_backlog_says_what_waits_and_for_what() -> None:
    """Counts by dataset and state, the caps, and a reason for each state that waits."""
    runs = (
        run(1, State.COPYING),
        run(2, State.VALIDATED),
        run(3, State.LOADING, "orders"),
        run(4, State.COPIED, "orders"),
        run(5, State.COPIED, "views"),
    )
    limits = {"views": Limits(), "orders": Limits()}
    backlog = Backlog(runs, limits, Caps(copies=1, loads=1), NOW)
    document = backlog.document()
    assert document["copies"] == {"under_way": 1, "at_once": 1, "waiting": 1}
    assert document["loads"] == {"under_way": 1, "at_once": 1, "waiting": 1}
    users = next(dataset for dataset in document["datasets"] if dataset["dataset"] == "users")
    assert users["states"] == {"validated": 1, "copying": 1}
    assert users["oldest"]["run_id"] == runs[0].run_id
    assert users["waits"] == {"validated": "for a copy: 1 are under way, 1 may be at once"}
    assert backlog.waits("orders", State.COPIED) == "for the load of the batch before it"
    assert (
        backlog.waits("views", State.COPIED) == "1 loads are under way, as many as may be at once"
    )


@dataclass
class Copies:
    """Copies under way, as lists show them."""

    number: int = 0
    lists: int = 0

    def count(self) -> int:
        """One list call."""
        self.lists += 1
        return self.number


@pytest.mark.parametrize("cap", [1, 3, 100, 1000])
@pytest.mark.parametrize("instances", [1, 2, 5, 20, 50])
def test_many_instances_let_no_more_copies_through_than_the_cap(cap: int, instances: int) -> None:
    """Each sees the room now and then, not for each copy; together they overfill it by 5 % at most.

    They ask in turns, so that what each has seen is as old as it can be.
    """
    copies = Copies()
    gates = [CopyLimit(cap, copies.count, lambda: NOW) for _ in range(instances)]
    for turn in range(3 * cap * instances):
        copies.number += gates[turn % instances].admit()
    assert cap <= copies.number <= cap * 1.05
    assert copies.lists <= cap + 2 * instances + 50


def test_copies_that_ended_make_room_again() -> None:
    """That there is no room is believed for a while, and then looked at."""
    copies, now = Copies(), NOW
    gate = CopyLimit(2, copies.count, lambda: now)
    for _ in range(2):
        assert gate.admit()
        copies.number += 1
    assert not gate.admit()
    copies.number -= 1
    assert not gate.admit()
    now += timedelta(seconds=5)
    assert gate.admit()
    assert gate.learn(2) == 0
    assert not gate.admit()


def test_a_drop_alone_costs_no_list() -> None:
    """Where a tick has just seen that there is room, a copy is let through without a look."""
    copies = Copies()
    gate = CopyLimit(100, copies.count, lambda: NOW)
    gate.learn(0)
    assert gate.admit()
    assert copies.lists == 0
