"""Reads the beginning of a file as a sample: names, cells, and how the file is written."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from landfall.contract.model import Hints
from landfall.validation.local_files import BytesSource
from landfall.validation.problems import Refusal
from landfall.validation.readers.array import Elements
from landfall.validation.readers.comments import Comments
from landfall.validation.readers.header import DELIMITERS
from landfall.validation.readers.objects import as_written
from landfall.validation.readers.opening import Opened, open_stream
from landfall.validation.readers.splitting import Split, Splitter, UnclosedQuote
from landfall.validation.report import Format
from landfall.validation.streams import ByteSource

SAMPLE = 8 << 20
"""Bytes of content that are read."""
_PARQUET_ROWS = 100_000
_JUDGED = 200
"""Records by which a delimiter is chosen."""


@dataclass
class FileSample:
    """Cells of the first records, column by column.

    `types` are Parquet's, as Polars reads them. `content` is the sample as a file of its own, named
    `content_name`: the file itself where it is small, else `transcoded` to UTF-8. `encoding` is the
    file's, as a contract names it, where it has to be said; `guessed`, where no mark says it.
    `skipped` lines stand before the header, and `comment` begins lines that are no records.
    `sheet` is the one of a workbook, where `sheets` has others. `paths` lead to nested values.
    """

    format: Format
    names: Sequence[str]
    columns: Sequence[Sequence[Any]]
    content: ByteSource
    content_name: str
    delimiter: str | None = None
    encoding: str | None = None
    types: dict[str, Any] = field(default_factory=dict)
    whole: bool = True
    transcoded: bool = False
    guessed: bool = False
    header: bool = True
    skipped: int = 0
    comment: str | None = None
    sheets: Sequence[str] = ()
    paths: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def sheet(self) -> str | None:
        """The sheet that was read, where it has to be said."""
        return self.sheets[0] if len(self.sheets) > 1 else None

    def without_header(self) -> FileSample:
        """Return the same with the first line as a record, and columns named by their position."""
        names = [f"column_{number}" for number in range(1, len(self.names) + 1)]
        columns = [[name, *cells] for name, cells in zip(self.names, self.columns, strict=True)]
        return replace(self, names=names, columns=columns, header=False)

    @property
    def records(self) -> int:
        """Number of records."""
        return len(self.columns[0]) if self.columns else 0


def read_sample(source: ByteSource, name: str) -> FileSample:
    """Read the beginning of a file.

    Raises:
        Refusal: it cannot be read as a table.
    """
    opened, hints = _open(source, name)
    kind = opened.format.kind
    if kind == "parquet":
        return _parquet(source, opened, name)
    if kind == "xlsx":
        return _workbook(source, opened, name)
    if kind == "json":
        sample = _array(opened)
    else:
        data, whole = _content(opened)
        sample = _lines(data, opened) if kind == "jsonl" else _delimited(data, opened)
        sample.whole = whole
    if hints.encoding is not None:
        sample.encoding, sample.guessed = _SAID[hints.encoding], True
    elif opened.format.encoding not in {None, "UTF-8"}:
        sample.encoding = opened.format.encoding
    if source.size <= SAMPLE and sample.whole:
        sample.content, sample.content_name = source, name
    else:
        sample.transcoded = True
    return sample


_SAID = {
    "utf-16-le": "UTF-16LE",
    "utf-16-be": "UTF-16BE",
    "cp1252": "WINDOWS-1252",
    "latin-1": "ISO-8859-1",
}
"""Names of encodings in a contract, in the order in which they are tried after UTF-8."""


def _open(source: ByteSource, name: str) -> tuple[Opened, Hints]:
    """Open a file in the first encoding that reads its beginning."""
    refusal: Refusal | None = None
    for encoding in (None, *_SAID):
        hints = Hints(encoding=encoding)
        try:
            opened = open_stream(source.stream(), name, hints, source)
            if opened.format.kind in {"parquet", "xlsx"}:
                return opened, hints
            data, _ = _content(open_stream(source.stream(), name, hints, source))
            text = data.decode()
        except (Refusal, UnicodeDecodeError) as error:
            if refusal is None and isinstance(error, Refusal):
                refusal = error
            continue
        if encoding is None or _is_latin(text, wide=encoding.startswith("utf-16")):
            return opened, hints
    raise refusal or Refusal("the text is neither UTF-8 nor UTF-16", "save the file as UTF-8")


def _is_latin(text: str, *, wide: bool) -> bool:
    """Whether text of a guessed encoding is as text of Latin letters, delimiters and digits."""
    if "\0" in text:
        return False
    return not wide or sum(map(str.isascii, text)) * 2 > len(text)


def _content(opened: Opened) -> tuple[bytes, bool]:
    """Return the first bytes of the content up to a line end, and whether they are all of it."""
    taken, length, whole = [], 0, True
    for chunk in opened.chunks:
        taken.append(chunk)
        length += len(chunk)
        if length >= SAMPLE:
            whole = next(iter(opened.chunks), None) is None
            break
    data = b"".join(taken)
    return (data if whole else data[: data.rfind(b"\n") + 1]), whole


def _delimited(data: bytes, opened: Opened) -> FileSample:
    text = data.decode()
    body = text.lstrip("\r\n")
    if not body:
        raise Refusal("the file holds no records", "use a file with some records as sample")
    tried = ("\t",) if opened.suffix in {"tsv", "tab"} else DELIMITERS
    comment = _comment(body, tried)
    if comment is not None:
        body = _without_comments(body, comment)
    skipped = _leading_lines(body, tried)
    body = "\n".join(body.split("\n")[skipped:])
    splits = {delimiter: _split(body, delimiter) for delimiter in tried}
    delimiter = max(tried, key=lambda one: _fitness(splits[one]))
    split = splits[delimiter]
    if skipped:
        skipped += text[: len(text) - len(text.lstrip("\r\n"))].count("\n")
    if isinstance(split, UnclosedQuote):
        line = int(split.args[0]) + 1
        raise Refusal(f"a quote opened on line {line} is never closed", "close it", line=line)
    if 0 in split.broken:
        what = split.broken[0]
        raise Refusal(
            "the lines end in a carriage return alone"
            if what.rule == "newline"
            else f"the header has a stray quote in {what.value!r}",
            "save the file with LF or CRLF line ends"
            if what.rule == "newline"
            else "quote whole fields only",
            line=1,
        )
    names = split.rows[0]
    rows = [
        row
        for at, row in enumerate(split.rows)
        if at and at not in split.broken and len(row) == len(names)
    ]
    return FileSample(
        replace(opened.format, delimiter=delimiter),
        names,
        list(zip(*rows, strict=True)),
        BytesSource(data),
        "sample.csv",
        delimiter=delimiter,
        skipped=skipped,
        comment=comment,
    )


_COMMENTS = ("#", "//", "--")
_MOST_LEADING = 30


def _comment(body: str, tried: Sequence[str]) -> str | None:
    """Return what the lines at the beginning of a text begin with, if they are comments."""
    lines = [line for line in body.split("\n")[:_JUDGED] if line.strip("\r")]
    for prefix in _COMMENTS:
        comments = [line for line in lines if line.startswith(prefix)]
        rest = [line for line in lines if not line.startswith(prefix)]
        if not lines[0].startswith(prefix) or not rest:
            continue
        # A header may begin with the sign too: then it is as wide as the records.
        wide = any(
            len(comments) == 1 and comments[0].count(one) == rest[0].count(one) > 0 for one in tried
        )
        return None if wide else prefix
    return None


def _without_comments(body: str, prefix: str) -> str:
    """Return a text whose comment lines are empty."""
    blanked = Comments(prefix).blanked(body.encode(), Splitter(",", '"', None), final=True)
    return blanked.decode().lstrip("\r\n")


def _leading_lines(body: str, tried: Sequence[str]) -> int:
    """Return how many lines stand before the header: fewer than half as wide as most records."""
    lines = body.split("\n")[:_JUDGED]
    for delimiter in sorted(tried, key=lambda one: -sum(one in line for line in lines)):
        widths = [line.count(delimiter) + 1 for line in lines if line.strip("\r")]
        usual = Counter(widths).most_common(1)[0][0] if widths else 1
        if usual < _TABLE:
            continue
        first = next((at for at, line in enumerate(lines) if line.count(delimiter) + 1 >= usual), 0)
        lead = lines[:first]
        narrow = all(line.count(delimiter) + 1 <= usual // 2 for line in lead)
        # A quoted line end makes a header of many lines.
        quoted = '"' in "".join(lead)
        return first if 0 < first <= _MOST_LEADING and narrow and not quoted else 0
    return 0


_TABLE = 2
"""Columns from which on lines before a table can be told from it."""


def _split(text: str, delimiter: str) -> Split | UnclosedQuote:
    try:
        return Splitter(delimiter, '"', None).split(text, final=True)
    except UnclosedQuote as error:
        return error


def _fitness(split: Split | UnclosedQuote) -> tuple[float, int]:
    """Return how well a delimiter fits: the share of records as wide as the header; the width."""
    if isinstance(split, UnclosedQuote) or 0 in split.broken:
        return 0.0, 0
    width, rows = len(split.rows[0]), split.rows[1 : _JUDGED + 1]
    alike = sum(len(row) == width and at not in split.broken for at, row in enumerate(rows, 1))
    share = alike / len(rows) if rows else 1.0
    # A file in which a delimiter is nowhere is one column of it, for every delimiter.
    return (share if width > 1 else 0.0), width


def _lines(data: bytes, opened: Opened) -> FileSample:
    values = [_decoded(line) for line in data.decode().split("\n") if line.strip(" \t\r")]
    return _objects(values, opened, BytesSource(data), "sample.jsonl")


def _array(opened: Opened) -> FileSample:
    texts: list[str] = []
    length, whole = 0, True
    for elements in Elements(opened.chunks):
        texts += [text for text, _ in elements]
        length += sum(len(text) for text, _ in elements)
        if length >= SAMPLE:
            whole = False
            break
    content = BytesSource(f"[{','.join(texts)}]".encode("utf-8", "surrogateescape"))
    sample = _objects([_decoded(text) for text in texts], opened, content, "sample.json")
    sample.whole = whole
    return sample


def _decoded(text: str) -> Any:
    """Return a JSON value; None if it is malformed."""
    try:
        return json.loads(text, parse_float=as_written)
    except (ValueError, RecursionError):
        return None


def _objects(values: list[Any], opened: Opened, content: ByteSource, name: str) -> FileSample:
    objects = [value for value in values if isinstance(value, dict)]
    columns: dict[str, list[Any]] = {
        key: [value.get(key) for value in objects]
        for key in dict.fromkeys(key for value in objects for key in value)
    }
    paths: dict[str, tuple[str, ...]] = {}
    for _ in range(_DEEPEST):
        nested = [key for key, cells in columns.items() if _is_nested(cells)]
        if not nested:
            break
        for key in nested:
            _flatten(columns, paths, key)
    return FileSample(
        opened.format, list(columns), list(columns.values()), content, name, paths=paths
    )


_DEEPEST = 5
"""Levels of nested objects that are flattened."""


def _is_nested(cells: Sequence[Any]) -> bool:
    known = [cell for cell in cells if cell is not None]
    return bool(known) and all(isinstance(cell, dict) and cell for cell in known)


def _flatten(columns: dict[str, list[Any]], paths: dict[str, tuple[str, ...]], name: str) -> None:
    """Put the values of a column of objects in its place, each with its path."""
    cells = columns.pop(name)
    above = paths.pop(name, (name,))
    for key in dict.fromkeys(key for cell in cells if cell is not None for key in cell):
        flat = f"{name}.{key}"
        if flat not in columns and "'" not in key:
            columns[flat] = [None if cell is None else cell.get(key) for cell in cells]
            paths[flat] = (*above, key)


def _workbook(source: ByteSource, opened: Opened, name: str) -> FileSample:
    from landfall.validation.readers.workbook import (  # noqa: PLC0415 - most samples are CSV
        rows_of,
        sheets_of,
        shown,
    )

    sheets = sheets_of(source)
    rows = [(number, cells) for number, cells in islice(rows_of(source, sheets[0]), _PARQUET_ROWS)]
    widths = Counter(len(cells) - cells.count(None) for _, cells in rows[:_JUDGED])
    usual = widths.most_common(1)[0][0] if widths else 0
    first = next(
        (at for at, (_, cells) in enumerate(rows) if 2 * (len(cells) - cells.count(None)) > usual),
        0,
    )
    if usual < _TABLE or first > _MOST_LEADING:
        first = 0
    table = [cells for _, cells in rows[first:] if cells.count(None) < len(cells)]
    header = table[0] if table else []
    while header and header[-1] is None:
        header.pop()
    names = ["" if cell is None else shown(cell) for cell in header]
    texts = [
        [
            None if cell is None else shown(cell)
            for cell in (row + [None] * len(names))[: len(names)]
        ]
        for row in table[1:]
    ]
    return FileSample(
        opened.format,
        names,
        [list(cells) for cells in zip(*texts, strict=True)],
        source,
        name,
        skipped=rows[first][0] - 1 if first else 0,
        sheets=sheets,
    )


def _parquet(source: ByteSource, opened: Opened, name: str) -> FileSample:
    import polars as pl  # noqa: PLC0415 - most samples are CSV

    try:
        data = b"".join(source.stream())
        schema = pl.read_parquet_schema(io.BytesIO(data))
        frame = pl.read_parquet(io.BytesIO(data), n_rows=_PARQUET_ROWS)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise Refusal(f"the Parquet file cannot be read: {error}", "write it again") from error
    texts = [
        frame[column].cast(pl.String, strict=False).to_list()
        if not dtype.is_nested() and dtype != pl.Binary
        else [None] * len(frame)
        for column, dtype in schema.items()
    ]
    return FileSample(opened.format, frame.columns, texts, source, name, types=dict(schema))
