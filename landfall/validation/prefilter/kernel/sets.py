"""Sets of numbers in the kernel: the keys seen so far, and a sketch of distinct values."""

import ctypes
import weakref
from array import array
from collections.abc import Hashable, Sequence
from typing import Any

from landfall.validation.prefilter.kernel.library import Library


class SeenNumbers:
    """As `keys.Seen`: the keys of all records so far, whole numbers or text.

    Text stands as two hashes of 64 bits under secrets drawn for this process.
    """

    def __init__(self, library: Library, *, whole_numbers: bool) -> None:
        self._library = library
        self._whole_numbers = whole_numbers
        made = library.functions.lf_seen_new(library.secret, int(whole_numbers))
        if not made:
            raise MemoryError
        self._set = made
        weakref.finalize(self, library.functions.lf_seen_free, made)

    def repeated(self, keys: Sequence[Hashable]) -> list[int]:
        """Positions in `keys` whose key was seen before, in this call or an earlier one."""
        first, second, absent = self.numbers(keys)
        return self.repeated_numbers(first, second, absent, len(keys))

    def numbers(self, keys: Sequence[Any]) -> tuple[Any, Any, Any]:
        """Keys as the numbers that stand for them, and flags where one is none (None)."""
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
        """The same of keys that are numbers already."""
        again = (ctypes.c_uint32 * count)()
        found = self._library.functions.lf_seen_take(self._set, first, second, absent, count, again)
        if found < 0:
            raise MemoryError
        return again[:found]

    def __len__(self) -> int:
        return int(self._library.functions.lf_seen_count(self._set))


class KernelSketch:
    """How many different values there are, by their hashes: see `profile.Distinct`."""

    def __init__(self, library: Library) -> None:
        self._functions = library.functions
        made = self._functions.lf_sketch_new()
        if not made:
            raise MemoryError
        self._sketch = made
        weakref.finalize(self, self._functions.lf_sketch_free, made)

    def add(self, values: Sequence[Any]) -> None:
        """Take values in, all of them whole numbers or all of them text."""
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
        """Take in hashes of values, 8 bytes each, as the kernel reports them."""
        self._functions.lf_sketch_add(self._sketch, hashes, len(hashes) // 8)

    def state(self) -> tuple[int, int, int]:
        """Slots taken, hashes kept, and the limit below which they lie."""
        found = (ctypes.c_uint64 * 3)()
        self._functions.lf_sketch_read(self._sketch, found)
        return found[0], found[1], found[2]


def _lengths(texts: Sequence[bytes]) -> "array[int]":
    return array("Q", map(len, texts))
