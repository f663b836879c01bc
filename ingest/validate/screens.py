"""Which screen stands in front of the judge: the compiled kernel, Polars, or none."""

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ingest.contract.model import Hints
from ingest.validate import kernel
from ingest.validate.batches import Reader, Screen
from ingest.validate.columns import Cells, Key
from ingest.validate.measures import Gauges
from ingest.validate.profile import Sketch, Slots
from ingest.validate.references import Reference
from ingest.validate.screening import Screening

_LOG = logging.getLogger(__name__)


class Found(NamedTuple):
    """A screen, None where every record is judged, and what counts distinct values beside it."""

    screen: Screen | None
    sketch: Callable[[], Sketch]


def screen_of(
    reader: Reader,
    hints: Hints,
    cells: Sequence[Cells],
    keys: Sequence[Key],
    *,
    gauges: Gauges,
    referring: Sequence[Reference],
) -> Found:
    """The fastest screen that can judge this file by this contract.

    With the kernel, ``keys`` are from now on seen by it; ``referring`` are the relationships whose
    other datasets are at hand.
    """
    delimiter, quote = reader.format.delimiter, reader.format.quote or '"'
    if delimiter is None:
        return Found(None, Slots)
    foreign = [reference.key for reference in referring]
    why = _not_for_the_kernel(delimiter, quote, hints, cells, [*keys, *foreign])
    if not all(key.whole_numbers for key in foreign):
        why = "the contract refers to other datasets, and not by one whole number"
    elif gauges.needed or gauges.summed:
        why = "the contract has conditions"
    library = kernel.loaded() if why is None else None
    if library is None:
        _LOG.debug("Polars screens: %s", why or "there is no kernel, or it is off")
        screening = Screening(reader.names, cells, keys, delimiter, quote, gauges=gauges)
        return Found(screening, Slots)
    # Loaded where there is a kernel to load.
    from ingest.validate.kernel.scanning import Scanning  # noqa: PLC0415
    from ingest.validate.kernel.sets import KernelSketch, SeenNumbers  # noqa: PLC0415

    _LOG.debug("the kernel screens")
    for key in keys:
        key.seen = SeenNumbers(library, whole_numbers=key.whole_numbers)
    scanning = Scanning(library, (len(reader.names), delimiter, quote), cells, [*keys, *foreign])
    return Found(scanning, lambda: KernelSketch(library))


def _not_for_the_kernel(
    delimiter: str, quote: str, hints: Hints, cells: Sequence[Cells], keys: Sequence[Key]
) -> str | None:
    """Why the kernel cannot screen; None if it can."""
    if not kernel.is_plain(delimiter, quote, hints.escape):
        return "the text is not in the kernel's dialect"
    if len(cells) > kernel.MOST_COLUMNS:
        return f"the contract has more than {kernel.MOST_COLUMNS} columns"
    present = {one.column.name for one in cells}
    for key in keys:
        for part in key.cells:
            if part.column.name not in present or part.column.logical_type not in kernel.KEYS:
                return f"a key has {part.column.name}, which is not text or whole numbers"
    return None
