"""Operations on runs."""

from __future__ import annotations

from ingest.http.openapi.parts import (
    DATASET,
    REQUEST_PROBLEMS,
    RUN,
    RUN_ID,
    Operation,
    object_of,
    ref,
)
from ingest.http.openapi.schemas import (
    NO_RUN,
    RUN_EXAMPLE,
    STARTED_HEADERS,
    STARTED_RUN,
    SUMMARY_EXAMPLE,
)
from ingest.http.web import JSON

RUN_OPERATIONS: dict[str, Operation] = {
    "ingest": Operation(
        "runs",
        "Start a run for a file in landing",
        STARTED_RUN,
        REQUEST_PROBLEMS | {404: "unknown dataset, or no such file"},
        body=(
            JSON,
            object_of({"dataset": DATASET, "path": {"type": "string", "minLength": 1}})
            | {"additionalProperties": False},
            {"dataset": "users", "path": "landing/users/may.csv"},
        ),
        headers=STARTED_HEADERS,
    ),
    "list_runs": Operation(
        "runs",
        "Runs, newest landing time first",
        {200: (ref("Runs"), {"runs": [SUMMARY_EXAMPLE], "next": None})},
        {400: "an unknown or invalid parameter"},
        query=(
            {"name": "dataset", "schema": DATASET, "example": "users"},
            {"name": "state", "schema": ref("State"), "example": "succeeded"},
            {
                "name": "name",
                "description": "only files with this name; `*` and `?` are wildcards",
                "schema": {"type": "string"},
                "example": "may*.csv",
            },
            *(
                {
                    "name": name,
                    "description": f"landed {word} this time: ISO 8601, a day, `today`, "
                    "`yesterday`, or an age such as `6h`",
                    "schema": {"type": "string"},
                    "example": "2026-11-22",
                }
                for name, word in (("since", "from"), ("until", "before"))
            ),
            {
                "name": "sha256",
                "description": "only files with this content hash",
                "schema": {"type": "string", "pattern": "^[0-9a-fA-F]{64}$"},
                "example": "0" * 64,
            },
            {
                "name": "limit",
                "schema": {"type": "integer", "minimum": 1, "maximum": 500, "default": 50},
                "example": 20,
            },
            {
                "name": "cursor",
                "description": "`next` of the previous page",
                "schema": {"type": "string", "pattern": RUN_ID},
                "example": RUN,
            },
        ),
    ),
    "get_run": Operation(
        "runs",
        "One run with its history",
        {200: (ref("Run"), RUN_EXAMPLE)},
        NO_RUN,
    ),
    "get_report": Operation(
        "runs",
        "The validation report; values of classified columns are masked",
        {
            200: (
                ref("Report"),
                {
                    "schema": 1,
                    "dataset": "users",
                    "verdict": "accepted",
                    "rows": 1000,
                    "accepted": 1000,
                    "rejected": 0,
                    "checks": [],
                },
            )
        },
        {404: "unknown run, or it is not validated yet"},
    ),
}
