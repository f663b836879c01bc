"""Parquet files without the records of one subject; they keep their columns and types."""

from __future__ import annotations

import io
from collections.abc import Iterator

import polars as pl

from landfall.contract.model import Contract
from landfall.erasure.subject import Found, Matcher, Subject, matching
from landfall.validation.batches import Reader
from landfall.validation.problems import Refusal
from landfall.validation.readers import thrift
from landfall.validation.readers.footer import (
    ROWS,
    frames,
    group_as_file,
    groups_of,
    read_footer,
    schema_of,
)
from landfall.validation.report import AcceptedParquet
from landfall.validation.row_groups import RowGroupWriter
from landfall.validation.streams import ByteSource, Writer


def find_accepted(source: ByteSource, contract: Contract, subject: Subject) -> Found:
    """Return the subject's records in a Parquet file of accepted records.

    Raises:
        ValueError: it cannot be read, or lacks a column of the key.
    """
    names = list(subject.values)
    return Found(
        sum(int(matching(subject, contract, frame).sum()) for frame in frames(source, names)),
        {name: frozenset({value}) for name, value in subject.values.items()},
    )


def rewrite_accepted(
    source: ByteSource, contract: Contract, subject: Subject, writer: Writer
) -> AcceptedParquet:
    """Write a Parquet file of accepted records without the subject's; return what was written."""
    groups = _ParquetGroups(source)
    return groups.write(
        (frame.filter(~matching(subject, contract, frame)) for frame in groups.frames()), writer
    )


def accepted_rows(source: ByteSource) -> int:
    """Return how many rows a Parquet file has, by its footer.

    Raises:
        ValueError: it has no footer that can be read.
    """
    try:
        return int(thrift.get(read_footer(source), ROWS))
    except Refusal as refusal:
        raise ValueError(refusal.problem.reason) from refusal


def rewrite_drop(source: ByteSource, reader: Reader, matcher: Matcher, writer: Writer) -> None:
    """Write a dropped Parquet file without the records at the positions that its reader finds."""
    gone: list[int] = []
    records = 0
    for batch in reader.batches():
        gone += [records + position for position in matcher.positions(batch)]
        records += len(batch.rows)
    groups = _ParquetGroups(source)

    def kept() -> Iterator[pl.DataFrame]:
        start = 0
        for frame in groups.frames():
            here = [at - start for at in gone if start <= at < start + len(frame)]
            start += len(frame)
            yield frame.filter(~pl.int_range(pl.len()).is_in(here)) if here else frame

    groups.write(kept(), writer)


class _ParquetGroups:
    """The row groups of a Parquet file, one in memory at a time."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._footer = read_footer(source)
        self.schema = schema_of(self._footer)

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield each row group whole."""
        names = list(self.schema)
        for group in groups_of(self._footer):
            data = group_as_file(self._source, self._footer, group, names)
            yield pl.read_parquet(io.BytesIO(data), columns=names)

    def write(self, frames: Iterator[pl.DataFrame], writer: Writer) -> AcceptedParquet:
        """Write frames of the file's columns as a file."""
        groups = RowGroupWriter(writer, self.schema)
        for frame in frames:
            groups.add(frame)
        return groups.finish()
