"""Checks the page headers of a Parquet column chunk before it is read.

A Parquet reader allocates memory by the counts in the page headers. Wrong counts must be found
before: a process that allocates too much memory is killed.
Specification: parquet.thrift in Apache Parquet; the field numbers are from there.
"""

from __future__ import annotations

import zlib

from landfall.validation.readers import thrift

_KIND, _UNPACKED, _PACKED, _CHECKSUM = 1, 2, 3, 4
_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_VALUES, _NULLS, _ROWS, _DEFINITIONS, _REPETITIONS = 1, 2, 3, 5, 6

_HEADER = thrift.ThriftShape({_KIND: int, _UNPACKED: int, _PACKED: int}, {_CHECKSUM: int})
_BITS_32 = 0xFFFFFFFF
_OF_KIND = {
    _DATA: (5, thrift.ThriftShape({_VALUES: int})),
    _DICTIONARY: (7, thrift.ThriftShape({_VALUES: int})),
    _DATA_V2: (
        8,
        thrift.ThriftShape(
            {_VALUES: int, _NULLS: int, _ROWS: int, _DEFINITIONS: int, _REPETITIONS: int}
        ),
    ),
}
"""Field id and shape of the header part of each kind of page."""


def check_pages(data: bytes, values: int) -> int:
    """Check that the pages of a column chunk have `values` values.

    Pages after the last value are not checked, because readers skip them too.

    Returns:
        Uncompressed size of the pages in bytes.

    Raises:
        ValueError: a page is inconsistent, or the pages have too few values.
    """
    at = counted = unpacked = 0
    while counted < values:
        if at >= len(data):
            raise ValueError(f"its pages have {counted} values, not {values}")
        header, at = thrift.decode_at(data, at)
        thrift.check(header, _HEADER)
        size, packed = _count(header, _UNPACKED), _count(header, _PACKED)
        if packed > len(data) - at:
            raise ValueError("a page reaches beyond its column chunk")
        checksum = thrift.get(header, _CHECKSUM)  # signed, and optional
        if checksum is not None and zlib.crc32(data[at : at + packed]) != checksum & _BITS_32:
            raise ValueError("a page is not what its checksum says: the file was damaged")
        kind = thrift.get(header, _KIND)
        if kind in _OF_KIND:
            own = _kind_header(header, kind)
            count = _count(own, _VALUES)
            if kind == _DICTIONARY:
                # Each value of a dictionary takes at least one byte, except a single empty one.
                if count > max(size, 1):
                    raise ValueError(f"a dictionary says that it has {count} values")
            else:
                counted += count
            if kind == _DATA_V2:
                _check_levels(own, packed)
        at += packed
        unpacked += size
    if counted > values:
        raise ValueError(f"its pages have {counted} values, not {values}")
    return unpacked


def _kind_header(header: thrift.Struct, kind: int) -> thrift.Struct:
    field_id, shape = _OF_KIND[kind]
    thrift.check(header, thrift.ThriftShape({field_id: shape}))
    own: thrift.Struct = thrift.get(header, field_id)
    return own


def _check_levels(own: thrift.Struct, packed: int) -> None:
    """Check the levels of a data page V2, which are uncompressed before the values."""
    if _count(own, _DEFINITIONS) + _count(own, _REPETITIONS) > packed:
        raise ValueError("the levels of a page are longer than it")
    if max(_count(own, _NULLS), _count(own, _ROWS)) > _count(own, _VALUES):
        raise ValueError("a page has more nulls or rows than values")


def _count(fields: thrift.Struct, field_id: int) -> int:
    count: int = thrift.get(fields, field_id)
    if count < 0:
        raise ValueError(f"a page has a negative count: {count}")
    return count
