"""The HTTP API: what comes in is checked, what goes out is JSON; errors are problem documents.

The verbs of operators are in `ingest.http.api_verbs`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Protocol

from ingest.errors import BadRequest
from ingest.http.pages import report_page, wants_page
from ingest.http.web import (
    POLL_AFTER_SECONDS,
    ApiRequest,
    ApiResponse,
    json_object,
    problem_body,
    run_id,
    text,
)
from ingest.runs.document import run_json, summary
from ingest.runs.messages import Advance, Message
from ingest.runs.run import Run
from ingest.runs.search import RunQuery, parse_moment
from ingest.service import Landfall
from landfall.contract.folder import Contract, ContractProblem
from landfall.protocol import UNASSIGNED, State, is_dataset, is_run_id

_DEFAULT_LIMIT, _MAX_LIMIT = 50, 500
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
"""A page shows what files held: nothing in it may run, or be taken for another type."""


def ingest(service: Landfall, request: ApiRequest) -> ApiResponse:
    """`POST /ingest {"dataset", "path"}`: 202, and where to ask for the run."""
    body = json_object(request)
    unknown = set(body) - {"dataset", "path"}
    if unknown:
        raise BadRequest(f"unknown field {min(unknown)!r}; send dataset and path", 422)
    dataset, path = (text(body, name) for name in ("dataset", "path"))
    return accepted(*service.ingest(dataset, path))


def list_runs(service: Landfall, request: ApiRequest) -> ApiResponse:
    """`GET /runs`: newest first; `next` is the cursor that goes on.

    Parameters: dataset, state, name, since, until, sha256, limit, cursor.
    """
    if unknown := set(request.query) - _RUNS_PARAMETERS:
        raise BadRequest(f"unknown parameter {min(unknown)!r}")
    limit = _limit(request.query.get("limit"))
    cursor = request.query.get("cursor") or None
    if cursor and not is_run_id(cursor):
        raise BadRequest(f"cursor {cursor!r} is not a cursor of this list")
    query = _query(service, request)
    runs, following = service.find_runs(query, limit, cursor)
    return ApiResponse(200, {"runs": [dict(run.summary) for run in runs], "next": following})


_RUNS_PARAMETERS = frozenset(
    {"dataset", "state", "name", "since", "until", "sha256", "limit", "cursor", "code"}
)


def _query(service: Landfall, request: ApiRequest) -> RunQuery:
    sha256 = request.query.get("sha256") or None
    if sha256 and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise BadRequest(f"sha256 {sha256!r} is not 64 hexadecimal digits")
    return RunQuery(
        dataset=_dataset_name(request.query.get("dataset")),
        state=_state(request.query.get("state")),
        name=request.query.get("name") or None,
        since=_moment(service, request, "since"),
        until=_moment(service, request, "until"),
        sha256=sha256.lower() if sha256 else None,
    )


def _moment(service: Landfall, request: ApiRequest, name: str) -> datetime | None:
    text = request.query.get(name)
    if not text:
        return None
    try:
        return parse_moment(text, service.clock())
    except ValueError:
        raise BadRequest(
            f"{name} {text!r} is not a time: use a day, an ISO 8601 time, today, yesterday, or "
            "how long ago, as 90m, 6h or 7d"
        ) from None


def get_run(service: Landfall, request: ApiRequest) -> ApiResponse:
    """`GET /runs/{run_id}`: everything known of a run, its history included."""
    run = service.manifest.get(run_id(request), fresh=True).run
    headers = {} if run.final else {"Retry-After": str(POLL_AFTER_SECONDS)}
    waits = run.blocked.cause if run.blocked else None
    if waits is None and run.state in (State.VALIDATED, State.COPIED, State.LOADING):
        waits = service.backlog_lately().waits(run.dataset, run.state)
    resends = service.operators.resends(run.run_id) if run.has_rejects else []
    return ApiResponse(200, details(run, resends) | {"waits": waits}, headers)


def get_backlog(service: Landfall, _request: ApiRequest) -> ApiResponse:
    """`GET /backlog`: how much is on its way, what waits, and for what."""
    return ApiResponse(200, service.backlog().document())


def get_report(service: Landfall, request: ApiRequest) -> ApiResponse:
    """`GET /runs/{run_id}/report`: what validation found; a page where `Accept` prefers HTML."""
    if not wants_page(request):
        return ApiResponse(200, service.report(run_id(request)), {"Vary": "Accept"})
    return ApiResponse(
        200, {}, {"Vary": "Accept", **PAGE_HEADERS}, page=report_page(service, run_id(request))
    )


def list_datasets(service: Landfall, _request: ApiRequest) -> ApiResponse:
    """`GET /datasets`: what may be dropped, where, and in which columns; wrong contracts too."""
    store = service.store
    datasets = [
        _dataset(contract) | {"from": store.origin(name)}
        for name, contract in sorted(service.contracts.items())
    ]
    problems = [problem.to_dict() for problem in store.problems]
    gold_problems = [
        {"file": problem.file, "place": problem.place, "reason": problem.reason}
        for problem in service.context.gold.deployed.problems
    ]
    body = {"datasets": datasets, "problems": problems, "gold_problems": gold_problems}
    return ApiResponse(200, body)


def fence(service: Landfall, request: ApiRequest) -> ApiResponse:
    """`POST /runs/{run_id}/attempts/{attempt_id}/fence {"adf_run_id"}`: may this copy go on?"""
    adf_run_id = text(json_object(request), "adf_run_id")
    grant = service.fence(run_id(request), request.route["attempt_id"], adf_run_id)
    return ApiResponse(200, asdict(grant))


def callback(_service: Landfall, request: ApiRequest) -> ApiResponse:
    """`POST /runs/{run_id}/attempts/{attempt_id}/callback`: a pipeline run says that it is done.

    It only wakes the run up: how the copy went is asked of Data Factory itself.
    """
    json_object(request)
    return ApiResponse(200, {"received": True}, messages=(Advance(run_id(request)),))


class ServiceHealth(Protocol):
    """What a probe of the service has found; see `ingest.wiring.Health`."""

    @property
    def parts(self) -> Mapping[str, str]:
        """Each part with `ok` or what is wrong with it."""

    @property
    def contracts(self) -> Sequence[ContractProblem]:
        """The contracts that are not in force, and why."""

    @property
    def gold(self) -> Sequence[str]:
        """The gold tables that are left out, and why."""


def health(probe: Callable[[], ServiceHealth]) -> ApiResponse:
    """`GET /health`: 200 with every part `ok`, else 503 with what is wrong where.

    Wrong contracts are named in `contracts`; the others are served, so it stays 200.
    """
    found = probe()
    parts, wrong_contracts = found.parts, [problem.to_dict() for problem in found.contracts]
    good = all(state == "ok" for state in parts.values())
    status = "degraded" if wrong_contracts or found.gold else "ok"
    body = {
        "status": status if good else "unhealthy",
        "parts": dict(parts),
        "contracts": wrong_contracts,
        "gold": list(found.gold),
    }
    if good:
        return ApiResponse(200, body)
    wrong = "; ".join(f"{part}: {state}" for part, state in parts.items() if state != "ok")
    # As in every problem (RFC 9457), `status` is the number.
    return ApiResponse(503, body | problem_body(503, "Service unavailable", wrong))


def details(run: Run, resends: Sequence[str] = ()) -> dict[str, Any]:
    """A run as `GET /runs/{run_id}` shows it."""
    return summary(run) | {
        "source": _plain(run.source),
        "raw": run.raw,
        "judging": run.judging and _plain(run.judging),
        "verdict": run.verdict and _plain(run.verdict),
        "copy": run.copy and _plain(run.copy),
        "load": run.load and _plain(run.load),
        "history": [_plain(line) for line in run.history],
        "resends": list(resends),
        "links": {"self": f"/runs/{run.run_id}", "report": f"/runs/{run.run_id}/report"},
    }


def _plain(value: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(asdict(value), default=run_json))
    return document


def _dataset(contract: Contract) -> dict[str, Any]:
    return {
        "dataset": contract.dataset,
        "version": contract.version,
        "description": contract.description,
        "landing": f"landing/{contract.dataset}/",
        "max_rejected_ratio": contract.max_rejected_ratio,
        **contract.table(),
    }


def accepted(run: Run, messages: list[Message]) -> ApiResponse:
    """202, with where to ask how the run goes on."""
    headers = {"Location": f"/runs/{run.run_id}", "Retry-After": str(POLL_AFTER_SECONDS)}
    return ApiResponse(202, summary(run), headers, tuple(messages))


def _limit(text: str | None) -> int:
    if not text:
        return _DEFAULT_LIMIT
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= _MAX_LIMIT:
        raise BadRequest(f"limit {text!r} is not a number from 1 to {_MAX_LIMIT}")
    return int(text)


def _dataset_name(text: str | None) -> str | None:
    if text and text != UNASSIGNED and not is_dataset(text):
        raise BadRequest(f"{text!r} is not a valid dataset name")
    return text or None


def _state(text: str | None) -> State | None:
    if not text:
        return None
    try:
        return State(text)
    except ValueError:
        states = ", ".join(State)
        raise BadRequest(f"state {text!r} is not one of {states}") from None
