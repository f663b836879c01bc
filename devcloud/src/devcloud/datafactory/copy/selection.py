"""Which files of a lake an activity means: a folder, or folders and names with wildcards."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from devcloud.datafactory.copy.lake import CopyLake
from devcloud.datafactory.expressions.arguments import to_text

_WILD = {"*", "?"}


@dataclass(frozen=True)
class FileSelection:
    """The part of `storeSettings` that selects files.

    Attributes:
        folder: `wildcardFolderPath`, in place of the dataset's folder; empty for that.
        name: `wildcardFileName`; empty for every name.
        recursive: whether files of the folders below are meant too.
    """

    folder: str = ""
    name: str = ""
    recursive: bool = True

    @classmethod
    def read(cls, settings: Mapping[str, Any], *, recursive: bool) -> FileSelection:
        """From settings that are evaluated; `recursive` is what holds where they do not say."""
        given = settings.get("recursive")
        return cls(
            to_text(settings.get("wildcardFolderPath") or "").strip("/"),
            to_text(settings.get("wildcardFileName") or ""),
            recursive if given in (None, "") else str(given).lower() == "true",
        )

    @property
    def is_wild(self) -> bool:
        """Whether files are looked for, in place of the one that the dataset names."""
        return bool(self.folder or self.name)

    def base(self, folder: str) -> str:
        """The folder below which they are, without wildcards; `folder` is the dataset's."""
        if not self.folder:
            return folder
        fixed = []
        for segment in self.folder.split("/"):
            if _WILD & set(segment):
                break
            fixed.append(segment)
        return "/".join(fixed)

    def paths(self, lake: CopyLake, container: str, folder: str) -> list[str]:
        """Paths in the container, in the order of a listing."""
        deep = self.recursive or bool(self.folder)
        return [
            path
            for path in lake.files(container, self.base(folder), recursive=deep)
            if self._has(path)
        ]

    def _has(self, path: str) -> bool:
        inside, _, name = path.rpartition("/")
        if self.name and not matches(name, self.name):
            return False
        if not self.folder:
            return True
        patterns, segments = self.folder.split("/"), inside.split("/") if inside else []
        if len(segments) < len(patterns) or (len(segments) > len(patterns) and not self.recursive):
            return False
        return all(map(matches, segments, patterns))


def matches(name: str, wildcard: str) -> bool:
    """Whether a name is like a pattern: `*` is any text, `?` one character, all else itself."""
    pattern = "".join({"*": ".*", "?": "."}.get(c) or re.escape(c) for c in wildcard)
    return re.fullmatch(pattern, name, re.DOTALL) is not None
