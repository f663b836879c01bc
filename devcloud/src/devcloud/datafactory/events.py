"""Where events come in: those of the lake for triggers, and topics that anybody may publish to.

A topic is there as soon as somebody names it: `POST /topics/<name>/api/events` in the Event Grid
schema, with the key in `aeg-sas-key`, as its publisher SDKs send it.
Source: learn.microsoft.com/azure/event-grid/post-to-custom-topic
"""

from __future__ import annotations

import hmac
import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from devcloud.config import CloudConfig
from devcloud.datafactory.triggers import Triggers

_MOST_BYTES = 1024 * 1024  # of a request to a topic
_NEEDED = ("id", "eventType", "subject", "eventTime", "data")


def routes(triggers: Triggers, config: CloudConfig) -> list[Route]:
    """The two routes."""

    async def of_storage(request: Request) -> Response:
        given = request.query_params.get("code", "")
        if not hmac.compare_digest(given.encode(), config.identity_secret.encode()):
            return _refusal(401, "Unauthorized", "the code is missing or wrong")
        for event in json.loads(await request.body()):
            triggers.deliver(request.path_params["factory"], request.path_params["name"], event)
        return Response(status_code=200)

    async def of_topic(request: Request) -> Response:
        given = request.headers.get("aeg-sas-key", "")
        if not hmac.compare_digest(given.encode(), config.secrets["event-topic-key"].encode()):
            return _refusal(401, "Unauthorized", "the header aeg-sas-key is missing or wrong")
        body = await request.body()
        if len(body) > _MOST_BYTES:
            return _refusal(413, "PayloadTooLarge", f"more than {_MOST_BYTES} bytes")
        try:
            events = _events(body)
        except ValueError as error:
            return _refusal(400, "BadRequest", str(error))
        for event in events:
            triggers.publish(request.path_params["topic"], event)
        return Response(status_code=200)

    return [
        Route("/events/{factory}/{name}", of_storage, methods=["POST"]),
        Route("/topics/{topic}/api/events", of_topic, methods=["POST"]),
    ]


def _events(body: bytes) -> list[dict[str, Any]]:
    """The events of a request.

    Raises:
        ValueError: it is no array of events in the Event Grid schema.
    """
    try:
        events = json.loads(body)
    except ValueError as error:
        raise ValueError(f"the body is not JSON: {error}") from error
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        raise ValueError("the body must be an array of events")
    for event in events:
        missing = [name for name in _NEEDED if name not in event]
        if missing:
            raise ValueError(f"an event has no {missing[0]!r}")
    return events


def _refusal(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message}}, status)
