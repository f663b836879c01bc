"""Reading a path: its bytes, whole or in ranges, and its properties. Both APIs read alike."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Callable

from devcloud.lake.conditions import check_read
from devcloud.lake.crc64 import crc64, encoded
from devcloud.lake.errors import LakeError
from devcloud.lake.messages import FileSlice, LakeRequest, LakeResponse
from devcloud.lake.service import LakeContext, must_be_online, place, property_headers
from devcloud.lake.store import StoredEntry
from devcloud.lake.structured import check_name

RANGE = re.compile(r"^bytes=(\d+)-(\d*)$")
IN_MEMORY_BYTES = 256 << 10  # what is not larger is read and sent at once
RANGE_HASH_BYTES = 4 << 20


async def get_blob(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Get Blob, Path Read: the version that was there when the request came."""
    entry = lake.existing(request)
    lake.leases.check_read(place(request), request.headers)
    check_read(request.headers, entry)
    must_be_online(entry)
    headers = property_headers(lake, request.container, entry)
    byte_range = request.headers.get("x-ms-range") or request.headers.get("range")
    if entry.directory:
        if byte_range:
            raise LakeError("InvalidRange", headers={"content-range": "bytes */0"})
        return LakeResponse(200, headers)
    offset, length = 0, entry.size
    status = 200
    if byte_range:
        offset, length = parse_range(byte_range, entry.size)
        status = 206
        headers["content-range"] = f"bytes {offset}-{offset + length - 1}/{entry.size}"
    if entry.properties.md5:
        headers["x-ms-blob-content-md5" if byte_range else "content-md5"] = entry.properties.md5
    reply = LakeResponse(status, headers)
    hashes = _hashes(request, length, ranged=bool(byte_range))
    form = request.headers.get("x-ms-structured-body")
    if form is not None:
        check_name(form)
        reply.structured = True
        headers["x-ms-structured-body"] = form
        headers["x-ms-structured-content-length"] = str(length)
    descriptor = os.open(entry.local, os.O_RDONLY)
    if reply.structured or (not hashes and length > IN_MEMORY_BYTES):
        reply.file = FileSlice(descriptor, offset, length)
        return reply
    try:
        reply.body = os.pread(descriptor, length, offset)
    finally:
        os.close(descriptor)
    for name, compute in hashes.items():
        headers[name] = compute(reply.body)
    return reply


def _hashes(
    request: LakeRequest, length: int, *, ranged: bool
) -> dict[str, Callable[[bytes], str]]:
    """The hashes that a read asks for, by the headers that tell them."""

    def asks(name: str) -> bool:
        return request.headers.get(f"x-ms-range-get-content-{name}", "").lower() == "true"

    hashes: dict[str, Callable[[bytes], str]] = {}
    if asks("md5"):
        hashes["content-md5"] = _md5
    if asks("crc64"):
        hashes["x-ms-content-crc64"] = lambda body: encoded(crc64(body))
    if not hashes:
        return hashes
    if len(hashes) > 1 or length > RANGE_HASH_BYTES or not ranged:
        raise LakeError("InvalidHeaderValue", "A range of up to 4 MiB is hashed, in one way.")
    return hashes


def _md5(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


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
