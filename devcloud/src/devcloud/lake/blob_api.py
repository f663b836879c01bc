"""Operations of the blob API on blobs: writing, properties, deleting, leases."""

from __future__ import annotations

from dataclasses import replace

from devcloud.lake import blob_xml
from devcloud.lake.conditions import check_read, check_write
from devcloud.lake.containers_api import XML, Handler
from devcloud.lake.copying import abort_copy, copy_blob, put_blob_from_url, put_block_from_url
from devcloud.lake.errors import LakeError, not_implemented
from devcloud.lake.events import DELETED
from devcloud.lake.messages import LakeRequest, LakeResponse
from devcloud.lake.properties import APPEND_BLOB, BLOCK_BLOB, Properties
from devcloud.lake.reading import get_blob, get_blob_properties
from devcloud.lake.service import (
    ENCRYPTED,
    FOLDER_MARK,
    LakeContext,
    content_properties,
    marks_folder,
    metadata_of,
    must_be_block_blob,
    must_be_online,
    place,
    tier_of,
    version_headers,
    written_headers,
)
from devcloud.lake.store import StoredEntry
from devcloud.lake.uploads import BodyChecks, assemble, check_md5, receive


async def put_blob(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Put Blob: one atomic request, for block blobs; an append blob begins empty."""
    kind = request.headers.get("x-ms-blob-type", "")
    if not kind:
        raise LakeError("MissingRequiredHeader", "It is x-ms-blob-type.")
    if kind not in (BLOCK_BLOB, APPEND_BLOB):
        raise not_implemented(f"blobs of type {kind}")
    metadata, tier = metadata_of(request), tier_of(request)
    if marks_folder(metadata):
        return _make_directory(lake, request)
    received = await receive(lake.store, request)
    with lake.store.staged(received.staged):
        properties = content_properties(
            request, "x-ms-blob-", request.headers.get("content-type", "")
        )
        check_md5(properties.md5 or None, received.md5)
        if kind == APPEND_BLOB and received.size:
            raise LakeError("InvalidHeaderValue", "An append blob is made with Content-Length 0.")
        properties.kind = kind
        properties.md5 = received.md5 if kind == BLOCK_BLOB else ""
        properties.metadata = metadata
        _set_tier(lake, properties, tier)
        current = lake.for_writing(request, overwrite=True)
        entry = lake.publish(request, received.staged, properties, current)
    _wrote(lake, request, "PutBlob", entry)
    return LakeResponse(201, {**written_headers(entry), **received.headers})


def _set_tier(lake: LakeContext, properties: Properties, tier: str) -> None:
    if tier:
        properties.tier, properties.tier_changed = tier, lake.store.clock.tick()


def _make_directory(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """A blob that says it is a folder: how clients without the dfs API make one."""
    current = lake.for_writing(request, overwrite=False)
    if current is not None and not current.directory:
        raise LakeError("BlobAlreadyExists")
    lake.store.make_directories(request.container, request.key)
    return LakeResponse(201, written_headers(lake.existing(request)))


async def put_block(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Put Block."""
    lake.store.container(request.container)
    received = await receive(lake.store, request)
    with lake.store.staged(received.staged):
        lake.put_block(request, received)
    return LakeResponse(201, {**received.headers, **ENCRYPTED})


async def put_block_list(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Put Block List: the blob becomes those blocks, in one step."""
    validation = BodyChecks(request)
    body = validation.content(await request.whole_body())
    validation.finish()
    block_list = blob_xml.wanted_blocks(body)
    properties = content_properties(request, "x-ms-blob-")
    properties.metadata = metadata_of(request)
    _set_tier(lake, properties, tier_of(request))
    while True:
        current = lake.for_writing(request, overwrite=True)
        must_be_block_blob(current)
        blocks = lake.blocks.resolve(request.container, request.key, block_list, current)
        staged = await assemble(lake.store, (piece for _, piece in blocks))
        with lake.store.staged(staged):
            if lake.for_writing(request, overwrite=True) == current:
                properties.blocks = [(block, piece.length) for block, piece in blocks]
                entry = lake.publish(request, staged, properties, current)
                break
        lake.store.discard(
            staged
        )  # somebody wrote while we joined: committed blocks are others now
    _wrote(lake, request, "PutBlockList", entry)
    return LakeResponse(201, {**written_headers(entry), **validation.headers})


def _wrote(lake: LakeContext, request: LakeRequest, api: str, entry: StoredEntry) -> None:
    lake.blocks.forget(request.container, request.key)
    lake.delivery.add(lake.events.created(request, api, request.container, entry))


async def get_block_list(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Get Block List."""
    kind = request.query.get("blocklisttype", "committed").lower()
    if kind not in ("all", "committed", "uncommitted"):
        raise LakeError("InvalidQueryParameterValue", f"blocklisttype was {kind!r}.")
    current = lake.store.entry(request.container, request.key)
    waiting = lake.blocks.uncommitted(request.container, request.key)
    if current is None and not waiting:
        raise LakeError("BlobNotFound")
    headers = dict(XML)
    committed: list[tuple[str, int]] = []
    if current is not None:
        check_read(request.headers, current)
        committed = current.properties.blocks
        headers |= {**version_headers(current), "x-ms-blob-content-length": str(current.size)}
    body = blob_xml.block_list(
        committed if kind != "uncommitted" else None,
        waiting.items() if kind != "committed" else None,
    )
    return LakeResponse(200, headers, body)


async def set_metadata(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Set Blob Metadata: all of it."""
    entry = lake.existing(request)
    lake.for_writing(request, overwrite=False)
    must_be_online(entry)
    metadata = metadata_of(request)
    metadata = {name: v for name, v in metadata.items() if name.lower() != FOLDER_MARK}
    changed = lake.store.change(entry, replace(entry.properties, metadata=metadata))
    return LakeResponse(200, written_headers(changed))


async def set_properties(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Set Blob Properties: all content headers; those not given are cleared."""
    for name in ("x-ms-blob-content-length", "x-ms-sequence-number-action"):
        if name in request.headers:
            raise not_implemented(f"{name}, which is for page blobs")
    entry = lake.existing(request)
    lake.for_writing(request, overwrite=False)
    given = content_properties(request, "x-ms-blob-")
    changed = lake.store.change(
        entry,
        replace(
            entry.properties,
            content_type=given.content_type,
            content_encoding=given.content_encoding,
            content_language=given.content_language,
            content_disposition=given.content_disposition,
            cache_control=given.cache_control,
            md5=given.md5,
        ),
    )
    return LakeResponse(200, version_headers(changed))


async def set_tier(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Set Blob Tier; out of the archive too, where Azure takes hours."""
    entry = lake.existing(request)
    lake.for_writing(request, overwrite=False)
    tier = tier_of(request)
    if not tier:
        raise LakeError("MissingRequiredHeader", "It is x-ms-access-tier.")
    if entry.directory:
        raise LakeError("ResourceTypeMismatch", "A directory has no tier.")
    must_be_block_blob(entry)
    archived = entry.properties.tier == "Archive"
    properties = replace(entry.properties)
    _set_tier(lake, properties, tier)
    lake.store.annotate(entry, properties)
    return LakeResponse(202 if archived and tier != "Archive" else 200)


async def lease_blob(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Lease Blob: acquire, renew, change, release, break."""
    entry = lake.existing(request)
    check_write(request.headers, entry)
    status, headers = lake.leases.act(place(request), request.headers)
    return LakeResponse(status, {**version_headers(entry), **headers})


async def delete_blob(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Delete Blob: a file, or a directory that is empty."""
    if request.headers.get("x-ms-delete-snapshots") == "only":
        raise not_implemented("snapshots")
    entry = lake.existing(request)
    lake.for_writing(request, overwrite=False)
    remove(lake, request, entry, "DeleteBlob")
    return LakeResponse(202, {"x-ms-delete-type-permanent": "true"})


def remove(lake: LakeContext, request: LakeRequest, entry: StoredEntry, api: str) -> None:
    """Delete a file or an empty directory, with what belongs to it, and tell of it."""
    lake.store.delete(entry)
    lake.leases.drop(place(request))
    if entry.directory:
        return
    lake.blocks.forget(request.container, request.key)
    lake.appends.forget(entry)
    moment = lake.store.clock.tick()
    event = lake.events.of_path(request, DELETED, api, moment)
    lake.delivery.add(event)


OPERATIONS: dict[str, Handler] = {
    "GetBlob": get_blob,
    "GetBlobProperties": get_blob_properties,
    "PutBlob": put_blob,
    "PutBlock": put_block,
    "PutBlockList": put_block_list,
    "GetBlockList": get_block_list,
    "CopyBlob": copy_blob,
    "AbortCopy": abort_copy,
    "PutBlobFromUrl": put_blob_from_url,
    "PutBlockFromUrl": put_block_from_url,
    "SetBlobMetadata": set_metadata,
    "SetBlobProperties": set_properties,
    "SetBlobTier": set_tier,
    "LeaseBlob": lease_blob,
    "DeleteBlob": delete_blob,
}
