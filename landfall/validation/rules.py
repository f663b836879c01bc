"""Compiles columns of a contract into functions that validate a single cell.

A validator returns the names of the rules that a cell breaks, in a fixed order; none if the cell is
valid. Rule names are those of the contract: type, required, minimum, enum, pattern, ...
A cell that is not of its column's type breaks only `type`; its other rules are not checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from fractions import Fraction
from typing import Any

from landfall.contract.formats import INTEGERS, NUMBERS, TEXTS, ecma_pattern, moment_parser
from landfall.contract.model import Column, Hints

TextValidator = Callable[[str], tuple[str, ...]]
ValueValidator = Callable[[Any], tuple[str, ...]]

_VALID: tuple[str, ...] = ()
_INTEGER = re.compile(r"-?[0-9]{1,30}")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_EXPONENT = re.compile(r"[eE][+-]?0*([0-9]+)\Z")
_UNREADABLE = re.compile("[\0\udc80-\udcff]")
_MAX_EXPONENT_DIGITS = 3
_DEFAULT_INTEGER = "i64"


def text_validator(column: Column, hints: Hints) -> TextValidator:
    """Return the validator of cells of a text format; an empty cell is null."""
    parse = text_parser(column, hints)
    rules = _value_rules(column)
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
        return tuple(name for name, broken in rules if broken(value, cell))

    return validate


def value_validator(column: Column, hints: Hints, *, evolve: bool = False) -> ValueValidator:
    """Return the validator of typed values, as in JSON and Parquet.

    With `evolve` a value may be written as text, and an integer is accepted as text.
    """
    parse = value_parser(column, hints, evolve=evolve)
    rules = _value_rules(column)
    missing = ("required",) if column.required else _VALID

    def validate(cell: Any) -> tuple[str, ...]:
        if cell is None:
            return missing
        if isinstance(cell, str) and _UNREADABLE.search(cell):
            return ("encoding",)
        try:
            value = parse(cell)
        except (ValueError, OverflowError):
            return ("type",)
        return tuple(name for name, broken in rules if broken(value, str(cell)))

    return validate


def text_parser(column: Column, hints: Hints) -> Callable[[str], Any]:
    """Return the parser of cells that are not empty; it raises ValueError if the type is wrong."""
    kind = column.logical_type
    if kind == "string":
        return lambda cell: cell
    if kind == "boolean":
        return _boolean(hints)
    if kind == "integer":
        within = _range_check(column)

        def integer(cell: str) -> int:
            if _INTEGER.fullmatch(cell) is None:
                raise ValueError(cell)
            return within(int(cell))

        return integer
    if kind == "number":
        finite = _finite_check(column)

        def number(cell: str) -> float:
            if _NUMBER.fullmatch(cell) is None:
                raise ValueError(cell)
            return finite(float(cell))

        return number
    return moment_parser(kind, column.format, column.timezone)


def _boolean(hints: Hints) -> Callable[[str], bool]:
    words = dict.fromkeys(hints.true_values, True) | dict.fromkeys(hints.false_values, False)

    def boolean(cell: str) -> bool:
        value = words.get(cell)
        if value is None:
            raise ValueError(cell)
        return value

    return boolean


def value_parser(column: Column, hints: Hints, *, evolve: bool = False) -> Callable[[Any], Any]:
    """Return the parser of JSON and Parquet values; it raises ValueError if the type is wrong."""
    parse = _value_parser(column)
    if not evolve:
        return parse
    of_text = text_parser(column, hints)
    foreign = int if column.logical_type == "string" else str

    def evolving(value: Any) -> Any:
        return of_text(str(value)) if type(value) is foreign else parse(value)

    return evolving


def _value_parser(column: Column) -> Callable[[Any], Any]:
    kind = column.logical_type
    if kind in {"date", "timestamp", "time"}:
        return _moment_parser(column)
    allowed_types: tuple[type, ...] = {
        "string": (str,),
        "boolean": (bool,),
        "integer": (int,),
        "number": (int, float),
    }[kind]
    finite = _finite_check(column) if kind == "number" else None
    within = _range_check(column) if kind == "integer" else None

    def parse(value: Any) -> Any:
        # type() and not isinstance: a bool is an int in Python, but not in a contract.
        if type(value) not in allowed_types:
            raise ValueError(value)
        if finite is not None:
            return finite(float(value))
        return value if within is None else within(value)

    return parse


def _moment_parser(column: Column) -> Callable[[Any], Any]:
    parse_text = moment_parser(column.logical_type, column.format, column.timezone)
    native = {"date": date, "timestamp": datetime, "time": time}[column.logical_type]

    def parse(value: Any) -> Any:
        if isinstance(value, str):
            return parse_text(value)
        if type(value) is not native:
            raise ValueError(value)
        if isinstance(value, datetime) and value.tzinfo is None:
            return value.replace(tzinfo=UTC)
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


Broken = Callable[[Any, str], bool]


def _value_rules(column: Column) -> list[tuple[str, Broken]]:
    """Return the checks of a value besides its type; each gets the value and its text."""
    rules = _bounds(column) + _text_rules(column)
    if column.multiple_of is not None:
        rules.append(("multipleOf", _not_multiple(column.multiple_of)))
    if column.enum:
        allowed = frozenset(column.enum)
        rules.append(("enum", lambda value, _: value not in allowed))
    return rules


def _bounds(column: Column) -> list[tuple[str, Broken]]:
    low, high = column.minimum, column.maximum
    above, below = column.exclusive_minimum, column.exclusive_maximum
    rules: list[tuple[str, Broken]] = []
    if low is not None:
        rules.append(("minimum", lambda value, _: value < low))
    if high is not None:
        rules.append(("maximum", lambda value, _: value > high))
    if above is not None:
        rules.append(("exclusiveMinimum", lambda value, _: value <= above))
    if below is not None:
        rules.append(("exclusiveMaximum", lambda value, _: value >= below))
    return rules


def _text_rules(column: Column) -> list[tuple[str, Broken]]:
    shortest, longest = column.min_length, column.max_length
    rules: list[tuple[str, Broken]] = []
    if shortest is not None:
        rules.append(("minLength", lambda value, _: len(value) < shortest))
    if longest is not None:
        rules.append(("maxLength", lambda value, _: len(value) > longest))
    if column.pattern is not None:
        search = ecma_pattern(column.pattern).search
        rules.append(("pattern", lambda value, _: search(value) is None))
    if column.logical_type == "string" and column.format is not None:
        fits = TEXTS[column.format]
        rules.append(("format", lambda value, _: not fits(value)))
    return rules


def _not_multiple(of: str) -> Broken:
    unit = Fraction(of)

    def broken(_: Any, text: str) -> bool:
        exponent = _EXPONENT.search(text)
        # Fraction computes ten to any exponent in full, which can take very long.
        if exponent is not None and len(exponent.group(1)) > _MAX_EXPONENT_DIGITS:
            return True
        try:
            return Fraction(text) % unit != 0
        except ValueError:  # more digits than Python reads
            return True

    return broken
