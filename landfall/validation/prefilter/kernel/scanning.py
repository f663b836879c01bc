"""Prefilters blocks of delimited text with the compiled kernel."""

from __future__ import annotations

import ctypes
import logging
import weakref
from collections.abc import Hashable, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from landfall.contract.domains import as_decimal
from landfall.validation.batches import ScannableBlock
from landfall.validation.columns import Cells, Key
from landfall.validation.keys import KeyLog, Seen
from landfall.validation.metrics import Metric, Metrics
from landfall.validation.prefilter.facts import Fact
from landfall.validation.prefilter.kernel import SMALLEST
from landfall.validation.prefilter.kernel.buffers import ScanBuffers
from landfall.validation.prefilter.kernel.library import (
    BOOLEAN,
    INTEGER,
    MOMENT,
    NUMBER,
    TEXT,
    KernelColumn,
    KeyColumns,
    Library,
    Ref,
)
from landfall.validation.prefilter.kernel.moments import value_of
from landfall.validation.prefilter.kernel.programs import key_columns, program
from landfall.validation.prefilter.kernel.sets import SeenNumbers
from landfall.validation.references import Reference

if TYPE_CHECKING:  # Polars takes longer to load than a small file to validate
    import polars as pl

_LOG = logging.getLogger(__name__)

Dialect = tuple[int, str, str]
"""Number of fields of a record, delimiter, and quote."""

_QUESTION_SIZE = 4
"""Numbers of a question: offset of the cell, its length, its record, its column."""


class KernelPrefilter:
    """Prefilters the blocks of one file by its columns and keys.

    `keys` are those that the kernel compares itself, `others` are compared by their values.
    """

    smallest = SMALLEST

    def __init__(
        self,
        library: Library,
        dialect: Dialect,
        cells: Sequence[Cells],
        keys: Sequence[Key],
        *,
        others: Sequence[Key],
        metrics: Metrics,
    ) -> None:
        self._metrics = metrics
        self._new_scanner = partial(_Scanner, library, dialect, cells, keys)
        self._idle: SimpleQueue[_Scanner] = SimpleQueue()
        self.keeps_values = False
        self._cells = cells
        needed = [*metrics.needed, *(part for key in others for part in key.cells)]
        self._needed = {column_cells.position for column_cells in needed}

    def scan(self, block: ScannableBlock) -> KernelScan | None:
        """Scan a block; return None if it cannot be scanned."""
        try:
            scanner = self._idle.get_nowait()
        except Empty:  # one scanner for each thread
            scanner = self._new_scanner(self._stored())
        try:
            scan = scanner.scan(block.data)
        finally:
            self._idle.put(scanner)
        if scan is None:
            return scan
        if self._metrics.needed:
            # Imported only for contracts with conditions: it loads Polars.
            from landfall.validation.prefilter.conditions import conditions_of  # noqa: PLC0415

            frame = frame_of(self._metrics.needed, scan.values, scan.rows)
            scan.matched, scan.measured = conditions_of(self._metrics, frame, scan.candidates)
        return scan

    def _stored(self) -> frozenset[int]:
        """Return the positions of the columns whose values are needed."""
        if self.keeps_values:
            return frozenset(column_cells.position for column_cells in self._cells)
        return frozenset(self._needed - {-1})


class KernelScan:
    """Scan of a block by the kernel; see `batches.ScanResult`."""

    def __init__(
        self, buffers: ScanBuffers, rows: int, keys: Sequence[Key], facts: dict[int, Fact]
    ) -> None:
        self._starts, self._ends, self.lines = buffers.places(rows)
        self._numbers = buffers.numbers(rows)
        self._keys = keys
        self.rows = rows
        self.candidates = buffers.candidates(rows)
        self.measured: Sequence[tuple[int, Any, Any, Any]] = ()
        self.matched: Sequence[tuple[Metric, list[int]]] = ()
        self.cells = None
        self.values: pl.DataFrame | None = None
        self.facts = facts

    def byte_range(self, index: int) -> tuple[int, int]:
        """Return start and end of a record in the block."""
        return self._starts[index], self._ends[index]

    def repeated(self, key: Key, validated: Sequence[Hashable]) -> list[int]:
        """Return records whose key was seen before; `validated` are the candidates' keys."""
        seen = key.seen
        if isinstance(seen, (Seen, KeyLog)):
            return seen.repeated_in(self._keys_of(key, validated))
        if not isinstance(seen, SeenNumbers):  # pragma: no cover - ensured by `prefilter_of`
            raise TypeError("the keys of the kernel are in SeenNumbers")
        first, second, absent = self._numbers[self._keys.index(key)]
        if self.candidates:
            firsts, seconds, absents = seen.numbers(validated)
            for at, index in enumerate(self.candidates):
                first[index] = firsts[at]
                absent[index] = absents[at]
                if second is not None:
                    second[index] = seconds[at]
        return seen.repeated_numbers(first, second, absent, self.rows)

    def orphans(self, reference: Reference, validated: Sequence[Hashable]) -> list[int]:
        """Return records whose foreign key is not in the other dataset."""
        if reference.key not in self._keys:
            return reference.orphans(self._keys_of(reference.key, validated))
        first, _, absent = self._numbers[self._keys.index(reference.key)]
        for index, key in zip(self.candidates, validated, strict=True):
            absent[index] = key is None
            first[index] = 0 if key is None else key
        return reference.orphans_among(first, absent)

    def _keys_of(self, key: Key, validated: Sequence[Hashable]) -> pl.Series:
        """Return the keys of all records by their values."""
        return key.of_frame(frame_of(key.cells, self.values, self.rows), self.candidates, validated)


def frame_of(cells: Sequence[Cells], values: pl.DataFrame | None, rows: int) -> pl.DataFrame:
    """Return the values of columns by their names; those that the file lacks are null."""
    import polars as pl  # noqa: PLC0415 - loaded only for contracts that need values

    from landfall.validation.typed import value_type  # noqa: PLC0415 - likewise

    return pl.DataFrame(
        [
            pl.Series([None], dtype=value_type(column_cells.column)).new_from_index(0, rows)
            if values is None or column_cells.position < 0
            else values[str(column_cells.position)]
            for column_cells in cells
        ],
        schema=[column_cells.column.name for column_cells in cells],
    )


class _Scanner:
    """The kernel's scanner with its cache of valid cells; used by one thread at a time."""

    def __init__(
        self,
        library: Library,
        dialect: Dialect,
        cells: Sequence[Cells],
        keys: Sequence[Key],
        stored: frozenset[int],
    ) -> None:
        width, delimiter, quote = dialect
        self._library = library
        self._cells = cells
        self._of_keys = keys
        in_keys = {part.column.name for key in keys for part in key.cells}
        programs = [
            program(
                column_cells,
                in_key=column_cells.column.name in in_keys,
                stored=column_cells.position in stored,
            )
            for column_cells in cells
        ]
        self._stored = [column_cells for column_cells in cells if column_cells.position in stored]
        key_programs = [key_columns(key, cells) for key in keys]
        self._columns = (KernelColumn * len(cells))(*programs)
        self._keys = (KeyColumns * len(keys))(*key_programs)
        self._alive = programs, key_programs  # keep alive: the arrays point into them
        scanner = library.functions.lf_scanner_new(
            library.secret,
            self._columns,
            len(cells),
            self._keys,
            len(keys),
            width,
            ord(delimiter),
            ord(quote),
        )
        if not scanner:
            raise MemoryError
        self._scanner = scanner
        self._width = width
        self._buffers = ScanBuffers(0, keys)
        weakref.finalize(self, _free, library, scanner, self._columns, self._keys)

    def scan(self, block: bytes) -> KernelScan | None:
        """Scan a block; see `KernelPrefilter.scan`."""
        functions, scanner = self._library.functions, self._scanner
        buffers = self._buffers_for(block)
        if not functions.lf_begin(scanner, block, len(block), *buffers.pointers(self._keys)):
            return None
        answers = _CellAnswers(self._cells)
        while (state := functions.lf_scan(scanner)) == 1:
            functions.lf_answer(
                scanner, answers.answer(self._open_questions(), self._view_of(block))
            )
        if state:
            return None
        facts = {
            column_cells.position: answers.fact(index, self._columns[index], self._view_of(block))
            for index, column_cells in enumerate(self._cells)
        }
        scan = KernelScan(buffers, functions.lf_records(scanner), self._of_keys, facts)
        if self._stored:
            # Imported only if values are needed: it loads Polars.
            from landfall.validation.prefilter.kernel.values import values_of  # noqa: PLC0415

            scan.values = values_of(self._library, scanner, self._stored)
        return scan

    def _buffers_for(self, block: bytes) -> ScanBuffers:
        """Return buffers for the most well-formed records that the block can have."""
        size = min(self._library.newlines(block, len(block)), len(block) // self._width) + 1
        if self._buffers.size < size:
            self._buffers = ScanBuffers(size + size // 4, self._of_keys)
        return self._buffers

    def _open_questions(self) -> list[int]:
        """Return the kernel's open questions as one list of numbers."""
        pointer = ctypes.POINTER(ctypes.c_int64)()
        count = self._library.functions.lf_questions(self._scanner, ctypes.byref(pointer))
        return pointer[: count * _QUESTION_SIZE]

    def _view_of(self, block: bytes) -> _Bytes:
        return _Bytes(block, self._library.functions.lf_scratch(self._scanner))


def _free(library: Library, scanner: int, columns: Any, keys: Any) -> None:
    """Free the scanner; the columns must live until then, because it frees their memory."""
    library.functions.lf_scanner_free(scanner)
    del columns, keys


class _Bytes:
    """Bytes of cells, in the block or in the kernel's scratch buffer behind it."""

    def __init__(self, block: bytes, scratch: int | None) -> None:
        self._block = block
        self._scratch = scratch or 0

    def text(self, at: int, length: int) -> str:
        """Return a cell, decoded as the splitter does."""
        behind = at - len(self._block)
        if behind < 0:
            cell = self._block[at : at + length]
        else:
            cell = ctypes.string_at(self._scratch + behind, length)
        return cell.decode("utf-8", "surrogateescape")


class _CellAnswers:
    """Answers the kernel's questions about cells of a block, and collects facts of its columns."""

    def __init__(self, cells: Sequence[Cells]) -> None:
        self._cells = cells
        self._values: list[dict[Any, Any]] = [{} for _ in cells]

    def answer(self, questions: Sequence[int], block: _Bytes) -> bytes:
        """Validate the cells in question; return one byte for each, 1 if it is invalid."""
        bad = bytearray(len(questions) // _QUESTION_SIZE)
        cells_by_column: dict[int, dict[str, list[int]]] = {}
        for at in range(len(bad)):
            begin, length, _, column = questions[
                at * _QUESTION_SIZE : at * _QUESTION_SIZE + _QUESTION_SIZE
            ]
            text = block.text(begin, length)
            cells_by_column.setdefault(column, {}).setdefault(text, []).append(at)
        for column, texts in cells_by_column.items():
            cells = self._cells[column]
            invalid = cells.invalid(set(texts))
            for text in invalid:
                for at in texts[text]:
                    bad[at] = 1
            valid = [text for text in texts if text not in invalid]
            self._values[column].update(cells.valid_values(valid))
        return bytes(bad)

    def fact(self, index: int, column: KernelColumn, block: _Bytes) -> Fact:
        """Return the facts of a column."""
        if column.kind == INTEGER:
            values = column.integers[: column.fresh] if column.fresh else []
            least, most = (column.low_found, column.high_found) if column.any else (None, None)
        elif column.kind in {NUMBER, TEXT, BOOLEAN}:
            refs = column.texts[: column.fresh] if column.fresh else []
            values = [block.text(ref.at, ref.length) for ref in refs]
            least = most = None
            if column.any and column.kind == NUMBER:
                least, most = column.least_found, column.most_found
                if (decimal := self._cells[index].column.decimal) is not None:
                    least, most = (as_decimal(repr(value), *decimal) for value in (least, most))
            elif column.any and column.kind == BOOLEAN:
                least, most = bool(column.low_found), bool(column.high_found)
            elif column.any:
                least, most = _text(column.first_found, block), _text(column.last_found, block)
        elif column.kind == MOMENT:
            kind = self._cells[index].column.logical_type
            refs = column.texts[: column.fresh] if column.fresh else []
            values = [block.text(ref.at, ref.length) for ref in refs]
            least = most = None
            if column.any:
                least, most = (
                    value_of(kind, count) for count in (column.low_found, column.high_found)
                )
        else:
            known = self._values[index]
            canonical = self._cells[index].canonical
            values = [canonical(cell, value) for cell, value in known.items()]
            least, most = (min(known.values()), max(known.values())) if known else (None, None)
        hashes = ctypes.string_at(column.hash, 8 * column.hashes) if column.hashes else None
        return Fact(column.nulls, least, most, values, hashes)


def _text(cell: Ref, block: _Bytes) -> str:
    return block.text(cell.at, cell.length)
