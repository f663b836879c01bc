"""The REST source: pages of JSON, one after the other, as documents.

Source: learn.microsoft.com/azure/data-factory/connector-rest
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pyarrow as pa

from devcloud.datafactory.connectors.http import (
    AGENT,
    UNAUTHORIZED,
    Credentials,
    HttpService,
    Waiting,
    absolute,
    failed,
    http_errors,
    stopping,
)
from devcloud.datafactory.connectors.pagination import (
    NO_CONTENT,
    PageReply,
    PageRequest,
    Pagination,
)
from devcloud.datafactory.copy.failure import CopyError, CopyStoppedError
from devcloud.datafactory.copy.json_text import loads

MOST_BYTES = 100 * 1024 * 1024  # of one page
MOST_REQUESTS = 100_000
_FAILED = "RestSourceCallFailed"


@dataclass(frozen=True)
class RestCall:
    """What a source asks for.

    Attributes:
        headers: `additionalHeaders`.
        interval: seconds between two pages; timeout: seconds that a reply may take.
    """

    relative_url: str
    method: str = "GET"
    body: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    pagination: Pagination = field(default_factory=Pagination)
    interval: float = 1.0
    timeout: float = 100.0


@dataclass
class RestRows:
    """The documents of all pages; counts what goes over the wire.

    Attributes:
        requests: how many pages were asked for, so far.
    """

    service: HttpService
    call: RestCall
    waiting: Waiting
    stop: threading.Event
    bytes_read: int = 0
    requests: int = 0
    skipped: int = field(default=0, init=False)
    hierarchical: bool = field(default=True, init=False)

    @property
    def name(self) -> str:
        """For messages."""
        return absolute(self.service.url, self.call.relative_url)

    def batches(self, names: list[str] | None) -> Generator[pa.RecordBatch, None, None]:
        """Pages are documents."""
        raise NotImplementedError

    def documents(self) -> Iterator[Any]:
        """Each page's object, or the objects of its array.

        Raises:
            CopyError: a request failed, a page is not JSON, or the pages do not end.
            CopyStoppedError: the run has ended.
        """
        call, url = self.call, self.name
        base = PageRequest(url, call.headers)
        request = call.pagination.first(url, call.headers)
        asked: dict[bytes, int] = {}
        with self.service.client() as client:
            credentials = self.service.credentials(client)
            while request is not None:
                _refuse_repetition(request, asked)
                reply = self._page(client, credentials, request)
                yield from reply.body if isinstance(reply.body, list) else _one(reply.body)
                request = call.pagination.next(base, request, reply, self.service.url)
                if request is not None:
                    self.waiting.pause(call.interval)
                if self.stop.is_set():
                    raise CopyStoppedError

    def _page(
        self, client: httpx.Client, credentials: Credentials, request: PageRequest
    ) -> PageReply:
        """One page; tried again where that may help."""
        attempt = 1
        renewed = False
        while True:
            self.requests += 1
            status, payload = 0, b""
            headers: dict[str, str] = {}
            error: CopyError | None = None
            try:
                status, headers, payload = self._exchange(client, credentials, request)
            except CopyError as problem:
                error = problem
            if error is None and 200 <= status < 300:  # noqa: PLR2004
                return PageReply(status, headers, _document(request.url, status, headers, payload))
            if status == UNAUTHORIZED and not renewed and credentials.belongs(request.url):
                renewed = True
                if credentials.renew():
                    continue
            wait = self.waiting.after(attempt, status, headers)
            if wait is None:
                raise error or failed(request.url, status, payload.decode(errors="replace"))
            self.waiting.pause(wait)
            attempt += 1

    def _exchange(
        self, client: httpx.Client, credentials: Credentials, request: PageRequest
    ) -> tuple[int, dict[str, str], bytes]:
        own = credentials.for_url(request.url)
        # What a definition gives may hold a secret, too: a link to another host gets none of it.
        given = dict(request.headers) if credentials.belongs(request.url) else {}
        headers = {k: v for k, v in given.items() if k.lower() not in ("accept", "user-agent")}
        headers |= {**own, "Accept": "application/json", "User-Agent": AGENT}
        content = self.call.body.encode() if self.call.body is not None else None
        if content is not None and not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = "application/json"
        with (
            http_errors(request.url, _FAILED),
            client.stream(
                self.call.method,
                request.url,
                headers=headers,
                content=content,
                timeout=self.call.timeout,
            ) as reply,
        ):
            payload = bytearray()
            for chunk in stopping(self.stop, reply.iter_bytes()):
                self.bytes_read += len(chunk)
                payload += chunk
                if len(payload) > MOST_BYTES:
                    raise CopyError(
                        "UserErrorRestResponseTooLarge",
                        f"the page {request.url} has more than {MOST_BYTES} bytes: ask for "
                        "smaller pages",
                    )
            names = {name.lower(): value for name, value in reply.headers.items()}
            return reply.status_code, names, bytes(payload)


def _refuse_repetition(request: PageRequest, asked: dict[bytes, int]) -> None:
    """Azure would go on for ever."""
    key = json.dumps([request.url, sorted(request.headers.items())]).encode()
    digest = hashlib.sha256(key).digest()
    if digest in asked:
        raise CopyError(
            "UserErrorRestPaginationLoop",
            f"request {request.number} would ask for {request.url} again, as request "
            f"{asked[digest]} did: the pages do not end; give an EndCondition or a rule whose "
            "value changes",
        )
    if request.number > MOST_REQUESTS:
        raise CopyError(
            "UserErrorRestPaginationLoop",
            f"the pages did not end with request {MOST_REQUESTS}: give an EndCondition or a "
            "MaxRequestNumber",
        )
    asked[digest] = request.number


def _document(url: str, status: int, headers: Mapping[str, str], payload: bytes) -> Any:
    """The JSON of a page; None where it is empty.

    Raises:
        CopyError: it is none.
    """
    if status == NO_CONTENT or not payload.strip():
        return None
    try:
        value = loads(payload.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise CopyError(
            "JsonInvalidDataFormat",
            f"Error occurred when deserializing source JSON data of '{url}'. Check if the data is "
            f"in valid JSON object format. Content-Type: {headers.get('content-type', 'none')}; "
            f"{error}; it begins with {payload[:200].decode(errors='replace')!r}",
        ) from error
    if not isinstance(value, dict | list):
        raise CopyError(
            "JsonInvalidDataFormat",
            f"'{url}' gives neither an object nor an array: {str(value)[:100]!r}",
        )
    return value


def _one(body: Any) -> list[Any]:
    return [] if body is None else [body]
