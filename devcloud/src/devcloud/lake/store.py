"""The tree: containers are folders, paths are files and folders in them.

Everything is published by one link or rename of a finished file from a staging folder on the same
disk, so nobody, inside the lake or outside, ever reads half of one. Methods do not wait: between
the check of a condition and the change that depends on it, no other request runs.
"""

# Every request comes through here: paths are strings, since Path objects cost several times more.
# ruff: noqa: PTH102, PTH104, PTH108, PTH112, PTH116, PTH120

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from devcloud.lake.errors import LakeError
from devcloud.lake.folders import FolderNames
from devcloud.lake.messages import CONTAINER, check_container
from devcloud.lake.properties import APPEND_BLOB, Properties, PropertyStore

SYSTEM = ".lake"  # beside the containers, on the same disk; cannot be a container's name


@dataclass(slots=True)
class StoredEntry:
    """A path as it is now.

    Attributes:
        key: path in its container; empty for the container's root.
        local: path of the file or folder.
        size: bytes; 0 for a directory.
        modified: nanoseconds since 1970.
        etag: without quotes.
    """

    key: str
    local: str
    directory: bool
    size: int
    modified: int
    etag: str
    inode: int
    properties: Properties


class VersionClock:
    """Nanoseconds since 1970 that never repeat, so no two versions share an ETag."""

    def __init__(self, now: Callable[[], int] = time.time_ns) -> None:
        self._now = now
        self._last = 0

    def tick(self, after: int = 0) -> int:
        """A time later than every earlier one, and than `after`."""
        self._last = max(self._last + 1, self._now(), after + 1)
        return self._last


class LakeStore:
    """A lake's folder."""

    def __init__(
        self,
        root: Path,
        clock: VersionClock | None = None,
        *,
        attributes: bool = True,
        durable: bool = False,
        deletion_seconds: float = 0,
    ) -> None:
        """Open or make the lake in a folder; leftovers of unfinished uploads are removed.

        Args:
            root: its children are the containers.
            clock: time of changes.
            attributes: whether to use extended attributes where the disk has them.
            deletion_seconds: how long the name of a deleted container cannot be used.
            durable: whether what was acknowledged survives a power cut, by fsync.
        """
        self._durable = durable
        self.root = root
        self.clock = clock or VersionClock()
        self.system = root / SYSTEM
        self._staging = self.system / "staging"
        shutil.rmtree(self._staging, ignore_errors=True)
        self._staging.mkdir(parents=True)
        self.properties = PropertyStore(self.system / "properties", attributes=attributes)
        self.folders = FolderNames()
        self._root = str(root)
        self.monotonic = time.monotonic
        self.deletion_seconds = deletion_seconds
        self._deleted: dict[str, float] = {}

    def sync(self, *paths: str) -> None:
        """Have files and folders on the disk before this returns, where the store is durable."""
        if not self._durable:
            return
        for path in paths:
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    # containers

    def containers(self) -> list[str]:
        """Names of all containers, sorted."""
        with os.scandir(self._root) as entries:
            return sorted(e.name for e in entries if CONTAINER.match(e.name) and e.is_dir())

    def create_container(self, name: str, metadata: dict[str, str] | None = None) -> StoredEntry:
        """Make a container.

        Raises:
            LakeError: ContainerAlreadyExists, InvalidResourceName, or ContainerBeingDeleted for
                `deletion_seconds` after one of that name was deleted.
        """
        check_container(name)
        local = f"{self._root}/{name}"
        gone = self._deleted.get(name)
        if gone is not None and self.monotonic() - gone < self.deletion_seconds:
            raise LakeError("ContainerBeingDeleted")
        try:
            os.mkdir(local)
        except FileExistsError:
            raise LakeError("ContainerAlreadyExists") from None
        self._stamp(local, Properties(metadata=metadata or {}))
        self.sync(local, self._root)
        return self.container(name)

    def container(self, name: str) -> StoredEntry:
        """A container's root.

        Raises:
            LakeError: ContainerNotFound.
        """
        check_container(name)
        entry = self.look(f"{self._root}/{name}", "")
        if entry is None or not entry.directory:
            raise LakeError("ContainerNotFound")
        return entry

    def policies(self, name: str) -> list[dict[str, str]]:
        """The stored access policies of a container; none of one that is not there."""
        try:
            return self.container(name).properties.policies
        except LakeError:
            return []

    def delete_container(self, name: str) -> None:
        """Delete a container with all that is in it.

        Raises:
            LakeError: ContainerNotFound.
        """
        self._discard_tree(self.container(name).local)
        self._deleted[name] = self.monotonic()

    # paths

    def local(self, container: str, key: str) -> str:
        """Where a path is on disk. The key must come from `check_key`."""
        return f"{self._root}/{container}/{key}" if key else f"{self._root}/{container}"

    def entry(self, container: str, key: str) -> StoredEntry | None:
        """A path as it is now; None if there is none.

        Raises:
            LakeError: ContainerNotFound.
        """
        entry = self.look(self.local(container, key), key)
        if entry is None or not key:
            self.container(container)
        return entry

    def look(self, local: str, key: str) -> StoredEntry | None:
        """The file or folder at a place; None if there is none."""
        try:
            status = os.stat(local, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return self.describe(local, key, status)

    def describe(self, local: str, key: str, status: os.stat_result) -> StoredEntry | None:
        """An entry from what `stat` says; None for what is neither file nor folder."""
        directory = stat.S_ISDIR(status.st_mode)
        if not directory and not stat.S_ISREG(status.st_mode):
            return None
        modified, inode = status.st_mtime_ns, status.st_ino
        properties = self.properties.read(local, inode, modified, directory=directory)
        if directory:
            if properties is None:  # made by another process: its ETag begins now
                properties = Properties()
                self._stamp(local, properties)
            modified = properties.stamp
            return StoredEntry(key, local, True, 0, modified, f"0x{modified:X}", inode, properties)
        size = status.st_size
        if properties is not None and properties.kind == APPEND_BLOB:
            size = min(size, properties.length)
        etag = f"0x{modified:X}{size:X}"
        file_properties = properties or Properties(created=modified)
        return StoredEntry(key, local, False, size, modified, etag, inode, file_properties)

    def stage(self) -> str:
        """A place for a new file, to be published or discarded."""
        return f"{self._staging}/{uuid.uuid4().hex}"

    def publish(
        self,
        container: str,
        key: str,
        staged: str,
        properties: Properties,
        *,
        current: StoredEntry | None,
        absent: bool = False,
    ) -> StoredEntry:
        """Make a staged file the content of a path, in one step.

        Args:
            container: an existing container.
            key: the path; folders above it are made.
            staged: the finished file; it is gone afterwards.
            properties: all properties of the new version.
            current: what is there now, on which the caller's conditions were checked.
            absent: refuse if anything is there, even if another process put it there just now.

        Raises:
            LakeError: BlobAlreadyExists, ResourceTypeMismatch or ContainerNotFound.
        """
        local = self.local(container, key)
        if current is not None and current.directory:
            raise LakeError("ResourceTypeMismatch", "There is a directory of that name.")
        modified = self.clock.tick(current.modified if current else 0)
        properties.version = modified
        properties.created = properties.created or modified
        status = os.stat(staged)
        self.properties.write(staged, status.st_ino, properties)
        os.utime(staged, ns=(modified, modified))
        self.sync(staged)
        place = os.link if absent else os.replace
        try:
            try:
                place(staged, local)
            except FileNotFoundError:
                self.make_directories(container, key.rpartition("/")[0])
                place(staged, local)
        except FileExistsError:
            raise LakeError("BlobAlreadyExists") from None
        except (IsADirectoryError, NotADirectoryError):
            raise LakeError("ResourceTypeMismatch", f"It is {key!r}.") from None
        self.sync(os.path.dirname(local))
        if absent:
            os.unlink(staged)
        if current is not None:
            self.properties.forget(current.inode)
        self._drop_checksum(local)
        etag = f"0x{modified:X}{status.st_size:X}"
        return StoredEntry(
            key, local, False, status.st_size, modified, etag, status.st_ino, properties
        )

    def change(self, entry: StoredEntry, properties: Properties) -> StoredEntry:
        """Replace the properties of a path; a new version, with the same content."""
        if entry.directory:
            self._stamp(entry.local, properties)
        else:
            modified = self.clock.tick(entry.modified)
            properties.version = modified
            properties.created = properties.created or entry.modified
            self.properties.write(entry.local, entry.inode, properties)
            os.utime(entry.local, ns=(modified, modified))
        self.sync(entry.local)
        changed = self.look(entry.local, entry.key)
        if changed is None:  # another process removed it meanwhile
            raise LakeError("BlobNotFound")
        return changed

    def annotate(self, entry: StoredEntry, properties: Properties) -> None:
        """Replace the properties of a file without making a new version of it."""
        properties.version = entry.modified
        properties.created = properties.created or entry.modified
        self.properties.write(entry.local, entry.inode, properties)
        self.sync(entry.local)

    def make_directories(self, container: str, key: str) -> list[str]:
        """Make a directory and those above it; answers the keys of those that were missing.

        Raises:
            LakeError: ContainerNotFound, or ResourceTypeMismatch if a file stands in the way.
        """
        self.container(container)
        missing: list[str] = []
        local = self.local(container, key)
        while key and not os.path.isdir(local):
            missing.append(key)
            key = key.rpartition("/")[0]
            local = self.local(container, key)
        for each in reversed(missing):
            local = self.local(container, each)
            try:
                os.mkdir(local)
            except FileExistsError:
                if not os.path.isdir(local):
                    raise LakeError("ResourceTypeMismatch", f"{each!r} is a file.") from None
            except NotADirectoryError:
                raise LakeError("ResourceTypeMismatch", f"A file is above {each!r}.") from None
            self._stamp(local, Properties())
            self.sync(local, os.path.dirname(local))
        return missing

    def rename(
        self, source: StoredEntry, container: str, key: str, overwritten: StoredEntry | None = None
    ) -> StoredEntry:
        """Move a file or a whole directory in one step; ETag and properties go with it.

        Args:
            source: what is moved.
            container: where to.
            key: its new path there.
            overwritten: what is at that path now.

        Raises:
            LakeError: RenameDestinationParentPathNotFound, PathAlreadyExists (a directory that is
                not empty, or a file and a directory) or InvalidRenameSourcePath.
        """
        local = self.local(container, key)
        try:
            os.rename(source.local, local)
        except OSError as error:
            raise _rename_refusal(error, source.local, local) from None
        self.sync(os.path.dirname(source.local), os.path.dirname(local))
        if overwritten is not None and overwritten.inode != source.inode:
            self.properties.forget(overwritten.inode)
        if not source.directory:
            self._drop_checksum(source.local)
            self._drop_checksum(local)
        moved = self.look(local, key)
        if moved is None:
            raise LakeError("SourcePathNotFound")
        return moved

    def delete(self, entry: StoredEntry, *, recursive: bool = False) -> None:
        """Delete a file, an empty directory, or with `recursive` a directory with all in it.

        Raises:
            LakeError: DirectoryIsNotEmpty.
        """
        if not entry.directory:
            os.unlink(entry.local)
            self.sync(os.path.dirname(entry.local))
            self.properties.forget(entry.inode)
            self._drop_checksum(entry.local)
            return
        if recursive:
            self._discard_tree(entry.local)
            return
        with os.scandir(entry.local) as children:
            names = [each.name for each in children]
        if any(not is_checksum(name) for name in names):
            raise LakeError("DirectoryIsNotEmpty")
        self._discard_tree(entry.local)

    @contextlib.contextmanager
    def staged(self, place: str) -> Iterator[str]:
        """Remove a staged file if what is to be done with it fails."""
        try:
            yield place
        except BaseException:
            self.discard(place)
            raise

    def discard(self, staged: str) -> None:
        """Remove a staged file, if it is still there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(staged)

    def _discard_tree(self, local: str) -> None:
        gone = self.stage()
        parent = os.path.dirname(local)
        os.rename(local, gone)  # at once for everybody; the work of removing it comes after
        self.sync(parent)
        threading.Thread(target=shutil.rmtree, args=(gone, True), daemon=True).start()

    def _stamp(self, local: str, properties: Properties) -> None:
        properties.stamp = self.clock.tick(properties.stamp)
        properties.created = properties.created or properties.stamp
        self.properties.write(local, os.stat(local).st_ino, properties)

    def _drop_checksum(self, local: str) -> None:
        """Remove the checksum that Hadoop's local file system keeps of the content before."""
        folder, _, name = local.rpartition("/")
        with contextlib.suppress(OSError):
            os.unlink(f"{folder}/.{name}.crc")


def _rename_refusal(error: OSError, source: str, target: str) -> Exception:
    parent = os.path.dirname(target)
    if error.errno == errno.ENOENT and not os.path.lexists(source):
        return LakeError("SourcePathNotFound")
    if error.errno == errno.ENOENT:
        return LakeError("RenameDestinationParentPathNotFound")
    if error.errno == errno.ENOTDIR and not os.path.isdir(parent):
        return LakeError("PathConflict", "The destination's parent is a file.")
    if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.EISDIR, errno.ENOTDIR):
        return LakeError("PathAlreadyExists")
    if error.errno == errno.EINVAL:
        return LakeError("InvalidRenameSourcePath")
    return error


def is_checksum(name: str) -> bool:
    """Whether a name is that of a checksum file of Hadoop's local file system."""
    return name.startswith(".") and name.endswith(".crc")
