"""Key sets and the sketch of distinct values of the kernel."""

from __future__ import annotations

import ctypes
import weakref
from array import array
from collections.abc import Hashable, Sequence
from typing import Any

from landfall.validation.prefilter.kernel.library import Library


class SeenNumbers:
    """The keys of all records so far, integers or text; as `keys.Seen`.

    A text key is two hashes of 64 bits with random secrets of this process.
    """

    def __init__(self, library: Library, *, whole_numbers: bool) -> None:
        self._library = library
        self._whole_numbers = whole_numbers
        handle = library.functions.lf_seen_new(library.secret, int(whole_numbers))
        if not handle:
            raise MemoryError
        self._set = handle
        weakref.finalize(self, library.functions.lf_seen_free, handle)

    def repeated(self, keys: Sequence[Hashable]) -> list[int]:
        """Return positions in `keys` whose key was seen before, in this call or an earlier one."""
        first, second, absent = self.numbers(keys)
        return self.repeated_numbers(first, second, absent, len(keys))

    def numbers(self, keys: Sequence[Any]) -> tuple[Any, Any, Any]:
        """Return keys as numbers, and flags where there is no key."""
        absent = (ctypes.c_uint8 * len(keys))(*(key is None for key in keys))
        if self._whole_numbers:
            return (
                (ctypes.c_int64 * len(keys))(*(0 if key is None else key for key in keys)),
                None,
                absent,
            )
        texts = [b"" if key is None else key.encode() for key in keys]
        first, second = (ctypes.c_int64 * len(keys))(), (ctypes.c_int64 * len(keys))()
        lengths = _lengths(texts)
        self._library.functions.lf_keys_of_texts(
            self._library.secret,
            b"".join(texts),
            lengths.buffer_info()[0],
            len(keys),
            first,
            second,
        )
        return first, second, absent

    def repeated_numbers(self, first: Any, second: Any, absent: Any, count: int) -> list[int]:
        """Return the same as `repeated` for keys that are numbers already."""
        duplicates = (ctypes.c_uint32 * count)()
        number_of_duplicates = self._library.functions.lf_seen_take(
            self._set, first, second, absent, count, duplicates
        )
        if number_of_duplicates < 0:
            raise MemoryError
        return duplicates[:number_of_duplicates]

    def __len__(self) -> int:
        return int(self._library.functions.lf_seen_count(self._set))


class KernelSketch:
    """Estimates the number of distinct values by their hashes; see `profile.Distinct`."""

    def __init__(self, library: Library) -> None:
        self._functions = library.functions
        handle = self._functions.lf_sketch_new()
        if not handle:
            raise MemoryError
        self._sketch = handle
        weakref.finalize(self, self._functions.lf_sketch_free, handle)

    def add(self, values: Sequence[Any]) -> None:
        """Add values, either all integers or all text."""
        if not values:
            return
        if isinstance(values[0], int):
            numbers = array("q", values)
            self._functions.lf_sketch_add_integers(
                self._sketch, numbers.buffer_info()[0], len(numbers)
            )
            return
        texts = [value.encode("utf-8", "surrogateescape") for value in values]
        lengths = _lengths(texts)
        self._functions.lf_sketch_add_texts(
            self._sketch, b"".join(texts), lengths.buffer_info()[0], len(texts)
        )

    def add_hashes(self, hashes: bytes) -> None:
        """Add hashes of values, 8 bytes each, as the kernel returns them."""
        self._functions.lf_sketch_add(self._sketch, hashes, len(hashes) // 8)

    def state(self) -> tuple[int, int, int]:
        """Return the slots taken, the hashes kept, and the limit below which they are."""
        state = (ctypes.c_uint64 * 3)()
        self._functions.lf_sketch_read(self._sketch, state)
        return state[0], state[1], state[2]


def _lengths(texts: Sequence[bytes]) -> array[int]:
    return array("Q", map(len, texts))
