"""The schemas that operations share, with examples."""

from __future__ import annotations

from typing import Any

from ingest.http.openapi.parts import (
    BOOLEAN,
    COUNT,
    COUNT_OR_NULL,
    DATASET,
    OBJECT_OR_NULL,
    RUN,
    RUN_ID,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    object_of,
    ref,
)
from ingest.operations.operators import ReplayOrigin
from landfall.protocol import State

_SUMMARY = {
    "run_id": {"type": "string", "pattern": RUN_ID},
    "dataset": TEXT,
    "name": TEXT,
    "path": TEXT,
    "state": ref("State"),
    "cause": TEXT,
    "rows": COUNT_OR_NULL,
    "accepted": COUNT_OR_NULL,
    "rejected": COUNT_OR_NULL,
    "inserted": COUNT_OR_NULL,
    "updated_rows": COUNT_OR_NULL,
    "resend_of": TEXT_OR_NULL,
    "sha256": TEXT_OR_NULL,
    "size": COUNT,
    "landed_at": TIME,
    "created": TIME,
    "updated": TIME,
}


SHARED_SCHEMAS: dict[str, Any] = {
    "State": {"type": "string", "enum": [state.value for state in State]},
    "Problem": {
        "description": "RFC 9457",
        **object_of({"type": TEXT, "title": TEXT, "status": {"type": "integer"}, "detail": TEXT}),
    },
    "RunSummary": object_of(_SUMMARY),
    "Transition": object_of({
        "at": TIME,
        "state": ref("State"),
        "event": TEXT,
        "cause": TEXT,
        "request": TEXT_OR_NULL,
        "count": {"type": "integer", "minimum": 1},
        "by": TEXT_OR_NULL,
    }),
    "Run": object_of(
        _SUMMARY
        | {
            "source": {"type": "object"},
            "raw": TEXT_OR_NULL,
            "judging": OBJECT_OR_NULL,
            "verdict": OBJECT_OR_NULL,
            "copy": OBJECT_OR_NULL,
            "load": OBJECT_OR_NULL,
            "history": {"type": "array", "items": ref("Transition"), "minItems": 1},
            "resends": {"type": "array", "items": TEXT},
            "links": {"type": "object"},
            "waits": TEXT_OR_NULL,
        },
        optional=("waits",),
    ),
    "Runs": object_of({
        "runs": {"type": "array", "items": ref("RunSummary")},
        "next": TEXT_OR_NULL,
    }),
    "Report": {
        "description": "the result of validation; `schema` is the version of its format",
        **object_of({
            "schema": {"const": 1},
            "dataset": TEXT,
            "verdict": {"enum": ["accepted", "accepted_with_rejects", "refused"]},
            "rows": COUNT,
            "accepted": COUNT,
            "rejected": COUNT,
            "checks": {"type": "array"},
        }),
    },
    "Backlog": object_of({
        "copies": ref("Share"),
        "loads": ref("Share"),
        "datasets": {
            "type": "array",
            "items": object_of({
                "dataset": TEXT,
                "active": COUNT,
                "states": {"type": "object", "additionalProperties": COUNT},
                "oldest": object_of({"run_id": TEXT, "landed_at": TIME}),
                "waits": {"type": "object", "additionalProperties": TEXT},
            }),
        },
        "set_aside": {"type": "array", "items": object_of({"path": TEXT, "why": TEXT})},
    }),
    "Share": object_of({"under_way": COUNT, "at_once": COUNT, "waiting": COUNT}),
    "Datasets": object_of({
        "datasets": {
            "type": "array",
            "items": object_of({
                "dataset": DATASET,
                "version": TEXT,
                "description": TEXT,
                "landing": TEXT,
                "max_rejected_ratio": {"type": "number"},
                "key": {"type": "array", "items": TEXT},
                "columns": {"type": "array", "items": {"type": "object"}},
            }),
        }
    }),
    "Replay": object_of({
        "replay_id": TEXT,
        "from": {"enum": [origin.value for origin in ReplayOrigin]},
        "reason": TEXT,
        "by": TEXT_OR_NULL,
        "query": {"type": "object"},
        "created": TIME,
        "total": COUNT,
        "reopened": COUNT,
        "refused": {"type": "object", "additionalProperties": TEXT},
        "done": BOOLEAN,
        "runs": {"type": "array", "items": TEXT},
    }),
    "DryRun": object_of({
        "dry_run": {"const": True},
        "total": COUNT,
        "runs": {"type": "array", "items": TEXT},
    }),
    "Health": object_of({"status": TEXT, "parts": {"type": "object"}}),
    "Unhealthy": object_of({
        "type": TEXT,
        "title": TEXT,
        "status": {"const": 503},
        "detail": TEXT,
        "parts": {"type": "object"},
    }),
}  # fmt: skip

SUMMARY_EXAMPLE = {
    "run_id": RUN,
    "dataset": "users",
    "name": "may.csv",
    "path": "landing/users/may.csv",
    "state": "succeeded",
    "cause": "loaded by job run 7",
    "rows": 1000,
    "accepted": 998,
    "rejected": 2,
    "inserted": 600,
    "updated_rows": 398,
    "resend_of": None,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "size": 130000,
    "landed_at": "2026-11-22T13:01:14+00:00",
    "created": "2026-11-22T13:01:15+00:00",
    "updated": "2026-11-22T13:02:40+00:00",
}

RUN_EXAMPLE = SUMMARY_EXAMPLE | {
    "source": {"path": "landing/users/may.csv", "etag": "0x8DC", "size": 130000, "via": "event"},
    "raw": f"raw/users/{RUN}-may.csv",
    "judging": None,
    "verdict": {"verdict": "accepted_with_rejects", "rows": 1000, "accepted": 998, "rejected": 2},
    "copy": {"number": 1, "attempt_id": f"{RUN}.a1", "rows": 998},
    "load": {"batch_id": "20261122T130200Z-users-5d3f0a9b1c2d4e5f", "job_run_id": 7},
    "history": [
        {
            "at": "2026-11-22T13:01:15+00:00",
            "state": "received",
            "event": "receive",
            "cause": "event for landing/users/may.csv",
            "request": None,
            "count": 1,
            "by": None,
        }
    ],
    "resends": [],
    "links": {"self": f"/runs/{RUN}", "report": f"/runs/{RUN}/report"},
    "waits": None,
}

STARTED_RUN = {202: (ref("RunSummary"), SUMMARY_EXAMPLE | {"state": "claimed"})}

STARTED_HEADERS = {
    "Location": "URL of the run",
    "Retry-After": "seconds until the next request is useful",
}

NO_RUN = {404: "unknown run"}
