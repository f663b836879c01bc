"""Loads the kernel with ctypes: its functions and structures, documented in `kernel.h`."""

from __future__ import annotations

import ctypes
import logging
import os
from ctypes import (
    POINTER,
    Structure,
    c_char_p,
    c_double,
    c_int,
    c_int32,
    c_int64,
    c_uint8,
    c_uint16,
    c_uint32,
    c_uint64,
    c_void_p,
)
from pathlib import Path

from landfall.validation.prefilter.kernel.sources import PATH, sources_hash

_LOG = logging.getLogger(__name__)

ASK, INTEGER, NUMBER, TEXT, MOMENT, BOOLEAN = range(6)
"""How the kernel validates the cells of a column."""


NONE, RECASE, SEPARATORS = range(3)
"""How the characters of a cell are changed before it is validated."""


(
    STORE_NOTHING,
    STORE_INTEGER,
    STORE_DOUBLE,
    STORE_BOOLEAN,
    STORE_DAY,
    STORE_INSTANT,
    STORE_CLOCK,
    STORE_TEXT,
) = range(8)
"""How the values of a column are stored, if they are."""
SCHEMA_BYTES, ARRAY_BYTES = 72, 80
"""Sizes of the structures of Arrow's C data interface."""


class Words(Structure):
    """Some texts."""

    _fields_ = (
        ("count", c_int64),
        ("lengths", c_uint64),
        ("texts", c_char_p),
        ("sizes", POINTER(c_uint32)),
    )


class Ref(Structure):
    """Offset and length of a cell."""

    _fields_ = (("at", c_uint64), ("length", c_uint64))


class KernelColumn(Structure):
    """One column: its checks, then its facts of a block."""

    _fields_ = (
        ("position", c_int32),
        ("kind", c_int32),
        ("required", c_int32),
        ("moment", c_int32),
        ("layout", c_char_p),
        ("low", c_int64),
        ("high", c_int64),
        ("least", c_double),
        ("most", c_double),
        ("trim", c_int32),
        ("rewrite", c_int32),
        ("cases", POINTER(c_uint16)),
        ("decimal", c_char_p),
        ("thousands", c_char_p),
        ("missing", Words),
        ("yes", Words),
        ("no", Words),
        ("divisor", c_int64),
        ("allowed_count", c_int64),
        ("allowed", POINTER(c_int64)),
        ("store", c_int32),
        ("scale", c_int32),
        ("nulls", c_int64),
        ("any", c_int64),
        ("low_found", c_int64),
        ("high_found", c_int64),
        ("least_found", c_double),
        ("most_found", c_double),
        ("first_found", Ref),
        ("last_found", Ref),
        ("fresh", c_int64),
        ("hashes", c_int64),
        ("integers", POINTER(c_int64)),
        ("texts", POINTER(Ref)),
        ("hash", c_void_p),
    )


class KeyColumns(Structure):
    """One key: its columns, and the buffers for the numbers of each record."""

    _fields_ = (
        ("parts", c_int32),
        ("whole_number", c_int32),
        ("columns", POINTER(c_int32)),
        ("integers", POINTER(c_int32)),
        ("first", c_void_p),
        ("second", c_void_p),
        ("absent", c_void_p),
    )


_FUNCTIONS = {
    "lf_whole": (c_uint64, (c_char_p, c_uint64, c_uint8, c_uint8)),
    "lf_newlines": (c_uint64, (c_char_p, c_uint64)),
    "lf_scanner_new": (
        c_void_p,
        (c_void_p, c_void_p, c_uint64, c_void_p, c_uint64, c_uint64, c_uint8, c_uint8),
    ),
    "lf_scanner_free": (None, (c_void_p,)),
    "lf_begin": (
        c_int,
        (c_void_p, c_char_p, c_uint64, c_void_p, c_void_p, c_void_p, c_void_p, c_uint64),
    ),
    "lf_scan": (c_int, (c_void_p,)),
    "lf_questions": (c_uint64, (c_void_p, POINTER(POINTER(c_int64)))),
    "lf_records": (c_uint64, (c_void_p,)),
    "lf_scratch": (c_void_p, (c_void_p,)),
    "lf_values": (c_int, (c_void_p, c_void_p, c_void_p)),
    "lf_release_values": (None, (c_void_p, c_void_p)),
    "lf_answer": (None, (c_void_p, c_char_p)),
    "lf_seen_new": (c_void_p, (c_void_p, c_int)),
    "lf_seen_free": (None, (c_void_p,)),
    "lf_seen_count": (c_uint64, (c_void_p,)),
    "lf_seen_take": (
        c_int64,
        (c_void_p, c_void_p, c_void_p, c_void_p, c_uint64, c_void_p),
    ),
    "lf_keys_of_texts": (
        None,
        (c_void_p, c_char_p, c_void_p, c_uint64, c_void_p, c_void_p),
    ),
    "lf_sketch_new": (c_void_p, ()),
    "lf_sketch_free": (None, (c_void_p,)),
    "lf_sketch_add": (None, (c_void_p, c_char_p, c_uint64)),
    "lf_sketch_add_integers": (None, (c_void_p, c_void_p, c_uint64)),
    "lf_sketch_add_texts": (None, (c_void_p, c_char_p, c_void_p, c_uint64)),
    "lf_sketch_read": (None, (c_void_p, c_void_p)),
}


class Library:
    """The loaded kernel; `secret` is random, so that a file cannot provoke hash collisions."""

    def __init__(self, path: Path) -> None:
        self.functions = ctypes.CDLL(str(path))
        built_from = self.functions.lf_built_from
        built_from.restype = c_char_p
        self.built_from = built_from().decode()
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(self.functions, name)
            function.restype = result
            function.argtypes = arguments
        self.secret = (c_uint64 * 4).from_buffer_copy(os.urandom(32))

    def whole(self, block: bytes, delimiter: str, quote: str) -> int:
        """Return the start of the first incomplete record of `block`, or the block's length."""
        offset: int = self.functions.lf_whole(block, len(block), ord(delimiter), ord(quote))
        return offset

    def newlines(self, block: bytes, end: int) -> int:
        """Return the number of line ends before `end`."""
        count: int = self.functions.lf_newlines(block, min(end, len(block)))
        return count


def load(path: Path = PATH) -> Library | None:
    """Load the library at `path`; return None and log why if it is absent or outdated."""
    if not path.exists():
        _LOG.debug("no kernel at %s: Polars prefilters", path)
        return None
    try:
        library = Library(path)
    except (OSError, AttributeError) as error:
        _LOG.warning("the kernel at %s cannot be loaded, Polars prefilters: %s", path, error)
        return None
    current = sources_hash()
    if current and library.built_from != current:
        _LOG.warning(
            "the kernel at %s was built from other sources, Polars prefilters: install anew", path
        )
        return None
    return library
