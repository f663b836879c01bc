"""Cells of a column and keys over columns, validated batch by batch."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from landfall.contract.model import Column, QualityRule
from landfall.contract.patterns import TextPattern
from landfall.validation.keys import Seen
from landfall.validation.rules import (
    Matches,
    ValueValidator,
    text_reader,
    text_validator,
    value_reader,
    value_validator,
)
from landfall.validation.typed import value_series

if TYPE_CHECKING:  # Polars takes longer to load than a small file to validate
    import polars as pl

_REMEMBERED = 4096
_LONG = 1000
"""Cells of this many characters and more are not cached, to bound memory."""
INVALID = object()
"""Marks a cell that is not a value of its column's type."""


@dataclass(frozen=True)
class Inexpressible:
    """A cell that no Python value holds, such as a day of the year 29349; it is of no type."""

    text: str

    def __str__(self) -> str:
        return self.text


_EMPTY = "-"
"""Stands for null in a composite key, where it counts as a value."""


class Cells:
    """One column of the file with its validator; caches valid cells.

    `position` is None for a column that is not in the file: all its values are null. With `evolve`
    typed values may have another type than the contract's, see `value_validator`.
    """

    def __init__(
        self, column: Column, position: int | None, *, typed: bool, evolve: bool = False
    ) -> None:
        self.column = column
        self.position = -1 if position is None else position
        self._absent = position is None
        self._pattern = None if column.pattern is None else TextPattern(column.pattern)
        self._read: Callable[[Any], Any]
        self._new_validator: Callable[[Column, Matches], ValueValidator]
        if typed:
            self._new_validator = partial(value_validator, evolve=evolve)
            self._read = value_reader(column, evolve=evolve)
        else:
            self._new_validator = text_validator
            self._read = text_reader(column)
        self._validate = self._new_validator(column, lambda _: True)
        self._typed = typed
        self._clean = column.cleaning.cleaner() if column.cleaning.changes else None
        self._valid: set[Any] = set()
        self._values: dict[str, Any] = {}

    def of_row(self, row: Sequence[Any]) -> Any:
        """Return this column's cell of a record."""
        return None if self._absent else row[self.position]

    def of_table(self, table: Sequence[Sequence[Any]]) -> Sequence[Any]:
        """Return this column's cells of records in column order."""
        return [None] * len(table[0]) if self._absent else table[self.position]

    def of_frame(self, frame: pl.DataFrame) -> pl.Series:
        """Return this column of a frame with the columns of the file."""
        import polars as pl  # noqa: PLC0415 - already loaded

        if self._absent:
            return pl.Series([None], dtype=pl.String).new_from_index(0, len(frame))
        return frame[str(self.position)]

    def faulty(self, cells: Sequence[Any]) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Yield positions in `cells` with the broken rules."""
        if self._typed:  # values may be unhashable, and True equals 1
            validate = self._validator(cells)
            for index, cell in enumerate(cells):
                if rules := validate(cell):
                    yield index, rules
        elif bad := self.invalid(set(cells)):
            for index, cell in enumerate(cells):
                if cell in bad:
                    yield index, bad[cell]

    def invalid(self, distinct: set[str]) -> Mapping[str, tuple[str, ...]]:
        """Return the text cells that break a rule, with the broken rules."""
        fresh = distinct - self._valid
        validate = self._validator(fresh)
        bad = {cell: rules for cell in fresh if (rules := validate(cell))}
        if len(self._valid) < _REMEMBERED and len(fresh) < _REMEMBERED:
            self._valid.update(cell for cell in fresh if cell not in bad and len(cell) < _LONG)
        return bad

    def _validator(self, cells: Collection[Any]) -> ValueValidator:
        """Return the validator of these cells, whose texts are matched all at once."""
        if self._pattern is None or not cells:
            return self._validate
        texts: set[str] = (
            set(cells)
            if not self._typed and not self.column.cleaning.changes
            else {value for cell in cells if isinstance(value := self._value(cell), str)}
        )
        return self._new_validator(self.column, self._pattern.among(texts).__contains__)

    def values(self, cells: Sequence[Any]) -> list[Any]:
        """Return the value of each cell: None if it is null or not of the column's type."""
        return [self._value(cell) for cell in cells]

    def values_by_distinct(self, cells: Sequence[Any]) -> list[Any]:
        """Return the same as `values`, parsing each distinct cell once."""
        if self._typed:  # values may be unhashable, and True equals 1
            return self.values(cells)
        distinct = dict.fromkeys(cells)
        for cell in distinct:
            distinct[cell] = self._value(cell)
        return [distinct[cell] for cell in cells]

    def valid_values(self, distinct: Sequence[Any]) -> dict[Any, Any]:
        """Return the values by cell, without null and invalid cells."""
        known = {} if self._typed else self._values  # True equals 1
        fresh = [cell for cell in distinct if cell not in known]
        parsed = {
            cell: value
            for cell, value in zip(fresh, self.values(fresh), strict=True)
            if value is not None
        }
        if len(known) < _REMEMBERED:
            known.update((c, parsed[c]) for c in parsed if self._typed or len(c) < _LONG)
        return {
            cell: value
            for cell in distinct
            if (value := known.get(cell, parsed.get(cell))) is not None
        }

    def canonical(self, cell: Any, value: Any) -> int | str:
        """Return what distinct values are counted by: an integer, or the clean text of a cell."""
        if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        if self._clean is not None and isinstance(cell, str):
            return self._clean(cell) or ""
        return str(cell)

    def missing(self, cells: Iterable[Any]) -> list[Any]:
        """Return the cells that have no value: empty, or cleaned away."""
        if not self.column.cleaning.changes:
            return [cell for cell in cells if cell is None or cell == ""]
        return [cell for cell in cells if self._checked(cell) is None]

    def checked_values(self, cells: Sequence[Any]) -> list[Any]:
        """Return the value of each cell: `INVALID` if it is not of the column's type."""
        return [self._checked(cell) for cell in cells]

    def series(self, cells: pl.Series) -> pl.Series:
        """Return the values of a column in which each cell is valid or ignored."""
        return value_series(self.column, cells)

    def _value(self, cell: Any) -> Any:
        value = self._checked(cell)
        return None if value is INVALID else value

    def _checked(self, cell: Any) -> Any:
        if cell is None or cell == "":
            return None
        try:
            return self._read(cell)
        except (ValueError, OverflowError):
            return INVALID


class Keys(Protocol):
    """The keys seen so far."""

    def repeated(self, keys: Sequence[Hashable], /) -> list[int]:
        """Return positions in `keys` whose key was seen before; see `keys.Seen`."""

    def __len__(self) -> int: ...


class Key:
    """A key over one or more columns of the file, and the keys seen so far.

    `rule` is the quality rule of the key; None for a primary key or a unique column.
    If `empty` is False, a composite key is None if one of its columns is null.
    """

    def __init__(
        self, cells: Sequence[Cells], rule: QualityRule | None = None, *, empty: bool = True
    ) -> None:
        columns = [cell.column for cell in cells]
        self.rule = rule
        self._empty = _EMPTY if empty else None
        self.repeats = 0
        self.name = ",".join(column.name for column in columns)
        self.masked = any(column.masked for column in columns)
        self.cells = cells
        self.whole_numbers = len(columns) == 1 and columns[0].logical_type == "integer"
        self.seen: Keys
        self.seen = Seen(whole_numbers=self.whole_numbers)

    def of_table(self, table: Sequence[Sequence[Any]]) -> list[Hashable]:
        """Return the keys of records in column order; None where a record has no key."""
        if len(self.cells) == 1:
            values = self.cells[0].values(self.cells[0].of_table(table))
            if self.whole_numbers:
                return values
            return [None if value is None else _text(value) for value in values]
        parts = []
        for column_cells in self.cells:
            cells = column_cells.of_table(table)
            parts.append(
                [_part(value, self._empty) for value in column_cells.checked_values(cells)]
            )
        return [None if None in key else "".join(key) for key in zip(*parts, strict=True)]

    def of_columns(self, column: Callable[[Cells], pl.Series]) -> pl.Series:
        """Return the keys of whole columns in which each cell is valid or ignored."""
        return self.of_values(
            [column_cells.series(column(column_cells)) for column_cells in self.cells]
        )

    def of_values(self, values: Sequence[pl.Series]) -> pl.Series:
        """Return the keys of columns of values, in the types of `Cells.series`."""
        import polars as pl  # noqa: PLC0415 - already loaded

        columns = [_texts(series, self.whole_numbers) for series in values]
        if len(columns) == 1:
            return columns[0]
        marked = [
            pl.when(pl.col(name).is_null())
            .then(pl.lit(self._empty, pl.String))
            .otherwise(pl.concat_str(pl.col(name).str.len_chars(), pl.lit(":"), pl.col(name)))
            for name in map(str, range(len(columns)))
        ]
        frame = pl.DataFrame({str(at): texts for at, texts in enumerate(columns)})
        return frame.select(pl.concat_str(marked)).to_series()

    def of_frame(
        self, values: pl.DataFrame, candidates: Sequence[int], validated: Sequence[Hashable]
    ) -> pl.Series:
        """Return the keys of a block's values; `validated` are those of the candidates."""
        keys = self.of_values([values[cells.column.name] for cells in self.cells])
        return keys.scatter(candidates, self.series(validated)) if candidates else keys

    def series(self, keys: Sequence[Hashable]) -> pl.Series:
        """Return keys as a column."""
        import polars as pl  # noqa: PLC0415 - loaded only for relationships

        return pl.Series(keys, dtype=pl.Int64 if self.whole_numbers else pl.String)

    def shown(self, row: Sequence[Any]) -> str:
        """Return the key of a record as it is in the file."""
        return ",".join(as_text(cells.of_row(row)) or "" for cells in self.cells)


def as_text(value: Any) -> str | None:
    """Return a value as text, as it is in the file."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (Decimal, Inexpressible)):
        return str(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _text(value: Any) -> str:
    """Return a value as canonical text: two values of a type are equal if their texts are."""
    if isinstance(value, str):
        if not value.isascii():
            # Invalid bytes are lone surrogates, which Polars does not accept.
            plain = value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            return value if plain == value else f"\0{plain}"
        return value
    if isinstance(value, float):
        return repr(value + 0.0)  # there is no second zero
    if isinstance(value, datetime):
        value = value.astimezone(UTC)
    return str(value)


def _part(value: Any, empty: str | None) -> str | None:
    """Return a value as part of a composite key; None if it is not of the column's type."""
    if value is None or value is INVALID:
        return empty if value is None else None
    text = _text(value)
    return f"{len(text)}:{text}"


def _texts(values: pl.Series, whole_numbers: bool) -> pl.Series:
    import polars as pl  # noqa: PLC0415 - already loaded

    if whole_numbers:
        return values.cast(pl.Int64, strict=False)
    if values.dtype.is_integer() or values.dtype == pl.String:
        return values.cast(pl.String)
    if values.dtype == pl.Date:
        return values.dt.strftime("%Y-%m-%d")
    if isinstance(values.dtype, pl.Datetime):
        whole = values.dt.strftime("%Y-%m-%d %H:%M:%S+00:00")
        if not (values.dt.microsecond() != 0).any():
            return whole
        fine = values.dt.strftime("%Y-%m-%d %H:%M:%S%.6f+00:00")
        return whole.zip_with((values.dt.microsecond() == 0).fill_null(value=True), fine)
    distinct = values.unique().drop_nulls()
    texts = pl.Series([_text(value) for value in distinct.to_list()], dtype=pl.String)
    return values.replace_strict(distinct, texts, default=None, return_dtype=pl.String)
