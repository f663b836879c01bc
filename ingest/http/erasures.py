"""Erasure of one subject over HTTP: asked for, and how far it is.

The key is in the body, never in the address, which is logged. Nothing of the request is kept but
the erasure itself: its id is made of the Idempotency-Key, so a request that comes twice starts one.
"""

from __future__ import annotations

import uuid

from ingest.errors import BadRequest, NotFound
from ingest.http.idempotency import token_of
from ingest.http.web import POLL_AFTER_SECONDS, ApiRequest, ApiResponse, fields, flag, reason
from ingest.operations.erasure.erasures import ErasureRequest
from ingest.runs.messages import Erase
from ingest.service import Landfall

_FIELDS = ("key", "cascade", "keep_hours", "reason", "dry_run")
_MOST_HOURS = 24 * 365


def forget(service: Landfall, request: ApiRequest) -> ApiResponse:
    """`POST /datasets/{dataset}/forget {"key"}`: 202, and where to ask how far the erasure is."""
    body = fields(request, *_FIELDS)
    if "key" not in body:
        raise BadRequest("field 'key' is missing: the key of the subject", 422)
    cascade, dry_run = (flag(body, name) for name in ("cascade", "dry_run"))
    asked = ErasureRequest(
        dataset=request.route["dataset"],
        key=body["key"],
        cascade=cascade,
        keep_hours=_hours(body.get("keep_hours")),
        reason=reason(body, "erased on request"),
        by=request.caller,
    )
    if dry_run:
        return ApiResponse(200, service.erasures.preview(asked))
    erasure_id = token_of(request.key) if request.key.strip() else uuid.uuid4().hex
    erasure = service.erasures.start(erasure_id, asked)
    headers = {"Location": f"/erasures/{erasure_id}", "Retry-After": str(POLL_AFTER_SECONDS)}
    return ApiResponse(202, erasure, headers, (Erase(erasure_id),))


def list_erasures(service: Landfall, _request: ApiRequest) -> ApiResponse:
    """`GET /erasures`: those under way, then the latest that have ended."""
    return ApiResponse(200, {"erasures": service.erasures.latest()})


def get_erasure(service: Landfall, request: ApiRequest) -> ApiResponse:
    """`GET /erasures/{erasure_id}`: how far it is, and what was erased where."""
    erasure_id = request.route["erasure_id"]
    if not erasure_id.isalnum():
        raise NotFound(f"there is no erasure {erasure_id!r}")
    erasure = service.erasures.get(erasure_id)
    headers = {} if erasure["finished"] else {"Retry-After": str(POLL_AFTER_SECONDS)}
    return ApiResponse(200, erasure, headers)


def _hours(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_HOURS:
        raise BadRequest(f"field 'keep_hours' is {value!r}, not a number of hours", 422)
    return value
