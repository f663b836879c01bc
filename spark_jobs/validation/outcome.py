"""From validated records to what a validation leaves: rejects, reasons, accepted records, result.

    validated/      every record with its faults and keys, as Parquet
    rejected/    the records at fault, explained, as Parquet
    rejects/ reasons/    one part file each, in the order of the file
    accepted/    all other records, as typed Parquet
    result/      one JSON document

Of records that share a key the first in file order is valid and each later one is at fault.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812

from landfall.validation.blocks import Piece, chained, stitched
from landfall.validation.parts import PartValidator, Plan, answer_of
from landfall.validation.problems import MAX_RECORD
from landfall.validation.record_validator import MAX_EXAMPLES, MAX_SAMPLES
from landfall.validation.tally import Tally
from spark_jobs.errors import DropError
from spark_jobs.lake import SparkLake
from spark_jobs.validation.accepted import accepted_lines, accepted_rows
from spark_jobs.validation.scan import (
    JUDGED,
    judged_lines,
    judged_rows,
    stitched_rows,
    surveyed,
)

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = 1
TRIES = 3
"""How often a file is read anew that was not read twice in the same blocks."""

_REJECTED = "line long, raw binary, cells string, reason string, again string"
Document = dict[str, Any]


@dataclass(frozen=True)
class Validation:
    """One file, its plan, and the folder for what is found."""

    lake: SparkLake
    plan: Plan
    folder: str

    def run(self) -> Document:
        """Validate the file; the result document.

        Raises:
            SourceError: the file cannot be read, or not twice alike.
        """
        for _ in range(TRIES):
            problem, tally = self._judge()
            if problem is not None:
                return self._result(Tally(), problem=problem)
            if tally is not None:
                return self._conclude(tally)
        raise DropError(
            f"{self.plan.layout.path} was read in other blocks each time it was read; "
            "start the job again on compute of a steady size."
        )

    def _judge(self) -> tuple[Document | None, Tally | None]:
        """Write `validated/`; the problem that ends it, or all that was counted, or neither."""
        if self.plan.layout.kind == "parquet":
            rows = self.lake.spark.read.parquet(self._uri_of_file()).count()
            self._write("judged", judged_rows(self.lake, self.plan, rows))
            return None, self._tally({-1: 0})
        surveys = surveyed(self.lake, self.plan)
        chain = chained(surveys)
        if chain.open_line is not None:
            too_long = chain.open_size > MAX_RECORD
            kind = "too_long" if too_long else "unclosed_quote"
            return {"kind": kind, "line": chain.open_line}, None
        self._write("judged", judged_lines(self.lake, self.plan, chain.entries, chain.lines))
        tally = self._tally({block: survey.lines for block, survey in surveys.items()})
        if tally is None:
            return None, None
        tally.merge(self._stitch(chain.lines))
        if tally.too_long is not None:
            return {"kind": "too_long", "line": tally.too_long}, None
        return None, tally

    def _tally(self, blocks: dict[int, int]) -> Tally | None:
        """What all tasks counted; None if they read other blocks than these, by their lines."""
        rows = self._judged().where(F.col("tally").isNotNull()).select("block", "line", "tally")
        line_counts: dict[int, int] = {}
        total = PartValidator(self.plan, 0).tally()
        for row in rows.collect():
            line_counts[int(row["block"])] = int(row["line"])
            if row["tally"]:
                total.merge(Tally.from_json(row["tally"]))
        return total if line_counts == blocks or set(blocks) == {-1} else None

    def _stitch(self, lines: int) -> Tally:
        """Validate the records that lie in more than one block, and add them to `validated/`."""
        edges = (
            self._judged().where(F.col("head").isNotNull()).select("line", "raw", "head", "tail")
        )
        pieces = [
            Piece(
                row["line"],
                None if row["raw"] is None else bytes(row["raw"]),
                row["head"],
                row["tail"],
            )
            for row in edges.collect()
        ]
        pieces.sort(key=lambda piece: (piece.line, piece.head))
        rows, tally = stitched_rows(self.plan, list(stitched(pieces)), lines)
        if rows:
            frame = self.lake.spark.createDataFrame(rows, JUDGED)
            frame.coalesce(1).write.mode("append").parquet(self._uri("judged"))
        return tally

    def _conclude(self, tally: Tally) -> Document:
        repeats, counts = self._repeats()
        if tally.rejected or repeats is not None:
            self._explain(repeats)
            ends = self._rejected().agg(F.count(F.lit(1)), F.min("line")).collect()[0]
            tally.rejected = int(ends[0])
            if repeats is not None:
                self._count_repeats(tally)
            self._write_rejects(first=int(ends[1]))
        allowed = self.plan.contract.max_rejected_ratio * tally.rows
        if tally.rejected <= allowed:
            self._write_accepted(any_rejected=tally.rejected > 0)
        return self._result(
            tally, repeats=counts, examples=self._examples() if tally.rejected else []
        )

    def _result(
        self,
        tally: Tally,
        *,
        problem: Document | None = None,
        repeats: Sequence[int] = (),
        examples: Sequence[Document] = (),
    ) -> Document:
        """The result document; see docs/reference/plan.md."""
        counted = answer_of(self.plan, tally, repeats=repeats, examples=examples)
        return {"schema": SCHEMA, "problem": problem} | counted

    def _repeats(self) -> tuple[DataFrame | None, list[int]]:
        """Line and number of each repeated key that is a fault, and how often each key repeats."""
        validator = PartValidator(self.plan, 0)
        counts = [0] * len(validator.keys)
        if not counts:
            return None, counts
        keys = (self._records().select("line", F.posexplode("keys").alias("number", "key"))).where(
            F.col("key").isNotNull()
        )
        shared = (
            keys.groupBy("number", "key")
            .agg(F.min("line").alias("first"), F.count(F.lit(1)).alias("times"))
            .where("times > 1")
        )
        for row in shared.groupBy("number").agg(F.sum(F.col("times") - 1).alias("n")).collect():
            counts[row["number"]] = int(row["n"])
        faults = [
            at
            for at, key in enumerate(validator.keys)
            if counts[at] and (key.rule is None or key.rule.per_record)
        ]
        if not faults:
            return None, counts
        again = keys.where(F.col("number").isin(faults)).join(shared, on=["number", "key"])
        repeated_lines = again.where(F.col("line") > F.col("first")).groupBy("line")
        return repeated_lines.agg(F.array_sort(F.collect_set("number")).alias("numbers")), counts

    def _explain(self, repeats: DataFrame | None) -> None:
        """Write `rejected/`: every record at fault, with all its faults."""
        records = self._records().select("line", "faults", "raw", "cells")
        if repeats is None:
            numbered_records = records.withColumn("numbers", F.lit(None).cast("array<int>"))
        else:
            numbered_records = records.join(repeats, on="line", how="left")
        at_fault = numbered_records.where(
            F.col("faults").isNotNull() | F.col("numbers").isNotNull()
        )
        ordered = at_fault.select("line", "faults", "raw", "cells", "numbers")
        self._write("rejected", ordered.mapInArrow(_explain(self.plan), _REJECTED))

    def _count_repeats(self, tally: Tally) -> None:
        """Count the faults of repeated keys, with the first of each."""
        parts = F.from_json("again", "array<struct<rule:string,column:string,value:string>>")
        again = self._rejected().where(F.col("again").isNotNull())
        faults = again.select("line", F.explode(parts).alias("fault")).select("line", "fault.*")
        for row in faults.groupBy("rule", "column").agg(F.count(F.lit(1)).alias("n")).collect():
            same = (F.col("rule") == row["rule"]) & F.col("column").eqNullSafe(row["column"])
            first = faults.where(same).orderBy("line").limit(MAX_SAMPLES).collect()
            samples = [(int(one["line"]), one["value"]) for one in first]
            tally.count((row["rule"], row["column"]), int(row["n"]), samples)

    def _write_rejects(self, first: int) -> None:
        """As they came, with what stood before the first record; and why, line by line."""
        layout = self.plan.layout
        rejected = self._rejected()
        before = F.lit((layout.mark + layout.head).encode("utf-8", "surrogateescape"))
        raw = F.when(F.col("line") == first, F.concat(before, F.col("raw")))
        self._write_lines("rejects", rejected, raw.otherwise(F.col("raw")))
        self._write_lines("reasons", rejected, F.col("reason"))

    def _write_accepted(self, *, any_rejected: bool) -> None:
        """All records but the rejected ones, typed."""
        rejected = self._rejected().select("line") if any_rejected else None
        if self.plan.layout.kind == "parquet":
            self._write("accepted", accepted_rows(self.lake, self.plan, rejected))
            return
        records = self._records().select("line", "raw")
        if rejected is None:
            records = records.withColumn("rejected", F.lit(False))
        else:
            marked = rejected.withColumn("rejected", F.lit(True))
            records = records.join(marked, on="line", how="left").select("line", "raw", "rejected")
        self._write("accepted", accepted_lines(self.plan, records))

    def _write_lines(self, name: str, rows: DataFrame, line: Column) -> None:
        """One text file, in the order of the file; Spark ends each line."""
        ordered = rows.select("line", line.cast("string").alias("value")).repartition(1)
        lines = ordered.sortWithinPartitions("line").select("value")
        lines.write.mode("overwrite").text(self._uri(name), lineSep="\n")

    def _examples(self) -> list[Document]:
        """The first rejected records, as a report shows them."""
        validator = PartValidator(self.plan, 0)
        examples = []
        for row in self._rejected().orderBy("line").limit(MAX_EXAMPLES).collect():
            raw = bytes(row["raw"])
            cells = json.loads(row["cells"]) if row["cells"] else None
            faults = [[one["rule"], one["column"]] for one in json.loads(row["reason"])["faults"]]
            shown = validator.example(row["line"], raw, cells)
            examples.append({"line": row["line"], "faults": faults, **shown})
        return examples

    def _records(self) -> DataFrame:
        return self._judged().where(F.col("tally").isNull() & F.col("head").isNull())

    def _judged(self) -> DataFrame:
        return self.lake.spark.read.schema(JUDGED).parquet(self._uri("judged"))

    def _rejected(self) -> DataFrame:
        return self.lake.spark.read.schema(_REJECTED).parquet(self._uri("rejected"))

    def _write(self, name: str, rows: DataFrame) -> None:
        rows.write.mode("overwrite").parquet(self._uri(name))

    def _uri(self, name: str) -> str:
        return self.lake.uri(f"{self.folder}/{name}")

    def _uri_of_file(self) -> str:
        return self.lake.uri(self.plan.layout.path)


def _explain(plan: Plan) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    """Each record at fault with all its faults, as its line of the reasons file."""

    def task(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        import pyarrow as pa  # noqa: PLC0415 - on the worker

        validator = PartValidator(plan, 0)
        for batch in batches:
            reasons, again = [], []
            for line, faults, raw, cells, numbers in zip(
                *(column.to_pylist() for column in batch.columns), strict=True
            ):
                row: Any = json.loads(cells) if cells else (validator.row(raw) if numbers else ())
                more = [validator.duplicate_fault(number, row) for number in numbers or ()]
                all_faults = [*(json.loads(faults) if faults else ()), *more]
                reasons.append(_reason(line, all_faults))
                again.append(json.dumps([_fault_json(fault) for fault in more]) if more else None)
            yield pa.RecordBatch.from_arrays(
                [
                    batch.column(0),
                    batch.column(2),
                    batch.column(3),
                    pa.array(reasons, pa.string()),
                    pa.array(again, pa.string()),
                ],
                names=["line", "raw", "cells", "reason", "again"],
            )

    return task


def _reason(line: int, faults: Iterable[Any]) -> str:
    return json.dumps(
        {"line": line, "faults": [_fault_json(one) for one in faults]}, ensure_ascii=False
    )


def _fault_json(fault: Any) -> Document:
    rule, column, value = fault
    return {"rule": rule, "column": column, "value": value}
