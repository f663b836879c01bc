"""What is mended between bronze and silver: rules as data, per dataset, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Plain, tab, line ends, no-break, narrow no-break, ideographic space, zero-width no-break (BOM).
WHITESPACE = " \t\r\n\u00a0\u202f\u3000\ufeff"


@dataclass(frozen=True)
class NullWhere:
    """A value of one column that stands for "not known"."""

    column: str
    value: int | str
    reason: str


RULES: Mapping[str, Sequence[NullWhere]] = {
    "users": (
        NullWhere(
            "daysSinceLastLogin",
            737028,
            "days from year 0 to the extract: the source's way to say that nobody ever logged in",
        ),
    ),
}


def rules_of(dataset: str) -> Sequence[NullWhere]:
    """The rules of a dataset; none where it has none of its own."""
    return RULES.get(dataset, ())
