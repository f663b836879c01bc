"""The compiled prefilter of delimited text: optional, and no verdict depends on it.

The C files here are built into one shared library, for all versions of Python, by ``python -m
landfall.validation.prefilter.kernel``. Where it is there, whatever it can validate goes its way: it
takes a tenth of the time, and neither Polars nor numpy is loaded. Where it is not, where it was
built from other sources, or where `LANDFALL_KERNEL` is `off`, Polars screens.
"""

import os
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # loaded when it is asked for
    from landfall.validation.prefilter.kernel.library import Library

SWITCH = "LANDFALL_KERNEL"
"""Environment variable; `off` leaves the kernel alone."""
SMALLEST = 16 << 10
"""Bytes of a block from which on it is worth the loading."""
MOST_COLUMNS = 200
"""Of a contract; each may take some 200 KB of what is remembered, twice."""
KEYS = frozenset({"string", "integer"})
"""Logical types of columns that it can make keys of."""

_PLAIN = frozenset(chr(code) for code in range(1, 128)) - {"\r", "\n"}


def loaded() -> "Library | None":
    """The kernel, if it may be used and can be."""
    return None if os.environ.get(SWITCH) == "off" else _load_kernel()


@cache
def _load_kernel() -> "Library | None":
    from landfall.validation.prefilter.kernel.library import load  # noqa: PLC0415 - loads ctypes

    return load()


def is_plain(delimiter: str, quote: str, escape: str | None) -> bool:
    """Whether text is written in a way that the kernel reads: RFC 4180 in ASCII characters."""
    return delimiter in _PLAIN and quote in _PLAIN and delimiter != quote and escape is None
