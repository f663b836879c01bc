"""Validates every cell of every record against the contract.

It works on batches, column by column. Cells of a text column repeat, so each distinct cell is
validated once and valid cells are cached; the result is the same as cell by cell.

If a batch can be prefiltered, a vectorised pass first marks the records that might break a rule,
and only those are validated here.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from landfall.contract.model import Column, Contract
from landfall.validation.batches import FileShape, Prefilter, RecordBatch, RecordSubset, ScanResult
from landfall.validation.columns import Cells, Key, as_text
from landfall.validation.keys import KeyLog
from landfall.validation.metrics import Metric, Metrics
from landfall.validation.prefilter.choice import prefilter_of
from landfall.validation.profile import ColumnCounts, Profiler
from landfall.validation.readers.splitting import MalformedRecord
from landfall.validation.references import NoReferences, Reference
from landfall.validation.report import MASK, Check, Example, Link, Measure, Profile, Sample
from landfall.validation.streams import References

MAX_SAMPLES = 5
MAX_EXAMPLES = 20
"""Most rejected records that a report shows."""
MAX_SHOWN = 500
"""Most characters of a value that samples and reasons show."""
_AT_ONCE = 50_000
"""Most cells that are validated at once: each may have a fault of some 250 bytes."""


@dataclass(frozen=True)
class Fault:
    """One broken rule of one record. `value` is as in the file, or masked."""

    rule: str
    column: str | None
    value: str | None

    def to_dict(self) -> dict[str, str | None]:
        """Return the fault as in the reasons file."""
        return {"rule": self.rule, "column": self.column, "value": self.value}


@dataclass(frozen=True)
class Reject:
    """A record with at least one fault: its index in the batch, the line where it begins."""

    index: int
    line: int
    faults: tuple[Fault, ...]


_Faults = dict[int, list[Fault]]
"""Faults by the index of the record in its batch."""


class RecordValidator:
    """Validates all batches of a reader and keeps the counts."""

    def __init__(
        self,
        contract: Contract,
        reader: FileShape,
        *,
        prefilter: bool = True,
        references: References | None = None,
        log_keys: bool = False,
    ) -> None:
        """Validate the batches of `reader`.

        With `log_keys` keys are compared elsewhere: `keys` have those of the last batch.
        """
        self._names = list(reader.names)
        self._rules = contract.rules
        # Loaded columns that the contract does not have are text, and nobody says who may see it.
        extra = [Column(name, "string") for name in reader.columns.loaded]
        self._masked = {c.name for c in contract.columns if c.masked} | {c.name for c in extra}
        self._order = {c.name: index for index, c in enumerate(contract.columns)}
        at = {name: index for index, name in enumerate(self._names)}
        evolve = reader.mixed or contract.drift.changed == "evolve"
        by_name = {
            column.name: Cells(column, at.get(column.name), typed=reader.typed, evolve=evolve)
            for column in contract.columns
        }
        self.contract_cells = list(by_name.values())
        """All columns of the contract, in its order."""
        self._cells = [by_name[column.name] for column in contract.columns if column.name in at]
        keys: list[tuple[str, ...]] = [(c.name,) for c in contract.columns if c.unique]
        if contract.key and contract.key not in keys:
            keys.append(contract.key)
        self._keys = [Key([by_name[name] for name in key]) for key in keys]
        self._keys += [
            Key([by_name[name] for name in rule.key], rule)
            for rule in contract.rules
            if rule.kind == "duplicates"
        ]
        self._references = [
            Reference(relationship, by_name, references or NoReferences())
            for relationship in contract.relationships
        ]
        self._referring = [
            relationship for relationship in self._references if relationship.missing is None
        ]
        self._metrics = Metrics(contract, by_name)
        declared = list(self._cells)
        if not reader.typed:
            self._cells += [Cells(column, at[column.name], typed=False) for column in extra]
        choice = prefilter_of(
            reader,
            contract.hints,
            self._cells,
            self._keys,
            metrics=self._metrics,
            referring=self._referring,
            log_keys=log_keys,
        )
        if log_keys:
            for key in self._keys:
                key.seen = KeyLog()
        self._prefilter: Prefilter | None = choice.prefilter if prefilter else None
        self._profiler = Profiler(declared, choice.sketch)
        self._checks: dict[tuple[str, str | None], tuple[int, list[Sample]]] = {}
        self.examples: list[Example] = []
        self.rows = 0
        self.rejected = 0

    @property
    def keys(self) -> Sequence[Key]:
        """All keys: of the contract, then of its quality rules."""
        return self._keys

    @property
    def metrics(self) -> Sequence[Metric]:
        """The measures of all quality rules but those on duplicates."""
        return self._metrics.all

    @property
    def columns(self) -> Sequence[ColumnCounts]:
        """What was counted of each column that the file has."""
        return self._profiler.columns

    def measures(self) -> tuple[Measure, ...]:
        """Return the measures of all quality rules that are not checked per record."""
        metrics = {id(metric.rule): metric for metric in self._metrics.all}
        for key in self._keys:
            if key.rule is not None:
                metrics[id(key.rule)] = metric = Metric(key.rule, {})
                metric.count = key.repeats
        return tuple(
            metrics[id(rule)].measure(self.rows) for rule in self._rules if not rule.per_record
        )

    def links(self) -> tuple[Link, ...]:
        """Return every relationship, and whether it was checked."""
        return tuple(reference.link() for reference in self._references)

    def profiles(self) -> tuple[Profile, ...]:
        """Return the profile of each column."""
        return self._profiler.profiles(len(self._names))

    def keep_values(self) -> None:
        """Ask the prefilter to keep the values of what it scans; call it before `scan`."""
        if self._prefilter is not None:
            self._prefilter.keeps_values = True

    def scan(self, batch: RecordBatch) -> ScanResult | None:
        """Prefilter a batch, if possible; safe to call from any thread, in any order."""
        return None if self._prefilter is None else batch.prefilter(self._prefilter)

    def validate(
        self, batch: RecordBatch, scan: ScanResult | None = None
    ) -> Iterator[list[Reject]]:
        """Yield the rejects of `batch` in file order, in several lists, and count them.

        Call it for all batches in file order, each with the result of `scan`, and consume the whole
        iterator. The faults of a batch may be too many to be held in memory at once.
        """
        rows = len(batch.rows) if scan is None else scan.rows
        self.rows += rows
        self._profiler.sample.add(rows, batch)
        faults_by_piece = (
            self._validate_whole(batch, rows)
            if scan is None
            else self._validate_prefiltered(batch, scan)
        )
        for faults in faults_by_piece:
            if not faults:
                continue
            rejects = [
                Reject(index, batch.line(index), tuple(faults[index])) for index in sorted(faults)
            ]
            self.rejected += len(rejects)
            for reject in rejects[: max(0, MAX_EXAMPLES - len(self.examples))]:
                self.examples.append(self.example(batch, reject))
            for reject in rejects:
                for fault in reject.faults:
                    self._count(fault, reject.line)
            yield rejects

    def duplicate_fault(self, key: Key, row: Sequence[Any]) -> Fault:
        """Return the fault of a record whose key was found to be a duplicate elsewhere."""
        faults: list[Fault] = []
        self._add_duplicate_fault(key, row, faults)
        return faults[0]

    @property
    def broken_rules(self) -> dict[tuple[str, str | None], tuple[int, list[Sample]]]:
        """How many records break each rule, with the first of them; see `checks`."""
        return self._checks

    def checks(self) -> tuple[Check, ...]:
        """Return every broken rule, in the contract's column order, whole records first."""
        ranked = sorted(
            self._checks.items(),
            key=lambda item: (self._order.get((item[0][1] or "").split(",")[0], -1), item[0][0]),
        )
        return tuple(
            Check(rule, column, failed, tuple(samples))
            for (rule, column), (failed, samples) in ranked
        )

    def example(self, batch: RecordBatch, reject: Reject) -> Example:
        """Return a rejected record as the report shows it."""
        faults = tuple((fault.rule, fault.column) for fault in reject.faults)
        subset = batch.subset([reject.index])
        row = subset.rows[0]
        if not subset.broken and len(row) == len(self._names):
            cells = {
                cells.column.name: self._shown(cells.column.name, as_text(row[cells.position]))
                for cells in self._cells
            }
            return Example(reject.line, faults, cells)
        raw = batch.raw(reject.index).decode("utf-8", "surrogateescape").rstrip("\r\n")
        return Example(reject.line, faults, raw=MASK if self._masked else _truncate(raw))

    def _pieces(self, indexes: Sequence[int]) -> Iterator[Sequence[int]]:
        """Split the records so that the faults of a piece fit into memory."""
        size = max(1, _AT_ONCE // max(1, len(self._names)))
        for start in range(0, len(indexes), size):
            yield indexes[start : start + size]

    def _validate_whole(self, batch: RecordBatch, rows: int) -> Iterator[_Faults]:
        """Validate all records of a batch and their keys."""
        for piece in self._pieces(range(rows)):
            faults: _Faults = {}
            subset = batch.subset(piece)
            well_formed = self._validate_form(subset, piece, faults)
            table = self._validate_cells(subset.rows, well_formed, piece, faults)
            for key in self._keys if table else ():
                keys = key.of_table(table)
                if isinstance(key.seen, KeyLog):
                    key.seen.note([piece[at] for at in well_formed], keys)
                for at in self._count_duplicates(key, key.seen.repeated(keys)):
                    record_faults = faults.setdefault(piece[well_formed[at]], [])
                    self._add_duplicate_fault(key, subset.rows[well_formed[at]], record_faults)
            for reference in self._referring if table else ():
                keys = reference.key.of_table(table)
                for at in reference.orphans(reference.key.series(keys)):
                    record_faults = faults.setdefault(piece[well_formed[at]], [])
                    self._add_orphan_fault(reference, subset.rows[well_formed[at]], record_faults)
            yield faults

    def _validate_prefiltered(self, batch: RecordBatch, scan: ScanResult) -> Iterator[_Faults]:
        """Validate the candidates, and the keys of all records."""
        self._profiler.add_scan(scan)
        for metric, measured in zip(self._metrics.summed, scan.measured, strict=True):
            metric.add(*measured)
        split = _CandidateSplit(batch, scan.candidates, _AT_ONCE // max(1, len(self._names)))
        validated = self._keys_of(split, scan.candidates)
        duplicates = [
            (key, self._count_duplicates(key, scan.repeated(key, validated[id(key)])))
            for key in self._keys
        ]
        orphans = [
            (reference, scan.orphans(reference, validated[id(reference.key)]))
            for reference in self._referring
        ]
        found = (*scan.matched, *duplicates, *orphans)
        marked = {*scan.candidates}.union(*(positions for _, positions in found))
        for piece in self._pieces(sorted(marked)):
            faults: _Faults = {}
            if candidates := _within(scan.candidates, piece):
                subset = split.subset(candidates)
                well_formed = self._validate_form(subset, candidates, faults)
                self._validate_cells(subset.rows, well_formed, candidates, faults)
            for metric, positions in scan.matched:
                indexes = _within(positions, piece)
                for index, row in zip(
                    indexes, batch.subset(indexes).rows if indexes else (), strict=True
                ):
                    fault = self._condition_fault(metric, row)
                    faults.setdefault(index, []).append(fault)
            for key, positions in duplicates:
                indexes = _within(positions, piece)
                for index, row in zip(
                    indexes, batch.subset(indexes).rows if indexes else (), strict=True
                ):
                    self._add_duplicate_fault(key, row, faults.setdefault(index, []))
            for reference, positions in orphans:
                indexes = _within(positions, piece)
                for index, row in zip(
                    indexes, batch.subset(indexes).rows if indexes else (), strict=True
                ):
                    self._add_orphan_fault(reference, row, faults.setdefault(index, []))
            yield faults

    def _keys_of(
        self, split: _CandidateSplit, candidates: Sequence[int]
    ) -> dict[int, list[Hashable]]:
        """Return the keys of the candidates, by `id` of each key and foreign key."""
        keys = [*self._keys, *(reference.key for reference in self._referring)]
        keys_by_id: dict[int, list[Hashable]] = {id(key): [] for key in keys}
        for piece in self._pieces(candidates) if keys else ():
            subset = split.subset(piece)
            well_formed = self._validate_form(subset, piece, {})
            table = list(zip(*(subset.rows[at] for at in well_formed), strict=True))
            for key in keys:
                piece_keys: list[Hashable] = [None] * len(piece)
                validated = key.of_table(table) if table else ()
                for at, value in zip(well_formed, validated, strict=True):
                    piece_keys[at] = value
                keys_by_id[id(key)] += piece_keys
        return keys_by_id

    def _count_duplicates(self, key: Key, repeats: list[int]) -> list[int]:
        """Count duplicates; return those that are faults of their records."""
        key.repeats += len(repeats)
        return repeats if key.rule is None or key.rule.per_record else []

    def _validate_form(
        self, subset: RecordSubset, indexes: Sequence[int], faults: _Faults
    ) -> Sequence[int]:
        """Return positions of well-formed records; add a fault for each of the others."""
        rows, broken, width = subset.rows, subset.broken, len(self._names)
        if not broken and not set(map(len, rows)) - {width}:
            return range(len(rows))
        well_formed = []
        for at, row in enumerate(rows):
            if at in broken:
                faults[indexes[at]] = [self._record_fault(broken[at])]
            elif len(row) != width:
                detail = f"{len(row)} fields instead of {width}"
                faults[indexes[at]] = [Fault("fieldCount", None, detail)]
            else:
                well_formed.append(at)
        return well_formed

    def _validate_cells(
        self,
        rows: Sequence[Sequence[Any]],
        well_formed: Sequence[int],
        indexes: Sequence[int],
        faults: _Faults,
    ) -> list[Sequence[Any]]:
        """Validate every cell of the well-formed records; return their cells in column order."""
        if len(well_formed) != len(rows):
            rows = [rows[at] for at in well_formed]
        table: list[Sequence[Any]] = list(zip(*rows, strict=True))
        self._profiler.add_records(table)
        for cells in self._cells if table else ():
            name = cells.column.name
            column = table[cells.position]
            for at, rules in cells.faulty(column):
                value = self._shown(name, as_text(column[at]))
                record_faults = faults.setdefault(indexes[well_formed[at]], [])
                record_faults.extend(Fault(rule, name, value) for rule in rules)
        for at, values in enumerate(self._metrics.rows(table)):
            for metric in self._metrics.all:
                if not metric.matches(values):
                    continue
                if metric.rule.per_record:
                    fault = self._condition_fault(metric, [column[at] for column in table])
                    faults.setdefault(indexes[well_formed[at]], []).append(fault)
                else:
                    metric.add_record(values)
        return table

    def _condition_fault(self, metric: Metric, row: Sequence[Any]) -> Fault:
        return Fault(metric.rule.name, metric.rule.column, self._condition_shown(metric, row))

    def _condition_shown(self, metric: Metric, row: Sequence[Any]) -> str | None:
        """Return the values of the columns that a condition reads."""
        if metric.masked:
            return MASK
        texts = [as_text(cells.of_row(row)) for cells in metric.cells]
        if len(texts) == 1:
            return _truncate(texts[0])
        pairs = zip(metric.columns, texts, strict=True)
        return _truncate(
            ", ".join(f"{name}={'' if text is None else text}" for name, text in pairs)
        )

    def _add_duplicate_fault(self, key: Key, row: Sequence[Any], faults: list[Fault]) -> None:
        value = MASK if key.masked else _truncate(key.shown(row))
        faults.append(Fault("unique" if key.rule is None else key.rule.name, key.name, value))

    def _add_orphan_fault(
        self, reference: Reference, row: Sequence[Any], faults: list[Fault]
    ) -> None:
        key = reference.key
        value = MASK if key.masked else _truncate(key.shown(row))
        faults.append(Fault("foreignKey", key.name, value))

    def _record_fault(self, broken: MalformedRecord) -> Fault:
        column = None
        if broken.field is not None and broken.field < len(self._names):
            column = self._names[broken.field]
        if broken.value is None:
            return Fault(broken.rule, column, None)
        # A malformed record may have any column's value in this place.
        masked = column in self._masked if column else bool(self._masked)
        return Fault(broken.rule, column, MASK if masked else _truncate(broken.value))

    def _shown(self, column: str, value: str | None) -> str | None:
        return MASK if column in self._masked and value else _truncate(value)

    def _count(self, fault: Fault, line: int) -> None:
        failed, samples = self._checks.get((fault.rule, fault.column), (0, []))
        if len(samples) < MAX_SAMPLES:
            samples.append(Sample(line, fault.value))
        self._checks[fault.rule, fault.column] = (failed + 1, samples)


def _truncate(value: str | None) -> str | None:
    """Return at most `MAX_SHOWN` characters; invalid bytes are escaped with backslashes."""
    if value is None:
        return None
    if len(value) > MAX_SHOWN:
        value = value[:MAX_SHOWN] + "..."
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class _CandidateSplit:
    """The candidates of a batch, parsed once if all of them fit into memory."""

    def __init__(self, batch: RecordBatch, candidates: Sequence[int], size: int) -> None:
        self._batch = batch
        self._count = len(candidates)
        self._held = batch.subset(candidates) if 0 < len(candidates) <= size else None

    def subset(self, candidates: Sequence[int]) -> RecordSubset:
        """Return the records of these candidates."""
        if self._held is not None and len(candidates) == self._count:
            return self._held
        return self._batch.subset(candidates)


def _within(indexes: Sequence[int], piece: Sequence[int]) -> Sequence[int]:
    """Return those of the ascending `indexes` that are within an ascending piece."""
    return indexes[bisect_left(indexes, piece[0]) : bisect_right(indexes, piece[-1])]
