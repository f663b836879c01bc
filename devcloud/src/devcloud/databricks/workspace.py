"""The workspace's file tree, kept as real files under one folder."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path, PurePosixPath
from typing import Any

from devcloud.databricks.errors import ApiError, absent, invalid
from devcloud.databricks.notebooks import NotebookIndex

LONGEST_NAME = 255


class Workspace:
    """Files and folders by workspace path; `/Workspace/Users/x` and `/Users/x` are the same."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._notebooks = NotebookIndex(folder.parent / "notebooks.json")
        self._lock = threading.Lock()

    def local(self, path: str) -> Path:
        """Where a workspace path lies on disk.

        Raises:
            ApiError: the path is relative or leads elsewhere.
        """
        pure = PurePosixPath(path)
        if not path.startswith("/") or ".." in pure.parts or "\0" in path:
            raise invalid(f"Path ({path}) must be absolute, without '..'.")
        parts = pure.parts[1:]
        if parts and parts[0] == "Workspace":
            parts = parts[1:]
        return self.folder.joinpath(*parts)

    def status(self, path: str) -> dict[str, Any]:
        """What is at a path.

        Raises:
            ApiError: 404, nothing is.
        """
        return self._status(path, self._existing(path))

    def list(self, path: str) -> list[dict[str, Any]]:
        """What is in a folder, by name; the file itself where the path is one."""
        local = self._existing(path)
        if local.is_file():
            return [self._status(path, local)]
        base = path.rstrip("/")
        return [self._status(f"{base}/{each.name}", each) for each in sorted(local.iterdir())]

    def mkdirs(self, path: str) -> None:
        """Make a folder and those above it.

        Raises:
            ApiError: 400 RESOURCE_ALREADY_EXISTS, a file is in the way.
        """
        try:
            self.local(path).mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise ApiError(
                400, "RESOURCE_ALREADY_EXISTS", f"Cannot make folder {path}: a file is there."
            ) from error

    def read(self, path: str) -> bytes:
        """The bytes of a file."""
        local = self._existing(path)
        if not local.is_file():
            raise invalid(f"{path} is a folder; only files can be exported.")
        return local.read_bytes()

    def language(self, path: str) -> str | None:
        """The language of a notebook; None of a plain file."""
        return self._notebooks.language(self._existing(path))

    def write(
        self, path: str, content: bytes, *, overwrite: bool, language: str | None = None
    ) -> dict[str, Any]:
        """Write a file whole; readers see the old one or the new one. Gives its status.

        With a `language` it is the source of a notebook.

        Raises:
            ApiError: 404 without the folder above it, 409 where it exists and may not be replaced,
                400 where it is a notebook and a plain file is to replace it, or the other way.
        """
        local = self.local(path)
        if not local.parent.is_dir():
            raise absent(f"The parent folder ({path.rpartition('/')[0]}) does not exist.")
        if len(local.name.encode()) > LONGEST_NAME:
            raise invalid(f"The name in {path} is longer than {LONGEST_NAME} bytes.")
        with self._lock:
            if local.is_dir() or (local.exists() and not overwrite):
                raise ApiError(409, "RESOURCE_ALREADY_EXISTS", f"Path ({path}) already exists.")
            known = self._notebooks.language(local)
            if local.exists() and (known is None) != (language is None):
                kind = "a file" if known is None else "a notebook"
                raise invalid(f"Cannot overwrite {path}: {kind} is there.")
            staged = self.folder.parent / f"upload-{os.getpid()}"
            staged.write_bytes(content)
            staged.replace(local)
            self._notebooks.put(local, language)
        return self._status(path, local)

    def delete(self, path: str, *, recursive: bool) -> None:
        """Delete a file or a folder.

        Raises:
            ApiError: 404 where nothing is, 400 for a folder with content and no `recursive`.
        """
        local = self._existing(path)
        if local == self.folder:
            raise invalid("The root of the workspace cannot be deleted.")
        if local.is_file():
            local.unlink()
            self._notebooks.put(local, None)
        elif recursive:
            shutil.rmtree(local)
            self._notebooks.drop_below(local)
        else:
            try:
                local.rmdir()
            except OSError as error:
                raise ApiError(
                    400, "DIRECTORY_NOT_EMPTY", f"Folder ({path}) is not empty."
                ) from error

    def _existing(self, path: str) -> Path:
        local = self.local(path)
        if not local.exists():
            raise absent(f"Path ({path}) doesn't exist.")
        return local

    def _status(self, path: str, local: Path) -> dict[str, Any]:
        facts = local.stat()
        status: dict[str, Any] = {
            "path": path.rstrip("/") or "/",
            "object_id": facts.st_ino,
            "resource_id": str(facts.st_ino),
        }
        if local.is_dir():
            return status | {"object_type": "DIRECTORY"}
        modified = int(facts.st_mtime * 1000)
        status |= {"created_at": modified, "modified_at": modified}
        language = self._notebooks.language(local)
        if language is not None:
            return status | {"object_type": "NOTEBOOK", "language": language}
        return status | {"object_type": "FILE", "size": facts.st_size}
