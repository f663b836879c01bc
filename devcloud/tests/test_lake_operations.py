"""The operations that Azure.Storage.Blobs for .NET offers, as requests: each is done, or refused.

That client cannot be run here, so these are its 56 operations by raw HTTP, with what it looks at
in the answer: status, error code, headers, and no body where there is none to parse. The last test
counts them.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from xml.etree import ElementTree as ET

import httpx
import pytest

from devcloud.lake.auth import sign, strings_to_sign
from devcloud.lake.crc64 import crc64, encoded
from devcloud.lake.messages import LakeRequest
from devcloud.platform.identity import Identity
from devcloud.testing.lake import RunningLake, running_lake
from devcloud.testing.operations import registering

VERSION = "2025-05-05"
BLOCK = {"x-ms-blob-type": "BlockBlob"}
XML = '<?xml version="1.0" encoding="utf-8"?>'


@dataclass
class Requests:
    """Sends requests that are signed with the account key, as the .NET client signs them."""

    lake: RunningLake
    http: httpx.Client

    def __call__(
        self,
        method: str,
        path: str,
        body: bytes | str = b"",
        *,
        headers: dict[str, str] | None = None,
        expect: int = 200,
        code: str | None = None,
    ) -> httpx.Response:
        """One request; its answer, which must have that status and error code."""
        given = {
            "x-ms-version": VERSION,
            "x-ms-date": format_datetime(datetime.now(UTC), usegmt=True),
            "x-ms-client-request-id": str(uuid.uuid4()),
            **(headers or {}),
        }
        request = self.http.build_request(
            method, f"{self.lake.config.lake_url}{path}", headers=given, content=body
        )
        if "authorization" not in request.headers:
            request.headers["authorization"] = self._authorization(request)
        reply = self.http.send(request)
        assert reply.status_code == expect, reply.text
        assert reply.headers.get("x-ms-error-code") == code
        assert reply.headers["x-ms-version"] == VERSION
        if not reply.content:
            assert "content-type" not in reply.headers or method == "HEAD" or expect < 300
        return reply

    def _authorization(self, request: httpx.Request) -> str:
        config = self.lake.config
        scope = {
            "type": "http",
            "method": request.method,
            "raw_path": request.url.raw_path.partition(b"?")[0],
            "path": request.url.path,
            "query_string": request.url.query,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "client": ("127.0.0.1", 1),
        }

        async def nothing() -> dict[str, str]:
            return {"type": "http.disconnect"}

        text = next(iter(strings_to_sign(LakeRequest.parse(scope, nothing, config.account),
                                         config.account)))  # fmt: skip
        return f"SharedKey {config.account}:{sign(self.lake_key, text)}"

    @property
    def lake_key(self) -> bytes:
        """The account's key."""
        return base64.b64decode(self.lake.config.account_key)

    def put(self, key: str, content: bytes = b"hello", **headers: str) -> str:
        """A blob of `landing`; its path."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self("PUT", f"/landing/{key}", content, headers={**BLOCK, **named}, expect=201)
        return f"/landing/{key}"


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Requests]:
    """One lake for all operations."""
    with running_lake(tmp_path_factory.mktemp("lake")) as lake, httpx.Client(timeout=20) as http:
        yield Requests(lake, http)


Operation = Callable[[Requests], None]
DONE: dict[str, Operation] = {}
_done = registering(DONE)


# The account


@_done("GetAccountInfo")
def _(ask: Requests) -> None:
    assert ask("GET", "/?restype=account&comp=properties").headers["x-ms-is-hns-enabled"] == "true"


@_done("GetProperties of the service")
def _(ask: Requests) -> None:
    document = ET.fromstring(ask("GET", "/?restype=service&comp=properties").content)  # noqa: S314
    assert document.findtext("HourMetrics/Enabled") == "false"


@_done("SetProperties of the service, to what they are")
def _(ask: Requests) -> None:
    body = f"{XML}<StorageServiceProperties><Cors /></StorageServiceProperties>"
    ask("PUT", "/?restype=service&comp=properties", body, expect=202)


@_done("GetStatistics, which a primary refuses")
def _(ask: Requests) -> None:
    ask("GET", "/?restype=service&comp=stats", expect=400, code="InvalidQueryParameterValue")


@_done("GetUserDelegationKey, for a token")
def _(ask: Requests) -> None:
    token, _ = Identity(ask.lake.config.identity_secret).issue("https://storage.azure.com")
    body = f"{XML}<KeyInfo><Start>2026-01-01T00:00:00Z</Start>"
    body += "<Expiry>2026-01-02T00:00:00Z</Expiry></KeyInfo>"
    path = "/?restype=service&comp=userdelegationkey"
    reply = ask("POST", path, body, headers={"authorization": f"Bearer {token}"})
    assert ET.fromstring(reply.content).findtext("Value")  # noqa: S314


@_done("GetUserDelegationKey, refused to the key of the account")
def _(ask: Requests) -> None:
    body = f"{XML}<KeyInfo><Start>a</Start><Expiry>b</Expiry></KeyInfo>"
    path = "/?restype=service&comp=userdelegationkey"
    ask("POST", path, body, expect=403, code="AuthenticationFailed")


@_done("GetBlobContainers")
def _(ask: Requests) -> None:
    assert b"<Name>landing</Name>" in ask("GET", "/?comp=list&include=metadata").content


@_done("FindBlobsByTags, which such accounts refuse")
def _(ask: Requests) -> None:
    where = "/?comp=blobs&where=a%3D%27b%27"
    ask("GET", where, expect=409, code="FeatureNotYetSupportedForHierarchicalNamespaceAccounts")


# Containers


@_done("Create and Delete of a container")
def _(ask: Requests) -> None:
    ask("PUT", "/made?restype=container", expect=201)
    ask("PUT", "/made?restype=container", expect=409, code="ContainerAlreadyExists")
    ask("DELETE", "/made?restype=container", expect=202)


@_done("Exists of a container that is not there")
def _(ask: Requests) -> None:
    ask("HEAD", "/none?restype=container", expect=404, code="ContainerNotFound")


@_done("GetProperties of a container")
def _(ask: Requests) -> None:
    assert ask("GET", "/landing?restype=container").headers["x-ms-lease-state"] == "available"


@_done("SetMetadata of a container")
def _(ask: Requests) -> None:
    path = "/raw?restype=container"
    ask("PUT", f"{path}&comp=metadata", headers={"x-ms-meta-Owner": "me"})
    assert ask("GET", path).headers["x-ms-meta-owner"] == "me"


@_done("SetAccessPolicy and GetAccessPolicy")
def _(ask: Requests) -> None:
    policy = "<SignedIdentifier><Id>p</Id><AccessPolicy><Permission>r</Permission></AccessPolicy>"
    body = f"{XML}<SignedIdentifiers>{policy}</SignedIdentifier></SignedIdentifiers>"
    ask("PUT", "/raw?restype=container&comp=acl", body)
    assert b"<Id>p</Id>" in ask("GET", "/raw?restype=container&comp=acl").content


@_done("Create with public access, which the account does not permit")
def _(ask: Requests) -> None:
    public = {"x-ms-blob-public-access": "blob"}
    ask("PUT", "/public?restype=container", headers=public, expect=409,
        code="PublicAccessNotPermitted")  # fmt: skip


@_done("AcquireLease, Renew, Break, Release of a container")
def _(ask: Requests) -> None:
    _lease(ask, "/gold?restype=container&comp=lease")


def _lease(ask: Requests, path: str) -> None:
    acquire = {"x-ms-lease-action": "acquire", "x-ms-lease-duration": "15"}
    lease = ask("PUT", path, headers=acquire, expect=201).headers["x-ms-lease-id"]
    held = {"x-ms-lease-id": lease}
    ask("PUT", path, headers={"x-ms-lease-action": "renew", **held})
    with_period = {"x-ms-lease-action": "break", "x-ms-lease-break-period": "0"}
    ask("PUT", path, headers=with_period, expect=202)
    ask("PUT", path, headers={"x-ms-lease-action": "release", **held})


@_done("GetBlobs")
def _(ask: Requests) -> None:
    ask.put("listed/a")
    reply = ask("GET", "/landing?restype=container&comp=list&prefix=listed/&include=metadata,copy")
    assert b"<Name>listed/a</Name>" in reply.content


@_done("GetBlobs in pages")
def _(ask: Requests) -> None:
    for name in "abc":
        ask.put(f"paged/{name}")
    path = "/landing?restype=container&comp=list&prefix=paged/&maxresults=2"
    first = ET.fromstring(ask("GET", path).content)  # noqa: S314
    second = ask("GET", f"{path}&marker={first.findtext('NextMarker')}")
    assert b"paged/c" in second.content
    assert b"paged/b" not in second.content


@_done("GetBlobsByHierarchy")
def _(ask: Requests) -> None:
    ask.put("tree/a/1")
    reply = ask("GET", "/landing?restype=container&comp=list&prefix=tree/&delimiter=/")
    assert b"<BlobPrefix><Name>tree/a/</Name>" in reply.content


@_done("GetBlobs with snapshots, versions, deleted, holds")
def _(ask: Requests) -> None:
    ask.put("states/a")
    states = "snapshots,versions,deleted,deletedwithversions,immutabilitypolicy,legalhold"
    reply = ask("GET", f"/landing?restype=container&comp=list&prefix=states/a&include={states}")
    assert reply.content.count(b"<Blob>") == 1


@_done("BlobBatchClient.DeleteBlobs")
def _(ask: Requests) -> None:
    paths = [ask.put(f"batch/{n}") for n in range(2)]
    parts = ""
    for number, path in enumerate(paths):
        request = httpx.Request("DELETE", f"{ask.lake.config.lake_url}{path}")
        request.headers.update(
            {"x-ms-date": format_datetime(datetime.now(UTC), usegmt=True), "content-length": "0"}
        )
        del request.headers["host"]
        authorization = ask._authorization(request)
        parts += (
            "--b\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"
            f"Content-ID: {number}\r\n\r\nDELETE {request.url.raw_path.decode()} HTTP/1.1\r\n"
            f"x-ms-date: {request.headers['x-ms-date']}\r\nContent-Length: 0\r\n"
            f"Authorization: {authorization}\r\n\r\n\r\n"
        )
    kind = {"content-type": "multipart/mixed; boundary=b"}
    reply = ask("POST", "/?comp=batch", f"{parts}--b--\r\n", headers=kind, expect=202)
    assert reply.text.count("HTTP/1.1 202") == 2
    for path in paths:
        ask("HEAD", path, expect=404, code="BlobNotFound")


# Blobs


@_done("Upload")
def _(ask: Requests) -> None:
    assert ask("GET", ask.put("upload", b"content")).content == b"content"


@_done("Upload where something is")
def _(ask: Requests) -> None:
    path = ask.put("once")
    once = {**BLOCK, "if-none-match": "*"}
    ask("PUT", path, b"x", headers=once, expect=409, code="BlobAlreadyExists")


@_done("Upload with an ETag that is not the present one")
def _(ask: Requests) -> None:
    path = ask.put("matched")
    old = {**BLOCK, "if-match": '"0x1"'}
    ask("PUT", path, b"x", headers=old, expect=412, code="ConditionNotMet")


@_done("Upload with MD5")
def _(ask: Requests) -> None:
    md5 = base64.b64encode(hashlib.md5(b"x", usedforsecurity=False).digest()).decode()
    path = ask.put("md5", b"x", content_md5=md5)
    assert ask("HEAD", path).headers["content-md5"] == md5
    wrong = {**BLOCK, "content-md5": md5}
    ask("PUT", path, b"y", headers=wrong, expect=400, code="Md5Mismatch")


@_done("Upload with CRC64")
def _(ask: Requests) -> None:
    path = ask.put("crc", b"x", x_ms_content_crc64=encoded(crc64(b"x")))
    wrong = {**BLOCK, "x-ms-content-crc64": encoded(crc64(b"y"))}
    ask("PUT", path, b"x", headers=wrong, expect=400, code="Crc64Mismatch")


@_done("Upload to a tier")
def _(ask: Requests) -> None:
    path = ask.put("tiered", x_ms_access_tier="Cool")
    assert ask("HEAD", path).headers["x-ms-access-tier"] == "Cool"


@_done("StageBlock, GetBlockList, CommitBlockList")
def _(ask: Requests) -> None:
    for name in ("AAAA", "AAAB"):
        ask("PUT", f"/landing/blocks?comp=block&blockid={name}", name.encode(), expect=201)
    listed = ask("GET", "/landing/blocks?comp=blocklist&blocklisttype=all").content
    assert listed.count(b"<Size>4</Size>") == 2
    body = f"{XML}<BlockList><Latest>AAAB</Latest><Latest>AAAA</Latest></BlockList>"
    ask("PUT", "/landing/blocks?comp=blocklist", body, expect=201)
    assert ask("GET", "/landing/blocks").content == b"AAABAAAA"


@_done("StageBlock with an id of another length")
def _(ask: Requests) -> None:
    ask("PUT", "/landing/lengths?comp=block&blockid=AAAA", b"1", expect=201)
    ask("PUT", "/landing/lengths?comp=block&blockid=AAAAAAAA", b"1", expect=400,
        code="InvalidBlobOrBlock")  # fmt: skip


@_done("StageBlockFromUri")
def _(ask: Requests) -> None:
    source = {"x-ms-copy-source": f"{ask.lake.config.lake_url}{ask.put('source', b'12345')}"}
    ranged = {**source, "x-ms-source-range": "bytes=1-3"}
    ask("PUT", "/landing/taken?comp=block&blockid=AAAA", headers=ranged, expect=201)
    body = f"{XML}<BlockList><Latest>AAAA</Latest></BlockList>"
    ask("PUT", "/landing/taken?comp=blocklist", body, expect=201)
    assert ask("GET", "/landing/taken").content == b"234"


@_done("SyncUploadFromUri")
def _(ask: Requests) -> None:
    source = {"x-ms-copy-source": f"{ask.lake.config.lake_url}{ask.put('whole', b'12345')}"}
    ask("PUT", "/landing/synced", headers={**BLOCK, **source}, expect=201)
    assert ask("GET", "/landing/synced").content == b"12345"


@_done("StartCopyFromUri")
def _(ask: Requests) -> None:
    source = {"x-ms-copy-source": f"{ask.lake.config.lake_url}{ask.put('copied', b'12345')}"}
    reply = ask("PUT", "/landing/copy", headers=source, expect=202)
    assert reply.headers["x-ms-copy-status"] == "success"


@_done("SyncCopyFromUri")
def _(ask: Requests) -> None:
    source = {"x-ms-copy-source": f"{ask.lake.config.lake_url}{ask.put('sync', b'12345')}"}
    ask("PUT", "/landing/synccopy", headers={**source, "x-ms-requires-sync": "true"}, expect=202)


@_done("AbortCopyFromUri of a copy that has ended")
def _(ask: Requests) -> None:
    path = f"{ask.put('abort')}?comp=copy&copyid={uuid.uuid4()}"
    abort = {"x-ms-copy-action": "abort"}
    ask("PUT", path, headers=abort, expect=409, code="NoPendingCopyOperation")


@_done("DownloadContent")
def _(ask: Requests) -> None:
    reply = ask("GET", ask.put("down", b"12345"))
    assert (reply.content, reply.headers["content-length"]) == (b"12345", "5")


@_done("DownloadStreaming of a range, with its hash")
def _(ask: Requests) -> None:
    path = ask.put("range", b"12345")
    ranged = {"x-ms-range": "bytes=1-2", "x-ms-range-get-content-crc64": "true"}
    reply = ask("GET", path, headers=ranged, expect=206)
    assert (reply.content, reply.headers["x-ms-content-crc64"]) == (b"23", encoded(crc64(b"23")))


@_done("Download behind the end")
def _(ask: Requests) -> None:
    path = ask.put("behind", b"12345")
    ask("GET", path, headers={"x-ms-range": "bytes=9-"}, expect=416, code="InvalidRange")


@_done("Download with an ETag that is the present one")
def _(ask: Requests) -> None:
    path = ask.put("unchanged")
    etag = ask("HEAD", path).headers["etag"]
    ask("GET", path, headers={"if-none-match": etag}, expect=304)


@_done("Download of a structured body")
def _(ask: Requests) -> None:
    form = "XSM/1.0; properties=crc64"
    reply = ask("GET", ask.put("framed", b"12345"), headers={"x-ms-structured-body": form})
    assert reply.headers["x-ms-structured-body"] == form
    assert (reply.headers["x-ms-structured-content-length"], reply.content[0]) == ("5", 1)


@_done("Exists of a blob that is not there")
def _(ask: Requests) -> None:
    reply = ask("HEAD", "/landing/none", expect=404, code="BlobNotFound")
    assert "content-type" not in reply.headers  # it would be parsed, and there is no body


@_done("Download of what is not there")
def _(ask: Requests) -> None:
    assert b"<Code>BlobNotFound</Code>" in ask(
        "GET", "/landing/none", expect=404, code="BlobNotFound"
    ).content  # fmt: skip


@_done("GetProperties")
def _(ask: Requests) -> None:
    headers = ask("HEAD", ask.put("seen", x_ms_meta_a="b")).headers
    assert (headers["x-ms-blob-type"], headers["x-ms-meta-a"]) == ("BlockBlob", "b")
    assert headers["x-ms-server-encrypted"] == "true"


@_done("SetHttpHeaders")
def _(ask: Requests) -> None:
    path = ask.put("typed")
    ask("PUT", f"{path}?comp=properties", headers={"x-ms-blob-content-type": "text/csv"})
    assert ask("HEAD", path).headers["content-type"] == "text/csv"


@_done("SetMetadata")
def _(ask: Requests) -> None:
    path = ask.put("noted")
    ask("PUT", f"{path}?comp=metadata", headers={"x-ms-meta-a": "b"})
    assert ask("HEAD", path).headers["x-ms-meta-a"] == "b"
    ask("PUT", f"{path}?comp=metadata", headers={"x-ms-meta-a-b": "c"}, expect=400,
        code="InvalidMetadata")  # fmt: skip


@_done("SetAccessTier")
def _(ask: Requests) -> None:
    path = ask.put("cooled")
    ask("PUT", f"{path}?comp=tier", headers={"x-ms-access-tier": "Cold"})
    assert ask("HEAD", path).headers["x-ms-access-tier"] == "Cold"


@_done("AcquireLease, Renew, Break, Release of a blob")
def _(ask: Requests) -> None:
    _lease(ask, f"{ask.put('leased')}?comp=lease")


@_done("Delete, DeleteIfExists")
def _(ask: Requests) -> None:
    path = ask.put("gone")
    snapshots = {"x-ms-delete-snapshots": "include"}
    ask("DELETE", path, headers=snapshots, expect=202)
    ask("DELETE", path, headers=snapshots, expect=404, code="BlobNotFound")


@_done("AppendBlobClient: Create, AppendBlock")
def _(ask: Requests) -> None:
    ask("PUT", "/landing/log", headers={"x-ms-blob-type": "AppendBlob"}, expect=201)
    for text in (b"a", b"b"):
        ask("PUT", "/landing/log?comp=appendblock", text, expect=201)
    assert ask("GET", "/landing/log").content == b"ab"
    elsewhere = {"x-ms-blob-condition-appendpos": "0"}
    code = "AppendPositionConditionNotMet"
    ask("PUT", "/landing/log?comp=appendblock", b"c", headers=elsewhere, expect=412, code=code)


@_done("SetTags and GetTags, which such accounts refuse")
def _(ask: Requests) -> None:
    path = f"{ask.put('tagged')}?comp=tags"
    code = "FeatureNotYetSupportedForHierarchicalNamespaceAccounts"
    ask("PUT", path, f"{XML}<Tags><TagSet /></Tags>", expect=409, code=code)
    ask("GET", path, expect=409, code=code)


# What is not built


def _refused(method: str, path: str, headers: dict[str, str] | None = None) -> Operation:
    def operation(ask: Requests) -> None:
        kept = ask.put("kept", b"as it was")
        ask(method, path, headers=headers, expect=501, code="NotImplemented")
        assert ask("GET", kept).content == b"as it was"

    return operation


UNTIL = format_datetime(datetime.now(UTC) + timedelta(days=1), usegmt=True)
NOT_BUILT = {
    "CreateSnapshot": _refused("PUT", "/landing/kept?comp=snapshot"),
    "WithSnapshot": _refused("GET", "/landing/kept?snapshot=2026-01-01T00:00:00.0000000Z"),
    "PageBlobClient": _refused(
        "PUT",
        "/landing/page",
        {"x-ms-blob-type": "PageBlob", "x-ms-blob-content-length": "512"},
    ),
    "Undelete": _refused("PUT", "/landing/kept?comp=undelete"),
    "Query": _refused("POST", "/landing/kept?comp=query"),
    "SetLegalHold": _refused("PUT", "/landing/kept?comp=legalhold", {"x-ms-legal-hold": "true"}),
    "SetImmutabilityPolicy": _refused(
        "PUT",
        "/landing/kept?comp=immutabilityPolicies",
        {"x-ms-immutability-policy-until-date": UNTIL},
    ),
    "GetBlobs with what is not committed": _refused(
        "GET", "/landing?restype=container&comp=list&include=uncommittedblobs"
    ),
}


@pytest.mark.parametrize("name", DONE)
def test_done(ask: Requests, name: str) -> None:
    """It is answered as Azure answers it."""
    DONE[name](ask)


@pytest.mark.parametrize("name", NOT_BUILT)
def test_not_built(ask: Requests, name: str) -> None:
    """It is refused, and changes nothing."""
    NOT_BUILT[name](ask)


def test_count() -> None:
    """The figures that the documentation gives."""
    assert (len(DONE), len(NOT_BUILT)) == (48, 8)
