"""Queue Storage as an ASGI application."""

from __future__ import annotations

import logging
import sqlite3
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from devcloud import faults
from devcloud.config import CloudConfig
from devcloud.functions.store import QueueStore
from devcloud.lake.auth import Authenticator
from devcloud.lake.errors import ClientGoneError, LakeError
from devcloud.lake.messages import LakeRequest, LakeResponse
from devcloud.lake.replying import refusal, send_reply, standard_headers
from devcloud.platform.identity import Identity
from devcloud.queues.operations import HANDLERS, SIGNED, OperationContext, operation
from devcloud.queues.queues import Queues
from devcloud.serving import close_connection

log = logging.getLogger("devcloud.queues")


def create_app(
    config: CloudConfig,
    store: QueueStore,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    deletion_seconds: float = 0,
) -> Starlette:
    """The queues of an account.

    Args:
        config: names the account, its key and the port.
        store: of the Functions host, whose functions get what clients put.
        now: the clock that signatures are checked against.
        deletion_seconds: how long the name of a deleted queue cannot be used.
    """
    service = QueueService(
        OperationContext(config.queues_url, Queues(store, deletion_seconds)),
        Authenticator(
            config.account,
            config.account_key,
            now,
            SIGNED,
            identity=Identity(config.identity_secret),
        ),
    )
    app = Starlette(routes=[Mount("/", app=service)])

    def named(scope: Scope) -> str:
        try:
            return operation(LakeRequest.parse(scope, _no_body, config.account))
        except LakeError as error:
            return error.code

    faults.install(app, "queues", operation=named)
    return app


class QueueService:
    """Takes a request through its stations: parse, route, authorize, act, reply."""

    def __init__(self, service: OperationContext, auth: Authenticator) -> None:
        self._service = service
        self._auth = auth

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        try:
            reply = await self._reply(scope, receive)
        except ClientGoneError:
            close_connection(scope, reset=True)
            return
        await send_reply(send, reply, scope)

    async def _reply(self, scope: Scope, receive: Receive) -> LakeResponse:
        request: LakeRequest | None = None
        try:
            request = LakeRequest.parse(scope, receive, self._auth.account)
            name = operation(request)
            self._auth.verify(request, name)
            reply = await HANDLERS[name](self._service, request)
        except LakeError as error:
            reply = refusal(error)
        except sqlite3.Error as error:
            log.exception("the file of the queues failed")
            reply = refusal(LakeError("InternalError", f"The file of the queues: {error}."))
        reply.headers = {**reply.headers, **standard_headers(request, str(uuid.uuid4()))}
        return reply


async def _no_body() -> dict[str, str]:  # never asked for: the name needs the head alone
    return {"type": "http.disconnect"}
