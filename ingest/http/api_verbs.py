"""The operators' verbs over HTTP; each takes an Idempotency-Key, see `ingest.http.idempotency`."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ingest.errors import BadRequest, NotFound
from ingest.http.api import accepted, details
from ingest.http.idempotency import once
from ingest.http.web import (
    POLL_AFTER_SECONDS,
    ApiRequest,
    ApiResponse,
    fields,
    flag,
    optional_object,
    reason,
    run_id,
    text,
)
from ingest.operations.operators import OperatorRequest, ReplayOrigin
from ingest.operations.replays import ReplayPlan, ReplayQuery
from ingest.runs.messages import Replay, next_messages
from ingest.runs.run import Run
from ingest.service import Landfall
from landfall.protocol import FINAL, State

_SHOWN = 100
"""Run ids that a dry run or a replay lists; the counts are of all."""
_QUERY = ("dataset", "state", "landed_from", "landed_to", "from", "reason", "dry_run")


@once
def cancel_run(service: Landfall, request: ApiRequest) -> ApiResponse:
    """`POST /runs/{run_id}/cancel`, optionally with {"reason"}."""
    body = optional_object(request, "reason")
    operator_request = OperatorRequest(
        reason(body, "cancelled on request"), request.token, request.caller
    )
    return ApiResponse(200, details(service.operators.cancel(run_id(request), operator_request)))


@once
def retry_run(service: Landfall, request: ApiRequest) -> ApiResponse:
    """`POST /runs/{run_id}/retry`, optionally with {"reason"}: 202, it is on its way again."""
    body = optional_object(request, "reason")
    operator_request = OperatorRequest(
        reason(body, "retried on request"), request.token, request.caller
    )
    return _on_its_way(service.operators.retry(run_id(request), operator_request))


@once
def replay_run(service: Landfall, request: ApiRequest) -> ApiResponse:
    """`POST /runs/{run_id}/replay`, optionally with {"from", "reason"}: 202, all of it again."""
    body = optional_object(request, "from", "reason")
    operator_request = OperatorRequest(
        reason(body, "replayed on request"), request.token, request.caller
    )
    return _on_its_way(service.operators.replay(run_id(request), _origin(body), operator_request))


@once
def resend_rejects(service: Landfall, request: ApiRequest) -> ApiResponse:
    """`POST /runs/{run_id}/resend?name=`, with the corrected file as its body: 202, a new run."""
    if request.media_type in ("", "application/x-www-form-urlencoded", "multipart/form-data"):
        raise BadRequest(
            f"content type {request.media_type or 'none'!r}: send the file itself, as "
            "application/octet-stream or its own type",
            415,
        )
    operator_request = OperatorRequest("corrected rejects", request.token, request.caller)
    name = request.query.get("name", "")
    return _on_its_way(
        service.operators.resend(run_id(request), name, request.body, operator_request)
    )


@once
def start_replay(service: Landfall, request: ApiRequest) -> ApiResponse:
    """`POST /replays`: the ended runs of a query again; with `dry_run` only which they are."""
    body = fields(request, *_QUERY)
    query, origin = _query(service, body), _origin(body)
    if flag(body, "dry_run"):
        runs = [run.run_id for run in service.replays.select(query)]
        return ApiResponse(200, {"dry_run": True, "total": len(runs), "runs": runs[:_SHOWN]})
    replay_id = request.token or uuid.uuid4().hex
    why = reason(body, "replayed on request")
    plan = service.replays.start(replay_id, query, origin, why, request.caller)
    headers = {"Location": f"/replays/{replay_id}", "Retry-After": str(POLL_AFTER_SECONDS)}
    return ApiResponse(202, _shown(plan), headers, (Replay(replay_id),))


def get_replay(service: Landfall, request: ApiRequest) -> ApiResponse:
    """`GET /replays/{replay_id}`: how far a replay is."""
    replay_id = request.route["replay_id"]
    if not replay_id.isalnum():
        raise NotFound(f"there is no replay {replay_id!r}")
    plan = service.replays.get(replay_id)
    headers = {} if plan.done else {"Retry-After": str(POLL_AFTER_SECONDS)}
    return ApiResponse(200, _shown(plan), headers)


def _on_its_way(run: Run) -> ApiResponse:
    return accepted(run, next_messages(run))


def _shown(plan: ReplayPlan) -> dict[str, Any]:
    return {
        "replay_id": plan.replay_id,
        "from": plan.origin.value,
        "reason": plan.reason,
        "by": plan.by,
        "query": dict(plan.query),
        "created": plan.created,
        "total": len(plan.runs),
        "reopened": plan.next - len(plan.refused),
        "refused": dict(plan.refused),
        "done": plan.done,
        "runs": list(plan.runs[:_SHOWN]),
    }


def _origin(body: Mapping[str, Any]) -> ReplayOrigin:
    origin = body.get("from", ReplayOrigin.RAW)
    if origin not in list(ReplayOrigin):
        raise BadRequest(f"field 'from' is {origin!r}: say {' or '.join(ReplayOrigin)}", 422)
    return ReplayOrigin(origin)


def _query(service: Landfall, body: Mapping[str, Any]) -> ReplayQuery:
    dataset = text(body, "dataset")
    if dataset not in service.contracts:
        known = ", ".join(sorted(service.contracts))
        raise NotFound(f"there is no dataset {dataset!r}; there are: {known}")
    state = body.get("state", State.SUCCEEDED)
    if state not in sorted(FINAL):
        raise BadRequest(f"field 'state' is {state!r}, not one of {', '.join(sorted(FINAL))}", 422)
    return ReplayQuery(
        dataset, State(state), *(_time(body, name) for name in ("landed_from", "landed_to"))
    )


def _time(body: Mapping[str, Any], name: str) -> datetime | None:
    if name not in body:
        return None
    value = text(body, name)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise BadRequest(f"field {name!r} is {value!r}, not an ISO 8601 time", 422) from None
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError:
        raise BadRequest(f"field {name!r} is {value!r}, out of the range of times", 422) from None
