"""Validation of parts of a file by many tasks: the same engine, with keys compared elsewhere.

The plan says what is validated: the text of the contract, and how the file is written. Each task
has a `PartValidator`, which returns the faults and the keys of every record, and a `Tally` of what
it counted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from landfall.contract.folder import parse
from landfall.contract.model import Contract
from landfall.validation.batches import ParsedBatch, RecordBatch
from landfall.validation.columns import Key, as_text
from landfall.validation.keys import KeyLog
from landfall.validation.problems import PlanError
from landfall.validation.readers.objects import ObjectBatch
from landfall.validation.readers.plain import Block
from landfall.validation.readers.splitting import MalformedRecord, Splitter
from landfall.validation.record_validator import RecordValidator, Reject
from landfall.validation.report import Columns, Format
from landfall.validation.tally import Tally

if TYPE_CHECKING:  # Polars takes longer to load than a small file to validate
    import polars as pl

    from landfall.validation.accepted import StoredRecords

VERSION = 2
KINDS = frozenset({"csv", "jsonl", "parquet"})
SAMPLE = 2000
"""Records that the sample of a profile has, about."""
_SPREAD = 0x9E3779B97F4A7C15
_SPACE = 1 << 64

Fault = tuple[str, str | None, str | None]
"""Rule, column and shown value."""


@dataclass(frozen=True)
class Layout:
    """How a file is written.

    Attributes:
        path: lake path of the file.
        names: its columns in file order, by the contract's names where it has them.
        sources: what the file calls them, where it is Parquet.
        loaded: those of the names that the contract does not have and that are loaded.
        head: what stands before the first record; head_lines: how many lines that is.
        mark: the byte order mark, with which rejects begin again.
    """

    kind: str
    path: str
    names: tuple[str, ...]
    sources: tuple[str, ...] = ()
    loaded: tuple[str, ...] = ()
    delimiter: str = ","
    quote: str = '"'
    escape: str | None = None
    head: str = ""
    head_lines: int = 0
    mark: str = ""

    @property
    def splitter(self) -> Splitter | None:
        """How records are found in delimited text; None where every line is one."""
        return Splitter(self.delimiter, self.quote, self.escape) if self.kind == "csv" else None


@dataclass(frozen=True)
class Plan:
    """What a job needs to validate one file."""

    contract: Contract
    layout: Layout

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON; see docs/reference/plan.md."""
        return {"plan": VERSION, "contract": self.contract.text, "layout": asdict(self.layout)}


def parse_plan(text: str) -> Plan:
    """Read a plan.

    Raises:
        PlanError: not a plan, of another version, or its contract cannot be read.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise PlanError(f"The plan is not JSON: {error}.") from error
    version = document.get("plan") if isinstance(document, dict) else None
    if version != VERSION:
        raise PlanError(
            f"The plan is of version {version!r}, and this job knows version {VERSION}: "
            "deploy the bundle of the release that the service runs."
        )
    try:
        layout: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in document["layout"].items()
        }
        plan = Plan(parse(document["contract"], file="plan.json"), Layout(**layout))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise PlanError(f"The plan cannot be followed: {error}.") from error
    if plan.layout.kind not in KINDS:
        raise PlanError(f"The file is {plan.layout.kind!r}; this job reads {sorted(KINDS)}.")
    return plan


@dataclass
class Judged:
    """One record: its faults but for repeated keys, and its keys, None where it has none."""

    faults: list[Fault] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)


@dataclass(frozen=True)
class _Shape:
    """The shape of the file, as `RecordValidator` asks for it."""

    typed: bool
    names: Sequence[str]
    format: Format
    columns: Columns
    mixed: bool = False


class _Lines(Block):
    """Records of delimited text on known lines."""

    def __init__(self, data: bytes, lines: Sequence[int], splitter: Splitter) -> None:
        super().__init__(data, 0, splitter)
        self._numbers = lines

    def line(self, index: int) -> int:
        """Return the physical line of a record."""
        return self._numbers[index]


class PartValidator:
    """Validates records of one file; `lines` is how many it has, for the sample of the profile."""

    def __init__(self, plan: Plan, lines: int) -> None:
        layout = plan.layout
        self._layout = layout
        self.splitter = layout.splitter
        csv = self.splitter is not None
        format_ = Format(
            layout.kind,
            delimiter=layout.delimiter if csv else None,
            quote=layout.quote if csv else None,
        )
        reader = _Shape(not csv, layout.names, format_, Columns(loaded=layout.loaded))
        self._new: Callable[[], RecordValidator] = lambda: RecordValidator(
            plan.contract, reader, log_keys=True
        )
        self._validator = self._new()
        self._contract = plan.contract
        self._objects = ObjectBatch(plan.contract.columns)
        self._limit = _SPACE if lines <= SAMPLE else _SPACE * SAMPLE // lines
        self._masked = {column.name for column in plan.contract.columns if column.masked}
        self._tally = Tally()
        self._records: StoredRecords | None = None

    @property
    def keys(self) -> Sequence[Key]:
        """All keys of the contract and of its quality rules."""
        return self._validator.keys

    def tally(self) -> Tally:
        """Return what was counted so far."""
        tally = Tally.of(self._validator)
        tally.merge(self._tally)
        tally.extra |= set(self._objects.extra)
        return tally

    def note_too_long(self, line: int) -> None:
        """A record was too long to be held."""
        self._tally.note_too_long(line)

    def judge_lines(self, lines: Sequence[int], raw: Sequence[bytes]) -> list[Judged]:
        """Validate whole records of text, without their last line feeds, that begin on `lines`."""
        return self._judge(self._batch(lines, raw), lines) if raw else []

    def judge_frame(self, lines: Sequence[int], frame: pl.DataFrame) -> list[Judged]:
        """Validate records of Parquet, in columns in the order of `Layout.names`."""
        from landfall.validation.readers.parquet import python_rows  # noqa: PLC0415 - loads Polars

        rows = python_rows(frame)
        return self._judge(self._parsed(lines, rows, {}), lines) if rows else []

    def accepted_lines(self, lines: Sequence[int], raw: Sequence[bytes]) -> pl.DataFrame:
        """Return accepted records of text in their stored columns, and then the loaded ones."""
        rows = self._batch(lines, raw).subset(range(len(raw))).rows if raw else []
        return self._stored(rows)

    def accepted_frame(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return accepted records of Parquet in their stored columns, and then the loaded ones.

        `frame` has the columns of the file in the order of `Layout.names`.
        """
        from landfall.validation.readers.parquet import (  # noqa: PLC0415 - loads Polars
            normalized,
            python_rows,
        )

        columns = {column.name: column for column in self._contract.columns}
        read = frame.select(
            normalized(given, frame.schema[given], columns[name]).alias(name)
            if name in columns
            else frame[given].alias(name)
            for given, name in zip(frame.columns, self._layout.names, strict=True)
        )
        return self._stored(python_rows(read))

    def _stored(self, rows: Sequence[Sequence[Any]]) -> pl.DataFrame:
        import polars as pl  # noqa: PLC0415 - it is slow to load

        from landfall.validation.accepted import StoredRecords  # noqa: PLC0415 - loads Polars

        if self._records is None:
            names = self._layout.names
            loaded = {name: names.index(name) for name in self._layout.loaded if name in names}
            cells = self._validator.contract_cells
            self._records = StoredRecords(cells, loaded, typed=self.splitter is None)
        return pl.DataFrame(self._records.of_rows(rows))

    def row(self, raw: bytes) -> Sequence[Any]:
        """Return the cells of a well-formed record of text."""
        return self._batch([0], [raw]).rows[0]

    def duplicate_fault(self, number: int, row: Sequence[Any]) -> Fault:
        """Return the fault of a record whose key of this number is a duplicate."""
        fault = self._validator.duplicate_fault(self.keys[number], row)
        return fault.rule, fault.column, fault.value

    def example(self, line: int, raw: bytes, cells: Sequence[Any] | None) -> dict[str, Any]:
        """Return a rejected record as the report shows it; `cells` of Parquet are as text."""
        if cells is None:
            batch: RecordBatch = self._batch([line], [raw])
        else:
            batch = self._parsed([line], [cells], {}, [raw])
        example = self._validator.example(batch, Reject(0, line, ()))
        return {"cells": example.cells, "raw": example.raw}

    def _judge(self, batch: RecordBatch, lines: Sequence[int]) -> list[Judged]:
        judged = [Judged() for _ in lines]
        logs = [key.seen for key in self.keys]
        for rejects in self._validator.validate(batch, self._validator.scan(batch)):
            for reject in rejects:
                judged[reject.index].faults = [(f.rule, f.column, f.value) for f in reject.faults]
        for log in logs:
            if not isinstance(log, KeyLog):  # pragma: no cover - `log_keys` is set
                raise TypeError("the keys of a part are in keys.KeyLog")
            for index, record in enumerate(judged):
                key = log.by_index.get(index)
                record.keys.append(None if key is None else str(key))
            log.by_index.clear()
        self._sample(batch, lines)
        return judged

    def _batch(self, lines: Sequence[int], raw: Sequence[bytes]) -> RecordBatch:
        if self.splitter is not None:
            return _Lines(b"\n".join([*raw, b""]), lines, self.splitter)
        rows: list[Sequence[Any]] = []
        broken: dict[int, MalformedRecord] = {}
        for index, line in enumerate(raw):
            cells = self._objects.cells_of_line(line)
            if isinstance(cells, MalformedRecord):
                broken[index] = cells
            rows.append(() if isinstance(cells, MalformedRecord) else cells)
        return self._parsed(lines, rows, broken, raw)

    def _parsed(
        self,
        lines: Sequence[int],
        rows: Sequence[Sequence[Any]],
        broken: dict[int, MalformedRecord],
        raw: Sequence[bytes] = (),
    ) -> ParsedBatch:
        return ParsedBatch(
            rows,
            lines,
            lambda index: raw[index],
            lambda index: len(raw[index]) if raw else 1,
            broken,
        )

    def _sample(self, batch: RecordBatch, lines: Sequence[int]) -> None:
        numbers = [line * _SPREAD % _SPACE for line in lines]
        picked = [at for at, number in enumerate(numbers) if number < self._limit]
        subset = batch.subset(picked)
        for at, (index, row) in enumerate(zip(picked, subset.rows, strict=True)):
            if at not in subset.broken and len(row) == len(self._layout.names):
                cells = [
                    None if column.cells.column.masked else _plain(column.cells.of_row(row))
                    for column in self._validator.columns
                ]
                self._tally.sample.append((numbers[index], cells))


def _plain(cell: Any) -> Any:
    """Return a cell as JSON."""
    return cell if cell is None or isinstance(cell, (str, int, float)) else as_text(cell)


def answer_of(
    plan: Plan, tally: Tally, *, repeats: Sequence[int], examples: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the counts of all parts as the job's answer; see docs/reference/plan.md."""
    sample = sorted(tally.sample, key=lambda one: one[0])[: 2 * SAMPLE]
    return {
        "contract_version": plan.contract.version,
        "rows": tally.rows,
        "rejected": tally.rejected,
        "checks": [
            {
                "rule": rule,
                "column": column,
                "failed": failed,
                "samples": [{"line": line, "value": value} for line, value in samples],
            }
            for (rule, column), (failed, samples) in tally.checks.items()
        ],
        "gauges": [
            [g.count, _shown(g.total), _shown(g.least), _shown(g.most)] for g in tally.gauges
        ],
        "repeats": list(repeats),
        "examples": list(examples),
        "columns": [
            {
                "count": column.count,
                "nulls": column.nulls,
                "least": _shown(column.least),
                "most": _shown(column.most),
                "distinct": column.distinct.count(),
                "exact": column.distinct.exact,
            }
            for column in tally.columns
        ],
        "sample": [cells for _, cells in sample],
        "extra": sorted(tally.extra),
    }


def _shown(value: Any) -> Any:
    if value is None or isinstance(value, (str, int, float)):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
