"""Records to faults and keys, in the order of the file, column by column.

Cells of a text column repeat, so each distinct one of a batch is validated once. Repeated keys are
found elsewhere, over all records; this module computes each record's keys, and how they are shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from spark_jobs.validation.cells import as_text, judge_of, parser_of
from spark_jobs.validation.conditions import columns_of, evaluator
from spark_jobs.validation.plan import ColumnPlan, KeyPlan, Plan, RulePlan
from spark_jobs.validation.records import Broken, Row
from spark_jobs.validation.tally import Tally

MASK = "***"
MAX_SHOWN = 500
"""Characters of a value that samples and reasons show."""
SAMPLE = 2000
"""Records that a profile's sample has, about."""

Fault = tuple[str, str | None, str | None]
_REMEMBERED = 4096
_SPREAD = 0x9E3779B97F4A7C15
_SPACE = 1 << 64
_EMPTY = "-"


@dataclass
class Judged:
    """One record: its faults but for repeated keys, and its keys, None where it has none."""

    faults: list[Fault] = field(default_factory=list)
    keys: list[bytes | None] = field(default_factory=list)


class _Cells:
    """One column of the file with what validates and reads it."""

    def __init__(
        self, column: ColumnPlan, position: int | None, plan: Plan, *, typed: bool
    ) -> None:
        self.column = column
        self.position = position
        self._typed = typed
        self._judge = judge_of(column, plan, typed=typed)
        self._parse = parser_of(column, plan, typed=typed)
        self._sound: set[str] = set()

    def of_row(self, row: Sequence[Any]) -> Any:
        """This column's cell of one record; a column that the file lacks has none."""
        return None if self.position is None else row[self.position]

    def of_table(self, table: Sequence[Sequence[Any]]) -> Sequence[Any]:
        """This column's cells of some records that are given column by column."""
        return [None] * len(table[0]) if self.position is None else table[self.position]

    def faulty(self, cells: Sequence[Any]) -> list[tuple[int, tuple[str, ...]]]:
        """Positions in `cells` with the rules broken there."""
        if self._typed:  # values may be unhashable, and True equals 1
            return [(at, rules) for at, cell in enumerate(cells) if (rules := self._judge(cell))]
        fresh = set(cells) - self._sound
        bad = {cell: rules for cell in fresh if (rules := self._judge(cell))}
        if len(self._sound) < _REMEMBERED and len(fresh) < _REMEMBERED:
            self._sound |= fresh.difference(bad)
        return [(at, bad[cell]) for at, cell in enumerate(cells) if cell in bad] if bad else []

    def value(self, cell: Any) -> Any:
        """The value of a cell: None where it is missing or none of its type."""
        if cell is None or cell == "":
            return None
        try:
            return self._parse(cell)
        except (ValueError, OverflowError):
            return None

    def checked(self, cell: Any) -> Any:
        """The same, but `_UNSOUND_VALUE` where the cell is not a value of its column's type."""
        value = self.value(cell)
        return _UNSOUND_VALUE if value is None and cell is not None and cell != "" else value


class _Unsound:
    """Stands for what is no value of its column's type."""


_UNSOUND_VALUE = _Unsound()


class _Rule:
    """One quality rule, compiled."""

    def __init__(self, rule: RulePlan, masked: Mapping[str, bool]) -> None:
        self.rule = rule
        names = columns_of(rule.condition) + columns_of(rule.of)
        self.columns = tuple(dict.fromkeys(names))
        self.masked = any(masked[name] for name in self.columns)
        self._holds = evaluator(rule.condition)
        self._of = None if rule.of is None else evaluator(rule.of)

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether it is true of a record whose values are all sound."""
        return all(not isinstance(values[name], _Unsound) for name in self.columns) and (
            self._holds(values) is True
        )

    def measured(self, values: Mapping[str, Any]) -> Any:
        """What a record of which it holds adds to the measure."""
        return 1 if self._of is None else self._of(values)


class Bench:
    """Validates records of one file; `lines` is how many it has, for the sample of the profile."""

    def __init__(self, plan: Plan, lines: int) -> None:
        self._plan = plan
        self.typed = plan.layout.kind != "csv"
        self._width = len(plan.layout.names)
        at = {name: position for position, name in enumerate(plan.layout.names)}
        self._by_name = {
            column.name: _Cells(column, at.get(column.name), plan, typed=self.typed)
            for column in plan.columns
        }
        self._cells = [cells for cells in self._by_name.values() if cells.position is not None]
        masked = {column.name: column.masked for column in plan.columns}
        self._masked = masked
        self._rules = [_Rule(rule, masked) for rule in plan.rules]
        self._needed = tuple(dict.fromkeys(name for rule in self._rules for name in rule.columns))
        self._limit = _SPACE if lines <= SAMPLE else _SPACE * SAMPLE // lines

    def values(self, row: Row) -> list[Any]:
        """The values of an accepted record, in the order of the plan's columns.

        A text that is empty is not missing in a format with types.
        """
        if isinstance(row, Broken):  # pragma: no cover - such a record is not accepted
            raise TypeError("a record out of form has no values")
        values = []
        for cells in self._by_name.values():
            cell = None if cells.position is None else row[cells.position]
            values.append("" if self.typed and cell == "" else cells.value(cell))
        return values

    def tally(self) -> Tally:
        """Return an empty tally."""
        return Tally.of(len(self._rules), len(self._cells))

    def judge(self, lines: Sequence[int], rows: Sequence[Row], tally: Tally) -> list[Judged]:
        """Validate records that begin on these lines, and count them."""
        results = [Judged() for _ in rows]
        sound: list[int] = []
        for index, row in enumerate(rows):
            if isinstance(row, Broken):
                results[index].faults.append(self._broken(row))
            elif len(row) != self._width:
                field_counts = f"{len(row)} fields instead of {self._width}"
                results[index].faults.append(("fieldCount", None, field_counts))
            else:
                sound.append(index)
        table = list(zip(*(rows[index] for index in sound), strict=True)) if sound else []
        if table:
            self._judge_cells(table, sound, results)
            self._judge_rules(table, sound, results, tally)
            for at, index in enumerate(sound):
                cells = [column[at] for column in table]
                results[index].keys = [self._key(key, cells) for key in self._plan.keys]
            self._profile(table, [lines[index] for index in sound], tally)
        tally.rows += len(rows)
        for line, judged in zip(lines, results, strict=True):
            tally.rejected += bool(judged.faults)
            for rule, column, value in judged.faults:
                tally.fault(rule, column, line, value)
        return results

    def repeated(self, number: int, row: Sequence[Any]) -> Fault:
        """The fault of a record whose key of that number was there before."""
        key = self._plan.keys[number]
        shown = ",".join(as_text(self._by_name[name].of_row(row)) or "" for name in key.columns)
        hidden = any(self._masked[name] for name in key.columns)
        return (key.rule, key.name, MASK if hidden else cut(shown))

    def shown(self, row: Row, raw: bytes) -> dict[str, Any]:
        """A rejected record as a report shows it: by cells, or as it came where it has none."""
        if isinstance(row, Broken) or len(row) != self._width:
            text = raw.decode("utf-8", "surrogateescape").rstrip("\r\n")
            return {"cells": {}, "raw": MASK if any(self._masked.values()) else cut(text)}
        cells = {
            cells.column.name: self._shown(cells.column.name, as_text(cells.of_row(row)))
            for cells in self._cells
        }
        return {"cells": cells, "raw": None}

    def _broken(self, broken: Broken) -> Fault:
        names = self._plan.layout.names
        column = None
        if broken.field is not None and broken.field < len(names):
            column = names[broken.field]
        if broken.value is None:
            return (broken.rule, column, None)
        # A record out of shape may show any column's value.
        hidden = self._masked.get(column, False) if column else any(self._masked.values())
        return (broken.rule, column, MASK if hidden else cut(broken.value))

    def _judge_cells(
        self, table: Sequence[Sequence[Any]], sound: Sequence[int], results: Sequence[Judged]
    ) -> None:
        for cells in self._cells:
            name = cells.column.name
            column = cells.of_table(table)
            for at, rules in cells.faulty(column):
                value = self._shown(name, as_text(column[at]))
                results[sound[at]].faults += [(rule, name, value) for rule in rules]

    def _judge_rules(
        self,
        table: Sequence[Sequence[Any]],
        sound: Sequence[int],
        results: Sequence[Judged],
        tally: Tally,
    ) -> None:
        if not self._needed:
            return
        columns = [
            [self._by_name[name].checked(cell) for cell in self._by_name[name].of_table(table)]
            for name in self._needed
        ]
        for at, index in enumerate(sound):
            values = {name: column[at] for name, column in zip(self._needed, columns, strict=True)}
            for rule, gauge in zip(self._rules, tally.gauges, strict=True):
                if not rule.holds(values):
                    continue
                if rule.rule.per_record:
                    shown = self._condition_shown(rule, [column[at] for column in table])
                    results[index].faults.append((rule.rule.rule, rule.rule.column, shown))
                elif (value := rule.measured(values)) is not None:
                    gauge.add(1, value, value, value)

    def _condition_shown(self, rule: _Rule, row: Sequence[Any]) -> str | None:
        if rule.masked:
            return MASK
        texts = [as_text(self._by_name[name].of_row(row)) for name in rule.columns]
        if len(texts) == 1:
            return cut(texts[0])
        pairs = zip(rule.columns, texts, strict=True)
        return cut(", ".join(f"{name}={'' if text is None else text}" for name, text in pairs))

    def _key(self, key: KeyPlan, row: Sequence[Any]) -> bytes | None:
        cells = [self._by_name[name] for name in key.columns]
        values = [(one.of_row(row), one.value(one.of_row(row))) for one in cells]
        if len(cells) == 1:
            text = _text(values[0][1])
        else:
            parts = [_part(cell, value) for cell, value in values]
            text = None if None in parts else "".join(part for part in parts if part is not None)
        return None if text is None else text.encode("utf-8", "surrogatepass")

    def _profile(self, table: Sequence[Sequence[Any]], lines: Sequence[int], tally: Tally) -> None:
        for cells, column in zip(self._cells, tally.columns, strict=True):
            column_cells = cells.of_table(table)
            counts = Counter(map(_hashable, column_cells) if self.typed else column_cells)
            column.nulls += counts.pop(None, 0) + counts.pop("", 0)
            values = {cell: cells.value(cell) for cell in counts}
            sound = {cell: value for cell, value in values.items() if value is not None}
            column.count += sum(counts[cell] for cell in sound)
            if sound:
                column.extend(min(sound.values()), max(sound.values()))
                column.note(str(_canonical(cell, value)) for cell, value in sound.items())
        for at, line in enumerate(lines):
            number = line * _SPREAD % _SPACE
            if number < self._limit:
                tally.sample.append(
                    (
                        number,
                        [
                            None if one.column.masked else _plain(one.of_table(table)[at])
                            for one in self._cells
                        ],
                    )
                )

    def _shown(self, column: str, value: str | None) -> str | None:
        return MASK if self._masked[column] and value else cut(value)


def cut(value: str | None) -> str | None:
    """At most `MAX_SHOWN` characters; bytes that are no text in backslashes."""
    if value is None:
        return None
    if len(value) > MAX_SHOWN:
        value = value[:MAX_SHOWN] + "..."
    try:
        plain = value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a pair that JSON spelled out
        plain = value.encode("utf-8", "surrogatepass")
    return plain.decode("utf-8", "backslashreplace")


def _text(value: Any) -> str | None:
    """A value as text, the same for equal values and for no others of its type."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float):
        return repr(value + 0.0)  # there is no second zero
    if isinstance(value, datetime):
        value = value.astimezone(UTC)
    return str(value)


def _part(cell: Any, value: Any) -> str | None:
    """What a cell adds to a key over several columns; None if it is no value of its type."""
    if cell is None or cell == "":
        return _EMPTY
    text = _text(value)
    return None if text is None else f"{len(text)}:{text}"


def _canonical(cell: Any, value: Any) -> Any:
    return value if isinstance(value, int) and not isinstance(value, bool) else cell


def _hashable(cell: Any) -> Any:
    """Nested JSON is no value of any type and only has to be counted apart."""
    return repr(cell) if isinstance(cell, (dict, list)) else cell


def _plain(cell: Any) -> Any:
    """A cell as JSON can carry it."""
    if isinstance(cell, Decimal):
        return float(cell)
    return cell if cell is None or isinstance(cell, (str, int, float)) else as_text(cell)
