"""Operations of the blob API on the account and on containers."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from devcloud.lake import blob_xml, policies
from devcloud.lake.conditions import check_write
from devcloud.lake.errors import LakeError, not_implemented
from devcloud.lake.listing import (
    AFTER,
    BY_NAME,
    LONGEST_PAGE,
    Selection,
    key_of,
    marker_of,
    page,
    page_by_name,
)
from devcloud.lake.messages import LakeRequest, LakeResponse, check_key
from devcloud.lake.sas import delegation_key
from devcloud.lake.service import LakeContext, metadata_of, version_headers

Handler = Callable[[LakeContext, LakeRequest], Awaitable[LakeResponse]]
XML = {"content-type": "application/xml"}
# What a listing may include beside the blobs; of the others this lake has none to include.
INCLUDES = frozenset(
    ("", "metadata", "copy", "snapshots", "versions", "deleted", "deletedwithversions",
     "immutabilitypolicy", "legalhold")
)  # fmt: skip


async def list_containers(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """List Containers."""
    query = request.query
    prefix = query.get("prefix", "")
    after = key_of(query.get("marker", ""))
    limit = min(request.number("maxresults", LONGEST_PAGE, least=1), LONGEST_PAGE)
    names = [n for n in lake.store.containers() if n.startswith(prefix) and n > after]
    marker = marker_of(names[limit - 1]) if len(names) > limit else ""
    containers = [
        (name, lake.store.container(name), lake.leases.headers(name)) for name in names[:limit]
    ]
    return LakeResponse(
        200, XML, blob_xml.container_list(lake.config.lake_url, query, containers, marker)
    )


async def get_user_delegation_key(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Get User Delegation Key, for the holder of a token; the account key has no right to it."""
    if not request.headers.get("authorization", "").lower().startswith("bearer "):
        raise LakeError("AuthenticationFailed", "Only authentication scheme Bearer is supported.")
    info = blob_xml.parse(await request.whole_body(), "KeyInfo")
    version = request.headers.get("x-ms-version", "")
    values = {
        "SignedOid": "00000000-0000-0000-0000-000000000001",
        "SignedTid": "00000000-0000-0000-0000-000000000002",
        "SignedStart": info.findtext("Start") or "",
        "SignedExpiry": info.findtext("Expiry") or "",
        "SignedService": "b",
        "SignedVersion": version,
    }
    key = delegation_key(lake.auth.key, values.values())
    values["Value"] = base64.b64encode(key).decode()
    return LakeResponse(200, XML, blob_xml.delegation_key(values))


async def get_account_info(_lake: LakeContext, _request: LakeRequest) -> LakeResponse:
    """Get Account Information."""
    return LakeResponse(
        200,
        {
            "x-ms-sku-name": "Standard_LRS",
            "x-ms-account-kind": "StorageV2",
            "x-ms-is-hns-enabled": "true",
        },
    )


async def get_service_properties(_lake: LakeContext, _request: LakeRequest) -> LakeResponse:
    """Get Blob Service Properties: logging, metrics, CORS, retention and website are off."""
    return LakeResponse(200, XML, blob_xml.SERVICE_PROPERTIES)


async def set_service_properties(_lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Set Blob Service Properties, to what they are."""
    properties = blob_xml.parse(await request.whole_body(), "StorageServiceProperties")
    switches = ("Enabled", "Read", "Write", "Delete")
    on = [each.tag for each in properties.iter() if each.tag in switches and each.text == "true"]
    if on or len(properties.findall("Cors/CorsRule")):
        raise not_implemented("logging, metrics, CORS, retention and static websites")
    return LakeResponse(202)


async def get_service_stats(_lake: LakeContext, _request: LakeRequest) -> LakeResponse:
    """Get Blob Service Stats: there is no secondary, which alone tells them."""
    raise LakeError("InvalidQueryParameterValue", "Statistics are told by a secondary alone.")


async def lease_container(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Lease Container: keeps it from being deleted by others."""
    entry = lake.store.container(request.container)
    check_write(request.headers, entry)
    status, headers = lake.leases.act(request.container, request.headers)
    return LakeResponse(status, {**version_headers(entry), **headers})


async def create_container(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Create Container."""
    _check_public_access(request)
    entry = lake.store.create_container(request.container, metadata_of(request))
    return LakeResponse(201, version_headers(entry))


async def get_container_properties(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Get Container Properties or Metadata."""
    lake.leases.check_container(request.container, request.headers, deletes=False)
    entry = lake.store.container(request.container)
    headers = {
        **version_headers(entry),
        **lake.leases.headers(request.container),
        "x-ms-has-immutability-policy": "false",
        "x-ms-has-legal-hold": "false",
        "x-ms-default-encryption-scope": "$account-encryption-key",
        "x-ms-deny-encryption-scope-override": "false",
    }
    headers |= {f"x-ms-meta-{name}": v for name, v in entry.properties.metadata.items()}
    return LakeResponse(200, headers)


async def set_container_metadata(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Set Container Metadata."""
    entry = lake.store.container(request.container)
    lake.leases.check_container(request.container, request.headers, deletes=False)
    check_write(request.headers, entry)
    properties = replace(entry.properties, metadata=metadata_of(request))
    return LakeResponse(200, version_headers(lake.store.change(entry, properties)))


async def get_container_acl(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Get Container ACL: the stored access policies; there is no public access."""
    entry = lake.store.container(request.container)
    body = policies.to_xml(entry.properties.policies)
    return LakeResponse(200, {**XML, **version_headers(entry)}, body)


async def set_container_acl(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Set Container ACL: all stored access policies anew."""
    entry = lake.store.container(request.container)
    check_write(request.headers, entry)
    _check_public_access(request)
    lake.leases.check_container(request.container, request.headers, deletes=False)
    given = policies.read(await request.whole_body())
    entry = lake.store.container(request.container)
    changed = lake.store.change(entry, replace(entry.properties, policies=given))
    return LakeResponse(200, version_headers(changed))


def _check_public_access(request: LakeRequest) -> None:
    """The account permits none, as new accounts do."""
    access = request.headers.get("x-ms-blob-public-access")
    if access is None:
        return
    if access not in ("blob", "container"):
        raise LakeError("InvalidHeaderValue", f"x-ms-blob-public-access was {access!r}.")
    raise LakeError("PublicAccessNotPermitted")


async def delete_container(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """Delete Container."""
    check_write(request.headers, lake.store.container(request.container))
    lake.leases.check_container(request.container, request.headers, deletes=True)
    lake.store.delete_container(request.container)
    lake.leases.drop_below(request.container)
    return LakeResponse(202)


async def list_blobs(lake: LakeContext, request: LakeRequest) -> LakeResponse:
    """List Blobs, flat or by hierarchy (delimiter `/`)."""
    query = request.query
    lake.store.container(request.container)
    include = set(query.get("include", "").lower().split(","))
    if include - INCLUDES:
        raise not_implemented(f"include={','.join(sorted(include - INCLUDES))} of ListBlobs")
    delimiter, showonly = query.get("delimiter", ""), query.get("showonly", "").lower()
    if delimiter not in ("", "/") or showonly not in ("", "files", "directories"):
        raise not_implemented(f"delimiter={delimiter!r} with showonly={showonly!r}")
    limit = request.number("maxresults", LONGEST_PAGE, least=1)
    start = _start(query)
    if start:
        blob_page = await page_by_name(lake.store, _selection(request), start, limit)
    else:
        blob_page = await page(lake.store, _selection(request), limit)
    items = []
    for entry in blob_page.entries:
        if showonly and entry.directory != (showonly == "directories"):
            continue
        if delimiter and entry.directory:
            items.append(blob_xml.prefix_element(entry))
            continue
        lease = lake.leases.headers(f"{request.container}/{entry.key}")
        items.append(
            blob_xml.blob_element(
                entry, lease, metadata="metadata" in include, copy="copy" in include
            )
        )
    listed = blob_xml.blob_list(
        lake.config.lake_url, request.container, query, items, blob_page.marker
    )
    return LakeResponse(200, XML, listed)


def _selection(request: LakeRequest) -> Selection:
    query = request.query
    folder, _, prefix = query.get("prefix", "").rpartition("/")
    try:
        valid = not folder or check_key(folder) == folder
    except LakeError:
        valid = False
    if not valid or query.get("prefix", "").startswith("/"):
        folder, prefix = "", "/"  # no name begins so, and none is a reason to fail
    after = key_of(query["marker"]) if query.get("marker") and not _start(query) else ""
    return Selection(
        request.container,
        folder,
        prefix,
        recursive=query.get("delimiter", "") == "",
        after=after,
    )


def _start(query: Mapping[str, str]) -> str:
    """Where a listing in the order of whole names begins; empty for one that is none."""
    marker = query.get("marker", "")
    if marker.startswith(BY_NAME):
        return AFTER + key_of(marker.removeprefix(BY_NAME))
    return "" if marker else query.get("startFrom", "")


OPERATIONS: dict[str, Handler] = {
    "ListContainers": list_containers,
    "GetUserDelegationKey": get_user_delegation_key,
    "GetAccountInfo": get_account_info,
    "GetServiceProperties": get_service_properties,
    "SetServiceProperties": set_service_properties,
    "GetServiceStats": get_service_stats,
    "LeaseContainer": lease_container,
    "CreateContainer": create_container,
    "GetContainerProperties": get_container_properties,
    "SetContainerMetadata": set_container_metadata,
    "GetContainerAcl": get_container_acl,
    "SetContainerAcl": set_container_acl,
    "DeleteContainer": delete_container,
    "ListBlobs": list_blobs,
}
