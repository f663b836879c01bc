"""Small function apps for the tests of the functions host, and a host that serves them."""

from __future__ import annotations

import contextlib
import json
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from devcloud.functions.app import serve
from devcloud.functions.host import Host
from devcloud.functions.keys import InitialKeys
from devcloud.serving import serve_in_thread

KEY = "k3y-of-the-tests"
MASTER_KEY = "m4ster-of-the-tests"
SYSTEM_KEY = "syst3m-of-the-tests"
DEADLINE = 15.0
_PRELUDE = """
import logging, pathlib, time, typing
import azure.functions as func

app = func.FunctionApp()
FOLDER = pathlib.Path(__file__).parent

def saw(*words):
    with (FOLDER / "seen.txt").open("a") as out:
        out.write(" ".join(map(str, words)) + "\\n")
"""


@dataclass
class App:
    """An app folder in a temporary directory."""

    folder: Path

    def seen(self) -> list[str]:
        """What the app noted by `saw`, in order."""
        path = self.folder / "seen.txt"
        return path.read_text().splitlines() if path.exists() else []

    def wait_for(self, *lines: str) -> list[str]:
        """All that was seen, once it holds these lines."""
        wait(lambda: set(lines) <= set(self.seen()), lambda: f"{lines} not in {self.seen()}")
        return self.seen()


@dataclass
class ServedApp:
    """A served app."""

    app: App
    host: Host
    http: httpx.Client
    key: str = KEY
    system_key: str = SYSTEM_KEY

    @property
    def keyed(self) -> dict[str, str]:
        """Headers that open every function of level function."""
        return {"x-functions-key": self.key}

    @property
    def master(self) -> dict[str, str]:
        """Headers that open everything."""
        return {"x-functions-key": MASTER_KEY}

    def queue(self, name: str) -> dict[str, int]:
        """Counts of one queue, as the control route tells them."""
        counts: dict[str, int] = (
            self.http.get("/_devcloud/queues")
            .json()["queues"]
            .get(name, {"visible": 0, "invisible": 0, "poison": 0})
        )
        return counts

    def wait_for_queue(self, name: str, **counts: int) -> None:
        """Return once a queue has these counts."""
        wait(
            lambda: {key: self.queue(name)[key] for key in counts} == counts,
            lambda: f"{name}: {self.queue(name)}, not {counts}",
        )

    def notify(self, url: str, function: str = "Host.Functions.on_blob") -> httpx.Response:
        """Deliver a BlobCreated event as Event Grid does."""
        event = {
            "id": "1",
            "eventType": "Microsoft.Storage.BlobCreated",
            "data": {"api": "PutBlob", "url": url, "eTag": "0x1", "blobType": "BlockBlob"},
        }
        return self.http.post(
            "/runtime/webhooks/blobs",
            params={"functionName": function, "code": self.system_key},
            headers={"aeg-event-type": "Notification"},
            json=[event],
        )


def write_app(folder: Path, source: str, host: Mapping[str, Any] | None = None) -> App:
    """Write an app; `app`, `func`, `saw` and a few modules are there for its source."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "function_app.py").write_text(_PRELUDE + textwrap.dedent(source))
    (folder / "host.json").write_text(json.dumps({"version": "2.0", **(host or {})}))
    return App(folder)


@contextlib.contextmanager
def running(
    folder: Path,
    source: str,
    *,
    host: Mapping[str, Any] | None = None,
    settings: Mapping[str, str] | None = None,
    clock: Callable[[], float] = time.time,
) -> Iterator[ServedApp]:
    """Serve an app from a thread of this process."""
    app = write_app(folder / "app", source, host)
    with serving_app(app, folder, settings, clock) as served:
        yield served


@dataclass
class PreparedApp:
    """An app folder that is part of the tests."""

    folder: Path

    @contextlib.contextmanager
    def running(self, folder: Path, settings: Mapping[str, str]) -> Iterator[ServedApp]:
        """Serve it from a thread of this process."""
        with serving_app(App(self.folder), folder, settings, time.time) as served:
            yield served


@contextlib.contextmanager
def serving_app(
    app: App, folder: Path, settings: Mapping[str, str] | None, clock: Callable[[], float]
) -> Iterator[ServedApp]:
    """Serve an app folder."""
    keys = InitialKeys(KEY, MASTER_KEY, SYSTEM_KEY)
    served = Host(
        app.folder, folder / "data", keys=keys, settings=dict(settings or {}), clock=clock
    )
    with serve_in_thread(serve(served)) as url, httpx.Client(base_url=url, timeout=30) as client:
        yield ServedApp(app, served, client)


def wait(condition: Callable[[], bool], why: Callable[[], str] = lambda: "") -> None:
    """Return once a condition holds; AssertionError if it does not within `DEADLINE` seconds."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, why()
        time.sleep(0.01)
