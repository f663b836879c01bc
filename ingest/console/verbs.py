"""What people do in the console: a page that asks for a reason, and the API's own verb behind it.

A form carries an Idempotency-Key, so that one that is sent twice is done once; what the API answers
to a request that cannot be done is shown on the form, with the reason as it was written.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from ingest import paths
from ingest.console.app import Visit
from ingest.console.views import run as run_view
from ingest.console.web import ConsoleResponse, Form, redirect
from ingest.errors import BadRequest, NotFound
from ingest.http import api_verbs
from ingest.http.web import JSON, ApiRequest, ApiResponse, Endpoint, answer
from ingest.operations.operators import ReplayOrigin
from ingest.runs.run import Run
from landfall.protocol import FINAL, LANDING, State, is_run_id

UPLOAD = timedelta(minutes=15)
"""How long a link to upload a drop is good."""
_FAILED = 400

SAYS = {
    "retry": (
        "Retry this run",
        "The run continues after its last completed step. A quarantined file is validated again.",
        "Retry",
    ),
    "cancel": (
        "Cancel this run",
        "The run and its pipeline run are stopped. The file stays where it is.",
        "Cancel the run",
    ),
    "replay": (
        "Replay this run",
        "All steps run again. Silver gets no row twice.",
        "Replay",
    ),
    "resend": (
        "Send corrected rejects",
        "The file starts a new run that is linked to this one. It needs the same columns.",
        "Send",
    ),
}
"""Title, what happens, and the button of each verb."""


def ask(visit: Visit) -> ConsoleResponse:
    """The page that asks whether, and why."""
    return _form(visit, _run(visit), Form(), None)


def do(visit: Visit) -> ConsoleResponse:
    """Do what was confirmed: back to the run, or the form again with what keeps it from being."""
    order, run = visit.order, _run(visit)
    verb = visit.route["verb"]
    if not (reason := order.text("reason")) and verb != "resend":
        return _form(visit, run, order, "Enter a reason: it is kept in the run's history.")
    match verb:
        case "resend":
            file = order.files.get("file")
            if file is None or not file.content:
                return _form(visit, run, order, "Choose the corrected file: none came with it.")
            name = file.name.replace("\\", "/").rsplit("/", 1)[-1]
            reply = call_api(
                visit, api_verbs.resend_rejects, file.content, query={"name": name}, run=run
            )
        case "replay":
            body = {"reason": reason, "from": order.text("from") or ReplayOrigin.RAW}
            reply = call_api(visit, api_verbs.replay_run, body, run=run)
        case "retry":
            reply = call_api(visit, api_verbs.retry_run, {"reason": reason}, run=run)
        case _:
            reply = call_api(visit, api_verbs.cancel_run, {"reason": reason}, run=run)
    if reply.status >= _FAILED:
        return _form(visit, run, order, str(reply.body["detail"]), reply.status)
    where = f"/console/runs/{reply.body['run_id']}?done={verb}"
    return redirect(where, messages=reply.messages)


def _run(visit: Visit) -> Run:
    run_id = visit.route["run_id"]
    if not is_run_id(run_id):
        raise NotFound(f"there is no run {run_id!r}")
    return visit.service.manifest.get(run_id, fresh=True).run


def _form(
    visit: Visit, run: Run, order: Form, wrong: str | None, status: int = 422
) -> ConsoleResponse:
    verb = visit.route["verb"]
    known = run.dataset in visit.service.contracts
    offered = {v.name: v for v in run_view.verbs(run, visit.person, known=known)}
    title, happens, button = SAYS[verb]
    values = {
        "run": run,
        "verb": verb,
        "title": title,
        "happens": happens,
        "button": button,
        "why_not": offered[verb].why_not,
        "wrong": wrong,
        "reason": order.text("reason"),
        "key": order.text("key") or uuid.uuid4().hex,
        "origins": [origin.value for origin in ReplayOrigin],
        "origin": order.text("from") or ReplayOrigin.RAW.value,
    }
    return visit.page("verb.html", values, status=status if wrong else 200)


def call_api(
    visit: Visit,
    endpoint: Endpoint,
    body: Mapping[str, Any] | bytes,
    *,
    query: Mapping[str, str] | None = None,
    run: Run | None = None,
    route: Mapping[str, str] | None = None,
    once: bool = True,
) -> ApiResponse:
    """Ask the API, as the person who is signed in."""
    raw = isinstance(body, bytes)
    request = ApiRequest(
        body=body if isinstance(body, bytes) else json.dumps(body).encode(),
        content_type="application/octet-stream" if raw else JSON,
        query=query or {},
        route={"run_id": run.run_id} if run else dict(route or {}),
        key=visit.form.text("key") if once else "",
        caller=visit.person.name,
    )
    return answer(endpoint, lambda: visit.service, request)


# -- many runs -----------------------------------------------------------------------------------

_QUERY = ("dataset", "state", "landed_from", "landed_to")


def ask_many(visit: Visit) -> ConsoleResponse:
    """The page that asks which runs to replay, and shows which they are."""
    return _many(visit, Form(dict(visit.request.query)), None)


def do_many(visit: Visit) -> ConsoleResponse:
    """Start the replay that was confirmed; first without, only count its runs."""
    order = visit.order
    body = _asked(order)
    if order.text("step") != "confirmed":
        # Counting changes nothing: the key is for what follows.
        reply = call_api(visit, api_verbs.start_replay, body | {"dry_run": True}, once=False)
        if reply.status >= _FAILED:
            return _many(visit, order, str(reply.body["detail"]), reply.status)
        return _many(visit, order, None, found=reply.body)
    if not order.text("reason"):
        return _many(visit, order, "Enter a reason: it is kept in each run's history.")
    reply = call_api(visit, api_verbs.start_replay, body)
    if reply.status >= _FAILED:
        return _many(visit, order, str(reply.body["detail"]), reply.status)
    return redirect(f"/console/replays/{reply.body['replay_id']}", messages=reply.messages)


def _asked(order: Form) -> dict[str, Any]:
    body: dict[str, Any] = {name: order.text(name) for name in _QUERY if order.text(name)}
    if reason := order.text("reason"):
        body["reason"] = reason
    return body | {"from": order.text("from") or ReplayOrigin.RAW}


def _many(
    visit: Visit,
    order: Form,
    wrong: str | None,
    status: int = 422,
    *,
    found: Mapping[str, Any] | None = None,
) -> ConsoleResponse:
    values = {
        "datasets": sorted(visit.service.contracts),
        "states": sorted(FINAL),
        "asked": {name: order.text(name) for name in _QUERY},
        "state": order.text("state") or State.SUCCEEDED.value,
        "origins": [origin.value for origin in ReplayOrigin],
        "origin": order.text("from") or ReplayOrigin.RAW.value,
        "reason": order.text("reason"),
        "key": order.text("key") or uuid.uuid4().hex,
        "wrong": wrong,
        "found": found,
    }
    return visit.page("replay.html", values, status=status if wrong else 200)


def replay(visit: Visit) -> ConsoleResponse:
    """How far a replay of many runs is."""
    plan = visit.service.replays.get(visit.route["replay_id"])
    return visit.page("replays.html", {"plan": plan})


# -- a drop of one's own -------------------------------------------------------------------------


def ask_upload(visit: Visit) -> ConsoleResponse:
    """The page that asks for the name of a drop."""
    return _upload(visit, Form(dict(visit.request.query)), None)


def do_upload(visit: Visit) -> ConsoleResponse:
    """Make the link by which one file may be written into landing; its bytes do not come here."""
    order = visit.order
    dataset, name = order.text("dataset"), order.text("name")
    if dataset not in visit.service.contracts:
        return _upload(visit, order, "Choose a dataset.")
    path = f"{LANDING}/{dataset}/{name}"
    if not name or "/" in name or not paths.is_drop(path):
        return _upload(visit, order, "Give the drop a file name, such as may.csv.")
    try:
        paths.landing_path(path, frozenset())
    except BadRequest as error:
        return _upload(visit, order, str(error))
    if visit.service.lake.head(path) is not None:
        return _upload(visit, order, f"{path} already exists: choose another name.", 409)
    url = visit.service.lake.upload_url(path, visit.reads.now + UPLOAD)
    parts = urlsplit(url)
    return _upload(visit, order, None, url=url, uploads=f"{parts.scheme}://{parts.netloc}")


def _upload(
    visit: Visit,
    order: Form,
    wrong: str | None,
    status: int = 422,
    *,
    url: str | None = None,
    uploads: str = "",
) -> ConsoleResponse:
    values = {
        "datasets": sorted(visit.service.contracts),
        "dataset": order.text("dataset"),
        "name": order.text("name"),
        "wrong": wrong,
        "url": url,
        "minutes": int(UPLOAD.total_seconds() // 60),
    }
    return visit.page("upload.html", values, status=status if wrong else 200, uploads=uploads)
