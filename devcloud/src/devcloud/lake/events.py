"""Event Grid events of a storage account, in the Event Grid schema, and who subscribes to them.

Specification: https://learn.microsoft.com/azure/event-grid/event-schema-blob-storage
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from devcloud.config import CloudConfig
from devcloud.lake.messages import LakeRequest
from devcloud.lake.store import StoredEntry

CREATED = "Microsoft.Storage.BlobCreated"
DELETED = "Microsoft.Storage.BlobDeleted"
RENAMED = "Microsoft.Storage.BlobRenamed"
DIRECTORY_CREATED = "Microsoft.Storage.DirectoryCreated"
DIRECTORY_DELETED = "Microsoft.Storage.DirectoryDeleted"
DIRECTORY_RENAMED = "Microsoft.Storage.DirectoryRenamed"
# What says that a file is complete; CreateFile (zero bytes) and CopyBlob (only begun) do not.
COMPLETE = ("PutBlob", "PutBlockList", "FlushWithClose", "SftpCommit")
SUBSCRIPTIONS = "event-subscriptions.json"
TRIGGERS = "trigger-subscriptions.json"

Event = dict[str, Any]


@dataclass(frozen=True)
class Subscription:
    """Who gets which events.

    Attributes:
        name: identifies it in the queue on disk.
        endpoint: URL that events are posted to.
        event_types: of Event Grid, such as Microsoft.Storage.BlobCreated; empty means all.
        subject_begins: such as /blobServices/default/containers/landing/; and subject_ends.
        api: values of `data.api` that pass (StringIn, ignoring case); empty means all.
        attempts: an event is given up after so many; 0 means that its age alone decides.
        minutes: an event is given up when it is so old.
        dead_letter: container for events that were given up; "" means that they are lost.
    """

    name: str
    endpoint: str
    event_types: tuple[str, ...] = (CREATED,)
    subject_begins: str = ""
    subject_ends: str = ""
    api: tuple[str, ...] = ()
    attempts: int = 0
    minutes: int = 1440
    dead_letter: str = ""

    def wants(self, event: Event) -> bool:
        """Whether an event passes its filters."""
        subject = event["subject"]
        return (
            (not self.event_types or event["eventType"] in self.event_types)
            and subject.startswith(self.subject_begins)
            and subject.endswith(self.subject_ends)
            and (
                not self.api or event["data"]["api"].lower() in {each.lower() for each in self.api}
            )
        )

    def to_json(self) -> dict[str, Any]:
        """As the control route shows it: without the query of the endpoint, which holds a key."""
        return {**asdict(self), "endpoint": self.endpoint.partition("?")[0]}


def subscriptions(config: CloudConfig) -> list[Subscription]:
    """That of the configuration, and those that `event-subscriptions.json` in the data folder adds.

    The file holds a list of objects with the attributes of `Subscription`.
    """
    given = []
    if config.landing_function:
        given.append(blob_trigger(config, "landing", config.landing_function, "landing"))
    added = config.root / SUBSCRIPTIONS
    if added.exists():
        given += [subscription(each) for each in json.loads(added.read_text())]
    return given


class TriggerSubscriptions:
    """The subscriptions of started triggers, which the data factory keeps in a file.

    The file holds a list as `event-subscriptions.json` does; a change counts for the next event.
    """

    def __init__(self, config: CloudConfig) -> None:
        self._file = config.root / TRIGGERS
        self._seen: tuple[int, int] | None = None
        self._subscriptions: list[Subscription] = []

    def current(self) -> list[Subscription]:
        """Those of now."""
        try:
            status = self._file.stat()
        except FileNotFoundError:
            self._seen, self._subscriptions = None, []
            return []
        version = status.st_mtime_ns, status.st_ino
        if version != self._seen:
            self._subscriptions = [
                subscription(each) for each in json.loads(self._file.read_text())
            ]
            self._seen = version
        return self._subscriptions


def blob_trigger(config: CloudConfig, name: str, function: str, container: str) -> Subscription:
    """The subscription of a blob-triggered function to a container; empty means all."""
    hook = f"/runtime/webhooks/blobs?functionName=Host.Functions.{quote(function)}&code="
    return Subscription(
        name=name,
        endpoint=f"{config.url('functions')}{hook}{quote(config.system_key, safe='')}",
        subject_begins=f"/blobServices/default/containers/{container}/" if container else "",
        api=COMPLETE,
    )


def subscription(document: Mapping[str, Any]) -> Subscription:
    """A subscription from its JSON form.

    Raises:
        ValueError: a key that it does not have, or none that it must have.
    """
    listed = ("event_types", "api")
    given: dict[str, Any] = {k: tuple(v) if k in listed else v for k, v in document.items()}
    try:
        return Subscription(**given)
    except TypeError as error:
        raise ValueError(f"not an event subscription: {error}") from error


class EventFactory:
    """Makes the events of one account."""

    def __init__(self, config: CloudConfig) -> None:
        self._url = config.lake_url
        self._topic = (
            f"/subscriptions/{config.subscription}/resourceGroups/{config.resource_group}"
            f"/providers/Microsoft.Storage/storageAccounts/{config.account}"
        )

    def created(self, request: LakeRequest, api: str, container: str, entry: StoredEntry) -> Event:
        """A blob was created or overwritten."""
        data = {
            "eTag": entry.etag,
            "contentType": entry.properties.content_type,
            "contentLength": entry.size,
            "blobType": entry.properties.kind,
            "url": self.url(container, entry.key),
        }
        return self._event(request, CREATED, api, (container, entry.key), entry.modified, data)

    def of_path(self, request: LakeRequest, kind: str, api: str, moment: int) -> Event:
        """The path of a request was deleted, or made as a directory."""
        data = {"url": self.url(request.container, request.key)}
        if kind == DELETED:
            data["blobType"] = "BlockBlob"
        return self._event(request, kind, api, (request.container, request.key), moment, data)

    def renamed(
        self,
        request: LakeRequest,
        source: tuple[str, str],
        container: str,
        entry: StoredEntry,
        moment: int,
    ) -> Event:
        """A file or directory was moved; Azure tells neither `url` nor `eTag`."""
        kind, api = (
            (DIRECTORY_RENAMED, "RenameDirectory") if entry.directory else (RENAMED, "RenameFile")
        )
        data = {
            "sourceUrl": self.url(*source),
            "destinationUrl": self.url(container, entry.key),
        }
        return self._event(request, kind, api, (container, entry.key), moment, data)

    def url(self, container: str, key: str) -> str:
        """URL of a path, percent-encoded."""
        return f"{self._url}/{container}/{quote(key, safe='/~()*!')}"

    def _event(  # noqa: PLR0917 - the fields of an event, in their order
        self,
        request: LakeRequest,
        kind: str,
        api: str,
        place: tuple[str, str],
        moment: int,
        data: Event,
    ) -> Event:
        container, key = place
        return {
            "topic": self._topic,
            "subject": f"/blobServices/default/containers/{container}/blobs/{key}",
            "eventType": kind,
            "eventTime": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "id": str(uuid.uuid4()),
            "data": {
                "api": api,
                "clientRequestId": request.headers.get("x-ms-client-request-id", ""),
                "requestId": request.id,
                **data,
                "sequencer": f"{moment:032x}",
                "identity": "$superuser",
                "storageDiagnostics": {"batchId": request.id},
            },
            "dataVersion": "2",
            "metadataVersion": "1",
        }
