"""What the web server of the real host takes: lengths of requests, characters of headers."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

REQUEST_LINE_BYTES = 8 << 10
HEADER_BYTES = 32 << 10
HEADERS = 100
_AROUND = len("  HTTP/1.1\r\n")


class RequestLimits:
    """ASGI wrapper that refuses what the real server refuses, before any function is looked for."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it without a body."""
        status = refusal(scope) if scope["type"] == "http" else None
        if status is None:
            await self._app(scope, receive, send)
            return
        headers = [(b"content-length", b"0"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def refusal(scope: Scope) -> int | None:
    """414 for a long URL, 431 for long headers, 400 for headers that are not ASCII; else None."""
    query = scope["query_string"]
    path = scope.get("raw_path") or scope["path"].encode()
    line = len(scope["method"]) + len(path) + len(query) + bool(query) + _AROUND
    if line > REQUEST_LINE_BYTES:
        return 414
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    total = sum(len(name) + len(value) + len(b": \r\n") for name, value in headers)
    if total > HEADER_BYTES or len(headers) > HEADERS:
        return 431
    if not all(value.isascii() for _, value in headers):
        return 400
    return None
