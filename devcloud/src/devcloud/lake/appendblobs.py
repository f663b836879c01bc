"""Append blobs: blobs that grow by whole blocks, each append one atomic step.

Specification: https://learn.microsoft.com/rest/api/storageservices/append-block. (Appending to a
file in the dfs API is another thing: see `devcloud.lake.appending`.)
"""

from __future__ import annotations

import os
from dataclasses import replace

from devcloud.lake.containers_api import Handler
from devcloud.lake.copying import receive_from_url
from devcloud.lake.errors import LakeError
from devcloud.lake.messages import LakeRequest, LakeResponse
from devcloud.lake.properties import APPEND_BLOB
from devcloud.lake.service import LakeContext, written_headers
from devcloud.lake.store import StoredEntry
from devcloud.lake.uploads import Received, copy_bytes, receive

MOST_BLOCKS = 50_000
MOST_BYTES = 100 << 20


async def append_block(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Append Block."""
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > MOST_BYTES:
        raise LakeError("RequestBodyTooLarge")
    return await _append(lake, request, await receive(lake.store, request))


async def append_block_from_url(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Append Block From URL, of this account."""
    return await _append(lake, request, await receive_from_url(lake, request))


async def _append(lake: LakeContext, request: LakeRequest, received: Received) -> LakeResponse:
    if not received.size:
        lake.store.discard(received.staged)
        raise LakeError("InvalidHeaderValue", "A block has at least one byte.")
    with lake.store.staged(received.staged):
        before = _appendable(lake, request, received.size)
        after = _grown(lake, before, received)
    lake.store.discard(received.staged)
    headers = {
        **written_headers(after),
        **received.headers,
        "x-ms-blob-append-offset": str(before.size),
        "x-ms-blob-committed-block-count": str(after.properties.appended),
    }
    return LakeResponse(201, headers)


def _grown(lake: LakeContext, entry: StoredEntry, received: Received) -> StoredEntry:
    """A blob with one more block: written behind its end, and then visible in one step."""
    target = os.open(entry.local, os.O_WRONLY)
    try:
        os.ftruncate(target, entry.size)  # what an append that was cut off has left
        os.lseek(target, 0, os.SEEK_END)
        copy_bytes(received.staged, 0, target, received.size)
    finally:
        os.close(target)
    lake.store.sync(entry.local)
    kept = entry.properties
    return lake.store.change(
        entry,
        replace(
            kept,
            appended=kept.appended + 1,
            length=entry.size + received.size,
            md5="",
            copy={},
        ),
    )


def _appendable(lake: LakeContext, request: LakeRequest, size: int) -> StoredEntry:
    """The blob of a request as it is now, if the request may append to it."""
    entry = lake.existing(request)
    lake.for_writing(request, overwrite=False)
    if entry.properties.kind != APPEND_BLOB:
        raise LakeError("InvalidBlobType")
    position = request.headers.get("x-ms-blob-condition-appendpos")
    if position is not None and position != str(entry.size):
        raise LakeError("AppendPositionConditionNotMet")
    most = request.headers.get("x-ms-blob-condition-maxsize")
    if most is not None and most.isdigit() and entry.size + size > int(most):
        raise LakeError("MaxBlobSizeConditionNotMet")
    if entry.properties.appended >= MOST_BLOCKS:
        raise LakeError("BlockCountExceedsLimit")
    return entry


OPERATIONS: dict[str, Handler] = {
    "AppendBlock": append_block,
    "AppendBlockFromUrl": append_block_from_url,
}
