"""Compiles columns and keys of a contract for the kernel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from ctypes import c_int32, c_int64, c_uint16, c_uint32
from fractions import Fraction
from functools import cache
from typing import Any

from landfall.contract.cleaning import CASES
from landfall.contract.domains import EXACT
from landfall.contract.formats import NUMBERS
from landfall.contract.model import Column
from landfall.validation.columns import Cells, Key
from landfall.validation.prefilter.kernel import moments
from landfall.validation.prefilter.kernel.library import (
    ASK,
    BOOLEAN,
    INTEGER,
    MOMENT,
    NUMBER,
    RECASE,
    SEPARATORS,
    STORE_BOOLEAN,
    STORE_CLOCK,
    STORE_DAY,
    STORE_DOUBLE,
    STORE_INSTANT,
    STORE_INTEGER,
    STORE_TEXT,
    TEXT,
    KernelColumn,
    KeyColumns,
    Words,
)
from landfall.validation.rules import whole_range

_WIDEST = 2**63 - 1
_MOST_SCALE = 9
"""Most digits after the point of numbers that are multiples of something."""
_DOUBLE_DIGITS = 15
"""A double keeps this many decimal digits."""
_STORES = {INTEGER: STORE_INTEGER, NUMBER: STORE_DOUBLE, BOOLEAN: STORE_BOOLEAN}
_FIRST_HALF, _LAST_HALF = "\ud800", "\udfff"
_SIGMA = "\u03a3"
"""A letter whose lower case depends on whether it is the last one of its word."""


def program(cells: Cells, *, in_key: bool, stored: bool) -> KernelColumn:
    """Compile cleaning and checks of a column; `ASK` if only Python can validate its cells.

    `in_key` tells whether a key has the column, `stored` whether its values are kept.
    """
    compiled = _checks(cells)
    _add_cleaning(compiled, cells.column, rewrites=in_key or compiled.kind != ASK)
    if stored:
        compiled.store = _STORES.get(compiled.kind, STORE_TEXT)
        if cells.column.decimal is not None:
            compiled.store = STORE_TEXT
        if compiled.kind == MOMENT:
            compiled.store = (STORE_DAY, STORE_INSTANT, STORE_CLOCK)[compiled.moment]
    return compiled


def _add_cleaning(compiled: KernelColumn, column: Column, *, rewrites: bool) -> None:
    """Add how cells are cleaned; where nothing `rewrites` them their characters stay."""
    cleaning = column.cleaning
    compiled.trim = int(cleaning.trim)
    compiled.missing = _words(cleaning.missing)
    if not rewrites:
        return
    if cleaning.case is not None:
        compiled.rewrite = RECASE
        compiled.cases = _cases(cleaning.case)
    elif cleaning.separated:
        compiled.rewrite = SEPARATORS
        compiled.decimal = cleaning.decimal.encode()
        compiled.thousands = (cleaning.thousands or "").encode()


def _words(said: Sequence[str]) -> Words:
    """Return texts for the kernel, without those that no valid cell can have."""
    texts = [
        text.encode()
        for text in said
        if text and not any(char == "\0" or _FIRST_HALF <= char <= _LAST_HALF for char in text)
    ]
    lengths = 0
    for text in texts:
        lengths |= 1 << min(len(text), 63)
    sizes = (c_uint32 * len(texts))(*map(len, texts))
    return Words(count=len(texts), lengths=lengths, texts=b"".join(texts), sizes=sizes)


@cache
def _cases(case: str) -> Any:
    """Return what each character of 16 bits becomes; 0 where only Python knows.

    That is where it becomes several characters or one of more bytes, and where it depends on what
    is around it.
    """
    table = (c_uint16 * (1 << 16))()
    recase = CASES[case]
    for code in range(1, 1 << 16):
        char = chr(code)
        if _FIRST_HALF <= char <= _LAST_HALF or char == _SIGMA:
            continue
        other = recase(char)
        if len(other) == 1 and len(other.encode()) <= len(char.encode()):
            table[code] = ord(other)
    return table


def _checks(cells: Cells) -> KernelColumn:
    column = cells.column
    compiled = KernelColumn(position=cells.position, kind=ASK, required=int(column.required))
    if column.logical_type == "integer" and _add_integers(compiled, column):
        return compiled
    if column.enum or column.pattern is not None:
        return compiled
    if column.logical_type == "boolean":
        compiled.kind = BOOLEAN
        compiled.yes = _words(column.cleaning.true_values)
        compiled.no = _words(column.cleaning.false_values)
    elif column.logical_type == "number":
        bounds = _bounds(column)
        if bounds is not None and _add_digits(compiled, column):
            compiled.kind = NUMBER
            compiled.least, compiled.most = bounds
    elif column.logical_type in moments.KINDS:
        if (layout := moments.layout(column)) is not None:
            compiled.kind, compiled.moment = MOMENT, moments.KINDS.index(column.logical_type)
            compiled.layout = layout
            compiled.low, compiled.high = moments.bounds(column)
    elif column.logical_type == "string" and column.format is None:
        compiled.kind = TEXT
        compiled.low = min(column.min_length or 0, _WIDEST)
        compiled.high = _WIDEST if column.max_length is None else min(column.max_length, _WIDEST)
    return compiled


def _add_integers(compiled: KernelColumn, column: Column) -> bool:
    """Add the checks of integers; return whether the kernel can make all of them."""
    divisor = 0
    if column.multiple_of is not None:
        # A whole number is a multiple of a fraction in lowest terms if its numerator divides it.
        divisor = Fraction(column.multiple_of).numerator
        if divisor > _WIDEST:
            return False
    allowed = sorted({value for value in column.enum if -_WIDEST <= value <= _WIDEST})
    if column.enum and not (allowed and all(type(value) is int for value in column.enum)):
        return False
    low, high = whole_range(column)
    compiled.kind, compiled.divisor = INTEGER, divisor
    compiled.low, compiled.high = (low, high) if low <= high else (1, 0)
    if allowed:
        compiled.allowed_count = len(allowed)
        compiled.allowed = (c_int64 * len(allowed))(*allowed)
    return True


def _add_digits(compiled: KernelColumn, column: Column) -> bool:
    """Add what numbers are multiples of, and the scale of decimals; return whether it is possible.

    A number with few digits after the point is a whole number of the smallest of these digits, and
    so is what it is a multiple of. Of any other number the kernel is not sure.
    """
    if column.decimal is None and column.multiple_of is None:
        return True
    scales = range(_MOST_SCALE + 1)
    if column.decimal is not None:
        precision, scale = column.decimal
        # The text of a decimal is stored, and read again as the contract says; its extremes are
        # found as doubles.
        if precision > _DOUBLE_DIGITS or column.cleaning.separated:
            return False
        scales = range(scale, scale + 1)
    unit = Fraction(column.multiple_of or 0)
    for scale in scales:
        whole = unit * 10**scale if unit else Fraction(1)
        if whole.denominator == 1 and whole.numerator <= _WIDEST:
            compiled.scale, compiled.divisor = scale, whole.numerator
            return True
    return False


def _bounds(column: Column) -> tuple[float, float] | None:
    """Return the smallest and the largest valid number; None if a double cannot hold a bound."""
    limit = NUMBERS[column.format or "f64"]
    # From there on a double may not keep the digits of a number.
    low, high = float(1 - EXACT), float(EXACT - 1)
    for bound in (
        column.minimum,
        column.maximum,
        column.exclusive_minimum,
        column.exclusive_maximum,
    ):
        if bound is not None and (abs(bound) > limit or float(bound) != bound):
            return None
    if column.minimum is not None:
        low = max(low, float(column.minimum))
    if column.exclusive_minimum is not None:
        low = max(low, math.nextafter(float(column.exclusive_minimum), math.inf))
    if column.maximum is not None:
        high = min(high, float(column.maximum))
    if column.exclusive_maximum is not None:
        high = min(high, math.nextafter(float(column.exclusive_maximum), -math.inf))
    if column.decimal is not None:
        precision, scale = column.decimal
        beyond = float(10 ** (precision - scale))
        low = max(low, math.nextafter(-beyond, math.inf))
        high = min(high, math.nextafter(beyond, -math.inf))
    return low, high


def key_columns(key: Key, present: Sequence[Cells]) -> KeyColumns:
    """Compile a key; `present` are the columns that the kernel has."""
    at = {column_cells.column.name: index for index, column_cells in enumerate(present)}
    parts = len(key.cells)
    return KeyColumns(
        parts=parts,
        whole_number=int(key.whole_numbers),
        columns=_integers([at[part.column.name] for part in key.cells]),
        integers=_integers([part.column.logical_type == "integer" for part in key.cells]),
    )


def _integers(values: Sequence[int]) -> Any:
    return (c_int32 * len(values))(*values)
