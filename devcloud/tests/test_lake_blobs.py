"""The blob API, through azure-storage-blob as everybody installs it."""

import base64
import hashlib
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import BlobBlock, BlobLeaseClient, ContentSettings

from devcloud.config import CONTAINERS
from devcloud.testing.lake import RunningLake, code, running_lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLake]:
    """One lake for this module; each test uses names of its own."""
    with running_lake(tmp_path_factory.mktemp("lake")) as running:
        yield running


def test_default_containers(lake: RunningLake) -> None:
    """The containers of the product are there from the first start."""
    assert {c.name for c in lake.blobs.list_containers()} >= set(CONTAINERS)


def test_containers_come_and_go(lake: RunningLake) -> None:
    """A container is made once, has metadata, is listed, and is gone after its deletion."""
    container = lake.container("come-and-go")
    container.create_container(metadata={"purpose": "test"})
    with pytest.raises(ResourceExistsError):
        container.create_container()
    assert container.get_container_properties().metadata == {"purpose": "test"}
    container.set_container_metadata({"purpose": "other"})
    [listed] = lake.blobs.list_containers(name_starts_with="come", include_metadata=True)
    assert (listed.name, listed.metadata) == ("come-and-go", {"purpose": "other"})
    container.upload_blob("a/b", b"x")
    container.delete_container()
    assert not container.exists()
    with pytest.raises(ResourceNotFoundError) as error:
        container.upload_blob("a", b"x")
    assert code(error) == (404, "ContainerNotFound")


@pytest.mark.parametrize("name", ["UPPER", "a", "..", "a--b", ".lake"])
def test_bad_container_names(lake: RunningLake, name: str) -> None:
    """Names that Azure refuses are refused, the lake's own folder among them."""
    with pytest.raises(HttpResponseError):
        lake.container(name).create_container()


def test_put_and_get(lake: RunningLake) -> None:
    """What was put comes back, with its hash, type and metadata."""
    blob = lake.container().get_blob_client("put/get.csv")
    settings = ContentSettings(content_type="text/csv", cache_control="no-cache")
    blob.upload_blob(b"a,b\n", metadata={"sender": "x y"}, content_settings=settings)
    found = blob.get_blob_properties()
    assert blob.download_blob().readall() == b"a,b\n"
    assert found.size == 4
    assert found.metadata == {"sender": "x y"}
    assert found.content_settings.content_type == "text/csv"
    assert found.content_settings.cache_control == "no-cache"
    assert bytes(found.content_settings.content_md5 or b"") == hashlib.md5(b"a,b\n").digest()  # noqa: S324
    assert found.blob_type == "BlockBlob"
    assert found.creation_time is not None
    assert abs(datetime.now(UTC) - found.last_modified) < timedelta(seconds=10)


def test_it_is_a_plain_folder(lake: RunningLake) -> None:
    """A blob is a file of that name, and a file put there by hand is a blob."""
    lake.put("plain/a.txt", b"by api")
    assert lake.local("plain/a.txt").read_bytes() == b"by api"
    lake.local("plain/b.txt").write_bytes(b"by hand")
    assert lake.read("plain/b.txt") == b"by hand"


def test_etag_changes_with_each_version(lake: RunningLake) -> None:
    """Every write, of content or of properties, gives an ETag never seen before."""
    blob = lake.container().get_blob_client("etags")
    seen = [lake.put("etags") for _ in range(50)]
    blob.set_blob_metadata({"a": "b"})
    seen.append(blob.get_blob_properties().etag)
    blob.set_http_headers(ContentSettings(content_type="text/plain"))
    seen.append(blob.get_blob_properties().etag)
    lake.local("etags").write_bytes(b"edited by another process")
    seen.append(blob.get_blob_properties().etag)
    assert len(set(seen)) == len(seen)


def test_create_if_absent(lake: RunningLake) -> None:
    """If-None-Match: * creates, or answers 409 BlobAlreadyExists."""
    blob = lake.container().get_blob_client("absent")
    blob.upload_blob(b"1", overwrite=False)
    with pytest.raises(ResourceExistsError) as error:
        blob.upload_blob(b"2", overwrite=False)
    assert code(error) == (409, "BlobAlreadyExists")
    assert lake.read("absent") == b"1"


def test_compare_and_set(lake: RunningLake) -> None:
    """If-Match replaces that very version, or answers 412."""
    blob = lake.container().get_blob_client("cas")
    first = lake.put("cas", b"1")
    matching = {"overwrite": True, "match_condition": MatchConditions.IfNotModified}
    blob.upload_blob(b"2", etag=first, **matching)
    with pytest.raises(ResourceModifiedError) as error:
        blob.upload_blob(b"3", etag=first, **matching)
    assert code(error) == (412, "ConditionNotMet")
    with pytest.raises(ResourceModifiedError):
        lake.container().get_blob_client("cas-absent").upload_blob(b"3", etag=first, **matching)
    assert lake.read("cas") == b"2"


def test_conditional_reads(lake: RunningLake) -> None:
    """A read can ask for that version, or for any other: then 304 says there is none."""
    blob = lake.container().get_blob_client("reads")
    etag = lake.put("reads", b"1")
    same = blob.download_blob(etag=etag, match_condition=MatchConditions.IfNotModified)
    assert same.readall() == b"1"
    with pytest.raises(HttpResponseError) as error:
        blob.download_blob(etag=etag, match_condition=MatchConditions.IfModified)
    assert error.value.status_code == 304
    with pytest.raises(HttpResponseError) as error:
        blob.download_blob(if_unmodified_since=datetime.now(UTC) - timedelta(days=1))
    assert error.value.status_code == 412


def test_ranges(lake: RunningLake) -> None:
    """Ranges are cut at the end; one behind it is 416; an empty blob downloads all the same."""
    lake.put("ranges", b"0123456789")
    blob = lake.container().get_blob_client("ranges")
    assert blob.download_blob(offset=2, length=3).readall() == b"234"
    assert blob.download_blob(offset=8, length=30).readall() == b"89"
    with pytest.raises(HttpResponseError) as error:
        blob.download_blob(offset=10, length=1)
    assert code(error) == (416, "InvalidRange")
    lake.put("empty", b"")
    assert lake.read("empty") == b""
    range_hash = blob.download_blob(offset=2, length=3, validate_content=True)
    assert range_hash.readall() == b"234"


def test_large_blobs_go_in_blocks(lake: RunningLake) -> None:
    """An upload in blocks is committed at once, its blocks listed, its bytes as they were."""
    data = b"".join(hashlib.sha256(str(n).encode()).digest() for n in range(300_000))
    blob = lake.container().get_blob_client("large")
    settings = {"max_block_size": 1 << 20, "max_single_put_size": 1 << 20}
    with lake.blobs.from_connection_string(
        lake.config.lake_connection_string, retry_total=0, **settings
    ) as service:
        service.get_blob_client("landing", "large").upload_blob(io.BytesIO(data), max_concurrency=4)
    committed, waiting = blob.get_block_list("all")
    assert sum(b.size for b in committed) == len(data)
    assert waiting == []
    assert blob.download_blob(max_concurrency=2).readall() == data


def test_block_lists(lake: RunningLake) -> None:
    """Blocks wait until a list names them; a list may take old and new ones; others are dropped."""
    blob = lake.container().get_blob_client("blocks/b")
    for name, data in (("a", b"AAA"), ("b", b"BB"), ("c", b"C")):
        blob.stage_block(name, data)
    assert not blob.exists()
    assert [b.size for b in blob.get_block_list("uncommitted")[1]] == [3, 2, 1]
    with pytest.raises(HttpResponseError) as error:
        blob.commit_block_list([BlobBlock("missing")])
    assert code(error) == (400, "InvalidBlockList")
    blob.commit_block_list([BlobBlock("b"), BlobBlock("a")], metadata={"k": "v"})
    assert (lake.read("blocks/b"), blob.get_block_list("all")[1]) == (b"BBAAA", [])
    blob.stage_block("d", b"DDDD")
    blob.commit_block_list([BlobBlock("d"), BlobBlock("b")])
    assert lake.read("blocks/b") == b"DDDDBB"


def test_hashes_are_checked(lake: RunningLake) -> None:
    """A body whose Content-MD5 does not fit is refused, and nothing changes."""
    blob = lake.container().get_blob_client("hashed")
    blob.upload_blob(b"right", validate_content=True)
    wrong = base64.b64encode(bytes(16)).decode()
    with pytest.raises(HttpResponseError) as error:
        blob.upload_blob(b"other", overwrite=True, headers={"Content-MD5": wrong})
    assert code(error) == (400, "Md5Mismatch")
    assert lake.read("hashed") == b"right"


def test_metadata_and_headers_are_replaced_whole(lake: RunningLake) -> None:
    """Setting metadata or headers replaces all of them and leaves the content."""
    blob = lake.container().get_blob_client("replaced")
    blob.upload_blob(
        b"x", metadata={"a": "1"}, content_settings=ContentSettings("text/csv", "gzip")
    )
    blob.set_blob_metadata({"b": "2"})
    blob.set_http_headers(ContentSettings(content_type="text/plain"))
    found = blob.get_blob_properties()
    assert found.metadata == {"b": "2"}
    assert found.content_settings.content_type == "text/plain"
    assert found.content_settings.content_encoding is None
    assert lake.read("replaced") == b"x"


def test_much_metadata(lake: RunningLake) -> None:
    """Metadata up to the 8 KiB of Azure is kept, although an extended attribute may be smaller."""
    metadata = {f"key{n}": "v" * 100 for n in range(60)}
    blob = lake.container().get_blob_client("much")
    blob.upload_blob(b"x", metadata=metadata)
    assert blob.get_blob_properties().metadata == metadata
    assert lake.container().get_blob_client("much").download_blob().readall() == b"x"


def test_delete(lake: RunningLake) -> None:
    """A deleted blob is gone; deleting it again is 404; a condition keeps another version."""
    etag = lake.put("deleted")
    lake.put("deleted")
    blob = lake.container().get_blob_client("deleted")
    with pytest.raises(ResourceModifiedError):
        blob.delete_blob(etag=etag, match_condition=MatchConditions.IfNotModified)
    blob.delete_blob()
    with pytest.raises(ResourceNotFoundError) as error:
        blob.delete_blob()
    assert code(error) == (404, "BlobNotFound")


def test_files_and_directories_do_not_mix(lake: RunningLake) -> None:
    """A blob cannot be put over a directory or under a file; a full directory is not deleted."""
    lake.put("mixed/file")
    for key in ("mixed", "mixed/file/below"):
        with pytest.raises(HttpResponseError) as error:
            lake.put(key)
        assert code(error) == (409, "ResourceTypeMismatch")
    with pytest.raises(HttpResponseError) as error:
        lake.container().delete_blob("mixed")
    assert code(error) == (409, "DirectoryIsNotEmpty")
    folder = lake.container().get_blob_client("mixed").get_blob_properties()
    assert (folder.size, folder.metadata) == (0, {"hdi_isfolder": "true"})


def test_copies_within_the_account(lake: RunningLake) -> None:
    """A copy is complete when it is answered, and carries content, type and metadata."""
    lake.put("copy/from", b"content", metadata={"a": "b"})
    source = lake.container().get_blob_client("copy/from").url
    for key, sync in (("copy/async", False), ("copy/sync", True)):
        blob = lake.container("raw").get_blob_client(key)
        answer = blob.start_copy_from_url(source, requires_sync=sync)
        assert answer["copy_status"] == "success"
        assert lake.read(key, "raw") == b"content"
        assert blob.get_blob_properties().metadata == {"a": "b"}
        assert blob.get_blob_properties().copy.status == "success"
    with pytest.raises(HttpResponseError):
        lake.container().get_blob_client("copy/x").start_copy_from_url(f"{source}-absent")


def test_leases(lake: RunningLake) -> None:
    """A leased blob is written by the holder of the lease alone, until he lets go."""
    lake.put("leased", b"1")
    blob = lake.container().get_blob_client("leased")
    lease = blob.acquire_lease(lease_duration=15)
    assert blob.get_blob_properties().lease.state == "leased"
    with pytest.raises(ResourceExistsError) as exists:
        blob.acquire_lease(lease_duration=15)
    assert code(exists) == (409, "LeaseAlreadyPresent")
    with pytest.raises(HttpResponseError) as error:
        blob.upload_blob(b"2", overwrite=True)
    assert code(error) == (412, "LeaseIdMissing")
    with pytest.raises(HttpResponseError) as error:
        blob.delete_blob(lease=BlobLeaseClient(blob, "11111111-1111-1111-1111-111111111111"))
    assert code(error) == (412, "LeaseIdMismatchWithBlobOperation")
    blob.upload_blob(b"3", overwrite=True, lease=lease)
    lease.renew()
    lease.change("22222222-2222-2222-2222-222222222222")
    assert lease.break_lease(lease_break_period=0) == 0
    blob.upload_blob(b"4", overwrite=True)
    assert lake.read("leased") == b"4"


def test_leases_go_with_what_they_lock(lake: RunningLake) -> None:
    """A container made anew under an old name has none of its leases."""
    for _ in range(2):
        lake.container("leased-box").create_container()
        lake.put("a", container="leased-box")
        lake.container("leased-box").get_blob_client("a").acquire_lease(-1)
        lake.container("leased-box").delete_container()


def test_released_and_endless_leases(lake: RunningLake) -> None:
    """A lease may be endless; released, it is gone at once."""
    lake.put("endless")
    blob = lake.container().get_blob_client("endless")
    lease = blob.acquire_lease(lease_duration=-1)
    assert blob.get_blob_properties().lease.duration == "infinite"
    lease.release()
    assert blob.get_blob_properties().lease.state == "available"
    with pytest.raises(HttpResponseError):
        blob.acquire_lease(lease_duration=5)


def test_account_information(lake: RunningLake) -> None:
    """The account says that it has a hierarchical namespace."""
    assert lake.blobs.get_account_information()["is_hns_enabled"] is True
