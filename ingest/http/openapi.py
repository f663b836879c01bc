"""The API as an OpenAPI 3.1 document, made from the routes that the app serves.

A route without a description here is an error, so the two cannot part. Every example is run by a
test, and every answer of the running app is held against the schemas.

Spec: https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ingest.http.openapi_parts import (
    DATASET,
    MAYBE_OBJECT,
    MAYBE_TEXT,
    MAYBE_WHOLE,
    REASON,
    TEXT,
    TIME,
    TRUTH,
    UNFIT,
    WHOLE,
    Operation,
    object_of,
    ref,
)
from ingest.http.openapi_parts import (
    PROBLEM as PROBLEM_SCHEMA,
)
from ingest.http.openapi_sources import SOURCE_OPERATIONS, SOURCE_SCHEMAS
from ingest.http.routes import ROUTES, Route
from ingest.http.web import JSON, PROBLEM, ApiRequest, ApiResponse
from ingest.operations.operators import ReplayOrigin
from ingest.service import Landfall
from landfall.protocol import FINAL, State

VERSION = "1.0"
"""Of the API: the first number changes with what could break a client."""
RUN = "20261122T130114Z-users-1f3a9c2028c43964"
"""A run id in examples."""
_RUN_ID = r"^\d{8}T\d{6}Z-[a-z0-9_]{1,63}-[0-9a-f]{8}([0-9a-f]{8})?$"
_ABOUT = """\
Says where every delivery is, and does what operators ask.

Versions: routes and fields are only added within version 1; clients have to bear fields that they
do not know. Lists are newest first and go on by `cursor`. Answers of `GET` carry an `ETag`:
`If-None-Match` gets 304 while nothing has changed. Errors are problem documents after RFC 9457.
A verb with an `Idempotency-Key` is done once, however often it is sent.
"""


def get_document(_service: Landfall, _request: ApiRequest) -> ApiResponse:
    """`GET /openapi.json`: this document."""
    return ApiResponse(200, document())


def document() -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, dict[str, Any]] = {}
    for name, route in ROUTES.items():
        if not route.page:
            paths.setdefault(f"/{route.path}", {})[route.method.lower()] = _operation(name, route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Landfall", "version": VERSION, "description": _ABOUT},
        "servers": [{"url": "/", "description": "this function app"}],
        "security": [{"key": []}, {"code": []}],
        "tags": [
            {"name": name} for name in ("runs", "operators", "sources", "service", "pipelines")
        ],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "x-functions-key"},
                "code": {"type": "apiKey", "in": "query", "name": "code"},
            },
            "schemas": SCHEMAS,
        },
    }


def _operation(name: str, route: Route) -> dict[str, Any]:
    said = OPERATIONS[name]
    parameters: list[Mapping[str, Any]] = [
        {
            "name": part[1:-1],
            "in": "path",
            "required": True,
            "schema": _PATH[part[1:-1]][0],
            "example": _PATH[part[1:-1]][1],
        }
        for part in route.path.split("/")
        if part.startswith("{")
    ]
    parameters += [{"in": "query", **parameter} for parameter in said.query]
    if said.once:
        parameters.append(_KEY)
    if route.method == "GET" and not route.anonymous:
        parameters.append(_KNOWN)
    operation: dict[str, Any] = {
        "operationId": name,
        "tags": [said.tag],
        "summary": said.summary,
        "responses": _responses(said, route),
    }
    if parameters:
        operation["parameters"] = parameters
    if route.anonymous:
        operation["security"] = []
    if said.body:
        kind, schema, example = said.body
        content = {"schema": schema} | ({} if example is None else {"example": example})
        operation["requestBody"] = {
            "required": not said.optional_body,
            "content": {kind: content},
        }
    return operation


def _responses(said: Operation, route: Route) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    tagged = route.method == "GET" and not route.anonymous
    told = {**said.headers, **({"ETag": "of this answer"} if tagged else {})}
    headers = {n: {"description": what, "schema": {"type": "string"}} for n, what in told.items()}
    for status, (schema, example) in said.answers.items():
        kind = PROBLEM if status >= 400 else JSON  # noqa: PLR2004 - HTTP's own line
        responses[str(status)] = {
            "description": _PHRASES[status],
            "content": {kind: {"schema": schema, "example": example}},
            **({"headers": headers} if headers else {}),
        }
    if tagged:
        responses["304"] = {"description": "it is as `If-None-Match` says"}
    common = {401: "there is no valid key"} if not route.anonymous else {}
    for status, when in sorted({**common, **said.problems, **_ALWAYS}.items()):
        if str(status) not in responses:
            content = (
                {} if status == _NO_KEY else {"content": {PROBLEM: {"schema": PROBLEM_SCHEMA}}}
            )
            responses[str(status)] = {"description": when, **content}
    return responses


_NO_KEY = 401
_TAGS = ("runs", "operators", "sources", "service", "pipelines")
_PHRASES = {200: "it is so", 202: "it is on its way", 503: "a part of it cannot work"}
_ALWAYS = {500: "an error of the service, see its log", 503: "the lake did not answer"}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "1 to 255 visible ASCII characters, such as a UUID",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[!-~]+$"},
}
_KNOWN = {
    "name": "If-None-Match",
    "in": "header",
    "description": "the `ETag` of an earlier answer",
    "schema": {"type": "string"},
}
_NAME = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$"}
_PATH = {
    "run_id": ({"type": "string", "pattern": _RUN_ID}, RUN),
    "replay_id": (
        {"type": "string", "pattern": "^[0-9a-z]{1,64}$"},
        "0d5c7f1a5a0b4c0f9a5e3e1f6c9b7a42",
    ),
    "attempt_id": (_NAME, f"{RUN}.a1"),
    "source": (_NAME, "shop"),
    "object": (_NAME, "orders"),
    "adf_run_id": (_NAME, "c0ffee00-1111-2222-3333-444444444444"),
    "dataset": ({"type": "string", "pattern": "^[a-z0-9][a-z0-9_]{0,62}$"}, "users"),
}


_SUMMARY = {
    "run_id": {"type": "string", "pattern": _RUN_ID},
    "dataset": TEXT,
    "name": TEXT,
    "path": TEXT,
    "state": ref("State"),
    "cause": TEXT,
    "rows": MAYBE_WHOLE,
    "accepted": MAYBE_WHOLE,
    "rejected": MAYBE_WHOLE,
    "inserted": MAYBE_WHOLE,
    "updated_rows": MAYBE_WHOLE,
    "resend_of": MAYBE_TEXT,
    "sha256": MAYBE_TEXT,
    "size": WHOLE,
    "landed_at": TIME,
    "created": TIME,
    "updated": TIME,
}

SCHEMAS: dict[str, Any] = {
    **SOURCE_SCHEMAS,
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
        "request": MAYBE_TEXT,
        "count": {"type": "integer", "minimum": 1},
        "by": MAYBE_TEXT,
    }),
    "Run": object_of(
        _SUMMARY
        | {
            "source": {"type": "object"},
            "raw": MAYBE_TEXT,
            "judging": MAYBE_OBJECT,
            "verdict": MAYBE_OBJECT,
            "copy": MAYBE_OBJECT,
            "load": MAYBE_OBJECT,
            "history": {"type": "array", "items": ref("Transition"), "minItems": 1},
            "resends": {"type": "array", "items": TEXT},
            "links": {"type": "object"},
            "waits": MAYBE_TEXT,
        },
        optional=("waits",),
    ),
    "Runs": object_of({"runs": {"type": "array", "items": ref("RunSummary")}, "next": MAYBE_TEXT}),
    "Report": {
        "description": "what validation found; its `schema` says of which version it is",
        **object_of({
            "schema": {"const": 1},
            "dataset": TEXT,
            "verdict": {"enum": ["accepted", "accepted_with_rejects", "refused"]},
            "rows": WHOLE,
            "accepted": WHOLE,
            "rejected": WHOLE,
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
                "active": WHOLE,
                "states": {"type": "object", "additionalProperties": WHOLE},
                "oldest": object_of({"run_id": TEXT, "landed_at": TIME}),
                "waits": {"type": "object", "additionalProperties": TEXT},
            }),
        },
        "set_aside": {"type": "array", "items": object_of({"path": TEXT, "why": TEXT})},
    }),
    "Share": object_of({"under_way": WHOLE, "at_once": WHOLE, "waiting": WHOLE}),
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
        "by": MAYBE_TEXT,
        "query": {"type": "object"},
        "created": TIME,
        "total": WHOLE,
        "reopened": WHOLE,
        "refused": {"type": "object", "additionalProperties": TEXT},
        "done": TRUTH,
        "runs": {"type": "array", "items": TEXT},
    }),
    "DryRun": object_of({
        "dry_run": {"const": True},
        "total": WHOLE,
        "runs": {"type": "array", "items": TEXT},
    }),
    "Health": object_of({"status": TEXT, "parts": {"type": "object"}}),
}  # fmt: skip

_SUMMARY_EXAMPLE = {
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
_RUN_EXAMPLE = _SUMMARY_EXAMPLE | {
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
            "cause": "learned of landing/users/may.csv by event",
            "request": None,
            "count": 1,
            "by": None,
        }
    ],
    "resends": [],
    "links": {"self": f"/runs/{RUN}", "report": f"/runs/{RUN}/report"},
    "waits": None,
}
_NO_RUN = {404: "there is no such run"}
_ACCEPTED = {202: (ref("RunSummary"), _SUMMARY_EXAMPLE | {"state": "claimed"})}
_ON_ITS_WAY = {
    "Location": "where to ask for the run",
    "Retry-After": "seconds until it is worth it",
}
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
_CONTRACT = object_of(
    {"dataset": TEXT, "version": MAYBE_TEXT, "digest": TEXT, "from": TEXT, "contract": TEXT},
    optional=("digest", "from", "contract"),
)
_CONTRACT_EXAMPLE = {
    "dataset": "users",
    "version": "1.0.0",
    "digest": "5d3f0a9b1c2d4e5f",
    "from": "pushed",
    "contract": "apiVersion: v3.1.0\nkind: DataContract\n...",
}
_NO_DATASET = {404: "there is no such dataset"}
_FENCE = object_of({"granted": TRUTH, "reason": TEXT})

OPERATIONS: dict[str, Operation] = {
    **SOURCE_OPERATIONS,
    "ingest": Operation(
        "runs",
        "Take in a file that stands in landing",
        _ACCEPTED,
        UNFIT | {404: "there is no such dataset, or no such file"},
        body=(
            JSON,
            object_of({"dataset": DATASET, "path": {"type": "string", "minLength": 1}})
            | {"additionalProperties": False},
            {"dataset": "users", "path": "landing/users/may.csv"},
        ),
        headers=_ON_ITS_WAY,
    ),
    "list_runs": Operation(
        "runs",
        "The latest runs, newest landing first",
        {200: (ref("Runs"), {"runs": [_SUMMARY_EXAMPLE], "next": None})},
        {400: "a parameter that is unknown or cannot be"},
        query=(
            {"name": "dataset", "schema": DATASET, "example": "users"},
            {"name": "state", "schema": ref("State"), "example": "succeeded"},
            {
                "name": "name",
                "description": "only files of this name, with `*` and `?`",
                "schema": {"type": "string"},
                "example": "may*.csv",
            },
            *(
                {
                    "name": name,
                    "description": f"landed {word} this time: ISO 8601, a day, `today`, "
                    "`yesterday`, or how long ago, as `6h`",
                    "schema": {"type": "string"},
                    "example": "2026-11-22",
                }
                for name, word in (("since", "from"), ("until", "before"))
            ),
            {
                "name": "sha256",
                "description": "only files of this content",
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
                "description": "the `next` of the page before",
                "schema": {"type": "string", "pattern": _RUN_ID},
                "example": RUN,
            },
        ),
    ),
    "get_run": Operation(
        "runs",
        "One run with its history",
        {200: (ref("Run"), _RUN_EXAMPLE)},
        _NO_RUN,
    ),
    "get_report": Operation(
        "runs",
        "What validation found; values of classified columns are masked",
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
        {404: "there is no such run, or it was not validated yet"},
    ),
    "cancel_run": Operation(
        "operators",
        "End a run that is not loading yet",
        {200: (ref("Run"), _RUN_EXAMPLE | {"state": "cancelled"})},
        UNFIT | _NO_RUN,
        body=(
            JSON,
            {"type": "object", "properties": {"reason": REASON}, "additionalProperties": False},
            {"reason": "the producer sent the wrong file"},
        ),
        optional_body=True,
        once=True,
    ),
    "retry_run": Operation(
        "operators",
        "Take up an ended run again, from the last point that stands",
        _ACCEPTED,
        UNFIT | _NO_RUN,
        body=(
            JSON,
            {"type": "object", "properties": {"reason": REASON}, "additionalProperties": False},
            {"reason": "the factory works again"},
        ),
        optional_body=True,
        once=True,
        headers=_ON_ITS_WAY,
    ),
    "replay_run": Operation(
        "operators",
        "Take an ended run through all of it again",
        _ACCEPTED,
        UNFIT | _NO_RUN,
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
        headers=_ON_ITS_WAY,
    ),
    "resend_rejects": Operation(
        "operators",
        "Take in corrected rejects of a run, as the body: a run of its own, linked to it",
        _ACCEPTED,
        UNFIT | _NO_RUN,
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
        headers=_ON_ITS_WAY,
    ),
    "start_replay": Operation(
        "operators",
        "Replay the ended runs of a query; with `dry_run` only say which they are",
        {
            200: (ref("DryRun"), {"dry_run": True, "total": 1, "runs": [RUN]}),
            202: (ref("Replay"), _REPLAY_EXAMPLE),
        },
        UNFIT | {404: "there is no such dataset"},
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
                    "dry_run": TRUTH,
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
        "How far a replay is",
        {200: (ref("Replay"), _REPLAY_EXAMPLE)},
        {404: "there is no such replay"},
    ),
    "get_backlog": Operation(
        "service",
        "How much is on its way, what waits, and for what",
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
        "What may be dropped, where, and in which columns",
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
    "get_contract": Operation(
        "service",
        "The contract of a dataset that is in force, as it was written",
        {200: (_CONTRACT, _CONTRACT_EXAMPLE | {"from": "project"})},
        {400: "no name of a dataset"} | _NO_DATASET,
    ),
    "put_contract": Operation(
        "operators",
        "Put a version of a contract in force; `replaces` is the digest that it was compared with",
        {200: (_CONTRACT, _CONTRACT_EXAMPLE)},
        UNFIT | {409: "another contract is in force than the caller has compared it with"},
        body=(
            JSON,
            object_of({"contract": TEXT, "replaces": MAYBE_TEXT}, optional=("replaces",))
            | {"additionalProperties": False},
            None,
        ),
    ),
    "delete_contract": Operation(
        "operators",
        "Take back a version that was put; the project's own is in force again, if it has one",
        {200: (_CONTRACT, {"dataset": "users", "version": None})},
        {400: "no name of a dataset", 404: "nothing was put for this dataset"},
    ),
    "fence": Operation(
        "pipelines",
        "Data Factory asks whether this pipeline run may copy",
        {200: (_FENCE, {"granted": False, "reason": "another pipeline run was let through"})},
        UNFIT | _NO_RUN,
        body=(
            JSON,
            object_of({"adf_run_id": {"type": "string", "minLength": 1}}),
            {"adf_run_id": "c0ffee00-1111-2222-3333-444444444444"},
        ),
    ),
    "callback": Operation(
        "pipelines",
        "Data Factory says that a copy has ended; it only wakes the run up",
        {200: (object_of({"received": {"const": True}}), {"received": True})},
        UNFIT | _NO_RUN,
        body=(JSON, {"type": "object"}, {"status": "Succeeded"}),
    ),
    "health": Operation(
        "service",
        "Whether the service can work, and what keeps it from it",
        {
            200: (ref("Health"), {"status": "ok", "parts": {"lake": "ok"}}),
            503: (
                ref("Health"),
                {
                    "type": "about:blank",
                    "title": "Unhealthy",
                    "status": "unhealthy",
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
