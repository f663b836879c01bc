"""The parts of a lake that its operations share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from devcloud.config import CloudConfig
from devcloud.lake.auth import Authenticator
from devcloud.lake.conditions import check_write, http_date, must_be_absent
from devcloud.lake.delivery import EventDelivery
from devcloud.lake.errors import LakeError
from devcloud.lake.events import EventFactory
from devcloud.lake.leases import Leases
from devcloud.lake.messages import LakeRequest
from devcloud.lake.properties import (
    ACCESS_DIRECTORY,
    ACCESS_FILE,
    APPEND_BLOB,
    BLOCK_BLOB,
    Properties,
)
from devcloud.lake.store import LakeStore, StoredEntry
from devcloud.lake.uploads import Appends, Blocks, Received

ENCRYPTED = {"x-ms-request-server-encrypted": "true"}
OWNER = "$superuser"
FOLDER_MARK = "hdi_isfolder"
METADATA_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")  # an identifier of C#
METADATA_BYTES = 8 << 10
TIERS = ("Hot", "Cool", "Cold", "Archive")


@dataclass(frozen=True)
class LakeContext:
    """Everything that an operation needs."""

    config: CloudConfig
    store: LakeStore
    auth: Authenticator
    leases: Leases
    blocks: Blocks
    appends: Appends
    events: EventFactory
    delivery: EventDelivery

    def existing(self, request: LakeRequest) -> StoredEntry:
        """The path of a request.

        Raises:
            LakeError: BlobNotFound or ContainerNotFound.
        """
        entry = self.store.entry(request.container, request.key)
        if entry is None:
            raise LakeError("BlobNotFound")
        return entry

    def for_writing(self, request: LakeRequest, *, overwrite: bool) -> StoredEntry | None:
        """The path of a request as it is now, after its conditions and its lease were checked.

        Raises:
            LakeError: a condition or the lease forbids the write.
        """
        current = self.store.entry(request.container, request.key)
        check_write(request.headers, current)
        self.leases.check_write(place(request), request.headers, overwrite=overwrite)
        return current

    def put_block(self, request: LakeRequest, received: Received) -> None:
        """Keep a block of a request's path.

        Raises:
            LakeError: the lease, the kind of blob, or its id forbid it.
        """
        self.leases.check_write(place(request), request.headers, overwrite=False)
        current = self.store.entry(request.container, request.key)
        must_be_block_blob(current)
        block = request.query.get("blockid", "")
        self.blocks.put(request.container, request.key, block, received)

    def publish(
        self, request: LakeRequest, staged: str, properties: Properties, current: StoredEntry | None
    ) -> StoredEntry:
        """Make a staged file the content of a request's path, under the request's conditions.

        Raises:
            LakeError: see `LakeStore.publish`.
        """
        return self.store.publish(
            request.container,
            request.key,
            staged,
            properties,
            current=current,
            absent=must_be_absent(request.headers),
        )


def place(request: LakeRequest) -> str:
    """`container/key` of a request."""
    return f"{request.container}/{request.key}"


def metadata_of(request: LakeRequest) -> dict[str, str]:
    """Metadata in the headers `x-ms-meta-...` of a request, in the case in which they came.

    Raises:
        LakeError: EmptyMetadataKey, InvalidMetadata or MetadataTooLarge.
    """
    prefix = len("x-ms-meta-")
    metadata: dict[str, str] = {}
    for name, value in request.headers.items():
        if not name.startswith("x-ms-meta-"):
            continue
        key = request.names.get(name, name)[prefix:]
        if not key:
            raise LakeError("EmptyMetadataKey")
        if not METADATA_NAME.match(key):
            raise LakeError("InvalidMetadata", f"{key!r} is no identifier.")
        metadata[key] = value
    if sum(len(key) + len(value) for key, value in metadata.items()) > METADATA_BYTES:
        raise LakeError("MetadataTooLarge")
    return metadata


def marks_folder(metadata: dict[str, str]) -> bool:
    """Whether metadata says that a blob stands for a folder."""
    return any(
        name.lower() == FOLDER_MARK and value.lower() == "true" for name, value in metadata.items()
    )


def version_headers(entry: StoredEntry) -> dict[str, str]:
    """ETag and Last-Modified of a path."""
    return {"etag": f'"{entry.etag}"', "last-modified": http_date(entry.modified)}


def written_headers(entry: StoredEntry) -> dict[str, str]:
    """Headers of the reply to a write."""
    return {**version_headers(entry), **ENCRYPTED}


def tier_of(request: LakeRequest) -> str:
    """The access tier that a write asks for; empty where it asks for none.

    Raises:
        LakeError: InvalidHeaderValue.
    """
    tier = request.headers.get("x-ms-access-tier", "")
    if tier and tier not in TIERS:
        raise LakeError("InvalidHeaderValue", f"x-ms-access-tier was {tier!r}.")
    return tier


def must_be_block_blob(entry: StoredEntry | None) -> None:
    """Refuse blocks for what is made otherwise.

    Raises:
        LakeError: InvalidBlobType.
    """
    if entry is not None and entry.properties.kind != BLOCK_BLOB:
        raise LakeError("InvalidBlobType")


def must_be_online(entry: StoredEntry) -> None:
    """Refuse to read or change what is in the archive.

    Raises:
        LakeError: BlobArchived.
    """
    if entry.properties.tier == "Archive":
        raise LakeError("BlobArchived")


def property_headers(lake: LakeContext, container: str, entry: StoredEntry) -> dict[str, str]:
    """All that GET and HEAD tell of a path but its length and hash."""
    properties = entry.properties
    headers = {
        **version_headers(entry),
        "accept-ranges": "bytes",
        "content-type": properties.content_type,
        "x-ms-blob-type": properties.kind,
        "x-ms-creation-time": http_date(properties.created or entry.modified),
        "x-ms-server-encrypted": "true",
        **tier_headers(properties),
        "x-ms-resource-type": "directory" if entry.directory else "file",
        **access_headers(entry),
        **lake.leases.headers(f"{container}/{entry.key}"),
        **properties.copy,
    }
    optional = {
        "content-encoding": properties.content_encoding,
        "content-language": properties.content_language,
        "content-disposition": properties.content_disposition,
        "cache-control": properties.cache_control,
    }
    headers |= {name: value for name, value in optional.items() if value}
    headers |= {f"x-ms-meta-{name}": value for name, value in properties.metadata.items()}
    if entry.directory:
        headers["x-ms-meta-hdi_isfolder"] = "true"
    return headers


def tier_headers(properties: Properties) -> dict[str, str]:
    """The access tier of a path: the account's default, or one that somebody set.

    An append blob has none; what is told in its place is how many blocks it has.
    """
    if properties.kind == APPEND_BLOB:
        return {"x-ms-blob-committed-block-count": str(properties.appended)}
    if not properties.tier:
        return {"x-ms-access-tier": TIERS[0], "x-ms-access-tier-inferred": "true"}
    return {
        "x-ms-access-tier": properties.tier,
        "x-ms-access-tier-change-time": http_date(properties.tier_changed),
    }


def access_headers(entry: StoredEntry) -> dict[str, str]:
    """Owner, group and permissions of a path."""
    access = entry.properties.access
    return {
        "x-ms-owner": access.get("owner", OWNER),
        "x-ms-group": access.get("group", OWNER),
        "x-ms-permissions": permissions(entry),
    }


def permissions(entry: StoredEntry) -> str:
    """Permissions of a path as `rwxr-x---`."""
    default = ACCESS_DIRECTORY if entry.directory else ACCESS_FILE
    return entry.properties.access.get("permissions", default)


def content_properties(request: LakeRequest, prefix: str, fallback_type: str = "") -> Properties:
    """Content headers of a write; `prefix` is `x-ms-blob-` or, in the dfs API, `x-ms-`."""
    headers = request.headers
    properties = Properties(
        content_encoding=headers.get(f"{prefix}content-encoding", ""),
        content_language=headers.get(f"{prefix}content-language", ""),
        content_disposition=headers.get(f"{prefix}content-disposition", ""),
        cache_control=headers.get(f"{prefix}cache-control", ""),
        md5=headers.get(f"{prefix}content-md5", ""),
    )
    given = headers.get(f"{prefix}content-type") or fallback_type
    if given:
        properties.content_type = given
    return properties


def system_folder(store: LakeStore, name: str) -> Path:
    """A folder for what is not the content of a container."""
    folder = store.system / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder
