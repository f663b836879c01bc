"""One copy: from the files that two datasets name, with a translator between them."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from devcloud.datafactory.copy import sinks, translator
from devcloud.datafactory.copy.failure import CopyError
from devcloud.datafactory.copy.lake import BlockWriter, CopyLake, LakeFile
from devcloud.datafactory.copy.tabular import CopyTable


@dataclass(frozen=True)
class End:
    """A dataset with its linked service, all evaluated.

    Attributes:
        kind: type of the dataset; properties: its typeProperties; service: those of the linked
            service.
    """

    kind: str
    properties: dict[str, Any]
    service: dict[str, Any]

    @property
    def place(self) -> tuple[str, str]:
        """Container, and path of the file or folder in it.

        Raises:
            CopyError: there is no container.
        """
        location = self.properties["location"]
        container = location.get("fileSystem")
        if not container:
            raise CopyError("UserErrorInvalidDataset", "location.fileSystem is empty")
        parts = (location.get("folderPath"), location.get("fileName"))
        return str(container), "/".join(str(part).strip("/") for part in parts if part)

    @property
    def folder(self) -> tuple[str, str]:
        """Container, and path of the folder in it, whether or not a file is named too."""
        container, _ = self.place
        return container, str(self.properties["location"].get("folderPath") or "").strip("/")

    def file(self, stop: threading.Event) -> LakeFile:
        """The file.

        Raises:
            CopyError: the dataset names a folder.
        """
        if not self.properties["location"].get("fileName"):
            raise CopyError(
                "UserErrorInvalidDataset", "location.fileName is empty: a file is copied, no folder"
            )
        return CopyLake(self.service).file(*self.place, stop)


@dataclass(frozen=True)
class CopyJob:
    """A Copy activity, evaluated.

    Attributes:
        extra: the source's additional columns.
        mapping: the translator.
        skip_faults: `enableSkipIncompatibleRow`.
        wildcard: `wildcardFileName`: which files of the source's folder, `*` and `?` as in names;
            empty takes the one file that the dataset names.
        format_settings: of the sink.
        merge: `copyBehavior` MergeFiles: several files become the one that the sink names.
    """

    source: End
    sink: End
    extra: dict[str, str]
    mapping: Any
    skip_faults: bool
    wildcard: str = ""
    merge: bool = False
    format_settings: Mapping[str, Any] = field(default_factory=dict)

    def run(self, stop: threading.Event) -> dict[str, Any]:
        """Do it; the output of the activity.

        Raises:
            CopyError: with what and where; then the sink is as it was.
            CopyStoppedError: the event was set.
        """
        began = time.monotonic()
        files = self._files(stop)
        writer = self.sink.file(stop).writer()
        counts: dict[str, Any] = {}
        if self.sink.kind == "Binary":
            for file in files:
                for chunk in file.chunks():
                    writer.write(chunk)
            writer.publish()
        else:
            tables = [self._table(file) for file in files]
            copied = self._tabular(tables, writer)
            counts = {
                "rowsRead": sum(table.rows_read for table in tables),
                "rowsCopied": copied,
                "rowsSkipped": sum(table.rows_skipped for table in tables),
            }
        read = sum(file.bytes_read for file in files)
        seconds = time.monotonic() - began
        return {
            "dataRead": read,
            "dataWritten": writer.bytes_written,
            "filesRead": len(files),
            "filesWritten": 1,
            **counts,
            "copyDuration": max(round(seconds), 1),
            "throughput": round(read / 1024 / max(seconds, 0.001), 3),
            "errors": [],
            "usedParallelCopies": 1,
            "executionDetails": [
                {
                    "source": {"type": "AzureBlobFS"},
                    "sink": {"type": "AzureBlobFS"},
                    "status": "Succeeded",
                    "duration": max(round(seconds), 1),
                }
            ],
        }

    def _files(self, stop: threading.Event) -> list[LakeFile]:
        """The files to copy, in the order of their names.

        Raises:
            CopyError: none, or several for one sink without `MergeFiles`.
        """
        if not {"*", "?"} & set(self.wildcard):
            return [self.source.file(stop)]
        container, folder = self.source.folder
        lake = CopyLake(self.source.service)
        names = [
            child["name"]
            for child in lake.children(container, folder)
            if child["type"] == "File" and matches(child["name"], self.wildcard)
        ]
        if not names:
            raise CopyError(
                "UserErrorFileNotFound", f"no file of {container}/{folder} is like {self.wildcard}"
            )
        if len(names) > 1 and not self.merge:
            raise CopyError(
                "UserErrorInvalidCopyBehavior",
                f"{len(names)} files are like {self.wildcard}, and the sink names one: here they "
                "are only merged, by copyBehavior MergeFiles",
            )
        return [lake.file(container, f"{folder}/{name}".lstrip("/"), stop) for name in names]

    def _table(self, file: LakeFile) -> CopyTable:
        path = file.name.partition("/")[2]
        extra = {name: _reserved(value, path) for name, value in self.extra.items()}
        return CopyTable(file, self.source.kind, self.source.properties, extra, self.skip_faults)

    def _tabular(self, tables: list[CopyTable], writer: BlockWriter) -> int:
        columns = translator.read(self.mapping)
        mapped = (
            None
            if columns is None
            else {c.source for c in columns} | {c.path[-1] for c in columns if c.path}
        )
        lost = sorted(set(self.extra) - mapped) if mapped is not None else []
        if lost:
            # Azure would drop it without a word; here it is more useful to say so.
            raise CopyError(
                "UserErrorInvalidTranslator",
                f"the additional column {lost[0]!r} is not mapped and would be lost",
            )
        with _as_copy_errors(tables[0].file.name):
            batches = (batch for table in tables for batch in table.batches(columns))
            return sinks.write(
                batches, writer, self.sink.kind, self.sink.properties, self.format_settings
            )


def matches(name: str, wildcard: str) -> bool:
    """Whether a name is like a pattern: `*` is any text, `?` one character, all else itself."""
    pattern = "".join({"*": ".*", "?": "."}.get(c) or re.escape(c) for c in wildcard)
    return re.fullmatch(pattern, name, re.DOTALL) is not None


def _reserved(value: str, path: str) -> str:
    """The value of an additional column; `$$FILEPATH` is the source's path."""
    if value == "$$FILEPATH":
        return path
    if value.startswith("$$"):
        raise CopyError("UserErrorInvalidAdditionalColumn", f"{value!r} is not supported here")
    return value


@contextmanager
def _as_copy_errors(name: str) -> Iterator[None]:
    try:
        yield
    except pa.ArrowException as error:
        raise CopyError("UserErrorArrow", f"'{name}': {error}") from error
