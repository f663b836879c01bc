"""The values of a block as a frame: the kernel's Arrow columns, without a copy.

They are passed by Arrow's C data interface, in the capsules that its PyCapsule protocol names.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import polars as pl

from landfall.validation.columns import Cells
from landfall.validation.prefilter.kernel.library import ARRAY_BYTES, SCHEMA_BYTES, Library
from landfall.validation.typed import value_series, value_type

_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype = ctypes.py_object
_new_capsule.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)


class _Exported:
    """An Arrow array of a structure that the kernel gave away; it can be imported once."""

    def __init__(self, library: Library, scanner: int) -> None:
        self._schema = (ctypes.c_char * SCHEMA_BYTES)()
        self._array = (ctypes.c_char * ARRAY_BYTES)()
        self._functions = library.functions
        if not self._functions.lf_values(scanner, self._schema, self._array):
            raise MemoryError

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[Any, Any]:
        """Return schema and array; the consumer takes what they hold."""
        del requested_schema
        return (
            _new_capsule(ctypes.addressof(self._schema), b"arrow_schema", None),
            _new_capsule(ctypes.addressof(self._array), b"arrow_array", None),
        )

    def release(self) -> None:
        """Free what was not taken."""
        self._functions.lf_release_values(self._schema, self._array)


def values_of(library: Library, scanner: int, cells: Sequence[Cells]) -> pl.DataFrame:
    """Return the values of these columns, named by their positions, from the kernel's last block.

    Their types are those of `typed.value_type`; the values of candidates are undefined.
    """
    exported = _Exported(library, scanner)
    try:
        frame = pl.DataFrame(exported)
    finally:
        exported.release()
    return pl.DataFrame(
        [_typed(column_cells, frame[str(column_cells.position)]) for column_cells in cells]
    )


def _typed(cells: Cells, values: pl.Series) -> pl.Series:
    """Return the values of a column; what Python validated is text that was not cleaned."""
    if values.dtype == pl.String and (
        cells.column.logical_type != "string" or cells.column.cleaning.case is not None
    ):
        return value_series(cells.column, values).alias(values.name)
    return values.cast(value_type(cells.column))
