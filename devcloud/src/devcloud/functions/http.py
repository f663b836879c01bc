"""HTTP triggers: find the function, check its key, run it, answer."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Iterable

from azure.functions.meta import Datum
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from devcloud.functions import codec
from devcloud.functions.invoke import Invoker
from devcloud.functions.model import Function
from devcloud.functions.routing import Endpoint, Route, Router

BODY_LIMIT = 104_857_600
_ANONYMOUS = "ANONYMOUS"
_NOT_COPIED = frozenset({"content-length", "transfer-encoding", "connection"})


class BodyTooLargeError(Exception):
    """A request body beyond the limit of the host."""


class HttpTriggers:
    """All HTTP functions of an app.

    Args:
        functions: those with an HTTP trigger.
        prefix: `routePrefix` of host.json.
        key: opens functions of the levels function and admin alike.
        body_limit: largest request body in bytes.
    """

    def __init__(
        self,
        functions: Iterable[Function],
        *,
        prefix: str,
        key: str,
        invoker: Invoker,
        body_limit: int = BODY_LIMIT,
    ) -> None:
        self._functions = {each.name: each for each in functions}
        self._router = Router(map(_endpoint, self._functions.values()), prefix)
        self._key = key
        self._invoker = invoker
        self._limit = body_limit

    def find(self, method: str, raw_path: str) -> str | None:
        """Name of the function that answers a request; None if there is none."""
        found = self._router.find(method, raw_path)
        return found[0] if found else None

    async def answer(self, request: Request) -> Response:
        """Answer a request: 404 without a function, 401 without a key, 500 for an exception."""
        found = self._router.find(request.method, raw_path(request))
        if found is None:
            return Response(status_code=404)
        function = self._functions[found[0]]
        if not self._may_call(function, request):
            return Response(status_code=401)
        try:
            body = await read_body(request, self._limit)
        except BodyTooLargeError:
            return PlainTextResponse(f"The body exceeds {self._limit} bytes.", status_code=413)
        except ClientDisconnect:
            return Response(status_code=400)
        trigger = codec.of_request(
            request.method,
            _url(request),
            headers=_joined(request.headers.items()),
            query=_joined(request.query_params.multi_items()),
            route=found[1],
            body=body,
        )
        outcome = await asyncio.wrap_future(self._invoker.submit(function, trigger))
        if outcome.response is None:
            return Response(status_code=500)
        return to_response(outcome.response)

    def _may_call(self, function: Function, request: Request) -> bool:
        level = function.trigger.fields.get("authLevel") or "FUNCTION"
        return str(level).upper() == _ANONYMOUS or has_key(request, self._key)


def has_key(request: Request, key: str) -> bool:
    """Whether a request carries the key, in `x-functions-key` or as `?code=`."""
    given = request.headers.get("x-functions-key") or request.query_params.get("code") or ""
    return hmac.compare_digest(given.encode(), key.encode())


def raw_path(request: Request) -> str:
    """The path as it was sent, percent-encoded, without the query."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    return raw.partition(b"?")[0].decode("latin-1")


async def read_body(request: Request, limit: int) -> bytes:
    """The body of a request.

    Raises:
        BodyTooLargeError: it is longer than `limit` bytes, announced or found so.
    """
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > limit:
        raise BodyTooLargeError
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise BodyTooLargeError
    return bytes(body)


def to_response(datum: Datum) -> Response:
    """The response of an encoded return value."""
    if datum.type == "string":
        return PlainTextResponse(datum.value)
    value = datum.value
    response = Response(value["body"].value, status_code=int(value["status_code"].value))
    for name, header in value["headers"].items():
        if name.lower() not in _NOT_COPIED:
            response.headers[name] = header.value
    for cookies in value["cookies"] or ():
        for morsel in cookies.values():
            response.headers.append("set-cookie", morsel.OutputString())
    return response


def _url(request: Request) -> str:
    """The URL as it was sent; Starlette's own has the path decoded."""
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{request.url.scheme}://{request.url.netloc}{raw_path(request)}{query}"


def _endpoint(function: Function) -> Endpoint:
    methods = function.trigger.fields.get("methods")
    return Endpoint(
        function.name,
        Route(str(function.trigger.fields.get("route") or "")),
        frozenset(str(method).upper() for method in methods) if methods else None,
    )


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Values of a repeated name are joined by commas, as the real host does."""
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined
