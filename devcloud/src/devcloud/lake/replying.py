"""How a storage service answers: headers that every reply has, refusals, bodies and files."""

from __future__ import annotations

import os

from starlette.types import Scope, Send

from devcloud.lake.errors import LakeError, body_of
from devcloud.lake.messages import FileSlice, LakeRequest, LakeResponse
from devcloud.serving import close_connection

VERSION = "2025-05-05"  # told to clients that name none
CHUNK_BYTES = 256 << 10


def standard_headers(request: LakeRequest | None, request_id: str) -> dict[str, str]:
    """What every reply tells; `request` is None where it could not be read."""
    headers = {"x-ms-request-id": request_id}
    if request is not None:
        headers["x-ms-version"] = request.headers.get("x-ms-version", VERSION)
        if given := request.headers.get("x-ms-client-request-id"):
            headers["x-ms-client-request-id"] = given
    return headers


def refusal(error: LakeError, *, dfs: bool = False) -> LakeResponse:
    """The reply that tells of an error, in the form of one of the two APIs."""
    named = error.at_dfs() if dfs else error
    body, content_type = body_of(named, dfs=dfs)
    headers = {**named.headers, "content-type": content_type, "x-ms-error-code": named.code}
    return LakeResponse(named.status, headers, body)


async def send_reply(send: Send, reply: LakeResponse, scope: Scope) -> None:
    """Send a reply, with its length; to HEAD without its body."""
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
