"""The webhook where Event Grid delivers blob events.

`POST /runtime/webhooks/blobs?functionName=Host.Functions.<name>&code=<key>`
"""

from __future__ import annotations

import json
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from devcloud.functions import logs
from devcloud.functions.blobs import BlobTriggers
from devcloud.functions.http import has_key


class BlobWebhook:
    """Takes events into the control queue; 202 even for a function that is not there.

    Args:
        triggers: the blob triggers of the app.
        key: what `code` (or `x-functions-key`) must be; the real host has a system key for it.
    """

    def __init__(self, triggers: BlobTriggers, key: str) -> None:
        self._triggers = triggers
        self._key = key

    async def answer(self, request: Request) -> Response:
        """Answer a notification or a handshake, of the Event Grid or the CloudEvents schema."""
        if not has_key(request, self._key):
            return Response(status_code=401)
        if request.method == "OPTIONS":  # the handshake of CloudEvents
            origin = request.headers.get("webhook-request-origin", "*")
            return Response(headers={"WebHook-Allowed-Origin": origin})
        try:
            document = json.loads(await request.body())
        except ValueError as error:
            return _refused(400, f"the body is not JSON: {error}")
        events = document if isinstance(document, list) else [document]
        if not events or not all(isinstance(each, dict) for each in events):
            return _refused(400, "the body holds no event")
        kind = request.headers.get("aeg-event-type", "Notification")
        function = request.query_params.get("functionName", "")
        return await run_in_threadpool(self._take, kind, function, events)

    def _take(self, kind: str, function: str, events: list[dict[str, Any]]) -> Response:
        match kind:
            case "SubscriptionValidation":
                return _validated(events[0])
            case "Unsubscribe":
                return Response(status_code=202)
            case "Notification":
                return self._accept(function, events)
            case _:
                return _refused(400, f"unknown aeg-event-type {kind!r}")

    def _accept(self, function: str, events: list[dict[str, Any]]) -> Response:
        try:
            for event in events:
                self._triggers.accept(function, event)
        except ValueError as error:
            logs.HOST.warning("event refused: %s", error)
            return _refused(500, str(error))
        return Response(status_code=202)


def _validated(event: dict[str, Any]) -> Response:
    data = event.get("data")
    code = data.get("validationCode") if isinstance(data, dict) else None
    if not isinstance(code, str):
        return _refused(400, "the event has no data.validationCode")
    logs.HOST.info("event subscription validated")
    return JSONResponse({"validationResponse": code})


def _refused(status: int, reason: str) -> Response:
    return JSONResponse({"error": reason}, status_code=status)
