"""Operations of the dfs API on filesystems, which are the containers of the blob API."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import replace

from devcloud.lake import containers_api
from devcloud.lake.conditions import check_write, http_date
from devcloud.lake.containers_api import Handler
from devcloud.lake.errors import LakeError
from devcloud.lake.listing import LONGEST_PAGE, Page, Selection, key_of, page
from devcloud.lake.messages import LakeRequest, LakeResponse, check_key
from devcloud.lake.service import LakeContext, access_headers, version_headers
from devcloud.lake.store import StoredEntry

NAME = re.compile(r"^[A-Za-z0-9_.!#$%&'*+^`|~-]+$")  # what a header's name is made of
JSON = {"content-type": "application/json;charset=utf-8"}


async def list_filesystems(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Filesystem List."""
    filesystems = []
    for name in lake.store.containers():
        if name.startswith(request.query.get("prefix", "")):
            entry = lake.store.container(name)
            modified = http_date(entry.modified)
            filesystems.append({"name": name, "etag": entry.etag, "lastModified": modified})
    return LakeResponse(200, JSON, json.dumps({"filesystems": filesystems}).encode())


async def create_filesystem(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Filesystem Create."""
    entry = lake.store.create_container(request.container, path_metadata(request))
    return LakeResponse(201, {**version_headers(entry), "x-ms-namespace-enabled": "true"})


async def get_filesystem_properties(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Filesystem Get Properties."""
    entry = lake.store.container(request.container)
    return LakeResponse(200, {**version_headers(entry), "x-ms-namespace-enabled": "true"})


async def set_filesystem_properties(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Filesystem Set Properties."""
    entry = lake.store.container(request.container)
    check_write(request.headers, entry)
    properties = replace(entry.properties, metadata=path_metadata(request))
    return LakeResponse(200, version_headers(lake.store.change(entry, properties)))


async def list_paths(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Path List; of a file, that file."""
    query = request.query
    directory = check_key(query.get("directory", ""))
    root = lake.store.entry(request.container, directory)
    if root is None:
        raise LakeError("PathNotFound")
    recursive = query.get("recursive", "").lower()
    if recursive not in ("true", "false"):
        raise LakeError("MissingRequiredQueryParameter", "It is 'recursive', true or false.")
    after = key_of(query["continuation"]) if query.get("continuation") else ""
    selection = Selection(request.container, directory, recursive=recursive == "true", after=after)
    limit = request.number("maxResults", LONGEST_PAGE, least=1)
    if root.directory:
        listed = await page(lake.store, selection, limit)
    else:  # Hadoop reads a single file by listing it
        listed = Page([root], "")
    paths = [_path(entry) for entry in listed.entries]
    headers = {**JSON, **version_headers(root)}
    if listed.marker:
        headers["x-ms-continuation"] = listed.marker
    return LakeResponse(200, headers, json.dumps({"paths": paths}).encode())


def _path(entry: StoredEntry) -> dict[str, str]:
    access = access_headers(entry)
    document = {
        "name": entry.key,
        "contentLength": str(entry.size),
        "etag": entry.etag,
        "lastModified": http_date(entry.modified),
        "creationTime": str(
            (entry.properties.created or entry.modified) // 100 + 116444736 * 10**9
        ),
        "owner": access["x-ms-owner"],
        "group": access["x-ms-group"],
        "permissions": access["x-ms-permissions"],
    }
    return {**document, "isDirectory": "true"} if entry.directory else document


def path_metadata(request: LakeRequest) -> dict[str, str]:
    """Metadata in the header `x-ms-properties` of a request: `name=base64,...`.

    Raises:
        LakeError: InvalidHeaderValue.
    """
    text = request.headers.get("x-ms-properties", "")
    metadata: dict[str, str] = {}
    for pair in filter(None, text.split(",")):
        name, _, encoded = pair.strip().partition("=")
        try:
            value = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            value = "\0"
        if not NAME.match(name) or not value.isprintable():  # it is told again in a header
            raise LakeError("InvalidHeaderValue", f"x-ms-properties: {pair!r}.")
        metadata[name] = value
    metadata.pop("hdi_isfolder", None)
    return metadata


OPERATIONS: dict[str, Handler] = {
    "ListFilesystems": list_filesystems,
    "CreateFilesystem": create_filesystem,
    "GetFilesystemProperties": get_filesystem_properties,
    "SetFilesystemProperties": set_filesystem_properties,
    "DeleteFilesystem": containers_api.delete_container,
    "ListPaths": list_paths,
}
