"""The file read by many tasks at once: surveyed block by block, then validated record by record.

Delimited text and JSON Lines come by Spark's text source with LF as the only line end, so that a
line is the bytes between two of them and nothing is interpreted. Parquet comes by Spark's own
reader, with the number of each row in the file. DataFrame API only, so it runs over Spark Connect.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812

from landfall.validation.blocks import Cutter, Entry, Piece, Survey, Walk
from landfall.validation.columns import as_text
from landfall.validation.parts import Judged, PartValidator, Plan
from landfall.validation.problems import MAX_RECORD
from landfall.validation.tally import Tally
from spark_jobs.columns import quoted
from spark_jobs.lake import SparkLake

if TYPE_CHECKING:
    import pyarrow as pa

JUDGED = (
    "block long, line long, faults string, keys array<string>, raw binary, cells string, "
    "head boolean, tail boolean, tally string"
)
"""One row a record; beside them the pieces at the edges of blocks (`head` and `tail` say which)
and one tally a block, whose `line` is how many lines the block has."""

Batches = Iterable["pa.RecordBatch"]
Judgement = tuple[int, Judged, bytes | None, str | None]


def surveyed(lake: SparkLake, plan: Plan) -> dict[int, Survey]:
    """Every block of the file by its place, walked for both answers."""
    rows = _lines(lake, plan).mapInArrow(_survey(plan), "block long, survey string").collect()
    return {int(row["block"]): _survey_of(json.loads(row["survey"])) for row in rows}


def judged_lines(
    lake: SparkLake, plan: Plan, entries: Mapping[int, Entry], lines: int
) -> DataFrame:
    """Every record of text, validated; see `JUDGED`."""
    return _lines(lake, plan).mapInArrow(_judge_lines(plan, dict(entries), lines), JUDGED)


def judged_rows(lake: SparkLake, plan: Plan, rows: int) -> DataFrame:
    """Every record of a Parquet file, validated; see `JUDGED`."""
    names = [F.col(quoted(name)).alias(f"c{at}") for at, name in enumerate(plan.layout.sources)]
    number = (F.col("_metadata.row_index") + 1).alias("line")
    frame = lake.spark.read.parquet(lake.uri(plan.layout.path)).select(number, *names)
    return frame.mapInArrow(_judge_rows(plan, rows), JUDGED)


def stitched_rows(plan: Plan, pieces: Sequence[Piece], lines: int) -> tuple[list[Any], Tally]:
    """Records put together from pieces, validated here; as rows of `JUDGED` without their tally."""
    validator = PartValidator(plan, lines)
    judgements = _judged_pieces(pieces, validator, plan.layout.head_lines)
    return [
        (-1, line, _faults(judged), judged.keys or None, raw, cells, None, None, None)
        for line, judged, raw, cells in judgements
    ], validator.tally()


def _lines(lake: SparkLake, plan: Plan) -> DataFrame:
    frame = lake.spark.read.text(lake.uri(plan.layout.path), lineSep="\n")
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


def _survey(plan: Plan) -> Callable[[Batches], Batches]:
    def task(batches: Batches) -> Batches:
        import pyarrow as pa  # noqa: PLC0415 - on the worker

        splitter = plan.layout.splitter
        surveys: dict[int, Survey] = {}
        for batch in batches:
            for block, lines in _by_block(batch):
                surveys.setdefault(block, Survey()).take(lines, splitter)
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
        validator = PartValidator(plan, lines)
        cutters: dict[int, Cutter] = {}
        counted: dict[int, int] = {}
        for batch in batches:
            for block, part in _by_block(batch):
                counted[block] = counted.get(block, 0) + len(part)
                if block not in entries:
                    continue  # read in other blocks than were surveyed: the count shows it
                cutter = cutters.setdefault(block, Cutter(validator.splitter, entries[block]))
                pieces = list(cutter.cut(part))
                whole = [piece for piece in pieces if piece.head and piece.tail]
                judgements = _judged_pieces(whole, validator, plan.layout.head_lines)
                yield _batch(block, judgements, [p for p in pieces if not (p.head and p.tail)])
        for block, cutter in cutters.items():
            rest = cutter.rest()
            yield _batch(block, [], [] if rest is None else [rest])
        yield _tallies(counted, validator.tally())

    return task


def _judge_rows(plan: Plan, rows: int) -> Callable[[Batches], Batches]:
    names = plan.layout.names

    def task(batches: Batches) -> Batches:
        import polars as pl  # noqa: PLC0415 - on the worker
        import pyarrow as pa  # noqa: PLC0415 - likewise

        from landfall.validation.readers.parquet import (  # noqa: PLC0415 - it loads Polars
            json_line,
            normalized,
            python_rows,
        )

        validator = PartValidator(plan, rows)
        columns = {column.name: column for column in plan.contract.columns}
        for batch in batches:
            read = pl.DataFrame(pl.from_arrow(pa.Table.from_batches([batch])))
            lines = read.to_series(0).to_list()
            frame = read.select(
                normalized(given, read.schema[given], columns[name]).alias(name)
                for given, name in zip(read.columns[1:], names, strict=True)
            )
            judged = validator.judge_frame(lines, frame)
            records = python_rows(frame)
            raw = [json_line(names, row).removesuffix(b"\n") for row in records]
            cells = [json.dumps([as_text(cell) for cell in row]) for row in records]
            yield _batch(0, list(zip(lines, judged, raw, cells, strict=True)), [])
        yield _tallies({-1: 0}, validator.tally())

    return task


def _judged_pieces(
    pieces: Sequence[Piece], validator: PartValidator, head_lines: int
) -> list[Judgement]:
    """Whole records validated, without the header; one too long to hold is noted."""
    kept: list[tuple[int, bytes]] = []
    for piece in pieces:
        if piece.line <= head_lines:
            continue
        if piece.raw is None:
            validator.note_too_long(piece.line)
        else:
            kept.append((piece.line, piece.raw))
    judged = validator.judge_lines([line for line, _ in kept], [raw for _, raw in kept])
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
            pa.array([r[1].keys or None for r in records] + none, pa.list_(pa.string())),
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
            pa.array(nothing, pa.list_(pa.string())),
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
