"""Reading a path: its bytes, whole or in ranges, and its properties. Both APIs read alike."""

from __future__ import annotations

import base64
import hashlib
import os
import re

from devcloud.lake.conditions import check_read
from devcloud.lake.errors import LakeError
from devcloud.lake.messages import FileSlice, LakeRequest, LakeResponse
from devcloud.lake.service import LakeContext, place, property_headers
from devcloud.lake.store import StoredEntry

RANGE = re.compile(r"^bytes=(\d+)-(\d*)$")
IN_MEMORY_BYTES = 256 << 10  # what is not larger is read and sent at once
RANGE_HASH_BYTES = 4 << 20


async def get_blob(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Get Blob, Path Read: the version that was there when the request came."""
    entry = lake.existing(request)
    lake.leases.check_read(place(request), request.headers)
    check_read(request.headers, entry)
    headers = property_headers(lake, request.container, entry)
    wanted = request.headers.get("x-ms-range") or request.headers.get("range")
    if entry.directory:
        if wanted:
            raise LakeError("InvalidRange", headers={"content-range": "bytes */0"})
        return LakeResponse(200, headers)
    offset, length = 0, entry.size
    status = 200
    if wanted:
        offset, length = parse_range(wanted, entry.size)
        status = 206
        headers["content-range"] = f"bytes {offset}-{offset + length - 1}/{entry.size}"
    if entry.properties.md5:
        headers["x-ms-blob-content-md5" if wanted else "content-md5"] = entry.properties.md5
    reply = LakeResponse(status, headers)
    descriptor = os.open(entry.local, os.O_RDONLY)
    hashed = request.headers.get("x-ms-range-get-content-md5", "").lower() == "true"
    if hashed and length > RANGE_HASH_BYTES:
        os.close(descriptor)
        raise LakeError("InvalidHeaderValue", "A range is hashed up to 4 MiB.")
    if not hashed and length > IN_MEMORY_BYTES:
        reply.file = FileSlice(descriptor, offset, length)
        return reply
    try:
        reply.body = os.pread(descriptor, length, offset)
    finally:
        os.close(descriptor)
    if hashed:
        digest = hashlib.md5(reply.body, usedforsecurity=False).digest()
        headers["content-md5"] = base64.b64encode(digest).decode()
    return reply


async def get_blob_properties(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Get Blob Properties, Path Get Properties."""
    entry = lake.existing(request)
    lake.leases.check_read(place(request), request.headers)
    check_read(request.headers, entry)
    headers = property_headers(lake, request.container, entry)
    headers["content-length"] = str(entry.size)
    if entry.properties.md5:
        headers["content-md5"] = entry.properties.md5
    if entry.properties.metadata:
        headers["x-ms-properties"] = path_properties(entry)
    return LakeResponse(200, headers)


def path_properties(entry: StoredEntry) -> str:
    """Metadata in the form of the dfs API: `name=base64,...`."""
    return ",".join(
        f"{name}={base64.b64encode(value.encode()).decode()}"
        for name, value in entry.properties.metadata.items()
    )


def parse_range(text: str, size: int) -> tuple[int, int]:
    """Offset and length of a range.

    Raises:
        LakeError: InvalidRange, if it begins behind the end; InvalidHeaderValue, if it is none
            that Azure Storage knows, such as one from the end.
    """
    match = RANGE.match(text.strip())
    if match is None:
        raise LakeError("InvalidHeaderValue", f"No range: {text!r}.")
    first = int(match[1])
    last = int(match[2]) if match[2] else size - 1
    if first >= size:
        raise LakeError("InvalidRange", headers={"content-range": f"bytes */{size}"})
    if last < first:
        raise LakeError("InvalidHeaderValue", f"A range that ends before it begins: {text!r}.")
    return first, min(last, size - 1) - first + 1
