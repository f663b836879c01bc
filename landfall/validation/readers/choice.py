"""Chooses the reader of a file by its format."""

from __future__ import annotations

from landfall.contract.model import Contract
from landfall.validation.batches import Reader
from landfall.validation.readers.delimited import Delimited
from landfall.validation.readers.opening import Opened
from landfall.validation.streams import ByteSource


def reader_of(opened: Opened, contract: Contract, source: ByteSource) -> Reader:
    """Return the reader of `opened`; Parquet and workbooks are read by ranges of `source`."""
    kind = opened.format.kind
    if kind == "csv":
        return Delimited(opened, contract)
    if kind == "jsonl":
        from landfall.validation.readers.objects import Lines  # noqa: PLC0415 - most drops are CSV

        return Lines(opened, contract)
    if kind == "json":
        from landfall.validation.readers.objects import Array  # noqa: PLC0415 - likewise

        return Array(opened, contract)
    if kind == "xlsx":
        from landfall.validation.readers.workbook import Workbook  # noqa: PLC0415 - likewise

        return Workbook(opened, contract, source)
    from landfall.validation.readers.parquet import Parquet  # noqa: PLC0415 - likewise

    return Parquet(opened, contract, source)
