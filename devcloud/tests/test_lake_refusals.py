"""What Azure Storage has and this lake has not is refused with 501, never half done."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobSasPermissions, generate_blob_sas

from devcloud.testing.lake import RunningLake, code, running_lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLake]:
    """One lake for this module, with one blob."""
    with running_lake(tmp_path_factory.mktemp("lake")) as running:
        running.put("a", b"as it was")
        yield running


CALLS: dict[str, Any] = {
    "snapshot": lambda blob: blob.create_snapshot(),
    "page blob": lambda blob: blob.create_page_blob(512),
    "undelete": lambda blob: blob.undelete_blob(),
    "copy from elsewhere": lambda blob: blob.start_copy_from_url("https://example.com/a/b"),
    "upload from url": lambda blob: blob.upload_blob_from_url(
        "https://example.com/a", overwrite=True
    ),
    "block from url": lambda blob: blob.stage_block_from_url("AAAA", "https://example.com/a/b"),
    "query": lambda blob: blob.query_blob("select * from BlobStorage").readall(),
    "legal hold": lambda blob: blob.set_legal_hold(True),
    "encryption scope": lambda blob: blob.upload_blob(b"x", overwrite=True, encryption_scope="s"),
}


@pytest.mark.parametrize("name", CALLS)
def test_refused_calls(lake: RunningLake, name: str) -> None:
    """The call is refused as not implemented, and the blob is as it was."""
    with pytest.raises(HttpResponseError) as error:
        CALLS[name](lake.container().get_blob_client("a"))
    assert code(error) == (501, "NotImplemented")
    assert lake.read("a") == b"as it was"


NOT_HIERARCHICAL: dict[str, Any] = {
    "tags": lambda blob: blob.set_blob_tags({"a": "b"}),
    "get tags": lambda blob: blob.get_blob_tags(),
    "upload with tags": lambda blob: blob.upload_blob(b"x", overwrite=True, tags={"a": "b"}),
    "condition of tags": lambda blob: blob.get_blob_properties(if_tags_match_condition="a='b'"),
    "version": lambda blob: blob.get_blob_properties(version_id="1"),
}


@pytest.mark.parametrize("name", NOT_HIERARCHICAL)
def test_what_such_accounts_do_not_have(lake: RunningLake, name: str) -> None:
    """Azure refuses it for accounts with a hierarchical namespace: so does the lake, likewise."""
    with pytest.raises(HttpResponseError) as error:
        NOT_HIERARCHICAL[name](lake.container().get_blob_client("a"))
    assert error.value.status_code == 409
    assert lake.read("a") == b"as it was"


def test_refused_path_calls(lake: RunningLake) -> None:
    """Expiry, recursive access control and queries are not served."""
    file = lake.filesystem().get_file_client("a")
    directory = lake.filesystem().create_directory("d")
    calls: list[Callable[[], Any]] = [
        lambda: file.set_file_expiry("NeverExpire"),
        lambda: directory.set_access_control_recursive("user::rwx"),
        lambda: file.query_file("select * from BlobStorage").readall(),
    ]
    for call in calls:
        with pytest.raises(HttpResponseError) as error:
            call()
        assert code(error) == (501, "NotImplemented")


def test_unknown_parameters(lake: RunningLake) -> None:
    """A parameter that the operation does not know is refused rather than overlooked."""
    sas = generate_blob_sas(
        lake.config.account,
        "landing",
        "a",
        account_key=lake.config.account_key,
        permission=BlobSasPermissions(read=True),
        expiry="2999-01-01",
    )
    url = f"/landfall/landing/a?{sas}"
    assert lake.control.get(url).content == b"as it was"
    for more in ("snapshot=2020-01-01", "something=else"):
        answer = lake.control.get(f"{url}&{more}")
        assert (answer.status_code, answer.headers["x-ms-error-code"]) == (501, "NotImplemented")
