"""The lake as an ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import json
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from devcloud import faults
from devcloud.config import CloudConfig
from devcloud.lake import (
    appendblobs,
    appending,
    batch,
    blob_api,
    containers_api,
    delivery,
    dfs_api,
    filesystems_api,
    routing,
    subscribing,
)
from devcloud.lake.auth import Authenticator
from devcloud.lake.deadletters import DeadLetters
from devcloud.lake.errors import ClientGoneError, LakeError, NotModifiedError
from devcloud.lake.events import (
    EventFactory,
    Subscription,
    TriggerSubscriptions,
    subscriptions,
)
from devcloud.lake.leases import Leases
from devcloud.lake.messages import LakeRequest, LakeResponse
from devcloud.lake.replying import refusal, send_reply, standard_headers
from devcloud.lake.service import LakeContext, system_folder
from devcloud.lake.store import LakeStore
from devcloud.lake.uploads import Appends, Blocks
from devcloud.platform.identity import Identity
from devcloud.serving import close_connection, killer

OPERATIONS = {
    **containers_api.OPERATIONS,
    **blob_api.OPERATIONS,
    **filesystems_api.OPERATIONS,
    **dfs_api.OPERATIONS,
    **appending.OPERATIONS,
    **appendblobs.OPERATIONS,
}

log = logging.getLogger("devcloud.lake")


def create_app(
    config: CloudConfig,
    *,
    subscribers: Sequence[Subscription] | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    durable: bool = False,
    deletion_seconds: float = 0,
) -> Starlette:
    """The lake of a configuration, with its containers.

    Args:
        config: where the folder is, the account and its key.
        subscribers: who gets events; by default what `devcloud.lake.events.subscriptions` says.
        now: the clock that signatures are checked against.
        durable: whether what was acknowledged survives a power cut, by fsync.
        deletion_seconds: how long the name of a deleted container cannot be used.
    """
    config.lake_folder.mkdir(parents=True, exist_ok=True)
    store = LakeStore(config.lake_folder, durable=durable, deletion_seconds=deletion_seconds)
    for name in config.containers:
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
    event_subscriptions = subscriptions(config) if subscribers is None else subscribers
    service.lake = app.state.lake = LakeContext(
        config=config,
        store=store,
        auth=Authenticator(
            config.account,
            config.account_key,
            now,
            identity=Identity(config.identity_secret),
            policies=store.policies,
        ),
        leases=Leases(store.system / "leases.json", lambda: now().timestamp()),
        blocks=Blocks(system_folder(store, "blocks"), store),
        appends=Appends(system_folder(store, "appends"), store),
        events=EventFactory(config),
        delivery=delivery.EventDelivery(
            system_folder(store, "events"),
            event_subscriptions,
            rules,
            TriggerSubscriptions(config).current,
            DeadLetters(store),
        ),
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
            await send_reply(send, _event_counts(self.lake), scope)
            return
        if scope["path"].startswith(subscribing.PREFIX):
            reached = subscribing.EventSubscriptions(self.lake.config.root, self.lake.delivery)
            response = await reached.answer(Request(scope, receive))
            await response(scope, receive, send)
            return
        try:
            reply = await self._reply(scope, receive)
        except ClientGoneError:
            close_connection(scope, reset=True)
            return
        await send_reply(send, reply, scope)

    async def _reply(self, scope: Scope, receive: Receive) -> LakeResponse:
        try:
            request = LakeRequest.parse(scope, receive, self.lake.config.account)
        except LakeError as error:
            reply = refusal(error)
            reply.headers |= standard_headers(None, str(uuid.uuid4()))
            return reply
        return await self.answer(request)

    async def answer(self, request: LakeRequest) -> LakeResponse:
        """The reply to a request, errors included."""
        request.id = str(uuid.uuid4())
        dfs = routing.is_dfs(request.method, request.query, request.headers)
        try:
            reply = await self._act(request)
        except LakeError as error:
            reply = refusal(error, dfs=dfs)
        except NotModifiedError:
            reply = LakeResponse(304)
        except OSError as error:
            await request.drain()
            reply = refusal(_of_disk(error), dfs=dfs)
        reply.headers = {**reply.headers, **standard_headers(request, request.id)}
        return reply

    async def _act(self, request: LakeRequest) -> LakeResponse:
        lake = self.lake
        name, _ = routing.operation(
            request.method, request.container, request.key, request.query, request.headers
        )
        signature = lake.auth.verify(request, name)
        if name == "SubmitBatch":
            return await batch.submit(request, lake.config.account, self.answer)
        reply = await OPERATIONS[name](lake, request)
        if signature is not None and name == "GetBlob":
            reply.headers |= signature.response_headers()
        return reply


def _of_disk(error: OSError) -> LakeError:
    if error.errno == errno.ENAMETOOLONG:
        return LakeError("InvalidResourceName", "The path is too long.")
    log.error("the disk of the lake failed: %s", error)
    return LakeError("InternalError", f"The disk of the local lake: {error.strerror}.")


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


def _event_counts(lake: LakeContext) -> LakeResponse:
    document = {
        "pending": lake.delivery.pending(),
        **lake.delivery.counts,
        "subscriptions": [each.to_json() for each in lake.delivery.subscriptions],
    }
    return LakeResponse(200, {"content-type": "application/json"}, json.dumps(document).encode())
