"""Blobs and blocks from a URL of the account, and blobs that grow by appending."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import adlfs
import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import (
    BlobBlock,
    BlobClient,
    ContentSettings,
    StandardBlobTier,
    generate_account_sas,
    generate_container_sas,
)

from devcloud.testing.lake import RunningLake, code, race, running_lake, winners

SOON = datetime.now(UTC) + timedelta(hours=1)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLake]:
    """One lake for this module, with a source."""
    with running_lake(tmp_path_factory.mktemp("lake")) as running:
        running.put(
            "source",
            b"0123456789",
            metadata={"of": "source"},
            content_settings=ContentSettings(content_type="text/plain", cache_control="no-store"),
        )
        yield running


def blob(lake: RunningLake, key: str, container: str = "landing") -> Any:
    """A blob's client."""
    return lake.container(container).get_blob_client(key)


def source(lake: RunningLake, permission: str = "r") -> str:
    """The source, with a signature."""
    sas = generate_container_sas(
        lake.config.account,
        "landing",
        account_key=lake.config.account_key,
        permission=permission,
        expiry=SOON,
    )
    return f"{blob(lake, 'source').url}?{sas}"


def md5(data: bytes) -> bytearray:
    """The MD5 of something, as the SDK takes it."""
    return bytearray(hashlib.md5(data, usedforsecurity=False).digest())


# -- from a URL


def test_a_blob_from_a_url(lake: RunningLake) -> None:
    """It has the content and the content headers of its source, and metadata of its own."""
    made = blob(lake, "made", "bronze")
    made.upload_blob_from_url(source(lake), metadata={"of": "copy"})
    found = made.get_blob_properties()
    assert made.download_blob().readall() == b"0123456789"
    assert found.metadata == {"of": "copy"}
    assert found.content_settings.content_type == "text/plain"
    assert found.content_settings.content_md5 == md5(b"0123456789")
    assert found.copy.id is None
    with pytest.raises(HttpResponseError) as error:
        made.upload_blob_from_url(source(lake))
    assert code(error) == (409, "BlobAlreadyExists")
    made.upload_blob_from_url(
        source(lake),
        overwrite=True,
        include_source_blob_properties=False,
        content_settings=ContentSettings(content_language="de"),
    )
    settings = made.get_blob_properties().content_settings
    assert (settings.content_type, settings.content_language, settings.cache_control) == (
        "application/octet-stream",
        "de",
        None,
    )


def test_blocks_from_a_url(lake: RunningLake) -> None:
    """Ranges of a source become blocks, among others that were uploaded."""
    made = blob(lake, "joined")
    made.stage_block_from_url("aaaa", source(lake), source_offset=2, source_length=3)
    made.stage_block("bbbb", b"--")
    made.stage_block_from_url("cccc", source(lake))
    made.commit_block_list([BlobBlock(each) for each in ("aaaa", "bbbb", "cccc")])
    assert made.download_blob().readall() == b"234--0123456789"


def test_a_source_is_checked(lake: RunningLake) -> None:
    """By its conditions, and against the hash that the client knows; and it must be readable."""
    made = blob(lake, "checked")
    acts: list[tuple[Callable[[], object], tuple[int, str]]] = [
        (
            lambda: made.upload_blob_from_url(source(lake), source_content_md5=md5(b"other")),
            (400, "Md5Mismatch"),
        ),
        (
            lambda: made.upload_blob_from_url(
                source(lake), source_if_unmodified_since=datetime(2000, 1, 1, tzinfo=UTC)
            ),
            (412, "SourceConditionNotMet"),
        ),
        (
            lambda: made.upload_blob_from_url(source(lake, "w")),
            (403, "AuthorizationPermissionMismatch"),
        ),
        (
            lambda: made.stage_block_from_url("aaaa", source(lake), 99, 1),
            (416, "InvalidRange"),
        ),
        (
            lambda: made.upload_blob_from_url(source(lake).replace("source?", "absent?")),
            (404, "CannotVerifyCopySource"),
        ),
        (lambda: made.upload_blob_from_url("https://example.com/a"), (501, "NotImplemented")),
    ]
    for act, answer in acts:
        with pytest.raises(HttpResponseError) as error:
            act()
        assert code(error) == answer
    assert not made.exists()
    made.upload_blob_from_url(source(lake), source_content_md5=md5(b"0123456789"))
    assert made.exists()


# -- append blobs


def test_an_append_blob_grows(lake: RunningLake) -> None:
    """Each append says where it went; the blob says what it is."""
    log = blob(lake, "log")
    log.create_append_blob(metadata={"Kind": "log"})
    first = log.append_block(b"one\n")
    second = log.append_block(b"two\n", validate_content=True)
    log.append_block_from_url(source(lake), source_offset=0, source_length=3)
    assert (first["blob_append_offset"], second["blob_append_offset"]) == ("0", "4")
    assert second["blob_committed_block_count"] == 2
    assert log.download_blob().readall() == b"one\ntwo\n012"
    found = log.get_blob_properties()
    assert (found.blob_type, found.append_blob_committed_block_count) == ("AppendBlob", 3)
    assert (found.metadata, found.blob_tier) == ({"Kind": "log"}, None)
    (listed,) = [each for each in lake.container().list_blobs("log") if each.name == "log"]
    assert (listed.blob_type, listed.size) == ("AppendBlob", 11)
    log.upload_blob(b"three", blob_type="AppendBlob")  # goes on where it ended
    assert log.download_blob().readall() == b"one\ntwo\n012three"


def test_conditions_of_an_append(lake: RunningLake) -> None:
    """Position and size may be made a condition; a lease holds others off."""
    log = blob(lake, "conditions")
    log.create_append_blob()
    log.append_block(b"12345", appendpos_condition=0)
    for more, name in (
        ({"appendpos_condition": 4}, "AppendPositionConditionNotMet"),
        ({"maxsize_condition": 6}, "MaxBlobSizeConditionNotMet"),
    ):
        with pytest.raises(HttpResponseError) as error:
            log.append_block(b"67", **more)
        assert code(error) == (412, name)
    lease = log.acquire_lease()
    with pytest.raises(HttpResponseError) as denied:
        log.append_block(b"6")
    assert code(denied) == (412, "LeaseIdMissing")
    log.append_block(b"6", lease=lease)
    assert log.download_blob().readall() == b"123456"


def test_appends_at_once_lose_nothing(lake: RunningLake) -> None:
    """Sixteen at once: every one is there, whole, at the place that it was told."""
    log = blob(lake, "crowd")
    log.create_append_blob()
    answers = race(lambda number: log.append_block(f"{number:04}\n".encode()))
    assert len(winners(answers)) == 16
    text = log.download_blob().readall().decode()
    assert sorted(text.split()) == [f"{number:04}" for number in range(16)]
    offsets = {int(each["blob_append_offset"]) for each in answers if isinstance(each, dict)}
    assert offsets == {5 * number for number in range(16)}


def test_an_append_that_was_cut_off(lake: RunningLake) -> None:
    """What a killed process had written of a block is not there, and is written over."""
    log = blob(lake, "cut")
    log.create_append_blob()
    log.append_block(b"one")
    with lake.local("cut").open("ab") as file:
        file.write(b"tw")
    assert log.download_blob().readall() == b"one"
    assert log.append_block(b"2")["blob_append_offset"] == "3"
    assert log.download_blob().readall() == b"one2"
    assert lake.local("cut").read_bytes() == b"one2"


def test_kinds_are_told_apart(lake: RunningLake) -> None:
    """What is for the one kind of blob is refused for the other."""
    log, plain = blob(lake, "kind-log"), blob(lake, "kind-plain")
    log.create_append_blob()
    plain.upload_blob(b"x")
    acts: list[Callable[[], object]] = [
        lambda: plain.append_block(b"y"),
        lambda: log.stage_block("aaaa", b"y"),
        lambda: log.set_standard_blob_tier("Cool"),
    ]
    for act in acts:
        with pytest.raises(HttpResponseError) as error:
            act()
        assert code(error) == (409, "InvalidBlobType")
    copy = blob(lake, "kind-copy")
    copy.start_copy_from_url(log.url)
    assert copy.get_blob_properties().blob_type == "AppendBlob"


def test_adlfs_appends(lake: RunningLake) -> None:
    """A file opened with `ab` goes on where it ended."""
    fs = adlfs.AzureBlobFileSystem(
        connection_string=lake.config.lake_connection_string, skip_instance_cache=True
    )
    for text in (b"one,", b"two"):
        with fs.open("landing/adlfs-log", "ab") as file:
            file.write(text)
    assert fs.cat("landing/adlfs-log") == b"one,two"


# -- leases of containers, service properties


def test_a_leased_container(lake: RunningLake) -> None:
    """Others cannot delete it; a wrong lease is refused; its state is told."""
    container = lake.blobs.create_container("leased")
    lease = container.acquire_lease(lease_duration=15)
    assert container.get_container_properties().lease.state == "leased"
    (listed,) = lake.blobs.list_containers("leased")
    assert listed.lease.state == "leased"
    lake.put("a", container="leased")  # what is in it is not locked
    with pytest.raises(HttpResponseError) as error:
        container.delete_container()
    assert code(error) == (412, "LeaseIdMissing")
    wrong = "00000000-0000-0000-0000-000000000001"
    with pytest.raises(HttpResponseError) as error:
        container.set_container_metadata({"a": "b"}, lease=wrong)
    assert code(error) == (412, "LeaseIdMismatchWithContainerOperation")
    container.set_container_metadata({"a": "b"}, lease=lease)
    lease.renew()
    container.delete_container(lease=lease)
    assert not container.exists()


def test_service_properties(lake: RunningLake) -> None:
    """They say that all is off; setting them so is fine, switching something on is not."""
    found = lake.blobs.get_service_properties()
    assert not found["analytics_logging"].read
    assert (found["cors"], found["static_website"].enabled) == ([], False)
    lake.blobs.set_service_properties(
        cors=[], delete_retention_policy=found["delete_retention_policy"]
    )
    found["static_website"].enabled = True
    with pytest.raises(HttpResponseError) as error:
        lake.blobs.set_service_properties(static_website=found["static_website"])
    assert code(error) == (501, "NotImplemented")


def test_what_azcopy_copies(lake: RunningLake) -> None:
    """The requests of a copy from service to service: blocks from signed URLs, then a list."""
    sas = generate_account_sas(
        lake.config.account,
        lake.config.account_key,
        resource_types="sco",
        permission="racwdl",
        expiry=SOON,
    )
    target = BlobClient.from_blob_url(f"{lake.config.lake_url}/silver/copied?{sas}")
    ids = [base64.b64encode(f"{number:032}".encode()).decode() for number in range(2)]
    for number, block in enumerate(ids):
        target.stage_block_from_url(
            block, f"{lake.config.lake_url}/landing/source?{sas}", 5 * number, 5
        )
    target.commit_block_list(
        [BlobBlock(each) for each in ids], standard_blob_tier=StandardBlobTier.COOL
    )
    assert lake.read("copied", "silver") == b"0123456789"
