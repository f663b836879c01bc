"""Stored access policies: kept, told again, and the terms of the signatures that name them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import AccessPolicy, generate_blob_sas, generate_container_sas

from devcloud.testing.lake import RunningLake, code, running_lake

SOON = datetime.now(UTC) + timedelta(hours=1)
PAST = datetime.now(UTC) - timedelta(hours=1)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLake]:
    """One lake for this module, with one blob."""
    with running_lake(tmp_path_factory.mktemp("lake")) as running:
        running.put("a", b"x")
        yield running


def signed(lake: RunningLake, **terms: Any) -> str:
    """A signature for the container."""
    config = lake.config
    return generate_container_sas(
        config.account, "landing", account_key=config.account_key, **terms
    )


def status(lake: RunningLake, sas: str, method: str = "GET") -> int:
    """What a request with a signature is answered."""
    headers = {"x-ms-blob-type": "BlockBlob"} if method == "PUT" else {}
    url = f"{lake.config.lake_url}/landing/a?{sas}"
    return httpx.request(method, url, headers=headers).status_code


def test_kept_and_told(lake: RunningLake) -> None:
    """All of them are set at once; metadata and public access are another matter."""
    container = lake.container()
    container.set_container_metadata({"a": "b"})
    policies = {
        "read": AccessPolicy("r", SOON, PAST),
        "open": AccessPolicy(),
    }
    container.set_container_access_policy(policies)
    told = container.get_container_access_policy()
    assert [each.id for each in told["signed_identifiers"]] == ["read", "open"]
    terms = told["signed_identifiers"][0].access_policy
    assert (terms.permission, terms.expiry[:16]) == ("r", f"{SOON:%Y-%m-%dT%H:%M}")
    assert told["public_access"] is None
    container.set_container_metadata({"a": "c"})
    assert len(container.get_container_access_policy()["signed_identifiers"]) == 2
    container.set_container_access_policy({})
    assert container.get_container_access_policy()["signed_identifiers"] == []
    assert container.get_container_properties().metadata == {"a": "c"}


def test_terms_of_a_signature(lake: RunningLake) -> None:
    """The policy gives what the signature leaves out: time, permissions, or both."""
    container = lake.container()
    container.set_container_access_policy(
        {"both": AccessPolicy("r", SOON), "time": AccessPolicy(None, SOON), "free": AccessPolicy()}
    )
    both = signed(lake, policy_id="both")
    assert (status(lake, both), status(lake, both, "PUT")) == (200, 403)
    timed = signed(lake, policy_id="time", permission="rw")
    assert (status(lake, timed), status(lake, timed, "PUT")) == (200, 201)
    assert status(lake, signed(lake, policy_id="free", permission="r", expiry=SOON)) == 200
    assert status(lake, signed(lake, policy_id="free", permission="r")) == 403  # it never ends
    assert status(lake, signed(lake, policy_id="both", permission="r")) == 403  # twice
    blob = generate_blob_sas(
        lake.config.account, "landing", "a", account_key=lake.config.account_key, policy_id="both"
    )
    assert status(lake, blob) == 200


def test_revoked(lake: RunningLake) -> None:
    """To change or remove a policy ends the signatures that name it."""
    container = lake.container()
    container.set_container_access_policy({"p": AccessPolicy("r", SOON)})
    sas = signed(lake, policy_id="p")
    assert status(lake, sas) == 200
    container.set_container_access_policy({"p": AccessPolicy("r", PAST)})
    assert status(lake, sas) == 403
    container.set_container_access_policy({"other": AccessPolicy("r", SOON)})
    assert status(lake, sas) == 403
    forged = sas.replace("si=p", "si=other")
    assert status(lake, forged) == 403


def test_names(lake: RunningLake) -> None:
    """A policy's name has 64 characters at most."""
    with pytest.raises(HttpResponseError) as error:
        lake.container().set_container_access_policy({"x" * 65: AccessPolicy("r", SOON)})
    assert code(error)[0] == 400
