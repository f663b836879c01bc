"""The OpenAPI 3.1 document, made from the routes that the app serves.

A route without a description is a `KeyError`, so routes and document cannot differ. A test sends
every example to the running app and checks every answer against its schema.

Spec: https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ingest.http.openapi.contracts import CONTRACT_OPERATIONS
from ingest.http.openapi.erasures import ERASURE_OPERATIONS, ERASURE_SCHEMAS
from ingest.http.openapi.operators import OPERATOR_OPERATIONS
from ingest.http.openapi.parts import PROBLEM, RUN, RUN_ID, Operation
from ingest.http.openapi.pipelines import PIPELINE_OPERATIONS
from ingest.http.openapi.runs import RUN_OPERATIONS
from ingest.http.openapi.schemas import SHARED_SCHEMAS
from ingest.http.openapi.service import SERVICE_OPERATIONS
from ingest.http.openapi.sources import SOURCE_OPERATIONS, SOURCE_SCHEMAS
from ingest.http.routes import ROUTES, Route
from ingest.http.web import JSON, ApiRequest, ApiResponse
from ingest.http.web import PROBLEM as PROBLEM_JSON
from ingest.service import Landfall

VERSION = "1.0"
"""Of the API. The first number changes when a change could break a client."""
TAGS = ("runs", "operators", "sources", "service", "pipelines")
OPERATIONS: dict[str, Operation] = {
    **RUN_OPERATIONS,
    **OPERATOR_OPERATIONS,
    **ERASURE_OPERATIONS,
    **CONTRACT_OPERATIONS,
    **SOURCE_OPERATIONS,
    **SERVICE_OPERATIONS,
    **PIPELINE_OPERATIONS,
}
SCHEMAS: dict[str, Any] = {**SOURCE_SCHEMAS, **ERASURE_SCHEMAS, **SHARED_SCHEMAS}

_ABOUT = """\
Asks for the state of runs, starts runs, and lets operators retry, replay and cancel them.

Versions: version 1 only gains routes and fields, so clients must ignore fields that they do not
know. Lists are ordered by landing time, newest first, and are paged by `cursor`. Answers of `GET`
carry an `ETag`; a request with `If-None-Match` gets 304 while nothing has changed. Errors are
problem documents (RFC 9457). A `POST` with an `Idempotency-Key` takes effect once, however often
it is sent.
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
        "tags": [{"name": name} for name in TAGS],
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
    described = OPERATIONS[name]
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
    parameters += [{"in": "query", **parameter} for parameter in described.query]
    if described.once:
        parameters.append(_KEY)
    if route.method == "GET" and not route.anonymous:
        parameters.append(_KNOWN)
    operation: dict[str, Any] = {
        "operationId": name,
        "tags": [described.tag],
        "summary": described.summary,
        "responses": _responses(described, route),
    }
    if parameters:
        operation["parameters"] = parameters
    if route.anonymous:
        operation["security"] = []
    if described.body:
        kind, schema, example = described.body
        content = {"schema": schema} | ({} if example is None else {"example": example})
        operation["requestBody"] = {
            "required": not described.optional_body,
            "content": {kind: content},
        }
    return operation


def _responses(described: Operation, route: Route) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    tagged = route.method == "GET" and not route.anonymous
    texts = {**described.headers, **({"ETag": "of this answer"} if tagged else {})}
    headers = {n: {"description": text, "schema": {"type": "string"}} for n, text in texts.items()}
    for status, (schema, example) in described.answers.items():
        kind = PROBLEM_JSON if status >= 400 else JSON  # noqa: PLR2004 - HTTP's own line
        responses[str(status)] = {
            "description": _PHRASES[status],
            "content": {kind: {"schema": schema, "example": example}},
            **({"headers": headers} if headers else {}),
        }
    if tagged:
        responses["304"] = {"description": "not changed since the `ETag` of `If-None-Match`"}
    common = {401: "no valid key"} if not route.anonymous else {}
    for status, when in sorted({**common, **described.problems, **_ALWAYS}.items()):
        if str(status) not in responses:
            content = {} if status == _NO_KEY else {"content": {PROBLEM_JSON: {"schema": PROBLEM}}}
            responses[str(status)] = {"description": when, **content}
    return responses


_NO_KEY = 401


_PHRASES = {200: "success", 202: "accepted; it goes on in the background", 503: "unhealthy"}

_ALWAYS = {500: "internal error, see the log", 503: "the lake did not answer"}

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
    "run_id": ({"type": "string", "pattern": RUN_ID}, RUN),
    "replay_id": (
        {"type": "string", "pattern": "^[0-9a-z]{1,64}$"},
        "0d5c7f1a5a0b4c0f9a5e3e1f6c9b7a42",
    ),
    "erasure_id": (
        {"type": "string", "pattern": "^[0-9a-z]{1,64}$"},
        "0d5c7f1a5a0b4c0f9a5e3e1f6c9b7a42",
    ),
    "attempt_id": (_NAME, f"{RUN}.a1"),
    "source": (_NAME, "shop"),
    "object": (_NAME, "orders"),
    "adf_run_id": (_NAME, "c0ffee00-1111-2222-3333-444444444444"),
    "dataset": ({"type": "string", "pattern": "^[a-z0-9][a-z0-9_]{0,62}$"}, "users"),
}
