"""Reads and rewrites the footer of a Parquet file, to read row groups and columns by byte range.

Specification: parquet.thrift in Apache Parquet; the field numbers are from there.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from landfall.validation.problems import MAX_RATIO, Refusal, encrypted
from landfall.validation.readers import thrift
from landfall.validation.readers.opening import PARQUET_MAGIC
from landfall.validation.readers.pages import check_pages
from landfall.validation.streams import ByteSource

if TYPE_CHECKING:  # Polars takes longer to load than a small file to validate
    import polars as pl

MAX_FOOTER = 64 << 20
MAX_GROUP = 512 << 20
"""Most uncompressed bytes of a row group."""
MAX_CELLS = 64 << 20
"""Most values of a row group; a run of equal values takes almost no bytes in the file."""
FREE_EXPANSION = 128 << 20
"""Bytes that any file may have when it is read, however small it is."""
CELL = 8
"""Bytes that a value counts when it is read, besides those of a text."""
SCHEMA, ROWS, GROUPS = 2, 3, 4
COLUMNS, GROUP_ROWS, GROUP_OFFSET, _ORDINAL = 1, 3, 5, 7
AGAIN = "write the file again with a current Parquet writer and send it again"

TAIL = 8
"""Bytes after a footer: its length and the magic number."""
_CHUNK_OFFSET, _META, _CRYPTO = 2, 3, 8
_KEY_VALUES, _ENCRYPTION = 5, 8
_INDEXES = frozenset({4, 5, 6, 7})
_VALUES, _COMPRESSED, _DATA, _INDEX, _DICTIONARY, _BLOOM = 5, 7, 9, 10, 11, frozenset({14, 15})
_WIDTH, _NAME, _CHILDREN, _PATH = 2, 4, 5, 3

_ELEMENT = thrift.ThriftShape({_NAME: bytes}, {_WIDTH: int, _CHILDREN: int})
_PAGES = thrift.ThriftShape(
    {_PATH: [bytes], _VALUES: int, _COMPRESSED: int, _DATA: int}, {_INDEX: int, _DICTIONARY: int}
)
_CHUNK = thrift.ThriftShape({_META: _PAGES}, {_CHUNK_OFFSET: int})
_GROUP = thrift.ThriftShape({COLUMNS: [_CHUNK], GROUP_ROWS: int}, {GROUP_OFFSET: int})
_FOOTER = thrift.ThriftShape({SCHEMA: [_ELEMENT], ROWS: int, GROUPS: [_GROUP]})


def read_footer(source: ByteSource) -> thrift.Struct:
    """Read the footer of a file.

    Raises:
        Refusal: there is none, or it is damaged.
    """
    size = source.size
    tail = source.read(max(size - TAIL, 0), TAIL)
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != PARQUET_MAGIC or length > size - TAIL - len(PARQUET_MAGIC):
        raise Refusal("the Parquet file has no footer: it is cut off or damaged", AGAIN)
    if length > MAX_FOOTER:
        raise Refusal(f"the Parquet footer is larger than {MAX_FOOTER >> 20} MiB", AGAIN)
    try:
        footer = thrift.decode(source.read(size - TAIL - length, length))
        thrift.check(footer, _FOOTER)
        _check_counts(footer)
        _refuse_encrypted(footer)
        _check_names(footer)
    except ValueError as error:
        raise Refusal(f"the Parquet footer is damaged: {error}", AGAIN) from error
    return footer


def _check_counts(footer: thrift.Struct) -> None:
    """Check the counts of a footer: readers allocate memory by them."""
    for element in thrift.get(footer, SCHEMA).values:
        for field_id in (_WIDTH, _CHILDREN):
            if not 0 <= (thrift.get(element, field_id) or 0) <= MAX_FOOTER:
                raise ValueError("a column has an impossible width or number of children")
    for group in groups_of(footer):
        if thrift.get(group, GROUP_ROWS) < 0:
            raise ValueError("a row group has a negative number of rows")


def _refuse_encrypted(footer: thrift.Struct) -> None:
    chunks = (chunk for group in groups_of(footer) for chunk in thrift.get(group, COLUMNS).values)
    ids = {item.id for chunk in chunks for item in chunk}
    if _CRYPTO in ids or any(item.id == _ENCRYPTION for item in footer):
        raise encrypted()


def _check_names(footer: thrift.Struct) -> None:
    for group in groups_of(footer):
        for chunk in thrift.get(group, COLUMNS).values:
            _path(chunk)


class Expansion:
    """How large a file becomes when it is read. A run of equal values takes almost no bytes."""

    def __init__(self, size: int) -> None:
        """Begin with nothing; `size` is that of the file in bytes."""
        self._size = size
        self._bytes = 0

    def add(self, size: int) -> None:
        """Add bytes that were read, or that will be.

        Raises:
            Refusal: the file expands more than any that has that many different values.
        """
        self._bytes += size
        if self._bytes > FREE_EXPANSION and self._bytes > MAX_RATIO * self._size:
            raise Refusal(
                f"the Parquet file of {self._size} bytes expands more than {MAX_RATIO} times: to "
                f"{self._bytes >> 20} MiB or more",
                "check how it was written; if it really has so many equal values, send it as "
                f"several files of less than {FREE_EXPANSION >> 20} MiB each when expanded",
            )


def add_declared(footer: thrift.Struct, names: Collection[str], expansion: Expansion) -> None:
    """Add the values that the footer declares for columns of these names.

    Raises:
        Refusal: see `Expansion.add`.
    """
    wanted_names = {name.encode() for name in names}
    for group in groups_of(footer):
        for chunk in thrift.get(group, COLUMNS).values:
            if _path(chunk)[0] in wanted_names:
                expansion.add(CELL * thrift.get(thrift.get(chunk, _META), _VALUES))


def assemble(data: bytes, footer: thrift.Struct) -> bytes:
    """Return a complete file of pages and a footer."""
    return PARQUET_MAGIC + data + encoded_footer(footer)


def encoded_footer(footer: thrift.Struct) -> bytes:
    """Return a footer as it ends a file, with its length and the magic number."""
    encoded = thrift.encode(footer)
    return encoded + len(encoded).to_bytes(4, "little") + PARQUET_MAGIC


def group_elsewhere(group: thrift.Struct, by: int) -> thrift.Struct:
    """Return a row group whose pages stand `by` bytes later in another file."""
    moved = deepcopy([field for field in group if field.id not in (GROUP_OFFSET, _ORDINAL)])
    for chunk in thrift.get(moved, COLUMNS).values:
        _shift_offsets(chunk, -by)
    return moved


def without_groups(footer: thrift.Struct) -> thrift.Struct:
    """Return the footer of a file with the same columns and no rows."""
    empty = deepcopy(footer)
    thrift.put(empty, ROWS, 0)
    thrift.put(empty, GROUPS, thrift.Items(thrift.STRUCT, []))
    return empty


def schema_of(footer: thrift.Struct) -> pl.Schema:
    """Return the columns of a file with their types, as Polars reads them."""
    import polars as pl  # noqa: PLC0415 - see the type's import

    return pl.Schema(pl.read_parquet_schema(io.BytesIO(assemble(b"", without_groups(footer)))))


def without_metadata(footer: thrift.Struct) -> thrift.Struct:
    """Return the footer without what writers add for themselves, such as Arrow's schema."""
    return [field for field in footer if field.id != _KEY_VALUES]


def groups_of(footer: thrift.Struct) -> list[thrift.Struct]:
    """Return the row groups with rows; an empty one may have columns without an offset."""
    return [group for group in thrift.get(footer, GROUPS).values if thrift.get(group, GROUP_ROWS)]


def group_as_file(
    source: ByteSource, footer: thrift.Struct, group: thrift.Struct, names: Collection[str]
) -> bytes:
    """Return a row group as a file of its own, with checked pages in the columns of these names.

    Raises:
        Refusal: it is too large.
        ValueError: the footer or a page is inconsistent.
    """
    group = deepcopy(group)
    chunks = thrift.get(group, COLUMNS).values
    ranges = [_byte_range(chunk, source) for chunk in chunks]
    start, end = min(at for at, _ in ranges), max(at for _, at in ranges)
    data = _read(source, start, end)
    wanted_names = {name.encode() for name in names}
    size = _UncompressedSize(group, Expansion(source.size))
    for chunk, (begins, ends) in zip(chunks, ranges, strict=True):
        if _path(chunk)[0] in wanted_names:
            size.add(chunk, data[begins - start : ends - start])
        _shift_offsets(chunk, start - len(PARQUET_MAGIC))
    return assemble(data, _with_group(footer, group))


class _UncompressedSize:
    """Uncompressed size of the columns of a row group."""

    def __init__(self, group: thrift.Struct, expansion: Expansion | None = None) -> None:
        self._expansion = expansion
        self._rows: int = thrift.get(group, GROUP_ROWS)
        self._cells = 0
        self._bytes = 0

    def add(self, chunk: thrift.Struct, data: bytes) -> None:
        """Check the pages of a column chunk and add their size.

        Raises:
            Refusal: the row group is too large.
            ValueError: a page is inconsistent.
        """
        values = thrift.get(thrift.get(chunk, _META), _VALUES)
        if values < self._rows:
            raise ValueError(f"a column has {values} values in {self._rows} rows")
        self._cells += values
        if self._cells > MAX_CELLS:
            raise _too_large()
        size = check_pages(data, values)
        if self._expansion is not None:
            self._expansion.add(size)
        self._bytes += size
        if self._bytes > MAX_GROUP:
            raise _too_large()


def _read(source: ByteSource, start: int, end: int) -> bytes:
    if end - start > MAX_GROUP:
        raise _too_large()
    return source.read(start, end - start)


def _too_large() -> Refusal:
    """Return the refusal of a file with a row group that is too large."""
    return Refusal(
        f"a row group of the Parquet file is larger than {MAX_GROUP >> 20} MiB "
        f"or {MAX_CELLS >> 20} Mi values",
        "write smaller row groups, of a million rows at most",
    )


def select_columns(source: ByteSource, names: Sequence[str]) -> Iterator[bytes]:
    """Yield each row group as a file with only these columns; no others are read.

    Raises:
        Refusal: the footer cannot be read, or a row group is too large.
        ValueError: the file is nested, lacks a column, or is inconsistent.
    """
    footer = read_footer(source)
    root, *leaves = thrift.get(footer, SCHEMA).values
    if any(thrift.get(leaf, _CHILDREN) for leaf in leaves):
        raise ValueError("its columns are nested")
    by_name = {thrift.get(leaf, _NAME).decode(): leaf for leaf in leaves}
    if missing := [name for name in names if name not in by_name]:
        raise ValueError(f"it has no column {missing[0]!r}")
    kept = [leaf for leaf in leaves if thrift.get(leaf, _NAME).decode() in names]
    root = deepcopy(root)
    thrift.put(root, _CHILDREN, len(kept))
    schema_footer = [
        thrift.Field(field.id, field.type, thrift.Items(thrift.STRUCT, [root, *kept]))
        if field.id == SCHEMA
        else field
        for field in footer
    ]
    selected = {thrift.get(leaf, _NAME) for leaf in kept}
    for whole in groups_of(footer):
        group = deepcopy(whole)
        chunks = thrift.get(group, COLUMNS)
        chunks.values = [chunk for chunk in chunks.values if _path(chunk)[0] in selected]
        size = _UncompressedSize(group)
        data = bytearray()
        for chunk in chunks.values:
            start, end = _byte_range(chunk, source)
            pages = _read(source, start, end)
            size.add(chunk, pages)
            _shift_offsets(chunk, start - len(PARQUET_MAGIC) - len(data))
            data += pages
        yield assemble(bytes(data), _with_group(schema_footer, group))


def _path(chunk: thrift.Struct) -> list[bytes]:
    path: list[bytes] = thrift.get(thrift.get(chunk, _META), _PATH).values
    if not path:
        raise ValueError("a column chunk has no name")
    return path


def _byte_range(chunk: thrift.Struct, source: ByteSource) -> tuple[int, int]:
    """Return start and end of a column chunk in the file."""
    meta = thrift.get(chunk, _META)
    start = min(at for at in (thrift.get(meta, _DATA), thrift.get(meta, _DICTIONARY)) if at)
    end = start + thrift.get(meta, _COMPRESSED)
    if not 0 < start <= end <= source.size:
        raise ValueError("its offsets lie outside the file")
    return start, end


def _with_group(footer: thrift.Struct, group: thrift.Struct) -> thrift.Struct:
    """Return the footer with only this row group."""
    group[:] = [field for field in group if field.id != GROUP_OFFSET]
    rest = deepcopy([field for field in footer if field.id != GROUPS])
    groups = thrift.Field(GROUPS, thrift.LIST, thrift.Items(thrift.STRUCT, [group]))
    fields = sorted([*rest, groups], key=lambda field: field.id)
    thrift.put(fields, ROWS, thrift.get(group, GROUP_ROWS))
    return fields


def _shift_offsets(chunk: thrift.Struct, by: int) -> None:
    """Shift the offsets of a column chunk, and remove indexes that are not in the new file."""
    chunk[:] = [field for field in chunk if field.id not in _INDEXES]
    meta: Any = thrift.get(chunk, _META)
    meta[:] = [field for field in meta if field.id not in _BLOOM]
    for field_id in (_DATA, _INDEX, _DICTIONARY):
        offset = thrift.get(meta, field_id)
        if offset:
            thrift.put(meta, field_id, offset - by)
    thrift.put(chunk, _CHUNK_OFFSET, 0)


def frames(source: ByteSource, names: Sequence[str]) -> Iterator[pl.DataFrame]:
    """Yield these columns of a file as frames, one for each row group.

    Raises:
        ValueError: the file cannot be read, or lacks a column.
    """
    import polars as pl  # noqa: PLC0415 - see the type's import

    try:
        for data in select_columns(source, names):
            yield pl.read_parquet(io.BytesIO(data)).select(names)
    except Refusal as refusal:
        raise ValueError(refusal.problem.reason) from refusal
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, TypeError) as error:
        raise ValueError(str(error)) from error
