"""Local files as sources, outputs and references of a validation."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from landfall.contract.model import Contract
from landfall.validation.batches import Reader, regular
from landfall.validation.columns import Cells
from landfall.validation.problems import Refusal
from landfall.validation.readers.choice import reader_of
from landfall.validation.readers.opening import open_stream
from landfall.validation.streams import ReferenceUnavailable, Writer
from landfall.validation.typed import value_type

if TYPE_CHECKING:  # Polars takes longer to load than a small file to validate
    import polars as pl

CHUNK = 1 << 20


class FileSource:
    """A local file, read in chunks of one MiB."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self._path.stat().st_size

    def stream(self) -> Iterator[bytes]:
        """Yield the file from its start."""
        with self._path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk

    def read(self, offset: int, length: int) -> bytes:
        """The bytes of one range."""
        with self._path.open("rb") as file:
            file.seek(offset)
            return file.read(length)


class BytesSource:
    """Bytes in memory, streamed in chunks of a given size."""

    def __init__(self, data: bytes, chunk: int = CHUNK) -> None:
        self._data = data
        self._chunk = chunk

    @property
    def size(self) -> int:
        """Length in bytes."""
        return len(self._data)

    def stream(self) -> Iterator[bytes]:
        """Yield the bytes from their start."""
        for start in range(0, len(self._data), self._chunk):
            yield self._data[start : start + self._chunk]

    def read(self, offset: int, length: int) -> bytes:
        """The bytes of one range."""
        return self._data[offset : offset + length]


class FileOutputs:
    """Writes each output to a file if its path is given, else discards it.

    Without a path, reasons are written beside the rejects to `<rejects>.reasons.jsonl`.
    """

    def __init__(
        self,
        *,
        rejects: Path | None = None,
        reasons: Path | None = None,
        accepted: Path | None = None,
    ) -> None:
        self._rejects = rejects
        if reasons is None and rejects is not None:
            reasons = rejects.with_name(f"{rejects.name}.reasons.jsonl")
        self._reasons = reasons
        self._accepted = accepted

    def rejects(self) -> AbstractContextManager[Writer]:
        """Open the output of rejected records."""
        return _open(self._rejects)

    def reasons(self) -> AbstractContextManager[Writer]:
        """Open the output of reasons."""
        return _open(self._reasons)

    def accepted(self) -> AbstractContextManager[Writer] | None:
        """Open the output of the accepted records; None if there is no path."""
        return None if self._accepted is None else _kept(self._accepted)


class FileReferences:
    """Other datasets as local files, read by their contracts."""

    def __init__(self, files: Mapping[str, Path], contracts: Mapping[str, Contract]) -> None:
        self._files = files
        self._contracts = contracts

    def values(self, dataset: str, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Yield these columns of all well-formed records.

        Raises:
            ReferenceUnavailable: no file of the dataset was given, or it cannot be read.
        """
        if dataset not in self._files:
            raise ReferenceUnavailable(f"no file of dataset {dataset} was given")
        path, contract = self._files[dataset], self._contracts[dataset]
        source = FileSource(path)
        try:
            opened = open_stream(source.stream(), path.name, contract.hints, source)
            reader = reader_of(opened, contract, source)
            reader.start()
            yield from _columns(reader, contract, columns)
        except Refusal as refusal:
            raise ReferenceUnavailable(
                f"{path} cannot be read: {refusal.problem.reason}"
            ) from refusal


def _columns(reader: Reader, contract: Contract, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    import polars as pl  # noqa: PLC0415 - see the type's import

    at = {name: index for index, name in enumerate(reader.names)}
    columns_cells = [
        Cells(contract.column(name), at.get(name), typed=reader.typed) for name in columns
    ]
    for batch in reader.batches():
        rows = batch.rows
        whole = [rows[index] for index in regular(batch, len(at))]
        table = list(zip(*whole, strict=True))
        if table:
            yield pl.DataFrame(
                [
                    pl.Series(
                        cells.column.name,
                        cells.values(cells.of_table(table)),
                        dtype=value_type(cells.column),
                    )
                    for cells in columns_cells
                ]
            )


class _NullWriter(io.RawIOBase):
    def write(self, data: object, /) -> int:
        return len(data) if isinstance(data, bytes) else 0


@contextmanager
def _kept(path: Path) -> Iterator[Writer]:
    """A file that is deleted if it is not completed."""
    try:
        with path.open("wb") as file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _open(path: Path | None) -> AbstractContextManager[Writer]:
    if path is None:
        return nullcontext(_NullWriter())
    file: BinaryIO = path.open("wb")
    return file
