"""Cleaning of texts that the contract asks for, before types, rules and keys are checked.

    trim                  white space at both ends is cut off
    missingValues         texts that stand for a missing value, compared after trimming
    case                  letters become `upper` or `lower` case (text columns)
    decimalSeparator      the character before a fraction (numbers)
    thousandsSeparator    the character between groups of three digits (numbers)
    currencySigns         texts of which one may stand before or after the number (numbers)
    trueValues            texts that stand for true; falseValues for false (booleans)

Each is a custom property of a column, or of the contract for all columns that it can apply to.
Without one a text is its value, character by character.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it imports the model, which has a cleaning for each column
    from landfall.contract.reader import Node

WHITE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\u200b\ufeff"
)
"""What `trim` cuts off: Unicode's white space, zero width space and byte order mark."""

CLEANING = frozenset(
    {
        "case",
        "currencySigns",
        "decimalSeparator",
        "falseValues",
        "missingValues",
        "thousandsSeparator",
        "trim",
        "trueValues",
    }
)
"""Names of the custom properties."""
_OF_TYPE = {
    "case": ("string",),
    "currencySigns": ("integer", "number"),
    "decimalSeparator": ("integer", "number"),
    "thousandsSeparator": ("integer", "number"),
    "trueValues": ("boolean",),
    "falseValues": ("boolean",),
}
"""Logical types that a property applies to; those not listed apply to all."""
CASES: dict[str, Callable[[str], str]] = {"upper": str.upper, "lower": str.lower}
"""Functions of `case` by name."""
_THOUSANDS = (".", ",", "'", "\u2019", " ", "\xa0", "\u202f", "_")
_DECIMALS = (".", ",", "\u066b")


@dataclass(frozen=True)
class Cleaning:
    """How the texts of one column are cleaned."""

    trim: bool = False
    missing: tuple[str, ...] = ()
    case: str | None = None
    decimal: str = "."
    thousands: str | None = None
    currency: tuple[str, ...] = ()
    true_values: tuple[str, ...] = ("true", "True", "TRUE")
    false_values: tuple[str, ...] = ("false", "False", "FALSE")

    @property
    def changes(self) -> bool:
        """Whether a cell may have another meaning than its own characters."""
        return bool(self.trim or self.missing or self.case or self.separated)

    @property
    def separated(self) -> bool:
        """Whether numbers are written otherwise than with digits and a point."""
        return self.decimal != "." or self.thousands is not None or bool(self.currency)

    def cleaner(self) -> Callable[[str], str | None]:
        """Return the function from a cell to its clean text, None where there is no value.

        It raises ValueError for a number that is not written with the separators.
        """
        missing = frozenset(self.missing)
        recase = CASES.get(self.case or "")
        numbers = self._numbers()

        def clean(cell: str) -> str | None:
            if self.trim:
                cell = cell.strip(WHITE)
            if not cell or cell in missing:
                return None
            if recase is not None:
                return recase(cell)
            return cell if numbers is None else numbers(cell)

        return clean

    def _numbers(self) -> Callable[[str], str] | None:
        """Return the function from a number to the same with a point and no groups."""
        if not self.separated:
            return None
        point = re.escape(self.decimal)
        whole = r"[0-9]+"
        if self.thousands is not None:
            whole = rf"(?:[0-9]{{1,3}}(?:{re.escape(self.thousands)}[0-9]{{3}})+|[0-9]+)"
        sign = "|".join(re.escape(text) for text in sorted(self.currency, key=len, reverse=True))
        before, after = (rf"(?:(?:{sign})[ \xa0\u202f]?)?", rf"(?:[ \xa0\u202f]?(?:{sign}))?")
        if not self.currency:
            before = after = ""
        number = rf"({whole})(?:{point}([0-9]+))?((?:[eE][+-]?[0-9]+)?)"
        # The minus may stand before the sign or behind it: -$5, $-5.
        form = re.compile(rf"(-?){before}(-?){number}{after}")

        def plain(cell: str) -> str:
            match = form.fullmatch(cell)
            if match is None:
                raise ValueError(cell)  # with a point it might read as another number
            outer, inner, digits, fraction, exponent = match.groups()
            if outer and inner:
                raise ValueError(cell)
            digits = digits.replace(self.thousands, "") if self.thousands else digits
            return outer + inner + digits + ("" if fraction is None else f".{fraction}") + exponent

        return plain


def read_cleaning(
    own: Mapping[str, Node], shared: Mapping[str, Node], logical_type: str
) -> Cleaning:
    """Read a column's cleaning from its `own` properties and those `shared` by all columns.

    Raises:
        ContractError: a property is wrong, or its own does not apply to the column's type.
    """
    for name, node in own.items():
        if logical_type not in _OF_TYPE.get(name, (logical_type,)):
            types = " and ".join(_OF_TYPE[name])
            raise node.error(f"{name} is for columns of type {types}, not {logical_type}")
    said = {
        name: node
        for name, node in {**shared, **own}.items()
        if name in CLEANING and logical_type in _OF_TYPE.get(name, (logical_type,))
    }
    default = Cleaning()
    decimal = said["decimalSeparator"].one_of(_DECIMALS) if "decimalSeparator" in said else "."
    thousands = (
        said["thousandsSeparator"].one_of(_THOUSANDS) if "thousandsSeparator" in said else None
    )
    if thousands == decimal:
        raise said["thousandsSeparator"].error("is the decimal separator too")
    true_values = _texts(said, "trueValues") or default.true_values
    false_values = _texts(said, "falseValues") or default.false_values
    if both := set(true_values) & set(false_values):
        place = said.get("trueValues") or said["falseValues"]
        raise place.error(f"holds {min(both)!r}, which stands for true and for false")
    return Cleaning(
        trim="trim" in said and said["trim"].flag(),
        missing=_texts(said, "missingValues"),
        case=said["case"].one_of(CASES) if "case" in said else None,
        decimal=decimal,
        thousands=thousands,
        currency=_signs(said.get("currencySigns")),
        true_values=true_values,
        false_values=false_values,
    )


def _signs(node: Node | None) -> tuple[str, ...]:
    if node is None:
        return ()
    signs = tuple(item.text() for item in node.items())
    for sign in signs:
        if not sign or re.search(r"[0-9\s.,+-]", sign):
            raise node.error(f"holds {sign!r}; a sign has no digit, blank, point, comma or minus")
    if not signs:
        raise node.error("is empty")
    return signs


def _texts(said: Mapping[str, Node], name: str) -> tuple[str, ...]:
    node = said.get(name)
    if node is None:
        return ()
    texts = tuple(item.text() for item in node.items())
    if not texts:
        raise node.error("is empty")
    return texts
