"""The screen in front of the judge: which records of a block might break a rule.

It may mark a sound record, it never passes a faulty one. Polars parses whole blocks; whole
numbers that must be there are typed on the way, every other column stays text whose distinct
cells go to the judge of that column. What Polars forgives and a contract does not is looked for
in the bytes, and a block that has it goes whole to the judge.
"""

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from ingest.contract.formats import INTEGERS
from ingest.contract.model import Column
from ingest.validate.columns import Cells, Key

SMALLEST = 256 << 10
"""Bytes from which on a block is worth loading Polars for."""

if TYPE_CHECKING:  # Polars takes longer to load than a small file to judge
    import polars as pl


class Screening:
    """Compiled once for a file: names in file order, and the columns and keys to judge."""

    def __init__(
        self, names: Sequence[str], cells: Sequence[Cells], keys: Sequence[Key], delimiter: str
    ) -> None:
        self._cells = cells
        self._width = len(names)
        in_wide_keys = {
            part.column.name for key in keys if not key.whole_numbers for part in key.cells
        }
        self._typed = [
            one for one in cells if _is_plain(one.column) and one.column.name not in in_wide_keys
        ]
        typed = {one.position for one in self._typed}
        self._texts = [one for one in cells if one.position not in typed]
        last = {one.position: one.column for one in cells}.get(self._width - 1)
        self._ends_filled = last is not None and last.required
        self._delimiter = delimiter

    def look(self, block: bytes) -> "Look | None":
        """What might be wrong in ``block``, lines ended by LF alone; None if it cannot say."""
        if len(block) < SMALLEST or _has_forgiven(block, self._delimiter.encode()):
            return None
        frame = self._parse(block)
        rows = block.count(b"\n") + (not block.endswith(b"\n"))
        if frame is None or len(frame) != rows:
            return None
        suspects = self._suspects(frame)
        delimiter = self._delimiter.encode()
        ragged = block.count(delimiter) != rows * (self._width - 1)
        if ragged or suspects or not self._ends_filled:
            lines = block.split(b"\n")
            wanted = self._width - 1
            if ragged or not self._ends_filled or _any_short(lines, suspects, delimiter, wanted):
                found = {
                    index
                    for index, line in enumerate(lines[:rows])
                    if line.count(delimiter) != wanted
                }
                suspects |= found
        return Look(frame, rows, sorted(suspects))

    def _parse(self, block: bytes) -> "pl.DataFrame | None":
        import polars as pl  # noqa: PLC0415 - see SMALLEST

        typed = {one.position for one in self._typed}
        schema = {
            str(position): pl.Int64 if position in typed else pl.String
            for position in range(self._width)
        }
        try:
            return pl.read_csv(
                block,
                has_header=False,
                schema=schema,
                separator=self._delimiter,
                quote_char=None,
                ignore_errors=True,
                empty_string_is_null=False,
                extra_columns="ignore",
                missing_columns="insert",
                columns=sorted(one.position for one in self._cells),
            )
        except pl.exceptions.PolarsError:
            return None  # bytes that are not UTF-8, most likely

    def _suspects(self, frame: "pl.DataFrame") -> set[int]:
        import polars as pl  # noqa: PLC0415 - loaded by now

        marks = []
        for one in self._typed:
            low, high = _range(one.column)
            column = pl.col(str(one.position))
            marks.append(~column.is_between(low, high).fill_null(value=False))
        for one in self._texts:
            name = str(one.position)
            bad = one.unsound(set(frame[name].unique().to_list()))
            if bad:
                marks.append(pl.col(name).is_in(list(bad)))
        if not marks:
            return set()
        found = frame.select(pl.any_horizontal(marks).arg_true()).to_series()
        return set(found.to_list())


class Look:
    """What the screen saw of a block: how many records, and which to judge."""

    def __init__(self, frame: "pl.DataFrame", rows: int, suspects: list[int]) -> None:
        self._frame = frame
        self.rows = rows
        self.suspects = suspects

    def all_new(self, key: Key) -> bool:
        """Whether no key repeats, known without looking at each; all are then taken in."""
        if not key.whole_numbers:
            return False
        column = self._frame[str(key.cells[0].position)]
        return column.dtype.is_integer() and key.seen.take(column)

    def keys(self, key: Key) -> list[Hashable]:
        """The keys of all records of the block; those of suspects mean nothing."""
        if key.whole_numbers:
            column = self._frame[str(key.cells[0].position)]
            if column.dtype.is_integer():
                return column.to_list()
        return key.of(lambda cells: self._frame[str(cells.position)].to_list())


def _is_plain(column: Column) -> bool:
    """Whether all that is asked is a whole number within bounds."""
    return (
        column.logical_type == "integer"
        and column.required
        and not column.enum
        and column.multiple_of is None
    )


def _range(column: Column) -> tuple[int, int]:
    low, high = INTEGERS[column.format or "i64"]
    if column.minimum is not None:
        low = max(low, column.minimum)
    if column.exclusive_minimum is not None:
        low = max(low, column.exclusive_minimum + 1)
    if column.maximum is not None:
        high = min(high, column.maximum)
    if column.exclusive_maximum is not None:
        high = min(high, column.exclusive_maximum - 1)
    return low, high


def _has_forgiven(block: bytes, delimiter: bytes) -> bool:
    """Whether a field begins with what Polars skips before a number."""
    return block.startswith(_SKIPPED) or any(
        char in block and (delimiter + char in block or b"\n" + char in block) for char in _SKIPPED
    )


_SKIPPED = (b"+", b" ", b"\t", b"\x0b", b"\x0c")


def _any_short(lines: list[bytes], suspects: set[int], delimiter: bytes, wanted: int) -> bool:
    """Whether a suspect lacks fields, so that another may have as many too many."""
    return any(lines[index].count(delimiter) != wanted for index in suspects)
