"""What goes over the queue: one small JSON object says which one thing to take one step further.

A message is a hint. What is to be done is decided from the documents, so one that comes twice, late
or not at all changes nothing but the time it takes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ingest.errors import BadRequest
from ingest.runs.run import Run
from landfall.protocol import State

QUEUE = "landfall-runs"
"""The queue that the messages are on."""


@dataclass(frozen=True)
class Advance:
    """Take a run one step further.

    `in_raw` says that the sender has moved the run's file there itself: nobody has to look again.
    """

    run_id: str
    in_raw: bool = False


@dataclass(frozen=True)
class Claim:
    """Claim a landed file of which no event has told."""

    path: str


@dataclass(frozen=True)
class LoadDataset:
    """Start, watch or finish the load of a dataset's copied drops."""

    dataset: str


@dataclass(frozen=True)
class Replay:
    """Take a replay of many runs one step further."""

    replay_id: str


@dataclass(frozen=True)
class Erase:
    """Take the erasure of a subject one step further."""

    erasure_id: str


@dataclass(frozen=True)
class Tick:
    """Look at all that is active; `due` is the time for which the tick was sent."""

    due: str


Message = Advance | Claim | LoadDataset | Replay | Erase | Tick

_KINDS: dict[str, type[Message]] = {
    "advance": Advance,
    "claim": Claim,
    "load": LoadDataset,
    "replay": Replay,
    "erase": Erase,
    "tick": Tick,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def encode(message: Message) -> str:
    """The message as the queue carries it."""
    fields = {name: value for name, value in vars(message).items() if value is not False}
    return json.dumps({"kind": _NAMES[type(message)], **fields})


def decode(body: bytes) -> Message:
    """A message from the queue.

    Raises:
        BadRequest: not one of ours.
    """
    try:
        fields: dict[str, Any] = json.loads(body)
        return _KINDS[fields.pop("kind")](**fields)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadRequest(f"not a message of this queue: {body[:200]!r} ({error})") from error


def next_messages(run: Run) -> list[Message]:
    """What to put on the queue after a step: states that wait for others wait for the tick.

    One that is `validated` waits for room among the copies, which the tick hands out.
    """
    if run.state is State.CLAIMED:
        return [Advance(run.run_id, in_raw=True)]
    if run.state is State.RECEIVED:
        return [Advance(run.run_id)]
    if run.state is State.COPIED:
        return [LoadDataset(run.dataset)]
    return []
