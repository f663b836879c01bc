"""The Event Grid subscription by which the lake tells the app of landed files."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from landfall.azure.resources import ResourceManager
from landfall.deploy.azure.deployment import Deployment, DeploymentError
from landfall.deploy.azure.keys import WEB
from landfall.protocol import LANDING

FUNCTION = "on_landing"
SUBSCRIPTION = "landing"
DEADLETTER = "deadletter"
COMPLETE = ("PutBlob", "PutBlockList", "FlushWithClose", "SftpCommit")
"""Values of `data.api` that say that a file is complete; CreateFile and CopyBlob do not."""
EVENT_GRID = "2025-02-15"
PATIENCE = 300.0
_PAUSE = 3.0


def subscription(deployment: Deployment, webhook_key: str) -> dict[str, Any]:
    """Return the body of the event subscription."""
    name = quote(f"Host.Functions.{FUNCTION}")
    endpoint = (
        f"{deployment.url}/runtime/webhooks/blobs?functionName={name}"
        f"&code={quote(webhook_key, safe='')}"
    )
    return {
        "properties": {
            "destination": {
                "endpointType": "WebHook",
                "properties": {
                    "endpointUrl": endpoint,
                    "maxEventsPerBatch": 1,
                    "minimumTlsVersionAllowed": "1.2",
                },
            },
            "filter": {
                "includedEventTypes": ["Microsoft.Storage.BlobCreated"],
                "subjectBeginsWith": f"/blobServices/default/containers/{LANDING}/",
                "advancedFilters": [
                    {"operatorType": "StringIn", "key": "data.api", "values": list(COMPLETE)}
                ],
            },
            "eventDeliverySchema": "EventGridSchema",
            "retryPolicy": {"maxDeliveryAttempts": 30, "eventTimeToLiveInMinutes": 1440},
            "deadLetterWithResourceIdentity": {
                "identity": {"type": "SystemAssigned"},
                "deadLetterDestination": {
                    "endpointType": "StorageBlob",
                    "properties": {
                        "resourceId": deployment.lake_id,
                        "blobContainerName": DEADLETTER,
                    },
                },
            },
        }
    }


def put_subscription(
    manager: ResourceManager,
    deployment: Deployment,
    webhook_key: str,
    *,
    patience: float = PATIENCE,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Subscribe the app to the lake, and wait until Event Grid has made sure that it answers.

    An event for a function that does not exist is acknowledged by the host and lost, so the
    function is looked up first.

    Raises:
        DeploymentError: the app has no such function, or the subscription was not accepted.
        ResourceError: a request was refused.
    """
    if manager.get(f"{deployment.app_id}/functions/{FUNCTION}", WEB) is None:
        raise DeploymentError(
            f"the app {deployment.function_app} has no function {FUNCTION}: deploy the code first "
            f"(`azd deploy functions`), and see {deployment.url}/health"
        )
    resource = f"{deployment.topic_id}/eventSubscriptions/{SUBSCRIPTION}"
    document = manager.put(resource, EVENT_GRID, subscription(deployment, webhook_key))
    waited = 0.0
    while (state := _state(document)) not in ("Succeeded", "Failed", "Canceled"):
        if waited >= patience:
            raise DeploymentError(f"the event subscription is {state!r} after {patience:.0f} s")
        sleep(_PAUSE)
        waited += _PAUSE
        document = manager.get(resource, EVENT_GRID) or {}
    if state != "Succeeded":
        raise DeploymentError(
            f"Event Grid did not accept the subscription ({state}): does {deployment.url} answer "
            "requests from the service tag AzureEventGrid?"
        )


def _state(document: dict[str, Any]) -> str:
    return str((document.get("properties") or {}).get("provisioningState", ""))
