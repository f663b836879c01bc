"""Whom an erasure is about: the values of a dataset's key, and the records that have them.

A key is given in plain form: numbers with `.`, days and times as ISO 8601 writes them, texts as
they are. How a drop writes them (its date format, its decimal separator, upper or lower case) is
read by the contract, so a subject is found in every drop whatever the drop's format.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from landfall.contract.cleaning import Cleaning
from landfall.contract.model import Column, Contract
from landfall.validation.batches import Reader, RecordBatch, regular
from landfall.validation.columns import Cells, Key, as_text
from landfall.validation.rules import text_reader

if TYPE_CHECKING:  # Polars takes longer to load than a small file to read
    import polars as pl


class SubjectError(ValueError):
    """A key is not one of the dataset; the message says what it should be."""


@dataclass(frozen=True)
class Subject:
    """The subject of an erasure in one dataset: texts in plain form, by column.

    Attributes:
        dataset: whose records.
        values: canonical text of each column that identifies them, in the order of the key.
    """

    dataset: str
    values: Mapping[str, str]

    def keyed_hash(self, secret: bytes) -> str:
        """Return what names the subject in a protocol: nobody finds the key without the secret."""
        text = json.dumps([self.dataset, sorted(self.values.items())], ensure_ascii=False)
        return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()

    @cached_property
    def tokens(self) -> tuple[re.Pattern[bytes], ...]:
        """A pattern of each value that is not part of a longer word or number."""
        return tuple(
            re.compile(rb"(?<![0-9A-Za-z_])" + re.escape(text.encode()) + rb"(?![0-9A-Za-z_])")
            for text in self.values.values()
        )


@dataclass(frozen=True)
class Found:
    """The records of a subject in a file: how many, and the texts of their cells by column.

    `rewritable` is False of a file that `rewrite` cannot write: a workbook.
    """

    records: int = 0
    cells: Mapping[str, frozenset[str]] = field(default_factory=dict)
    rewritable: bool = True

    def __or__(self, other: Found) -> Found:
        names = {*self.cells, *other.cells}
        none: frozenset[str] = frozenset()
        cells = {n: self.cells.get(n, none) | other.cells.get(n, none) for n in names}
        return Found(self.records + other.records, cells)


def subject_of(contract: Contract, given: object) -> Subject:
    """Return the subject with a key of the contract.

    `given` is the one value of a key of one column, or an object with the value of each column.

    Raises:
        SubjectError: the contract has no key, a column is missing, or a value is not of its type.
    """
    if not contract.key:
        raise SubjectError(
            f"dataset {contract.dataset} has no primary key: its records name no subject; "
            "erase them by the dataset that it refers to, with cascade"
        )
    if not isinstance(given, Mapping):
        if len(contract.key) > 1:
            raise SubjectError(f"the key has {len(contract.key)} columns: name each")
        given = {contract.key[0]: given}
    if given.keys() != set(contract.key):
        raise SubjectError(f"the key is of {', '.join(contract.key)}, not of {_names(given)}")
    texts = {name: _plain_text(contract.column(name), given[name]) for name in contract.key}
    return Subject(contract.dataset, texts)


def referring(subject: Subject, contracts: Mapping[str, Contract]) -> list[Subject]:
    """Return the same subject in each dataset that refers to its key by a relationship."""
    return [
        Subject(dataset, values)
        for dataset, contract in sorted(contracts.items())
        for values in contract.foreign_values(subject.dataset, subject.values)
    ]


def plain(column: Column) -> Column:
    """Return the column as its values are written in plain form."""
    moment = column.logical_type in {"date", "timestamp", "time"}
    format_ = None if moment else column.format
    return replace(column, format=format_, cleaning=Cleaning(), timezone=None)


def _names(given: Mapping[Any, Any]) -> str:
    return ", ".join(map(str, given)) or "nothing"


def _plain_text(column: Column, given: object) -> str:
    if given is None or isinstance(given, (bool, dict, list)):
        raise SubjectError(f"{column.name} is {json.dumps(given)}, not a {column.logical_type}")
    text = given if isinstance(given, str) else as_text(given) or ""
    try:
        value = text_reader(plain(column))(text)
    except (ValueError, OverflowError):
        value = None
    if value is None or text == "":
        raise SubjectError(f"{column.name} is {text!r}, not a {column.logical_type}")
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value.isoformat() if isinstance(value, date) else str(value)


class Matcher:
    """Finds the records of a subject in the batches of a reader."""

    def __init__(self, subject: Subject, contract: Contract, reader: Reader) -> None:
        at = {name: index for index, name in enumerate(reader.names)}
        columns = [contract.column(name) for name in subject.values]
        cells = [Cells(c, at.get(c.name), typed=reader.typed, evolve=True) for c in columns]
        self._key = Key(cells)
        self._wanted = key_of(subject, contract)
        self._width = len(at)
        self._names = reader.names
        self._texts = [value.encode() for value in subject.values.values()]
        self._tokens = subject.tokens
        # Where a key is written as it is in plain form, a block without that text has no record.
        simple = (
            c.logical_type in {"string", "integer"} and not c.cleaning.changes for c in columns
        )
        self._literal = not reader.typed and all(simple) and all(map(_is_word, self._texts))

    def positions(self, batch: RecordBatch) -> list[int]:
        """Return the positions of the subject's records in a batch, ascending.

        A record that is malformed, or has another number of fields, is the subject's if its text
        has the key: it cannot be read better.
        """
        data: bytes | None = getattr(batch, "data", None)
        if self._literal and data is not None and not all(text in data for text in self._texts):
            return []
        rows = batch.rows
        whole = regular(batch, self._width)
        table = list(zip(*(rows[index] for index in whole), strict=True))
        keys = self._key.of_table(table) if table else []
        found = {at for at, key in zip(whole, keys, strict=True) if key == self._wanted}
        others = sorted(set(range(len(rows))) - set(whole))
        found.update(at for at in others if has_tokens(batch.raw(at), self._tokens))
        return sorted(found)

    def cells(self, batch: RecordBatch, position: int) -> Iterator[tuple[str, str]]:
        """Yield column and text of each cell of a record."""
        row = batch.rows[position]
        if position in batch.broken or len(row) != self._width:
            return
        for name, cell in zip(self._names, row, strict=True):
            if text := as_text(cell):
                yield name, text


def key_of(subject: Subject, contract: Contract) -> Hashable:
    """Return the subject's key as `Key` has it."""
    columns = [plain(contract.column(name)) for name in subject.values]
    cells = [Cells(column, index, typed=False) for index, column in enumerate(columns)]
    (key,) = Key(cells).of_table([[value] for value in subject.values.values()])
    return key


def matching(subject: Subject, contract: Contract, frame: pl.DataFrame) -> pl.Series:
    """Return a mask of the subject's rows in a frame of accepted records."""
    columns = [plain(contract.column(name)) for name in subject.values]
    key = Key([Cells(column, index, typed=True) for index, column in enumerate(columns)])
    values = [cells.series(frame[cells.column.name]) for cells in key.cells]
    wanted = key.series([key_of(subject, contract)])
    mask: pl.Series = (key.of_values(values) == wanted[0]).fill_null(value=False)
    return mask


def has_tokens(data: bytes, tokens: Sequence[re.Pattern[bytes]]) -> bool:
    """Return whether each of the texts stands in the data."""
    return all(token.search(data) for token in tokens)


def _is_word(text: bytes) -> bool:
    return re.fullmatch(rb"[0-9A-Za-z_.@:-]+", text) is not None
