"""The compiled prefilter of delimited text. It is optional: no verdict depends on it.

Where there is a C compiler, the package is built with one shared library of the C files here, for
all versions of Python. If it is present, it prefilters every file that it supports: it takes a
tenth of the time, and neither Polars nor numpy is loaded. If it is absent or was built from other
sources, or if `LANDFALL_KERNEL` is `off`, Polars prefilters.
"""

import os
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # loaded on first use
    from landfall.validation.prefilter.kernel.library import Library

SWITCH = "LANDFALL_KERNEL"
"""Environment variable; `off` disables the kernel."""
SMALLEST = 16 << 10
"""Bytes from which on a block is prefiltered by the kernel."""
MOST_COLUMNS = 200
"""Most columns of a contract; each may take some 200 KB of cache, twice."""
KEYS = frozenset({"string", "integer"})
"""Logical types of key columns that the kernel supports."""

_PLAIN = frozenset(chr(code) for code in range(1, 128)) - {"\r", "\n"}


def loaded() -> "Library | None":
    """Return the kernel; None if it is disabled or not available."""
    return None if os.environ.get(SWITCH) == "off" else _load_kernel()


@cache
def _load_kernel() -> "Library | None":
    from landfall.validation.prefilter.kernel.library import load  # noqa: PLC0415 - loads ctypes

    return load()


def is_plain(delimiter: str, quote: str, escape: str | None) -> bool:
    """Whether the kernel can read text of this dialect: RFC 4180 with ASCII characters."""
    return delimiter in _PLAIN and quote in _PLAIN and delimiter != quote and escape is None
