"""Rows of a source as record batches, mapped to the columns and types of the sink."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from devcloud.datafactory.copy.convert import Converted, arrow_type, convert
from devcloud.datafactory.copy.delimited import DelimitedReader, TextDialect
from devcloud.datafactory.copy.failure import CopyError
from devcloud.datafactory.copy.json_text import objects
from devcloud.datafactory.copy.lake import LakeFile
from devcloud.datafactory.copy.translator import MappedColumn

_ROWS = 16_384


@dataclass
class CopyTable:
    """The rows of one source file.

    Attributes:
        kind: type of its dataset; properties: the dataset's typeProperties, evaluated.
        extra: additional columns, the same text in every row.
        skip_faults: whether rows that do not fit are left out instead of failing the copy.
        rows_read, rows_skipped: so far.
    """

    file: LakeFile
    kind: str
    properties: dict[str, Any]
    extra: dict[str, str] = field(default_factory=dict)
    skip_faults: bool = False
    rows_read: int = 0
    rows_skipped: int = 0

    def batches(self, columns: list[MappedColumn] | None) -> Iterator[pa.RecordBatch]:
        """The rows with the sink's columns, in the sink's types.

        Raises:
            CopyError: a mapped column is absent, or a value does not convert: its message names
                column, row (from 1, the header not counted) and value.
        """
        source = self._json(columns) if self.kind == "Json" else self._columnar(columns)
        for batch in source:
            first = self.rows_read
            self.rows_read += batch.num_rows
            picked, mapped_columns = self._picked(batch, columns)
            converted = [
                convert(column, values)
                for column, values in zip(mapped_columns, picked, strict=True)
            ]
            faulty = {row for each in converted for row in each.faults}
            if faulty and not self.skip_faults:
                raise self._fault(min(faulty), first, mapped_columns, picked, converted)
            schema = pa.schema(
                [
                    (column.sink, arrow_type(column, values.type))
                    for column, values in zip(mapped_columns, picked, strict=True)
                ]
            )
            typed = pa.record_batch([each.values for each in converted], schema=schema)
            if faulty:
                self.rows_skipped += len(faulty)
                typed = typed.filter(pa.array([n not in faulty for n in range(batch.num_rows)]))
            yield typed

    def _columnar(self, columns: list[MappedColumn] | None) -> Iterator[pa.RecordBatch]:
        if self.kind == "DelimitedText":
            reader = DelimitedReader(self.file, TextDialect.read(self.properties), self.skip_faults)
            for batch in reader.batches():
                self.rows_read += reader.skipped - self.rows_skipped
                self.rows_skipped = max(self.rows_skipped, reader.skipped)
                yield batch
            return
        names = None if columns is None else [c.source for c in columns if c.source]
        try:
            parquet = pq.ParquetFile(pa.PythonFile(self.file.random_access(), mode="r"))
            present = set(parquet.schema_arrow.names)
            some = None if names is None else [name for name in names if name in present]
            yield from parquet.iter_batches(_ROWS, columns=some, use_threads=False)
            if parquet.metadata.num_rows == 0:
                yield pa.RecordBatch.from_pylist([], schema=parquet.schema_arrow)
        except pa.ArrowInvalid as error:
            raise CopyError(
                "UserErrorParquetInvalid", f"'{self.file.name}' is not valid Parquet: {error}"
            ) from error

    def _json(self, columns: list[MappedColumn] | None) -> Iterator[pa.RecordBatch]:
        """Objects as a batch of texts, one column for each mapping."""
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
        rows = objects(self.file, self.properties)
        schema = pa.schema([(column.sink, pa.string()) for column in columns])
        while chunk := list(itertools.islice(rows, _ROWS)):
            arrays = [
                pa.array([self._cell(each, column) for each in chunk], pa.string())
                for column in columns
            ]
            yield pa.record_batch(arrays, schema=schema)

    def _cell(self, row: dict[str, Any], column: MappedColumn) -> str | None:
        path = column.path or ()
        value: Any = row if path[0] in row else self.extra
        for step in path:
            if not isinstance(value, dict) or step not in value:
                return None
            value = value[step]
        return _json_text(value, column)

    def _picked(
        self, batch: pa.RecordBatch, columns: list[MappedColumn] | None
    ) -> tuple[list[pa.Array[Any]], list[MappedColumn]]:
        """The batch's arrays in the sink's order, with the mapping of each."""
        if self.kind == "Json" and columns is not None:
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
                f"found in '{self.file.name}' source file, which has: "
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
                    f"{first + row + 1} of '{self.file.name}'. "
                    f"Additional info: {each.faults[row]}",
                )
        raise AssertionError("a faulty row has a fault")


def _json_text(value: Any, column: MappedColumn) -> str | None:
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
    raise CopyError(
        "UserErrorJsonComplexValue",
        f"{json.dumps(value, default=str)[:200]} cannot be copied to the column {column.sink!r}: "
        "map a path that ends in a plain value",
    )
