"""The exact validate: every cell of every record against the contract, by its letter.

It works on batches, column by column. Cells of a text column repeat, so each distinct cell is
validated once and the sound ones are remembered; the verdict is the same as cell by cell.

Where a batch can be prefiltered, a vectorised pass in front marks the records that might break a
rule, and only those come here. Clean records never pay for exactness.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from landfall.contract.model import Contract
from landfall.validation.batches import Prefilter, Reader, RecordBatch, RecordSubset, ScanResult
from landfall.validation.columns import Cells, Key, as_text
from landfall.validation.metrics import Metric, Metrics
from landfall.validation.prefilter.choice import prefilter_of
from landfall.validation.profile import Profiler
from landfall.validation.readers.splitting import MalformedRecord
from landfall.validation.references import NoReferences, Reference
from landfall.validation.report import MASK, Check, Example, Link, Measure, Profile, Sample
from landfall.validation.streams import References

MAX_SAMPLES = 5
MAX_EXAMPLES = 20
"""Rejected records that a report shows."""
MAX_SHOWN = 500
"""Characters of a value that samples and reasons show."""
_AT_ONCE = 50_000
"""Cells that are validated at once: each may have a fault of some 250 bytes."""


@dataclass(frozen=True)
class Fault:
    """One broken rule of one record. `value` is as it came, or masked."""

    rule: str
    column: str | None
    value: str | None

    def to_dict(self) -> dict[str, str | None]:
        """As the reasons file has it."""
        return {"rule": self.rule, "column": self.column, "value": self.value}


@dataclass(frozen=True)
class Reject:
    """A record with at least one fault: its index in the batch, the line where it begins."""

    index: int
    line: int
    faults: tuple[Fault, ...]


_Faults = dict[int, list[Fault]]
"""Of records by their index in a batch."""


class RecordValidator:
    """Validates all batches of one reader and keeps the counts."""

    def __init__(
        self,
        contract: Contract,
        reader: Reader,
        *,
        prefilter: bool = True,
        references: References | None = None,
    ) -> None:
        self._names = list(reader.names)
        self._rules = contract.rules
        self._masked = {c.name for c in contract.columns if c.masked}
        self._order = {c.name: index for index, c in enumerate(contract.columns)}
        at = {name: index for index, name in enumerate(self._names)}
        evolve = contract.drift.changed == "evolve"
        by_name = {
            column.name: Cells(
                column, at.get(column.name), contract.hints, typed=reader.typed, evolve=evolve
            )
            for column in contract.columns
        }
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
            Reference(one, by_name, references or NoReferences()) for one in contract.relationships
        ]
        self._referring = [one for one in self._references if one.missing is None]
        self._gauges = Metrics(contract, by_name)
        found = prefilter_of(
            reader,
            contract.hints,
            self._cells,
            self._keys,
            metrics=self._gauges,
            referring=self._referring,
        )
        self._screen: Prefilter | None = found.prefilter if prefilter else None
        self._profiler = Profiler(self._cells, found.sketch)
        self._checks: dict[tuple[str, str | None], tuple[int, list[Sample]]] = {}
        self.examples: list[Example] = []
        self.rows = 0
        self.rejected = 0

    def measures(self) -> tuple[Measure, ...]:
        """Every quality rule over the whole table that is not a matter of single records."""
        metrics = {id(metric.rule): metric for metric in self._gauges.all}
        for key in self._keys:
            if key.rule is not None:
                metrics[id(key.rule)] = metric = Metric(key.rule, {})
                metric.count = key.repeats
        return tuple(
            metrics[id(rule)].measure(self.rows) for rule in self._rules if not rule.per_record
        )

    def links(self) -> tuple[Link, ...]:
        """Every relationship, and whether it was checked."""
        return tuple(reference.link() for reference in self._references)

    def profiles(self) -> tuple[Profile, ...]:
        """What the values of each column are like."""
        return self._profiler.profiles(len(self._names))

    def scan(self, batch: RecordBatch) -> ScanResult | None:
        """Screen a batch, if that is possible; any thread may ask, in any order."""
        return None if self._screen is None else batch.prefilter(self._screen)

    def validate(
        self, batch: RecordBatch, scan: ScanResult | None = None
    ) -> Iterator[list[Reject]]:
        """The rejects of `batch` in file order, some at a time; all counts take them in.

        Batches come in file order, each with what `scan` found, and each is validated to its end. A
        batch in which nothing is right has more to say than may be held at once.
        """
        rows = len(batch.rows) if scan is None else scan.rows
        self.rows += rows
        self._profiler.sample.take(rows, batch)
        found = (
            self._validate_whole(batch, rows)
            if scan is None
            else self._validate_prefiltered(batch, scan)
        )
        for faults in found:
            if not faults:
                continue
            rejects = [
                Reject(index, batch.line(index), tuple(faults[index])) for index in sorted(faults)
            ]
            self.rejected += len(rejects)
            for reject in rejects[: max(0, MAX_EXAMPLES - len(self.examples))]:
                self.examples.append(self._example(batch, reject))
            for reject in rejects:
                for fault in reject.faults:
                    self._count(fault, reject.line)
            yield rejects

    def checks(self) -> tuple[Check, ...]:
        """Every broken rule, in the contract's order of columns, whole records first."""
        ranked = sorted(
            self._checks.items(),
            key=lambda item: (self._order.get((item[0][1] or "").split(",")[0], -1), item[0][0]),
        )
        return tuple(
            Check(rule, column, failed, tuple(samples))
            for (rule, column), (failed, samples) in ranked
        )

    def _example(self, batch: RecordBatch, reject: Reject) -> Example:
        """A rejected record as it can be shown."""
        faults = tuple((fault.rule, fault.column) for fault in reject.faults)
        some = batch.some([reject.index])
        row = some.rows[0]
        if not some.broken and len(row) == len(self._names):
            cells = {
                cells.column.name: self._shown(cells.column.name, as_text(row[cells.position]))
                for cells in self._cells
            }
            return Example(reject.line, faults, cells)
        raw = batch.raw(reject.index).decode("utf-8", "surrogateescape").rstrip("\r\n")
        return Example(reject.line, faults, raw=MASK if self._masked else _cut(raw))

    def _pieces(self, indexes: Sequence[int]) -> Iterator[Sequence[int]]:
        """As many records at a time as may have every fault there is."""
        size = max(1, _AT_ONCE // max(1, len(self._names)))
        for start in range(0, len(indexes), size):
            yield indexes[start : start + size]

    def _validate_whole(self, batch: RecordBatch, rows: int) -> Iterator[_Faults]:
        """Validate all that can be said of every record, their keys included."""
        for piece in self._pieces(range(rows)):
            faults: _Faults = {}
            some = batch.some(piece)
            sound = self._validate_form(some, piece, faults)
            table = self._validate_cells(some.rows, sound, piece, faults)
            for key in self._keys if table else ():
                for at in self._counted(key, key.seen.repeated(key.of_table(table))):
                    mine = faults.setdefault(piece[sound[at]], [])
                    self._repeats(key, some.rows[sound[at]], mine)
            for reference in self._referring if table else ():
                keys = reference.key.of_table(table)
                for at in reference.orphans(reference.key.series(keys)):
                    mine = faults.setdefault(piece[sound[at]], [])
                    self._orphan_faults(reference, some.rows[sound[at]], mine)
            yield faults

    def _validate_prefiltered(self, batch: RecordBatch, scan: ScanResult) -> Iterator[_Faults]:
        """Validate the candidates cell by cell, and the keys of all records."""
        self._profiler.take_scan(scan)
        for metric, measured in zip(self._gauges.summed, scan.measured, strict=True):
            metric.add(*measured)
        split = _Split(batch, scan.candidates, _AT_ONCE // max(1, len(self._names)))
        validated = self._keys_of(split, scan.candidates)
        again = [
            (key, self._counted(key, scan.repeated(key, validated[id(key)]))) for key in self._keys
        ]
        strays = [(one, scan.orphans(one, validated[id(one.key)])) for one in self._referring]
        marked = {*scan.candidates}.union(*(found for _, found in (*again, *strays)))
        for piece in self._pieces(sorted(marked)):
            faults: _Faults = {}
            if candidates := _between(scan.candidates, piece):
                some = split.some(candidates)
                sound = self._validate_form(some, candidates, faults)
                self._validate_cells(some.rows, sound, candidates, faults)
            for key, found in again:
                mine = _between(found, piece)
                for index, row in zip(mine, batch.some(mine).rows if mine else (), strict=True):
                    self._repeats(key, row, faults.setdefault(index, []))
            for reference, found in strays:
                mine = _between(found, piece)
                for index, row in zip(mine, batch.some(mine).rows if mine else (), strict=True):
                    self._orphan_faults(reference, row, faults.setdefault(index, []))
            yield faults

    def _keys_of(self, split: "_Split", candidates: Sequence[int]) -> dict[int, list[Hashable]]:
        """By `id` of each key and reference's key, what the candidates have there."""
        keys = [*self._keys, *(reference.key for reference in self._referring)]
        found: dict[int, list[Hashable]] = {id(key): [] for key in keys}
        for piece in self._pieces(candidates) if keys else ():
            some = split.some(piece)
            sound = self._validate_form(some, piece, {})
            table = list(zip(*(some.rows[at] for at in sound), strict=True))
            for key in keys:
                mine: list[Hashable] = [None] * len(piece)
                validated = key.of_table(table) if table else ()
                for at, one in zip(sound, validated, strict=True):
                    mine[at] = one
                found[id(key)] += mine
        return found

    def _counted(self, key: Key, repeats: list[int]) -> list[int]:
        """Those of some repeated keys that are faults of their records."""
        key.repeats += len(repeats)
        return repeats if key.rule is None or key.rule.per_record else []

    def _validate_form(
        self, some: RecordSubset, indexes: Sequence[int], faults: _Faults
    ) -> Sequence[int]:
        """Positions of records in good form; the others get their fault."""
        rows, broken, width = some.rows, some.broken, len(self._names)
        if not broken and not set(map(len, rows)) - {width}:
            return range(len(rows))
        sound = []
        for at, row in enumerate(rows):
            if at in broken:
                faults[indexes[at]] = [self._record_fault(broken[at])]
            elif len(row) != width:
                said = f"{len(row)} fields instead of {width}"
                faults[indexes[at]] = [Fault("fieldCount", None, said)]
            else:
                sound.append(at)
        return sound

    def _validate_cells(
        self,
        rows: Sequence[Sequence[Any]],
        sound: Sequence[int],
        indexes: Sequence[int],
        faults: _Faults,
    ) -> list[Sequence[Any]]:
        """Validate every cell of the sound records; their cells, column by column."""
        if len(sound) != len(rows):
            rows = [rows[at] for at in sound]
        table: list[Sequence[Any]] = list(zip(*rows, strict=True))
        self._profiler.take_cells(table)
        for cells in self._cells if table else ():
            name = cells.column.name
            found = table[cells.position]
            for at, rules in cells.faulty(found):
                value = self._shown(name, as_text(found[at]))
                mine = faults.setdefault(indexes[sound[at]], [])
                mine.extend(Fault(rule, name, value) for rule in rules)
        for at, values in enumerate(self._gauges.rows(table)):
            for metric in self._gauges.all:
                if not metric.holds(values):
                    continue
                if metric.rule.per_record:
                    shown = self._condition_shown(metric, [column[at] for column in table])
                    fault = Fault(metric.rule.name, metric.rule.column, shown)
                    faults.setdefault(indexes[sound[at]], []).append(fault)
                else:
                    metric.take(values)
        return table

    def _condition_shown(self, metric: Metric, row: Sequence[Any]) -> str | None:
        """What a record has where a condition looks."""
        if metric.masked:
            return MASK
        texts = [as_text(cells.of_row(row)) for cells in metric.cells]
        if len(texts) == 1:
            return _cut(texts[0])
        pairs = zip(metric.columns, texts, strict=True)
        return _cut(", ".join(f"{name}={'' if text is None else text}" for name, text in pairs))

    def _repeats(self, key: Key, row: Sequence[Any], faults: list[Fault]) -> None:
        value = MASK if key.masked else _cut(key.shown(row))
        faults.append(Fault("unique" if key.rule is None else key.rule.name, key.name, value))

    def _orphan_faults(self, reference: Reference, row: Sequence[Any], faults: list[Fault]) -> None:
        key = reference.key
        value = MASK if key.masked else _cut(key.shown(row))
        faults.append(Fault("foreignKey", key.name, value))

    def _record_fault(self, broken: MalformedRecord) -> Fault:
        column = None
        if broken.field is not None and broken.field < len(self._names):
            column = self._names[broken.field]
        if broken.value is None:
            return Fault(broken.rule, column, None)
        # A record out of shape may show any column's value.
        masked = column in self._masked if column else bool(self._masked)
        return Fault(broken.rule, column, MASK if masked else _cut(broken.value))

    def _shown(self, column: str, value: str | None) -> str | None:
        return MASK if column in self._masked and value else _cut(value)

    def _count(self, fault: Fault, line: int) -> None:
        failed, samples = self._checks.get((fault.rule, fault.column), (0, []))
        if len(samples) < MAX_SAMPLES:
            samples.append(Sample(line, fault.value))
        self._checks[fault.rule, fault.column] = (failed + 1, samples)


def _cut(value: str | None) -> str | None:
    """At most `MAX_SHOWN` characters; bytes that are no text in backslashes."""
    if value is None:
        return None
    if len(value) > MAX_SHOWN:
        value = value[:MAX_SHOWN] + "..."
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class _Split:
    """The candidates of a batch, split once if all of them may be held at once."""

    def __init__(self, batch: RecordBatch, candidates: Sequence[int], size: int) -> None:
        self._batch = batch
        self._count = len(candidates)
        self._held = batch.some(candidates) if 0 < len(candidates) <= size else None

    def some(self, candidates: Sequence[int]) -> RecordSubset:
        """Some of them."""
        if self._held is not None and len(candidates) == self._count:
            return self._held
        return self._batch.some(candidates)


def _between(indexes: Sequence[int], piece: Sequence[int]) -> Sequence[int]:
    """Those of ascending `indexes` that lie within an ascending piece."""
    return indexes[bisect_left(indexes, piece[0]) : bisect_right(indexes, piece[-1])]
