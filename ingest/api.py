"""The HTTP API: what comes in is checked, what goes out is JSON; errors are problem documents.

Problem documents follow RFC 9457. Nothing here knows Azure Functions: a `Reply` is turned into an
HttpResponse by function_app.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ingest.contracts import Contract
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
from ingest.messages import Advance, Message
from ingest.paths import is_run_id
from ingest.run import Run, run_json, summary
from ingest.service import Landfall, checked_reason
from ingest.states import State

JSON, PROBLEM = "application/json", "application/problem+json"
POLL_AFTER_SECONDS = 5
_MAX_BODY = 64 * 1024
_DEFAULT_LIMIT, _MAX_LIMIT = 50, 500


@dataclass(frozen=True)
class Reply:
    """An HTTP response, and what goes on the queue with it."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    messages: tuple[Message, ...] = ()

    @property
    def content_type(self) -> str:
        """A problem's own media type, else JSON."""
        return PROBLEM if self.status >= 400 else JSON  # noqa: PLR2004 - HTTP's own line

    def text(self) -> str:
        """The body as it is sent."""
        return json.dumps(self.body, ensure_ascii=False)


@dataclass(frozen=True)
class Request:
    """What the API needs of an HTTP request; parameter names are as in the route."""

    body: bytes = b""
    content_type: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    route: Mapping[str, str] = field(default_factory=dict)


Endpoint = Callable[[Landfall, Request], Reply]


def answer(endpoint: Endpoint, service: Callable[[], Landfall], request: Request) -> Reply:
    """Call an endpoint; whatever it raises becomes a problem document."""
    try:
        return endpoint(service(), request)
    except LandfallError as error:
        reply = _problem(error)
        log.info("%s: %s", type(error).__name__, error)
        return reply
    except Exception:  # noqa: BLE001 - a caller gets a problem document, the log the rest
        log.exception("%s failed", endpoint.__name__)
        return Reply(500, _problem_body(500, "Internal error", "see the service's log"))


def ingest(service: Landfall, request: Request) -> Reply:
    """`POST /ingest {"dataset", "path"}`: 202, and where to ask for the run."""
    body = _json_object(request)
    unknown = set(body) - {"dataset", "path"}
    if unknown:
        raise BadRequest(f"unknown field {min(unknown)!r}; send dataset and path", 422)
    dataset, path = (_text(body, name) for name in ("dataset", "path"))
    return _accepted(*service.ingest(dataset, path))


def list_runs(service: Landfall, request: Request) -> Reply:
    """`GET /runs?dataset=&state=&limit=&cursor=`: newest first; `next` is the following cursor."""
    unknown = set(request.query) - {"dataset", "state", "limit", "cursor", "code"}
    if unknown:
        raise BadRequest(f"unknown parameter {min(unknown)!r}")
    limit = _limit(request.query.get("limit"))
    cursor = request.query.get("cursor") or None
    if cursor and not is_run_id(cursor):
        raise BadRequest(f"cursor {cursor!r} is not one of this list's")
    found = service.manifest.newest(
        limit=limit + 1,
        before=cursor,
        dataset=request.query.get("dataset") or None,
        state=_state(request.query.get("state")),
    )
    more = found[limit - 1].run_id if len(found) > limit else None
    return Reply(200, {"runs": [dict(run.summary) for run in found[:limit]], "next": more})


def get_run(service: Landfall, request: Request) -> Reply:
    """`GET /runs/{run_id}`: everything known of a run, its history included."""
    run = service.manifest.get(_run_id(request), fresh=True).run
    headers = {} if run.final else {"Retry-After": str(POLL_AFTER_SECONDS)}
    return Reply(200, details(run), headers)


def get_report(service: Landfall, request: Request) -> Reply:
    """`GET /runs/{run_id}/report`: what validation found."""
    return Reply(200, service.report(_run_id(request)))


def cancel_run(service: Landfall, request: Request) -> Reply:
    """`POST /runs/{run_id}/cancel`, optionally with {"reason"}."""
    reason = _reason(request) or "cancelled on request"
    return Reply(200, details(service.cancel(_run_id(request), reason)))


def retry_run(service: Landfall, request: Request) -> Reply:
    """`POST /runs/{run_id}/retry`, optionally with {"reason"}: 202, it is on its way again."""
    reason = _reason(request) or "tried again on request"
    return _accepted(*service.retry(_run_id(request), reason))


def list_datasets(service: Landfall, _request: Request) -> Reply:
    """`GET /datasets`: what may be dropped, where, and in which columns."""
    datasets = [_dataset(contract) for contract in service.contracts.values()]
    return Reply(200, {"datasets": datasets})


def fence(service: Landfall, request: Request) -> Reply:
    """`POST /runs/{run_id}/attempts/{attempt_id}/fence {"adf_run_id"}`: may this copy go on?"""
    adf_run_id = _text(_json_object(request), "adf_run_id")
    grant = service.fence(_run_id(request), request.route["attempt_id"], adf_run_id)
    return Reply(200, asdict(grant))


def callback(_service: Landfall, request: Request) -> Reply:
    """`POST /runs/{run_id}/attempts/{attempt_id}/callback`: a pipeline run says that it is done.

    It only wakes the run up: how the copy went is asked of Data Factory itself.
    """
    _json_object(request)
    return Reply(200, {"received": True}, messages=(Advance(_run_id(request)),))


def health(probe: Callable[[], Mapping[str, str]]) -> Reply:
    """`GET /health`: 200 with every part `ok`, else 503 with what is wrong where."""
    parts = probe()
    good = all(state == "ok" for state in parts.values())
    body = {"status": "ok" if good else "unhealthy", "parts": dict(parts)}
    if good:
        return Reply(200, body)
    wrong = "; ".join(f"{part}: {state}" for part, state in parts.items() if state != "ok")
    return Reply(503, _problem_body(503, "Unhealthy", wrong) | body)


def details(run: Run) -> dict[str, Any]:
    """A run as `GET /runs/{run_id}` shows it."""
    return summary(run) | {
        "source": _plain(run.source),
        "raw": run.raw,
        "verdict": run.verdict and _plain(run.verdict),
        "copy": run.copy and _plain(run.copy),
        "load": run.load and _plain(run.load),
        "history": [_plain(line) for line in run.history],
        "links": {"self": f"/runs/{run.run_id}", "report": f"/runs/{run.run_id}/report"},
    }


def _plain(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(asdict(value), default=run_json))
    return found


def _dataset(contract: Contract) -> dict[str, Any]:
    return {
        "dataset": contract.dataset,
        "version": contract.version,
        "description": contract.description,
        "landing": f"landing/{contract.dataset}/",
        "max_rejected_ratio": contract.max_rejected_ratio,
        **contract.table(),
    }


def _accepted(run: Run, messages: list[Message]) -> Reply:
    headers = {"Location": f"/runs/{run.run_id}", "Retry-After": str(POLL_AFTER_SECONDS)}
    return Reply(202, summary(run), headers, tuple(messages))


def _json_object(request: Request) -> Mapping[str, Any]:
    media_type = request.content_type.partition(";")[0].strip().lower()
    if media_type != JSON:
        raise BadRequest(f"content type {media_type or 'none'!r}: send {JSON}", 415)
    if len(request.body) > _MAX_BODY:
        raise BadRequest(
            f"the body has {len(request.body)} bytes, at most {_MAX_BODY} are read", 413
        )
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise BadRequest("the body is not a JSON object", 422)
    return body


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise BadRequest(f"field {name!r} is missing or not a text", 422)
    return value


def _reason(request: Request) -> str | None:
    if not request.body.strip():
        return None
    body = _json_object(request)
    return checked_reason(_text(body, "reason")) if body else None


def _run_id(request: Request) -> str:
    run_id = request.route["run_id"]
    if not is_run_id(run_id):
        raise NotFound(f"there is no run {run_id!r}")
    return run_id


def _limit(text: str | None) -> int:
    if not text:
        return _DEFAULT_LIMIT
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= _MAX_LIMIT:
        raise BadRequest(f"limit {text!r} is not a number from 1 to {_MAX_LIMIT}")
    return int(text)


def _state(text: str | None) -> State | None:
    if not text:
        return None
    try:
        return State(text)
    except ValueError:
        states = ", ".join(State)
        raise BadRequest(f"state {text!r} is not one of {states}") from None


_STATUS: tuple[tuple[type[LandfallError], int, str], ...] = (
    (NotFound, 404, "Not found"),
    (Conflict, 409, "Conflict"),
    (AlreadyExists, 409, "Conflict"),
    (Throttled, 429, "Too many requests"),
    (Retryable, 503, "Temporarily unavailable"),
    (Final, 500, "Internal error"),
)


def _problem(error: LandfallError) -> Reply:
    if isinstance(error, BadRequest):
        return Reply(error.status, _problem_body(error.status, "Bad request", str(error)))
    status, title = next((s, t) for kind, s, t in _STATUS if isinstance(error, kind))
    headers = {"Retry-After": str(POLL_AFTER_SECONDS)} if isinstance(error, Retryable) else {}
    return Reply(status, _problem_body(status, title, str(error)), headers)


def _problem_body(status: int, title: str, detail: str) -> dict[str, Any]:
    return {"type": "about:blank", "title": title, "status": status, "detail": detail}
