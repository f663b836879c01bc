"""Copying within the account, done when the reply is sent (Copy Blob and Copy Blob From URL)."""

from __future__ import annotations

import uuid
from dataclasses import replace
from urllib.parse import urlsplit

from devcloud.lake.conditions import check_source, http_date
from devcloud.lake.errors import LakeError, not_implemented
from devcloud.lake.messages import LakeRequest, LakeResponse, split_path
from devcloud.lake.service import (
    LakeContext,
    content_properties,
    metadata_of,
    must_be_online,
    tier_of,
    written_headers,
)
from devcloud.lake.store import StoredEntry
from devcloud.lake.uploads import StagedBlock, assemble


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
        found = lake.store.entry(container, key)
    except LakeError:
        found = None
    if found is None:
        raise LakeError("CannotVerifyCopySource")
    return container, found
