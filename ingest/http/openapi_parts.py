"""What operations of the API are described with: schemas that many share, and the operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Operation:
    """What is said of one route.

    Attributes:
        answers: by status, the schema of its body and an example; problems go without saying.
        problems: statuses of problem documents beside 401, 500 and 503, and when they come.
        body: schema of the request's body, with an example.
        once: it takes an Idempotency-Key.
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


TEXT, WHOLE, TRUTH = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "boolean"}
TIME = {"type": "string", "format": "date-time"}
MAYBE_TEXT = {"type": ["string", "null"]}
MAYBE_WHOLE = {"type": ["integer", "null"], "minimum": 0}
MAYBE_OBJECT = {"type": ["object", "null"]}
PROBLEM = ref("Problem")
DATASET = {"type": "string", "pattern": "^[a-z0-9][a-z0-9_]{0,62}$"}
REASON = {"type": "string", "minLength": 1, "maxLength": 500}
UNFIT = {
    400: "a value that cannot be",
    409: "the state of the run, or an Idempotency-Key under way, does not allow it",
    411: "the body came in chunks",
    413: "the body is too long",
    415: "another content type",
    422: "a field that is missing, unknown or cannot be; or a key used for another request",
}
