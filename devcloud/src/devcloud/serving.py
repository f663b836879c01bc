"""How a local service is served: uvicorn with one worker and a readable log; in tests, a thread."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from devcloud.config import CloudConfig

TRANSPORT = "devcloud.transport"
FSYNC = "DEVCLOUD_FSYNC"
"""Environment variable: `on` has what is acknowledged on the disk before it is."""
DELETION_SECONDS = "DEVCLOUD_DELETION_SECONDS"
"""Environment variable: how long the name of a deleted container or queue cannot be used."""
HEADER_NAMES = "devcloud.header_names"
KEEP_ALIVE_SECONDS = (
    120  # clients hold idle connections for minutes; closing them looks like a fault
)
START_SECONDS = 30
STOP_SECONDS = 3
WRITES = frozenset({"PUT", "POST", "PATCH", "DELETE"})


class ServiceProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which also shows the connection to the application, and its headers.

    Faults such as a reset connection cannot be told through ASGI, nor can the case of header names,
    which is that of metadata: both travel in `scope["extensions"]`.
    """

    def on_message_begin(self) -> None:
        """Open a request."""
        super().on_message_begin()
        self._names: list[bytes] = []
        self.scope["extensions"] = {
            TRANSPORT: {"transport": self.transport},
            HEADER_NAMES: {"names": self._names},
        }

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header's name as it was sent."""
        self._names.append(name)
        super().on_header(name, value)


def close_connection(scope: Scope, *, reset: bool) -> None:
    """End the connection of a request without (the rest of) its reply.

    Args:
        scope: ASGI scope of the request, served by `run` or `serve_in_thread`.
        reset: True sends a TCP reset and drops what was not sent yet; False sends it, then closes.
    """
    transport: asyncio.Transport = scope["extensions"][TRANSPORT]["transport"]
    if not reset:
        transport.close()
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:  # linger of 0 s turns the close into a reset
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class BodilessErrors:
    """ASGI wrapper that takes the Content-Type from errors without a body, where Azure has none.

    Clients parse a body whenever that header names XML or JSON: those of the Azure SDK for C++ end
    their process over an empty one, that of .NET raises an exception of the wrong kind.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request through."""

        async def drop(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:  # noqa: PLR2004
                headers = list(message["headers"])
                lengths = {value for name, value in headers if name.lower() == b"content-length"}
                if scope["method"] == "HEAD" or lengths == {b"0"}:
                    headers = [each for each in headers if each[0].lower() != b"content-type"]
                    message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, drop if scope["type"] == "http" else send)


class RequestLog:
    """ASGI wrapper that logs what changed something or failed, one line each; reads go to debug."""

    def __init__(self, app: ASGIApp, log: logging.Logger) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request through and note how it ended."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 0

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            loud = scope["method"] in WRITES or status == 0 or status >= 500  # noqa: PLR2004
            level = logging.INFO if loud else logging.DEBUG
            if self._log.isEnabledFor(level):
                milliseconds = (time.perf_counter() - began) * 1000
                self._log.log(
                    level,
                    "%s %s %s %.1f ms",
                    scope["method"],
                    scope["path"],
                    status or "no reply",
                    milliseconds,
                )


def deletion_seconds(settings: Mapping[str, str]) -> float:
    """How long names of what was deleted cannot be used: 30 s or more in Azure, here 0 by default.

    Raises:
        ValueError: the setting is no number.
    """
    return float(settings.get(DELETION_SECONDS) or 0)


def run(app: ASGIApp, config: CloudConfig, service: str) -> None:
    """Serve a service of the local cloud on its port until it is told to stop.

    Args:
        app: the ASGI application.
        config: gives the port.
        service: one of `devcloud.config.SERVICES`; names the lines of the log on stderr.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(f"%(asctime)s {service:<11} %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for noisy in ("azure", "httpx", "httpcore", "uvicorn.error", "py4j"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    mark = config.pid_file(service)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(f"{os.getpid()}\n")
    log = logging.getLogger("devcloud")
    log.info("listening on %s", config.url(service))
    uvicorn.Server(_settings(RequestLog(app, log), config.ports[service])).run()


def killer(config: CloudConfig) -> Callable[[str], None]:
    """What ends the process of a service of this cloud, as a crash would."""

    def kill(service: str) -> None:
        mark = config.pid_file(service)
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it is dead already
            pid = int(mark.read_text())
            mark.unlink()  # the number may soon be another's
            os.kill(pid, signal.SIGKILL)

    return kill


@contextlib.contextmanager
def serve_in_thread(app: ASGIApp, port: int = 0) -> Iterator[str]:
    """Serve an application from a thread: a service beside another, or one of a test.

    Args:
        app: the ASGI application; its lifespan is run.
        port: TCP port on 127.0.0.1; 0 takes a free one.

    Yields:
        The base URL, without a trailing slash, once the server answers.

    Raises:
        RuntimeError: the application did not start.
        OSError: the port is taken.
    """
    # Named as TCP, because asyncio sets TCP_NODELAY on nothing less: replies would wait 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(256)
        chosen: int = listener.getsockname()[1]
        server = _AnnouncedServer(_settings(app, chosen))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        server.announced.wait(START_SECONDS)
        if not server.started:
            raise RuntimeError("the application did not start: see the log above for why")
        try:
            yield f"http://127.0.0.1:{chosen}"
        finally:
            server.should_exit = True
            thread.join(START_SECONDS)
    finally:
        listener.close()


class _AnnouncedServer(uvicorn.Server):
    """A server that says when its start is over, well or not."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.announced = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then wake who waits for it."""
        try:
            await super().startup(sockets)
        except SystemExit:  # how uvicorn tells of a lifespan that failed, after logging why
            self.should_exit = True
        finally:
            self.announced.set()


def _settings(app: ASGIApp, port: int) -> uvicorn.Config:
    return uvicorn.Config(
        BodilessErrors(app),
        host="127.0.0.1",
        port=port,
        http=ServiceProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
