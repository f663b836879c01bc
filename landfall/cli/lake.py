"""Uploads files to the landing container with the Data Lake SDK."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
)
from azure.storage.filedatalake import DataLakeServiceClient, ExponentialRetry, FileSystemClient

from landfall.cli.errors import CliError
from landfall.protocol import LANDING, dataset_of, name_of, run_id

CHUNK_BYTES = 8 << 20
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Landed:
    """One uploaded file; its version in the lake determines the id of its run."""

    path: str
    size: int
    etag: str
    landed: datetime

    @property
    def run_id(self) -> str:
        """Id of the run of this version."""
        return run_id(self.landed, dataset_of(self.path), self.path, self.etag)

    def summary(self) -> dict[str, Any]:
        """Return a summary of its run for the time before the service knows it."""
        return {
            "run_id": self.run_id,
            "dataset": dataset_of(self.path),
            "name": name_of(self.path),
            "state": "landed",
            "path": self.path,
            "size": self.size,
        }


@contextmanager
def landing(lake: str) -> Iterator[FileSystemClient]:
    """Open the landing container of a storage account.

    Args:
        lake: its connection string, or its https URL, which uses the credential of the environment
            (`az login`, a managed identity).
    """
    with _container(lake, LANDING) as container:
        yield container


def _service(
    lake: str, retry_policy: ExponentialRetry
) -> AbstractContextManager[DataLakeServiceClient]:
    if "AccountName=" in lake or "SharedAccessSignature=" in lake:
        return DataLakeServiceClient.from_connection_string(lake, retry_policy=retry_policy)
    from azure.identity import DefaultAzureCredential  # noqa: PLC0415 - only deployed lakes need it

    return DataLakeServiceClient(lake, DefaultAzureCredential(), retry_policy=retry_policy)


def upload(
    container: FileSystemClient,
    file: Path,
    path: str,
    *,
    announce: bool = True,
    progress: Progress = lambda _: None,
) -> Landed:
    """Upload a file to a lake path in landing; an existing file is replaced.

    Args:
        container: from `landing`.
        file: the local file.
        path: `landing/<dataset>/<name>`.
        announce: close the file, which raises the event that starts a run. Otherwise there is no
            event, and POST /ingest or the sweep must find the file.
        progress: called with the bytes uploaded so far.
    """
    client = container.get_file_client(path.removeprefix(f"{LANDING}/"))
    length = file.stat().st_size
    client.create_file()
    done = 0
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            client.append_data(chunk, done, len(chunk))
            done += len(chunk)
            progress(done)
    reply: dict[str, Any] = client.flush_data(length, close=announce)
    return Landed(path, length, str(reply["etag"]).strip('"'), reply["last_modified"])


def explain(error: Exception) -> str:
    """Return one sentence about an error of the lake."""
    if isinstance(error, ClientAuthenticationError):
        return f"the lake refused the credential: {error.message}"
    if isinstance(error, HttpResponseError):
        code = getattr(error, "error_code", None) or error.status_code
        return f"the lake answered {code}: {str(error.message).splitlines()[0]}"
    return f"no connection to the lake: {str(error).splitlines()[0]}"


def folders(lake: str, container: str) -> list[str]:
    """Return the folders right in a container of a storage account, by name.

    Raises:
        CliError: it cannot be reached.
    """
    with _container(lake, container) as client:
        paths = client.get_paths(recursive=False)
        return sorted(path.name for path in paths if path.is_directory)


def read_file(lake: str, path: str) -> bytes | None:
    """Return a file of a storage account; None where there is none."""
    container, _, key = path.partition("/")
    with _container(lake, container) as client:
        try:
            return bytes(client.get_file_client(key).download_file().readall())
        except ResourceNotFoundError:
            return None


def delete_folder(lake: str, path: str) -> None:
    """Delete a folder with all that is in it."""
    container, _, key = path.partition("/")
    with _container(lake, container) as client:
        client.get_directory_client(key).delete_directory()


@contextmanager
def _container(lake: str, container: str) -> Iterator[FileSystemClient]:
    retry_policy = ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=3)
    try:
        with _service(lake, retry_policy) as service:
            yield service.get_file_system_client(container)
    except (AzureError, ValueError) as error:
        raise CliError(explain(error)) from None
