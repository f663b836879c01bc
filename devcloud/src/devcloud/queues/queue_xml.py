"""The XML that Queue Storage speaks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from xml.sax.saxutils import escape, quoteattr

from devcloud.lake.blob_xml import HEAD, elements, metadata_element, parse
from devcloud.lake.errors import LakeError
from devcloud.queues.queues import QueueMessage

MESSAGE_BYTES = 64 << 10


def queue_list(
    endpoint: str,
    query: Mapping[str, str],
    queues: Iterable[tuple[str, Mapping[str, str]]],
    marker: str,
) -> bytes:
    """A page of queues."""
    with_metadata = "metadata" in query.get("include", "").lower()
    items = "".join(
        f"<Queue>{elements([('Name', name)])}"
        f"{metadata_element(metadata) if with_metadata else ''}</Queue>"
        for name, metadata in queues
    )
    asked = elements(
        (element, query.get(parameter, ""))
        for element, parameter in (
            ("Prefix", "prefix"),
            ("Marker", "marker"),
            ("MaxResults", "maxresults"),
        )
    )
    return (
        f"{HEAD}<EnumerationResults ServiceEndpoint={quoteattr(endpoint)}>{asked}"
        f"<Queues>{items}</Queues><NextMarker>{escape(marker)}</NextMarker></EnumerationResults>"
    ).encode()


def put_result(message: QueueMessage) -> bytes:
    """What Put Message answers: all but the text."""
    return _messages([[*_head(message), *_receipt(message)]])


def taken(messages: Iterable[QueueMessage]) -> bytes:
    """Messages with the receipts by which they are deleted."""
    return _messages(
        [*_head(each), *_receipt(each), ("DequeueCount", each.dequeue_count), _text(each)]
        for each in messages
    )


def peeked(messages: Iterable[QueueMessage]) -> bytes:
    """Messages without them."""
    return _messages(
        [*_head(each), ("DequeueCount", each.dequeue_count), _text(each)] for each in messages
    )


def message_text(body: bytes) -> str:
    """The text in the body of Put or Update Message.

    Raises:
        LakeError: InvalidXmlDocument, or RequestBodyTooLarge beyond 64 KiB.
    """
    text = parse(body, "QueueMessage").findtext("MessageText")
    if text is None:
        raise LakeError("InvalidXmlDocument", "It has no MessageText.")
    if len(text.encode()) > MESSAGE_BYTES:
        raise LakeError("RequestBodyTooLarge")
    return text


def http_date(seconds: float) -> str:
    """A time as headers and replies tell it, in whole seconds."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")


def _messages(items: Iterable[list[tuple[str, object]]]) -> bytes:
    listed = "".join(f"<QueueMessage>{_all(pairs)}</QueueMessage>" for pairs in items)
    return f"{HEAD}<QueueMessagesList>{listed}</QueueMessagesList>".encode()


def _all(pairs: Iterable[tuple[str, object]]) -> str:
    return "".join(f"<{name}>{escape(str(text))}</{name}>" for name, text in pairs)


def _head(message: QueueMessage) -> list[tuple[str, object]]:
    return [
        ("MessageId", message.id),
        ("InsertionTime", http_date(message.inserted)),
        ("ExpirationTime", http_date(message.expires)),
    ]


def _receipt(message: QueueMessage) -> list[tuple[str, object]]:
    return [("PopReceipt", message.receipt), ("TimeNextVisible", http_date(message.visible))]


def _text(message: QueueMessage) -> tuple[str, object]:
    return ("MessageText", message.text)
