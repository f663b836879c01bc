"""The HTTP side of the host: the app's own routes, the blob webhook, the admin API."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from devcloud import faults
from devcloud.config import CloudConfig, app_settings
from devcloud.functions.host import Host, describe
from devcloud.functions.http import has_key
from devcloud.functions.webhook import BlobWebhook

QUEUES = "/_devcloud/queues"
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


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
        key=config.function_key,
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

    admin = Admin(host, clock)
    webhook = BlobWebhook(host.blobs, host.key).answer
    app = Starlette(
        lifespan=lifespan,
        routes=[
            Route("/runtime/webhooks/blobs", webhook, methods=["POST", "OPTIONS"]),
            Route("/admin/functions", admin.list_functions),
            Route("/admin/functions/{name}", admin.invoke, methods=["POST"]),
            Route("/admin/host/status", admin.status),
            Route("/{path:path}", host.http.answer, methods=_METHODS),
        ],
    )
    app.state.host = host

    def operation(scope: Scope) -> str:
        raw = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        return host.http.find(scope["method"], raw) or scope["path"]

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


class Admin:
    """What the real host serves beside the app's own routes; every call needs the key."""

    def __init__(self, host: Host, clock: Callable[[], float]) -> None:
        self._host = host
        self._clock = clock

    async def list_functions(self, request: Request) -> Response:
        """`GET /admin/functions`."""
        if not has_key(request, self._host.key):
            return Response(status_code=401)
        base = str(request.base_url).rstrip("/")
        prefix = self._host.options.route_prefix
        answer = []
        for each in self._host.functions.values():
            entry: dict[str, Any] = {
                "name": each.name,
                "href": f"{base}/admin/functions/{each.name}",
                "language": "python",
                "trigger": describe(each),
                "config": {"bindings": [_shown(binding) for binding in each.bindings]},
            }
            if each.trigger.kind == "httpTrigger":
                path = "/".join(filter(None, [prefix, str(each.trigger.fields.get("route", ""))]))
                entry["invoke_url_template"] = f"{base}/{path}"
            answer.append(entry)
        return JSONResponse(answer)

    async def invoke(self, request: Request) -> Response:
        """`POST /admin/functions/{name}` with {"input": "..."}: 202, the function runs on."""
        if not has_key(request, self._host.key):
            return Response(status_code=401)
        name = request.path_params["name"]
        if name not in self._host.functions:
            return Response(status_code=404)
        try:
            document = json.loads(await request.body() or b"{}")
            text = document.get("input") or ""
            text = text if isinstance(text, str) else json.dumps(text)
            await run_in_threadpool(self._host.invoke, name, text)
        except (ValueError, AttributeError) as error:
            return _refused(400, str(error))
        return Response(status_code=202)

    async def status(self, request: Request) -> Response:
        """`GET /admin/host/status`."""
        if not has_key(request, self._host.key):
            return Response(status_code=401)
        uptime = int((self._clock() - self._host.started) * 1000)
        return JSONResponse(
            {
                "id": "devcloud",
                "state": "Running",
                "version": "devcloud",
                "processUptime": uptime,
                "functions": len(self._host.functions),
            }
        )


def _shown(binding: Any) -> dict[str, Any]:
    return {"name": binding.name, "type": binding.kind, **binding.fields}


def _refused(status: int, reason: str) -> Response:
    return JSONResponse({"error": reason}, status_code=status)
