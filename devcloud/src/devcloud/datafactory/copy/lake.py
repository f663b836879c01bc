"""Files of an AzureBlobFS linked service, through the storage SDK."""

from __future__ import annotations

import io
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError
from azure.storage.blob import BlobBlock, BlobClient, BlobServiceClient

from devcloud.datafactory.copy.failure import CopyError, CopyStoppedError

AGENT = "devcloud-datafactory"
_CHUNK = 4 * 1024 * 1024
_BLOCK = 4 * 1024 * 1024


@contextmanager
def lake_errors(what: str) -> Iterator[None]:
    """Turn the SDK's errors into those of a copy.

    Raises:
        CopyError: naming the file.
    """
    try:
        yield
    except ResourceNotFoundError as error:
        raise CopyError("UserErrorFileNotFound", f"'{what}' does not exist") from error
    except HttpResponseError as error:
        code = getattr(error, "error_code", None) or error.status_code
        message = f"the lake refused '{what}': {code}: {error.message}"
        raise CopyError("AdlsGen2OperationFailed", message) from error
    except AzureError as error:
        message = f"the lake cannot be reached for '{what}': {error.message}"
        raise CopyError("AdlsGen2OperationFailed", message, "SystemError") from error


class CopyLake:
    """One storage account, as a linked service names it."""

    def __init__(self, properties: dict[str, Any]) -> None:
        """Take the typeProperties of the linked service, evaluated.

        Raises:
            CopyError: it has no account key; the managed identity needs https.
        """
        options: dict[str, Any] = {
            "user_agent": AGENT,
            "max_single_get_size": _CHUNK,
            "max_chunk_get_size": _CHUNK,
            "retry_total": 3,
            "initial_backoff": 0.2,
            "increment_base": 2,
            "connection_timeout": 5,
            "read_timeout": 60,
        }
        if "connectionString" in properties:  # of an AzureBlobStorage
            given = properties["connectionString"]
            text = str(given["value"] if isinstance(given, dict) else given)
            if "accountkey=" not in text.lower():
                raise CopyError(
                    "UserErrorMissingCredential", "the connectionString has no AccountKey"
                )
            try:
                self._service = BlobServiceClient.from_connection_string(text, **options)
            except ValueError as error:
                message = f"the connectionString of the linked service is wrong: {error}"
                raise CopyError("UserErrorInvalidConnectionString", message) from error
            return
        url = str(properties["url"]).rstrip("/").replace(".dfs.", ".blob.")
        key = properties.get("accountKey")
        if not isinstance(key, dict) or not key.get("value"):
            raise CopyError(
                "UserErrorMissingCredential",
                f"the linked service for '{url}' has no accountKey; the managed identity does "
                "not work over http, so the local deployment must give the key",
            )
        account = url.rpartition("/")[2].partition(".")[0]
        self._service = BlobServiceClient(
            url,
            credential={"account_name": account, "account_key": str(key["value"])},
            **options,
        )

    def file(self, container: str, path: str, stop: threading.Event) -> LakeFile:
        """A file, or the folder at that path; it need not be there."""
        return LakeFile(self._service.get_blob_client(container, path), f"{container}/{path}", stop)

    def files(self, container: str, folder: str, *, recursive: bool) -> list[str]:
        """Paths of the files in a folder, or of all below it."""
        client = self._service.get_container_client(container)
        prefix = f"{folder.strip('/')}/" if folder.strip("/") else ""
        with lake_errors(f"{container}/{folder}"):
            listed = client.list_blobs(prefix, include=["metadata"])
            return [
                each.name
                for each in listed
                if (each.metadata or {}).get("hdi_isfolder") != "true"
                and (recursive or "/" not in each.name.removeprefix(prefix))
            ]

    def delete(self, container: str, path: str) -> bool:
        """Delete a file; whether it was there."""
        with lake_errors(f"{container}/{path}"):
            try:
                self._service.get_blob_client(container, path).delete_blob()
            except ResourceNotFoundError:
                return False
        return True

    def children(self, container: str, folder: str) -> list[dict[str, str]]:
        """Names and kinds ("File" or "Folder") of what is in a folder."""
        client = self._service.get_container_client(container)
        prefix = f"{folder.strip('/')}/" if folder.strip("/") else ""
        folders: set[str] = set()
        files: set[str] = set()
        with lake_errors(f"{container}/{folder}"):
            for each in client.walk_blobs(prefix, include=["metadata"]):
                name = each.name.removeprefix(prefix)
                marked = (getattr(each, "metadata", None) or {}).get("hdi_isfolder") == "true"
                if name.endswith("/") or marked:
                    folders.add(name.rstrip("/"))
                elif name:
                    files.add(name)
        return [
            *({"name": name, "type": "File"} for name in sorted(files - folders)),
            *({"name": name, "type": "Folder"} for name in sorted(folders)),
        ]


@dataclass
class LakeFile:
    """One file; counts what goes over the wire.

    Attributes:
        name: `container/path`, for messages.
        bytes_read: so far.
    """

    _client: BlobClient
    name: str
    _stop: threading.Event
    bytes_read: int = 0

    def properties(self) -> dict[str, Any] | None:
        """`size`, `lastModified` and `isFolder`; None if it is not there."""
        with lake_errors(self.name):
            try:
                properties = self._client.get_blob_properties()
            except ResourceNotFoundError:
                return None
        return {
            "size": properties.size,
            "lastModified": properties.last_modified,
            "isFolder": (properties.metadata or {}).get("hdi_isfolder") == "true",
        }

    def chunks(self) -> Iterator[bytes]:
        """Its bytes from the beginning; all of one version, or an error."""
        with lake_errors(self.name):
            for chunk in self._client.download_blob().chunks():
                if self._stop.is_set():
                    raise CopyStoppedError
                self.bytes_read += len(chunk)
                yield chunk

    def random_access(self) -> io.RawIOBase:
        """A seekable reader."""
        return _RangeReader(self)

    def writer(self) -> BlockWriter:
        """A writer; what it is given appears when it is published, at once."""
        return BlockWriter(self._client, self.name, self._stop)

    def part(self, offset: int, length: int, etag: str) -> bytes:
        """A range of the version with that ETag."""
        if self._stop.is_set():
            raise CopyStoppedError
        with lake_errors(self.name):
            data = self._client.download_blob(
                offset, length, etag=etag, match_condition=MatchConditions.IfNotModified
            ).readall()
        self.bytes_read += len(data)
        return data

    def size_and_etag(self) -> tuple[int, str]:
        """Its size in bytes and its version."""
        with lake_errors(self.name):
            properties = self._client.get_blob_properties()
        return properties.size, str(properties.etag)


class _RangeReader(io.RawIOBase):
    """Seekable view of a file, by ranges; small reads near one another share a request."""

    def __init__(self, file: LakeFile) -> None:
        super().__init__()
        self._file = file
        self._size, self._etag = file.size_and_etag()
        self._at = 0
        self._held = (0, b"")

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """How far it is."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to an offset."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read by ranges."""
        count = min(len(buffer), self._size - self._at)
        if count <= 0:
            return 0
        start, data = self._held
        if not (start <= self._at and self._at + count <= start + len(data)):
            # Parquet reads its footer from the end backwards: fetch what lies before it, too.
            start = max(0, min(self._at, self._size - _CHUNK))
            length = min(max(_CHUNK, self._at + count - start), self._size - start)
            data = self._file.part(start, length, self._etag)
            self._held = start, data
        begin = self._at - start
        buffer[:count] = data[begin : begin + count]
        self._at += count
        return count


class BlockWriter(io.RawIOBase):
    """Gathers blocks that nobody sees until `publish`; then the file is there, replaced whole.

    Attributes:
        bytes_written: so far.
    """

    def __init__(self, client: BlobClient, name: str, stop: threading.Event) -> None:
        super().__init__()
        self._client = client
        self._name = name
        self._stop = stop
        self._pending = bytearray()
        self._blocks: list[BlobBlock] = []
        self._abandoned = False
        self.bytes_written = 0

    def writable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """How far it is."""
        return self.bytes_written

    def write(self, data: Any) -> int:
        """Take bytes, which are staged but not shown."""
        if self._stop.is_set() or self._abandoned:
            raise CopyStoppedError
        view = memoryview(data).cast("B")
        self._pending += view
        self.bytes_written += len(view)
        while len(self._pending) >= _BLOCK:
            with memoryview(self._pending) as pending:
                block = bytes(pending[:_BLOCK])
            self._stage(block)
            del self._pending[:_BLOCK]
        return len(view)

    def abandon(self) -> None:
        """Take no more bytes: whoever writes is stopped, and nothing appears."""
        self._abandoned = True

    def publish(self) -> None:
        """Make the file appear, in place of what was there.

        Raises:
            CopyError: the lake refused; then the old file stands.
            CopyStoppedError: the run has ended meanwhile; likewise.
        """
        if self._stop.is_set():
            raise CopyStoppedError
        with lake_errors(self._name):
            if not self._blocks:
                self._client.upload_blob(bytes(self._pending), overwrite=True)
                return
            if self._pending:
                self._stage(bytes(self._pending))
            self._client.commit_block_list(self._blocks)

    def _stage(self, data: bytes) -> None:
        block = uuid.uuid4().hex
        with lake_errors(self._name):
            self._client.stage_block(block, data, length=len(data))
        self._blocks.append(BlobBlock(block))
