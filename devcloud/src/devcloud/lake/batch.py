"""Blob Batch: up to 256 deletes in one request, each authorized and answered by itself.

Specification: https://learn.microsoft.com/rest/api/storageservices/blob-batch
"""

from __future__ import annotations

import http
import uuid
from collections.abc import Awaitable, Callable
from email import message_from_bytes, policy
from email.message import Message

from devcloud.lake import routing
from devcloud.lake.errors import LakeError
from devcloud.lake.messages import LakeRequest, LakeResponse

MOST_PARTS = 256
MOST_BYTES = 4 << 20
ALLOWED = ("DeleteBlob", "SetBlobTier")

Answer = Callable[[LakeRequest], Awaitable[LakeResponse]]


async def submit(request: LakeRequest, account: str, answer: Answer) -> LakeResponse:
    """Blob Batch.

    Args:
        request: whose body holds the others.
        account: that their paths may begin with.
        answer: answers one of them, errors included.

    Raises:
        LakeError: the batch as a whole cannot be taken; none of it was done.
    """
    parts = _parts(request, await request.whole_body(MOST_BYTES))
    requests = [(part["content-id"], _inner(request, part, account)) for part in parts]
    names = {
        routing.operation(each.method, each.container, each.key, each.query, each.headers)[0]
        for _, each in requests
    }
    if names - set(ALLOWED):
        raise LakeError("InvalidInput", f"A batch holds {' or '.join(ALLOWED)}, not {min(names)}.")
    if len(names) > 1:
        raise LakeError("AllSubRequestsShouldBeSameApi")
    boundary = f"batchresponse_{uuid.uuid4()}"
    body = bytearray()
    for number, inner in requests:
        body += _part(boundary, number, await answer(inner))
    body += f"--{boundary}--\r\n".encode()
    return LakeResponse(202, {"content-type": f"multipart/mixed; boundary={boundary}"}, bytes(body))


def _parts(request: LakeRequest, body: bytes) -> list[Message]:
    kind = request.headers.get("content-type", "")
    document = message_from_bytes(
        f"Content-Type: {kind}\r\n\r\n".encode("latin-1") + body, policy=policy.compat32
    )
    if document.get_content_type() != "multipart/mixed" or not document.is_multipart():
        raise LakeError("InvalidInput", f"Its content type is {kind!r}, or there is no part in it.")
    parts = [part for part in document.get_payload() if isinstance(part, Message)]
    if len(parts) > MOST_PARTS:
        raise LakeError("ExceedsMaxBatchRequestCount")
    return parts


def _inner(outer: LakeRequest, part: Message, account: str) -> LakeRequest:
    """The request in a part."""
    payload = part.get_payload(decode=True)
    head = payload.decode("latin-1") if isinstance(payload, bytes) else ""
    line, *lines = head.partition("\r\n\r\n")[0].strip().split("\r\n")
    method, _, rest = line.partition(" ")
    path, _, query = rest.rpartition(" ")[0].partition("?")
    if not path.startswith("/"):
        raise LakeError("InvalidInput", f"No request: {line!r}.")
    headers = [
        (name.strip().lower().encode("latin-1"), value.strip().encode("latin-1"))
        for name, _, value in (each.partition(":") for each in lines)
    ]
    scope = {
        "method": method,
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "headers": headers,
        "client": (outer.peer, 0),
    }

    async def no_body() -> dict[str, object]:
        return {"type": "http.request", "body": b""}

    inner = LakeRequest.parse(scope, no_body, account)
    if outer.container and inner.container != outer.container:
        raise LakeError("InvalidInput", f"The batch is of {outer.container}, not {path}.")
    return inner


def _part(boundary: str, number: str | None, reply: LakeResponse) -> bytes:
    head = [f"--{boundary}", "Content-Type: application/http"]
    if number is not None:
        head.append(f"Content-ID: {number}")
    try:
        phrase = http.HTTPStatus(reply.status).phrase
    except ValueError:
        phrase = ""
    lines = [f"HTTP/1.1 {reply.status} {phrase}"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    lines.append(f"content-length: {len(reply.body)}")
    text = "\r\n".join([*head, "", *lines, "", ""])
    return text.encode() + reply.body + b"\r\n"
