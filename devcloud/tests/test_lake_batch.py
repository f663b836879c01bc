"""Blob Batch: many deletes in one request."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import (
    BlobServiceClient,
    ContainerClient,
    PartialBatchErrorException,
    generate_account_sas,
)

from devcloud.testing.lake import RunningLake, code, running_lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLake]:
    """One lake for this module."""
    with running_lake(tmp_path_factory.mktemp("lake")) as running:
        yield running


@pytest.fixture(params=["key", "signature"])
def container(lake: RunningLake, request: pytest.FixtureRequest) -> Iterator[ContainerClient]:
    """The landing container, by the key and by a signature."""
    config = lake.config
    credential: str | dict[str, str] = sas(lake)
    if request.param == "key":
        credential = {"account_name": config.account, "account_key": config.account_key}
    with BlobServiceClient(config.lake_url, credential=credential, retry_total=0) as service:
        yield service.get_container_client("landing")


def sas(lake: RunningLake, permission: str = "racwdl") -> str:
    """A signature of the account."""
    return str(
        generate_account_sas(
            lake.config.account,
            lake.config.account_key,
            resource_types="sco",
            permission=permission,
            expiry=datetime.now(UTC) + timedelta(hours=1),
        )
    )


def names(container: ContainerClient, prefix: str) -> list[str]:
    """Names of blobs."""
    return [each.name for each in container.list_blobs(prefix)]


def test_deletes(lake: RunningLake, container: ContainerClient) -> None:
    """Every blob is deleted, odd names included, in one request."""
    blobs = [f"batch/{number:03}" for number in range(254)] + ["batch/ä b+%2F&.csv", "batch/x?y"]
    lake.local("batch").mkdir(exist_ok=True)
    for each in blobs:
        lake.local(each).write_bytes(b"x")
    lake.control.delete("/_devcloud/requests")
    answers = list(container.delete_blobs(*blobs))
    assert [each.status_code for each in answers] == [202] * 256
    assert lake.control.get("/_devcloud/requests").json()["total"] == 1
    assert [name for name in names(container, "batch/") if name != "batch"] == []


def test_one_that_fails_does_not_stop_the_others(
    lake: RunningLake, container: ContainerClient
) -> None:
    """Each request in the batch has its own answer, with its own code."""
    lake.put("some/1")
    lake.put("some/3")
    held = lake.container().get_blob_client("some/3").acquire_lease()
    with pytest.raises(PartialBatchErrorException) as error:
        container.delete_blobs("some/1", "some/2", "some/3")
    answers = list(error.value.parts)
    codes = [each.headers.get("x-ms-error-code") for each in answers]
    assert [each.status_code for each in answers] == [202, 404, 412]
    assert codes == [None, "BlobNotFound", "LeaseIdMissing"]
    assert [name for name in names(container, "some/") if name != "some"] == ["some/3"]
    held.release()


def test_conditions_go_with_each(lake: RunningLake, container: ContainerClient) -> None:
    """A condition that is not met keeps its blob."""
    lake.put("one")
    lake.put("two")
    stale = {"name": "two", "if_unmodified_since": datetime(2000, 1, 1, tzinfo=UTC)}
    answers = list(container.delete_blobs("one", stale, raise_on_any_failure=False))
    assert [each.status_code for each in answers] == [202, 412]


def test_each_request_is_authorized(lake: RunningLake) -> None:
    """A signature that may not delete deletes nothing."""
    lake.put("kept")
    url = lake.config.lake_url
    with BlobServiceClient(url, credential=sas(lake, "rl"), retry_total=0) as service:
        client = service.get_container_client("landing")
        (answer,) = client.delete_blobs("kept", raise_on_any_failure=False)
    assert (answer.status_code, answer.headers["x-ms-error-code"]) == (
        403,
        "AuthorizationPermissionMismatch",
    )
    assert lake.read("kept") == b"x"


def test_what_is_no_batch(lake: RunningLake) -> None:
    """More than 256 requests, other operations and other bodies are refused; nothing is done."""
    lake.put("stays")
    with pytest.raises(HttpResponseError) as error:
        lake.container().delete_blobs(*["stays"] * 257)
    assert code(error) == (400, "ExceedsMaxBatchRequestCount")
    url = f"{lake.config.lake_url}/landing?restype=container&comp=batch&{sas(lake)}"
    reply = httpx.post(url, content=b"nothing", headers={"content-type": "multipart/mixed"})
    assert (reply.status_code, reply.headers["x-ms-error-code"]) == (400, "InvalidInput")
    part = (
        f"--b\r\nContent-Type: application/http\r\n\r\nGET /landing/stays?{sas(lake)} HTTP/1.1\r\n"
    )
    reply = httpx.post(
        url,
        content=f"{part}\r\n--b--\r\n".encode(),
        headers={"content-type": "multipart/mixed; boundary=b"},
    )
    assert (reply.status_code, reply.headers["x-ms-error-code"]) == (400, "InvalidInput")
    assert lake.read("stays") == b"x"
