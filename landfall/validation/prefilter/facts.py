"""What a prefilter tells of the records that it lets pass, for their profile."""

from typing import Any, NamedTuple


class Fact(NamedTuple):
    """What a profile takes from a block about one column, candidates aside.

    `distinct` has values of the block; `hashes` stand for others, which are too many to be
    listed, in the form that the profile's sketch takes. Values told before may be left out.
    """

    nulls: int
    least: Any
    most: Any
    distinct: list[Any] | None
    hashes: Any = None
