"""Arrays that the kernel writes into, a number each record: used again for block after block."""

import ctypes
from collections.abc import Sequence
from typing import Any

from landfall.validation.columns import Key


class Room:
    """Room for what is said of so many records."""

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
        """What `lf_begin` is given; the `keys` are told where their numbers go."""
        for key, (first, second, absent) in zip(keys, self._keys, strict=True):
            key.first = ctypes.addressof(first)
            key.second = None if second is None else ctypes.addressof(second)
            key.absent = ctypes.addressof(absent)
        return (*self._places, self._flags, self.size)

    def places(self, rows: int) -> list[Any]:
        """A copy of where records begin and end, and of their lines."""
        return [_copy(ctypes.c_uint32, one, rows) for one in self._places]

    def numbers(self, rows: int) -> list[tuple[Any, Any, Any]]:
        """A copy of the numbers of keys: first, second if there is one, whether it is none."""
        return [
            (
                _copy(ctypes.c_int64, first, rows),
                None if second is None else _copy(ctypes.c_int64, second, rows),
                _copy(ctypes.c_uint8, absent, rows),
            )
            for first, second, absent in self._keys
        ]

    def candidates(self, rows: int) -> list[int]:
        """Records that are flagged, ascending."""
        flags, found, at = bytes(memoryview(self._flags)[:rows]), [], -1
        while (at := flags.find(b"\1", at + 1)) >= 0:
            found.append(at)
        return found


def _copy(kind: Any, array: Any, rows: int) -> Any:
    return (kind * rows).from_buffer_copy(array)
