"""Triggers that wait for events: which events each wants, and what its pipelines see of one.

Source: learn.microsoft.com/azure/data-factory/how-to-create-event-trigger and
how-to-create-custom-event-trigger
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from devcloud.config import CloudConfig
from devcloud.datafactory.azure_error import bad_request

STORAGE, CUSTOM = "BlobEventsTrigger", "CustomEventsTrigger"
_CONTAINERS = "/blobServices/default/containers/"

Event = dict[str, Any]


def account_path(config: CloudConfig) -> str:
    """Resource id of the local storage account."""
    return (
        f"/subscriptions/{config.subscription}/resourceGroups/{config.resource_group}"
        f"/providers/Microsoft.Storage/storageAccounts/{config.account}"
    )


def subscription(
    config: CloudConfig, factory: str, name: str, inside: dict[str, Any]
) -> dict[str, Any]:
    """The subscription to the lake's events of a storage event trigger, as the lake reads it.

    Raises:
        AzureError: 400 if the scope is another storage account.
    """
    if str(inside["scope"]).lower() != account_path(config).lower():
        raise bad_request(
            f"the scope {inside['scope']!r} is not the local storage account, "
            f"{account_path(config)}",
            "scope",
        )
    begins = str(inside.get("blobPathBeginsWith") or "").lstrip("/")
    endpoint = f"{config.url('datafactory')}/events/{factory}/{name}?code={config.identity_secret}"
    return {
        "name": f"{factory}.{name}".lower(),
        "endpoint": endpoint,
        "event_types": list(inside["events"]),
        "subject_begins": f"{_CONTAINERS}{begins}" if begins else "",
        "subject_ends": str(inside.get("blobPathEndsWith") or ""),
    }


def wants(kind: str, inside: dict[str, Any], event: Event) -> bool:
    """Whether an event that came to a trigger is one of its own.

    Of a storage event the lake has looked at type and path already.
    """
    if kind == STORAGE:
        created = event.get("eventType") == "Microsoft.Storage.BlobCreated"
        empty = created and not event.get("data", {}).get("contentLength")
        return not (inside.get("ignoreEmptyBlobs", False) is True and empty)
    subject = str(event.get("subject", ""))
    types = {str(each).lower() for each in inside["events"]}
    return (
        str(event.get("eventType", "")).lower() in types
        and subject.startswith(str(inside.get("subjectBeginsWith") or ""))
        and subject.endswith(str(inside.get("subjectEndsWith") or ""))
    )


def is_of_topic(inside: dict[str, Any], topic: str) -> bool:
    """Whether a custom event trigger listens to a topic, which its scope names at the end."""
    return str(inside["scope"]).rstrip("/").rpartition("/")[2].lower() == topic.lower()


def body(kind: str, event: Event) -> dict[str, Any]:
    """What `triggerBody()` is."""
    if kind == CUSTOM:
        return {"event": event}
    container, _, path = (
        unquote(str(event["subject"])).removeprefix(_CONTAINERS).partition("/blobs/")
    )
    folder, _, name = path.rpartition("/")
    return {
        "fileName": name,
        "folderPath": f"{container}/{folder}" if folder else container,
        "event": event,
    }
