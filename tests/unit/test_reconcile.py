"""The tick's decisions, from what it sees alone."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ingest.ports import CopyRun, ListEntry, Version
from ingest.reconcile.tick import TickRules, due, unannounced
from ingest.runs.document import Listed
from ingest.runs.messages import Advance, Claim, LoadDataset, Message
from ingest.stages.rules import CopyRules
from landfall.protocol import State

NOW = datetime(2026, 11, 22, 13, 0, tzinfo=UTC)
RULES = TickRules(settle=timedelta(minutes=2), nudge=timedelta(minutes=2))
COPIES = CopyRules(grace=timedelta(minutes=1))


@dataclass
class Seen:
    """A Data Factory that has these runs; counts how often it is asked."""

    runs: list[CopyRun] = field(default_factory=list)
    asked: int = 0

    def start(self, parameters: Mapping[str, Any]) -> str:
        raise AssertionError(f"a tick starts nothing: {parameters}")

    def find(self, since: datetime, attempts: Collection[str]) -> list[CopyRun]:
        assert since < NOW
        assert attempts
        self.asked += 1
        return self.runs

    def observe(self, adf_run_id: str) -> CopyRun | None:
        raise AssertionError(f"a tick observes in bulk: {adf_run_id}")

    def cancel(self, adf_run_id: str) -> None:
        raise AssertionError(f"a tick cancels nothing: {adf_run_id}")


def run(state: State, age: float, **steering: Any) -> Listed:
    """An active run that was last written `age` seconds ago."""
    return Listed("r", "users", state, NOW - timedelta(seconds=age), {}, steering)


def tick(*runs: Listed, seen: Seen | None = None) -> list[Message]:
    """What a tick over these runs sends."""
    return list(due(runs, NOW, RULES, COPIES, seen or Seen()))


def test_a_run_that_waited_for_room_goes_on_at_once() -> None:
    """A validated run within the copy limit gets a message at once."""
    assert tick(run(State.VALIDATED, 0)) == [Advance("r")]


@pytest.mark.parametrize("state", [State.RECEIVED, State.CLAIMED])
def test_a_run_whose_message_was_lost_is_reminded(state: State) -> None:
    """A run that waits for a message gets a new one, but not before its time."""
    assert tick(run(state, 119)) == []
    assert tick(run(state, 120)) == [Advance("r")]


def test_an_expired_lease_is_taken_over() -> None:
    """A drop whose worker went silent is validated by another."""
    held = run(State.VALIDATING, 0, lease_until=(NOW + timedelta(seconds=1)).isoformat())
    expired = run(State.VALIDATING, 0, lease_until=NOW.isoformat())
    assert tick(held) == []
    assert tick(expired) == [Advance("r")]


def test_copied_and_loading_runs_move_by_dataset() -> None:
    """However many drops of a dataset wait, one message is enough."""
    assert tick(run(State.COPIED, 0), run(State.LOADING, 0)) == [LoadDataset("users")]


def test_a_final_run_that_was_not_filed_is_filed() -> None:
    """A crash between the last write and the filing is corrected."""
    assert tick(run(State.SUCCEEDED, 0)) == [Advance("r")]


@pytest.mark.parametrize(
    ("status", "expected"),
    [("InProgress", []), ("Queued", []), ("Succeeded", [Advance("r")]), ("Failed", [Advance("r")])],
)
def test_copies_are_observed_in_bulk(status: str, expected: list[Message]) -> None:
    """One query serves all copies of which nothing was heard; those that ended send a message."""
    intent = NOW.isoformat()
    seen = Seen([CopyRun("adf", status, "a.1")])
    copying = run(State.COPYING, 120, attempt_id="a.1", adf_run_id="adf", intent_at=intent)
    assert tick(copying, copying, seen=seen) == expected * 2
    assert seen.asked == 1


def test_an_attempt_without_a_run_is_looked_at_after_its_grace() -> None:
    """A start whose answer was lost shows up, or is replaced after the grace time."""
    grace = COPIES.grace.total_seconds()
    young = run(State.COPYING, grace - 1, attempt_id="a.1", intent_at=NOW.isoformat())
    old = run(State.COPYING, grace, attempt_id="a.1", intent_at=(NOW - COPIES.grace).isoformat())
    assert tick(young) == []
    assert tick(old) == [Advance("r")]
    assert tick(old, seen=Seen([CopyRun("adf", "InProgress", "a.1")])) == [Advance("r")]


def test_what_is_not_overdue_costs_no_query() -> None:
    """A quiet tick asks Data Factory nothing, nor one over copies that have just begun."""
    seen = Seen()
    begun = run(State.COPYING, 119, attempt_id="a.1", adf_run_id="adf", intent_at=NOW.isoformat())
    assert tick(run(State.CLAIMED, 0), begun, seen=seen) == []
    assert seen.asked == 0


def test_only_settled_drops_are_swept() -> None:
    """A file is claimed without an event once it has stood still; a writer's marks never are."""

    def entry(name: str, age: float) -> ListEntry:
        modified = NOW - timedelta(seconds=age)
        return ListEntry(Version(f"landing/users/{name}", "e", 1, modified))

    claims = unannounced(
        [entry("new.csv", 119), entry("old.csv", 120), entry("_SUCCESS", 999)], NOW, RULES
    )
    assert list(claims) == [Claim("landing/users/old.csv")]
