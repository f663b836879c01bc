"""One copy: from what a source gives to the files that a dataset names, mapped on the way."""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from devcloud.datafactory.copy import sinks
from devcloud.datafactory.copy.failure import CopyError, CopyStoppedError
from devcloud.datafactory.copy.file import ReadableFile
from devcloud.datafactory.copy.lake import BlockWriter, CopyLake, LakeFile
from devcloud.datafactory.copy.reading import FileRows, Rows
from devcloud.datafactory.copy.selection import FileSelection
from devcloud.datafactory.copy.tabular import CopyTable
from devcloud.datafactory.copy.translator import Translator

_ENDINGS = {"Parquet": ".parquet", "Json": ".json", "DelimitedText": ".txt"}


@dataclass(frozen=True)
class End:
    """A dataset with its linked service, all evaluated.

    Attributes:
        kind: type of the dataset; properties: its typeProperties.
        service: typeProperties of the linked service; store: its type.
    """

    kind: str
    properties: dict[str, Any]
    service: dict[str, Any]
    store: str = "AzureBlobFS"

    @property
    def place(self) -> tuple[str, str]:
        """Container, and path of the file or folder in it.

        Raises:
            CopyError: there is no container.
        """
        location = self.properties["location"]
        name = "container" if self.store == "AzureBlobStorage" else "fileSystem"
        container = location.get(name)
        if not container:
            raise CopyError("UserErrorInvalidDataset", f"location.{name} is empty")
        parts = (location.get("folderPath"), location.get("fileName"))
        return str(container), "/".join(str(part).strip("/") for part in parts if part)

    @property
    def folder(self) -> tuple[str, str]:
        """Container, and path of the folder in it, whether or not a file is named too."""
        container, _ = self.place
        return container, str(self.properties["location"].get("folderPath") or "").strip("/")

    @property
    def is_folder(self) -> bool:
        """Whether the dataset names a folder and no file in it."""
        return not self.properties["location"].get("fileName")

    def in_folder(self, name: str, stop: threading.Event) -> LakeFile:
        """A file of the folder."""
        container, folder = self.folder
        return CopyLake(self.service).file(container, f"{folder}/{name}".lstrip("/"), stop)

    def file(self, stop: threading.Event) -> LakeFile:
        """The file.

        Raises:
            CopyError: the dataset names a folder.
        """
        if self.is_folder:
            raise CopyError(
                "UserErrorInvalidDataset", "location.fileName is empty: a file is copied, no folder"
            )
        return CopyLake(self.service).file(*self.place, stop)


class CopySource(Protocol):
    """Where a copy reads."""

    @property
    def store(self) -> str:
        """The type of the store, as `executionDetails` names it."""
        ...

    def parts(self, stop: threading.Event) -> list[Rows]:
        """What is read, each part for itself.

        Raises:
            CopyError: it cannot be found out.
        """
        ...


@dataclass(frozen=True)
class FilesToCopy:
    """Files of the lake, or one file over HTTP.

    Attributes:
        end: the dataset.
        selection: which files of the source's folder; one without wildcards takes the file that
            the dataset names.
        several: whether there may be several files: they become the one that the sink names
            (`copyBehavior` MergeFiles), or the sink is a folder that takes them as they are.
        skip_faults: whether rows with a wrong number of values are left out.
        over_http: opens the file that the dataset names, where it is not one of the lake.
    """

    end: End
    selection: FileSelection = field(default_factory=FileSelection)
    several: bool = False
    skip_faults: bool = False
    over_http: Callable[[threading.Event], ReadableFile] | None = None

    @property
    def store(self) -> str:
        """The type of the store."""
        return self.end.store

    def parts(self, stop: threading.Event) -> list[Rows]:
        """One part a file."""
        properties = self.end.properties
        return [
            FileRows(file, self.end.kind, properties, self.skip_faults) for file in self.files(stop)
        ]

    def files(self, stop: threading.Event) -> list[ReadableFile]:
        """The files to copy, in the order of their names.

        Raises:
            CopyError: none, or several for one sink without `MergeFiles`.
        """
        if self.over_http is not None:
            return [self.over_http(stop)]
        if not self.selection.is_wild:
            return [self.end.file(stop)]
        container, folder = self.end.folder
        lake = CopyLake(self.end.service)
        paths = self.selection.paths(lake, container, folder)
        pattern = "/".join(filter(None, (self.selection.folder, self.selection.name)))
        if not paths:
            place = f"{container}/{self.selection.base(folder)}"
            wild = {"*", "?"} & set(pattern)
            raise CopyError(
                "UserErrorFileNotFound",
                f"no file of {place} is like {pattern}"
                if wild
                else f"'{place}/{pattern}' does not exist",
            )
        if len(paths) > 1 and not self.several:
            raise CopyError(
                "UserErrorInvalidCopyBehavior",
                f"{len(paths)} files are like {pattern}, and the sink names one: here they "
                "are only merged, by copyBehavior MergeFiles",
            )
        return [lake.file(container, path, stop) for path in paths]

    def relative(self, name: str) -> str:
        """The path of one of the files below the folder that all are in, or its name."""
        if self.over_http is not None or not self.selection.is_wild:
            return name.rpartition("/")[2]
        container, folder = self.end.folder
        base = self.selection.base(folder)
        return name.removeprefix(f"{container}/{base}/" if base else f"{container}/")


@dataclass(frozen=True)
class CopyJob:
    """A Copy activity, evaluated.

    Attributes:
        extra: the source's additional columns.
        translator: the mapping.
        skip_faults: `enableSkipIncompatibleRow`.
        format_settings: of the sink.
        at_once: `parallelCopies`: how many parts are copied at a time.
    """

    source: CopySource
    sink: End
    extra: dict[str, str] = field(default_factory=dict)
    translator: Translator = field(default_factory=Translator)
    skip_faults: bool = False
    format_settings: Mapping[str, Any] = field(default_factory=dict)
    at_once: int = 1

    def run(self, stop: threading.Event) -> dict[str, Any]:
        """Do it; the output of the activity.

        Raises:
            CopyError: with what and where; then the sink is as it was.
            CopyStoppedError: the event was set.
        """
        began = time.monotonic()
        if self.sink.kind == "Binary":
            counts = self._bytes(stop)
        elif self.sink.properties["location"].get("fileName") or isinstance(
            self.source, FilesToCopy
        ):
            counts = self._one_file(stop)
        else:
            counts = self._file_a_part(stop)
        seconds = time.monotonic() - began
        return {
            **counts,
            "copyDuration": max(round(seconds), 1),
            "throughput": round(counts["dataRead"] / 1024 / max(seconds, 0.001), 3),
            "errors": [],
            "executionDetails": [
                {
                    "source": {"type": self.source.store},
                    "sink": {"type": self.sink.store},
                    "status": "Succeeded",
                    "duration": max(round(seconds), 1),
                }
            ],
        }

    def _bytes(self, stop: threading.Event) -> dict[str, Any]:
        """Copy files byte by byte.

        Into a folder each goes under its own name, and in folders like its own, below the source's;
        else all become the one that the sink names.
        """
        assert isinstance(self.source, FilesToCopy)  # noqa: S101  (checked before)
        files = self.source.files(stop)
        if self.sink.is_folder:
            targets = [
                (self.sink.in_folder(self.source.relative(file.name), stop), [file])
                for file in files
            ]
        else:
            targets = [(self.sink.file(stop), files)]
        written = 0
        for target, sources in targets:
            writer = target.writer()
            for source in sources:
                for chunk in source.chunks():
                    writer.write(chunk)
            writer.publish()
            written += writer.bytes_written
        return {
            "dataRead": sum(file.bytes_read for file in files),
            "dataWritten": written,
            "filesRead": len(files),
            "filesWritten": len(targets),
            "usedParallelCopies": 1,
        }

    def _one_file(self, stop: threading.Event) -> dict[str, Any]:
        """All parts into the file that the sink names: files in their order, queries at once."""
        parts = self.source.parts(stop)
        writer = self.sink.file(stop).writer()
        tables = [self._table(part) for part in parts]
        ordered = isinstance(self.source, FilesToCopy)
        at_once = 1 if ordered else max(1, min(self.at_once, len(tables)))
        copied = self._write(tables, writer, at_once)
        writer.publish()
        return self._counts(tables, [writer], copied, at_once)

    def _file_a_part(self, stop: threading.Event) -> dict[str, Any]:
        """Each part into a file of its own in the sink's folder; all appear at the end.

        As Data Factory does, the files have new names each time: a second copy adds to the first.
        """
        tables = [self._table(part) for part in self.source.parts(stop)]
        ending = self.format_settings.get("fileExtension") or _ENDINGS[self.sink.kind]
        stem = f"data_{uuid.uuid4()}"
        writers = [
            self.sink.in_folder(f"{stem}_{number:05}{ending}", stop).writer()
            for number in range(len(tables))
        ]
        at_once = max(1, min(self.at_once, len(tables)))
        with ThreadPoolExecutor(at_once, thread_name_prefix="copy-part") as pool:
            futures = [
                pool.submit(self._write, [table], writer, 1, sinks.GROUP_BYTES // at_once)
                for table, writer in zip(tables, writers, strict=True)
            ]
            wait(futures, return_when=FIRST_EXCEPTION)
            if any(future.done() and future.exception() for future in futures):
                for writer in writers:
                    writer.abandon()
                for future in futures:
                    future.cancel()
        copied = sum(_results(futures))
        for writer in writers:
            writer.publish()
        return self._counts(tables, writers, copied, at_once)

    def _counts(
        self, tables: list[CopyTable], writers: list[BlockWriter], copied: int, at_once: int
    ) -> dict[str, Any]:
        files = {"filesRead": len(tables)} if isinstance(self.source, FilesToCopy) else {}
        return {
            "dataRead": sum(table.rows.bytes_read for table in tables),
            "dataWritten": sum(writer.bytes_written for writer in writers),
            **files,
            "filesWritten": len(writers),
            "rowsRead": sum(table.rows_read for table in tables),
            "rowsCopied": copied,
            "rowsSkipped": sum(table.rows_skipped for table in tables),
            "usedParallelCopies": at_once,
        }

    def _table(self, rows: Rows) -> CopyTable:
        path = rows.name.partition("/")[2]
        extra = {name: _reserved(value, path) for name, value in self.extra.items()}
        return CopyTable(rows, self.translator, extra, self.skip_faults)

    def _write(
        self,
        tables: list[CopyTable],
        writer: BlockWriter,
        at_once: int = 1,
        group_bytes: int = sinks.GROUP_BYTES,
    ) -> int:
        """The rows of some parts into one file, which is not yet published; how many."""
        columns = self.translator.columns
        if columns is not None:
            mapped = {c.source for c in columns} | {c.path[-1] for c in columns if c.path}
            lost = sorted(set(self.extra) - mapped)
            if lost:
                # Azure would drop it without a word; here it is more useful to say so.
                raise CopyError(
                    "UserErrorInvalidTranslator",
                    f"the additional column {lost[0]!r} is not mapped and would be lost",
                )
        with _as_copy_errors(tables[0].rows.name):
            if self._is_json_to_json(tables):
                objects = (each for table in tables for each in table.objects())
                pattern = str(self.format_settings.get("filePattern", "setOfObjects"))
                return sinks.write_json(objects, writer, pattern)
            with closing(_interleaved(tables, at_once)) as batches:
                return sinks.write(
                    batches,
                    writer,
                    self.sink.kind,
                    self.sink.properties,
                    self.format_settings,
                    group_bytes=group_bytes,
                )

    def _is_json_to_json(self, tables: list[CopyTable]) -> bool:
        """Whether documents become documents; with types asked for they go through columns."""
        typed = any(column.kind is not None for column in self.translator.columns or ())
        return self.sink.kind == "Json" and tables[0].rows.hierarchical and not typed


def _interleaved(tables: list[CopyTable], at_once: int) -> Generator[pa.RecordBatch, None, None]:
    """The batches of some parts, so many of which are open and taken from in turn.

    A query that is open runs ahead by itself, so the server works at all of them.
    """
    waiting = deque(tables)
    opened: deque[Generator[pa.RecordBatch, None, None]] = deque()
    try:
        while waiting or opened:
            while waiting and len(opened) < at_once:
                opened.append(waiting.popleft().batches())
            batch = next(opened[0], None)
            if batch is None:
                opened.popleft()
            else:
                yield batch
                opened.rotate(-1)
    finally:
        for batches in opened:
            batches.close()


def _results(futures: list[Future[int]]) -> list[int]:
    """What they gave; the first error that is not the consequence of another."""
    ended = [future for future in futures if not future.cancelled()]
    errors = [error for future in ended if (error := future.exception()) is not None]
    for error in errors:
        if not isinstance(error, CopyStoppedError):
            raise error
    for error in errors:
        raise error
    return [future.result() for future in ended]


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
