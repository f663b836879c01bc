"""Operations of the dfs API on paths: create, rename, properties, access, delete."""

from __future__ import annotations

from dataclasses import replace

from devcloud.lake.access import SET_ACCESS, acl_header, given_access
from devcloud.lake.blob_api import lease_blob, remove
from devcloud.lake.conditions import check_read, check_source, check_write
from devcloud.lake.containers_api import Handler
from devcloud.lake.errors import LakeError, not_implemented
from devcloud.lake.events import DIRECTORY_CREATED, DIRECTORY_DELETED
from devcloud.lake.filesystems_api import path_metadata
from devcloud.lake.messages import LakeRequest, LakeResponse, split_path
from devcloud.lake.service import (
    LakeContext,
    access_headers,
    content_properties,
    place,
    version_headers,
    written_headers,
)


async def create_path(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Path Create: an empty file, which overwrites, or a directory, which does not."""
    current = lake.store.entry(request.container, request.key)
    existing = {}
    if current is not None:
        existing["x-ms-existing-resource-type"] = "directory" if current.directory else "file"
    try:
        check_write(request.headers, current)
    except LakeError as error:
        error.headers |= existing
        raise
    properties = content_properties(request, "x-ms-")
    properties.metadata = path_metadata(request)
    properties.access = given_access(request.headers)
    store = lake.store
    if request.query["resource"] == "directory":
        if current is not None and not current.directory:
            raise LakeError("PathAlreadyExists", headers=existing)
        if current is None:
            store.make_directories(request.container, request.key)
            current = lake.existing(request)
            _tell(lake, request, DIRECTORY_CREATED, "CreateDirectory")
        if properties.metadata or properties.access:
            current = store.change(
                current,
                replace(current.properties, metadata=properties.metadata, access=properties.access),
            )
        return LakeResponse(201, written_headers(current))
    lake.leases.drop(place(request))  # an overwrite breaks the lease
    if current is not None and not current.directory:
        lake.appends.forget(current)
    staged = store.stage()
    open(staged, "xb").close()  # noqa: ASYNC230, PTH123 - an empty file, in no time
    with store.staged(staged):
        entry = lake.publish(request, staged, properties, current)
    lake.blocks.forget(request.container, request.key)
    lake.delivery.add(lake.events.created(request, "CreateFile", request.container, entry))
    return LakeResponse(201, written_headers(entry))


async def rename_path(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Path Create with a rename source: one atomic move, under conditions of both sides."""
    container, key = _rename_source(lake, request)
    store = lake.store
    current = store.entry(request.container, request.key)
    check_write(request.headers, current)
    source = store.entry(container, key)
    if source is None or not key:
        raise LakeError("SourcePathNotFound")
    check_source(request.headers, source)
    lease = {"x-ms-lease-id": request.headers.get("x-ms-source-lease-id", "")}
    lake.leases.check_write(
        f"{container}/{key}", {k: v for k, v in lease.items() if v}, overwrite=False
    )
    if (container, key) == (request.container, request.key):
        return LakeResponse(201, written_headers(source))
    moved = store.rename(source, request.container, request.key, current)
    lake.leases.drop_below(f"{container}/{key}")
    lake.leases.drop_below(place(request))
    if "x-ms-properties" in request.headers:
        moved = store.change(moved, replace(moved.properties, metadata=path_metadata(request)))
    moment = store.clock.tick()
    lake.delivery.add(
        lake.events.renamed(request, (container, key), request.container, moved, moment)
    )
    return LakeResponse(201, {**written_headers(moved), "content-length": "0"})


def _rename_source(lake: LakeContext, request: LakeRequest) -> tuple[str, str]:
    raw, _, query = request.headers["x-ms-rename-source"].partition("?")
    if not raw.startswith("/"):
        raise LakeError("InvalidSourceUri", "x-ms-rename-source is /filesystem/path.")
    container, key = split_path(raw, lake.config.account)
    if "sig=" in query:
        lake.auth.may_read(container, key, query)
    return container, key


async def set_path_properties(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Path Update, setProperties: replaces the metadata; content headers where given."""
    entry = lake.existing(request)
    lake.for_writing(request, overwrite=False)
    given = content_properties(request, "x-ms-")
    kept = entry.properties
    typed = "x-ms-content-type" in request.headers
    changed = lake.store.change(
        entry,
        replace(
            kept,
            metadata=path_metadata(request)
            if "x-ms-properties" in request.headers
            else kept.metadata,
            content_type=given.content_type if typed else kept.content_type,
            content_encoding=given.content_encoding or kept.content_encoding,
            content_language=given.content_language or kept.content_language,
            content_disposition=given.content_disposition or kept.content_disposition,
            cache_control=given.cache_control or kept.cache_control,
        ),
    )
    return LakeResponse(200, version_headers(changed))


async def set_path_access(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Path Update, setAccessControl: kept and told again, never enforced."""
    entry = lake.existing(request)
    lake.for_writing(request, overwrite=False)
    given = given_access(request.headers)
    if not given:
        raise LakeError("MissingRequiredHeader", f"It is one of {', '.join(SET_ACCESS)}.")
    properties = replace(entry.properties, access={**entry.properties.access, **given})
    return LakeResponse(200, version_headers(lake.store.change(entry, properties)))


async def get_path_status(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Path Get Properties, getStatus: system properties alone."""
    entry = lake.existing(request)
    check_read(request.headers, entry)
    headers = {
        **version_headers(entry),
        **access_headers(entry),
        "x-ms-resource-type": "directory" if entry.directory else "file",
        "content-length": str(entry.size),
        "content-type": entry.properties.content_type,
    }
    return LakeResponse(200, headers)


async def get_path_access(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Path Get Properties, getAccessControl."""
    entry = lake.existing(request)
    check_read(request.headers, entry)
    headers = {**version_headers(entry), **access_headers(entry), "x-ms-acl": acl_header(entry)}
    return LakeResponse(200, headers)


async def check_path_access(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Path Get Properties, checkAccess: who got so far has all access."""
    return LakeResponse(200, version_headers(lake.existing(request)))


async def delete_path(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Path Delete: a file; or a directory, with all in it if `recursive`."""
    entry = lake.existing(request)
    lake.for_writing(request, overwrite=False)
    if not request.key:
        raise not_implemented("deleting the root of a filesystem")
    if not (entry.directory and request.flag("recursive")):
        remove(lake, request, entry, "DeleteFile")
        if entry.directory:
            _tell(lake, request, DIRECTORY_DELETED, "DeleteDirectory")
        return LakeResponse(200)
    lake.store.delete(entry, recursive=True)
    lake.leases.drop_below(place(request))
    _tell(lake, request, DIRECTORY_DELETED, "DeleteDirectory")
    return LakeResponse(200)


def _tell(lake: LakeContext, request: LakeRequest, kind: str, api: str) -> None:
    moment = lake.store.clock.tick()
    event = lake.events.of_path(request, kind, api, moment)
    lake.delivery.add(event)


OPERATIONS: dict[str, Handler] = {
    "CreatePath": create_path,
    "RenamePath": rename_path,
    "SetPathProperties": set_path_properties,
    "SetPathAccess": set_path_access,
    "GetPathStatus": get_path_status,
    "GetPathAccess": get_path_access,
    "CheckPathAccess": check_path_access,
    "LeasePath": lease_blob,
    "DeletePath": delete_path,
}
