"""Appending and flushing in the dfs API: data waits beside a file until a flush makes it content.

A flush publishes old and new content together in one step. It raises an event only if the client
says with `close=true` that the file is complete.
"""

from __future__ import annotations

from dataclasses import replace

from devcloud.lake.containers_api import Handler
from devcloud.lake.errors import LakeError
from devcloud.lake.messages import LakeRequest, LakeResponse
from devcloud.lake.properties import Properties
from devcloud.lake.service import (
    ENCRYPTED,
    LakeContext,
    content_properties,
    must_be_block_blob,
    must_be_online,
    place,
    version_headers,
    written_headers,
)
from devcloud.lake.store import StoredEntry
from devcloud.lake.uploads import StagedBlock, assemble, receive


async def append_path(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Path Update, append: data that waits for a flush."""
    position = request.number("position")
    lake.existing(request)
    received = await receive(lake.store, request)
    with lake.store.staged(received.staged):
        entry = lake.existing(request)  # as it is after the body came
        if entry.directory:
            raise LakeError("PathConflict")
        if not received.size:
            raise LakeError("InvalidInput", "An append has at least one byte.")
        lake.leases.check_write(place(request), request.headers, overwrite=False)
        lake.appends.put(entry, position, received)
    headers = {**received.headers, **ENCRYPTED}
    if not request.flag("flush"):
        return LakeResponse(202, headers)
    flushed = await _flush(lake, request, position + received.size, retain=True)
    return LakeResponse(202, {**headers, **version_headers(flushed)})


async def flush_path(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Path Update, flush: what was appended becomes content, in one step."""
    position = request.number("position")
    retain = request.flag("retainUncommittedData")
    entry = await _flush(lake, request, position, retain=retain)
    return LakeResponse(200, {**written_headers(entry), "content-length": "0"})


async def _flush(
    lake: LakeContext, request: LakeRequest, position: int, *, retain: bool
) -> StoredEntry:
    entry = lake.existing(request)
    while True:
        lake.for_writing(request, overwrite=False)
        if entry.directory:
            raise LakeError("PathConflict")
        must_be_online(entry)
        must_be_block_blob(entry)
        pieces = lake.appends.until(entry, position)
        before = [StagedBlock(entry.local, 0, entry.size)] if entry.size and pieces else []
        staged = await assemble(lake.store, [*before, *pieces]) if pieces else ""
        with lake.store.staged(staged):
            now = lake.existing(request)
            lake.for_writing(request, overwrite=False)
            if now == entry:
                flushed = _commit(lake, request, entry, staged)
                break
        lake.store.discard(staged)
        entry = now
    lake.appends.flushed(entry, pieces, retain=retain)
    if request.flag("close"):
        event = lake.events.created(request, "FlushWithClose", request.container, flushed)
        lake.delivery.add(event)
    return flushed


def _commit(
    lake: LakeContext, request: LakeRequest, entry: StoredEntry, staged: str
) -> StoredEntry:
    properties = _flushed_properties(request, entry)
    if not staged:
        return lake.store.change(entry, properties)
    return lake.store.publish(request.container, request.key, staged, properties, current=entry)


def _flushed_properties(request: LakeRequest, entry: StoredEntry) -> Properties:
    given = content_properties(request, "x-ms-")
    kept = entry.properties
    typed = "x-ms-content-type" in request.headers
    return replace(
        kept,
        content_type=given.content_type if typed else kept.content_type,
        content_encoding=given.content_encoding or kept.content_encoding,
        content_language=given.content_language or kept.content_language,
        content_disposition=given.content_disposition or kept.content_disposition,
        cache_control=given.cache_control or kept.cache_control,
        md5=given.md5,
        blocks=[],
        copy={},
    )


OPERATIONS: dict[str, Handler] = {
    "AppendPath": append_path,
    "FlushPath": flush_path,
}
