"""The lake as an ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import json
import logging
import os
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from devcloud import faults
from devcloud.config import CONTAINERS, CloudConfig
from devcloud.lake import (
    appending,
    blob_api,
    containers_api,
    delivery,
    dfs_api,
    filesystems_api,
    routing,
)
from devcloud.lake.auth import Authenticator
from devcloud.lake.errors import ClientGoneError, LakeError, NotModifiedError, body_of
from devcloud.lake.events import EventFactory, Subscription, subscriptions
from devcloud.lake.leases import Leases
from devcloud.lake.messages import FileSlice, LakeRequest, LakeResponse
from devcloud.lake.service import LakeContext, system_folder
from devcloud.lake.store import LakeStore
from devcloud.lake.uploads import Appends, Blocks
from devcloud.serving import close_connection, killer

OPERATIONS = {
    **containers_api.OPERATIONS,
    **blob_api.OPERATIONS,
    **filesystems_api.OPERATIONS,
    **dfs_api.OPERATIONS,
    **appending.OPERATIONS,
}
VERSION = "2025-05-05"  # told to clients that name none
CHUNK_BYTES = 256 << 10

log = logging.getLogger("devcloud.lake")


def create_app(
    config: CloudConfig,
    *,
    subscribers: Sequence[Subscription] | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Starlette:
    """The lake of a configuration, with its seven containers.

    Args:
        config: where the folder is, the account and its key.
        subscribers: who gets events; by default what `devcloud.lake.events.subscriptions` says.
        now: the clock that signatures are checked against.
    """
    config.lake_folder.mkdir(parents=True, exist_ok=True)
    store = LakeStore(config.lake_folder)
    for name in CONTAINERS:
        with contextlib.suppress(LakeError):
            store.create_container(name)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(app.state.lake.delivery.run())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    service = LakeService()
    app = Starlette(routes=[Mount("/", app=service)], lifespan=lifespan)
    named = functools.partial(operation_name, config.account)
    rules = faults.install(app, "lake", kinds=delivery.FAULTS, operation=named, kill=killer(config))
    wanted = subscriptions(config) if subscribers is None else subscribers
    service.lake = app.state.lake = LakeContext(
        config=config,
        store=store,
        auth=Authenticator(config.account, config.account_key, now),
        leases=Leases(store.system / "leases.json", lambda: now().timestamp()),
        blocks=Blocks(system_folder(store, "blocks")),
        appends=Appends(system_folder(store, "appends")),
        events=EventFactory(config),
        delivery=delivery.EventDelivery(system_folder(store, "events"), wanted, rules),
    )
    return app


class LakeService:
    """Takes a request through its stations: parse, route, authorize, act, reply."""

    lake: LakeContext

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        if scope["path"] == "/_devcloud/events":
            await _send(send, _event_counts(self.lake), scope)
            return
        try:
            reply = await self._reply(scope, receive)
        except ClientGoneError:
            close_connection(scope, reset=True)
            return
        await _send(send, reply, scope)

    async def _reply(self, scope: Scope, receive: Receive) -> LakeResponse:
        request_id = str(uuid.uuid4())
        dfs = False
        request: LakeRequest | None = None
        try:
            request = LakeRequest.parse(scope, receive, self.lake.config.account)
            request.id = request_id
            dfs = routing.is_dfs(request.method, request.query, request.headers)
            reply = await self._act(request)
        except LakeError as error:
            reply = _refusal(error, dfs=dfs)
        except NotModifiedError:
            reply = LakeResponse(304)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            reply = _refusal(LakeError("InvalidResourceName", "The path is too long."), dfs=dfs)
        headers = reply.headers = dict(reply.headers)
        headers["x-ms-request-id"] = request_id
        if request is not None:
            headers["x-ms-version"] = request.headers.get("x-ms-version", VERSION)
            given = request.headers.get("x-ms-client-request-id")
            if given:
                headers["x-ms-client-request-id"] = given
        return reply

    async def _act(self, request: LakeRequest) -> LakeResponse:
        lake = self.lake
        name, _ = routing.operation(
            request.method, request.container, request.key, request.query, request.headers
        )
        signature = lake.auth.verify(request, name)
        reply = await OPERATIONS[name](lake, request)
        if signature is not None and name == "GetBlob":
            reply.headers |= signature.response_headers()
        return reply


def operation_name(account: str, scope: Scope) -> str:
    """The operation of a request, for the counts."""

    async def no_body() -> dict[str, str]:  # never asked for: the name needs the head alone
        return {"type": "http.disconnect"}

    try:
        request = LakeRequest.parse(scope, no_body, account)
        name, _ = routing.operation(
            request.method, request.container, request.key, request.query, request.headers
        )
    except LakeError as error:
        return error.code
    return name


def _refusal(error: LakeError, *, dfs: bool) -> LakeResponse:
    named = error.at_dfs() if dfs else error
    body, content_type = body_of(named, dfs=dfs)
    headers = {**named.headers, "content-type": content_type, "x-ms-error-code": named.code}
    return LakeResponse(named.status, headers, body)


def _event_counts(lake: LakeContext) -> LakeResponse:
    found = {
        "pending": lake.delivery.pending(),
        **lake.delivery.counts,
        "subscriptions": [each.to_json() for each in lake.delivery.subscriptions],
    }
    return LakeResponse(200, {"content-type": "application/json"}, json.dumps(found).encode())


async def _send(send: Send, reply: LakeResponse, scope: Scope) -> None:
    head = scope["method"] == "HEAD"
    length = reply.file.length if reply.file else len(reply.body)
    headers = [(name.encode("latin-1"), _encoded(value)) for name, value in reply.headers.items()]
    if head and reply.status >= 400:  # noqa: PLR2004 - the code is in a header; there is no body
        headers.append((b"content-length", b"0"))
    elif "content-length" not in reply.headers and reply.status != 304:  # noqa: PLR2004
        headers.append((b"content-length", str(length).encode()))
    try:
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        if reply.file is not None and not head:
            await _send_file(send, reply.file, scope)
        else:
            await send({"type": "http.response.body", "body": b"" if head else reply.body})
    finally:
        if reply.file is not None:
            os.close(reply.file.descriptor)


async def _send_file(send: Send, part: FileSlice, scope: Scope) -> None:
    offset, left = part.offset, part.length
    while left:
        chunk = os.pread(part.descriptor, min(left, CHUNK_BYTES), offset)
        if not chunk:  # another process cut the file: the client must not take this for all
            close_connection(scope, reset=True)
            return
        offset += len(chunk)
        left -= len(chunk)
        await send({"type": "http.response.body", "body": chunk, "more_body": left > 0})


def _encoded(value: str) -> bytes:
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode()
