"""The XML that the blob API speaks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import quote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

from devcloud.lake.conditions import http_date
from devcloud.lake.errors import LakeError
from devcloud.lake.properties import BLOCK_BLOB
from devcloud.lake.store import StoredEntry

HEAD = '<?xml version="1.0" encoding="utf-8"?>'
OFF = "<Enabled>false</Enabled>"
SERVICE_PROPERTIES = (
    f"{HEAD}<StorageServiceProperties>"
    "<Logging><Version>1.0</Version><Read>false</Read><Write>false</Write><Delete>false</Delete>"
    f"<RetentionPolicy>{OFF}</RetentionPolicy></Logging>"
    f"<HourMetrics><Version>1.0</Version>{OFF}<RetentionPolicy>{OFF}</RetentionPolicy></HourMetrics>"
    f"<MinuteMetrics><Version>1.0</Version>{OFF}<RetentionPolicy>{OFF}</RetentionPolicy>"
    f"</MinuteMetrics><Cors /><DeleteRetentionPolicy>{OFF}</DeleteRetentionPolicy>"
    f"<StaticWebsite>{OFF}</StaticWebsite></StorageServiceProperties>"
).encode()
BLOCK_KINDS = ("Latest", "Committed", "Uncommitted")


def elements(pairs: Iterable[tuple[str, object]]) -> str:
    """Elements with text; those whose text is empty are left out."""
    return "".join(f"<{name}>{escape(str(text))}</{name}>" for name, text in pairs if text != "")


def name_element(name: str) -> str:
    """The name of a blob; percent-encoded where XML cannot hold it."""
    if any(ord(c) < 32 or c in "\ufffe\uffff" for c in name):  # noqa: PLR2004
        return f'<Name Encoded="true">{quote(name, safe="/")}</Name>'
    return f"<Name>{escape(name)}</Name>"


def metadata_element(metadata: Mapping[str, str]) -> str:
    """The metadata of a blob or container."""
    return f"<Metadata>{elements(metadata.items())}</Metadata>"


def blob_element(
    entry: StoredEntry, lease: Mapping[str, str], *, metadata: bool, copy: bool
) -> str:
    """One blob of a listing. Directories are among them, as blobs of no bytes."""
    properties = entry.properties
    block_blob = properties.kind == BLOCK_BLOB
    pairs: list[tuple[str, object]] = [
        ("Creation-Time", http_date(properties.created or entry.modified)),
        ("Last-Modified", http_date(entry.modified)),
        ("Etag", entry.etag),
        ("ResourceType", "directory" if entry.directory else "file"),
        ("Content-Length", entry.size),
        ("Content-Type", properties.content_type),
        ("Content-Encoding", properties.content_encoding),
        ("Content-Language", properties.content_language),
        ("Content-MD5", properties.md5),
        ("Cache-Control", properties.cache_control),
        ("Content-Disposition", properties.content_disposition),
        ("BlobType", properties.kind),
        ("AccessTier", (properties.tier or "Hot") if block_blob else ""),
        ("AccessTierInferred", "true" if block_blob and not properties.tier else ""),
        ("AccessTierChangeTime", http_date(properties.tier_changed) if properties.tier else ""),
        ("LeaseStatus", lease["x-ms-lease-status"]),
        ("LeaseState", lease["x-ms-lease-state"]),
        ("LeaseDuration", lease.get("x-ms-lease-duration", "")),
        ("ServerEncrypted", "true"),
    ]
    if copy and properties.copy:
        pairs += [
            ("CopyId", properties.copy["x-ms-copy-id"]),
            ("CopySource", properties.copy["x-ms-copy-source"]),
            ("CopyStatus", properties.copy["x-ms-copy-status"]),
            ("CopyProgress", properties.copy["x-ms-copy-progress"]),
            ("CopyCompletionTime", properties.copy["x-ms-copy-completion-time"]),
        ]
    more = ""
    if metadata:
        folder = {"hdi_isfolder": "true"} if entry.directory else {}
        all_metadata = {**properties.metadata, **folder}
        # An empty element is None to some SDKs.
        more = metadata_element(all_metadata) if all_metadata else ""
    return f"<Blob>{name_element(entry.key)}<Properties>{elements(pairs)}</Properties>{more}</Blob>"


def prefix_element(entry: StoredEntry) -> str:
    """A directory in a listing by hierarchy."""
    pairs = [
        ("Creation-Time", http_date(entry.properties.created or entry.modified)),
        ("Last-Modified", http_date(entry.modified)),
        ("Etag", entry.etag),
        ("ResourceType", "directory"),
    ]
    name = name_element(f"{entry.key}/")
    return f"<BlobPrefix>{name}<Properties>{elements(pairs)}</Properties></BlobPrefix>"


def blob_list(
    endpoint: str, container: str, query: Mapping[str, str], items: Iterable[str], marker: str
) -> bytes:
    """A page of blobs."""
    asked = elements(
        (element, query.get(parameter, ""))
        for element, parameter in (
            ("Prefix", "prefix"),
            ("Marker", "marker"),
            ("MaxResults", "maxresults"),
            ("Delimiter", "delimiter"),
        )
    )
    where = f"ServiceEndpoint={quoteattr(endpoint)} ContainerName={quoteattr(container)}"
    body = "".join(items)
    return (
        f"{HEAD}<EnumerationResults {where}>{asked}<Blobs>{body}</Blobs>"
        f"<NextMarker>{escape(marker)}</NextMarker></EnumerationResults>"
    ).encode()


def container_list(
    endpoint: str,
    query: Mapping[str, str],
    containers: Iterable[tuple[str, StoredEntry, Mapping[str, str]]],
    marker: str,
) -> bytes:
    """A page of containers, each with its lease."""
    with_metadata = "metadata" in query.get("include", "")
    items = []
    for name, entry, lease in containers:
        pairs: list[tuple[str, object]] = [
            ("Last-Modified", http_date(entry.modified)),
            ("Etag", entry.etag),
            ("LeaseStatus", lease["x-ms-lease-status"]),
            ("LeaseState", lease["x-ms-lease-state"]),
            ("LeaseDuration", lease.get("x-ms-lease-duration", "")),
            ("HasImmutabilityPolicy", "false"),
            ("HasLegalHold", "false"),
        ]
        more = metadata_element(entry.properties.metadata) if with_metadata else ""
        items.append(
            f"<Container>{elements([('Name', name)])}"
            f"<Properties>{elements(pairs)}</Properties>{more}</Container>"
        )
    asked = elements([("Prefix", query.get("prefix", "")), ("Marker", query.get("marker", ""))])
    return (
        f"{HEAD}<EnumerationResults ServiceEndpoint={quoteattr(endpoint)}>{asked}"
        f"<Containers>{''.join(items)}</Containers>"
        f"<NextMarker>{escape(marker)}</NextMarker></EnumerationResults>"
    ).encode()


def block_list(
    committed: Iterable[tuple[str, int]] | None, waiting: Iterable[tuple[str, int]] | None
) -> bytes:
    """The blocks of a blob; None leaves a list out."""
    lists = ""
    for kind, blocks in (("CommittedBlocks", committed), ("UncommittedBlocks", waiting)):
        if blocks is not None:
            items = (f"<Block>{elements([('Name', n), ('Size', s)])}</Block>" for n, s in blocks)
            lists += f"<{kind}>{''.join(items)}</{kind}>"
    return f"{HEAD}<BlockList>{lists}</BlockList>".encode()


def wanted_blocks(body: bytes) -> list[tuple[str, str]]:
    """Pairs of kind and id from the body of Put Block List.

    Raises:
        LakeError: InvalidXmlDocument.
    """
    root = parse(body, "BlockList")
    blocks = [(child.tag, (child.text or "").strip()) for child in root]
    if any(kind not in BLOCK_KINDS for kind, _ in blocks):
        raise LakeError("InvalidXmlDocument", f"A block is one of {', '.join(BLOCK_KINDS)}.")
    return blocks


def parse(body: bytes, name: str) -> ET.Element:
    """The root element of a document.

    Raises:
        LakeError: InvalidXmlDocument, if it is not XML or its root has another name.
    """
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:  # entities could grow without bound
        raise LakeError("InvalidXmlDocument", "It declares a document type.")
    try:
        root = ET.fromstring(body)  # noqa: S314 - no entities, see above
    except ET.ParseError as error:
        raise LakeError("InvalidXmlDocument", str(error)) from None
    if root.tag != name:
        raise LakeError("InvalidXmlDocument", f"Its root is not {name}.")
    return root


def delegation_key(values: Mapping[str, str]) -> bytes:
    """A user delegation key."""
    return f"{HEAD}<UserDelegationKey>{elements(values.items())}</UserDelegationKey>".encode()
