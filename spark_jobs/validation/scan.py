"""The file read by many tasks at once: surveyed block by block, then validated record by record.

Delimited text and JSON Lines come by Spark's text source with LF as the only line end, so that a
line is the bytes between two of them and nothing is interpreted. Parquet comes by Spark's own
reader, with the number of each row in the file. DataFrame API only, so it runs over Spark Connect.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812

from spark_jobs.columns import quoted
from spark_jobs.lake import SparkLake
from spark_jobs.validation.blocks import MAX_RECORD, Cutter, Entry, Piece, Survey, Walk
from spark_jobs.validation.cells import as_text
from spark_jobs.validation.judge import Bench, Judged
from spark_jobs.validation.plan import Layout, Plan
from spark_jobs.validation.records import Dialect, Objects, Row
from spark_jobs.validation.tally import Tally

if TYPE_CHECKING:
    import pyarrow as pa

JUDGED = (
    "block long, line long, faults string, keys array<binary>, raw binary, cells string, "
    "head boolean, tail boolean, tally string"
)
"""One row a record; beside them the pieces at the edges of blocks (`head` and `tail` say which)
and one tally a block, whose `line` is how many lines the block has."""

Batches = Iterable["pa.RecordBatch"]
Judgement = tuple[int, Judged, bytes | None, str | None]


class Reader:
    """Turns the bytes of records into rows for the record validator."""

    def __init__(self, layout: Layout) -> None:
        self._dialect = Dialect(layout) if layout.kind == "csv" else None
        self._objects = Objects(layout.names)

    @property
    def dialect(self) -> Dialect | None:
        """How quoted fields are recognised; None where the format has none."""
        return self._dialect

    def row(self, raw: bytes) -> Row:
        """The cells of one record."""
        if self._dialect is not None:
            return self._dialect.row(raw.decode("utf-8", "surrogateescape"))
        return self._objects.row(raw)

    def note_extra(self, tally: Tally) -> None:
        """Add to the tally the names of fields that the table does not have."""
        tally.extra |= self._objects.extra


def surveyed(lake: SparkLake, plan: Plan) -> dict[int, Survey]:
    """Every block of the file by its place, walked for both answers."""
    layout = plan.layout
    rows = _lines(lake, layout).mapInArrow(_survey(layout), "block long, survey string").collect()
    return {int(row["block"]): _survey_of(json.loads(row["survey"])) for row in rows}


def judged_lines(
    lake: SparkLake, plan: Plan, entries: Mapping[int, Entry], lines: int
) -> DataFrame:
    """Every record of text, validated; see `JUDGED`."""
    return _lines(lake, plan.layout).mapInArrow(_judge_lines(plan, dict(entries), lines), JUDGED)


def judged_rows(lake: SparkLake, plan: Plan, rows: int) -> DataFrame:
    """Every record of a Parquet file, validated; see `JUDGED`."""
    names = [F.col(quoted(name)).alias(f"c{at}") for at, name in enumerate(plan.layout.sources)]
    number = (F.col("_metadata.row_index") + 1).alias("line")
    frame = lake.spark.read.parquet(lake.uri(plan.layout.path)).select(number, *names)
    return frame.mapInArrow(_judge_rows(plan, rows), JUDGED)


def stitched_rows(plan: Plan, pieces: Sequence[Piece], lines: int) -> tuple[list[Any], Tally]:
    """Records put together from pieces, validated here; as rows of `JUDGED` without their tally."""
    bench, reader = Bench(plan, lines), Reader(plan.layout)
    tally = bench.tally()
    judgements = _judged_pieces(pieces, bench, reader, tally, plan.layout.head_lines)
    return [
        (-1, line, _faults(judged), judged.keys or None, raw, cells, None, None, None)
        for line, judged, raw, cells in judgements
    ], tally


def _lines(lake: SparkLake, layout: Layout) -> DataFrame:
    frame = lake.spark.read.text(lake.uri(layout.path), lineSep="\n")
    too_long = F.octet_length("value") > MAX_RECORD
    line = F.when(too_long, F.lit(None)).otherwise(F.col("value").cast("binary")).alias("line")
    return frame.select(F.col("_metadata.file_block_start").alias("block"), line)


def _by_block(batch: pa.RecordBatch) -> Iterator[tuple[int, list[bytes | None]]]:
    """The lines of a batch, block by block, in their order."""
    blocks: list[Any] = batch.column(0).to_pylist()
    lines = batch.column(1).to_pylist()
    start = 0
    for at in range(1, len(blocks) + 1):
        if at == len(blocks) or blocks[at] != blocks[start]:
            yield blocks[start], lines[start:at]
            start = at


def _survey(layout: Layout) -> Callable[[Batches], Batches]:
    def task(batches: Batches) -> Batches:
        import pyarrow as pa  # noqa: PLC0415 - on the worker

        dialect = Dialect(layout) if layout.kind == "csv" else None
        surveys: dict[int, Survey] = {}
        for batch in batches:
            for block, lines in _by_block(batch):
                surveys.setdefault(block, Survey()).take(lines, dialect)
        texts = [json.dumps(asdict(survey)) for survey in surveys.values()]
        yield pa.RecordBatch.from_arrays(
            [pa.array(list(surveys), pa.int64()), pa.array(texts, pa.string())],
            names=["block", "survey"],
        )

    return task


def _survey_of(document: Mapping[str, Any]) -> Survey:
    closed, open_ = (Walk(**walk) for walk in document["walks"])
    return Survey(document["lines"], (closed, open_))


def _judge_lines(plan: Plan, entries: dict[int, Entry], lines: int) -> Callable[[Batches], Batches]:
    def task(batches: Batches) -> Batches:
        bench, reader = Bench(plan, lines), Reader(plan.layout)
        cutters: dict[int, Cutter] = {}
        counted: dict[int, int] = {}
        tally = bench.tally()
        for batch in batches:
            for block, part in _by_block(batch):
                counted[block] = counted.get(block, 0) + len(part)
                if block not in entries:
                    continue  # read in other blocks than were surveyed: the count shows it
                cutter = cutters.setdefault(block, Cutter(reader.dialect, entries[block]))
                pieces = list(cutter.cut(part))
                whole = [piece for piece in pieces if piece.head and piece.tail]
                judgements = _judged_pieces(whole, bench, reader, tally, plan.layout.head_lines)
                yield _batch(block, judgements, [p for p in pieces if not (p.head and p.tail)])
        for block, cutter in cutters.items():
            rest = cutter.rest()
            yield _batch(block, [], [] if rest is None else [rest])
        reader.note_extra(tally)
        yield _tallies(counted, tally)

    return task


def _judge_rows(plan: Plan, rows: int) -> Callable[[Batches], Batches]:
    names = plan.layout.names

    def task(batches: Batches) -> Batches:
        bench = Bench(plan, rows)
        tally = bench.tally()
        for batch in batches:
            lines: list[Any]
            lines, *columns = (column.to_pylist() for column in batch.columns)
            records = list(zip(*columns, strict=True))
            judged = bench.judge(lines, records, tally)
            raw = [_json_line(names, row) for row in records]
            cells = [json.dumps([as_text(cell) for cell in row]) for row in records]
            yield _batch(0, list(zip(lines, judged, raw, cells, strict=True)), [])
        yield _tallies({-1: 0}, tally)

    return task


def _judged_pieces(
    pieces: Sequence[Piece], bench: Bench, reader: Reader, tally: Tally, head_lines: int
) -> list[Judgement]:
    """Whole records validated, without the header; one too long to hold is noted in the tally."""
    kept: list[tuple[int, bytes]] = []
    for piece in pieces:
        if piece.line <= head_lines:
            continue
        if piece.raw is None:
            tally.note_too_long(piece.line)
        else:
            kept.append((piece.line, piece.raw))
    rows = [reader.row(raw) for _, raw in kept]
    judged = bench.judge([line for line, _ in kept], rows, tally)
    return [(line, one, raw, None) for (line, raw), one in zip(kept, judged, strict=True)]


def _batch(block: int, records: Sequence[Judgement], edges: Sequence[Piece]) -> pa.RecordBatch:
    import pyarrow as pa  # noqa: PLC0415 - on the worker

    some, many = [None] * len(records), len(records) + len(edges)
    none = [None] * len(edges)
    return pa.RecordBatch.from_arrays(
        [
            pa.array([block] * many, pa.int64()),
            pa.array([r[0] for r in records] + [e.line for e in edges], pa.int64()),
            pa.array([_faults(r[1]) for r in records] + none, pa.string()),
            pa.array([r[1].keys or None for r in records] + none, pa.list_(pa.binary())),
            pa.array([r[2] for r in records] + [e.raw for e in edges], pa.binary()),
            pa.array([r[3] for r in records] + none, pa.string()),
            pa.array([*some, *(e.head for e in edges)], pa.bool_()),
            pa.array([*some, *(e.tail for e in edges)], pa.bool_()),
            pa.array([None] * many, pa.string()),
        ],
        names=_NAMES,
    )


def _tallies(counted: Mapping[int, int], tally: Tally) -> pa.RecordBatch:
    """How many lines each block had; the first of them carries what was counted over all."""
    import pyarrow as pa  # noqa: PLC0415 - on the worker

    many = len(counted)
    nothing = [None] * many
    texts = [tally.to_json(), *[""] * many][:many]
    return pa.RecordBatch.from_arrays(
        [
            pa.array(list(counted), pa.int64()),
            pa.array(list(counted.values()), pa.int64()),
            pa.array(nothing, pa.string()),
            pa.array(nothing, pa.list_(pa.binary())),
            pa.array(nothing, pa.binary()),
            pa.array(nothing, pa.string()),
            pa.array(nothing, pa.bool_()),
            pa.array(nothing, pa.bool_()),
            pa.array(texts, pa.string()),
        ],
        names=_NAMES,
    )


_NAMES = [part.strip().split(" ")[0] for part in JUDGED.split(",")]


def _faults(judged: Judged) -> str | None:
    return json.dumps(judged.faults) if judged.faults else None


def _json_line(names: Sequence[str], row: Sequence[Any]) -> bytes:
    record = dict(zip(names, row, strict=True))
    return json.dumps(record, ensure_ascii=False, default=_iso).encode("utf-8", "surrogatepass")


def _iso(value: Any) -> str:
    return value.isoformat() if isinstance(value, (date, datetime, time)) else str(value)
