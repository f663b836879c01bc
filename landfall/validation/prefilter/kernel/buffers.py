"""Output buffers of the kernel, with one number for each record, reused for all blocks."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from landfall.validation.columns import Key


class ScanBuffers:
    """Buffers for `size` records."""

    def __init__(self, size: int, keys: Sequence[Key]) -> None:
        self.size = size
        self._places = [(ctypes.c_uint32 * size)() for _ in range(3)]
        self._flags = (ctypes.c_uint8 * size)()
        self._keys = [
            (
                (ctypes.c_int64 * size)(),
                None if key.whole_numbers else (ctypes.c_int64 * size)(),
                (ctypes.c_uint8 * size)(),
            )
            for key in keys
        ]

    def pointers(self, keys: Any) -> tuple[Any, ...]:
        """Return the buffers as arguments of `lf_begin`; set those of the `keys`."""
        for key, (first, second, absent) in zip(keys, self._keys, strict=True):
            key.first = ctypes.addressof(first)
            key.second = None if second is None else ctypes.addressof(second)
            key.absent = ctypes.addressof(absent)
        return (*self._places, self._flags, self.size)

    def places(self, rows: int) -> list[Any]:
        """Return copies of the starts, ends and lines of the records."""
        return [_copy(ctypes.c_uint32, buffer, rows) for buffer in self._places]

    def numbers(self, rows: int) -> list[tuple[Any, Any, Any]]:
        """Return copies of the numbers of keys: first hash, second hash if any, flags of no key."""
        return [
            (
                _copy(ctypes.c_int64, first, rows),
                None if second is None else _copy(ctypes.c_int64, second, rows),
                _copy(ctypes.c_uint8, absent, rows),
            )
            for first, second, absent in self._keys
        ]

    def candidates(self, rows: int) -> list[int]:
        """Return the flagged records, ascending."""
        flags, flagged, at = bytes(memoryview(self._flags)[:rows]), [], -1
        while (at := flags.find(b"\1", at + 1)) >= 0:
            flagged.append(at)
        return flagged


def _copy(kind: Any, array: Any, rows: int) -> Any:
    return (kind * rows).from_buffer_copy(array)
