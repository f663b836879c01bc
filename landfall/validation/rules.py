"""Compiles columns of a contract into functions that validate a single cell.

A validator returns the names of the rules that a cell breaks, in a fixed order; none if the cell is
valid. Rule names are those of the contract: type, required, minimum, enum, pattern, ...
A cell that is not of its column's type breaks only `type`; its other rules are not checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from fractions import Fraction
from typing import Any

from landfall.contract.domains import as_decimal, as_double, instant, number_of
from landfall.contract.formats import INTEGERS, NUMBERS, TEXTS, moment_parser
from landfall.contract.model import Column
from landfall.contract.patterns import TextPattern

Matches = Callable[[str], bool]
TextValidator = Callable[[str], tuple[str, ...]]
ValueValidator = Callable[[Any], tuple[str, ...]]

_VALID: tuple[str, ...] = ()
_INTEGER = re.compile(r"-?[0-9]{1,30}")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_UNREADABLE = re.compile("[\0\udc80-\udcff]")
_DEFAULT_INTEGER = "i64"


def text_validator(column: Column, matches: Matches | None = None) -> TextValidator:
    """Return the validator of cells of a text format; an empty cell is null.

    `matches` says which texts have the column's pattern. Without it each is matched alone, which
    takes long: see `TextPattern.among`.
    """
    parse = text_reader(column)
    rules = _value_rules(column, matches)
    missing = ("required",) if column.required else _VALID

    def validate(cell: str) -> tuple[str, ...]:
        if not cell:
            return missing
        if _UNREADABLE.search(cell):
            return ("encoding",)
        try:
            value = parse(cell)
        except (ValueError, OverflowError):
            return ("type",)
        if value is None:
            return missing
        return tuple(name for name, broken in rules if broken(value))

    return validate


def value_validator(
    column: Column, matches: Matches | None = None, *, evolve: bool = False
) -> ValueValidator:
    """Return the validator of typed values, as in JSON and Parquet.

    With `evolve` a value may be written as text, and an integer is accepted as text. `matches` is
    as for `text_validator`.
    """
    parse = value_reader(column, evolve=evolve)
    rules = _value_rules(column, matches)
    missing = ("required",) if column.required else _VALID

    def validate(cell: Any) -> tuple[str, ...]:
        if cell is None or cell == "":
            return missing
        if isinstance(cell, str) and _UNREADABLE.search(cell):
            return ("encoding",)
        try:
            value = parse(cell)
        except (ValueError, OverflowError):
            return ("type",)
        if value is None:
            return missing
        return tuple(name for name, broken in rules if broken(value))

    return validate


def text_reader(column: Column) -> Callable[[str], Any]:
    """Return the function from a cell that is not empty to its value; see `Cells.value`.

    It cleans the cell as the contract says, returns None if then there is no value, and raises
    ValueError if it is not of the column's type. A number is returned with its exact value where a
    rule needs it: see `Exact`.
    """
    parse = _text_parser(column)
    if not column.cleaning.changes:
        return parse
    clean = column.cleaning.cleaner()

    def read(cell: str) -> Any:
        text = clean(cell)
        return parse(text) if text else None

    return read


class Exact(float):
    """A double with the exact value of what was written, for `multipleOf`; None if it is none."""

    written: Fraction | None


def _text_parser(column: Column) -> Callable[[str], Any]:
    """Return the parser of clean texts; it raises ValueError if the type is wrong."""
    kind = column.logical_type
    if kind == "string":
        return lambda cell: cell
    if kind == "boolean":
        return _boolean(column)
    if kind == "integer":
        within = _range_check(column)

        def integer(cell: str) -> int:
            if _INTEGER.fullmatch(cell) is None:
                raise ValueError(cell)
            return within(int(cell))

        return integer
    if kind == "number":
        of_number = _number(column)

        def number(cell: str) -> float | Decimal:
            if _NUMBER.fullmatch(cell) is None:
                raise ValueError(cell)
            return of_number(cell)

        return number
    return moment_parser(kind, column.format, column.timezone, column.years_from)


def _boolean(column: Column) -> Callable[[str], bool]:
    words = dict.fromkeys(column.cleaning.true_values, True) | dict.fromkeys(
        column.cleaning.false_values, False
    )

    def boolean(cell: str) -> bool:
        value = words.get(cell)
        if value is None:
            raise ValueError(cell)
        return value

    return boolean


def _number(column: Column) -> Callable[[str | int | float | Decimal], float | Decimal]:
    """Return the function from a number as it is written to its value."""
    if column.decimal is not None:
        precision, scale = column.decimal
        return lambda written: as_decimal(written, precision, scale)
    finite = _finite_check(column)
    if column.multiple_of is None:
        return lambda written: finite(as_double(written))

    def exact(written: str | float | Decimal) -> float:
        value = Exact(finite(as_double(written)))
        try:
            value.written = number_of(written)
        except ValueError:  # of more digits than are read exactly
            value.written = None
        return value

    return exact


def value_reader(column: Column, *, evolve: bool = False) -> Callable[[Any], Any]:
    """Return the reader of JSON and Parquet values that are there; otherwise as `text_reader`.

    With `evolve` a value may be written as text, and an integer is accepted as text.
    """
    parse = _value_parser(column)
    if evolve:
        of_text, typed = text_reader(column), parse
        foreign = int if column.logical_type == "string" else str

        def parse(value: Any) -> Any:
            return of_text(str(value)) if type(value) is foreign else typed(value)

    missing = frozenset(column.cleaning.missing)
    if not missing:
        return parse

    def read(value: Any) -> Any:
        known = type(value) in {int, float, Decimal} and str(value) in missing
        return None if known else parse(value)

    return read


def _value_parser(column: Column) -> Callable[[Any], Any]:
    kind = column.logical_type
    if kind in {"date", "timestamp", "time"}:
        return _moment_parser(column)
    if kind == "number":
        of_number = _number(column)

        def number(value: Any) -> float | Decimal:
            if type(value) not in {int, float, Decimal}:
                raise ValueError(value)
            return of_number(value)

        return number
    if kind == "integer":
        within = _range_check(column)

        def integer(value: Any) -> int:
            # type() and not isinstance: a bool is an int in Python, but not in a contract.
            if type(value) is not int:
                raise ValueError(value)
            return within(value)

        return integer
    read: Callable[[Any], Any] = text_reader(column) if kind == "string" else bool
    native: type = bool if kind == "boolean" else str

    def parse(value: Any) -> Any:
        if type(value) is not native:
            raise ValueError(value)
        return read(value)

    return parse


def _moment_parser(column: Column) -> Callable[[Any], Any]:
    parse_text = text_reader(column)
    native = {"date": date, "timestamp": datetime, "time": time}[column.logical_type]
    timezone = column.timezone

    def parse(value: Any) -> Any:
        if isinstance(value, str):
            return parse_text(value)
        if type(value) is not native:
            raise ValueError(value)
        if isinstance(value, datetime):
            if timezone is not None and (value.tzinfo is not None) != timezone:
                raise ValueError(value)
            return instant(value)
        return value

    return parse


def _range_check(column: Column) -> Callable[[int], int]:
    low, high = INTEGERS[column.format or _DEFAULT_INTEGER]

    def check(value: int) -> int:
        if not low <= value <= high:
            raise ValueError(value)
        return value

    return check


def whole_range(column: Column) -> tuple[int, int]:
    """Return the smallest and the largest integer that a column's format and bounds allow."""
    low, high = INTEGERS[column.format or _DEFAULT_INTEGER]
    if column.minimum is not None:
        low = max(low, column.minimum)
    if column.exclusive_minimum is not None:
        low = max(low, column.exclusive_minimum + 1)
    if column.maximum is not None:
        high = min(high, column.maximum)
    if column.exclusive_maximum is not None:
        high = min(high, column.exclusive_maximum - 1)
    return low, high


def _finite_check(column: Column) -> Callable[[float], float]:
    limit = NUMBERS[column.format or "f64"]

    def check(value: float) -> float:
        # This also rejects NaN.
        if not abs(value) <= limit:
            raise ValueError(value)
        return value

    return check


Broken = Callable[[Any], bool]


def _value_rules(column: Column, matches: Matches | None) -> list[tuple[str, Broken]]:
    """Return the checks of a value besides its type; each gets the value."""
    rules = _bounds(column) + _text_rules(column, matches or _matching(column))
    if column.multiple_of is not None:
        rules.append(("multipleOf", _not_multiple(column.multiple_of)))
    if column.enum:
        allowed = frozenset(column.enum)
        rules.append(("enum", lambda value: value not in allowed))
    return rules


def _bounds(column: Column) -> list[tuple[str, Broken]]:
    low, high = column.minimum, column.maximum
    above, below = column.exclusive_minimum, column.exclusive_maximum
    rules: list[tuple[str, Broken]] = []
    if low is not None:
        rules.append(("minimum", lambda value: value < low))
    if high is not None:
        rules.append(("maximum", lambda value: value > high))
    if above is not None:
        rules.append(("exclusiveMinimum", lambda value: value <= above))
    if below is not None:
        rules.append(("exclusiveMaximum", lambda value: value >= below))
    return rules


def _matching(column: Column) -> Matches:
    """Return the test of one text by the column's pattern."""
    if column.pattern is None:
        return lambda _: True
    pattern = TextPattern(column.pattern)
    return lambda text: bool(pattern.among([text]))


def _text_rules(column: Column, matches: Matches) -> list[tuple[str, Broken]]:
    shortest, longest = column.min_length, column.max_length
    rules: list[tuple[str, Broken]] = []
    if shortest is not None:
        rules.append(("minLength", lambda value: len(value) < shortest))
    if longest is not None:
        rules.append(("maxLength", lambda value: len(value) > longest))
    if column.pattern is not None:
        rules.append(("pattern", lambda value: not matches(value)))
    if column.logical_type == "string" and column.format is not None:
        fits = TEXTS[column.format]
        rules.append(("format", lambda value: not fits(value)))
    return rules


def _not_multiple(of: str) -> Broken:
    unit = Fraction(of)

    def broken(value: Any) -> bool:
        exact = value.written if isinstance(value, Exact) else Fraction(value)
        return exact is None or exact % unit != 0

    return broken
