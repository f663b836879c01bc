"""Whoever holds a lease is called in every phase of a validation, not only while bytes are read."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import polars as pl
import pytest

from landfall.contract.folder import parse
from landfall.validation import Writer, validate
from landfall.validation.local_files import BytesSource
from tests.ingest.instances import contract

ROWS = 40_000
TOLERANT = "customProperties: [{property: maxRejectedRatio, value: 0.5}]"


class Phases:
    """Outputs that note how often progress was told, and how often after the last byte."""

    def __init__(self) -> None:
        self.told = 0
        self.after_reading = 0
        self.size = 0

    def tell(self, done: int) -> None:
        """What the holder of a lease is called with."""
        self.told += 1
        self.after_reading += done >= self.size

    @contextmanager
    def _sink(self) -> Iterator[Writer]:
        yield io.BytesIO()

    def rejects(self) -> AbstractContextManager[Writer]:
        """Rejects go nowhere."""
        return self._sink()

    reasons = accepted = rejects


def parquet() -> bytes:
    """Rows of which one is broken, in one row group."""
    data = io.BytesIO()
    pl.DataFrame({"id": [None, *range(1, ROWS)]}).write_parquet(data)
    return data.getvalue()


FILES = {
    "csv": b"id\nx\n" + b"".join(b"%d\n" % i for i in range(1, ROWS)),
    "jsonl": b'{"id": null}\n' + b"".join(b'{"id": %d}\n' % i for i in range(1, ROWS)),
    "json": b'[{"id": null}' + b"".join(b',{"id": %d}' % i for i in range(1, ROWS)) + b"]",
    "parquet": parquet(),
}


@pytest.mark.parametrize("kind", sorted(FILES))
def test_every_phase_tells_that_it_goes_on(kind: str) -> None:
    """While it reads, and while it validates and writes what was read."""
    phases = Phases()
    source = BytesSource(FILES[kind], chunk=1 << 16)
    phases.size = source.size
    report = validate(
        source,
        parse(contract("things", more=TOLERANT), file="things.odcs.yaml"),
        name=f"x.{kind}",
        outputs=phases,
        on_progress=phases.tell,
    )
    assert (report.verdict, report.rejected) == ("accepted_with_rejects", 1)
    assert phases.told > 1
    if kind == "parquet":  # all bytes pass before the first record is looked at
        assert phases.after_reading >= ROWS // 10_000
