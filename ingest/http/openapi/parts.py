"""What descriptions of operations are made of: `Operation`, and schemas of single values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Operation:
    """The description of one route.

    Attributes:
        answers: by status, the schema of the body and an example; problem documents are not listed.
        problems: statuses of problem documents beside 401, 500 and 503, with their cause.
        body: schema of the request's body, with an example.
        once: whether it takes an Idempotency-Key.
    """

    tag: str
    summary: str
    answers: Mapping[int, tuple[Any, Any]]
    problems: Mapping[int, str] = field(default_factory=dict)
    query: Sequence[Mapping[str, Any]] = ()
    body: tuple[str, Any, Any] | None = None
    optional_body: bool = False
    once: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


def ref(name: str) -> dict[str, str]:
    """A reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def object_of(properties: Mapping[str, Any], *, optional: Sequence[str] = ()) -> dict[str, Any]:
    """The schema of an object; all but the optional properties are required."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "required": required, "properties": dict(properties)}


TEXT, COUNT, BOOLEAN = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "boolean"}
TIME = {"type": "string", "format": "date-time"}
TEXT_OR_NULL = {"type": ["string", "null"]}
COUNT_OR_NULL = {"type": ["integer", "null"], "minimum": 0}
OBJECT_OR_NULL = {"type": ["object", "null"]}
PROBLEM = ref("Problem")
DATASET = {"type": "string", "pattern": "^[a-z0-9][a-z0-9_]{0,62}$"}
REASON = {"type": "string", "minLength": 1, "maxLength": 500}
REQUEST_PROBLEMS = {
    400: "an invalid value",
    409: "not possible in this state, or a request with this Idempotency-Key is running",
    411: "a chunked body, or none; send Content-Length",
    413: "the body is too large",
    415: "an unsupported content type",
    422: "a missing, unknown or invalid field, or an Idempotency-Key of another request",
}
RUN = "20261122T130114Z-users-1f3a9c2028c43964"
"""A run id in examples."""
RUN_ID = r"^\d{8}T\d{6}Z-[a-z0-9_]{1,63}-[0-9a-f]{8}([0-9a-f]{8})?$"
"""The pattern of run ids."""
