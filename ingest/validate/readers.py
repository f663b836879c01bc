"""From what a file is to the reader of its records."""

from ingest.contract.model import Contract
from ingest.validate.batches import Reader
from ingest.validate.delimited import Delimited
from ingest.validate.opening import Opened
from ingest.validate.streams import Source


def reader_of(opened: Opened, contract: Contract, source: Source) -> Reader:
    """The reader of ``opened``; Parquet is read by ranges of ``source``."""
    kind = opened.format.kind
    if kind == "csv":
        return Delimited(opened, contract)
    if kind == "jsonl":
        from ingest.validate.objects import Lines  # noqa: PLC0415 - most drops are CSV

        return Lines(opened, contract)
    if kind == "json":
        from ingest.validate.objects import Array  # noqa: PLC0415 - likewise

        return Array(opened, contract)
    from ingest.validate.parquet import Parquet  # noqa: PLC0415 - likewise

    return Parquet(opened, contract, source)
