"""Guesses the type of a column from its cells, and the cleaning that it needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from landfall.contract.cleaning import WHITE, Cleaning
from landfall.contract.domains import as_double
from landfall.contract.formats import INTEGERS, moment_parser

MARKERS = (
    *("NULL", "null", "Null", "NA", "N/A", "n/a", "#N/A", "#NA", "NaN", "nan", "None", "none"),
    *("-", "--", "\\N", ".", "..", "?", "*", "(null)", "nil", "NIL", "#DIV/0!", "#VALUE!", "#REF!"),
)
"""Texts that stand for a missing value where all others are of another type than text."""
_WORDS = (("true", "false"), ("yes", "no"), ("y", "n"), ("t", "f"))
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,18})")
# An exponent without a sign and a fraction is as likely part of a code, such as 12E4.
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]+(?:[eE][+-]?[0-9]+)?|[eE][+-][0-9]+)?")
_GROUPED = re.compile(r"-?[0-9]{1,3}(?:,[0-9]{3})*(?:\.[0-9]+)?")
_COMMA = re.compile(r"-?(?:[0-9]{1,3}(?:\.[0-9]{3})+|[0-9]+)(?:,[0-9]+)?")
_DATES = (
    *("dd.MM.yyyy", "d.M.yyyy", "yyyy/MM/dd", "dd-MM-yyyy", "MM-dd-yyyy"),
    *("dd/MM/yyyy", "MM/dd/yyyy", "d/M/yyyy", "M/d/yyyy"),
)
_SHORT_DATES = ("dd.MM.yy", "d.M.yy", "dd/MM/yy", "MM/dd/yy", "d/M/yy", "M/d/yy")
YEARS_FROM = 1950
"""The first year that two digits stand for, where nobody has said."""
_CURRENCIES = (
    *("$", "€", "£", "¥", "₹", "CHF", "EUR", "GBP", "USD", "R$", "kr", "zł", "Kč", "US$"),
)
_CLOCKS = ("HH:mm:ss", "HH:mm", "H:mm:ss", "H:mm")


@dataclass
class Guess:
    """The type of a column, with its options and its cleaning as custom properties."""

    kind: str
    options: dict[str, Any] = field(default_factory=dict)
    cleaning: dict[str, Any] = field(default_factory=dict)
    physical: str | None = None


def of_texts(texts: Sequence[str]) -> Guess:
    """Guess the type of the texts of a delimited file; there is at least one."""
    distinct = list(dict.fromkeys(texts))
    for trim in (False, True):
        found = [text.strip(WHITE) for text in distinct] if trim else distinct
        if trim and found == distinct:
            break
        markers = [text for text in MARKERS if text in found]
        values = [text for text in dict.fromkeys(found) if text and text not in markers]
        if values and (guess := _typed(values)) is not None:
            if markers:
                guess.cleaning["missingValues"] = markers
            if trim:
                guess.cleaning["trim"] = True
            return guess
    return Guess("string")


def of_json(values: Sequence[Any]) -> Guess | None:
    """Guess the type of JSON values, which say their types; None if no type has them all."""
    kinds = {type(value) for value in values}
    if kinds <= {bool}:
        return Guess("boolean")
    if kinds <= {int}:
        return Guess("integer" if all(map(_is_long, values)) else "number")
    if kinds <= {int, float, Decimal}:
        return Guess("number")
    if kinds <= {str}:
        distinct = list(dict.fromkeys(values))
        kind = next(
            (kind for kind in ("date", "timestamp", "time") if _reads(kind)(distinct)), None
        )
        return Guess(kind or "string")
    return Guess("string") if kinds <= {str, int} else None


def of_parquet(dtype: Any) -> Guess | None:
    """Return the type of a Parquet column; None if a contract cannot describe it."""
    import polars as pl  # noqa: PLC0415 - most samples are CSV

    if isinstance(dtype, pl.Decimal):
        return Guess("number", physical=f"decimal({dtype.precision},{dtype.scale})")
    kinds = {
        "integer": dtype.is_integer() and dtype not in {pl.UInt64, pl.Int128},
        "number": dtype.is_float() or dtype == pl.UInt64,
        "boolean": isinstance(dtype, pl.Boolean),
        "date": isinstance(dtype, pl.Date),
        "timestamp": isinstance(dtype, pl.Datetime),
        "time": isinstance(dtype, pl.Time),
        "string": isinstance(dtype, (pl.String, pl.Categorical, pl.Enum, pl.Null)),
    }
    return next((Guess(kind) for kind, fits in kinds.items() if fits), None)


def _typed(values: Sequence[str]) -> Guess | None:
    """Return the type of distinct texts that are values; None if they are text."""
    return next((guess for guess in _candidates(values) if guess is not None), None)


def _candidates(values: Sequence[str]) -> Iterator[Guess | None]:
    if all(map(_INTEGER.fullmatch, values)):
        yield Guess("integer") if all(_is_long(int(value)) for value in values) else Guess("string")
        return
    if all(map(_is_number, values)):
        yield Guess("number")
    yield _separated(values)
    yield _currency(values)
    yield _boolean(values)
    for kind in ("date", "timestamp", "time"):
        if _reads(kind)(values):
            yield Guess(kind)
    formats = [pattern for pattern in _DATES if _reads("date", pattern)(values)]
    yield _one_format("date", formats)
    short = [one for one in _SHORT_DATES if _reads("date", one, YEARS_FROM)(values)]
    if (guess := _one_format("date", short)) is not None:
        guess.cleaning["twoDigitYearStart"] = YEARS_FROM
        yield guess
    stamps = [
        f"{day} {clock}"
        for day in (*_DATES, "yyyy-MM-dd")
        for clock in _CLOCKS
        if _reads("timestamp", f"{day} {clock}")(values)
    ]
    yield _one_format("timestamp", stamps)


def _one_format(kind: str, formats: Sequence[str]) -> Guess | None:
    """Return the type with the first format, unless another one reads another day from it."""
    month_first = {pattern.upper().startswith("M") for pattern in formats}
    if len(month_first) != 1:  # none fits, or the sample does not tell day and month apart
        return None
    return Guess(kind, {"format": formats[0]})


def _is_number(text: str) -> bool:
    if _NUMBER.fullmatch(text) is None:
        return False
    try:
        return abs(as_double(text)) < float("inf")
    except ValueError:
        return False


def _is_long(value: int) -> bool:
    low, high = INTEGERS["i64"]
    return low <= value <= high


def _separated(values: Sequence[str]) -> Guess | None:
    """Return numbers with separators, where the sample tells which is which."""
    if all(map(_GROUPED.fullmatch, values)) and any(
        value.count(",") > 1 or ("," in value and "." in value) for value in values
    ):
        return _numbers(values, {"thousandsSeparator": ","}, Cleaning(thousands=","))
    if all(map(_COMMA.fullmatch, values)) and any(
        "," in value and len(value.rpartition(",")[2]) != 3  # noqa: PLR2004 - a group of digits
        for value in values
    ):
        said = {"decimalSeparator": ","}
        if any("." in value for value in values):
            said["thousandsSeparator"] = "."
        cleaning = Cleaning(decimal=",", thousands=said.get("thousandsSeparator"))
        return _numbers(values, said, cleaning)
    return None


def _currency(values: Sequence[str]) -> Guess | None:
    """Return numbers with signs of currencies, if most have one."""
    signs = [sign for sign in _CURRENCIES if any(sign in value for value in values)]
    if not signs:
        return None
    bare = [_bare(value, signs) for value in values]
    plain = all(map(_is_number, bare))
    guess = Guess("number") if plain else _separated(bare)
    if guess is None or all(one == value for one, value in zip(bare, values, strict=True)):
        return None
    guess.cleaning["currencySigns"] = signs
    return guess


def _bare(value: str, signs: Sequence[str]) -> str:
    """Return a number without the sign that stands before or after it."""
    minus = "-" if value.startswith("-") else ""
    rest = value.removeprefix("-")
    for sign in sorted(signs, key=len, reverse=True):
        for bare in (rest.removeprefix(sign), rest.removesuffix(sign)):
            if bare != rest:
                return minus + bare.strip(" \xa0\u202f")
    return value


def _numbers(values: Sequence[str], said: dict[str, Any], cleaning: Cleaning) -> Guess | None:
    clean = cleaning.cleaner()
    try:
        plain = [clean(value) or "" for value in values]
    except ValueError:
        return None
    return Guess("number", cleaning=said) if all(map(_is_number, plain)) else None


def _boolean(values: Sequence[str]) -> Guess | None:
    default = Cleaning()
    if set(values) <= {*default.true_values, *default.false_values}:
        return Guess("boolean")
    folded = {value.casefold() for value in values}
    for true, false in _WORDS:
        if folded == {true, false}:
            words = {
                "trueValues": [value for value in values if value.casefold() == true],
                "falseValues": [value for value in values if value.casefold() == false],
            }
            return Guess("boolean", cleaning=words)
    return None


def _reads(
    kind: str, pattern: str | None = None, years_from: int | None = None
) -> Callable[[Sequence[str]], bool]:
    parser = moment_parser(kind, pattern, None, years_from)

    def test(values: Sequence[str]) -> bool:
        try:
            for value in values:
                parser(value)
        except ValueError:
            return False
        return True

    return test
