"""Content on its way in: bodies, blocks and appends, each a file until it is published.

Blocks and appends wait on disk, so an upload begun before a restart can be finished after it.
"""

# Every request comes through here: paths are strings, since Path objects cost several times more.
# ruff: noqa: PTH105

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from devcloud.lake import structured
from devcloud.lake.crc64 import crc64, encoded
from devcloud.lake.errors import LakeError
from devcloud.lake.messages import LakeRequest
from devcloud.lake.store import LakeStore, StoredEntry

IN_LOOP_BYTES = 4 << 20  # more than that is copied in a thread, while others are served
COPY_BYTES = 64 << 20
BLOCK_ID_BYTES = 64


@dataclass(slots=True)
class Received:
    """A body that arrived whole: its staged file, size, MD5, and headers that tell how it came."""

    staged: str
    size: int
    md5: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, frozen=True)
class StagedBlock:
    """Bytes of a file that become part of another; `whole` if they are all of a staged one."""

    local: str
    offset: int
    length: int
    whole: bool = False


async def receive(store: LakeStore, request: LakeRequest) -> Received:
    """Write a body to a staged file as it arrives, and check it against its hashes.

    Raises:
        LakeError: Md5Mismatch, InvalidMd5, Crc64Mismatch or MissingContentLengthHeader.
        ClientGoneError: it did not arrive whole.
    """
    if "content-length" not in request.headers:
        raise LakeError("MissingContentLengthHeader")
    validation = BodyChecks(request)
    staged = store.stage()
    digest = hashlib.md5(usedforsecurity=False)
    size = 0
    file = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        async for received in request.body():
            chunk = validation.content(received)
            digest.update(chunk)
            size += len(chunk)
            left = memoryview(chunk)
            while left:
                left = left[os.write(file, left) :]
        md5 = base64.b64encode(digest.digest()).decode()
        check_md5(request.headers.get("content-md5"), md5)
        validation.finish()
    except BaseException:
        store.discard(staged)
        raise
    finally:
        os.close(file)
    return Received(staged, size, md5, {"content-md5": md5, **validation.headers})


class BodyChecks:
    """What a request says of its body beside the MD5: a CRC-64, or that it is structured.

    Attributes:
        headers: what the reply tells of it.

    Raises:
        LakeError: BothCrc64AndMd5HeaderPresent, or NotImplemented for another structured form.
    """

    def __init__(self, request: LakeRequest) -> None:
        headers = request.headers
        self._announced = headers.get("x-ms-content-crc64")
        self._crc = 0
        self._decoder: structured.Decoder | None = None
        self.headers: dict[str, str] = {}
        if self._announced is not None and "content-md5" in headers:
            raise LakeError("BothCrc64AndMd5HeaderPresent")
        form = headers.get("x-ms-structured-body")
        if form is not None:
            structured.check_name(form)
            length = headers.get("x-ms-structured-content-length", "")
            self._decoder = structured.Decoder(int(length) if length.isdigit() else None)
            self.headers["x-ms-structured-body"] = form

    def content(self, received: bytes) -> bytes:
        """The content in some bytes of a body."""
        content = self._decoder.feed(received) if self._decoder else received
        if self._announced is not None:
            self._crc = crc64(content, self._crc)
        return content

    def finish(self) -> None:
        """Compare with what was announced.

        Raises:
            LakeError: Crc64Mismatch, or InvalidInput for a structured body that is cut.
        """
        if self._decoder:
            self._decoder.finish()
        if self._announced is not None:
            if encoded(self._crc) != self._announced:
                raise LakeError("Crc64Mismatch")
            self.headers["x-ms-content-crc64"] = self._announced


def check_md5(given: str | None, computed: str) -> None:
    """Compare a hash that a client sent with that of what arrived; both base64.

    Raises:
        LakeError: Md5Mismatch, or InvalidMd5 if it is no hash at all.
    """
    if given is None or given == computed:
        return
    try:
        decoded = base64.b64decode(given, validate=True)
    except binascii.Error:
        decoded = b""
    raise LakeError("Md5Mismatch" if len(decoded) == 16 else "InvalidMd5")  # noqa: PLR2004


async def assemble(store: LakeStore, pieces: Iterable[StagedBlock]) -> str:
    """A staged file of those pieces, in that order."""
    listed = list(pieces)
    staged = store.stage()
    if len(listed) == 1 and listed[0].whole:
        os.link(listed[0].local, staged)
    elif sum(piece.length for piece in listed) <= IN_LOOP_BYTES:
        _join(staged, listed)
    else:
        await asyncio.to_thread(_join, staged, listed)
    return staged


def _join(staged: str, pieces: list[StagedBlock]) -> None:
    target = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        for piece in pieces:
            copy_bytes(piece.local, piece.offset, target, piece.length)
    finally:
        os.close(target)


def copy_bytes(local: str, offset: int, target: int, length: int) -> None:
    """Copy a part of a file to where an open one stands.

    Raises:
        LakeError: the file is shorter than that.
    """
    source = os.open(local, os.O_RDONLY)
    try:
        _copy(source, offset, target, length)
    finally:
        os.close(source)


def _copy(source: int, offset: int, target: int, length: int) -> None:
    while length:
        copied = os.pread(source, min(length, COPY_BYTES, 1 << 20), offset)
        if not copied:
            raise LakeError("ConditionNotMet", "The content changed while it was read.")
        left = memoryview(copied)
        while left:
            left = left[os.write(target, left) :]
        offset += len(copied)
        length -= len(copied)


class Blocks:
    """Blocks of blobs that are not committed yet."""

    def __init__(self, folder: Path, store: LakeStore) -> None:
        """Keep them in a folder, on the disk of the containers."""
        self._folder = folder
        self._store = store
        folder.mkdir(parents=True, exist_ok=True)

    def put(self, container: str, key: str, block: str, received: Received) -> None:
        """Keep a block; one with the same id is replaced.

        Raises:
            LakeError: InvalidBlockId, or InvalidBlobOrBlock for an id of another length.
        """
        try:
            valid = 0 < len(base64.b64decode(block, validate=True)) <= BLOCK_ID_BYTES
        except binascii.Error:
            valid = False
        if not valid:
            raise LakeError("InvalidBlockId")
        folder = self._of(container, key)
        folder.mkdir(exist_ok=True)
        name = block.encode().hex()
        with os.scandir(folder) as others:
            first = next(others, None)
        if first is not None and len(first.name) != len(name):
            raise LakeError("InvalidBlobOrBlock", "The ids of a blob's blocks have one length.")
        os.replace(received.staged, folder / name)
        self._store.sync(str(folder / name), str(folder), str(self._folder))

    def uncommitted(self, container: str, key: str) -> dict[str, int]:
        """Id and size of each block that waits, in the order of ids."""
        sizes: dict[str, int] = {}
        with contextlib.suppress(FileNotFoundError), os.scandir(self._of(container, key)) as files:
            for file in files:
                sizes[bytes.fromhex(file.name).decode()] = file.stat().st_size
        return dict(sorted(sizes.items()))

    def resolve(
        self,
        container: str,
        key: str,
        block_list: Iterable[tuple[str, str]],
        current: StoredEntry | None,
    ) -> list[tuple[str, StagedBlock]]:
        """Where the bytes of a block list are.

        Args:
            container: of the blob.
            key: of the blob.
            block_list: pairs of kind (Latest, Uncommitted, Committed) and block id.
            current: the blob as it is now, for its committed blocks.

        Raises:
            LakeError: InvalidBlockList, for a block that is not there.
        """
        waiting = self.uncommitted(container, key)
        committed: dict[str, StagedBlock] = {}
        offset = 0
        for block, size in current.properties.blocks if current else []:
            committed[block] = StagedBlock(current.local if current else "", offset, size)
            offset += size
        folder = self._of(container, key)
        blocks: list[tuple[str, StagedBlock]] = []
        for kind, block in block_list:
            if block in waiting and kind != "Committed":
                local = str(folder / block.encode().hex())
                blocks.append((block, StagedBlock(local, 0, waiting[block], whole=True)))
            elif block in committed and kind != "Uncommitted":
                blocks.append((block, committed[block]))
            else:
                raise LakeError("InvalidBlockList", f"No block {block!r} ({kind}).")
        return blocks

    def forget(self, container: str, key: str) -> None:
        """Drop the blocks of a blob that was committed or written anew."""
        folder = self._of(container, key)
        if folder.exists():
            shutil.rmtree(folder, ignore_errors=True)

    def _of(self, container: str, key: str) -> Path:
        return self._folder / hashlib.sha256(f"{container}/{key}".encode()).hexdigest()


class Appends:
    """Data appended to files through the dfs API and not flushed yet."""

    def __init__(self, folder: Path, store: LakeStore) -> None:
        """Keep it in a folder, on the disk of the containers."""
        self._folder = folder
        self._store = store
        folder.mkdir(parents=True, exist_ok=True)

    def put(self, entry: StoredEntry, position: int, received: Received) -> None:
        """Keep data for a position of a file, in whatever order it comes."""
        folder = self._of(entry)
        folder.mkdir(exist_ok=True)
        piece = folder / f"{position:020d}"
        os.replace(received.staged, piece)
        self._store.sync(str(piece), str(folder), str(self._folder))

    def until(self, entry: StoredEntry, position: int) -> list[StagedBlock]:
        """The pieces that bring a file from its length to `position`.

        Raises:
            LakeError: InvalidFlushPosition, if they do not join up to it.
        """
        pieces: list[StagedBlock] = []
        cursor = entry.size
        with contextlib.suppress(FileNotFoundError):
            for local in sorted(self._of(entry).iterdir()):
                if int(local.name) == cursor and cursor < position:
                    size = local.stat().st_size
                    pieces.append(StagedBlock(str(local), 0, size, whole=True))
                    cursor += size
        if cursor != position:
            raise LakeError("InvalidFlushPosition")
        return pieces

    def flushed(self, entry: StoredEntry, pieces: Iterable[StagedBlock], *, retain: bool) -> None:
        """Drop what was flushed; and what was not, unless it is to be retained."""
        for piece in pieces:
            Path(piece.local).unlink(missing_ok=True)
        if not retain:
            self.forget(entry)

    def forget(self, entry: StoredEntry) -> None:
        """Drop all that waits for a file."""
        folder = self._of(entry)
        if folder.exists():
            shutil.rmtree(folder, ignore_errors=True)

    def _of(self, entry: StoredEntry) -> Path:
        return self._folder / f"{entry.properties.created:x}"
