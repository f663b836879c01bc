"""Operations on the service as a whole: health, backlog, datasets."""

from __future__ import annotations

from ingest.http.openapi.parts import Operation, ref

SERVICE_OPERATIONS: dict[str, Operation] = {
    "get_backlog": Operation(
        "service",
        "Active runs: how many, what waits, and for what",
        {
            200: (
                ref("Backlog"),
                {
                    "copies": {"under_way": 1, "at_once": 100, "waiting": 0},
                    "loads": {"under_way": 0, "at_once": 10, "waiting": 0},
                    "datasets": [],
                    "set_aside": [],
                },
            )
        },
    ),
    "list_datasets": Operation(
        "service",
        "The datasets with landing folder, key and columns",
        {
            200: (
                ref("Datasets"),
                {
                    "datasets": [
                        {
                            "dataset": "users",
                            "version": "1.0.0",
                            "description": "The users of the marketplace.",
                            "landing": "landing/users/",
                            "max_rejected_ratio": 0.05,
                            "key": ["id"],
                            "columns": [{"name": "id", "type": "integer", "required": True}],
                        }
                    ]
                },
            )
        },
    ),
    "health": Operation(
        "service",
        "Whether each part that the service needs works",
        {
            200: (ref("Health"), {"status": "ok", "parts": {"lake": "ok"}}),
            503: (
                ref("Unhealthy"),
                {
                    "type": "about:blank",
                    "title": "Service unavailable",
                    "status": 503,
                    "detail": "lake: the lake did not answer",
                    "parts": {"lake": "the lake did not answer"},
                },
            ),
        },
    ),
    "openapi": Operation(
        "service",
        "This document",
        {200: ({"type": "object"}, {"openapi": "3.1.0"})},
    ),
}
