"""What is accepted is done, or refused in Azure's words."""

from __future__ import annotations

import base64
import os
import struct
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.storage.blob import PublicAccess, StandardBlobTier, generate_account_sas

from devcloud.lake.crc64 import crc64, encoded, joined
from devcloud.lake.structured import Decoder
from devcloud.testing.lake import RunningLake, code, running_lake

FORM = "XSM/1.0; properties=crc64"
PUT = {"x-ms-blob-type": "BlockBlob"}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLake]:
    """One lake for this module."""
    with running_lake(tmp_path_factory.mktemp("lake")) as running:
        yield running


def url(lake: RunningLake, path: str, query: str = "") -> str:
    """The URL of a path, with a signature that permits all."""
    sas = generate_account_sas(
        lake.config.account,
        lake.config.account_key,
        resource_types="sco",
        permission="racwdlm",
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    return f"{lake.config.lake_url}/{path}?{query}{'&' if query else ''}{sas}"


def said(reply: httpx.Response) -> tuple[int, str | None]:
    """Status and error code."""
    return reply.status_code, reply.headers.get("x-ms-error-code")


# -- tiers and access


@pytest.mark.parametrize("tier", ["Cool", "Cold", "Hot"])
def test_tiers(lake: RunningLake, tier: str) -> None:
    """A tier given with an upload or set later is told again; a new upload has the default."""
    blob = lake.container().get_blob_client("tiers/a")
    blob.upload_blob(b"x", overwrite=True, standard_blob_tier=StandardBlobTier(tier))
    found = blob.get_blob_properties()
    assert (found.blob_tier, found.blob_tier_inferred) == (tier, None)
    blob.upload_blob(b"y", overwrite=True)
    assert (blob.get_blob_properties().blob_tier_inferred) is True
    before = blob.get_blob_properties()
    blob.set_standard_blob_tier(tier)
    after = blob.get_blob_properties()
    assert (after.blob_tier, after.etag) == (tier, before.etag)
    (listed,) = [each for each in lake.container().list_blobs("tiers/") if each.name == "tiers/a"]
    assert listed.blob_tier == tier
    assert blob.download_blob().readall() == b"y"


def test_the_archive(lake: RunningLake) -> None:
    """What is archived cannot be read or copied until its tier is set anew."""
    blob = lake.container().get_blob_client("tiers/old")
    blob.upload_blob(b"x")
    blob.set_standard_blob_tier("Archive")
    copy = lake.container().get_blob_client("tiers/copy")
    acts: tuple[Callable[[], object], ...] = (
        lambda: blob.download_blob().readall(),
        lambda: copy.start_copy_from_url(blob.url),
        lambda: blob.set_blob_metadata({"a": "b"}),
    )
    for act in acts:
        with pytest.raises(HttpResponseError) as error:
            act()
        assert code(error) == (409, "BlobArchived")
    blob.set_standard_blob_tier("Hot")
    assert blob.download_blob().readall() == b"x"


@pytest.mark.parametrize("query", ["", "comp=tier"])
def test_a_tier_that_does_not_exist(lake: RunningLake, query: str) -> None:
    """It is refused, wherever it is given."""
    lake.put("tiers/b")
    headers = {**PUT, "x-ms-access-tier": "Bogus"}
    reply = httpx.put(url(lake, "landing/tiers/b", query), headers=headers, content=b"")
    assert said(reply) == (400, "InvalidHeaderValue")


def test_public_access(lake: RunningLake) -> None:
    """The account permits none: a container is not made as if it had it."""
    with pytest.raises(ResourceExistsError) as error:
        lake.blobs.create_container("open-to-all", public_access=PublicAccess.BLOB)
    assert code(error) == (409, "PublicAccessNotPermitted")
    assert not lake.container("open-to-all").exists()
    with pytest.raises(ResourceExistsError) as error:
        lake.container().set_container_access_policy({}, public_access=PublicAccess.CONTAINER)
    assert code(error) == (409, "PublicAccessNotPermitted")
    lake.container().set_container_access_policy({})
    assert lake.container().get_container_access_policy() == {
        "public_access": None,
        "signed_identifiers": [],
    }


# -- hashes


def test_crc64() -> None:
    """The check value of CRC-64/NVME; long texts, in one piece or several, come out the same."""
    assert crc64(b"123456789") == 0xAE8B14860A799888
    data = os.urandom((1 << 20) + 4321)
    whole, pieces = crc64(data), 0
    for start in range(0, len(data), 70_000):
        pieces = crc64(data[start : start + 70_000], pieces)
    assert whole == pieces
    assert whole == joined(crc64(data[:99]), crc64(data[99:]), len(data) - 99)


def test_crc64_of_ranges(lake: RunningLake) -> None:
    """A range of up to 4 MiB is told with its CRC."""
    data = os.urandom(300_000)
    lake.put("crc/a", data)
    asked = {"x-ms-range-get-content-crc64": "true"}
    reply = httpx.get(url(lake, "landing/crc/a"), headers={**asked, "range": "bytes=5-200004"})
    assert reply.headers["x-ms-content-crc64"] == encoded(crc64(data[5:200_005]))
    assert said(httpx.get(url(lake, "landing/crc/a"), headers=asked)) == (
        400,
        "InvalidHeaderValue",
    )


@pytest.mark.parametrize("query", ["", "comp=block&blockid=AAAA"])
def test_crc64_of_uploads(lake: RunningLake, query: str) -> None:
    """An upload with a CRC is checked against it."""
    target, data = url(lake, "landing/crc/b", query), b"content"
    right = {"x-ms-content-crc64": encoded(crc64(data))}
    good = httpx.put(target, headers={**PUT, **right}, content=data)
    assert (good.status_code, good.headers["x-ms-content-crc64"]) == (201, encoded(crc64(data)))
    bad = httpx.put(target, headers={**PUT, **right}, content=b"other")
    assert said(bad) == (400, "Crc64Mismatch")
    md5 = {"content-md5": base64.b64encode(bytes(16)).decode()}
    both = httpx.put(target, headers={**PUT, **right, **md5}, content=data)
    assert said(both) == (400, "BothCrc64AndMd5HeaderPresent")


def structured(*segments: bytes) -> bytes:
    """A structured message, put together by hand from its description."""
    body = b"".join(
        struct.pack("<HQ", number, len(each)) + each + struct.pack("<Q", crc64(each))
        for number, each in enumerate(segments, 1)
    )
    end = struct.pack("<Q", crc64(b"".join(segments)))
    length = 13 + len(body) + len(end)
    return struct.pack("<BQHH", 1, length, 1, len(segments)) + body + end


@pytest.mark.parametrize("segments", [(b"",), (b"one", b"two" * 1000), (os.urandom(5 << 20),), ()])
def test_structured_uploads(lake: RunningLake, segments: tuple[bytes, ...]) -> None:
    """What the SDKs send to have a transfer validated arrives as its content."""
    content = b"".join(segments)
    headers = {
        **PUT,
        "x-ms-structured-body": FORM,
        "x-ms-structured-content-length": str(len(content)),
    }
    target = url(lake, "landing/crc/c")
    reply = httpx.put(target, headers=headers, content=structured(*segments))
    assert (reply.status_code, reply.headers["x-ms-structured-body"]) == (201, FORM)
    assert lake.read("crc/c") == content


def test_a_structured_body_that_is_damaged(lake: RunningLake) -> None:
    """A changed byte, a missing end and a wrong length leave nothing behind."""
    message = structured(b"one", b"two")
    flipped = message.replace(b"two", b"tow")
    wrong = {"x-ms-structured-content-length": "7"}
    for body, more, answer in (
        (flipped, {}, (400, "Crc64Mismatch")),
        (message[:-1], {}, (400, "InvalidInput")),
        (message + b"x", {}, (400, "InvalidInput")),
        (message, wrong, (400, "InvalidInput")),
    ):
        headers = {**PUT, "x-ms-structured-body": FORM, **more}
        reply = httpx.put(url(lake, "landing/crc/never"), headers=headers, content=body)
        assert said(reply) == answer
    assert not lake.container().get_blob_client("crc/never").exists()


@pytest.mark.parametrize("size", [0, 5, (9 << 20) + 3])
def test_structured_downloads(lake: RunningLake, size: int) -> None:
    """A reader that asks for it gets segments with their CRCs."""
    data = os.urandom(size)
    lake.put("crc/d", data)
    reply = httpx.get(url(lake, "landing/crc/d"), headers={"x-ms-structured-body": FORM})
    assert reply.headers["x-ms-structured-body"] == FORM
    assert reply.headers["x-ms-structured-content-length"] == str(size)
    decoder = Decoder(size)
    assert decoder.feed(reply.content) == data
    decoder.finish()


# -- uploads


def test_uploads_have_a_length(lake: RunningLake) -> None:
    """A body in chunks is refused, as Azure does."""
    reply = httpx.put(url(lake, "landing/chunked"), headers=PUT, content=iter([b"a", b"b"]))
    assert said(reply) == (411, "MissingContentLengthHeader")


def test_block_ids_have_one_length(lake: RunningLake) -> None:
    """All blocks of a blob have ids of the same length."""
    blob = lake.container().get_blob_client("blocks")
    blob.stage_block("aaaa", b"1")
    with pytest.raises(HttpResponseError) as error:
        blob.stage_block("aaaaaaaa", b"2")
    assert code(error) == (400, "InvalidBlobOrBlock")
    blob.stage_block("bbbb", b"2")


# -- metadata, versions, containers


def test_metadata_keeps_its_case(lake: RunningLake) -> None:
    """Names are told as they were given, in both APIs, in listings and after a copy."""
    given = {"CamelCase": "1", "lower": "2", "_UPPER": "Ä".encode().decode("latin-1")}
    lake.put("meta/a", metadata=given)
    blob = lake.container().get_blob_client("meta/a")
    assert blob.get_blob_properties().metadata == given
    (listed,) = [
        each
        for each in lake.container().list_blobs("meta/", include=["metadata"])
        if each.name == "meta/a"
    ]
    assert set(listed.metadata) == set(given)
    copy = lake.container().get_blob_client("meta/b")
    copy.start_copy_from_url(blob.url)
    assert set(copy.get_blob_properties().metadata) == set(given)
    lake.blobs.create_container("with-metadata", metadata={"CamelCase": "x"})
    assert lake.container("with-metadata").get_container_properties().metadata == {"CamelCase": "x"}


@pytest.mark.parametrize(
    ("metadata", "answer"),
    [
        ({"a-b": "x"}, (400, "InvalidMetadata")),
        ({"1a": "x"}, (400, "InvalidMetadata")),
        ({"a": "x" * 4096, "b": "x" * 4096}, (400, "MetadataTooLarge")),
    ],
)
def test_metadata_has_rules(
    lake: RunningLake, metadata: dict[str, str], answer: tuple[int, str]
) -> None:
    """Names are identifiers, all of it is 8 KB at most."""
    with pytest.raises(HttpResponseError) as error:
        lake.put("meta/refused", metadata=metadata)
    assert code(error) == answer


@pytest.mark.parametrize("version", ["2099-01-01", "1999-01-01", "latest"])
def test_versions_that_do_not_exist(lake: RunningLake, version: str) -> None:
    """A version of the API from another time is refused."""
    reply = httpx.get(url(lake, "", "comp=list"), headers={"x-ms-version": version})
    assert said(reply) == (400, "InvalidHeaderValue")


def test_a_deleted_container_takes_a_while(lake: RunningLake) -> None:
    """Where that is asked for, its name cannot be used again at once, in neither API."""
    lake.store.deletion_seconds = 30
    lake.blobs.create_container("short-lived")
    lake.container("short-lived").delete_container()
    assert not lake.container("short-lived").exists()
    with pytest.raises(ResourceExistsError) as error:
        lake.blobs.create_container("short-lived")
    assert code(error) == (409, "ContainerBeingDeleted")
    reply = httpx.put(url(lake, "short-lived", "resource=filesystem"))
    assert said(reply) == (409, "FilesystemBeingDeleted")
    now = time.monotonic()
    lake.store.monotonic = lambda: now + 31
    lake.blobs.create_container("short-lived")
    lake.store.deletion_seconds = 0
    lake.container("short-lived").delete_container()
    lake.blobs.create_container("short-lived")


def test_no_origin_is_let_in(lake: RunningLake) -> None:
    """A browser's preflight is answered as by an account without CORS rules."""
    asks = {"Origin": "https://example.com", "Access-Control-Request-Method": "PUT"}
    assert said(httpx.options(url(lake, "landing/a"), headers=asks)) == (
        403,
        "CorsPreflightFailure",
    )


def test_everything_is_encrypted(lake: RunningLake) -> None:
    """As in every account."""
    put: Any = lake.container().upload_blob("encrypted", b"x")
    assert put.get_blob_properties().server_encrypted is True
