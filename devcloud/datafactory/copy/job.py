"""One copy: from the files that two datasets name, with a translator between them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from devcloud.datafactory.copy import translator
from devcloud.datafactory.copy.failure import CopyError
from devcloud.datafactory.copy.lake import BlockWriter, Lake, LakeFile
from devcloud.datafactory.copy.tabular import Table

_GROUP_ROWS = 262_144
_GROUP_BYTES = 32 * 1024 * 1024
_CODECS: dict[str, Any] = {"snappy": "snappy", "gzip": "gzip", "none": "none", "": "snappy"}


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

    def file(self, stop: threading.Event) -> LakeFile:
        """The file.

        Raises:
            CopyError: the dataset names a folder.
        """
        if not self.properties["location"].get("fileName"):
            raise CopyError(
                "UserErrorInvalidDataset", "location.fileName is empty: a file is copied, no folder"
            )
        return Lake(self.service).file(*self.place, stop)


@dataclass(frozen=True)
class CopyJob:
    """A Copy activity, evaluated.

    Attributes:
        extra: the source's additional columns.
        mapping: the translator.
        skip_faults: `enableSkipIncompatibleRow`.
    """

    source: End
    sink: End
    extra: dict[str, str]
    mapping: Any
    skip_faults: bool

    def run(self, stop: threading.Event) -> dict[str, Any]:
        """Do it; the output of the activity.

        Raises:
            CopyError: with what and where; then the sink is as it was.
            CopyStoppedError: the event was set.
        """
        began = time.monotonic()
        file = self.source.file(stop)
        writer = self.sink.file(stop).writer()
        counts: dict[str, Any] = {}
        if self.sink.kind == "Binary":
            for chunk in file.chunks():
                writer.write(chunk)
            writer.publish()
        else:
            extra = {
                name: _reserved(value, self.source.place[1]) for name, value in self.extra.items()
            }
            table = Table(file, self.source.kind, self.source.properties, extra, self.skip_faults)
            copied = self._tabular(table, writer)
            counts = {
                "rowsRead": table.rows_read,
                "rowsCopied": copied,
                "rowsSkipped": table.rows_skipped,
            }
        seconds = time.monotonic() - began
        return {
            "dataRead": file.bytes_read,
            "dataWritten": writer.bytes_written,
            "filesRead": 1,
            "filesWritten": 1,
            **counts,
            "copyDuration": max(round(seconds), 1),
            "throughput": round(file.bytes_read / 1024 / max(seconds, 0.001), 3),
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

    def _tabular(self, table: Table, writer: BlockWriter) -> int:
        columns = translator.read(self.mapping)
        mapped = (
            None
            if columns is None
            else {c.source for c in columns} | {c.path[-1] for c in columns if c.path}
        )
        lost = sorted(set(table.extra) - mapped) if mapped is not None else []
        if lost:
            # Azure would drop it without a word; here it is more useful to say so.
            raise CopyError(
                "UserErrorInvalidTranslator",
                f"the additional column {lost[0]!r} is not mapped and would be lost",
            )
        codec = str(self.sink.properties.get("compressionCodec", "snappy")).lower()
        if codec not in _CODECS:
            raise CopyError("UserErrorInvalidCompression", f"{codec!r} is not supported here")
        with _as_copy_errors(table.file.name):
            return _write_parquet(table.batches(columns), writer, _CODECS[codec])


def _write_parquet(batches: Iterator[pa.RecordBatch], writer: BlockWriter, codec: Any) -> int:
    """Write batches as row groups of bounded size, then publish; the number of rows."""
    parquet: pq.ParquetWriter | None = None
    pending: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        if parquet is None:
            parquet = pq.ParquetWriter(
                pa.PythonFile(writer, mode="w"),
                batch.schema,
                compression=codec,
                use_deprecated_int96_timestamps=True,  # as Data Factory writes DateTime
            )
        pending.append(batch)
        rows += batch.num_rows
        size = sum(each.nbytes for each in pending)
        if size >= _GROUP_BYTES or sum(each.num_rows for each in pending) >= _GROUP_ROWS:
            parquet.write_table(pa.Table.from_batches(pending))
            pending = []
    if parquet is None:
        raise CopyError("UserErrorEmptySource", "the source has no header and no rows")
    if pending:
        parquet.write_table(pa.Table.from_batches(pending))
    parquet.close()
    writer.publish()
    return rows


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
