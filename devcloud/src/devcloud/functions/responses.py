"""What a function returned as the reply that the real host makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from http.cookies import Morsel
from urllib.parse import quote

from azure.functions.meta import Datum
from starlette.responses import PlainTextResponse, Response

_NOT_COPIED = frozenset({"content-length", "transfer-encoding", "connection"})


def to_response(datum: Datum, custom: Mapping[str, str]) -> Response:
    """The response of an encoded return value.

    Args:
        datum: made by `codec.encode_response`.
        custom: headers that host.json puts on every answer of a function.

    Raises:
        ValueError: a header that is not ASCII, which the real server does not send.
    """
    if datum.type == "string":
        response: Response = PlainTextResponse(datum.value)
        given: list[tuple[str, str]] = []
    else:
        value = datum.value
        response = Response(value["body"].value, status_code=int(value["status_code"].value))
        given = [
            (name, header.value)
            for name, header in value["headers"].items()
            if name.lower() not in _NOT_COPIED
        ]
        given += [
            ("set-cookie", cookie(morsel))
            for cookies in value["cookies"] or ()
            for morsel in cookies.values()
        ]
    for name, header in (*custom.items(), *given):
        if not (name.isascii() and header.isascii()):
            raise ValueError(f"header {name!r} is not ASCII: {header!r}")
        if name.lower() == "set-cookie":
            response.headers.append(name, header)
        else:
            response.headers[name] = header
    return response


def cookie(morsel: Morsel[str]) -> str:
    """A cookie as the real host writes it anew, its value percent-encoded once more."""
    parts = [f"{morsel.key}={quote(morsel.value, safe='')}"]
    parts += [f"{name}={morsel[name]}" for name in ("expires", "max-age") if morsel[name] != ""]
    parts += [f"domain={morsel['domain']}", f"path={morsel['path']}"]
    if morsel["secure"]:
        parts.append("secure")
    if morsel["samesite"]:
        parts.append(f"samesite={morsel['samesite'].lower()}")
    if morsel["httponly"]:
        parts.append("httponly")
    return "; ".join(parts)
