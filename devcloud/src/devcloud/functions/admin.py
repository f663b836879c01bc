"""The admin API of the host: functions, keys, state; every call but the ping needs the master key.

Specification: https://github.com/Azure/azure-functions-host/wiki/Key-management-API, and what
Microsoft's host was seen to answer.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from devcloud.functions.host import Host
from devcloud.functions.keys import HOST, MASTER, SYSTEM, HostKeys, Level, generate, of_function
from devcloud.functions.loader import SCRIPT
from devcloud.functions.model import HTTP, Function

Handler = Callable[[Request], Awaitable[Response]]
_KEY_METHODS = ["GET", "PUT", "POST", "DELETE"]


def routes(host: Host, clock: Callable[[], float]) -> list[Route]:
    """The routes below `/admin`."""
    admin, keys = Admin(host, clock), KeyApi(host)

    def route(path: str, handler: Handler, *methods: str) -> Route:
        return Route(f"/admin/{path}", guarded(host.keys, handler), methods=methods or ["GET"])

    return [
        Route("/admin/host/ping", ping, methods=["GET", "POST"]),
        Route("/admin/vfs/{path:path}", Files(host.keys).answer),
        route("host/status", admin.status),
        route("host/config", admin.config),
        route("host/synctriggers", admin.sync_triggers, "POST"),
        route("host/{scope:keyscope}", keys.listed),
        route("host/{scope:keyscope}/{key}", keys.one, *_KEY_METHODS),
        route("functions", admin.list_functions),
        route("functions/{name}", admin.function, "GET", "POST"),
        route("functions/{name}/status", admin.function_status),
        route("functions/{name}/keys", keys.listed),
        route("functions/{name}/keys/{key}", keys.one, *_KEY_METHODS),
    ]


def guarded(keys: HostKeys, handler: Handler) -> Handler:
    """A handler that only the holder of the master key reaches."""

    async def answer(request: Request) -> Response:
        return refusal(keys.admin_level(request)) or await handler(request)

    return answer


def refusal(level: Level) -> Response | None:
    """401 without a key, 403 with one that does not open this; None where it is allowed."""
    match level:
        case Level.NONE:
            return Response(status_code=401, headers={"WWW-Authenticate": "Bearer"})
        case Level.KEY:
            return Response(status_code=403)
        case _:
            return None


async def ping(_request: Request) -> Response:
    """`/admin/host/ping`: whether the host answers, for everybody."""
    return Response(headers={"Cache-Control": "no-store,no-cache", "Pragma": "no-cache"})


class Admin:
    """Functions, and the state of the host."""

    def __init__(self, host: Host, clock: Callable[[], float]) -> None:
        self._host = host
        self._clock = clock

    async def list_functions(self, request: Request) -> Response:
        """`GET /admin/functions`."""
        functions = sorted(self._host.functions.values(), key=lambda each: each.name)
        return in_json([self._described(each, request) for each in functions])

    async def function(self, request: Request) -> Response:
        """`GET /admin/functions/{name}`, or by POST: 202, the function runs on."""
        function = self._host.functions.get(request.path_params["name"])
        if function is None:
            return Response(status_code=404)
        if request.method == "GET":
            return in_json(self._described(function, request))
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            return Response(status_code=415)
        try:
            document = json.loads(await request.body() or b"{}")
            given = document.get("input") or ""
            text = given if isinstance(given, str) else json.dumps(given)
            await run_in_threadpool(self._host.invoke, function.name, text)
        except (ValueError, AttributeError) as error:
            return in_json({"error": str(error)}, 400)
        return Response(status_code=202)

    async def function_status(self, request: Request) -> Response:
        """`GET /admin/functions/{name}/status`: nothing to report."""
        if request.path_params["name"] not in self._host.functions:
            return Response(status_code=404)
        return in_json({})

    async def status(self, _request: Request) -> Response:
        """`GET /admin/host/status`."""
        return in_json(
            {
                "id": "devcloud",
                "state": "Running",
                "version": "devcloud",
                "versionDetails": "devcloud",
                "platformVersion": "",
                "instanceId": "",
                "computerName": "",
                "processUptime": int((self._clock() - self._host.started) * 1000),
                "functionAppContentEditingState": "Unknown",
            }
        )

    async def config(self, _request: Request) -> Response:
        """`GET /admin/host/config`: what host.json amounts to."""
        return Response(json.dumps(self._host.options.shown), media_type="text/plain")

    async def sync_triggers(self, _request: Request) -> Response:
        """`POST /admin/host/synctriggers`: there is no scale controller to be told."""
        return in_json({"status": "success"})

    def _described(self, function: Function, request: Request) -> dict[str, Any]:
        base = base_url(request)
        files = f"{base}/admin/vfs"
        url = None
        if function.trigger.kind == HTTP:
            prefix = self._host.options.route_prefix
            route = str(function.trigger.fields.get("route", ""))
            url = "/".join(filter(None, [base, prefix, route]))
        return {
            "name": function.name,
            "script_root_path_href": None,
            "script_href": f"{files}/site/wwwroot/{SCRIPT}",
            "config_href": None,
            "test_data_href": f"{files}/data/Functions/sampledata/{function.name}.dat",
            "href": f"{base}/admin/functions/{function.name}",
            "invoke_url_template": url,
            "language": "python",
            "config": {
                "name": function.name,
                "entryPoint": function.name,
                "scriptFile": SCRIPT,
                "language": "python",
                "functionDirectory": str(self._host.app),
                "bindings": function.declared,
            },
            "files": None,
            "test_data": "",
            "isDisabled": False,
            "isDirect": False,
            "isProxy": False,
        }


class KeyApi:
    """HostKeys of the host, of its extensions, and of single functions."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def listed(self, request: Request) -> Response:
        """`GET .../keys`."""
        scope = self._scope(request)
        if scope is None:
            return Response(status_code=404)
        keys = [
            {"name": name, "value": value} for name, value in self._host.keys.listed(scope).items()
        ]
        return in_json({"keys": keys, "links": [_link(request)]})

    async def one(self, request: Request) -> Response:
        """One key: told by GET, set by PUT, made anew by POST, deleted by DELETE."""
        scope, name = self._scope(request), request.path_params["key"]
        if scope is None:
            return Response(status_code=404)
        if request.method == "GET":
            value = self._host.keys.listed(scope).get(name)
            return Response(status_code=404) if value is None else _shown(request, name, value, 200)
        if request.method == "DELETE":
            deleted = name != MASTER and self._host.keys.delete(scope, name)
            return Response(status_code=204 if deleted else 404)
        value = generate()
        if request.method == "PUT":
            try:
                given = json.loads(await request.body()).get("value") or value
            except (ValueError, AttributeError):
                return Response(status_code=400)
            value = str(given)
        target = MASTER if name == MASTER and scope == HOST else scope
        fresh = self._host.keys.put(target, name, value)
        return _shown(request, name, value, 201 if fresh else 200)

    def _scope(self, request: Request) -> str | None:
        if "scope" in request.path_params:
            return SYSTEM if request.path_params["scope"] == "systemkeys" else HOST
        name = request.path_params["name"]
        return of_function(name) if name in self._host.functions else None


class Files:
    """`/admin/vfs`: the files of the app are never shown."""

    def __init__(self, keys: HostKeys) -> None:
        self._keys = keys

    async def answer(self, request: Request) -> Response:
        """401 without the master key, 403 with it."""
        return Response(status_code=403 if self._keys.may_administer(request) else 401)


def in_json(document: object, status: int = 200, **headers: str) -> Response:
    """A reply in JSON, typed as the real host does."""
    response = JSONResponse(document, status, headers)
    response.headers["content-type"] = "application/json; charset=utf-8"
    return response


def base_url(request: Request) -> str:
    """The URL of the host, without a slash at its end."""
    return str(request.base_url).rstrip("/")


def _shown(request: Request, name: str, value: str, status: int) -> Response:
    link = _link(request)
    headers = {"location": link["href"]} if status == 201 else {}  # noqa: PLR2004 - created
    return in_json({"name": name, "value": value, "links": [link]}, status, **headers)


def _link(request: Request) -> dict[str, str]:
    return {"rel": "self", "href": f"{base_url(request)}{request.url.path}"}
