"""How a storage service answers: headers that every reply has, refusals, bodies and files."""

from __future__ import annotations

import os
from collections.abc import Iterator

from starlette.types import Scope, Send

from devcloud.lake.errors import LakeError, body_of
from devcloud.lake.messages import FileSlice, LakeRequest, LakeResponse
from devcloud.lake.structured import SEGMENT_BYTES, encode, message_length
from devcloud.serving import close_connection

VERSION = "2025-05-05"  # told to clients that name none
CHUNK_BYTES = 256 << 10


class _Name(bytes):
    """The name of a header, which the server would send in lower case: metadata has its own."""

    __slots__ = ()

    def lower(self) -> bytes:
        return self


class FileCutError(Exception):
    """A file is shorter than it was when its reading began."""


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
    if reply.file and reply.structured:
        length = message_length(length)
    headers: list[tuple[bytes, bytes]] = [
        (_Name(name.encode("latin-1")), _encoded(value)) for name, value in reply.headers.items()
    ]
    if head and reply.status >= 400:  # noqa: PLR2004 - the code is in a header; there is no body
        headers.append((b"content-length", b"0"))
    elif "content-length" not in reply.headers and reply.status != 304:  # noqa: PLR2004
        headers.append((b"content-length", str(length).encode()))
    try:
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        if reply.file is not None and not head:
            await _send_file(send, reply, scope)
        else:
            await send({"type": "http.response.body", "body": b"" if head else reply.body})
    finally:
        if reply.file is not None:
            os.close(reply.file.descriptor)


async def _send_file(send: Send, reply: LakeResponse, scope: Scope) -> None:
    assert reply.file is not None  # noqa: S101 - the caller's condition
    pieces = read(reply.file, SEGMENT_BYTES if reply.structured else CHUNK_BYTES)
    if reply.structured:
        pieces = encode(pieces, reply.file.length)
    try:
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    except FileCutError:  # the client must not take this for all
        close_connection(scope, reset=True)
        return
    await send({"type": "http.response.body", "body": b""})


def read(part: FileSlice, size: int) -> Iterator[bytes]:
    """A part of a file in pieces of that size, the last one shorter.

    Raises:
        FileCutError: another process has cut the file meanwhile.
    """
    offset, end = part.offset, part.offset + part.length
    while offset < end:
        piece = os.pread(part.descriptor, min(end - offset, size), offset)
        if not piece:
            raise FileCutError
        offset += len(piece)
        yield piece


def _encoded(value: str) -> bytes:
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode()
