"""Readers of JSON Lines and JSON arrays: each object is a record, its names are in any order."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Any

from landfall.contract.domains import LONGEST_NUMBER
from landfall.contract.model import Column, Contract
from landfall.validation.batches import ParsedBatch
from landfall.validation.problems import MAX_RECORD, record_too_long
from landfall.validation.readers.array import Elements
from landfall.validation.readers.delimited import blocks
from landfall.validation.readers.opening import Opened
from landfall.validation.readers.splitting import MalformedRecord
from landfall.validation.report import Columns, Format

_MAX_EXTRA = 1000
_INVALID_BYTE = re.compile("[\udc80-\udcff]")
_SPACE = b" \t\r"
"""What JSON takes for white space within a line."""
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class ObjectBatch:
    """Parses objects into cells, and collects names that are not in the contract."""

    def __init__(self, columns: Sequence[Column]) -> None:
        """`columns` are those of the cells, in their order."""
        self._paths = [column.path or (column.source,) for column in columns]
        self._nested = any(len(path) > 1 for path in self._paths)
        self._names = [path[0] for path in self._paths]
        self._known = frozenset(self._names)
        self._decoder = json.JSONDecoder(
            object_pairs_hook=_object, parse_constant=_reject_constant, parse_float=as_written
        )
        self.extra: dict[str, None] = {}

    def cells(self, text: str) -> list[Any] | MalformedRecord:
        """Return the cells in the contract's order, None for absent names; or what is malformed."""
        try:
            value = self._decoder.decode(text)
            if _SURROGATE.search(text):
                reject_lone_surrogates(value)
        except RecursionError:
            return MalformedRecord("json", None, "nested too deep")
        except ValueError as error:
            return MalformedRecord("json", None, str(error))
        return self.of_value(value)

    def cells_of_line(self, line: bytes) -> list[Any] | MalformedRecord:
        """Return the same for a line of JSON Lines."""
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            return MalformedRecord("encoding", None, f"byte {line[error.start]:#04x} is not UTF-8")
        return self.cells(text)

    def of_value(self, value: Any) -> list[Any] | MalformedRecord:
        """Return the same for a decoded value."""
        if not isinstance(value, dict):
            return MalformedRecord("json", None, "not an object")
        if len(self.extra) < _MAX_EXTRA:
            for name in value.keys() - self._known:
                self.extra[name] = None
        if self._nested:
            return [_at(value, path) for path in self._paths]
        return [value.get(name) for name in self._names]


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    """Return what a path leads to; None where a part of it is not there."""
    for step in path:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        else:
            value = value[step] if isinstance(value, list) and step < len(value) else None
    return value


class _JsonReader:
    """Base of both readers."""

    typed = True
    mixed = False
    head = b""

    def __init__(self, opened: Opened, contract: Contract) -> None:
        self.names: Sequence[str] = [column.name for column in contract.columns]
        self.format = opened.format
        self._chunks = opened.chunks
        self._records = ObjectBatch(contract.columns)

    @property
    def columns(self) -> Columns:
        """Names that are not in the contract; a missing name is a fault of its record."""
        return Columns(extra=tuple(self._records.extra))

    @property
    def rejects_format(self) -> Format:
        """One object a line."""
        return replace(self.format, kind="jsonl", compression="none")

    def start(self) -> None:
        """Do nothing: there is no header."""


class Lines(_JsonReader):
    """Reads JSON Lines: one object a line; blank lines are skipped."""

    def batches(self) -> Iterator[ParsedBatch]:
        """Yield all records; raise Refusal if a line is too long."""
        rest, number = b"", 1
        for block in blocks(self._chunks):
            data = rest + block
            cut = data.rfind(b"\n") + 1
            rest = data[cut:]
            if cut:
                yield self._batch(data[:cut], number)
                number += data.count(b"\n", 0, cut)
            if len(rest) > MAX_RECORD:
                raise record_too_long(number)
        if rest:
            yield self._batch(rest, number)

    def _batch(self, data: bytes, number: int) -> ParsedBatch:
        rows: list[list[Any]] = []
        lines: list[int] = []
        spans: list[tuple[int, int]] = []
        broken: dict[int, MalformedRecord] = {}
        start = 0
        for index, line in enumerate(data.split(b"\n")):
            end = min(start + len(line) + 1, len(data))
            if line.strip(_SPACE):
                cells = self._records.cells_of_line(line)
                if isinstance(cells, MalformedRecord):
                    broken[len(rows)] = cells
                    cells = []
                rows.append(cells)
                lines.append(number + index)
                spans.append((start, end))
            start = end

        def raw(index: int) -> bytes:
            return data[slice(*spans[index])]

        def size(index: int) -> int:
            start, end = spans[index]
            return end - start

        return ParsedBatch(rows, lines, raw, size, broken)


class Array(_JsonReader):
    """Reads one JSON array of objects."""

    def batches(self) -> Iterator[ParsedBatch]:
        """Yield all elements; raise Refusal if the array itself is malformed."""
        for elements in Elements(self._chunks):
            rows: list[list[Any]] = []
            broken: dict[int, MalformedRecord] = {}
            for index, (text, _) in enumerate(elements):
                cells = self._cells(text)
                if isinstance(cells, MalformedRecord):
                    broken[index] = cells
                    cells = []
                rows.append(cells)
            yield self._batch(rows, broken, elements)

    def _cells(self, text: str) -> list[Any] | MalformedRecord:
        if not text.isascii() and (match := _INVALID_BYTE.search(text)) is not None:
            byte = ord(match.group()) & 0xFF
            return MalformedRecord("encoding", None, f"byte {byte:#04x} is not UTF-8")
        return self._records.cells(text)

    def _batch(
        self,
        rows: list[list[Any]],
        broken: dict[int, MalformedRecord],
        elements: list[tuple[str, int]],
    ) -> ParsedBatch:
        return ParsedBatch(
            rows,
            [line for _, line in elements],
            lambda index: _one_line(elements[index][0]),
            lambda _: 1,
            broken,
        )


def _one_line(text: str) -> bytes:
    """Return an element on one line: line ends in JSON are only between tokens."""
    plain = text.replace("\r", " ").replace("\n", " ")
    return plain.encode("utf-8", "surrogateescape") + b"\n"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a name is given twice")
    return document


def reject_lone_surrogates(value: Any) -> None:
    """Raise ValueError for a lone surrogate, which JSON can escape and UTF-8 cannot encode."""
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise ValueError("half of a surrogate pair is not text") from error


def as_written(text: str) -> Decimal | float:
    """Return a number with a fraction or an exponent, as it is written."""
    if len(text) > LONGEST_NUMBER:
        return float(text)
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent of many digits
        return float(text)


def _reject_constant(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")
