"""Compares the columns of a file to the contract's, by the policies of drift."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Sequence

from landfall.contract.columns import NOT_IN_NAMES
from landfall.contract.model import Contract
from landfall.validation.problems import Refusal
from landfall.validation.report import Columns

DELIMITERS = (",", ";", "\t", "|")
"""Delimiters that are tried if the contract names none, and suggested if it names another."""

_NO_BRONZE = re.compile(rf"{NOT_IN_NAMES.pattern}|^$|^_")
"""Names that a column of bronze cannot have."""
_VALUE = re.compile(r"[\s\d.,:/+-]*|[^@\s]+@[^@\s]+")
"""What a header has no name like: nothing, a number, a date, an address."""
_SIMILAR, _VERY_SIMILAR = 0.6, 0.8
"""Similarity of a header that may be meant, and of one that surely is; 1 is equal."""
_SHOWN = 60
_LISTED = 5


def choose_delimiter(line: str, contract: Contract) -> str:
    """Return the delimiter that gives most of the contract's columns; a comma if none does."""
    return max(DELIMITERS, key=lambda d: _known(line.split(d), contract))


def delimiter_of_width(line: str, width: int) -> str | None:
    """Return the one delimiter that cuts a line into so many fields; None if none or several do."""
    fitting = [delimiter for delimiter in DELIMITERS if line.count(delimiter) == width - 1]
    return fitting[0] if len(fitting) == 1 else None


def check_header(names: Sequence[str], line: str, delimiter: str, contract: Contract) -> Columns:
    """Compare the header `line`, split into `names`, to the contract's columns.

    Raises:
        Refusal: as `check_columns`; or it has another delimiter, or is not a header.
    """
    expected = [column.source for column in contract.columns]
    if not set(expected) <= set(names):
        _refuse_delimiter(names, line, delimiter, contract)
        if not set(names) & set(expected) and nearest(expected[0], names) is None:
            # It is most likely a record, and may have values that must not be shown.
            shown = "" if any(c.masked for c in contract.columns) else f": {_short(line)!r}"
            wanted = _short(delimiter.join(expected), 400)
            if not any(_VALUE.fullmatch(name) for name in names):
                raise Refusal(
                    f"none of the {len(expected)} columns of {contract.dataset} is in the first "
                    f"line{shown}",
                    "if it is a header, the file is of another dataset; else put a header before "
                    f"the records: {wanted}",
                    line=1,
                )
            raise Refusal(
                f"the first line is not the header of {contract.dataset}{shown}",
                f"put a header before the records: {wanted}",
                line=1,
            )
    return check_columns(names, contract)


def check_columns(names: Sequence[str], contract: Contract) -> Columns:
    """Compare the file's column names to the contract's.

    Raises:
        Refusal: a column is given twice, or the contract's policy does not allow the difference. No
            policy allows a required column to be missing.
    """
    expected = [column.name for column in contract.columns]
    given_names = names
    physical = {column.source: column.name for column in contract.columns if column.physical_name}
    names = [physical.get(name, name) for name in names]
    renamed, missing, frozen = _renamed(names, expected, contract)
    if contract.drift.missing == "freeze" or len(missing) == len(expected):
        frozen |= set(missing)
    needed = frozen | {column.name for column in contract.columns if column.required}
    if required_missing := tuple(
        contract.column(name).source for name in missing if name in needed
    ):
        near = nearest(required_missing[0], _unknown(names, expected))
        hint = f"; the nearest header to {required_missing[0]!r} is {near!r}" if near else ""
        raise MissingColumns(
            required_missing,
            f"{_listed(required_missing)} missing{hint}",
            f"rename {near!r} to {required_missing[0]!r}"
            if near
            else f"add {_listed(required_missing, verb=False)}",
        )
    counts = Counter(names)
    if twice := [name for name in expected if counts[name] > 1]:
        raise Refusal(
            f"the header has {twice[0]!r} more than once",
            "give each column a unique name",
            line=1,
            column=twice[0],
        )
    renamed |= {
        name: given
        for given, name in zip(given_names, names, strict=True)
        if given in physical and given != name
    }
    names = given_names
    known_as = {name: name for name in expected} | {
        given: expected_name for expected_name, given in renamed.items()
    }
    extra = tuple(name for name in names if name not in known_as)
    kept = [known_as[name] for name in names if name in known_as]
    expected = [name for name in expected if name not in missing]
    if extra and contract.drift.extra == "freeze":
        raise Refusal(
            f"{_listed(extra)} not in the contract, which does not allow extra columns",
            "remove them, or add them to the contract",
            line=1,
            column=extra[0],
        )
    if kept != expected and contract.drift.reordered == "freeze":
        raise Refusal(
            "the columns are in another order than in the contract, which does not allow this",
            f"put them in this order: {_short(', '.join(expected), 400)}",
            line=1,
        )
    evolve = contract.drift.extra == "evolve"
    loaded = _loadable(extra, contract) if evolve else ()
    return Columns(missing, extra, kept != expected, renamed, loaded)


def _loadable(extra: Sequence[str], contract: Contract) -> tuple[str, ...]:
    """Return the extra columns with a name that bronze can have and that is no other's."""
    taken = {column.name.casefold() for column in contract.columns}
    counts = Counter(name.casefold() for name in extra)
    return tuple(
        name
        for name in extra
        if not _NO_BRONZE.search(name)
        and name.casefold() not in taken
        and counts[name.casefold()] == 1
    )


def _renamed(
    names: Sequence[str], expected: Sequence[str], contract: Contract
) -> tuple[dict[str, str], tuple[str, ...], set[str]]:
    """Return the renamed columns, the missing ones, and which of these are frozen."""
    policy = contract.drift.renamed
    missing = [name for name in expected if name not in names]
    renamed: dict[str, str] = {}
    frozen: set[str] = set()
    for name in missing if policy != "discard" else ():
        similar = [
            other for other in _unknown(names, expected) if _plain(other) == _plain(name) != ""
        ]
        if len(similar) > 1:
            raise Refusal(
                f"column {name!r} may be any of {', '.join(map(repr, similar))}",
                f"rename the right one to {name!r}",
                line=1,
                column=name,
            )
        if similar and policy == "evolve":
            renamed[name] = similar[0]
        elif policy == "freeze" and nearest(name, _unknown(names, expected), _VERY_SIMILAR):
            frozen.add(name)
    return renamed, tuple(name for name in missing if name not in renamed), frozen


class MissingColumns(Refusal):
    """The file lacks columns; `missing` has all of them."""

    def __init__(self, missing: tuple[str, ...], reason: str, action: str) -> None:
        super().__init__(reason, action, line=1, column=missing[0])
        self.missing = missing


def nearest(name: str, candidates: Sequence[str], cutoff: float = _SIMILAR) -> str | None:
    """Return the most similar candidate, ignoring case and separators; None if none is similar."""
    plain = {_plain(candidate): candidate for candidate in reversed(candidates)}
    matches = difflib.get_close_matches(_plain(name), list(plain), n=1, cutoff=cutoff)
    return plain[matches[0]] if matches else None


def _unknown(names: Sequence[str], expected: Sequence[str]) -> list[str]:
    return [name for name in names if name not in expected]


def _refuse_delimiter(names: Sequence[str], line: str, delimiter: str, contract: Contract) -> None:
    other = choose_delimiter(line, contract)
    if _known(line.split(other), contract) > _known(names, contract):
        raise Refusal(
            f"the fields are delimited by {other!r}, the contract says {delimiter!r}",
            f"export the file with {delimiter!r} between the fields",
            line=1,
        )


def _known(names: Sequence[str], contract: Contract) -> int:
    expected = {column.source for column in contract.columns}
    return len(expected.intersection(name.strip("\"'\r") for name in names))


def _listed(names: Sequence[str], *, verb: bool = True) -> str:
    if len(names) == 1:
        return f"column {names[0]!r}" + (" is" if verb else "")
    shown = ", ".join(repr(name) for name in names[:_LISTED])
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"columns {shown}{more}" + (" are" if verb else "")


def _plain(name: str) -> str:
    return "".join(char for char in name.casefold() if char.isalnum())


def _short(text: str, limit: int = _SHOWN) -> str:
    return text if len(text) <= limit else text[:limit] + "..."
