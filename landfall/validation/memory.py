"""Gives freed memory back to the system.

The allocator of glibc keeps what threads freed in pieces between live ones: over a long file some
100 MB would gather that nobody uses. Giving it back costs 4 ms.
"""

import ctypes
from collections.abc import Callable
from functools import cache


def give_back() -> None:
    """Give back what can be given, where the C library knows how."""
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> "Callable[[int], object] | None":
    try:
        found: Callable[[int], object] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    except (OSError, TypeError):  # Windows has no such thing as the program's own library
        return None
    return found
