"""Prepares a file for the Spark validation job, and turns the job's answer into a report.

The beginning of the file is validated here: its kind, header and drift. So a refusal because of
those has the same text and starts no job. The job validates the records by the contract's plan and
answers with counts, samples and extremes, which become the same report.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from landfall.contract.model import Contract
from landfall.validation.batches import Reader
from landfall.validation.columns import Cells
from landfall.validation.expected import with_expected
from landfall.validation.metrics import Metric, Metrics
from landfall.validation.parts import Layout, Plan
from landfall.validation.problems import AnswerError, Refusal, record_too_long, unclosed_quote
from landfall.validation.profile import profile_of
from landfall.validation.readers.choice import reader_of
from landfall.validation.readers.opening import Opened, open_stream
from landfall.validation.report import (
    AcceptedParquet,
    Check,
    Columns,
    Example,
    Measure,
    Problem,
    Profile,
    Report,
    Sample,
)
from landfall.validation.streams import ByteSource
from landfall.validation.tolerance import check_tolerance

SCHEMA = 1
"""Schema version of the answer."""
_COMPRESSED_SUFFIXES = (".bz2", ".deflate", ".gz", ".lz4", ".snappy", ".xz", ".zst", ".zstd")
"""Suffixes that Hadoop reads as compressed files, whatever their content is."""


@dataclass(frozen=True)
class RemoteValidation:
    """A file with a valid beginning that the Spark job can read."""

    contract: Contract
    reader: Reader
    mark: str

    def plan(self, path: str) -> dict[str, Any]:
        """Return the plan for the job; `path` is the path of the file."""
        hints, kind = self.contract.hints, self.reader.format.kind
        names, columns = tuple(self.reader.names), self.reader.columns
        layout = Layout(kind, path, names, loaded=columns.loaded, mark=self.mark)
        if kind == "parquet":
            sources = tuple(columns.renamed.get(name, name) for name in names)
            layout = replace(layout, sources=sources)
        if kind == "csv":
            layout = replace(
                layout,
                delimiter=self.reader.format.delimiter or ",",
                quote=hints.quote,
                escape=hints.escape,
                head=self.reader.head.decode(),
                head_lines=self.reader.head.count(b"\n"),
            )
        return Plan(self.contract, layout).to_dict()

    def report(
        self,
        answer: Mapping[str, Any],
        *,
        name: str,
        size: int,
        sha256: str,
        parquet: tuple[int, int] = (0, 0),
        seconds: float = 0.0,
    ) -> Report:
        """Return the report of the job's answer.

        `parquet` says how many files of accepted records the job left, and their bytes in sum.

        Raises:
            AnswerError: it has another schema, or belongs to another contract version.
        """
        if answer.get("schema") != SCHEMA:
            raise AnswerError(f"the answer is of schema {answer.get('schema')!r}, not {SCHEMA}")
        by, version = answer.get("contract_version"), self.contract.version
        if by != version:
            raise AnswerError(f"it is for version {by} of the contract, which is {version} now")
        try:
            report = _Answer(self, answer).report(name=name, size=size, sha256=sha256)
            report = with_expected(report, self.contract)
            if report.verdict != "refused":
                report = replace(report, parquet=_parquet(report.accepted, *parquet))
        except (KeyError, TypeError, ValueError) as error:
            raise AnswerError(f"it does not fit the contract: {error!r}") from error
        return replace(report, seconds=seconds)


def prepare(source: ByteSource, contract: Contract, name: str) -> RemoteValidation | None:
    """Return the file prepared for the Spark job; None if it must be validated here.

    Validated here are compressed files, JSON arrays and text that is not UTF-8, which cannot be
    read from the middle; Parquet with types that Spark reads differently; files of a contract with
    relationships, or with columns that are loaded though it does not have them; and files that are
    refused because of their beginning; text with comment lines, or with lines before the header in
    which a quote would open a field. No more of it is read.
    """
    hints = contract.hints
    if name.lower().endswith(_COMPRESSED_SUFFIXES) or contract.relationships or hints.comment:
        return None
    stream = source.stream()
    try:
        opened = open_stream(stream, name, contract.hints)
        if not _is_splittable(opened):
            return None
        if opened.format.kind == "parquet":
            opened = replace(opened, chunks=iter(()))  # its footer is read by ranges
        reader = reader_of(opened, contract, source)
        reader.start()
    except Refusal:
        return None
    finally:
        _close(stream)
    foreign = opened.format.kind == "parquet" and (
        contract.drift.changed == "evolve" or not _plain_parquet(reader)
    )
    quoted_lead = hints.skip_lines and hints.quote.encode() in reader.head
    if foreign or reader.columns.loaded or quoted_lead:
        return None
    if len(opened.mark) + len(reader.head) >= source.size or (
        reader.head and not reader.head.endswith(b"\n")
    ):
        return None  # there is no record
    return RemoteValidation(contract, reader, opened.mark.decode())


def _parquet(rows: int, files: int, size: int) -> AcceptedParquet:
    if not files:
        raise ValueError("the job left no Parquet of the accepted records")
    return AcceptedParquet(rows, size, files)


def _is_splittable(opened: Opened) -> bool:
    format_ = opened.format
    if format_.kind == "parquet":
        return True
    plain = format_.compression == "none" and opened.codec == "utf-8"
    return plain and format_.kind in {"csv", "jsonl"}


def _plain_parquet(reader: Reader) -> bool:
    """Whether Spark reads the same values from each of the file's columns."""
    import polars as pl  # noqa: PLC0415 - already loaded

    schema: Mapping[str, pl.DataType] = getattr(reader, "schema", {})
    if len({name.casefold() for name in schema}) < len(schema):
        return False  # Spark resolves names without regard to case
    alike = (
        *(pl.String, pl.Boolean, pl.Date, pl.Decimal, pl.Float32, pl.Float64),
        *(pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32),
    )
    dtypes = [schema[reader.columns.renamed.get(name, name)] for name in reader.names]
    return all(
        isinstance(dtype, alike) or (isinstance(dtype, pl.Datetime) and dtype.time_unit == "us")
        for dtype in dtypes
    )


def _close(stream: Iterator[bytes]) -> None:
    close = getattr(stream, "close", None)
    if close is not None:
        with suppress(OSError):
            close()


@dataclass(frozen=True)
class _Distinct:
    number: int
    exact: bool

    def count(self) -> int:
        return self.number


@dataclass(frozen=True)
class _AnsweredCounts:
    """Counts and extremes of a column in the job's answer."""

    cells: Cells
    count: int
    nulls: int
    distinct: _Distinct
    least: Any
    most: Any


@dataclass(frozen=True)
class _Answer:
    remote: RemoteValidation
    answer: Mapping[str, Any]
    cells: list[Cells] = field(init=False)

    def __post_init__(self) -> None:
        typed = self.remote.reader.typed
        contract, names = self.remote.contract, self.remote.reader.names
        evolve = contract.drift.changed == "evolve"
        cells = [
            Cells(
                column,
                at if column.name in names else None,
                typed=typed,
                evolve=evolve,
            )
            for at, column in enumerate(contract.columns)
        ]
        object.__setattr__(self, "cells", cells)

    def report(self, *, name: str, size: int, sha256: str) -> Report:
        contract, reader, answer = self.remote.contract, self.remote.reader, self.answer
        rows, rejected = int(answer["rows"]), int(answer["rejected"])
        problem = self._problem()
        measures = () if problem else self._measures(rows)
        problem = problem or check_tolerance(contract, rows, rejected, measures)
        verdict = "accepted_with_rejects" if rejected else "accepted"
        columns = reader.columns
        if answer["extra"]:
            columns = Columns(extra=tuple(answer["extra"]))
        return Report(
            dataset=contract.dataset,
            name=name,
            verdict="refused" if problem else verdict,  # type: ignore[arg-type]
            rows=rows,
            accepted=rows - rejected,
            rejected=rejected,
            bytes=size,
            sha256=sha256,
            format=reader.format,
            rejects=reader.rejects_format if rejected else None,
            columns=columns,
            checks=self._checks(),
            examples=tuple(
                Example(**example | {"faults": tuple((rule, at) for rule, at in example["faults"])})
                for example in answer["examples"]
            ),
            profile=self._profiles(),
            measures=measures,
            problem=problem,
            contract_version=contract.version,
            max_rejected_ratio=contract.max_rejected_ratio,
        )

    def _problem(self) -> Problem | None:
        problem = self.answer["problem"]
        if problem is None:
            return None
        words = {"too_long": record_too_long, "unclosed_quote": unclosed_quote}
        if problem["kind"] not in words:
            raise AnswerError(f"the answer has an unknown problem {problem['kind']!r}")
        return words[problem["kind"]](int(problem["line"])).problem

    def _checks(self) -> tuple[Check, ...]:
        order = {c.name: index for index, c in enumerate(self.remote.contract.columns)}
        checks = [
            Check(**check | {"samples": tuple(Sample(**sample) for sample in check["samples"])})
            for check in self.answer["checks"]
        ]
        return tuple(
            sorted(checks, key=lambda c: (order.get((c.column or "").split(",")[0], -1), c.rule))
        )

    def _measures(self, rows: int) -> tuple[Measure, ...]:
        contract = self.remote.contract
        by_name = {column_cells.column.name: column_cells for column_cells in self.cells}
        metrics: dict[int, Metric] = {}
        for metric, values in zip(
            Metrics(contract, by_name).all, self.answer["gauges"], strict=True
        ):
            metric.add(*values)
            metrics[id(metric.rule)] = metric
        repeating = [rule for rule in contract.rules if rule.kind == "duplicates"]
        repeats = self.answer["repeats"][len(self.answer["repeats"]) - len(repeating) :]
        for rule, count in zip(repeating, repeats, strict=True):
            metrics[id(rule)] = Metric(rule, {})
            metrics[id(rule)].count = count
        return tuple(
            metrics[id(rule)].measure(rows) for rule in contract.rules if not rule.per_record
        )

    def _profiles(self) -> tuple[Profile, ...]:
        sample, names = self.answer["sample"], self.remote.reader.names
        present = [column_cells for column_cells in self.cells if column_cells.column.name in names]
        return tuple(
            profile_of(
                _AnsweredCounts(
                    column_cells,
                    counts["count"],
                    counts["nulls"],
                    _Distinct(counts["distinct"], counts["exact"]),
                    counts["least"],
                    counts["most"],
                ),
                column_cells.values([record[at] for record in sample]),
            )
            for at, (column_cells, counts) in enumerate(
                zip(present, self.answer["columns"], strict=False)
            )
        )
