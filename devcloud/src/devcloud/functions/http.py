"""HTTP triggers: find the function, check its key, run it, answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from devcloud.functions import codec, logs
from devcloud.functions.hostjson import HostOptions
from devcloud.functions.invoke import InvocationOutcome, Invoker
from devcloud.functions.keys import HostKeys
from devcloud.functions.model import Function
from devcloud.functions.responses import to_response
from devcloud.functions.routing import Endpoint, Router, RouteTemplate

BODY_LIMIT = 104_857_600
HOME = (
    "<!DOCTYPE html>\n<html>\n<head><title>Local function app</title></head>\n"
    "<body><p>This function app is up and running, on the local Functions host.</p></body>\n"
    "</html>\n"
)


class BodyTooLargeError(Exception):
    """A request body beyond the limit of the host."""


class HttpTriggers:
    """All HTTP functions of an app.

    Args:
        functions: those with an HTTP trigger.
        options: of host.json.
        keys: who may call functions of the levels function and admin.
        body_limit: largest request body in bytes.
    """

    def __init__(
        self,
        functions: Iterable[Function],
        *,
        options: HostOptions,
        keys: HostKeys,
        invoker: Invoker,
        body_limit: int = BODY_LIMIT,
    ) -> None:
        self._functions = {each.name: each for each in functions}
        self._router = Router(map(_endpoint, self._functions.values()), options.route_prefix)
        self._options = options
        self._keys = keys
        self._invoker = invoker
        self._limit = body_limit

    def find(self, method: str, raw_path: str) -> str | None:
        """Name of the function that answers a request; None if there is none."""
        match = self._router.find(method, raw_path)
        return match[0] if match else None

    async def answer(self, request: Request) -> Response:
        """Answer a request: 404 without a function, 401 without a key, 500 for an exception."""
        match = self._router.find(request.method, raw_path(request))
        if match is None:
            return _not_found(request)
        function = self._functions[match[0]]
        if not self._may_call(function, request):
            return Response(status_code=401)
        try:
            body = await read_body(request, self._limit)
        except BodyTooLargeError:
            logs.HOST.error("%s: a body of more than %d bytes", function.name, self._limit)
            return Response(status_code=500)
        except ClientDisconnect:
            return Response(status_code=400)
        trigger = codec.of_request(
            request.method,
            _url(request),
            headers=_joined(request.headers.items()),
            query=_joined(each for each in request.query_params.multi_items() if each[1]),
            route=match[1],
            body=body,
        )
        outcome = await asyncio.wrap_future(self._invoker.submit(function, trigger))
        return self._response(function, outcome)

    def _response(self, function: Function, outcome: InvocationOutcome) -> Response:
        if outcome.response is None:
            return Response(status_code=500)
        try:
            return to_response(outcome.response, self._options.custom_headers)
        except ValueError as error:
            logs.HOST.error("%s: %s", function.name, error)
            return Response(status_code=500)

    def _may_call(self, function: Function, request: Request) -> bool:
        match str(function.trigger.fields.get("authLevel") or "FUNCTION").upper():
            case "ANONYMOUS":
                return True
            case "ADMIN":
                return self._keys.may_administer(request)
            case _:
                return self._keys.may_call(request, function.name)


def _not_found(request: Request) -> Response:
    if request.url.path != "/" or request.method != "GET":
        return Response(status_code=404)
    return Response(HOME, headers={"content-type": "text/html"})


def raw_path(request: Request) -> str:
    """The path as it was sent, percent-encoded, without the query."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    return raw.partition(b"?")[0].decode("latin-1")


async def read_body(request: Request, limit: int) -> bytes:
    """The body of a request; one that comes in chunks is read and left out.

    Workers that are not .NET get no body whose length was not announced.

    Raises:
        BodyTooLargeError: it is longer than `limit` bytes, announced or found so.
    """
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > limit:
        raise BodyTooLargeError
    body = bytearray()
    total = 0
    keep = "content-length" in request.headers
    async for chunk in request.stream():
        total += len(chunk)
        if total > limit:
            raise BodyTooLargeError
        if keep:
            body += chunk
    return bytes(body)


def _url(request: Request) -> str:
    """The URL as it was sent; Starlette's own has the path decoded."""
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{request.url.scheme}://{request.url.netloc}{raw_path(request)}{query}"


def _endpoint(function: Function) -> Endpoint:
    methods = function.trigger.fields.get("methods")
    return Endpoint(
        function.name,
        RouteTemplate(str(function.trigger.fields.get("route") or "")),
        frozenset(str(method).upper() for method in methods) if methods else None,
    )


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Values of a repeated name are joined by commas, as the real host does."""
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined
