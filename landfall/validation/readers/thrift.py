"""Decodes and encodes Thrift's compact protocol, as used in Parquet footers, without a schema.

A struct is a list of fields, each `Field(id, type, value)`; lists keep their element type. Encoding
a decoded struct gives the same bytes, so a footer can be changed without knowing all its fields.
Specification: thrift-compact-protocol.md in Apache Thrift.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TRUE, FALSE, I8, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
_LONG_LIST = 15
_MAX_DEPTH = 64


@dataclass
class Field:
    """One field of a struct."""

    id: int
    type: int
    value: Any


@dataclass
class Items:
    """A list or set: the type of its elements, and the elements."""

    type: int
    values: list[Any]


Struct = list[Field]
_WHOLE = frozenset({I16, I32, I64})


@dataclass(frozen=True)
class ThriftShape:
    """The expected kinds of a struct's fields by field id: `int`, `bytes`, a list or a struct.

    A list is written as a list of its element's kind, a struct as its shape. `optional` fields may
    be absent; other fields are not checked.
    """

    required: Mapping[int, Kind]
    optional: Mapping[int, Kind] = field(default_factory=dict)


Kind = type[int] | type[bytes] | list["Kind"] | ThriftShape


def check(fields: Struct, shape: ThriftShape) -> None:
    """Check that a struct has a shape.

    Raises:
        ValueError: a field is missing, or of another type.
    """
    present = {item.id for item in fields}
    if missing := sorted(shape.required.keys() - present):
        raise ValueError(f"a struct lacks its field {missing[0]}")
    kinds = {**shape.optional, **shape.required}
    for item in fields:
        if item.id in kinds:
            _check(item.type, item.value, kinds[item.id])


def _check(type_: int, value: Any, kind: Kind) -> None:
    if isinstance(kind, ThriftShape):
        fits = type_ == STRUCT
    elif isinstance(kind, list):
        fits = type_ in {LIST, SET}
    else:
        fits = type_ == BINARY if kind is bytes else type_ in _WHOLE
    if not fits:
        raise ValueError(f"a field has the wrong Thrift type {type_}")
    if isinstance(kind, ThriftShape):
        check(value, kind)
    elif isinstance(kind, list):
        for item in value.values:
            _check(value.type, item, kind[0])


def get(fields: Struct, field_id: int) -> Any:
    """Return the value of a field; None if it is absent."""
    for item in fields:
        if item.id == field_id:
            return item.value
    return None


def put(fields: Struct, field_id: int, value: Any) -> None:
    """Set the value of a field that is present."""
    for item in fields:
        if item.id == field_id:
            item.value = value


def decode(data: bytes) -> Struct:
    """Decode the struct at the beginning of `data`.

    Raises:
        ValueError: it is incomplete or malformed.
    """
    return decode_at(data, 0)[0]


def decode_at(data: bytes, at: int) -> tuple[Struct, int]:
    """Decode the struct at an offset of `data`; return it and the offset after it.

    Raises:
        ValueError: it is incomplete or malformed.
    """
    decoder = _Decoder(data, at)
    try:
        return decoder.struct(0), decoder.at
    except IndexError as error:
        raise ValueError("the Thrift data is incomplete") from error


class _Decoder:
    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self.at = at

    def struct(self, depth: int) -> Struct:
        if depth > _MAX_DEPTH:
            raise ValueError("the Thrift data is nested too deep")
        fields: Struct = []
        field_id = 0
        while (head := self._byte()) != 0:
            delta, kind = head >> 4, head & 15
            field_id = field_id + delta if delta else self._zigzag()
            fields.append(Field(field_id, kind, self._value(kind, depth)))
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        value: Any
        match kind:
            case 1 | 2:  # true and false: the type is the value
                value = None
            case 3:  # a byte
                value = self._byte()
            case 4 | 5 | 6:  # whole numbers of 16, 32 and 64 bits
                value = self._zigzag()
            case 7:  # a double, kept as it is
                value = self._take(8)
            case 8:  # binary and text
                value = self._take(self._varint())
            case 9 | 10:  # list and set
                value = self._items(depth)
            case 12:
                value = self.struct(depth + 1)
            case _:
                raise ValueError(f"Thrift type {kind} has no place in a Parquet footer")
        return value

    def _items(self, depth: int) -> Items:
        head = self._byte()
        size, kind = head >> 4, head & 15
        if size == _LONG_LIST:
            size = self._varint()
        if size > len(self._data):
            raise ValueError("a Thrift list is longer than the data")
        if kind in {TRUE, FALSE}:
            return Items(kind, [self._byte() for _ in range(size)])
        return Items(kind, [self._value(kind, depth + 1) for _ in range(size)])

    def _byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def _take(self, length: int) -> bytes:
        data = self._data[self.at : self.at + length]
        if len(data) != length:
            raise IndexError(length)
        self.at += length
        return data

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 64, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:  # noqa: PLR2004 - the continuation bit
                if value >> 64:
                    break
                return value
        raise ValueError("a Thrift number has more than 64 bits")

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)


def encode(fields: Struct) -> bytes:
    """Encode a struct; the inverse of `decode`."""
    out = bytearray()
    _write_struct(out, fields)
    return bytes(out)


def _write_struct(out: bytearray, fields: Struct) -> None:
    last = 0
    for item in fields:
        delta = item.id - last
        if 0 < delta <= 15:  # noqa: PLR2004 - what four bits hold
            out.append(delta << 4 | item.type)
        else:
            out.append(item.type)
            _write_varint(out, _zig(item.id))
        _write_value(out, item.type, item.value)
        last = item.id
    out.append(0)


def _write_value(out: bytearray, kind: int, value: Any) -> None:
    if kind == I8:
        out.append(value)
    elif kind in {I16, I32, I64}:
        _write_varint(out, _zig(value))
    elif kind == DOUBLE:
        out += value
    elif kind == BINARY:
        _write_varint(out, len(value))
        out += value
    elif kind in {LIST, SET}:
        _write_items(out, value)
    elif kind == STRUCT:
        _write_struct(out, value)


def _write_items(out: bytearray, items: Items) -> None:
    size = len(items.values)
    if size < _LONG_LIST:
        out.append(size << 4 | items.type)
    else:
        out.append(_LONG_LIST << 4 | items.type)
        _write_varint(out, size)
    for value in items.values:
        if items.type in {TRUE, FALSE}:
            out.append(value)
        else:
            _write_value(out, items.type, value)


def _zig(value: int) -> int:
    return (value << 1) ^ (value >> 63)


def _write_varint(out: bytearray, value: int) -> None:
    while value > 127:  # noqa: PLR2004 - what seven bits hold
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
