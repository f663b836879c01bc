"""Which operation a request asks for, in both APIs; what is unknown is refused, never guessed.

A request belongs to the dfs API when one of its markers is present (`action`, `resource`,
`recursive`, `mode` on PUT, a rename source), or when it accepts JSON as only dfs clients do.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

from devcloud.lake.errors import LakeError, not_implemented

SAS_PARAMETERS = (
    "sv ss srt sp st se sip spr sig sr sdd si ses skoid sktid skt ske sks skv saoid suoid scid "
    "skdutid sduoid rscc rscd rsce rscl rsct"
)
ALWAYS = {*SAS_PARAMETERS.split(), "timeout", "api-version"}

# (level, method, comp or action or resource) -> operation, and the query parameters it knows.
BLOB: dict[tuple[str, str, str], tuple[str, str]] = {
    ("account", "GET", "list"): ("ListContainers", "comp prefix marker maxresults include"),
    ("account", "GET", "properties"): ("GetServiceProperties", "restype comp"),
    ("account", "PUT", "properties"): ("SetServiceProperties", "restype comp"),
    ("account", "GET", "stats"): ("GetServiceStats", "restype comp"),
    ("account", "POST", "batch"): ("SubmitBatch", "comp"),
    ("container", "POST", "batch"): ("SubmitBatch", "restype comp"),
    ("account", "POST", "userdelegationkey"): ("GetUserDelegationKey", "restype comp"),
    ("container", "PUT", ""): ("CreateContainer", "restype"),
    ("container", "GET", ""): ("GetContainerProperties", "restype"),
    ("container", "HEAD", ""): ("GetContainerProperties", "restype"),
    ("container", "GET", "metadata"): ("GetContainerProperties", "restype comp"),
    ("container", "HEAD", "metadata"): ("GetContainerProperties", "restype comp"),
    ("container", "PUT", "metadata"): ("SetContainerMetadata", "restype comp"),
    ("container", "PUT", "lease"): ("LeaseContainer", "restype comp"),
    ("container", "GET", "acl"): ("GetContainerAcl", "restype comp"),
    ("container", "HEAD", "acl"): ("GetContainerAcl", "restype comp"),
    ("container", "PUT", "acl"): ("SetContainerAcl", "restype comp"),
    ("container", "DELETE", ""): ("DeleteContainer", "restype"),
    ("container", "GET", "list"): (
        "ListBlobs",
        "restype comp prefix delimiter marker maxresults include startFrom showonly",
    ),
    ("path", "PUT", ""): ("PutBlob", ""),
    ("path", "PUT", "block"): ("PutBlock", "comp blockid"),
    ("path", "PUT", "blocklist"): ("PutBlockList", "comp"),
    ("path", "PUT", "appendblock"): ("AppendBlock", "comp"),
    ("path", "PUT", "metadata"): ("SetBlobMetadata", "comp"),
    ("path", "PUT", "properties"): ("SetBlobProperties", "comp"),
    ("path", "PUT", "tier"): ("SetBlobTier", "comp"),
    ("path", "PUT", "lease"): ("LeaseBlob", "comp"),
    ("path", "PUT", "copy"): ("AbortCopy", "comp copyid"),
    ("path", "GET", ""): ("GetBlob", ""),
    ("path", "GET", "blocklist"): ("GetBlockList", "comp blocklisttype"),
    ("path", "GET", "metadata"): ("GetBlobProperties", "comp"),
    ("path", "HEAD", "metadata"): ("GetBlobProperties", "comp"),
    ("path", "HEAD", ""): ("GetBlobProperties", "upn"),
    ("path", "DELETE", ""): ("DeleteBlob", ""),
}
FROM_URL = {
    "PutBlob": "PutBlobFromUrl",
    "PutBlock": "PutBlockFromUrl",
    "AppendBlock": "AppendBlockFromUrl",
}
DFS: dict[tuple[str, str, str], tuple[str, str]] = {
    ("account", "GET", "account"): ("ListFilesystems", "resource prefix continuation maxResults"),
    ("container", "PUT", "filesystem"): ("CreateFilesystem", "resource"),
    ("container", "HEAD", "filesystem"): ("GetFilesystemProperties", "resource"),
    ("container", "DELETE", "filesystem"): ("DeleteFilesystem", "resource"),
    ("container", "PATCH", "filesystem"): ("SetFilesystemProperties", "resource"),
    ("container", "GET", "filesystem"): (
        "ListPaths",
        "resource recursive directory continuation maxResults upn",
    ),
    ("path", "PUT", "file"): ("CreatePath", "resource"),
    ("path", "PUT", "directory"): ("CreatePath", "resource"),
    ("path", "PATCH", "append"): ("AppendPath", "action position flush close"),
    ("path", "PATCH", "flush"): (
        "FlushPath",
        "action position retainUncommittedData close",
    ),
    ("path", "PATCH", "setProperties"): ("SetPathProperties", "action"),
    ("path", "PATCH", "setAccessControl"): ("SetPathAccess", "action"),
    ("path", "HEAD", "getStatus"): ("GetPathStatus", "action upn"),
    ("path", "HEAD", "getAccessControl"): ("GetPathAccess", "action upn"),
    ("path", "HEAD", "checkAccess"): ("CheckPathAccess", "action fsAction"),
    ("path", "HEAD", ""): ("GetBlobProperties", "upn"),
    ("path", "GET", ""): ("GetBlob", "upn"),
    ("path", "POST", ""): ("LeasePath", ""),
    ("path", "DELETE", ""): ("DeletePath", "recursive continuation paginated"),
}
# Headers that change what a request means and that this lake does not serve.
SERVICE_COMPS = ("userdelegationkey", "properties", "stats")
NOT_HIERARCHICAL = ("x-ms-tags", "x-ms-if-tags")  # accounts with a hierarchical namespace have none
REFUSED_HEADERS = (
    "x-ms-encryption-key",
    "x-ms-encryption-scope",
    "x-ms-immutability-policy-until-date",
    "x-ms-legal-hold",
    "x-ms-expiry-option",
    "x-ms-seal-blob",
)


def is_dfs(method: str, query: Mapping[str, str], headers: Mapping[str, str]) -> bool:
    """Whether a request speaks the dfs API."""
    if query.keys() & {"action", "resource", "recursive", "paginated"}:
        return True
    if "x-ms-rename-source" in headers or (method == "PUT" and "mode" in query):
        return True
    if method in ("PATCH", "POST"):
        return "comp" not in query
    if method == "PUT" or query.keys() & {"comp", "restype"}:
        return False
    return "application/json" in headers.get("accept", "")


def operation(
    method: str, container: str, key: str, query: Mapping[str, str], headers: Mapping[str, str]
) -> tuple[str, bool]:
    """The name of the operation, and whether it belongs to the dfs API.

    Raises:
        LakeError: NotImplemented (501), for what this lake does not serve; CorsPreflightFailure;
            FeatureNotYetSupportedForHierarchicalNamespaceAccounts, for what Azure does not serve
            for such accounts either; InvalidHeaderValue, for a version that does not exist.
    """
    dfs = is_dfs(method, query, headers)
    if method == "OPTIONS":  # no rule lets a page of another origin in
        raise LakeError("CorsPreflightFailure")
    _check_version(headers.get("x-ms-version", query.get("api-version", "")))
    tagged = query.get("comp") in ("tags", "blobs") or any(n in headers for n in NOT_HIERARCHICAL)
    if tagged or "versionid" in query:
        raise LakeError("FeatureNotYetSupportedForHierarchicalNamespaceAccounts")
    for name in REFUSED_HEADERS:
        if name in headers:
            raise not_implemented(f"the header {name}")
    name, known = (
        _dfs(method, container, key, query, headers)
        if dfs
        else _blob(method, container, key, query, headers)
    )
    for parameter in query:
        if parameter not in ALWAYS and parameter not in known.split():
            raise not_implemented(f"the query parameter {parameter!r} of {name}")
    return name, dfs


def _check_version(version: str) -> None:
    if not version:
        return
    try:
        given = date.fromisoformat(version)
    except ValueError:
        given = date.max
    # Clients are published some months before the day that their version is named after.
    if not date(2009, 9, 19) <= given <= datetime.now(UTC).date() + timedelta(days=366):
        raise LakeError("InvalidHeaderValue", f"x-ms-version was {version!r}.")


def _blob(
    method: str, container: str, key: str, query: Mapping[str, str], headers: Mapping[str, str]
) -> tuple[str, str]:
    comp, restype = query.get("comp", ""), query.get("restype", "")
    if restype == "account" and comp == "properties" and method in ("GET", "HEAD"):
        return "GetAccountInfo", "restype comp"
    level = "path" if key else "container" if container else "account"
    if level == "container" and restype != "container":  # the root directory has properties, too
        level = "path" if method == "HEAD" and not restype else "no such thing"
    if level == "path" and restype:
        level = "no such thing"
    route = BLOB.get((level, method, comp))
    if route is None or (restype == "service" and comp not in SERVICE_COMPS):
        raise not_implemented(
            f"{method} with comp={comp!r} and restype={restype!r} in the blob API"
        )
    if "x-ms-copy-source" in headers:
        # With a blob type it is Put Blob From URL, which answers otherwise than Copy Blob.
        if route[0] == "PutBlob" and "x-ms-blob-type" not in headers:
            return "CopyBlob", ""
        if route[0] not in FROM_URL:
            raise not_implemented(f"{route[0]} from a URL")
        return FROM_URL[route[0]], route[1]
    return route


def _dfs(
    method: str, container: str, key: str, query: Mapping[str, str], headers: Mapping[str, str]
) -> tuple[str, str]:
    action, resource = query.get("action", ""), query.get("resource", "")
    if method == "PUT" and "x-ms-rename-source" in headers and key:
        return "RenamePath", "mode continuation"
    if method == "POST" and "x-ms-lease-action" not in headers:
        raise not_implemented("POST in the dfs API without x-ms-lease-action")
    level = "path" if key else "container" if container else "account"
    # The root of a filesystem is a directory as well: its status and properties are a path's.
    if level == "container" and resource != "filesystem":
        level = "path"
    route = DFS.get((level, method, action or resource))
    if route is None:
        raise not_implemented(
            f"{method} with action={action!r} and resource={resource!r} in the dfs API"
        )
    return route
