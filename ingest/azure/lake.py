"""The lake on the Azure Storage SDKs: documents by the Blob API, renames by the DFS API.

See https://learn.microsoft.com/rest/api/storageservices/put-blob for the conditions of a write and
https://learn.microsoft.com/rest/api/storageservices/datalakestoragegen2/path/create for a rename.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from azure.core import MatchConditions
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import (
    BlobBlock,
    BlobClient,
    BlobPrefix,
    BlobSasPermissions,
    BlobServiceClient,
    generate_blob_sas,
)
from azure.storage.filedatalake import DataLakeServiceClient

from ingest.errors import (
    AccessDenied,
    AlreadyExists,
    LandfallError,
    NotFound,
    Refused,
    Stale,
    Throttled,
    Unavailable,
)
from ingest.paths import split
from ingest.ports import BinaryWriter, ListEntry, Version
from ingest.settings import LakeSettings

USER_AGENT = "landfall"
BLOCK = 4 * 1024 * 1024
FIRST_RANGE = 8 * 1024 * 1024
_SIGNED_BEFORE = timedelta(minutes=5)
"""By so much the lake's clock may be behind this one for a link to be good at once."""

# The SDK's own default waits 80 s for a refused connection; the queue repeats a step anyway. Its
# jitter is 3 s on either side unless it is told otherwise.
_OPTIONS: dict[str, Any] = {
    "user_agent": USER_AGENT,
    "retry_total": 2,
    "initial_backoff": 0.2,
    "increment_base": 1.2,
    "random_jitter_range": 0.1,
    "connection_timeout": 5,
    "read_timeout": 60,
    "max_single_get_size": FIRST_RANGE,
    "max_chunk_get_size": BLOCK,
}


class AzureLake:
    """`ingest.ports.Lake` on one storage account with a hierarchical namespace."""

    def __init__(self, settings: LakeSettings, credential: Any = None) -> None:
        """Connect lazily: no request is sent here.

        Args:
            settings: the account, by connection string or by URL.
            credential: a TokenCredential, where the account is given by URL.
        """
        if settings.connection_string:
            connection = settings.connection_string
            self._blobs = BlobServiceClient.from_connection_string(connection, **_OPTIONS)
            self._files = DataLakeServiceClient.from_connection_string(connection, **_OPTIONS)
        else:
            url = settings.url or ""
            self._blobs = BlobServiceClient(url, credential=credential, **_OPTIONS)
            dfs = url.replace(".blob.", ".dfs.")
            self._files = DataLakeServiceClient(dfs, credential=credential, **_OPTIONS)

    def head(self, path: str) -> Version | None:
        """See `ingest.ports.Lake`."""
        with _translated(path):
            try:
                properties = self._blob(path).get_blob_properties()
            except ResourceNotFoundError:
                return None
        if (properties.metadata or {}).get("hdi_isfolder") == "true":
            return None
        return _version(path, properties)

    def get(self, path: str) -> tuple[bytes, str]:
        """See `ingest.ports.Lake`."""
        with _translated(path):
            download = self._blob(path).download_blob()
            return download.readall(), _bare(download.properties.etag)

    def put(
        self,
        path: str,
        data: bytes,
        *,
        if_match: str | None = None,
        if_absent: bool = False,
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        """See `ingest.ports.Lake`."""
        condition: dict[str, Any] = {}
        if if_match is not None:
            condition = {
                "etag": f'"{if_match}"',
                "match_condition": MatchConditions.IfNotModified,
            }
        with _translated(path):
            try:
                written = self._blob(path).upload_blob(
                    data, overwrite=not if_absent, metadata=dict(metadata or {}), **condition
                )
            except ResourceNotFoundError as error:
                if if_match is None:
                    raise
                raise Stale(f"{path} is gone") from error
        return _bare(written["etag"])

    def stream(self, path: str) -> Iterator[bytes]:
        """See `ingest.ports.Lake`."""
        with _translated(path):
            yield from self._blob(path).download_blob().chunks()

    def read(self, path: str, offset: int, length: int) -> bytes:
        """See `ingest.ports.Lake`."""
        with _translated(path):
            return self._blob(path).download_blob(offset=offset, length=length).readall()

    def writer(self, path: str) -> AbstractContextManager[BinaryWriter]:
        """See `ingest.ports.Lake`."""
        return _BlockWriter(path, self._blob(path))

    def rename(
        self, source: str, target: str, *, etag: str | None = None, if_absent: bool = False
    ) -> None:
        """See `ingest.ports.Lake`; most targets have their folder, so it is made only on demand."""
        container, key = split(source)
        condition: dict[str, Any] = {}
        if etag is not None:
            condition = {
                "source_etag": f'"{etag}"',
                "source_match_condition": MatchConditions.IfNotModified,
            }
        if if_absent:
            condition["match_condition"] = MatchConditions.IfMissing
        with _translated(source):
            # The SDK unquotes the source's name before it quotes it: `%2F` in a name would be lost.
            client = self._files.get_file_client(container, quote(key))
            try:
                client.rename_file(target, **condition)
            except HttpResponseError as error:
                if _code(error) != _NO_PARENT:
                    raise
                self._make_directory(target.rsplit("/", 1)[0])
                client.rename_file(target, **condition)

    def _make_directory(self, path: str) -> None:
        container, key = split(path)
        directory = self._files.get_directory_client(container, key)
        with suppress(ResourceExistsError):
            directory.create_directory(match_condition=MatchConditions.IfMissing)

    def delete(self, path: str, *, etag: str | None = None) -> None:
        """See `ingest.ports.Lake`."""
        condition: dict[str, Any] = {}
        if etag is not None:
            condition = {"etag": f'"{etag}"', "match_condition": MatchConditions.IfNotModified}
        with _translated(path):
            try:
                self._blob(path).delete_blob(**condition)
            except ResourceNotFoundError:
                return

    def delete_folder(self, path: str) -> None:
        """See `ingest.ports.Lake`."""
        container, key = split(path)
        with _translated(path):
            try:
                self._files.get_directory_client(container, key).delete_directory()
            except ResourceNotFoundError:
                return

    def upload_url(self, path: str, until: datetime) -> str:
        """See `ingest.ports.Lake`: signed by a user delegation key, or by the account's own.

        https://learn.microsoft.com/rest/api/storageservices/create-user-delegation-sas
        """
        container, key = split(path)
        blob = self._blob(path)
        begin = datetime.now(UTC) - _SIGNED_BEFORE
        account_key = getattr(self._blobs.credential, "account_key", None)
        with _translated(path):
            signed_by: dict[str, Any] = (
                {"account_key": account_key}
                if account_key
                else {"user_delegation_key": self._blobs.get_user_delegation_key(begin, until)}
            )
        signature = generate_blob_sas(
            str(blob.account_name),
            container,
            key,
            permission=BlobSasPermissions(create=True),
            start=begin,
            expiry=until,
            protocol="https" if blob.url.startswith("https") else "https,http",
            **signed_by,
        )
        return f"{blob.url}?{signature}"

    def list(
        self, prefix: str, *, metadata: bool = False, page: int | None = None
    ) -> Iterator[ListEntry]:
        """See `ingest.ports.Lake`; metadata is asked for in any case, it tells folders apart."""
        container, key = split(prefix)
        with _translated(prefix):
            blobs = self._blobs.get_container_client(container).list_blobs(
                name_starts_with=key or None, include=["metadata"], results_per_page=page
            )
            for blob in blobs:
                tags = blob.metadata or {}
                if tags.get("hdi_isfolder") != "true":
                    version = _version(f"{container}/{blob.name}", blob)
                    yield ListEntry(version, dict(tags) if metadata else {})

    def folders(self, prefix: str) -> Iterator[str]:
        """See `ingest.ports.Lake`."""
        container, key = split(prefix)
        with _translated(prefix):
            entries = self._blobs.get_container_client(container).walk_blobs(
                name_starts_with=key, delimiter="/"
            )
            for item in entries:
                if isinstance(item, BlobPrefix):
                    yield str(item.name)[len(key) :].rstrip("/")

    def _blob(self, path: str) -> BlobClient:
        container, key = split(path)
        return self._blobs.get_blob_client(container, key)


class _BlockWriter:
    """Puts blocks as they fill and the list of them at the end; a small file is one Put Blob."""

    def __init__(self, path: str, blob: BlobClient) -> None:
        self._path = path
        self._blob = blob
        self._buffer = bytearray()
        self._blocks: list[BlobBlock] = []

    def __enter__(self) -> Self:
        return self

    def write(self, data: bytes, /) -> int:
        self._buffer += data
        while len(self._buffer) >= BLOCK:
            self._stage(bytes(self._buffer[:BLOCK]))
            del self._buffer[:BLOCK]
        return len(data)

    def _stage(self, block: bytes) -> None:
        block_id = base64.b64encode(f"{len(self._blocks):08d}".encode()).decode()
        with _translated(self._path):
            self._blob.stage_block(block_id, block, length=len(block))
        self._blocks.append(BlobBlock(block_id))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            return  # uncommitted blocks are never seen, and Azure drops them after a week
        with _translated(self._path):
            if not self._blocks:
                self._blob.upload_blob(bytes(self._buffer), overwrite=True)
                return
            if self._buffer:
                self._stage(bytes(self._buffer))
            self._blob.commit_block_list(self._blocks)


def _bare(etag: Any) -> str:
    return str(etag).strip('"')


def _version(path: str, properties: Any) -> Version:
    return Version(
        path=path,
        etag=_bare(properties.etag),
        size=int(properties.size),
        modified=properties.last_modified,
        pending=properties.copy.status == "pending",
    )


@contextmanager
def _translated(path: str) -> Iterator[None]:
    """Turn the SDK's errors into ours by class and status: codes differ between the APIs."""
    try:
        yield
    except LandfallError:
        raise
    except ResourceExistsError as error:
        if _code(error).startswith("Lease"):
            raise Unavailable(f"{path} is leased by somebody else: {_code(error)}") from error
        raise AlreadyExists(f"{path} exists already") from error
    except ResourceModifiedError as error:
        if _code(error).startswith("Lease"):
            raise Unavailable(f"{path} is leased by somebody else: {_code(error)}") from error
        raise Stale(f"{path} has changed") from error
    except ResourceNotFoundError as error:
        raise NotFound(f"{path} is not there") from error
    except ClientAuthenticationError as error:
        raise AccessDenied(f"the lake does not accept this app's credential: {error}") from error
    except HttpResponseError as error:
        raise _of_status(path, error) from error
    except AzureError as error:
        raise Unavailable(f"{path}: the lake did not answer: {error}") from error


_NO_PARENT = "RenameDestinationParentPathNotFound"


def _code(error: HttpResponseError) -> str:
    headers = getattr(error.response, "headers", {})
    return str(headers.get("x-ms-error-code", ""))


_KINDS: dict[int, type[LandfallError]] = {
    401: AccessDenied,
    403: AccessDenied,
    404: NotFound,
    412: Stale,
    429: Throttled,
}
_SERVER = 500


def _of_status(path: str, error: HttpResponseError) -> LandfallError:
    """What the Data Lake SDK leaves unclassified, a rename's source condition among it."""
    status, code = error.status_code, _code(error)
    if code.startswith("Lease"):
        return Unavailable(f"{path} is leased by somebody else: {code}")
    if status is None or status >= _SERVER:
        return Unavailable(f"{path}: the lake answered {status}: {error.reason}")
    kind = _KINDS.get(status, Refused)
    if kind is AccessDenied:  # of a container, not of each file: it is said once
        return AccessDenied(f"the lake refuses this app {split(path)[0]}: {status} {code}")
    return kind(f"{path}: the lake answered {status}: {error.reason}")
