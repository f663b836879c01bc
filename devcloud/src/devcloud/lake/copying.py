"""Copying within the account, done when the reply is sent: Copy Blob, and all that is From URL."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import uuid
from dataclasses import replace
from urllib.parse import urlsplit

from devcloud.lake.conditions import check_source, http_date
from devcloud.lake.crc64 import crc64, encoded
from devcloud.lake.errors import LakeError, not_implemented
from devcloud.lake.messages import LakeRequest, LakeResponse, split_path
from devcloud.lake.properties import BLOCK_BLOB, Properties
from devcloud.lake.reading import parse_range
from devcloud.lake.service import (
    ENCRYPTED,
    LakeContext,
    content_properties,
    metadata_of,
    must_be_online,
    tier_of,
    written_headers,
)
from devcloud.lake.store import StoredEntry
from devcloud.lake.uploads import Received, StagedBlock, assemble, check_md5

HASH_BYTES = 4 << 20


async def copy_blob(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Copy Blob: the new version is there, whole, when the reply is."""
    container, source = _source(lake, request)
    check_source(request.headers, source)
    if source.directory:
        raise LakeError("ResourceTypeMismatch", "A directory cannot be copied.")
    must_be_online(source)
    tier = tier_of(request)
    staged = await assemble(lake.store, [StagedBlock(source.local, 0, source.size)])
    with lake.store.staged(staged):
        if lake.store.entry(container, source.key) != source:
            raise LakeError("SourceConditionNotMet", "It changed while it was copied.")
        current = lake.for_writing(request, overwrite=True)
        moment = lake.store.clock.tick()
        copy = {
            "x-ms-copy-id": str(uuid.uuid4()),
            "x-ms-copy-source": request.headers["x-ms-copy-source"].partition("?")[0],
            "x-ms-copy-status": "success",
            "x-ms-copy-progress": f"{source.size}/{source.size}",
            "x-ms-copy-completion-time": http_date(moment),
        }
        given = content_properties(request, "x-ms-blob-")
        properties = replace(
            source.properties,
            metadata=metadata_of(request) or source.properties.metadata,
            content_type=request.headers.get("x-ms-blob-content-type")
            or source.properties.content_type,
            content_encoding=given.content_encoding or source.properties.content_encoding,
            created=0,
            tier=tier,
            tier_changed=moment if tier else 0,
            access={},
            copy=copy,
        )
        entry = lake.publish(request, staged, properties, current)
    lake.blocks.forget(request.container, request.key)
    lake.delivery.add(lake.events.created(request, "CopyBlob", request.container, entry))
    answered = {name: copy[name] for name in ("x-ms-copy-id", "x-ms-copy-status")}
    return LakeResponse(202, {**written_headers(entry), **answered})


async def put_blob_from_url(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Put Blob From URL: a block blob with the content of another, and its content headers."""
    if request.headers.get("x-ms-blob-type") != BLOCK_BLOB:
        raise LakeError("InvalidHeaderValue", "Only block blobs are made from a URL.")
    if request.headers.get("content-length", "0") != "0":
        raise LakeError("InvalidHeaderValue", "Its Content-Length is 0.")
    metadata, tier = metadata_of(request), tier_of(request)
    _, source = _source(lake, request)
    received = await receive_from_url(lake, request)
    with lake.store.staged(received.staged):
        properties = content_properties(request, "x-ms-blob-")
        if request.headers.get("x-ms-copy-source-blob-properties", "true").lower() == "true":
            properties = _with_content_headers(properties, source.properties, request)
        properties.metadata, properties.md5 = metadata, received.md5
        current = lake.for_writing(request, overwrite=True)
        if tier:
            properties.tier, properties.tier_changed = tier, lake.store.clock.tick()
        entry = lake.publish(request, received.staged, properties, current)
    lake.blocks.forget(request.container, request.key)
    lake.delivery.add(lake.events.created(request, "PutBlob", request.container, entry))
    return LakeResponse(201, {**written_headers(entry), **received.headers})


async def put_block_from_url(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Put Block From URL: a block with a range of another blob."""
    lake.store.container(request.container)
    received = await receive_from_url(lake, request)
    with lake.store.staged(received.staged):
        lake.put_block(request, received)
    return LakeResponse(201, {**received.headers, **ENCRYPTED})


async def receive_from_url(lake: LakeContext, request: LakeRequest) -> Received:
    """The bytes of a copy source, whole or the range that is asked for, as a staged file.

    Raises:
        LakeError: the source may not be read, is none, has changed, or is not what was announced.
    """
    container, source = _source(lake, request)
    check_source(request.headers, source)
    must_be_online(source)
    if source.directory:
        raise LakeError("ResourceTypeMismatch", "A directory cannot be copied.")
    offset, length = 0, source.size
    if byte_range := request.headers.get("x-ms-source-range"):
        offset, length = parse_range(byte_range, source.size)
    staged = await assemble(lake.store, [StagedBlock(source.local, offset, length)])
    with lake.store.staged(staged):
        if lake.store.entry(container, source.key) != source:
            raise LakeError("SourceConditionNotMet", "It changed while it was copied.")
        md5, crc = await asyncio.to_thread(_hashes, staged)
        check_md5(request.headers.get("x-ms-source-content-md5"), md5)
        announced = request.headers.get("x-ms-source-content-crc64")
        if announced is not None and announced != crc:
            raise LakeError("Crc64Mismatch")
    return Received(staged, length, md5, {"content-md5": md5})


def _hashes(staged: str) -> tuple[str, str]:
    digest, crc = hashlib.md5(usedforsecurity=False), 0
    with open(staged, "rb") as file:  # noqa: PTH123 - paths are strings here
        while chunk := file.read(HASH_BYTES):
            digest.update(chunk)
            crc = crc64(chunk, crc)
    return base64.b64encode(digest.digest()).decode(), encoded(crc)


def _with_content_headers(
    given: Properties, source: Properties, request: LakeRequest
) -> Properties:
    typed = "x-ms-blob-content-type" in request.headers
    return replace(
        given,
        content_type=given.content_type if typed else source.content_type,
        content_encoding=given.content_encoding or source.content_encoding,
        content_language=given.content_language or source.content_language,
        content_disposition=given.content_disposition or source.content_disposition,
        cache_control=given.cache_control or source.cache_control,
    )


async def abort_copy(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Abort Copy Blob: every copy is complete when it is answered, so none is pending."""
    lake.existing(request)
    if request.headers.get("x-ms-copy-action") != "abort":
        raise LakeError("MissingRequiredHeader", "It is x-ms-copy-action: abort.")
    raise LakeError("NoPendingCopyOperation")


def _source(lake: LakeContext, request: LakeRequest) -> tuple[str, StoredEntry]:
    url = urlsplit(request.headers["x-ms-copy-source"])
    if not url.scheme or not url.path:
        raise LakeError("InvalidSourceUri")
    if url.hostname not in ("127.0.0.1", "localhost"):
        raise not_implemented("copying from another account")
    container, key = split_path(url.path, lake.config.account)
    if "x-ms-copy-source-authorization" in request.headers:
        raise not_implemented("x-ms-copy-source-authorization")
    if "sig=" in url.query:
        lake.auth.may_read(container, key, url.query)
    elif url.query:
        raise not_implemented(f"copying from {url.query!r}")
    elif "authorization" not in request.headers:  # the signature of the target is not the source's
        raise LakeError("CannotVerifyCopySource", "Its URL has no shared access signature.")
    try:
        entry = lake.store.entry(container, key)
    except LakeError:
        entry = None
    if entry is None:
        raise LakeError("CannotVerifyCopySource")
    return container, entry
