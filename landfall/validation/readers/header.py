"""The first record of a delimited file against the contract: which columns stand where."""

import difflib
import re
from collections import Counter
from collections.abc import Sequence

from landfall.contract.model import Contract
from landfall.validation.problems import Refusal
from landfall.validation.report import Columns

DELIMITERS = (",", ";", "\t", "|")
"""What is tried where the contract names no delimiter, and suggested where it names another."""

_NO_BRONZE = re.compile(r"[\s,;{}()=\0-\x1f]|^$")
"""Names that Data Factory's Parquet does not take."""
_ALIKE, _MISSPELT = 0.6, 0.8
"""How like a header is that may be meant, and one that surely is; 1 is the same."""
_SHOWN = 60
_LISTED = 5


def choose_delimiter(line: str, contract: Contract) -> str:
    """The delimiter that brings out most of the contract's columns; the comma if none does."""
    return max(DELIMITERS, key=lambda d: _known(line.split(d), contract))


def check_header(names: Sequence[str], line: str, delimiter: str, contract: Contract) -> Columns:
    """Compare the header `line`, split into `names`, to the contract's columns.

    Raises:
        Refusal: as `check_columns`; or it has another delimiter, or is no header at all.
    """
    wanted = [column.name for column in contract.columns]
    if not set(wanted) <= set(names):
        _refuse_delimiter(names, line, delimiter, contract)
        if not set(names) & set(wanted) and nearest(wanted[0], names) is None:
            # It is a record, most likely, and may hold what must not be shown.
            shown = "" if any(c.masked for c in contract.columns) else f": {_short(line)!r}"
            raise Refusal(
                f"the first line is not the header of {contract.dataset}{shown}",
                f"put a header before the records: {_short(delimiter.join(wanted), 400)}",
                line=1,
            )
    return check_columns(names, contract)


def check_columns(names: Sequence[str], contract: Contract) -> Columns:
    """Compare the file's column `names` to the contract's.

    Raises:
        Refusal: a column is given twice, or the contract's policy does not allow the difference. A
            column that must have values cannot be missing under any policy.
    """
    wanted = [column.name for column in contract.columns]
    renamed, missing, frozen = _renamed(names, wanted, contract)
    if contract.drift.missing == "freeze" or len(missing) == len(wanted):
        frozen |= set(missing)
    needed = frozen | {column.name for column in contract.columns if column.required}
    if lacking := tuple(name for name in missing if name in needed):
        near = nearest(lacking[0], _unknown(names, wanted))
        hint = f"; the nearest header to {lacking[0]!r} is {near!r}" if near else ""
        raise MissingColumns(
            lacking,
            f"{_listed(lacking)} missing{hint}",
            f"rename {near!r} to {lacking[0]!r}" if near else f"add {_listed(lacking, verb=False)}",
        )
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise Refusal(
            f"the header has {twice[0]!r} more than once",
            "give each column a name of its own",
            line=1,
            column=twice[0],
        )
    known_as = {name: name for name in wanted} | {theirs: ours for ours, theirs in renamed.items()}
    extra = tuple(name for name in names if name not in known_as)
    kept = [known_as[name] for name in names if name in known_as]
    wanted = [name for name in wanted if name not in missing]
    if extra and contract.drift.extra == "freeze":
        raise Refusal(
            f"{_listed(extra)} not in the contract, which allows no further ones",
            "leave them out, or have them added to the contract",
            line=1,
            column=extra[0],
        )
    if kept != wanted and contract.drift.reordered == "freeze":
        raise Refusal(
            "the columns stand in another order than in the contract, which allows no other",
            f"put them in this order: {_short(', '.join(wanted), 400)}",
            line=1,
        )
    evolve = contract.drift.extra == "evolve"
    loaded = tuple(name for name in extra if _NO_BRONZE.search(name) is None) if evolve else ()
    return Columns(missing, extra, kept != wanted, renamed, loaded)


def _renamed(
    names: Sequence[str], wanted: Sequence[str], contract: Contract
) -> tuple[dict[str, str], tuple[str, ...], set[str]]:
    """What the file calls columns in other letters, what it lacks, and what of that is frozen."""
    policy = contract.drift.renamed
    missing = [name for name in wanted if name not in names]
    renamed: dict[str, str] = {}
    frozen: set[str] = set()
    for name in missing if policy != "discard" else ():
        alike = [one for one in _unknown(names, wanted) if _plain(one) == _plain(name) != ""]
        if len(alike) > 1:
            raise Refusal(
                f"column {name!r} may be any of {', '.join(map(repr, alike))}",
                f"call the one that is meant {name!r}",
                line=1,
                column=name,
            )
        if alike and policy == "evolve":
            renamed[name] = alike[0]
        elif policy == "freeze" and nearest(name, _unknown(names, wanted), _MISSPELT):
            frozen.add(name)
    return renamed, tuple(name for name in missing if name not in renamed), frozen


class MissingColumns(Refusal):
    """The refusal of a file that lacks columns; `missing` has all of them."""

    def __init__(self, missing: tuple[str, ...], reason: str, action: str) -> None:
        super().__init__(reason, action, line=1, column=missing[0])
        self.missing = missing


def nearest(name: str, candidates: Sequence[str], alike: float = _ALIKE) -> str | None:
    """The candidate most like `name`, letter case and separators aside; None if none is."""
    plain = {_plain(candidate): candidate for candidate in reversed(candidates)}
    found = difflib.get_close_matches(_plain(name), list(plain), n=1, cutoff=alike)
    return plain[found[0]] if found else None


def _unknown(names: Sequence[str], wanted: Sequence[str]) -> list[str]:
    return [name for name in names if name not in wanted]


def _refuse_delimiter(names: Sequence[str], line: str, delimiter: str, contract: Contract) -> None:
    other = choose_delimiter(line, contract)
    if _known(line.split(other), contract) > _known(names, contract):
        raise Refusal(
            f"the fields are delimited by {other!r}, the contract says {delimiter!r}",
            f"export the file with {delimiter!r} between the fields",
            line=1,
        )


def _known(names: Sequence[str], contract: Contract) -> int:
    wanted = {column.name for column in contract.columns}
    return len(wanted.intersection(name.strip("\"'\r") for name in names))


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
