"""Who may do what: the account key, and shared access signatures of every kind."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

import httpx
import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.storage.blob import (
    BlobServiceClient,
    ContainerClient,
    UserDelegationKey,
    generate_account_sas,
    generate_blob_sas,
    generate_container_sas,
)
from azure.storage.filedatalake import (
    DataLakeServiceClient,
    FileSystemClient,
    generate_directory_sas,
    generate_file_system_sas,
)

from devcloud.platform.identity import Identity
from devcloud.testing.lake import RunningLake, code, running_lake

NOW = datetime.now(UTC)
SOON = NOW + timedelta(hours=1)
PAST = NOW - timedelta(hours=1)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLake]:
    """One lake for this module, with one blob."""
    with running_lake(tmp_path_factory.mktemp("lake")) as running:
        running.put("here/a b.txt", b"data")
        yield running


def delegation_key(lake: RunningLake) -> Any:
    """A user delegation key, asked for with a token; the SDKs do not send one over http."""
    token, _ = Identity(lake.config.identity_secret).issue("https://storage.azure.com")
    times = "".join(
        f"<{name}>{moment:%Y-%m-%dT%H:%M:%SZ}</{name}>"
        for name, moment in (("Start", PAST), ("Expiry", SOON))
    )
    reply = httpx.post(
        f"{lake.config.lake_url}?restype=service&comp=userdelegationkey",
        headers={"Authorization": f"Bearer {token}", "x-ms-version": "2025-05-05"},
        content=f"<KeyInfo>{times}</KeyInfo>",
    )
    make: Any = UserDelegationKey
    key = make()
    for each in ET.fromstring(reply.raise_for_status().content):  # noqa: S314 - ours
        words = re.findall("[A-Z][a-z]*", each.tag)
        setattr(key, "_".join(words).lower(), each.text)
    return key


def container_with(lake: RunningLake, sas: str, name: str = "landing") -> Any:
    """A container's client that has nothing but a signature."""
    return ContainerClient(lake.config.lake_url, name, credential=sas, retry_total=0)


def account_sas(lake: RunningLake, **more: Any) -> str:
    """A signature of the account, good for reading objects unless told otherwise."""
    given = {"resource_types": "sco", "permission": "rl", "expiry": SOON, **more}
    return generate_account_sas(lake.config.account, lake.config.account_key, **given)


def container_sas(lake: RunningLake, permission: str, **more: Any) -> str:
    """A signature of the container landing."""
    config = lake.config
    given = {"account_key": config.account_key, "expiry": SOON, **more}
    return generate_container_sas(config.account, "landing", permission=permission, **given)


def test_a_wrong_key(lake: RunningLake) -> None:
    """A signature with another key is refused with 403."""
    for client in (BlobServiceClient, DataLakeServiceClient):
        credential = {"account_name": "landfall", "account_key": "d3Jvbmc="}
        wrong: Any = client(lake.config.lake_url, credential=credential, retry_total=0)
        listing = (
            wrong.list_containers() if client is BlobServiceClient else wrong.list_file_systems()
        )
        with pytest.raises(ClientAuthenticationError) as error:
            list(listing)
        assert code(error) == (403, "AuthenticationFailed")


def test_another_account(lake: RunningLake) -> None:
    """The right key under another name is refused as well."""
    credential = {"account_name": "other", "account_key": lake.config.account_key}
    client: Any = BlobServiceClient(lake.config.lake_url, credential=credential, retry_total=0)
    with pytest.raises(ClientAuthenticationError):
        list(client.list_containers())


def test_nobody(lake: RunningLake) -> None:
    """Without authorization, or with an unknown token, the answer is 401."""
    url = f"{lake.config.lake_url}/landing/{quote('here/a b.txt')}"
    nobody = httpx.get(url)
    assert nobody.status_code == 401
    assert nobody.headers["x-ms-error-code"] == "NoAuthenticationInformation"
    forged = httpx.get(url, headers={"Authorization": "Bearer x.y.z"})
    assert (forged.status_code, forged.headers["x-ms-error-code"]) == (
        401,
        "InvalidAuthenticationInfo",
    )


def test_an_old_signature(lake: RunningLake) -> None:
    """A request that was signed long ago cannot be sent again."""
    old = {"x-ms-date": "Mon, 01 Jan 2024 00:00:00 GMT", "Authorization": "SharedKey landfall:x"}
    answer = httpx.get(f"{lake.config.lake_url}/landing/a", headers=old)
    assert answer.status_code == 403
    assert "too far from now" in answer.text


def test_what_is_signed_cannot_be_changed(lake: RunningLake) -> None:
    """A signature covers method, path, query and headers."""
    sent: list[Any] = []
    lake.container().get_blob_client("here/a b.txt").get_blob_properties(
        raw_request_hook=lambda request: sent.append(request.http_request)
    )
    url, headers = sent[0].url, dict(sent[0].headers)
    assert httpx.head(url, headers=headers).status_code == 200
    assert httpx.get(url, headers=headers).status_code == 403
    assert httpx.head(f"{url}?timeout=3", headers=headers).status_code == 403
    assert httpx.head(url, headers={**headers, "x-ms-lease-id": "1"}).status_code == 403
    assert httpx.head(url.replace("a%20b", "b"), headers=headers).status_code == 403


def test_account_sas(lake: RunningLake) -> None:
    """A signature of the account lets through what it permits, in both APIs."""
    container = container_with(lake, account_sas(lake))
    assert container.download_blob("here/a b.txt").readall() == b"data"
    assert "here/a b.txt" in [b.name for b in container.list_blobs()]
    with pytest.raises(HttpResponseError) as error:
        container.upload_blob("here/new", b"x")
    assert code(error) == (403, "AuthorizationPermissionMismatch")
    paths: Any = FileSystemClient(lake.config.lake_url, "landing", credential=account_sas(lake))
    assert len(list(paths.get_paths())) >= 2


def test_account_sas_of_other_resources(lake: RunningLake) -> None:
    """A signature for objects does not list containers, one for queues is not for blobs."""
    objects = container_with(lake, account_sas(lake, resource_types="o"))
    with pytest.raises(HttpResponseError) as error:
        list(objects.list_blobs())
    assert code(error) == (403, "AuthorizationResourceTypeMismatch")
    queues = container_with(lake, account_sas(lake, services="q"))
    with pytest.raises(HttpResponseError) as error:
        queues.download_blob("here/a b.txt")
    assert code(error) == (403, "AuthorizationServiceMismatch")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"expiry": PAST}, "AuthenticationFailed"),
        ({"start": SOON}, "AuthenticationFailed"),
        ({"protocol": "https"}, "AuthorizationProtocolMismatch"),
        ({"ip": "10.0.0.1"}, "AuthorizationSourceIPMismatch"),
        ({"permission": "w"}, "AuthorizationPermissionMismatch"),
    ],
)
def test_signatures_that_do_not_hold(
    lake: RunningLake, more: dict[str, Any], expected: str
) -> None:
    """Expired, early, of another protocol, address or permission: 403, and why."""
    container = container_with(lake, account_sas(lake, **more))
    with pytest.raises(HttpResponseError) as error:
        container.download_blob("here/a b.txt")
    assert code(error) == (403, expected)


def test_a_forged_signature(lake: RunningLake) -> None:
    """A permission that was written in afterwards breaks the signature."""
    container = container_with(lake, account_sas(lake).replace("sp=rl", "sp=rwl"))
    with pytest.raises(ClientAuthenticationError) as error:
        container.upload_blob("here/forged", b"x")
    assert code(error) == (403, "AuthenticationFailed")


def test_container_sas(lake: RunningLake) -> None:
    """A signature of a container is good in that container alone."""
    sas = container_sas(lake, "racwdl", ip="127.0.0.1", protocol="https,http")
    container = container_with(lake, sas)
    container.upload_blob("sas/a+b%2F c.txt", b"1")
    assert container.download_blob("sas/a+b%2F c.txt").readall() == b"1"
    container.delete_blob("sas/a+b%2F c.txt")
    with pytest.raises(ClientAuthenticationError):
        list(container_with(lake, sas, "raw").list_blobs())


def test_blob_sas(lake: RunningLake) -> None:
    """A signature of a blob is good for that blob alone, and may set its headers."""
    config = lake.config
    given: dict[str, Any] = {"permission": "r", "expiry": SOON, "content_type": "text/special"}
    sas = generate_blob_sas(
        config.account, "landing", "here/a b.txt", account_key=config.account_key, **given
    )
    url = f"{config.lake_url}/landing/here/a%20b.txt?{sas}"
    answer = httpx.get(url)
    assert (answer.content, answer.headers["content-type"]) == (b"data", "text/special")
    assert httpx.get(url.replace("a%20b.txt", "c.txt")).status_code == 403


def test_directory_sas(lake: RunningLake) -> None:
    """A signature of a directory is good for all below it; a rename needs the move permission."""
    config = lake.config

    def signed(permission: str) -> Any:
        sas = generate_directory_sas(
            config.account, "landing", "sas-dir", config.account_key, permission, SOON
        )
        return FileSystemClient(config.lake_url, "landing", credential=sas, retry_total=0)

    signed("racwdlmep").get_file_client("sas-dir/sub/f").upload_data(b"1", overwrite=True)
    file = signed("racwdlmep").get_file_client("sas-dir/sub/f")
    file.rename_file("landing/sas-dir/sub/g")
    assert lake.read("sas-dir/sub/g") == b"1"
    with pytest.raises(HttpResponseError):
        signed("rcw").get_file_client("sas-dir/sub/g").rename_file("landing/sas-dir/sub/h")
    with pytest.raises(HttpResponseError):
        signed("racwdlmep").get_file_client("here/a b.txt").download_file()


def test_user_delegation_sas(lake: RunningLake) -> None:
    """A signature with a user delegation key is verified like the others, in both SDKs."""
    key = delegation_key(lake)
    sas = generate_container_sas(
        lake.config.account, "landing", user_delegation_key=key, permission="rl", expiry=SOON
    )
    assert container_with(lake, sas).download_blob("here/a b.txt").readall() == b"data"
    path_sas = generate_file_system_sas(
        lake.config.account, "landing", key, permission="rl", expiry=SOON
    )
    paths: Any = FileSystemClient(lake.config.lake_url, "landing", credential=path_sas)
    assert "here" in [p.name for p in paths.get_paths(recursive=False)]
    key.value = lake.config.account_key
    forged = generate_container_sas(
        lake.config.account, "landing", user_delegation_key=key, permission="rl", expiry=SOON
    )
    with pytest.raises(ClientAuthenticationError):
        container_with(lake, forged).download_blob("here/a b.txt")


def test_user_delegation_keys_are_for_identities(lake: RunningLake) -> None:
    """The account key has no right to one, in Azure as here."""
    for service in (lake.blobs, lake.paths):
        with pytest.raises(ClientAuthenticationError) as error:
            service.get_user_delegation_key(PAST, SOON)
        assert code(error) == (403, "AuthenticationFailed")


def test_tokens(lake: RunningLake) -> None:
    """A token of the local identity for storage opens all; one for another resource nothing."""
    url = f"{lake.config.lake_url}/landing/{quote('here/a b.txt')}"
    identity = Identity(lake.config.identity_secret)
    for resource, status in (("https://storage.azure.com/", 200), ("https://vault.azure.net", 401)):
        token, _ = identity.issue(resource)
        assert httpx.get(url, headers={"Authorization": f"Bearer {token}"}).status_code == status


def test_copies_need_a_right_to_the_source(lake: RunningLake) -> None:
    """Whoever comes with a signature may copy only what a signature lets him read."""
    lake.put("secret", b"s", container="silver")
    source = lake.container("silver").get_blob_client("secret").url
    writer = container_with(lake, container_sas(lake, "rcw")).get_blob_client("stolen")
    with pytest.raises(HttpResponseError):
        writer.start_copy_from_url(source)
    for sas, allowed in ((account_sas(lake, permission="w"), False), (account_sas(lake), True)):
        if not allowed:
            with pytest.raises(HttpResponseError):
                writer.start_copy_from_url(f"{source}?{sas}")
        else:
            writer.start_copy_from_url(f"{source}?{sas}")
    assert lake.read("stolen") == b"s"
