"""Names that are not there, with the one that may be meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_ALIKE = 0.6
_LISTED = 8


def meant(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about a name: the nearest known one, or which there are."""
    names = {other.casefold(): other for other in known}
    near = difflib.get_close_matches(name.casefold(), list(names), n=1, cutoff=_ALIKE)
    if near:
        return f"; did you mean {names[near[0]]!r}?"
    listed = list(names.values())
    more = f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
    return f"; there are: {', '.join(listed[:_LISTED])}{more}"
