"""Chooses the prefilter of a file: the compiled kernel, Polars, or none."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from landfall.contract.model import Hints
from landfall.validation.batches import FileShape, Prefilter
from landfall.validation.columns import Cells, Key
from landfall.validation.metrics import Metrics
from landfall.validation.prefilter import kernel
from landfall.validation.profile import Sketch, Slots
from landfall.validation.references import Reference

_LOG = logging.getLogger(__name__)


class PrefilterChoice(NamedTuple):
    """A prefilter (None: every record is validated) and the counter of distinct values."""

    prefilter: Prefilter | None
    sketch: Callable[[], Sketch]


def prefilter_of(
    reader: FileShape,
    hints: Hints,
    cells: Sequence[Cells],
    keys: Sequence[Key],
    *,
    metrics: Metrics,
    referring: Sequence[Reference],
    log_keys: bool = False,
) -> PrefilterChoice:
    """Return the fastest prefilter that supports this file and contract.

    With the kernel, `keys` use its key sets from now on, as far as it compares them. `referring`
    are the relationships whose other datasets are available. With `log_keys` keys are compared
    elsewhere, not by the kernel.
    """
    delimiter, quote = reader.format.delimiter, reader.format.quote or '"'
    if delimiter is None:
        return PrefilterChoice(None, Slots)
    reason = _unsupported_by_kernel(delimiter, quote, hints, cells)
    library = kernel.loaded() if reason is None else None
    if library is None:
        _LOG.debug("Polars prefilters: %s", reason or "there is no kernel, or it is off")
        # Imported only if there is no kernel: it loads Polars.
        from landfall.validation.prefilter.columnar import ColumnarPrefilter  # noqa: PLC0415

        polars = ColumnarPrefilter(reader.names, cells, keys, delimiter, quote, metrics=metrics)
        return PrefilterChoice(polars, Slots)
    # Imported only if the kernel is used.
    from landfall.validation.prefilter.kernel.scanning import KernelPrefilter  # noqa: PLC0415
    from landfall.validation.prefilter.kernel.sets import KernelSketch, SeenNumbers  # noqa: PLC0415

    _LOG.debug("the kernel prefilters")
    present = {column_cells.column.name for column_cells in cells}
    own = [key for key in keys if not log_keys and _is_compared_by_kernel(key, present)]
    foreign = [reference.key for reference in referring]
    whole = [key for key in foreign if key.whole_numbers and key.cells[0].position >= 0]
    for key in own:
        key.seen = SeenNumbers(library, whole_numbers=key.whole_numbers)
    others = [key for key in (*keys, *foreign) if key not in own and key not in whole]
    dialect = (len(reader.names), delimiter, quote)
    prefilter = KernelPrefilter(
        library, dialect, cells, [*own, *whole], others=others, metrics=metrics
    )
    return PrefilterChoice(prefilter, lambda: KernelSketch(library))


def _is_compared_by_kernel(key: Key, present: Collection[str]) -> bool:
    """Whether all parts of a key are texts or whole numbers that the file has."""
    return all(
        part.column.name in present and part.column.logical_type in kernel.KEYS
        for part in key.cells
    )


def _unsupported_by_kernel(
    delimiter: str, quote: str, hints: Hints, cells: Sequence[Cells]
) -> str | None:
    """Return why the kernel cannot prefilter; None if it can."""
    if not kernel.is_plain(delimiter, quote, hints.escape):
        return "the text is not in the kernel's dialect"
    if len(cells) > kernel.MOST_COLUMNS:
        return f"the contract has more than {kernel.MOST_COLUMNS} columns"
    return None
