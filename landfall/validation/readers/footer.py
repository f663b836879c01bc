"""The footer of a Parquet file: read by its range, cut down, and put behind other bytes.

Specification: parquet.thrift in Apache Parquet; the field numbers are from there.
"""

import io
from collections.abc import Collection, Iterator, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from landfall.validation.problems import Refusal
from landfall.validation.readers import thrift
from landfall.validation.readers.opening import PARQUET_MAGIC
from landfall.validation.readers.pages import check_pages
from landfall.validation.streams import ByteSource

if TYPE_CHECKING:  # Polars takes longer to load than a small file to validate
    import polars as pl

MAX_FOOTER = 64 << 20
MAX_GROUP = 512 << 20
"""Uncompressed bytes of a row group that are held at once."""
MAX_CELLS = 64 << 20
"""Values of a row group that are held at once: a run of like ones takes no bytes in the file."""
SCHEMA, ROWS, GROUPS = 2, 3, 4
COLUMNS, GROUP_ROWS, GROUP_OFFSET = 1, 3, 5
AGAIN = "write the file again, with a Parquet writer of today, and send it whole"

_TAIL = 8
_CHUNK_OFFSET, _META = 2, 3
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
    """The footer of a file.

    Raises:
        Refusal: there is none, or it is damaged.
    """
    size = source.size
    tail = source.read(max(size - _TAIL, 0), _TAIL)
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != PARQUET_MAGIC or length > size - _TAIL - len(PARQUET_MAGIC):
        raise Refusal("the Parquet file has no footer: it is cut off or damaged", AGAIN)
    if length > MAX_FOOTER:
        raise Refusal(f"the Parquet footer is larger than {MAX_FOOTER >> 20} MiB", AGAIN)
    try:
        footer = thrift.decode(source.read(size - _TAIL - length, length))
        thrift.check(footer, _FOOTER)
        _check_counts(footer)
    except ValueError as error:
        raise Refusal(f"the Parquet footer is damaged: {error}", AGAIN) from error
    return footer


def _check_counts(footer: thrift.Struct) -> None:
    """Readers make room for what a footer counts."""
    for element in thrift.get(footer, SCHEMA).values:
        for field_id in (_WIDTH, _CHILDREN):
            if not 0 <= (thrift.get(element, field_id) or 0) <= MAX_FOOTER:
                raise ValueError("a column has a width or a number of children that cannot be")
    for group in groups_of(footer):
        if thrift.get(group, GROUP_ROWS) < 0:
            raise ValueError("a row group has fewer than no rows")


def assembled(data: bytes, footer: thrift.Struct) -> bytes:
    """A whole file of some pages and a footer."""
    encoded = thrift.encode(footer)
    length = len(encoded).to_bytes(4, "little")
    return PARQUET_MAGIC + data + encoded + length + PARQUET_MAGIC


def without_groups(footer: thrift.Struct) -> thrift.Struct:
    """The footer of a file of the same columns that has no rows."""
    empty = deepcopy(footer)
    thrift.put(empty, ROWS, 0)
    thrift.put(empty, GROUPS, thrift.Items(thrift.STRUCT, []))
    return empty


def groups_of(footer: thrift.Struct) -> list[thrift.Struct]:
    """Its row groups. Some writers leave one without rows, whose columns may have no place."""
    return [group for group in thrift.get(footer, GROUPS).values if thrift.get(group, GROUP_ROWS)]


def alone(
    source: ByteSource, footer: thrift.Struct, group: thrift.Struct, names: Collection[str]
) -> bytes:
    """One row group as a file of its own, sound in the columns of these names.

    Raises:
        Refusal: it is too large.
        ValueError: what the footer or a page says of it cannot be.
    """
    group = deepcopy(group)
    chunks = thrift.get(group, COLUMNS).values
    places = [_place(chunk, source) for chunk in chunks]
    start, end = min(at for at, _ in places), max(at for _, at in places)
    data = _read(source, start, end)
    wanted = {name.encode() for name in names}
    room = _Room(group)
    for chunk, (begins, ends) in zip(chunks, places, strict=True):
        if _path(chunk)[0] in wanted:
            room.take(chunk, data[begins - start : ends - start])
        _move(chunk, start - len(PARQUET_MAGIC))
    return assembled(data, _with_group(footer, group))


class _Room:
    """What the columns of a row group take when they are unpacked."""

    def __init__(self, group: thrift.Struct) -> None:
        self._rows: int = thrift.get(group, GROUP_ROWS)
        self._cells = 0
        self._bytes = 0

    def take(self, chunk: thrift.Struct, data: bytes) -> None:
        """Look a column chunk over and make room for it.

        Raises:
            Refusal: it is one too many.
            ValueError: a page says what cannot be.
        """
        values = thrift.get(thrift.get(chunk, _META), _VALUES)
        if values < self._rows:
            raise ValueError(f"a column has {values} values in {self._rows} rows")
        self._cells += values
        if self._cells > MAX_CELLS:
            raise _too_large()
        self._bytes += check_pages(data, values)
        if self._bytes > MAX_GROUP:
            raise _too_large()


def _read(source: ByteSource, start: int, end: int) -> bytes:
    if end - start > MAX_GROUP:
        raise _too_large()
    return source.read(start, end - start)


def _too_large() -> Refusal:
    """A row group cannot be held at once."""
    return Refusal(
        f"a row group of the Parquet file is larger than {MAX_GROUP >> 20} MiB "
        f"or {MAX_CELLS >> 20} Mi values",
        "write smaller row groups, of a million rows at most",
    )


def narrowed(source: ByteSource, names: Sequence[str]) -> Iterator[bytes]:
    """Each row group as a file of its own that has these columns alone; only they are read.

    Raises:
        Refusal: the footer cannot be read, or a row group is too large.
        ValueError: it is not flat, lacks one of them, or is inconsistent.
    """
    footer = read_footer(source)
    root, *leaves = thrift.get(footer, SCHEMA).values
    if any(thrift.get(leaf, _CHILDREN) for leaf in leaves):
        raise ValueError("its columns are nested")
    by_name = {thrift.get(leaf, _NAME).decode(): leaf for leaf in leaves}
    if lacking := [name for name in names if name not in by_name]:
        raise ValueError(f"it has no column {lacking[0]!r}")
    kept = [leaf for leaf in leaves if thrift.get(leaf, _NAME).decode() in names]
    root = deepcopy(root)
    thrift.put(root, _CHILDREN, len(kept))
    narrow = [
        thrift.Field(field.id, field.type, thrift.Items(thrift.STRUCT, [root, *kept]))
        if field.id == SCHEMA
        else field
        for field in footer
    ]
    wanted = {thrift.get(leaf, _NAME) for leaf in kept}
    for whole in groups_of(footer):
        group = deepcopy(whole)
        chunks = thrift.get(group, COLUMNS)
        chunks.values = [chunk for chunk in chunks.values if _path(chunk)[0] in wanted]
        room = _Room(group)
        data = bytearray()
        for chunk in chunks.values:
            start, end = _place(chunk, source)
            pages = _read(source, start, end)
            room.take(chunk, pages)
            _move(chunk, start - len(PARQUET_MAGIC) - len(data))
            data += pages
        yield assembled(bytes(data), _with_group(narrow, group))


def _path(chunk: thrift.Struct) -> list[bytes]:
    path: list[bytes] = thrift.get(thrift.get(chunk, _META), _PATH).values
    if not path:
        raise ValueError("a column chunk has no name")
    return path


def _place(chunk: thrift.Struct, source: ByteSource) -> tuple[int, int]:
    """Where a column chunk begins and ends in the file."""
    meta = thrift.get(chunk, _META)
    start = min(at for at in (thrift.get(meta, _DATA), thrift.get(meta, _DICTIONARY)) if at)
    end = start + thrift.get(meta, _COMPRESSED)
    if not 0 < start <= end <= source.size:
        raise ValueError("its offsets lie outside the file")
    return start, end


def _with_group(footer: thrift.Struct, group: thrift.Struct) -> thrift.Struct:
    """The footer with this one row group."""
    group[:] = [field for field in group if field.id != GROUP_OFFSET]
    rest = deepcopy([field for field in footer if field.id != GROUPS])
    groups = thrift.Field(GROUPS, thrift.LIST, thrift.Items(thrift.STRUCT, [group]))
    found = sorted([*rest, groups], key=lambda field: field.id)
    thrift.put(found, ROWS, thrift.get(group, GROUP_ROWS))
    return found


def _move(chunk: thrift.Struct, by: int) -> None:
    """Shift the offsets of a column chunk and forget the indexes that lie elsewhere."""
    chunk[:] = [field for field in chunk if field.id not in _INDEXES]
    meta: Any = thrift.get(chunk, _META)
    meta[:] = [field for field in meta if field.id not in _BLOOM]
    for field_id in (_DATA, _INDEX, _DICTIONARY):
        offset = thrift.get(meta, field_id)
        if offset:
            thrift.put(meta, field_id, offset - by)
    thrift.put(chunk, _CHUNK_OFFSET, 0)


def frames(source: ByteSource, names: Sequence[str]) -> "Iterator[pl.DataFrame]":
    """These columns of a file, row group by row group; nothing else of it is read.

    Raises:
        ValueError: it cannot be read, or lacks one of them.
    """
    import polars as pl  # noqa: PLC0415 - see the type's import

    try:
        for data in narrowed(source, names):
            yield pl.read_parquet(io.BytesIO(data)).select(names)
    except Refusal as refusal:
        raise ValueError(refusal.problem.reason) from refusal
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, TypeError) as error:
        raise ValueError(str(error)) from error
