"""A real lake on a free port, and the unmodified SDKs pointed at it."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobServiceClient
from azure.storage.filedatalake import DataLakeServiceClient

from devcloud import config as devcloud_config
from devcloud import serving
from devcloud.config import CloudConfig
from devcloud.lake.app import create_app
from devcloud.lake.events import Subscription
from devcloud.lake.store import LakeStore

RACERS = 16


@dataclass
class RunningLake:
    """A running lake and its clients, none of which retries."""

    config: CloudConfig
    blobs: Any  # the SDKs' own types are too narrow for what tests do with them
    paths: Any
    control: httpx.Client
    store: LakeStore

    def container(self, name: str = "landing") -> Any:
        """A container's client (blob endpoint)."""
        return self.blobs.get_container_client(name)

    def filesystem(self, name: str = "landing") -> Any:
        """A file system's client (dfs endpoint)."""
        return self.paths.get_file_system_client(name)

    def put(self, key: str, data: bytes = b"x", container: str = "landing", **more: Any) -> str:
        """Upload by one Put Blob; answers the ETag."""
        answer = self.container(container).upload_blob(key, data, **{"overwrite": True, **more})
        return str(answer.get_blob_properties().etag)

    def read(self, key: str, container: str = "landing") -> bytes:
        """The bytes of a blob."""
        return bytes(self.container(container).download_blob(key).readall())

    def local(self, key: str, container: str = "landing") -> Path:
        """Where a blob is on disk."""
        return self.config.lake_folder / container / key

    def fault(self, **rule: object) -> None:
        """Add a fault rule."""
        self.control.post("/_devcloud/faults", json=rule).raise_for_status()

    def clear_faults(self) -> None:
        """Remove all fault rules."""
        self.control.delete("/_devcloud/faults")

    def events(self) -> dict[str, Any]:
        """The events sent and pending."""
        document: dict[str, Any] = self.control.get("/_devcloud/events").json()
        return document


@contextlib.contextmanager
def running_lake(
    root: Path, subscribers: Sequence[Subscription] | None = (), account: str = "landfall"
) -> Iterator[RunningLake]:
    """Serve a lake from a folder; nobody gets its events unless told."""
    config = devcloud_config.create(root, root, account=account)
    app = create_app(config, subscribers=subscribers)
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(serving.serve_in_thread(app, config.ports["lake"]))
        given = config.lake_connection_string
        yield RunningLake(
            config,
            stack.enter_context(BlobServiceClient.from_connection_string(given, retry_total=0)),
            stack.enter_context(DataLakeServiceClient.from_connection_string(given, retry_total=0)),
            stack.enter_context(httpx.Client(base_url=url, timeout=10)),
            app.state.lake.store,
        )


def code(error: pytest.ExceptionInfo[HttpResponseError]) -> tuple[int | None, str]:
    """Status and error code of a refusal."""
    response: Any = error.value.response
    return error.value.status_code, str(response.headers.get("x-ms-error-code"))


def race(act: Callable[[int], object]) -> list[object]:
    """Let 16 threads do something at once; answers what each got, errors included."""
    barrier = threading.Barrier(RACERS)
    results: list[object] = [None] * RACERS

    def run(number: int) -> None:
        barrier.wait()
        try:
            results[number] = act(number)
        except Exception as error:  # noqa: BLE001 - looked at below
            results[number] = error

    threads = [threading.Thread(target=run, args=(n,)) for n in range(RACERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, Exception) and not isinstance(result, HttpResponseError):
            raise result
    return results


def winners(results: list[object]) -> list[int]:
    """Which of them got no error."""
    return [n for n, result in enumerate(results) if not isinstance(result, Exception)]


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for a condition, or fail."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)
