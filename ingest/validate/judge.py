"""The exact judge: every cell of every record against the contract, by its letter.

It works on batches, column by column. Cells of a text column repeat, so each distinct cell is
judged once and the sound ones are remembered; the verdict is the same as cell by cell.
"""

import json
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ingest.contract.model import Column, Contract
from ingest.validate.batches import Batch, Broken, Reader
from ingest.validate.keys import Seen
from ingest.validate.report import MASK, Check, Sample
from ingest.validate.rules import text_judge, text_parser, value_judge, value_parser

MAX_SAMPLES = 5
MAX_SHOWN = 500
"""Characters of a value that samples and reasons show."""
_REMEMBERED = 4096


@dataclass(frozen=True)
class Fault:
    """One broken rule of one record. ``value`` is as it came, or masked."""

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


Judge = Callable[[Any], tuple[str, ...]]


class _Cells:
    """One column of the file and its judge; remembers which cells are sound."""

    def __init__(self, column: Column, position: int, judge: Judge, *, typed: bool) -> None:
        self.column = column
        self.position = position
        self._judge = judge
        self._typed = typed
        self._sound: set[Any] = set()

    def faulty(self, cells: Sequence[Any]) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Positions in ``cells`` with the rules broken there."""
        judge = self._judge
        if self._typed:  # values may be unhashable, and True equals 1
            for index, cell in enumerate(cells):
                if rules := judge(cell):
                    yield index, rules
            return
        fresh = set(cells)
        fresh -= self._sound
        bad = {cell: rules for cell in fresh if (rules := judge(cell))}
        if len(self._sound) < _REMEMBERED and len(fresh) < _REMEMBERED:
            self._sound |= fresh.difference(bad)
        if bad:
            for index, cell in enumerate(cells):
                if cell in bad:
                    yield index, bad[cell]


class _Key:
    """A key over one or more columns of the file."""

    def __init__(
        self, columns: Sequence[Column], cells: Sequence[_Cells], parse: list[Any]
    ) -> None:
        self.name = ",".join(column.name for column in columns)
        self.masked = any(column.masked for column in columns)
        self._positions = [cell.position for cell in cells]
        self._parsers = parse
        self._seen = Seen(whole_numbers=len(columns) == 1 and columns[0].logical_type == "integer")

    def repeated(self, table: Sequence[Sequence[Any]]) -> list[int]:
        """Positions of records whose key came before."""
        parts = [
            _key_parts(table[position], parse)
            for position, parse in zip(self._positions, self._parsers, strict=True)
        ]
        if len(parts) == 1:
            return self._seen.repeated([None if key is _EMPTY else key for key in parts[0]])
        return self._seen.repeated(
            [None if None in key else key for key in zip(*parts, strict=True)]
        )

    def shown(self, table: Sequence[Sequence[Any]], index: int) -> str | None:
        """The key of one record as it came."""
        return ",".join(_text(table[position][index]) or "" for position in self._positions)


_EMPTY: Hashable = ()
"""Stands for a missing value in a key: in a composite key it is a value like any other."""


def _key_parts(cells: Sequence[Any], parse: Callable[[Any], Hashable]) -> list[Hashable]:
    parts: list[Hashable] = []
    for cell in cells:
        if cell is None or cell == "":
            parts.append(_EMPTY)
            continue
        try:
            parts.append(parse(cell))
        except (ValueError, OverflowError):
            parts.append(None)  # no value of its type: the type rule says so
    return parts


class Jury:
    """Judges all batches of one reader and keeps the counts."""

    def __init__(self, contract: Contract, reader: Reader) -> None:
        self._contract = contract
        self._names = list(reader.names)
        self._masked = {c.name for c in contract.columns if c.masked}
        self._order = {c.name: index for index, c in enumerate(contract.columns)}
        typed = reader.typed
        hints = contract.hints
        at = {name: index for index, name in enumerate(self._names)}
        self._cells = [
            _Cells(
                column,
                at[column.name],
                value_judge(column) if typed else text_judge(column, hints),
                typed=typed,
            )
            for column in contract.columns
        ]
        by_name = {cells.column.name: cells for cells in self._cells}
        keys: list[tuple[str, ...]] = [(c.name,) for c in contract.columns if c.unique]
        if contract.key and contract.key not in keys:
            keys.append(contract.key)
        self._keys = [
            _Key(
                [by_name[name].column for name in key],
                [by_name[name] for name in key],
                [
                    value_parser(by_name[name].column)
                    if typed
                    else text_parser(by_name[name].column, hints)
                    for name in key
                ],
            )
            for key in keys
        ]
        self._checks: dict[tuple[str, str | None], tuple[int, list[Sample]]] = {}
        self.rows = 0
        self.rejected = 0

    def judge(self, batch: Batch) -> list[Reject]:
        """The rejects of ``batch`` in file order; all counts take it in."""
        rows = batch.rows
        self.rows += len(rows)
        faults: dict[int, list[Fault]] = {}
        width = len(self._names)
        for index, broken in batch.broken.items():
            faults[index] = [self._record_fault(broken)]
        sound: Sequence[int] = range(len(rows))
        widths = set(map(len, rows))
        if batch.broken or widths - {width}:
            for index, row in enumerate(rows):
                if index not in faults and len(row) != width:
                    said = f"{len(row)} fields instead of {width}"
                    faults[index] = [Fault("fieldCount", None, said)]
            sound = [index for index in sound if index not in faults]
            rows = [rows[index] for index in sound]
        table: list[Sequence[Any]] = list(zip(*rows, strict=True))
        if table:
            for at, fault in self._table_faults(table):
                faults.setdefault(sound[at], []).append(fault)
        rejects = [
            Reject(index, batch.lines[index], tuple(faults[index])) for index in sorted(faults)
        ]
        self.rejected += len(rejects)
        for reject in rejects:
            for fault in reject.faults:
                self._count(fault, reject.line)
        return rejects

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

    def _table_faults(self, table: list[Sequence[Any]]) -> Iterator[tuple[int, Fault]]:
        for cells in self._cells:
            column = cells.column
            found = table[cells.position]
            for at, rules in cells.faulty(found):
                value = self._shown(column.name, _text(found[at]))
                for rule in rules:
                    yield at, Fault(rule, column.name, value)
        for key in self._keys:
            for at in key.repeated(table):
                value = MASK if key.masked else _cut(key.shown(table, at))
                yield at, Fault("unique", key.name, value)

    def _record_fault(self, broken: Broken) -> Fault:
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


def _text(value: Any) -> str | None:
    """A value as a person would read it in the file."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def _cut(value: str | None) -> str | None:
    """At most ``MAX_SHOWN`` characters; bytes that are no text in backslashes."""
    if value is None:
        return None
    if len(value) > MAX_SHOWN:
        value = value[:MAX_SHOWN] + "..."
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
