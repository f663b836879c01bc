"""The webhooks of extensions; that of the blob trigger is where Event Grid delivers.

`POST /runtime/webhooks/blobs?functionName=Host.Functions.<name>&code=<system key>`
"""

from __future__ import annotations

import json
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from devcloud.functions import logs
from devcloud.functions.admin import refusal
from devcloud.functions.blobs import BlobTriggers
from devcloud.functions.keys import BLOBS_EXTENSION, HostKeys

BLOBS = "blobs"


class Webhooks:
    """Takes events into the control queue; 202 even for a function that is not there.

    Args:
        triggers: the blob triggers of the app.
        keys: each webhook opens by the system key of its extension, and by the master key.
    """

    def __init__(self, triggers: BlobTriggers, keys: HostKeys) -> None:
        self._triggers = triggers
        self._keys = keys

    async def answer(self, request: Request) -> Response:
        """Answer a notification or a handshake, of the Event Grid or the CloudEvents schema."""
        extension = request.path_params["extension"]
        own = BLOBS_EXTENSION if extension == BLOBS else f"{extension}_extension"
        if refused := refusal(self._keys.webhook_level(request, own)):
            return refused
        if extension != BLOBS:
            return Response(status_code=404)
        return await self._blobs(request)

    async def _blobs(self, request: Request) -> Response:
        if request.method == "OPTIONS":  # the handshake of CloudEvents
            origin = request.headers.get("webhook-request-origin", "*")
            return Response(headers={"WebHook-Allowed-Origin": origin})
        function = request.query_params.get("functionName", "")
        kind = request.headers.get("aeg-event-type", "")
        if request.method != "POST" or not function:
            return _refused(400, f"{request.method} for the function {function!r}")
        if kind not in ("SubscriptionValidation", "Unsubscribe", "Notification"):
            return _refused(400, f"aeg-event-type is {kind!r}")
        try:
            document = json.loads(await request.body())
        except ValueError as error:
            return _refused(500, f"the body is not JSON: {error}")
        events = document if isinstance(document, list) else [document]
        return await run_in_threadpool(self._take, kind, function, events)

    def _take(self, kind: str, function: str, events: list[Any]) -> Response:
        match kind:
            case "SubscriptionValidation":
                return _validated(events)
            case "Unsubscribe":
                return Response(status_code=202)
        try:
            for event in events:
                self._triggers.accept(function, event)
        except (ValueError, AttributeError) as error:
            return _refused(500, str(error))
        return Response(status_code=202)


def _validated(events: list[Any]) -> Response:
    try:
        code = str(events[0]["data"]["validationCode"])
    except (LookupError, TypeError):
        return _refused(500, "the event has no data.validationCode")
    logs.HOST.info("event subscription validated")
    return Response(json.dumps({"validationResponse": code}), media_type="text/plain")


def _refused(status: int, reason: str) -> Response:
    """The real host says nothing of the reason; here the log does."""
    logs.HOST.warning("event refused: %s", reason)
    return Response(status_code=status)
