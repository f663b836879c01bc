"""Between what triggers bring and what functions take and give: the SDK's own converters.

The converters are those that the real worker uses, registered by binding type in
`azure.functions` and, for SDK types, in `azurefunctions.extensions.base`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from azure.functions import meta
from azure.functions.meta import Datum

from devcloud.functions.model import BLOB, QUEUE, Binding, Function
from devcloud.functions.store import Message

LEASE_SECONDS = 600.0  # what the real host asks for; here a lease ends with its host


@dataclass(frozen=True)
class ModelBindingData:
    """What the host sends for a parameter of an SDK type."""

    version: str
    source: str
    content_type: str
    content: bytes


@dataclass(frozen=True)
class Trigger:
    """What sets a function off: the value of its trigger parameter, and the trigger's metadata."""

    data: Datum
    metadata: Mapping[str, Datum]


def of_message(message: Message, now: float) -> Trigger:
    """A queue message as a trigger."""
    metadata = {
        "Id": Datum(message.id, "string"),
        "DequeueCount": Datum(message.dequeue_count, "int"),
        "InsertionTime": Datum(_time(message.inserted), "string"),
        "ExpirationTime": Datum(_time(message.expires), "string"),
        "NextVisibleTime": Datum(_time(now + LEASE_SECONDS), "string"),
        "PopReceipt": Datum(message.receipt, "string"),
    }
    if isinstance(message.body, bytes):
        return Trigger(Datum(message.body, "bytes"), metadata)
    return Trigger(Datum(message.body, "string"), metadata)


def of_blob(connection: str, container: str, blob: str) -> Trigger:
    """A blob as the trigger of a function that takes an SDK type."""
    content = {"Connection": connection, "ContainerName": container, "BlobName": blob}
    data = ModelBindingData(
        "1.0", "AzureStorageBlobs", "application/json", json.dumps(content).encode()
    )
    return Trigger(Datum(data, "model_binding_data"), {})


def of_blob_content(content: bytes, path: str, uri: str) -> Trigger:
    """A blob as the trigger of a function that takes an InputStream: all of it, in memory."""
    metadata = {
        "BlobTrigger": Datum(path, "string"),
        "Uri": Datum(uri, "string"),
        "Properties": Datum(json.dumps({"ContentLength": len(content)}), "json"),
    }
    return Trigger(Datum(content, "bytes"), metadata)


def of_timer(document: Mapping[str, Any]) -> Trigger:
    """The state of a timer as a trigger."""
    return Trigger(Datum(json.dumps(document), "json"), {})


def of_request(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    query: Mapping[str, str],
    route: Mapping[str, str],
    body: bytes,
) -> Trigger:
    """An HTTP request as a trigger."""

    def strings(values: Mapping[str, str]) -> dict[str, Datum]:
        return {name: Datum(value, "string") for name, value in values.items()}

    value = {
        "method": Datum(method, "string"),
        "url": Datum(url, "string"),
        "headers": strings(headers),
        "query": strings(query),
        "params": strings(route),
        "body": Datum(body, "bytes"),
    }
    return Trigger(Datum(value, "http"), {})


def decode(function: Function, trigger: Trigger) -> Any:
    """The argument of a function's trigger parameter."""
    if function.deferred:
        import azurefunctions.extensions.base as extensions  # noqa: PLC0415 - only apps with SDK types

        converter = extensions.get_binding_registry().get(function.trigger.kind)
        return converter.decode(
            trigger.data, trigger_metadata=trigger.metadata, pytype=function.annotation
        )
    if function.trigger.kind == QUEUE and function.annotation in (str, bytes):
        body: str | bytes = trigger.data.value
        raw = body if isinstance(body, bytes) else body.encode()
        return raw if function.annotation is bytes else raw.decode()
    kind = "blob" if function.trigger.kind == BLOB else function.trigger.kind
    return converter_of(kind).decode(trigger.data, trigger_metadata=trigger.metadata)


def encode_messages(binding: Binding, value: Any) -> list[str]:
    """The messages that the value of a queue output stands for; a list is one message per item.

    Raises:
        TypeError: a value that the queue binding does not take.
    """
    datum = _encode(binding.kind, value)
    if datum.type == "bytes":
        return [datum.value.decode()]
    if datum.type == "string":
        return [datum.value]
    items = json.loads(datum.value)
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise TypeError(
            f"output {binding.name}: QueueMessage objects are not served here; set a str or a list"
        )
    return items


def encode_response(value: Any) -> Datum:
    """The value that an HTTP function returned, as it travels to the host.

    Raises:
        TypeError: neither a str nor an HttpResponse.
    """
    return _encode("http", value)


def converter_of(kind: str) -> Any:
    """The converter class of `azure.functions` for a binding type."""
    registry: Any = meta.get_binding_registry  # untyped in the SDK
    return registry().get(kind)


def _encode(kind: str, value: Any) -> Datum:
    try:
        datum: Datum = converter_of(kind).encode(value, expected_type=None)
    except NotImplementedError as error:
        raise TypeError(
            f"unable to encode a {type(value).__name__} for the binding {kind!r}"
        ) from error
    return datum


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
