"""Operations that erase a subject, and say how far that is."""

from __future__ import annotations

from typing import Any

from ingest.http.openapi.parts import (
    BOOLEAN,
    COUNT,
    COUNT_OR_NULL,
    DATASET,
    OBJECT_OR_NULL,
    REASON,
    REQUEST_PROBLEMS,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    Operation,
    object_of,
    ref,
)
from ingest.http.web import JSON

_ID = "0d5c7f1a5a0b4c0f9a5e3e1f6c9b7a42"
_TARGET = {"dataset": DATASET, "columns": {"type": "array", "items": TEXT}}
_EXAMPLE = {
    "erasure_id": _ID,
    "subject": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "dataset": "users",
    "targets": [{"dataset": "users", "columns": ["identifierHash"]}],
    "references": [{"dataset": "orders", "columns": ["buyer_id"]}],
    "cascade": False,
    "reason": "request 2026-118",
    "by": None,
    "requested": "2026-11-22T14:00:00+00:00",
    "keep_hours": None,
    "stage": "done",
    "passes": 1,
    "job_run_id": None,
    "waits": None,
    "places": {"raw": {"files": 1, "records": 1}, "bronze": {"files": 1, "records": 1}},
    "runs": 3,
    "unreadable": [],
    "tables": {"rows": {"silver/users": 1}},
    "finished": "2026-11-22T14:03:00+00:00",
    "schema": 1,
}

ERASURE_SCHEMAS: dict[str, Any] = {
    "Erasure": object_of(
        {
            "erasure_id": TEXT,
            "subject": {"type": "string", "description": "HMAC-SHA-256 of dataset and key"},
            "dataset": DATASET,
            "targets": {"type": "array", "items": object_of(_TARGET)},
            "references": {"type": "array", "items": object_of(_TARGET)},
            "cascade": BOOLEAN,
            "reason": TEXT,
            "by": TEXT_OR_NULL,
            "requested": TIME,
            "keep_hours": COUNT_OR_NULL,
            "stage": {"enum": ["waiting", "files", "tables", "done", "failed"]},
            "passes": COUNT,
            "job_run_id": COUNT_OR_NULL,
            "waits": TEXT_OR_NULL,
            "places": {
                "type": "object",
                "additionalProperties": {"type": "object", "additionalProperties": COUNT},
            },
            "runs": COUNT,
            "unreadable": {"type": "array", "items": TEXT},
            "tables": OBJECT_OR_NULL,
            "finished": TEXT_OR_NULL,
            "schema": COUNT,
        }
    ),
    "ErasurePreview": object_of(
        {
            "dry_run": BOOLEAN,
            "targets": {
                "type": "array",
                "items": object_of({**_TARGET, "in_silver": COUNT_OR_NULL, "runs": COUNT}),
            },
            "references": {
                "type": "array",
                "items": object_of({**_TARGET, "in_silver": COUNT_OR_NULL}),
            },
        }
    ),
}

ERASURE_OPERATIONS: dict[str, Operation] = {
    "forget": Operation(
        "operators",
        "Erase a subject, named by the key of a dataset; `dry_run` only says what is concerned",
        {
            200: (
                ref("ErasurePreview"),
                {
                    "dry_run": True,
                    "targets": [_EXAMPLE["targets"][0] | {"in_silver": 1, "runs": 3}],  # type: ignore[index]
                    "references": [],
                },
            ),
            202: (ref("Erasure"), _EXAMPLE | {"stage": "waiting", "finished": None}),
        },
        REQUEST_PROBLEMS | {404: "unknown dataset"},
        body=(
            JSON,
            object_of(
                {
                    "key": {
                        "description": (
                            "The value of the key, or an object with the value of each of its "
                            "columns: numbers, texts, ISO 8601 dates and times"
                        ),
                        "type": ["string", "number", "object"],
                    },
                    "cascade": BOOLEAN,
                    "keep_hours": {"type": "integer", "minimum": 0, "maximum": 8760},
                    "reason": REASON,
                    "dry_run": BOOLEAN,
                },
                optional=("cascade", "keep_hours", "reason", "dry_run"),
            )
            | {"additionalProperties": False},
            {"key": 8719, "dry_run": True},
        ),
        once=True,
    ),
    "list_erasures": Operation(
        "operators",
        "Erasures under way, then the latest that have ended",
        {
            200: (
                object_of({"erasures": {"type": "array", "items": ref("Erasure")}}),
                {"erasures": [_EXAMPLE]},
            )
        },
    ),
    "get_erasure": Operation(
        "operators",
        "The progress of an erasure, and what was erased where",
        {200: (ref("Erasure"), _EXAMPLE)},
        {404: "unknown erasure"},
    ),
}
