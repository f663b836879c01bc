"""Delimited text: a file's rows as record batches of strings.

Arrow's streaming reader parses; every column is a string here, types come with the conversion. Rows
with more or fewer values than the header are faults, unless faults are to be skipped.
"""

from __future__ import annotations

import csv as python_csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa
from pyarrow import csv

from devcloud.datafactory.copy.failure import CopyError
from devcloud.datafactory.copy.file import ReadableFile
from devcloud.datafactory.copy.text import codec, utf8

_BLOCK = 4 * 1024 * 1024
_LONGEST_HEADER = 1024 * 1024
_NEWLINES = (None, "", "\n", "\r\n", "\r")


@dataclass(frozen=True)
class TextDialect:
    """How a delimited file is written.

    Attributes:
        delimiter: one character; quote: one, or empty for none; escape: one, or empty; the same as
            quote means that a quote is written twice.
        null: the text that stands for null, quoted or not.
    """

    delimiter: str = ","
    quote: str = '"'
    escape: str = "\\"
    header: bool = False
    null: str = ""
    encoding: str = "UTF-8"
    compression: str | None = None

    @staticmethod
    def read(properties: dict[str, Any]) -> TextDialect:
        """Read the typeProperties of a DelimitedText dataset, evaluated.

        Raises:
            CopyError: it asks for what is not supported.
        """
        delimiter = properties.get("columnDelimiter", ",")
        quote = properties.get("quoteChar", '"') or ""
        escape = properties.get("escapeChar", "\\") or ""
        for name, value, sizes in (
            ("columnDelimiter", delimiter, (1,)),
            ("quoteChar", quote, (0, 1)),
            ("escapeChar", escape, (0, 1)),
        ):
            if not isinstance(value, str) or len(value.encode()) not in sizes:
                raise CopyError(
                    "UserErrorInvalidDataset",
                    f"{name} must be one ASCII character here, not {value!r}",
                )
        return TextDialect(
            delimiter,
            quote,
            escape,
            properties.get("firstRowAsHeader", False) in (True, "true", "True"),
            properties.get("nullValue", ""),
            properties.get("encodingName") or "UTF-8",
            codec(properties.get("compressionCodec")),
        )


@dataclass
class DelimitedReader:
    """Reads one file.

    Attributes:
        skip_faults: whether rows with a wrong number of values are left out instead of failing.
        skipped: how many were, so far.
    """

    file: ReadableFile
    dialect: TextDialect
    skip_faults: bool = False
    skipped: int = 0
    _fault: str | None = field(default=None, repr=False)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows; column names from the header, or Prop_0, Prop_1, ... without one.

        Raises:
            CopyError: a row that does not fit, an encoding error, a field larger than a block.
        """
        source = utf8(
            self.file.chunks(), self.dialect.encoding, self.dialect.compression, self.file.name
        )
        width = self._width(source.peek(_LONGEST_HEADER))
        if width == 0:
            return
        names = None
        try:
            for batch in self._open(source, width):
                if names is None:
                    names = self._names(batch, width)
                    batch = batch.slice(1 if self.dialect.header else 0)  # noqa: PLW2901
                yield batch.rename_columns(names)
        except pa.ArrowInvalid as error:
            if self._fault:
                raise CopyError("DelimitedTextBadDataDetected", self._fault) from error
            raise CopyError(
                "DelimitedTextBadDataDetected",
                f"Bad data is found in '{self.file.name}': {error}",
            ) from error

    def _open(self, source: Any, width: int) -> csv.CSVStreamingReader:
        dialect = self.dialect
        doubled = dialect.escape == dialect.quote
        reader = csv.open_csv(
            source,
            read_options=csv.ReadOptions(
                use_threads=False, block_size=_BLOCK, autogenerate_column_names=True
            ),
            parse_options=csv.ParseOptions(
                delimiter=dialect.delimiter,
                quote_char=dialect.quote or False,
                double_quote=doubled,
                escape_char=False if doubled or not dialect.escape else dialect.escape,
                newlines_in_values=True,
                invalid_row_handler=self._invalid,
            ),
            convert_options=csv.ConvertOptions(
                column_types={f"f{number}": pa.string() for number in range(width)},
                null_values=[dialect.null],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
        return reader

    def _invalid(self, row: Any) -> Literal["skip", "error"]:
        if self.skip_faults:
            self.skipped += 1
            return "skip"
        more = "more" if row.actual_columns > row.expected_columns else "fewer"
        number = "" if row.number is None else f" with row number {row.number}"
        self._fault = (
            f"Error found when processing 'Csv/Tsv Format Text' source '{self.file.name}'{number}: "
            f"found {more} columns ({row.actual_columns}) than expected column count "
            f"{row.expected_columns}."
        )
        return "error"

    def _names(self, batch: pa.RecordBatch, width: int) -> list[str]:
        if not self.dialect.header:
            return [f"Prop_{number}" for number in range(width)]
        if batch.num_columns != width or batch.num_rows == 0:
            raise CopyError(
                "DelimitedTextBadDataDetected", f"the header of '{self.file.name}' cannot be read"
            )
        names = [str(column[0].as_py() or "") for column in batch.columns]
        for name in names:
            if names.count(name) > 1:
                raise CopyError(
                    "DelimitedTextDuplicateColumn",
                    f"the column name {name!r} appears twice in the header of '{self.file.name}'",
                )
        return names

    def _width(self, beginning: bytes) -> int:
        """How many columns the first row has; 0 for an empty file."""
        dialect = self.dialect
        doubled = dialect.escape == dialect.quote
        python_csv.field_size_limit(_LONGEST_HEADER)
        rows = python_csv.reader(
            io.StringIO(beginning.decode(errors="ignore"), newline=""),
            delimiter=dialect.delimiter,
            quotechar=dialect.quote or None,
            quoting=python_csv.QUOTE_MINIMAL if dialect.quote else python_csv.QUOTE_NONE,
            doublequote=doubled,
            escapechar=None if doubled or not dialect.escape else dialect.escape,
        )
        try:
            return len(next((row for row in rows if row), []))
        except python_csv.Error as error:
            raise CopyError(
                "DelimitedTextBadDataDetected",
                f"the header of '{self.file.name}' cannot be read: {error}",
            ) from error
