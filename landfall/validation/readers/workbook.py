"""Reader of Excel workbooks (.xlsx): the rows of one sheet, one after the other.

openpyxl knows the format. Its parser is used here row by row, so that a sheet is never held as a
whole, and so that a formula whose result was never stored is noticed: it would read as empty. The
texts that cells share are in memory, and bounded.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, time
from typing import Any, NoReturn
from xml.etree.ElementTree import ParseError

import openpyxl
from openpyxl.utils import get_column_letter
from openpyxl.utils.escape import unescape
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.worksheet._reader import FORMULA_TAG, WorkSheetParser

from landfall.contract.model import Column, Contract
from landfall.validation.batches import ParsedBatch
from landfall.validation.problems import Refusal
from landfall.validation.readers.archives import BINARY_BOOK, DAMAGED, as_file, open_archive
from landfall.validation.readers.header import MissingColumns, check_columns
from landfall.validation.readers.opening import Opened
from landfall.validation.report import Columns, Format
from landfall.validation.streams import ByteSource

_PARTS = 16 << 20
"""Most bytes of a part that is read whole."""
_STRINGS = 256 << 20
"""Most bytes of the texts that cells share, which are held in memory."""
_MOST_ROWS, _MOST_COLUMNS = 1_048_576, 16_384
_BATCH = 2000
_LOOKED_AT = 100
"""Rows in which a sheet must have a value, or it counts as empty."""
_LISTED = 5
_EXACT = 2**53
_UNREADABLE = (
    *DAMAGED,
    ParseError,
    InvalidFileException,
    AttributeError,
    IndexError,
    KeyError,
    OverflowError,
    TypeError,
    ValueError,
)
"""What openpyxl raises for a workbook that is not as the format has it."""

Row = tuple[int, list[Any]]
"""The number of a row in its sheet, and its cells."""


class Workbook:
    """Reads one sheet; a record's line is its row in the sheet.

    Cells have types, and texts may spell values of others, as people type them.
    """

    typed = True
    mixed = True

    def __init__(self, opened: Opened, contract: Contract, source: ByteSource) -> None:
        self._contract = contract
        self._source = source
        self._chunks = opened.chunks
        self._rows: Iterator[Row] = iter(())
        self._convert: list[Callable[[Any], Any]] = []
        self.format = opened.format
        self.names: Sequence[str] = ()
        self.columns = Columns()
        self.head = b""

    @property
    def rejects_format(self) -> Format:
        """Delimited text: Excel opens it, and it can be sent again."""
        return Format("csv", delimiter=self._delimiter, quote='"', escape='"', encoding="UTF-8")

    @property
    def _delimiter(self) -> str:
        return self._contract.hints.delimiter or ","

    def start(self) -> None:
        """Open the sheet and read its header.

        Raises:
            Refusal: it cannot be read, has macros, is not the one sheet, or does not fit the
                contract.
        """
        for _ in self._chunks:
            """Read every byte, so that the hash is of the whole file."""
        hints = self._contract.hints
        self._rows = self._records(rows_of(self._source, hints.sheet))
        # Rejects are text, which is read by the same contract: it skips as many lines there.
        self.head = b"\n" * hints.skip_lines
        if hints.header:
            self._read_header()
        else:
            self.names = [column.name for column in self._contract.columns]
        columns = {column.name: column for column in self._contract.columns}
        self._convert = [_converter(columns.get(name)) for name in self.names]

    def _records(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield the rows that count: without leading and blank ones, and comments."""
        hints = self._contract.hints
        for number, cells in rows:
            if number <= hints.skip_lines or not any(cell is not None for cell in cells):
                continue
            first = cells[0]
            if hints.comment and isinstance(first, str) and first.startswith(hints.comment):
                continue
            yield number, cells

    def _read_header(self) -> None:
        row = next(self._rows, None)
        if row is None:
            raise Refusal("the sheet is empty", "send it again with its header and records")
        number, cells = row
        names = ["" if cell is None else shown(cell) for cell in _trimmed(cells)]
        try:
            self.columns = check_columns(names, self._contract)
        except MissingColumns as refusal:
            reason, action = refusal.problem.reason, refusal.problem.action
            if "" in names or len(names) == 1:
                column = get_column_letter(names.index("") + 1) if "" in names else "B"
                reason += f"; cell {column}{number} of the header is empty"
                action += (
                    ": write each column's name into one row, without merged cells; rows before it "
                    "are passed over with skipLines"
                )
            refusal.problem = replace(refusal.problem, reason=reason, action=action, line=number)
            raise
        except Refusal as refusal:
            refusal.problem = replace(refusal.problem, line=number)
            raise
        known_as = {given: name for name, given in self.columns.renamed.items()}
        self.names = [known_as.get(name, name) for name in names]
        self.head += self._csv(names)

    def batches(self) -> Iterator[ParsedBatch]:
        """Yield all records.

        Raises:
            Refusal: the sheet cannot be read to its end, or has formulas without their results.
        """
        rows: list[list[Any]] = []
        lines: list[int] = []
        for number, cells in self._rows:
            rows.append(self._record(cells))
            lines.append(number)
            if len(rows) == _BATCH:
                yield self._batch(rows, lines)
                rows, lines = [], []
        if rows:
            yield self._batch(rows, lines)

    def _record(self, cells: list[Any]) -> list[Any]:
        width = len(self.names)
        if len(cells) > width:
            cells = cells[:width] + _trimmed(cells[width:])
        cells += [None] * (width - len(cells))
        if len(cells) > width:  # values beside the table are a fault of their record
            return cells
        return [
            None if cell is None else convert(cell)
            for convert, cell in zip(self._convert, cells, strict=True)
        ]

    def _batch(self, rows: list[list[Any]], lines: list[int]) -> ParsedBatch:
        return ParsedBatch(rows, lines, lambda index: self._csv(rows[index]), lambda _: 1)

    def _csv(self, cells: Sequence[Any]) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text, delimiter=self._delimiter, lineterminator="\n")
        writer.writerow(["" if cell is None else shown(cell) for cell in cells])
        return text.getvalue().encode("utf-8", "backslashreplace")


def rows_of(source: ByteSource, wanted: str | int | None) -> Iterator[Row]:
    """Yield the rows of a workbook's sheet that have cells, with their numbers.

    `wanted` is the name of the sheet or its number from 1; None stands for the only one that is
    not hidden and not empty.

    Raises:
        Refusal: the workbook cannot be read, has macros, is too large, has formulas without
            results, or has no such sheet or several.
    """
    book = _open(source)
    yield from _rows(book, _chosen(book, wanted))


def sheets_of(source: ByteSource) -> list[str]:
    """Return the names of the sheets that are not hidden and not empty.

    Raises:
        Refusal: as `rows_of`, or there is none.
    """
    book = _open(source)
    try:
        return [sheet.title for sheet in _shown_sheets(book)]
    finally:
        book.close()


def _open(source: ByteSource) -> Any:
    with open_archive(source) as archive:
        _check_parts(archive)
    try:
        return openpyxl.load_workbook(
            as_file(source), read_only=True, data_only=True, keep_links=False
        )
    except _UNREADABLE as error:
        _raise_unreadable(error)


def _check_parts(archive: zipfile.ZipFile) -> None:
    sizes = {member.filename: member.file_size for member in archive.infolist()}
    if BINARY_BOOK in sizes:
        raise Refusal("the workbook is binary (.xlsb)", "save it as .xlsx")
    if any(name.casefold().endswith("vbaproject.bin") for name in sizes):
        raise Refusal("the workbook has macros", "save it as .xlsx, which has none")
    for name, size in sizes.items():
        most = _STRINGS if name == "xl/sharedStrings.xml" else _PARTS
        if size > most and not name.startswith(("xl/worksheets/", "xl/media/")):
            raise Refusal(
                f"{name} in the workbook has {size >> 20} MiB, more than {most >> 20}",
                "send the sheet as CSV",
            )


def _chosen(book: Any, wanted: str | int | None) -> Any:
    """Return the sheet that is read."""
    sheets = list(book.worksheets)
    titles = [sheet.title for sheet in sheets]
    if isinstance(wanted, int):
        if wanted <= len(sheets):
            return sheets[wanted - 1]
        raise Refusal(
            f"the workbook has {len(sheets)} sheets, and the contract reads sheet {wanted}",
            "send the workbook with all its sheets",
        )
    if wanted is not None:
        if wanted in titles:
            return sheets[titles.index(wanted)]
        raise Refusal(
            f"the workbook has no sheet {wanted!r}; it has {_listed(titles)}",
            f"name the sheet {wanted!r}",
        )
    candidates = _shown_sheets(book)
    if len(candidates) == 1:
        return candidates[0]
    raise Refusal(
        f"the workbook has {len(candidates)} sheets with values: "
        f"{_listed([sheet.title for sheet in candidates])}",
        "send one sheet, or say in the contract which one is read: the custom property `sheet`",
    )


def _shown_sheets(book: Any) -> list[Any]:
    """Return the sheets that are not hidden and not empty."""
    sheets = [
        sheet for sheet in book.worksheets if sheet.sheet_state == "visible" and _has_values(sheet)
    ]
    if not sheets:
        raise Refusal("the workbook has no values", "send it again with its header and records")
    return sheets


def _has_values(sheet: Any) -> bool:
    try:
        rows = zip(range(_LOOKED_AT), _parsed(sheet), strict=False)
        return any(cell is not None for _, (_, cells) in rows for cell in cells)
    except _UNREADABLE as error:
        _raise_unreadable(error)


def _rows(book: Any, sheet: Any) -> Iterator[Row]:
    try:
        yield from _parsed(sheet)
    except _UNREADABLE as error:
        _raise_unreadable(error)
    finally:
        book.close()


class _Parser(WorkSheetParser):  # type: ignore[misc]
    """Reads cells as openpyxl does, and refuses formulas without results."""

    def parse_cell(self, element: Any) -> dict[str, Any]:
        cell: dict[str, Any] = super().parse_cell(element)
        # The result that is an empty text is stored as a text.
        if (
            cell["value"] is None
            and element.get("t") != "str"
            and element.find(FORMULA_TAG) is not None
        ):
            place = f"{get_column_letter(cell['column'])}{cell['row']}"
            raise Refusal(
                f"cell {place} has a formula without its result: the program that wrote the "
                "workbook did not compute it",
                "open the workbook in Excel and save it, or write values instead of formulas",
                line=cell["row"],
            )
        return cell


def _parsed(sheet: Any) -> Iterator[Row]:
    """Yield the rows of a sheet; it is read from its beginning each time."""
    book = sheet.parent
    with sheet._get_source() as content:  # noqa: SLF001 - its own iteration pads and keeps rows
        parser = _Parser(
            content,
            sheet._shared_strings,  # noqa: SLF001 - likewise
            data_only=True,
            epoch=book.epoch,
            date_formats=book._date_formats,  # noqa: SLF001 - likewise
            timedelta_formats=book._timedelta_formats,  # noqa: SLF001 - likewise
        )
        last = 0
        for number, cells in parser.parse():
            parser.row_dimensions.clear()  # heights of rows, which nobody asks for
            if not cells:
                continue
            if number <= last or number > _MOST_ROWS:
                raise ValueError(f"row {number} comes after row {last}")
            last = number
            row: list[Any] = []
            for cell in cells:
                column = cell["column"]
                if not 0 < column <= _MOST_COLUMNS:
                    raise ValueError(f"row {number} has a column {column}")
                row += [None] * (column - len(row))
                value = cell["value"]
                row[column - 1] = unescape(value) if isinstance(value, str) else value
            yield number, row


def _converter(column: Column | None) -> Callable[[Any], Any]:
    """Return the function from a cell to a value as a column of this type has it."""
    if column is None:
        return shown
    return _CONVERTERS.get(column.logical_type, _number)


def _number(cell: Any) -> Any:
    """Return a number with the 15 digits that Excel keeps and shows; whole ones as integers."""
    if not isinstance(cell, float):
        return cell
    number = float(f"{cell:.15g}")
    return int(number) if number.is_integer() and abs(number) < _EXACT else number


def _day(cell: Any) -> Any:
    """Return a date for a moment at midnight: Excel has one type for both."""
    return cell.date() if isinstance(cell, datetime) and cell.time() == time.min else cell


def _plain_text(cell: Any) -> Any:
    """Return what a text column has: numbers and booleans as they are shown.

    A date stays one, and is a fault: how it was written, nobody can tell.
    """
    return shown(cell) if isinstance(cell, (bool, int, float)) else cell


def shown(cell: Any) -> str:
    """Return a cell as text: numbers as Excel shows them, dates and times in ISO 8601."""
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, float):
        return str(_number(cell))
    if isinstance(cell, datetime):
        return str(_day(cell)) if cell.time() == time.min else cell.isoformat()
    return str(cell)


_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "string": _plain_text,
    "date": _day,
    "timestamp": lambda cell: cell,
    "time": lambda cell: cell,
    "boolean": lambda cell: cell,
}


def _trimmed(cells: list[Any]) -> list[Any]:
    """Return a row without the empty cells at its end."""
    end = len(cells)
    while end and cells[end - 1] is None:
        end -= 1
    return cells[:end]


def _listed(titles: Sequence[str]) -> str:
    shown = ", ".join(repr(title) for title in titles[:_LISTED])
    more = len(titles) - _LISTED
    return shown + (f" and {more} more" if more > 0 else "")


def _raise_unreadable(error: Exception) -> NoReturn:
    raise Refusal(
        f"the workbook cannot be read: {error}", "save it again as .xlsx, or send CSV"
    ) from error
