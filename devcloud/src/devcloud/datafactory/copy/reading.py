"""What a copy reads: rows of a table, or documents of JSON, from whatever store."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from devcloud.datafactory.copy.delimited import DelimitedReader, TextDialect
from devcloud.datafactory.copy.failure import CopyError
from devcloud.datafactory.copy.file import ReadableFile
from devcloud.datafactory.copy.json_text import objects

_ROWS = 16_384


class Rows(Protocol):
    """One thing that is read from its beginning to its end."""

    @property
    def hierarchical(self) -> bool:
        """Whether it gives documents instead of batches."""
        ...

    @property
    def name(self) -> str:
        """For messages."""
        ...

    @property
    def bytes_read(self) -> int:
        """So far."""
        ...

    @property
    def skipped(self) -> int:
        """How many rows could not be read and were left out, so far."""
        ...

    def batches(self, names: list[str] | None) -> Generator[pa.RecordBatch, None, None]:
        """The rows of a table; of the columns named, where the format can read only some."""
        ...

    def documents(self) -> Iterator[Any]:
        """The documents of JSON, one after the other; floats are `Decimal`."""
        ...


@dataclass
class FileRows:
    """A file of delimited text, JSON or Parquet.

    Attributes:
        kind: type of its dataset; properties: the dataset's typeProperties, evaluated.
        skip_faults: whether rows with a wrong number of values are left out.
    """

    file: ReadableFile
    kind: str
    properties: dict[str, Any]
    skip_faults: bool = False
    skipped: int = 0

    @property
    def hierarchical(self) -> bool:
        """Whether it is JSON."""
        return self.kind == "Json"

    @property
    def name(self) -> str:
        """Of the file."""
        return self.file.name

    @property
    def bytes_read(self) -> int:
        """Of the file, so far."""
        return self.file.bytes_read

    def batches(self, names: list[str] | None) -> Generator[pa.RecordBatch, None, None]:
        """The rows of delimited text or Parquet."""
        return self._delimited() if self.kind == "DelimitedText" else self._parquet(names)

    def documents(self) -> Iterator[dict[str, Any]]:
        """The objects of a JSON file."""
        return objects(self.file, self.properties)

    def _delimited(self) -> Generator[pa.RecordBatch, None, None]:
        reader = DelimitedReader(self.file, TextDialect.read(self.properties), self.skip_faults)
        for batch in reader.batches():
            self.skipped = reader.skipped
            yield batch
        self.skipped = reader.skipped

    def _parquet(self, names: list[str] | None) -> Generator[pa.RecordBatch, None, None]:
        try:
            parquet = pq.ParquetFile(pa.PythonFile(self.file.random_access(), mode="r"))
            present = set(parquet.schema_arrow.names)
            some = None if names is None else [name for name in names if name in present]
            yield from parquet.iter_batches(_ROWS, columns=some, use_threads=False)
            if parquet.metadata.num_rows == 0:
                yield pa.RecordBatch.from_pylist([], schema=parquet.schema_arrow)
        except pa.ArrowInvalid as error:
            raise CopyError(
                "UserErrorParquetInvalid", f"'{self.file.name}' is not valid Parquet: {error}"
            ) from error
