"""A file of an HttpServer linked service, read from its beginning to its end.

Source: learn.microsoft.com/azure/data-factory/connector-http
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from devcloud.datafactory.connectors.http import (
    AGENT,
    HttpService,
    Waiting,
    absolute,
    failed,
    http_errors,
    stopping,
)
from devcloud.datafactory.copy.failure import CopyError

_FAILED = "UserErrorHttpRequestFailed"


@dataclass
class HttpFile:
    """One file; counts what goes over the wire.

    Attributes:
        timeout: seconds that the reply may take to go on.
    """

    service: HttpService
    relative_url: str
    stop: threading.Event
    waiting: Waiting
    method: str = "GET"
    body: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 100.0
    bytes_read: int = 0

    @property
    def name(self) -> str:
        """For messages."""
        return absolute(self.service.url, self.relative_url)

    def chunks(self) -> Iterator[bytes]:
        """Its bytes; a reply that breaks off is an error.

        Raises:
            CopyError: the request failed.
        """
        attempt = 1
        content = self.body.encode() if self.body is not None else None
        with self.service.client() as client:
            credentials = self.service.credentials(client)
            while True:
                headers = {"User-Agent": AGENT, **self.headers, **credentials.for_url(self.name)}
                with (
                    http_errors(self.name, _FAILED),
                    client.stream(
                        self.method,
                        self.name,
                        headers=headers,
                        content=content,
                        timeout=self.timeout,
                    ) as reply,
                ):
                    if reply.is_success:
                        for chunk in stopping(self.stop, reply.iter_bytes()):
                            self.bytes_read += len(chunk)
                            yield chunk
                        return
                    names = {name.lower(): value for name, value in reply.headers.items()}
                    wait = self.waiting.after(attempt, reply.status_code, names)
                    if wait is None:
                        payload = reply.read().decode(errors="replace")
                        raise failed(self.name, reply.status_code, payload, _FAILED)
                self.waiting.pause(wait)
                attempt += 1

    def random_access(self) -> io.RawIOBase:
        """There is none over HTTP."""
        raise CopyError(
            "UserErrorHttpRandomAccess",
            f"'{self.name}': Parquet is not read over HTTP here; copy it as Binary first",
        )
