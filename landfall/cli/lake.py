"""Uploads into the landing container, by the Data Lake SDK as any producer would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.storage.filedatalake import DataLakeServiceClient, ExponentialRetry, FileSystemClient

from landfall.cli.errors import CliError
from landfall.protocol import LANDING, dataset_of, name_of, run_id

CHUNK_BYTES = 8 << 20
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Landed:
    """One uploaded file: the version that the lake gave it decides the id of its run."""

    path: str
    size: int
    etag: str
    landed: datetime

    @property
    def run_id(self) -> str:
        """The id that the run of this version has, whoever starts it."""
        return run_id(self.landed, dataset_of(self.path), self.path, self.etag)

    def known(self) -> dict[str, Any]:
        """What can be told of its run before the service knows of it."""
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
    """The landing container of a storage account.

    Args:
        lake: its connection string, or its https URL, then with the credential of whoever is
            logged in (`az login`, a managed identity).
    """
    patience = ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=3)
    try:
        with _service(lake, patience) as service:
            yield service.get_file_system_client(LANDING)
    except (AzureError, ValueError) as error:
        raise CliError(explain(error)) from None


def _service(
    lake: str, patience: ExponentialRetry
) -> AbstractContextManager[DataLakeServiceClient]:
    if "AccountName=" in lake or "SharedAccessSignature=" in lake:
        return DataLakeServiceClient.from_connection_string(lake, retry_policy=patience)
    from azure.identity import DefaultAzureCredential  # noqa: PLC0415 - only deployed lakes need it

    return DataLakeServiceClient(lake, DefaultAzureCredential(), retry_policy=patience)


def upload(
    container: FileSystemClient,
    file: Path,
    path: str,
    *,
    announce: bool = True,
    progress: Progress = lambda _: None,
) -> Landed:
    """Upload a file to a lake path in landing, replacing what stands there.

    Args:
        container: from `landing`.
        file: what to upload.
        path: `landing/<dataset>/<name>`.
        announce: close the file, which raises the event that starts a run. Without, the lake keeps
            quiet, as with writers that never close: then POST /ingest, or the sweep, finds it.
        progress: takes the bytes uploaded so far.
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
    """What went wrong at the lake, in a sentence."""
    if isinstance(error, ClientAuthenticationError):
        return f"the lake refused the credential: {error.message}"
    if isinstance(error, HttpResponseError):
        code = getattr(error, "error_code", None) or error.status_code
        return f"the lake answered {code}: {str(error.message).splitlines()[0]}"
    return f"no connection to the lake: {str(error).splitlines()[0]}"
