"""What the kernel is told of each column and key of a file, or that it cannot validate them."""

import math
from collections.abc import Sequence
from ctypes import c_int32
from typing import Any

from landfall.contract.formats import NUMBERS
from landfall.contract.model import Column as Said
from landfall.validation.columns import Cells, Key
from landfall.validation.prefilter.kernel import moments
from landfall.validation.prefilter.kernel.library import (
    ASK,
    INTEGER,
    MOMENT,
    NUMBER,
    TEXT,
    KernelColumn,
    KeyColumns,
)
from landfall.validation.rules import whole_range

_WIDEST = 2**63 - 1


def program(cells: Cells) -> KernelColumn:
    """What one column's cells are asked; `ASK` where only Python can say."""
    said = cells.column
    made = KernelColumn(position=cells.position, kind=ASK, required=int(said.required))
    if said.enum or said.multiple_of is not None or said.pattern is not None:
        return made
    if said.logical_type == "integer":
        low, high = whole_range(said)
        made.kind = INTEGER
        made.low, made.high = (low, high) if low <= high else (1, 0)
    elif said.logical_type == "number":
        bounds = _bounds(said)
        if bounds is not None:
            made.kind = NUMBER
            made.least, made.most = bounds
    elif said.logical_type in moments.KINDS:
        if (layout := moments.layout(said)) is not None:
            made.kind, made.moment = MOMENT, moments.KINDS.index(said.logical_type)
            made.layout = layout
            made.low, made.high = moments.bounds(said)
    elif said.logical_type == "string" and said.format is None:
        made.kind = TEXT
        made.low = min(said.min_length or 0, _WIDEST)
        made.high = _WIDEST if said.max_length is None else min(said.max_length, _WIDEST)
    return made


def _bounds(said: Said) -> tuple[float, float] | None:
    """The smallest and the largest sound number; None if a bound is none that a double has."""
    limit = NUMBERS[said.format or "f64"]
    low, high = -limit, limit
    for bound in (said.minimum, said.maximum, said.exclusive_minimum, said.exclusive_maximum):
        if bound is not None and (abs(bound) > limit or float(bound) != bound):
            return None
    if said.minimum is not None:
        low = max(low, float(said.minimum))
    if said.exclusive_minimum is not None:
        low = max(low, math.nextafter(float(said.exclusive_minimum), math.inf))
    if said.maximum is not None:
        high = min(high, float(said.maximum))
    if said.exclusive_maximum is not None:
        high = min(high, math.nextafter(float(said.exclusive_maximum), -math.inf))
    return low, high


def key_columns(key: Key, present: Sequence[Cells]) -> KeyColumns:
    """One key as the kernel is told of it; `present` are the columns it is told of."""
    at = {one.column.name: index for index, one in enumerate(present)}
    parts = len(key.cells)
    return KeyColumns(
        parts=parts,
        whole_number=int(key.whole_numbers),
        columns=_integers([at[part.column.name] for part in key.cells]),
        integers=_integers([part.column.logical_type == "integer" for part in key.cells]),
    )


def _integers(values: Sequence[int]) -> Any:
    return (c_int32 * len(values))(*values)
