"""The HTTP side of the host: the app's own routes, webhooks, the admin API, the home page."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from devcloud import faults
from devcloud.config import CloudConfig, app_settings
from devcloud.functions import admin
from devcloud.functions.host import Host
from devcloud.functions.keys import InitialKeys
from devcloud.functions.limits import RequestLimits
from devcloud.functions.webhook import Webhooks

QUEUES = "/_devcloud/queues"
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


class _KeyScope(Convertor[str]):
    regex = "keys|functionkeys|systemkeys"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("keyscope", _KeyScope())


def create_app(config: CloudConfig, clock: Callable[[], float] = time.time) -> Starlette:
    """Import the function app of a configuration and serve it.

    The app settings go into the environment of this process before the app is imported, and stay
    there: one app per process, as in the real worker.

    Raises:
        AppLoadError: the app cannot be served.
        HostJsonError: host.json holds a value that cannot be honoured.
        FolderInUseError: another host works on the same data folder.
    """
    os.environ.update(app_settings(config))
    os.environ.setdefault("AzureWebJobsStorage", config.lake_connection_string)
    os.environ.setdefault("FUNCTIONS_WORKER_RUNTIME", "python")
    host = Host(
        config.app,
        config.root / "functions",
        keys=InitialKeys(config.function_key, config.master_key, config.system_key),
        settings=os.environ,
        clock=clock,
    )
    return serve(host, clock)


def serve(host: Host, clock: Callable[[], float] = time.time) -> Starlette:
    """The web application of a host; its lifespan starts and stops the host."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        host.start()
        try:
            yield
        finally:
            await run_in_threadpool(host.stop)

    webhooks = Webhooks(host.blobs, host.keys)
    app = Starlette(
        lifespan=lifespan,
        routes=[
            Route("/runtime/webhooks/{extension}", webhooks.answer, methods=_METHODS),
            *admin.routes(host, clock),
            Route("/{path:path}", host.http.answer, methods=_METHODS),
        ],
    )
    app.state.host = host

    def operation(scope: Scope) -> str:
        raw = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        return host.http.find(scope["method"], raw) or scope["path"]

    app.add_middleware(RequestLimits)
    faults.install(app, "functions", operation=operation)
    app.add_middleware(QueueCounts, host=host)
    return app


class QueueCounts:
    """Answers `GET /_devcloud/queues`: {queue: {"visible", "invisible", "poison"}}."""

    def __init__(self, app: ASGIApp, host: Host) -> None:
        self._app = app
        self._host = host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""
        app = self._app
        if scope["type"] == "http" and scope["path"] == QUEUES and scope["method"] == "GET":
            app = JSONResponse({"queues": self._host.queues()})
        await app(scope, receive, send)
