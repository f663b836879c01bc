"""The Resource Manager's routes beside Data Factory: what they refuse."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from devcloud.config import CloudConfig, create
from devcloud.lake.app import create_app as create_lake
from devcloud.platform import management
from devcloud.platform.identity import Identity
from devcloud.platform.vault import VaultSecrets
from devcloud.serving import serve_in_thread

GROUP = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/landfall/providers"
VERSION = {"api-version": "2025-02-15"}
SUBSCRIPTION = f"{GROUP}/Microsoft.EventGrid/systemTopics/t/eventSubscriptions/mine"
SECRET = f"{GROUP}/Microsoft.KeyVault/vaults/v/secrets/mine"


@pytest.fixture
def config(tmp_path: Path) -> Iterator[CloudConfig]:
    """A cloud whose lake and Resource Manager run."""
    configured = create(tmp_path, tmp_path, landing_function="")
    identity = Identity(configured.identity_secret)
    arm = Starlette(routes=list(management.routes(identity, configured)))
    with (
        serve_in_thread(create_lake(configured), configured.ports["lake"]),
        serve_in_thread(arm, configured.ports["datafactory"]),
    ):
        yield configured


@pytest.fixture
def http(config: CloudConfig) -> Iterator[httpx.Client]:
    """A client with a token for the Resource Manager."""
    token, _ = Identity(config.identity_secret).issue("https://management.azure.com")
    with httpx.Client(
        base_url=config.url("datafactory"),
        headers={"Authorization": f"Bearer {token}"},
        params=VERSION,
    ) as client:
        yield client


def hook(url: str, **properties: Any) -> dict[str, Any]:
    """The body of a subscription."""
    destination = {"endpointType": "WebHook", "properties": {"endpointUrl": url}}
    return {"properties": {"destination": destination, **properties}}


def test_without_a_token_nothing_is_answered(config: CloudConfig) -> None:
    """A token for another resource opens nothing either."""
    url = config.url("datafactory") + SECRET
    other, _ = Identity(config.identity_secret).issue("https://vault.azure.net")

    assert httpx.get(url, params=VERSION).status_code == 401
    headers = {"Authorization": f"Bearer {other}"}
    assert httpx.get(url, params=VERSION, headers=headers).status_code == 401


def test_paths_compare_without_case(http: httpx.Client) -> None:
    """`resourcegroups` and `listKeys` are written in either way."""
    assert http.put(SECRET, json={"properties": {"value": "a"}}).status_code == 201

    assert http.get(SECRET.lower()).json()["name"] == "mine"


def test_a_secret_is_never_shown(http: httpx.Client, config: CloudConfig) -> None:
    """The Resource Manager sets a value; only the vault tells it."""
    body = {"tags": {"n": "1"}, "properties": {"value": "a-secret"}}

    put = http.put(SECRET, json=body)

    assert "a-secret" not in put.text + http.get(SECRET).text
    assert http.get(SECRET).json()["tags"] == {"n": "1"}
    assert VaultSecrets(config)["mine"] == "a-secret"


def test_a_webhook_that_does_not_answer_the_handshake_gets_no_events(
    http: httpx.Client, config: CloudConfig
) -> None:
    """Event Grid sends a code first, and the webhook must say it back."""
    silent = hook(f"{config.url('lake')}/nothing")

    reply = http.put(SUBSCRIPTION, json=silent)

    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "Url validation")
    assert http.get(SUBSCRIPTION).status_code == 404


@pytest.mark.parametrize(
    "properties",
    [
        {"deliveryWithResourceIdentity": {}},
        {"eventDeliverySchema": "CloudEventSchemaV1_0"},
        {"filter": {"enableAdvancedFilteringOnArrays": True}},
        {"filter": {"advancedFilters": [{"operatorType": "NumberIn", "key": "data.x"}]}},
    ],
)
def test_what_the_lake_cannot_do_is_refused(http: httpx.Client, properties: dict[str, Any]) -> None:
    """A filter that is not applied would deliver more than in Azure."""
    assert http.put(SUBSCRIPTION, json=hook("http://x", **properties)).status_code == 501
