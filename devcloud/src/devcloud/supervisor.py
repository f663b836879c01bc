"""Starts the services of a local cloud, one process each, and keeps them running.

A service that crashes is started again, as a platform would; one that crashes before it was ever
ready fails the start, with its last lines as the reason.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from devcloud.config import DATABASE, PROCESSES, CloudConfig
from devcloud.database.server import answers

Emit = Callable[[str, str], None]
"""Takes (service, line) for each line that a service or the supervisor has to say."""

_CODE = Path(__file__).resolve().parents[1]
_OWN_PREFIX = re.compile(rf"^\d\d:\d\d:\d\d (?:{'|'.join(PROCESSES)}) +")  # we say both ourselves
_TAIL_LINES = 15
_SETTLED_SECONDS = 10.0  # a service that lived this long starts its backoff anew
_LOG_LIMIT_BYTES = 8 << 20


class StartError(Exception):
    """A service ended, or did not answer, before the cloud was up.

    Attributes:
        service: which one; tail: the last lines it printed.
    """

    def __init__(self, service: str, reason: str, tail: list[str]) -> None:
        self.service = service
        self.tail = tail
        super().__init__(
            "\n".join([f"service {service} {reason}", *(f"  {line}" for line in tail)])
        )


class Supervisor:
    """The running services of one local cloud.

    Use it as a context manager: entering returns when every service is ready, leaving returns when
    every process is gone.

    Args:
        config: where the cloud stands.
        services: which of its services to run, in this order.
        emit: where lines go besides `<root>/logs/<service>.log`.
        start_seconds: how long all services together may take to become ready.
        stop_seconds: how long a service may take to end before it is killed.
        max_backoff: longest pause before a service that keeps crashing is started again.
    """

    def __init__(
        self,
        config: CloudConfig,
        *,
        services: Iterable[str] = PROCESSES,
        emit: Emit | None = None,
        start_seconds: float = 90.0,
        stop_seconds: float = 10.0,
        max_backoff: float = 10.0,
    ) -> None:
        self.config = config
        self._start_seconds = start_seconds
        logs = config.root / "logs"
        self._keepers = {
            service: ServiceProcess(
                config,
                service,
                logs / f"{service}.log",
                emit,
                stop_seconds=stop_seconds,
                max_backoff=max_backoff,
            )
            for service in services
        }

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start every service and wait until all are ready.

        Raises:
            StartError: one of them is not; those already started have been stopped again.
        """
        (self.config.root / "logs").mkdir(parents=True, exist_ok=True)
        for keeper in self._keepers.values():
            keeper.start()
        try:
            self.wait_ready(seconds=self._start_seconds)
        except BaseException:
            self.stop()
            raise
        for keeper in self._keepers.values():
            keeper.established = True

    def stop(self) -> None:
        """End every process of the cloud; the second call does nothing."""
        for keeper in self._keepers.values():
            keeper.end()
        for keeper in self._keepers.values():
            keeper.join()

    def wait_ready(self, *services: str, seconds: float = 60.0) -> None:
        """Return when the services named (all, if none is) answer their health check.

        Raises:
            StartError: one ended before it was ever ready, or the time is up.
        """
        deadline = time.monotonic() + seconds
        for service in services or self._keepers:
            keeper = self._keepers[service]
            while not healthy(self.config, service):
                if keeper.gave_up:
                    raise StartError(service, f"ended with code {keeper.code}", keeper.tail())
                if time.monotonic() > deadline:
                    raise StartError(
                        service, f"did not answer within {seconds:.0f} s", keeper.tail()
                    )
                time.sleep(0.05)

    def pid(self, service: str) -> int:
        """The process that serves a service just now; 0 between a crash and its restart."""
        return self._keepers[service].pid

    def kill(self, service: str) -> None:
        """Kill a service and all it started, as a crash would; it is started again.

        Returns when the processes are gone; `wait_ready` tells when the service is back.
        """
        self._keepers[service].crash()

    def restarts(self, service: str) -> int:
        """How often a service has been started again."""
        return self._keepers[service].restarts


def healthy(config: CloudConfig, service: str, seconds: float = 2.0) -> bool:
    """Whether a service answers `GET /_devcloud/health`, and the database takes a connection."""
    if service == DATABASE:
        return answers(config, seconds)
    try:
        with urllib.request.urlopen(  # noqa: S310 - the address is our own http one
            f"{config.url(service)}/_devcloud/health", timeout=seconds
        ) as reply:
            return bool(reply.status == 200)  # noqa: PLR2004 - OK
    except (urllib.error.URLError, OSError, ValueError):
        return False


class ServiceProcess:
    """One service: its process, started again whenever it ends unasked."""

    def __init__(
        self,
        config: CloudConfig,
        service: str,
        log: Path,
        emit: Emit | None,
        *,
        stop_seconds: float,
        max_backoff: float,
    ) -> None:
        self.established = False
        self.gave_up = False
        self.code: int | None = None
        self.restarts = 0
        self._config = config
        self._service = service
        self._log = log
        self._emit = emit
        self._stop_seconds = stop_seconds
        self._max_backoff = max_backoff
        self._lines: deque[str] = deque(maxlen=_TAIL_LINES)
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._keep, name=f"keep-{service}", daemon=True)

    @property
    def pid(self) -> int:
        """The process id, 0 while there is none."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else 0

    def tail(self) -> list[str]:
        """The last lines that it printed."""
        return list(self._lines)

    def start(self) -> None:
        """Start it, in a thread that restarts it."""
        if self._log.exists() and self._log.stat().st_size > _LOG_LIMIT_BYTES:
            self._log.replace(self._log.with_suffix(".log.1"))
        self._thread.start()

    def end(self) -> None:
        """Ask the service to end; `join` waits for it."""
        with self._lock:
            self._ending.set()
            if self._process is not None and self._process.poll() is None:
                self._process.terminate()

    def join(self) -> None:
        """Wait for its end; kill it when it takes too long."""
        if self._thread.ident is None:
            return
        self._thread.join(self._stop_seconds)
        if self._thread.is_alive() and self._process is not None:
            _kill_group(self._process.pid)
            self._thread.join()

    def crash(self) -> None:
        """Kill it as it stands; it is started again."""
        process = self._process
        if process is not None:
            _kill_group(process.pid)
            process.wait()

    def _keep(self) -> None:
        backoff = 0.0
        while not self._ending.wait(backoff):
            started = time.monotonic()
            process = self._spawn()
            if process is None:
                return
            if self.restarts:
                self._say(f"restarted as process {process.pid}")
            reader = threading.Thread(target=self._read, args=(process.stdout,), daemon=True)
            reader.start()
            self.code = process.wait()
            # What it started must not outlive it: it would hold its port, its log and its memory.
            _kill_group(process.pid)
            reader.join(2.0)
            if process.stdin is not None:
                process.stdin.close()
            if self._ending.is_set():
                return
            if not self.established:
                self.gave_up = True
                return
            lived = time.monotonic() - started
            backoff = 0.2 if lived > _SETTLED_SECONDS else min(2 * backoff, self._max_backoff)
            backoff = backoff or 0.2
            self.restarts += 1
            self._say(
                f"ended with {_how_it_ended(self.code)}; starting it again in {backoff:.1f} s"
            )

    def _spawn(self) -> subprocess.Popen[str] | None:
        path = os.pathsep.join(filter(None, [str(_CODE), os.environ.get("PYTHONPATH")]))
        command = [f"devcloud.{self._service}", "--root", str(self._config.root)]
        with self._lock:
            if self._ending.is_set():
                return None
            self._process = subprocess.Popen(
                # -P: folders of the data root must not pass for packages
                [sys.executable, "-P", "-m", "devcloud.parent_watch", *command],
                cwd=self._config.root,
                env=os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            return self._process

    def _read(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self._say(_OWN_PREFIX.sub("", line.rstrip()))

    def _say(self, line: str) -> None:
        self._lines.append(line)
        with self._log.open("a") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")
        if self._emit is not None:
            self._emit(self._service, line)


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"code {code}"
    return f"signal {signal.Signals(-code).name}"


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
