"""Screening by the kernel: a block in, what might be wrong in it and what it is like out."""

import ctypes
import logging
import weakref
from collections.abc import Hashable, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from landfall.validation.batches import ScannableBlock
from landfall.validation.columns import Cells, Key
from landfall.validation.prefilter.facts import Fact
from landfall.validation.prefilter.kernel import SMALLEST
from landfall.validation.prefilter.kernel.library import (
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
from landfall.validation.prefilter.kernel.room import Room
from landfall.validation.prefilter.kernel.sets import SeenNumbers
from landfall.validation.references import Reference

_LOG = logging.getLogger(__name__)

Dialect = tuple[int, str, str]
"""Fields of a record, what stands between them, and the quote."""

_ASKED = 4
"""Numbers of a question: where the cell lies, its length, its record, its column."""


class KernelPrefilter:
    """Compiled once for a file: names in file order, and the columns and keys to validate."""

    smallest = SMALLEST

    def __init__(
        self,
        library: Library,
        dialect: Dialect,
        cells: Sequence[Cells],
        keys: Sequence[Key],
    ) -> None:
        self._new_scanner = partial(_Scanner, library, dialect, cells, keys)
        self._idle: SimpleQueue[_Scanner] = SimpleQueue()

    def scan(self, block: ScannableBlock) -> "KernelScan | None":
        """What might be wrong in a block; None if it cannot say."""
        try:
            scanner = self._idle.get_nowait()
        except Empty:  # as many as there are threads that look
            scanner = self._new_scanner()
        try:
            return scanner.scan(block.data)
        finally:
            self._idle.put(scanner)


class KernelScan:
    """What the kernel saw of a block; see `batches.KernelScan`."""

    def __init__(self, room: Room, rows: int, keys: Sequence[Key], facts: dict[int, Fact]) -> None:
        self._starts, self._ends, self.lines = room.places(rows)
        self._numbers = room.numbers(rows)
        self._keys = keys
        self.rows = rows
        self.candidates = room.candidates(rows)
        self.measured: Sequence[tuple[int, Any, Any, Any]] = ()
        self.facts = facts

    def bytes(self, index: int) -> tuple[int, int]:
        """Where a record begins and ends in the block."""
        return self._starts[index], self._ends[index]

    def repeated(self, key: Key, validated: Sequence[Hashable]) -> list[int]:
        """Records whose key was seen before; `validated` are the candidates' keys."""
        first, second, absent = self._numbers[self._keys.index(key)]
        seen = key.seen
        if not isinstance(seen, SeenNumbers):  # pragma: no cover - the jury sees to it
            raise TypeError("a key that the kernel numbers is kept in numbers")
        if self.candidates:
            firsts, seconds, absents = seen.numbers(validated)
            for at, index in enumerate(self.candidates):
                first[index] = firsts[at]
                absent[index] = absents[at]
                if second is not None:
                    second[index] = seconds[at]
        return seen.repeated_numbers(first, second, absent, self.rows)

    def orphans(self, reference: Reference, validated: Sequence[Hashable]) -> list[int]:
        """Records that refer, by a whole number, to what is not there."""
        first, _, absent = self._numbers[self._keys.index(reference.key)]
        for index, key in zip(self.candidates, validated, strict=True):
            absent[index] = key is None
            first[index] = 0 if key is None else key
        return reference.orphans_among(first, absent)


class _Scanner:
    """What one thread at a time scans with: the kernel's memory of each column's sound cells."""

    def __init__(
        self,
        library: Library,
        dialect: Dialect,
        cells: Sequence[Cells],
        keys: Sequence[Key],
    ) -> None:
        width, delimiter, quote = dialect
        self._library = library
        self._cells = cells
        self._of_keys = keys
        programs = [program(one) for one in cells]
        told = [key_columns(key, cells) for key in keys]
        self._columns = (KernelColumn * len(cells))(*programs)
        self._keys = (KeyColumns * len(keys))(*told)
        self._alive = programs, told  # the arrays have copies that point into them
        made = library.functions.lf_scanner_new(
            library.secret,
            self._columns,
            len(cells),
            self._keys,
            len(keys),
            width,
            ord(delimiter),
            ord(quote),
        )
        if not made:
            raise MemoryError
        self._scanner = made
        self._width = width
        self._room = Room(0, keys)
        weakref.finalize(self, _free, library, made, self._columns, self._keys)

    def scan(self, block: bytes) -> KernelScan | None:
        """As `KernelPrefilter.scan`."""
        functions, scanner = self._library.functions, self._scanner
        room = self._room_for(block)
        if not functions.lf_begin(scanner, block, len(block), *room.pointers(self._keys)):
            return None
        told = _Told(self._cells)
        while (state := functions.lf_scan(scanner)) == 1:
            functions.lf_settle(scanner, told.settle(self._questions(), self._at(block)))
        if state:
            return None
        facts = {
            one.position: told.fact(index, self._columns[index], self._at(block))
            for index, one in enumerate(self._cells)
        }
        return KernelScan(room, functions.lf_records(scanner), self._of_keys, facts)

    def _room_for(self, block: bytes) -> Room:
        """Room for all its records, if they are not shorter than any in good form can be."""
        wanted = min(self._library.newlines(block, len(block)), len(block) // self._width) + 1
        if self._room.size < wanted:
            self._room = Room(wanted + wanted // 4, self._of_keys)
        return self._room

    def _questions(self) -> list[int]:
        """All of them, one behind the other."""
        found = ctypes.POINTER(ctypes.c_int64)()
        count = self._library.functions.lf_questions(self._scanner, ctypes.byref(found))
        return found[: count * _ASKED]

    def _at(self, block: bytes) -> "_Bytes":
        return _Bytes(block, self._library.functions.lf_scratch(self._scanner))


def _free(library: Library, scanner: int, columns: Any, keys: Any) -> None:
    """The kernel frees what hangs on the columns, so they live until then."""
    library.functions.lf_scanner_free(scanner)
    del columns, keys


class _Bytes:
    """The bytes of cells, in the block or in the kernel's scratch behind it."""

    def __init__(self, block: bytes, scratch: int | None) -> None:
        self._block = block
        self._scratch = scratch or 0

    def text(self, at: int, length: int) -> str:
        """One cell, decoded as the splitter does."""
        behind = at - len(self._block)
        if behind < 0:
            cell = self._block[at : at + length]
        else:
            cell = ctypes.string_at(self._scratch + behind, length)
        return cell.decode("utf-8", "surrogateescape")


class _Told:
    """What is told of the columns of one block."""

    def __init__(self, cells: Sequence[Cells]) -> None:
        self._cells = cells
        self._values: list[dict[Any, Any]] = [{} for _ in cells]

    def settle(self, questions: Sequence[int], block: _Bytes) -> bytes:
        """Validate the cells that are asked about: one byte each, 1 if it is bad."""
        bad = bytearray(len(questions) // _ASKED)
        asked: dict[int, dict[str, list[int]]] = {}
        for at in range(len(bad)):
            begin, length, _, column = questions[at * _ASKED : at * _ASKED + _ASKED]
            text = block.text(begin, length)
            asked.setdefault(column, {}).setdefault(text, []).append(at)
        for column, texts in asked.items():
            cells = self._cells[column]
            unsound = cells.unsound(set(texts))
            for text in unsound:
                for at in texts[text]:
                    bad[at] = 1
            sound = [text for text in texts if text not in unsound]
            self._values[column].update(cells.sound_values(sound))
        return bytes(bad)

    def fact(self, index: int, found: KernelColumn, block: _Bytes) -> Fact:
        """What a profile takes of one column."""
        if found.kind == INTEGER:
            values = found.integers[: found.fresh] if found.fresh else []
            least, most = (found.low_found, found.high_found) if found.any else (None, None)
        elif found.kind in {NUMBER, TEXT}:
            refs = found.texts[: found.fresh] if found.fresh else []
            values = [block.text(one.at, one.length) for one in refs]
            least = most = None
            if found.any and found.kind == NUMBER:
                least, most = found.least_found, found.most_found
            elif found.any:
                least, most = _text(found.first_found, block), _text(found.last_found, block)
        elif found.kind == MOMENT:
            kind, known = self._cells[index].column.logical_type, self._values[index]
            refs = found.texts[: found.fresh] if found.fresh else []
            values = [*known, *(block.text(one.at, one.length) for one in refs)]
            counts = (found.low_found, found.high_found) if found.any else ()
            extremes = [*known.values(), *(value_of(kind, count) for count in counts)]
            least, most = (min(extremes), max(extremes)) if extremes else (None, None)
        else:
            known = self._values[index]
            whole = self._cells[index].column.logical_type == "integer"
            values = list(known.values()) if whole else list(known)
            least, most = (min(known.values()), max(known.values())) if known else (None, None)
        hashes = ctypes.string_at(found.hash, 8 * found.hashes) if found.hashes else None
        return Fact(found.nulls, least, most, values, hashes)


def _text(cell: Ref, block: _Bytes) -> str:
    return block.text(cell.at, cell.length)
