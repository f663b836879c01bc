"""Facts about the records that a prefilter passes, for the profile."""

from __future__ import annotations

from typing import Any, NamedTuple


class Fact(NamedTuple):
    """Facts about one column of a block, without the candidates.

    `distinct` has values of the block; `hashes` stand for values that are too many to be listed, in
    the form of the profile's sketch. Values of earlier blocks may be omitted.
    """

    nulls: int
    least: Any
    most: Any
    distinct: list[Any] | None
    hashes: Any = None
