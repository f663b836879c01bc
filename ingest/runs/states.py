"""The states of a run and how it moves between them, as data.

Two rules:

1. A run moves only along `TRANSITIONS`; whoever tries another move gets `IllegalTransition`.
2. Final states are left only by a retry or a replay that a person asked for.

`validating`, `copying` and `loading` can be entered again from themselves: another worker took over
an expired lease, a new attempt replaced one that came to nothing, or a drop is validated again when
what it refers to has arrived.
"""

from __future__ import annotations

from enum import StrEnum

from ingest.errors import Conflict
from landfall.protocol import FINAL, State


class Event(StrEnum):
    """What can happen to a run."""

    CLAIM = "claim"
    LOSE_SOURCE = "lose_source"
    START_VALIDATION = "start_validation"
    POSTPONE = "postpone"
    ACCEPT = "accept"
    VALIDATE_AGAIN = "validate_again"
    REFUSE = "refuse"
    REPEAT = "repeat"
    START_COPY = "start_copy"
    FINISH_COPY = "finish_copy"
    START_LOAD = "start_load"
    PUT_BACK = "put_back"
    FINISH_LOAD = "finish_load"
    FAIL = "fail"
    CANCEL = "cancel"
    RETRY_CLAIM = "retry_claim"
    RETRY_VALIDATION = "retry_validation"
    RETRY_COPY = "retry_copy"
    RETRY_LOAD = "retry_load"
    REPLAY_RAW = "replay_raw"
    REPLAY_BRONZE = "replay_bronze"


class Command(StrEnum):
    """What whoever looks at a run has to do."""

    CLAIM = "claim"  # move its file into raw
    VALIDATE = "validate"  # against its contract, unless somebody is at it
    START_COPY = "start_copy"  # where there is room
    WATCH_COPY = "watch_copy"  # find its pipeline run, conclude when that has ended
    LOAD = "load"  # form, start or watch the batch of its dataset
    ARCHIVE = "archive"  # file its document


ACTIVE = frozenset(State) - FINAL

_WAY: dict[tuple[State, Event], State] = {
    (State.RECEIVED, Event.CLAIM): State.CLAIMED,
    (State.RECEIVED, Event.LOSE_SOURCE): State.CANCELLED,
    (State.CLAIMED, Event.START_VALIDATION): State.VALIDATING,
    (State.VALIDATING, Event.START_VALIDATION): State.VALIDATING,
    (State.VALIDATING, Event.POSTPONE): State.VALIDATING,
    (State.VALIDATING, Event.ACCEPT): State.VALIDATED,
    (State.VALIDATING, Event.REFUSE): State.QUARANTINED,
    (State.VALIDATING, Event.REPEAT): State.DUPLICATE,
    (State.VALIDATED, Event.START_COPY): State.COPYING,
    (State.COPYING, Event.START_COPY): State.COPYING,
    # An earlier release has accepted the drop, and left nothing that is copied today.
    (State.VALIDATED, Event.VALIDATE_AGAIN): State.CLAIMED,
    (State.COPYING, Event.VALIDATE_AGAIN): State.CLAIMED,
    (State.COPYING, Event.FINISH_COPY): State.COPIED,
    (State.COPIED, Event.START_LOAD): State.LOADING,
    (State.LOADING, Event.START_LOAD): State.LOADING,
    (State.LOADING, Event.PUT_BACK): State.COPIED,
    (State.LOADING, Event.FINISH_LOAD): State.SUCCEEDED,
}

# A load already under way cannot be taken out of its batch: its rows may be in silver by now.
_CANCELLABLE = ACTIVE - {State.LOADING}

# A retry goes back to the last point that stands.
_RETRIES: dict[Event, State] = {
    Event.RETRY_CLAIM: State.RECEIVED,
    Event.RETRY_VALIDATION: State.CLAIMED,
    Event.RETRY_COPY: State.VALIDATED,
    Event.RETRY_LOAD: State.COPIED,
}
RETRYABLE = frozenset({State.QUARANTINED, State.FAILED, State.CANCELLED})

_DONE = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})

# A replay goes through all of it again: from the file as it landed, or from what was copied of it.
_REPLAYS: dict[Event, tuple[frozenset[State], State]] = {
    Event.REPLAY_RAW: (FINAL, State.CLAIMED),
    Event.REPLAY_BRONZE: (
        frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED}),
        State.COPIED,
    ),
}
REOPENING = frozenset(_RETRIES) | frozenset(_REPLAYS)
"""The events that leave a final state."""

TRANSITIONS: dict[tuple[State, Event], State] = {
    **_WAY,
    **{(state, Event.FAIL): State.FAILED for state in ACTIVE},
    **{(state, Event.CANCEL): State.CANCELLED for state in _CANCELLABLE},
    **{(state, event): to for state in RETRYABLE for event, to in _RETRIES.items()},
    **{(state, event): to for event, (origins, to) in _REPLAYS.items() for state in origins},
}


COMMANDS: dict[State, Command] = {
    State.RECEIVED: Command.CLAIM,
    State.CLAIMED: Command.VALIDATE,
    State.VALIDATING: Command.VALIDATE,
    State.VALIDATED: Command.START_COPY,
    State.COPYING: Command.WATCH_COPY,
    State.COPIED: Command.LOAD,
    State.LOADING: Command.LOAD,
    **dict.fromkeys(FINAL, Command.ARCHIVE),
}
"""What is done in each state; doing it twice, or by two at once, changes nothing."""


class IllegalTransition(Conflict):
    """An event that the state of a run does not allow."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"a run that is {state} cannot {event.replace('_', ' ')}")
        self.state = state
        self.event = event


def step(state: State, event: Event) -> State:
    """The state after an event.

    Raises:
        IllegalTransition: the table has no such move.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(state, event) from None
