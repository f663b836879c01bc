"""What a path carries beside its bytes: metadata, content headers, hash, blocks, access.

They live in one extended attribute of the file or folder, so that they move with it; where the
file system has no such attributes, or not enough room in them, in a file of a folder beside.
"""

# Every request comes through here: paths are strings, since Path objects cost several times more.
# ruff: noqa: PTH105, PTH108

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

ATTRIBUTE = "user.landfall"
BLOCK_BLOB, APPEND_BLOB = "BlockBlob", "AppendBlob"
DEFAULT_TYPE = "application/octet-stream"
ACCESS_FILE = "rw-r-----"
ACCESS_DIRECTORY = "rwxr-x---"


@dataclass(slots=True)
class Properties:
    """The properties of one path.

    Attributes:
        metadata: user's pairs.
        md5: base64, of the whole content, where the client or Put Blob gave it.
        created: nanoseconds since 1970; identifies the file through renames and appends.
        stamp: for a directory, nanoseconds of its last change of properties; its ETag.
        version: for a file, the mtime in nanoseconds that these properties belong to: if another
            process changed the content since, hash and blocks are void.
        kind: of blob; appended: committed blocks of an append blob; length: their bytes, beyond
            which an append that was cut off may have left some.
        blocks: id and size of each committed block.
        tier: access tier, where somebody set one; tier_changed: when, in nanoseconds.
        copy: the headers x-ms-copy-* of the copy that made it.
        policies: stored access policies of a container.
        access: owner, group, permissions and acl, as far as somebody set them; never enforced.
    """

    metadata: dict[str, str] = field(default_factory=dict)
    content_type: str = DEFAULT_TYPE
    content_encoding: str = ""
    content_language: str = ""
    content_disposition: str = ""
    cache_control: str = ""
    md5: str = ""
    created: int = 0
    stamp: int = 0
    version: int = 0
    blocks: list[tuple[str, int]] = field(default_factory=list)
    kind: str = BLOCK_BLOB
    appended: int = 0
    length: int = 0
    tier: str = ""
    tier_changed: int = 0
    copy: dict[str, str] = field(default_factory=dict)
    access: dict[str, str] = field(default_factory=dict)
    policies: list[dict[str, str]] = field(default_factory=list)

    def to_bytes(self) -> bytes:
        """Compact JSON without what has its default."""
        given = {key: value for key, value in asdict(self).items() if value}
        if self.kind == BLOCK_BLOB:
            del given["kind"]
        return json.dumps(given, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The opposite; unknown keys are left out."""
        document: dict[str, Any] = json.loads(data)
        return cls(**{key: value for key, value in document.items() if key in _FIELDS})


_FIELDS = frozenset(each.name for each in fields(Properties))


class PropertyStore:
    """Keeps properties in extended attributes, or beside where those fail."""

    def __init__(self, folder: Path, *, attributes: bool = True) -> None:
        """Use a folder for the fallback; `attributes=False` uses it for everything."""
        self._folder = str(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._attributes = attributes and hasattr(os, "setxattr")
        self._fallback_used = any(folder.iterdir())

    def read(self, path: str, inode: int, mtime: int, *, directory: bool) -> Properties | None:
        """The properties of a path; None if it never had any.

        Args:
            path: of the file or folder.
            inode: its inode.
            mtime: its modification time in nanoseconds.
            directory: whether it is a folder, whose mtime changes with its children.
        """
        if self._attributes:
            with contextlib.suppress(OSError):
                properties = Properties.from_bytes(os.getxattr(path, ATTRIBUTE))
                if not directory and properties.version != mtime:
                    properties.md5, properties.blocks, properties.copy = "", [], {}
                return properties
        if not self._fallback_used:
            return None
        try:
            properties = Properties.from_bytes(Path(self._beside(inode)).read_bytes())
        except FileNotFoundError:
            return None
        # The inode may be that of another file by now: only the very version has these properties.
        return properties if directory or properties.version == mtime else None

    def write(self, path: str, inode: int, properties: Properties) -> None:
        """Set the properties of a path, all of them."""
        data = properties.to_bytes()
        if self._attributes:
            try:
                os.setxattr(path, ATTRIBUTE, data)
            except OSError:  # no such attributes here, or more than fits into them
                with contextlib.suppress(OSError):
                    os.removexattr(path, ATTRIBUTE)
            else:
                return
        self._fallback_used = True
        staged = f"{self._beside(inode)}.tmp"
        Path(staged).write_bytes(data)
        os.replace(staged, self._beside(inode))

    def forget(self, inode: int) -> None:
        """Drop what is kept beside for an inode that is gone, before it is used again."""
        if self._fallback_used:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._beside(inode))

    def _beside(self, inode: int) -> str:
        return f"{self._folder}/{inode}"
