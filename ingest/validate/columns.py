"""One column's cells and one key's columns, judged batch by batch."""

import json
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any

from ingest.contract.model import Column, Hints
from ingest.validate.keys import Seen
from ingest.validate.rules import text_judge, text_parser, value_judge, value_parser

_REMEMBERED = 4096
_EMPTY: Hashable = ()
"""Stands for a missing value in a key: in a composite key it is a value like any other."""


class Cells:
    """One column of the file with its judge; remembers which cells are sound."""

    def __init__(self, column: Column, position: int, hints: Hints, *, typed: bool) -> None:
        self.column = column
        self.position = position
        self._judge = value_judge(column) if typed else text_judge(column, hints)
        self._parse = value_parser(column) if typed else text_parser(column, hints)
        self._typed = typed
        self._sound: set[Any] = set()

    def faulty(self, cells: Sequence[Any]) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Positions in ``cells`` with the rules broken there."""
        if self._typed:  # values may be unhashable, and True equals 1
            for index, cell in enumerate(cells):
                if rules := self._judge(cell):
                    yield index, rules
        elif bad := self.unsound(set(cells)):
            for index, cell in enumerate(cells):
                if cell in bad:
                    yield index, bad[cell]

    def unsound(self, distinct: set[str]) -> Mapping[str, tuple[str, ...]]:
        """Those of some text cells that break a rule, with the rules."""
        fresh = distinct - self._sound
        bad = {cell: rules for cell in fresh if (rules := self._judge(cell))}
        if len(self._sound) < _REMEMBERED and len(fresh) < _REMEMBERED:
            self._sound |= fresh.difference(bad)
        return bad

    def key_parts(self, cells: Sequence[Any]) -> list[Hashable]:
        """What each cell adds to a key; None where it is no value of its type."""
        parts: list[Hashable] = []
        parse = self._parse
        for cell in cells:
            if cell is None or cell == "":
                parts.append(_EMPTY)
                continue
            try:
                parts.append(parse(cell))
            except (ValueError, OverflowError):
                parts.append(None)  # the type rule says so
        return parts


class Key:
    """A key over one or more columns of the file, and the keys seen so far."""

    def __init__(self, cells: Sequence[Cells]) -> None:
        columns = [cell.column for cell in cells]
        self.name = ",".join(column.name for column in columns)
        self.masked = any(column.masked for column in columns)
        self.cells = cells
        self.whole_numbers = len(columns) == 1 and columns[0].logical_type == "integer"
        self.seen = Seen(whole_numbers=self.whole_numbers)

    def of(self, column: Callable[[Cells], Sequence[Any]]) -> list[Hashable]:
        """The keys of some records, whose cells ``column`` gives; None where there is none."""
        parts = [cells.key_parts(column(cells)) for cells in self.cells]
        if len(parts) == 1:
            return [None if key is _EMPTY else key for key in parts[0]]
        return [None if None in key else key for key in zip(*parts, strict=True)]

    def shown(self, row: Sequence[Any]) -> str:
        """The key of one record as it came."""
        return ",".join(as_text(row[cells.position]) or "" for cells in self.cells)


def as_text(value: Any) -> str | None:
    """A value as a person would read it in the file."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)
