"""Blob triggers fed by Event Grid: webhook, hidden control queue, GetProperties, invocation.

As in the real extension the webhook reads only the URL of an event, never its type or ETag; what
the function then sees is the blob as it is when it runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Protocol

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.blob import BlobServiceClient

from devcloud.functions import codec, logs
from devcloud.functions.blobpath import compile_pattern, parse_url
from devcloud.functions.codec import Trigger
from devcloud.functions.invoke import InvocationOutcome
from devcloud.functions.model import Function
from devcloud.functions.store import Message, QueueStore

CONTROL_QUEUE = "azure-webjobs-blobtrigger-devcloud"
POISON_QUEUE = "webjobs-blobtrigger-poison"
USER_AGENT = "devcloud-functions"
_PREFIX = "Host.Functions."
_RETRIES = {
    "retry_total": 1,
    "initial_backoff": 1,
    "random_jitter_range": 0,
}  # then the queue retries


class Invoke(Protocol):
    """Begins an invocation."""

    def __call__(self, function: Function, trigger: Trigger) -> Future[InvocationOutcome]:
        """Its outcome, later."""


class BlobTriggers:
    """All blob triggers of an app.

    Args:
        functions: those with a blob trigger.
        settings: the environment, for connections.
    """

    def __init__(
        self,
        functions: list[Function],
        *,
        store: QueueStore,
        invoke: Invoke,
        settings: Mapping[str, str],
    ) -> None:
        self._functions = {each.name: each for each in functions}
        self._patterns = {
            each.name: compile_pattern(str(each.trigger["path"])) for each in functions
        }
        self._store = store
        self._invoke = invoke
        self._settings = settings
        self._clients: dict[str, BlobServiceClient] = {}

    def accept(self, function_id: str, event: Mapping[str, Any]) -> None:
        """Take one Event Grid (or CloudEvents) event of the webhook into the control queue.

        An unknown function name drops the event with a warning, as in the real host, where the
        sender is told 202 all the same.

        Raises:
            ValueError: the event carries no URL of a blob, as BlobRenamed.
        """
        name = function_id.removeprefix(_PREFIX)
        if name not in self._functions or name == function_id:
            logs.HOST.warning("event dropped: %r is no blob trigger of this app", function_id)
            return
        data = event.get("data")
        if not isinstance(data, dict) or "url" not in data:
            raise ValueError("the event has no data.url, so no blob to run for")
        container, blob = parse_url(str(data["url"]))
        document = {
            "Type": "BlobTrigger",
            "FunctionId": _PREFIX + name,
            "BlobType": data.get("blobType", "BlockBlob"),
            "ContainerName": container,
            "BlobName": blob,
            "ETag": data.get("eTag"),
        }
        self._store.put([(CONTROL_QUEUE, json.dumps(document, ensure_ascii=False))])

    def handle(self, message: Message) -> bool:
        """Handle a message of the control queue: True when the blob is done with or gone."""
        document = json.loads(message.body or "")
        container, blob = document["ContainerName"], document["BlobName"]
        function = self._functions.get(document["FunctionId"].removeprefix(_PREFIX))
        if function is None:
            logs.HOST.warning("event dropped: %s is no longer there", document["FunctionId"])
            return True
        if not self._patterns[function.name].fullmatch(f"{container}/{blob}"):
            logs.HOST.debug("%s/%s does not match the path of the trigger", container, blob)
            return True
        client = self._client(function).get_blob_client(container, blob)
        try:
            client.get_blob_properties()
        except ResourceNotFoundError:
            logs.HOST.info(
                "event dropped: %s/%s is gone", container, blob, extra=logs.about(function.name)
            )
            return True
        except AzureError as error:
            logs.HOST.error(
                "GetProperties of %s/%s failed: %s",
                container,
                blob,
                error.message,
                extra=logs.about(function.name),
            )
            return False
        return self.run(function, container, blob).result().ok

    def run(self, function: Function, container: str, blob: str) -> Future[InvocationOutcome]:
        """Begin an invocation for a blob."""
        if function.deferred:
            trigger = codec.of_blob(_connection(function), container, blob)
        else:
            client = self._client(function).get_blob_client(container, blob)
            content = client.download_blob().readall()
            trigger = codec.of_blob_content(content, f"{container}/{blob}", client.url)
        return self._invoke(function, trigger)

    def function(self, name: str) -> Function | None:
        """The blob-triggered function of that name."""
        return self._functions.get(name)

    def _client(self, function: Function) -> BlobServiceClient:
        connection = _connection(function)
        if connection not in self._clients:
            self._clients[connection] = self._connect(connection)
        return self._clients[connection]

    def _connect(self, connection: str) -> BlobServiceClient:
        options: dict[str, Any] = {"user_agent": USER_AGENT, **_RETRIES}
        if connection in self._settings:
            return BlobServiceClient.from_connection_string(self._settings[connection], **options)
        from azure.identity import ManagedIdentityCredential  # noqa: PLC0415 - 0.2 s, rarely needed

        url = next(
            self._settings[connection + end]
            for end in ("__blobServiceUri", "__serviceUri")
            if connection + end in self._settings
        )
        client_id = self._settings.get(connection + "__clientId")
        return BlobServiceClient(
            url, credential=ManagedIdentityCredential(client_id=client_id), **options
        )


def _connection(function: Function) -> str:
    return str(function.trigger.fields.get("connection", "AzureWebJobsStorage"))
