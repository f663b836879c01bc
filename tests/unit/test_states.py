"""The state table keeps its two rules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.runs.states import (
    ACTIVE,
    REOPENING,
    RETRYABLE,
    TRANSITIONS,
    Event,
    IllegalTransition,
    step,
)
from landfall.protocol import FINAL, State

_RETRY = {event for event in Event if event.name.startswith("RETRY")}
_REPLAY = {event for event in Event if event.name.startswith("REPLAY")}


@given(st.sampled_from(State), st.sampled_from(Event))
def test_a_move_is_in_the_table_or_refused(state: State, event: Event) -> None:
    """Rule 1: what the table does not list cannot happen."""
    if (state, event) in TRANSITIONS:
        assert step(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(IllegalTransition, match=state.value):
            step(state, event)


def test_final_states_are_left_by_a_retry_or_a_replay_alone() -> None:
    """Rule 2: nothing that happens by itself leaves a final state; only those are reopened."""
    leaving = {(state, event) for state, event in TRANSITIONS if state in FINAL}
    assert {event for _, event in leaving} == _RETRY | _REPLAY == REOPENING
    retried = {(state, event) for state, event in leaving if event in _RETRY}
    assert retried == {(state, event) for state in RETRYABLE for event in _RETRY}
    assert not {(state, event) for state, event in TRANSITIONS if state in ACTIVE} & {
        (state, event) for state in State for event in REOPENING
    }


def test_every_active_state_can_end() -> None:
    """From each active state some final state can be reached without a person's help."""
    for state in ACTIVE:
        reached, frontier = {state}, [state]
        while frontier:
            here = frontier.pop()
            for (origin, event), target in TRANSITIONS.items():
                if origin is here and event not in REOPENING and target not in reached:
                    reached.add(target)
                    frontier.append(target)
        assert {State.SUCCEEDED, State.FAILED} <= reached


def test_success_is_reached_by_the_whole_way_only() -> None:
    """No event but the end of a load makes a run succeed."""
    into = {(state, event) for (state, event), to in TRANSITIONS.items() if to is State.SUCCEEDED}
    assert into == {(State.LOADING, Event.FINISH_LOAD)}
