"""Operations of Queue Storage, and which of them a request asks for.

Specification: https://learn.microsoft.com/rest/api/storageservices/queue-service-rest-api
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from devcloud.lake.containers_api import XML
from devcloud.lake.errors import LakeError, not_implemented
from devcloud.lake.messages import LakeRequest, LakeResponse
from devcloud.lake.routing import ALWAYS
from devcloud.lake.sas import SignedService
from devcloud.lake.service import metadata_of
from devcloud.queues import queue_xml
from devcloud.queues.queues import Queues

MOST_AT_ONCE = 32
LONGEST_PAGE = 5000
LONGEST_SECONDS = 7 * 86400
PROPERTIES = (
    b'<?xml version="1.0" encoding="utf-8"?><StorageServiceProperties>'
    b"<Logging><Version>1.0</Version><Delete>false</Delete><Read>false</Read><Write>false</Write>"
    b"<RetentionPolicy><Enabled>false</Enabled></RetentionPolicy></Logging>"
    b"<HourMetrics><Version>1.0</Version><Enabled>false</Enabled>"
    b"<RetentionPolicy><Enabled>false</Enabled></RetentionPolicy></HourMetrics>"
    b"<MinuteMetrics><Version>1.0</Version><Enabled>false</Enabled>"
    b"<RetentionPolicy><Enabled>false</Enabled></RetentionPolicy></MinuteMetrics>"
    b"<Cors /></StorageServiceProperties>"
)
NO_POLICIES = b'<?xml version="1.0" encoding="utf-8"?><SignedIdentifiers />'


@dataclass(frozen=True)
class OperationContext:
    """What the operations need.

    Attributes:
        endpoint: URL of the account's queues.
    """

    endpoint: str
    queues: Queues


Handler = Callable[[OperationContext, LakeRequest], Awaitable[LakeResponse]]


async def list_queues(service: OperationContext, request: LakeRequest) -> LakeResponse:
    """List Queues."""
    query = request.query
    limit = _within(request, "maxresults", LONGEST_PAGE, 1, LONGEST_PAGE)
    after = _unmarked(query.get("marker", ""))
    queues = service.queues.names(query.get("prefix", ""), after, limit + 1)
    marker = base64.urlsafe_b64encode(queues[limit - 1][0].encode()) if queues[limit:] else b""
    listed = queue_xml.queue_list(service.endpoint, query, queues[:limit], marker.decode())
    return LakeResponse(200, XML, listed)


async def get_service_properties(_service: OperationContext, _request: LakeRequest) -> LakeResponse:
    """Get Queue OperationContext Properties: logging, metrics and CORS are off."""
    return LakeResponse(200, XML, PROPERTIES)


async def create_queue(service: OperationContext, request: LakeRequest) -> LakeResponse:
    """Create Queue."""
    made = service.queues.create(request.container, metadata_of(request))
    return LakeResponse(201 if made else 204)


async def delete_queue(service: OperationContext, request: LakeRequest) -> LakeResponse:
    """Delete Queue."""
    service.queues.delete(request.container)
    return LakeResponse(204)


async def get_queue_metadata(service: OperationContext, request: LakeRequest) -> LakeResponse:
    """Get Queue Metadata, and how many messages there are."""
    metadata, count = service.queues.properties(request.container)
    headers = {f"x-ms-meta-{name}": value for name, value in metadata.items()}
    return LakeResponse(200, {**headers, "x-ms-approximate-messages-count": str(count)})


async def set_queue_metadata(service: OperationContext, request: LakeRequest) -> LakeResponse:
    """Set Queue Metadata."""
    service.queues.set_metadata(request.container, metadata_of(request))
    return LakeResponse(204)


async def get_queue_acl(service: OperationContext, request: LakeRequest) -> LakeResponse:
    """Get Queue ACL: there are no stored access policies."""
    service.queues.properties(request.container)
    return LakeResponse(200, XML, NO_POLICIES)


async def get_messages(service: OperationContext, request: LakeRequest) -> LakeResponse:
    """Get Messages."""
    limit = _within(request, "numofmessages", 1, 1, MOST_AT_ONCE)
    seconds = _within(request, "visibilitytimeout", 30, 1, LONGEST_SECONDS)
    messages = service.queues.take(request.container, limit, seconds)
    return LakeResponse(200, XML, queue_xml.taken(messages))


async def peek_messages(service: OperationContext, request: LakeRequest) -> LakeResponse:
    """Peek Messages."""
    limit = _within(request, "numofmessages", 1, 1, MOST_AT_ONCE)
    return LakeResponse(200, XML, queue_xml.peeked(service.queues.peek(request.container, limit)))


async def put_message(service: OperationContext, request: LakeRequest) -> LakeResponse:
    """Put Message."""
    delay = _within(request, "visibilitytimeout", 0, 0, LONGEST_SECONDS)
    lifetime: int | None = None
    if request.query.get("messagettl") != "-1":
        lifetime = request.number("messagettl", LONGEST_SECONDS, least=1)
        if delay >= lifetime:
            raise LakeError("OutOfRangeQueryParameterValue", "visibilitytimeout reaches the ttl.")
    text = queue_xml.message_text(await request.whole_body())
    made = service.queues.put(request.container, text, delay, lifetime)
    return LakeResponse(201, XML, queue_xml.put_result(made))


async def clear_messages(service: OperationContext, request: LakeRequest) -> LakeResponse:
    """Clear Messages."""
    service.queues.clear(request.container)
    return LakeResponse(204)


async def update_message(service: OperationContext, request: LakeRequest) -> LakeResponse:
    """Update Message: its text where a body is sent, and when it is visible again."""
    seconds = _within(request, "visibilitytimeout", None, 0, LONGEST_SECONDS)
    body = await request.whole_body()
    receipt, visible = service.queues.update(
        request.container,
        _message_id(request),
        _receipt(request),
        queue_xml.message_text(body) if body else None,
        seconds,
    )
    headers = {
        "x-ms-popreceipt": receipt,
        "x-ms-time-next-visible": queue_xml.http_date(visible),
    }
    return LakeResponse(204, headers)


async def delete_message(service: OperationContext, request: LakeRequest) -> LakeResponse:
    """Delete Message."""
    service.queues.remove(request.container, _message_id(request), _receipt(request))
    return LakeResponse(204)


# (level, method, comp) -> operation, the query parameters it knows, and the permissions it needs
OPERATIONS: dict[tuple[str, str, str], tuple[str, Handler, str, str]] = {
    ("account", "GET", "list"): (
        "ListQueues",
        list_queues,
        "comp prefix marker maxresults include",
        "l",
    ),
    ("account", "GET", "properties"): (
        "GetQueueServiceProperties",
        get_service_properties,
        "restype comp",
        "r",
    ),
    ("queue", "PUT", ""): ("CreateQueue", create_queue, "", "cw"),
    ("queue", "DELETE", ""): ("DeleteQueue", delete_queue, "", "d"),
    ("queue", "GET", "metadata"): ("GetQueueMetadata", get_queue_metadata, "comp", "r"),
    ("queue", "HEAD", "metadata"): ("GetQueueMetadata", get_queue_metadata, "comp", "r"),
    ("queue", "PUT", "metadata"): ("SetQueueMetadata", set_queue_metadata, "comp", "w"),
    ("queue", "GET", "acl"): ("GetQueueAcl", get_queue_acl, "comp", ""),
    ("queue", "HEAD", "acl"): ("GetQueueAcl", get_queue_acl, "comp", ""),
    ("messages", "GET", ""): ("GetMessages", get_messages, "numofmessages visibilitytimeout", "p"),
    ("messages", "GET", "peek"): ("PeekMessages", peek_messages, "numofmessages peekonly", "r"),
    ("messages", "POST", ""): ("PutMessage", put_message, "visibilitytimeout messagettl", "a"),
    ("messages", "DELETE", ""): ("ClearMessages", clear_messages, "", "d"),
    ("message", "PUT", ""): ("UpdateMessage", update_message, "popreceipt visibilitytimeout", "u"),
    ("message", "DELETE", ""): ("DeleteMessage", delete_message, "popreceipt", "p"),
}
HANDLERS = {name: handler for name, handler, _, _ in OPERATIONS.values()}
SIGNED = SignedService(
    name="queue",
    letter="q",
    permissions={name: (needed,) for name, _, _, needed in OPERATIONS.values()},
    service_level=frozenset(v[0] for (level, _, _), v in OPERATIONS.items() if level == "account"),
    container_level=frozenset(v[0] for (level, _, _), v in OPERATIONS.items() if level == "queue"),
)


def operation(request: LakeRequest) -> str:
    """The name of the operation that a request asks for.

    Raises:
        LakeError: NotImplemented (501), for what this service does not serve.
    """
    comp = request.query.get("comp", "")
    level = "account"
    if request.container:
        first, _, rest = request.key.partition("/")
        level = {"": "queue", "messages": "message" if rest else "messages"}.get(first, "nothing")
    if level == "messages" and request.query.get("peekonly", "").lower() == "true":
        comp = "peek"
    route = OPERATIONS.get((level, request.method, comp))
    if route is None:
        raise not_implemented(f"{request.method} of {level} with comp={comp!r} in the queue API")
    name, _, known, _ = route
    for parameter in request.query:
        if parameter not in ALWAYS and parameter not in known.split():
            raise not_implemented(f"the query parameter {parameter!r} of {name}")
    return name


def _within(request: LakeRequest, name: str, default: int | None, least: int, most: int) -> int:
    text = request.query.get(name, "")
    if text.lstrip("-").isdigit() and not least <= int(text) <= most:
        raise LakeError("OutOfRangeQueryParameterValue", f"{name!r} was {text}.")
    return request.number(name, default, least=least)


def _message_id(request: LakeRequest) -> str:
    return request.key.partition("/")[2]


def _receipt(request: LakeRequest) -> str:
    receipt = request.query.get("popreceipt", "")
    if not receipt:
        raise LakeError("MissingRequiredQueryParameter", "It is 'popreceipt'.")
    return receipt


def _unmarked(marker: str) -> str:
    try:
        return base64.urlsafe_b64decode(marker.encode()).decode()
    except (binascii.Error, UnicodeError):
        raise LakeError("InvalidQueryParameterValue", f"No marker of ours: {marker!r}.") from None
