"""The pages of sources: where each object stands, what was extracted, and what may be asked for."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ingest.console.app import Visit
from ingest.console.verbs import call_api
from ingest.console.web import ConsoleResponse, Form, redirect
from ingest.http import sources as api
from ingest.http.web import ApiRequest, Endpoint

VERBS = "pause|resume|rewind|extract"
_FAILED = 400
_SAYS: dict[str, tuple[str, str, str, Endpoint]] = {
    "pause": (
        "Pause this object",
        "Schedules skip it until it is resumed. Running extracts continue.",
        "Pause",
        api.pause,
    ),
    "resume": (
        "Resume this object",
        "Schedules extract it again from its current watermark.",
        "Resume",
        api.resume,
    ),
    "rewind": (
        "Rewind the watermark",
        "The next extract reads from there again. Silver gets no row twice.",
        "Rewind",
        api.rewind,
    ),
    "extract": (
        "Extract now",
        "Starts a pipeline run. With a range it reads that; cut by `every`, one run for each part.",
        "Extract",
        api.extract,
    ),
}
"""Title, what happens, the button, and what of the API does it."""


def index(visit: Visit) -> ConsoleResponse:
    """All sources with their objects."""
    document = api.list_sources(visit.service, ApiRequest()).body
    return visit.page("sources.html", {"sources": document["sources"], "wrong": document["wrong"]})


def show(visit: Visit) -> ConsoleResponse:
    """One object with its latest extracts."""
    return visit.page("source.html", {"object": _object(visit)})


def _object(visit: Visit) -> Mapping[str, Any]:
    """The object that the route names.

    Raises:
        NotFound: there is none; Damaged: its document cannot be read.
    """
    return api.get_object(visit.service, ApiRequest(route=dict(visit.route))).body


def ask(visit: Visit) -> ConsoleResponse:
    """The page that asks whether, and for what."""
    return _form(visit, Form(), None)


def do(visit: Visit) -> ConsoleResponse:
    """Do what was confirmed, or say on the form what keeps it from being done."""
    order, verb = visit.order, visit.route["verb"]
    try:
        body = _body(order, verb)
    except ValueError as error:
        return _form(visit, order, str(error))
    route = {"source": visit.route["source"], "object": visit.route["object"]}
    reply = call_api(visit, _SAYS[verb][3], body, route=route)
    if reply.status >= _FAILED:
        return _form(visit, order, str(reply.body["detail"]), reply.status)
    where = f"/console/sources/{route['source']}/{route['object']}?done={verb}"
    return redirect(where, messages=reply.messages)


def _body(order: Form, verb: str) -> dict[str, Any]:
    """What the API is asked with.

    Raises:
        ValueError: something is missing, or is no time.
    """
    if verb == "extract":
        names = ("from", "to", "every")
        body: dict[str, Any] = {name: order.text(name) for name in names if order.text(name)}
        for name in ("from", "to"):
            if name in body:
                datetime.fromisoformat(body[name])
        return body | ({"again": True} if order.text("again") else {})
    if not (reason := order.text("reason")):
        raise ValueError("Enter a reason: it is kept in the service's log.")
    if verb == "rewind":
        return {"to": order.text("to") or None, "reason": reason}
    return {"reason": reason}


def _form(visit: Visit, order: Form, wrong: str | None, status: int = 422) -> ConsoleResponse:
    verb = visit.route["verb"]
    title, happens, button, _ = _SAYS[verb]
    values = {
        "object": _object(visit),
        "verb": verb,
        "title": title,
        "happens": happens,
        "button": button,
        "wrong": wrong,
        "fields": {name: order.text(name) for name in ("reason", "to", "from", "every", "again")},
        "key": order.text("key") or uuid.uuid4().hex,
    }
    return visit.page("source_verb.html", values, status=status if wrong else 200)
