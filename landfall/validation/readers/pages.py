"""The pages of a Parquet column chunk, looked over before a reader believes their counts.

A reader makes room for as many values and bytes as a page says that it has. What is not so must
be found before: a process that asks for more memory than there is does not come back to tell.
Specification: parquet.thrift in Apache Parquet; the field numbers are from there.
"""

from landfall.validation.readers import thrift

_KIND, _UNPACKED, _PACKED = 1, 2, 3
_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_VALUES, _NULLS, _ROWS, _DEFINITIONS, _REPETITIONS = 1, 2, 3, 5, 6

_HEADER = thrift.ThriftShape({_KIND: int, _UNPACKED: int, _PACKED: int})
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
"""The field of a page's header that tells of its kind, and what is in it."""


def check_pages(data: bytes, values: int) -> int:
    """See that a column chunk holds so many values, by what its pages say of themselves.

    As readers do, pages behind the last value are not looked at.

    Returns:
        How many bytes its pages are when they are not compressed.

    Raises:
        ValueError: a page says what cannot be, or they end before the last value.
    """
    at = found = unpacked = 0
    while found < values:
        if at >= len(data):
            raise ValueError(f"its pages have {found} values, and {values} were promised")
        header, at = thrift.decode_at(data, at)
        thrift.check(header, _HEADER)
        size, packed = _count(header, _UNPACKED), _count(header, _PACKED)
        if packed > len(data) - at:
            raise ValueError("a page reaches beyond its column chunk")
        kind = thrift.get(header, _KIND)
        if kind in _OF_KIND:
            own = _own(header, kind)
            count = _count(own, _VALUES)
            if kind == _DICTIONARY:
                # A value of a dictionary takes a byte at least, or there is but one of it.
                if count > max(size, 1):
                    raise ValueError(f"a dictionary says that it has {count} values")
            else:
                found += count
            if kind == _DATA_V2:
                _check_levels(own, packed)
        at += packed
        unpacked += size
    if found > values:
        raise ValueError(f"its pages have {found} values, and {values} were promised")
    return unpacked


def _own(header: thrift.Struct, kind: int) -> thrift.Struct:
    field_id, shape = _OF_KIND[kind]
    thrift.check(header, thrift.ThriftShape({field_id: shape}))
    own: thrift.Struct = thrift.get(header, field_id)
    return own


def _check_levels(own: thrift.Struct, packed: int) -> None:
    """Levels of the second version stand uncompressed before the values."""
    if _count(own, _DEFINITIONS) + _count(own, _REPETITIONS) > packed:
        raise ValueError("the levels of a page are longer than it")
    if max(_count(own, _NULLS), _count(own, _ROWS)) > _count(own, _VALUES):
        raise ValueError("a page has more nulls or rows than values")


def _count(fields: thrift.Struct, field_id: int) -> int:
    found: int = thrift.get(fields, field_id)
    if found < 0:
        raise ValueError(f"a page says that it has {found} of something")
    return found
