"""Operations that change what a run does: cancel, retry, replay, resend."""

from __future__ import annotations

from ingest.http.openapi.parts import (
    BOOLEAN,
    DATASET,
    REASON,
    REQUEST_PROBLEMS,
    RUN,
    TIME,
    Operation,
    object_of,
    ref,
)
from ingest.http.openapi.schemas import NO_RUN, RUN_EXAMPLE, STARTED_HEADERS, STARTED_RUN
from ingest.http.web import JSON
from ingest.operations.operators import ReplayOrigin
from landfall.protocol import FINAL

_REPLAY_EXAMPLE = {
    "replay_id": "0d5c7f1a5a0b4c0f9a5e3e1f6c9b7a42",
    "from": "raw",
    "reason": "the contract was wrong",
    "by": None,
    "query": {"dataset": "users", "state": "quarantined"},
    "created": "2026-11-22T14:00:00+00:00",
    "total": 1,
    "reopened": 1,
    "refused": {},
    "done": True,
    "runs": [RUN],
}

_REASON_ONLY = {
    "type": "object",
    "properties": {"reason": REASON},
    "additionalProperties": False,
}

OPERATOR_OPERATIONS: dict[str, Operation] = {
    "cancel_run": Operation(
        "operators",
        "Cancel a run that is not loading yet",
        {200: (ref("Run"), RUN_EXAMPLE | {"state": "cancelled"})},
        REQUEST_PROBLEMS | NO_RUN,
        body=(
            JSON,
            _REASON_ONLY,
            {"reason": "the producer sent the wrong file"},
        ),
        optional_body=True,
        once=True,
    ),
    "retry_run": Operation(
        "operators",
        "Retry an ended run from its last completed step",
        STARTED_RUN,
        REQUEST_PROBLEMS | NO_RUN,
        body=(
            JSON,
            _REASON_ONLY,
            {"reason": "Data Factory is available again"},
        ),
        optional_body=True,
        once=True,
        headers=STARTED_HEADERS,
    ),
    "replay_run": Operation(
        "operators",
        "Process an ended run again from the beginning",
        STARTED_RUN,
        REQUEST_PROBLEMS | NO_RUN,
        body=(
            JSON,
            {
                "type": "object",
                "properties": {
                    "from": {"enum": [origin.value for origin in ReplayOrigin]},
                    "reason": REASON,
                },
                "additionalProperties": False,
            },
            {"from": "raw", "reason": "the contract was wrong"},
        ),
        optional_body=True,
        once=True,
        headers=STARTED_HEADERS,
    ),
    "resend_rejects": Operation(
        "operators",
        "Upload corrected rejects of a run as the body; they become a new run, linked to it",
        STARTED_RUN,
        REQUEST_PROBLEMS | NO_RUN,
        query=(
            {
                "name": "name",
                "required": True,
                "schema": {"type": "string", "pattern": r"^[A-Za-z0-9._-]{1,100}$"},
                "example": "may-corrected.csv",
            },
        ),
        body=("application/octet-stream", {"type": "string", "format": "binary"}, None),
        once=True,
        headers=STARTED_HEADERS,
    ),
    "start_replay": Operation(
        "operators",
        "Replay the ended runs that match a query; `dry_run` only lists them",
        {
            200: (ref("DryRun"), {"dry_run": True, "total": 1, "runs": [RUN]}),
            202: (ref("Replay"), _REPLAY_EXAMPLE),
        },
        REQUEST_PROBLEMS | {404: "unknown dataset"},
        body=(
            JSON,
            object_of(
                {
                    "dataset": DATASET,
                    "state": {"enum": sorted(state.value for state in FINAL)},
                    "landed_from": TIME,
                    "landed_to": TIME,
                    "from": {"enum": [origin.value for origin in ReplayOrigin]},
                    "reason": REASON,
                    "dry_run": BOOLEAN,
                },
                optional=("state", "landed_from", "landed_to", "from", "reason", "dry_run"),
            )
            | {"additionalProperties": False},
            {"dataset": "users", "state": "quarantined", "dry_run": True},
        ),
        once=True,
    ),
    "get_replay": Operation(
        "operators",
        "The progress of a replay",
        {200: (ref("Replay"), _REPLAY_EXAMPLE)},
        {404: "unknown replay"},
    ),
}
