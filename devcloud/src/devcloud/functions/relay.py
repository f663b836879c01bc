"""Hand every request on to a Functions host of another kind, such as `func start`.

With it the local cloud keeps its addresses and keys while another host runs the app: events, the
calls of Data Factory and those of the command line all arrive there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from devcloud import faults
from devcloud.functions.http import raw_path

SETTING = "DEVCLOUD_FUNCTIONS_HOST"
"""Environment variable with the base URL of the other host."""
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade", "host"})
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_ANSWER_SECONDS = 240.0  # the load balancer in front of the real host gives up after 230


def create_relay(target: str) -> Starlette:
    """The application that relays to the host at the base URL `target`."""
    client = httpx.AsyncClient(base_url=target, timeout=_ANSWER_SECONDS)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with client:
            yield

    async def relay(request: Request) -> Response:
        query = f"?{request.url.query}" if request.url.query else ""
        has_body = {"content-length", "transfer-encoding"} & set(request.headers)
        outgoing = client.build_request(
            request.method,
            raw_path(request) + query,
            headers=[each for each in request.headers.items() if each[0] not in _HOP_BY_HOP],
            content=request.stream() if has_body else None,
        )
        try:
            reply = await client.send(outgoing, stream=True)
        except httpx.TransportError as error:
            reason = f"the functions host at {target} does not answer: {error}"
            return PlainTextResponse(reason, status_code=502)

        async def body() -> AsyncIterator[bytes]:
            async with _closing(reply):
                async for chunk in reply.aiter_raw():
                    yield chunk

        answer = StreamingResponse(body(), status_code=reply.status_code)
        answer.raw_headers = [
            each for each in reply.headers.raw if each[0].lower().decode() not in _HOP_BY_HOP
        ]
        return answer

    app = Starlette(lifespan=lifespan, routes=[Route("/{path:path}", relay, methods=_METHODS)])
    faults.install(app, "functions")
    return app


@asynccontextmanager
async def _closing(reply: httpx.Response) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await reply.aclose()
