"""HTTP without a framework: what the endpoints are given and give back, and errors as problems.

Problem documents follow RFC 9457. Nothing here knows Azure Functions: a `ApiResponse` is turned
into an HttpResponse by function_app.py.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ingest.errors import (
    AlreadyExists,
    BadRequest,
    Conflict,
    Final,
    LandfallError,
    NotFound,
    Retryable,
    Throttled,
)
from ingest.log import log
from ingest.runs.messages import Message
from ingest.service import Landfall
from landfall.protocol import is_run_id

JSON, PROBLEM = "application/json", "application/problem+json"
POLL_AFTER_SECONDS = 5
MAX_BODY = 64 * 1024
_REASON_LENGTH = 500
_UNREADABLE = (
    "the body came in chunks (Transfer-Encoding: chunked), which do not reach the service: "
    "send it with its Content-Length"
)


@dataclass(frozen=True)
class ApiResponse:
    """An HTTP response, and what goes on the queue with it; `page` is HTML instead of a body."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    messages: tuple[Message, ...] = ()
    page: str | None = None

    @property
    def content_type(self) -> str:
        """A problem's own media type, that of a page where it is one, else JSON."""
        if self.page is not None:
            return "text/html"
        return PROBLEM if self.status >= 400 else JSON  # noqa: PLR2004 - HTTP's own line

    def text(self) -> str:
        """The body as it is sent."""
        if self.page is not None:
            return self.page
        if self.status == _NOT_MODIFIED:
            return ""
        text = json.dumps(self.body, ensure_ascii=False)
        return text.encode(errors="replace").decode()  # half a surrogate pair has no UTF-8


@dataclass(frozen=True)
class ApiRequest:
    """What the API needs of an HTTP request; parameter names are as in the route.

    Attributes:
        key: the header Idempotency-Key as it came; empty where there was none.
        token: names the request once its key was looked up; None where it has no key.
        caller: who asks, as the platform has authenticated them; None where it does not say.
        accept: the header Accept.
        chunked: the body was sent in chunks; the Functions host hands such a body on empty.
        conditional: the answer carries an ETag, and is left out where the caller has it.
        known: the header If-None-Match.
    """

    body: bytes = b""
    content_type: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    route: Mapping[str, str] = field(default_factory=dict)
    key: str = ""
    token: str | None = None
    caller: str | None = None
    chunked: bool = False
    accept: str = ""
    conditional: bool = False
    known: str | None = None

    @property
    def media_type(self) -> str:
        """The content type without its parameters."""
        return self.content_type.partition(";")[0].strip().lower()


def caller(headers: Mapping[str, str], env: Mapping[str, str]) -> str | None:
    """Who asks, as App Service's authentication has found out; None where it is not switched on.

    Only then the platform keeps callers from setting the header themselves.
    https://learn.microsoft.com/azure/app-service/configure-authentication-user-identities
    """
    if env.get("WEBSITE_AUTH_ENABLED", "").lower() != "true":
        return None
    principal = headers.get("x-ms-client-principal-name") or headers.get("x-ms-client-principal-id")
    return principal[:_CALLER_LENGTH] if principal else None


_CALLER_LENGTH = 200

Endpoint = Callable[[Landfall, ApiRequest], ApiResponse]


def answer(endpoint: Endpoint, service: Callable[[], Landfall], request: ApiRequest) -> ApiResponse:
    """Call an endpoint; whatever it raises becomes a problem document."""
    try:
        _check_arrived(request)
        reply = endpoint(service(), request)
        return _tagged(reply, request.known) if request.conditional else reply
    except LandfallError as error:
        reply = _problem(error)
        log.info("%s: %s", type(error).__name__, error)
        return reply
    except Exception:  # noqa: BLE001 - a caller gets a problem document, the log the rest
        log.exception("%s failed", endpoint.__name__)
        return ApiResponse(500, problem_body(500, "Internal error", "see the service's log"))


def _tagged(reply: ApiResponse, known: str | None) -> ApiResponse:
    """The answer with its ETag, or 304 where the caller names it."""
    if reply.status != _OK:
        return reply
    digest = hashlib.sha256(reply.text().encode()).hexdigest()[:20]
    headers = {**reply.headers, "ETag": f'"{digest}"'}
    names = [name.strip().removeprefix("W/") for name in (known or "").split(",")]
    if f'"{digest}"' in names or "*" in names:
        return ApiResponse(_NOT_MODIFIED, {}, headers)
    return replace(reply, headers=headers)


_OK, _NOT_MODIFIED = 200, 304


def _check_arrived(request: ApiRequest) -> None:
    if request.chunked and not request.body:
        raise BadRequest(_UNREADABLE, 411)


def given(parameters: Mapping[str, str]) -> dict[str, str]:
    """Query parameters that have a value; Azure's host does not pass the others on."""
    return {name: value for name, value in parameters.items() if value}


def json_object(request: ApiRequest, limit: int = MAX_BODY) -> Mapping[str, Any]:
    """The body as a JSON object of at most `limit` bytes.

    Raises:
        BadRequest: another content type, too long, not JSON, or not an object.
    """
    if request.media_type != JSON:
        raise BadRequest(f"content type {request.media_type or 'none'!r}: send {JSON}", 415)
    if len(request.body) > limit:
        raise BadRequest(f"the body has {len(request.body)} bytes, at most {limit} are read", 413)
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise BadRequest("the body is not a JSON object", 422)
    return body


def fields(request: ApiRequest, *names: str, limit: int = MAX_BODY) -> Mapping[str, Any]:
    """The body as a JSON object with these fields at most.

    Raises:
        BadRequest: as `json_object`, or a field of another name.
    """
    return _known(json_object(request, limit), names)


def optional_object(request: ApiRequest, *names: str) -> Mapping[str, Any]:
    """The same as `fields`; an empty body is an empty object."""
    return _known(json_object(request) if request.body.strip() else {}, names)


def _known(body: Mapping[str, Any], names: Sequence[str]) -> Mapping[str, Any]:
    if unknown := set(body) - set(names):
        raise BadRequest(f"unknown field {min(unknown)!r}; known: {', '.join(names)}", 422)
    return body


def flag(body: Mapping[str, Any], name: str) -> bool:
    """A field that is true or false; false where it is missing.

    Raises:
        BadRequest: it is something else.
    """
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise BadRequest(f"field {name!r} is neither true nor false", 422)
    return value


def text(body: Mapping[str, Any], name: str) -> str:
    """A field that has to be there.

    Raises:
        BadRequest: it is missing, empty or no text.
    """
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise BadRequest(f"field {name!r} is missing or not a string", 422)
    if not _encodable(value):
        raise BadRequest(f"field {name!r} has half a surrogate pair, which is no character", 422)
    return value


def _encodable(value: str) -> bool:
    return not any(0xD800 <= ord(character) <= 0xDFFF for character in value)  # noqa: PLR2004


def reason(body: Mapping[str, Any], otherwise: str) -> str:
    """Why a person wants it, fit for the history.

    Raises:
        BadRequest: no text, or longer than 500 characters.
    """
    if "reason" not in body:
        return otherwise
    value = text(body, "reason")
    if len(value) > _REASON_LENGTH:
        raise BadRequest(f"the reason is longer than {_REASON_LENGTH} characters")
    return value


def run_id(request: ApiRequest) -> str:
    """The run that the route names.

    Raises:
        NotFound: that is no run id.
    """
    named = request.route["run_id"]
    if not is_run_id(named):
        raise NotFound(f"there is no run {named!r}")
    return named


_STATUS: tuple[tuple[type[LandfallError], int, str], ...] = (
    (NotFound, 404, "Not found"),
    (Conflict, 409, "Conflict"),
    (AlreadyExists, 409, "Conflict"),
    (Throttled, 429, "Too many requests"),
    (Retryable, 503, "Temporarily unavailable"),
    (Final, 500, "Internal error"),
)


_PHRASES = {
    401: "Unauthorized",
    403: "Forbidden",
    413: "Content too large",
    415: "Unsupported media type",
    422: "Unprocessable content",
    428: "Precondition required",
}
"""The phrases of statuses (RFC 9110), which are the titles of problems of no type of their own."""


def problem(error: LandfallError) -> tuple[int, str]:
    """The status of an error, and its title."""
    if isinstance(error, BadRequest):
        return error.status, _PHRASES.get(error.status, "Bad request")
    return next((s, t) for kind, s, t in _STATUS if isinstance(error, kind))


def _problem(error: LandfallError) -> ApiResponse:
    status, title = problem(error)
    headers = {"Retry-After": str(POLL_AFTER_SECONDS)} if isinstance(error, Retryable) else {}
    return ApiResponse(status, problem_body(status, title, str(error)), headers)


def problem_body(status: int, title: str, detail: str) -> dict[str, Any]:
    """A problem document."""
    return {"type": "about:blank", "title": title, "status": status, "detail": detail}
