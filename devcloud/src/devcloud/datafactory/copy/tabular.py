"""Rows of a source as record batches, mapped to the columns and types of the sink."""

from __future__ import annotations

import itertools
import json
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pyarrow as pa

from devcloud.datafactory.copy.convert import Converted, arrow_type, convert
from devcloud.datafactory.copy.failure import CopyError
from devcloud.datafactory.copy.hierarchy import JsonRecord, is_extra, mapped, records
from devcloud.datafactory.copy.json_text import dump
from devcloud.datafactory.copy.reading import Rows
from devcloud.datafactory.copy.translator import MappedColumn, Translator

_ROWS = 16_384


@dataclass
class CopyTable:
    """The rows of one source.

    Attributes:
        extra: additional columns, the same text in every row.
        skip_faults: whether rows that do not fit are left out instead of failing the copy.
        rows_read, rows_skipped: so far.
    """

    rows: Rows
    translator: Translator = field(default_factory=Translator)
    extra: dict[str, str] = field(default_factory=dict)
    skip_faults: bool = False
    rows_read: int = 0
    rows_skipped: int = 0
    _unreadable: int = 0

    def batches(self) -> Generator[pa.RecordBatch, None, None]:
        """The rows with the sink's columns, in the sink's types.

        Raises:
            CopyError: a mapped column is absent, or a value does not convert: its message names
                column, row (from 1, the header not counted) and value.
        """
        source = self._json() if self.rows.hierarchical else self._columnar()
        with closing(source):
            for batch in source:
                yield self._converted(batch)

    def _converted(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        first = self.rows_read
        self.rows_read += batch.num_rows
        picked, columns = self._picked(batch)
        converted = [
            convert(column, values) for column, values in zip(columns, picked, strict=True)
        ]
        faulty = {row for each in converted for row in each.faults}
        if faulty and not self.skip_faults:
            raise self._fault(min(faulty), first, columns, picked, converted)
        schema = pa.schema(
            [
                (column.sink, arrow_type(column, values.type))
                for column, values in zip(columns, picked, strict=True)
            ]
        )
        typed = pa.record_batch([each.values for each in converted], schema=schema)
        if faulty:
            self.rows_skipped += len(faulty)
            typed = typed.filter(pa.array([n not in faulty for n in range(batch.num_rows)]))
        return typed

    def objects(self) -> Iterator[Any]:
        """The records of JSON as a JSON sink gets them: mapped, or as they are."""
        found = records(self.rows.documents(), self.translator.collection, self.rows.name)
        for record in found:
            self.rows_read += 1
            if self.translator.columns is not None:
                yield mapped(record, self.translator.columns, self.extra)
            elif self.extra and isinstance(record.value, dict):
                yield {**record.value, **self.extra}
            else:
                yield record.value

    def _columnar(self) -> Generator[pa.RecordBatch, None, None]:
        columns = self.translator.columns
        names = None if columns is None else [c.source for c in columns if c.source]
        with closing(self.rows.batches(names)) as batches:
            for batch in batches:
                self._count_unreadable()
                yield batch
        self._count_unreadable()

    def _count_unreadable(self) -> None:
        """Rows that the reader left out have been read all the same."""
        new = self.rows.skipped - self._unreadable
        self.rows_read += new
        self.rows_skipped += new
        self._unreadable += new

    def _json(self) -> Generator[pa.RecordBatch, None, None]:
        """Records as a batch of texts, one column for each mapping."""
        columns = self.translator.columns
        if columns is None:
            raise CopyError(
                "UserErrorInvalidTranslator", "a JSON source needs a translator with mappings"
            )
        for column in columns:
            if column.path is None:
                raise CopyError(
                    "UserErrorInvalidTranslator",
                    f"the mapping to {column.sink!r} needs source.path: JSON has no columns",
                )
        rows = records(self.rows.documents(), self.translator.collection, self.rows.name)
        schema = pa.schema([(column.sink, pa.string()) for column in columns])
        empty = True
        while chunk := list(itertools.islice(rows, _ROWS)):
            arrays = [
                pa.array([self._cell(each, column) for each in chunk], pa.string())
                for column in columns
            ]
            yield pa.record_batch(arrays, schema=schema)
            empty = False
        if empty:
            yield pa.RecordBatch.from_pylist([], schema=schema)

    def _cell(self, row: JsonRecord, column: MappedColumn) -> str | None:
        if is_extra(row, column, self.extra):
            return self.extra[(column.path or ("",))[0]]
        return _json_text(row.at(column), column, self.translator.complex_as_text)

    def _picked(self, batch: pa.RecordBatch) -> tuple[list[pa.Array[Any]], list[MappedColumn]]:
        """The batch's arrays in the sink's order, with the mapping of each."""
        columns = self.translator.columns
        if self.rows.hierarchical and columns is not None:
            return batch.columns, columns
        if columns is None:
            names = [*batch.schema.names, *self.extra]
            columns = [MappedColumn(name, None, None, name, None, None) for name in names]
        return [self._source(batch, column) for column in columns], columns

    def _source(self, batch: pa.RecordBatch, column: MappedColumn) -> Any:
        if column.source is not None and column.source in self.extra:
            return pa.repeat(pa.scalar(self.extra[column.source], pa.string()), batch.num_rows)
        index = (
            batch.schema.get_field_index(column.source)
            if column.source is not None
            else int(column.ordinal or 0) - 1
        )
        if not 0 <= index < batch.num_columns:
            raise CopyError(
                "MappingColumnNameNotFoundInSourceFile",
                f"Column {column.source or column.ordinal!r} specified in column mapping cannot be "
                f"found in '{self.rows.name}' source file, which has: "
                f"{', '.join(batch.schema.names[:50])}.",
            )
        array: Any = batch.column(index)
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        return array.cast(pa.string()) if pa.types.is_large_string(array.type) else array

    def _fault(
        self,
        row: int,
        first: int,
        columns: list[MappedColumn],
        values: list[pa.Array[Any]],
        converted: list[Converted],
    ) -> CopyError:
        for column, array, each in zip(columns, values, converted, strict=True):
            if row in each.faults:
                source = "String" if pa.types.is_string(array.type) else str(array.type)
                name = column.source or column.sink
                return CopyError(
                    "TypeConversionFailure",
                    f"Exception occurred when converting value '{array[row].as_py()!s:.200}' for "
                    f"column name '{name}' from type '{source}' to type '{column.kind}' at row "
                    f"{first + row + 1} of '{self.rows.name}'. "
                    f"Additional info: {each.faults[row]}",
                )
        raise AssertionError("a faulty row has a fault")


def _json_text(value: Any, column: MappedColumn, complex_as_text: bool) -> str | None:
    """A JSON value as the text that conversion begins with."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "True" if value else "False"
    if isinstance(value, Decimal):
        whole = value == value.to_integral_value() and abs(value.adjusted()) < 30  # noqa: PLR2004
        return str(int(value)) if whole and "Int" in str(column.kind) else str(value)
    if isinstance(value, int):
        return str(value)
    if complex_as_text:
        return dump(value)
    raise CopyError(
        "UserErrorJsonComplexValue",
        f"{json.dumps(value, default=str)[:200]} cannot be copied to the column {column.sink!r}: "
        "map a path that ends in a plain value, or set mapComplexValuesToString",
    )
