"""One cell: whether it is a value of its column's type, and within what is asked of a value.

A cell that is no value of its type breaks `type` and nothing else.
"""

from __future__ import annotations

import ipaddress
import json
import operator
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

from landfall.contract.domains import as_double, instant
from spark_jobs.errors import PlanError
from spark_jobs.validation.plan import ColumnPlan, Plan, value_of

Parser = Callable[[Any], Any]
Judge = Callable[[Any], tuple[str, ...]]
Broken = Callable[[Any, str], bool]

_INTEGER = re.compile(r"-?[0-9]{1,30}")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_EXPONENT = re.compile(r"[eE][+-]?0*([0-9]+)\Z")
_UNREADABLE = re.compile("[\0\udc80-\udcff]")
_MAX_EXPONENT_DIGITS = 3
_MINUTES = 60


def judge_of(column: ColumnPlan, plan: Plan, *, typed: bool) -> Judge:
    """The rules that a cell breaks, in the plan's order; an empty text is a missing value."""
    parse = parser_of(column, plan, typed=typed)
    checks = [(rule, _check(rule, argument)) for rule, argument in column.checks]
    missing = ("required",) if column.required else ()

    def judge(cell: Any) -> tuple[str, ...]:
        if cell is None or cell == "":
            return missing
        if isinstance(cell, str) and _UNREADABLE.search(cell):
            return ("encoding",)
        try:
            value = parse(cell)
        except (ValueError, OverflowError):
            return ("type",)
        text = str(cell)
        return tuple(rule for rule, broken in checks if broken(value, text))

    return judge


def parser_of(column: ColumnPlan, plan: Plan, *, typed: bool) -> Parser:
    """From a cell that is there to its value; ValueError if it is none of the type."""
    if not typed:
        return _text_parser(column, plan)
    parse = _typed_parser(column)
    if not plan.evolve:
        return parse
    of_text = _text_parser(column, plan)
    foreign = int if column.type == "string" else str
    return lambda value: of_text(str(value)) if type(value) is foreign else parse(value)


def as_text(value: Any) -> str | None:
    """A value as a person would read it in the file."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return str(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _text_parser(column: ColumnPlan, plan: Plan) -> Parser:
    if column.type == "string":
        return lambda cell: cell
    if column.type == "boolean":
        words = dict.fromkeys(plan.true_values, True) | dict.fromkeys(plan.false_values, False)
        return lambda cell: _known(words.get(cell), cell)
    if column.type in {"integer", "number"}:
        form = _INTEGER if column.type == "integer" else _NUMBER
        convert: Parser = int if column.type == "integer" else as_double
        within = _within(column)

        def number(cell: str) -> Any:
            if form.fullmatch(cell) is None:
                raise ValueError(cell)
            return within(convert(cell))

        return number
    return _moment_parser(column)


def _typed_parser(column: ColumnPlan) -> Parser:
    if column.type in {"date", "timestamp", "time"}:
        return _typed_moment_parser(column)
    accepted_types: tuple[type, ...] = {
        "string": (str,),
        "boolean": (bool,),
        "integer": (int,),
        "number": (int, float, Decimal),
    }[column.type]
    within = _within(column)

    def parse(value: Any) -> Any:
        # type() and not isinstance: a bool is an int to Python, and is none to a contract.
        if type(value) not in accepted_types:
            raise ValueError(value)
        return within(as_double(value) if column.type == "number" else value)

    return parse


def _within(column: ColumnPlan) -> Parser:
    """A number within what its type holds; NaN is not within any limit."""
    if column.range is not None:
        low, high = column.range
    elif column.limit is not None:
        low, high = -column.limit, column.limit  # type: ignore[assignment]
    else:
        return lambda value: value

    def check(value: Any) -> Any:
        if not low <= value <= high:
            raise ValueError(value)
        return value

    return check


def _known(value: Any, cell: str) -> Any:
    if value is None:
        raise ValueError(cell)
    return value


def _moment_parser(column: ColumnPlan) -> Parser:
    regex = re.compile(column.pattern or "", re.ASCII)
    kind = column.type

    def parse(text: str) -> date | datetime | time:
        match = regex.fullmatch(text)
        if match is None:
            raise ValueError(text)
        part = match.groupdict()
        zone = _zone(part.get("zone"))
        if kind == "date":
            return date(int(part["year"]), int(part["month"]), int(part["day"]))
        fraction = part.get("fraction") or ""
        if fraction[6:].strip("0"):
            raise ValueError(text)
        micros = int((fraction + "000000")[:6])
        clock = (int(part["hour"]), int(part["minute"]), int(part.get("second") or 0), micros)
        if kind == "time":
            return time(*clock)
        day = (int(part["year"]), int(part["month"]), int(part["day"]))
        return instant(datetime(*day, *clock, tzinfo=zone))

    return parse


def _zone(text: str | None) -> timezone:
    if text is None or text == "Z":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if minutes >= _MINUTES:
        raise ValueError(text)
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)


def _typed_moment_parser(column: ColumnPlan) -> Parser:
    parse_text = _moment_parser(column)
    native = {"date": date, "timestamp": datetime, "time": time}[column.type]

    def parse(value: Any) -> Any:
        if isinstance(value, str):
            return parse_text(value)
        if type(value) is not native:
            raise ValueError(value)
        return instant(value) if isinstance(value, datetime) else value

    return parse


def _check(rule: str, argument: Any) -> Broken:
    if rule not in _CHECKS:
        raise PlanError(f"Check {rule!r} is not known to this job.")
    return _CHECKS[rule](argument)


def _pattern(pattern: str) -> Broken:
    search = re.compile(pattern, re.ASCII).search
    return lambda value, _: search(value) is None


def _enum(values: list[Any]) -> Broken:
    allowed = frozenset(value_of(one) for one in values)
    return lambda value, _: value not in allowed


def _bound(is_broken: Callable[[Any, Any], bool]) -> Callable[[Any], Broken]:
    def check(written: Any) -> Broken:
        bound = value_of(written)
        return lambda value, _: is_broken(value, bound)

    return check


def _form(argument: dict[str, str]) -> Broken:
    if "pattern" in argument:
        fits = re.compile(argument["pattern"], re.ASCII).fullmatch
        return lambda value, _: fits(value) is None
    known = {"ipv4": ipaddress.IPv4Address, "ipv6": ipaddress.IPv6Address}
    if argument.get("address") not in known:
        raise PlanError(f"Format {argument!r} is not known to this job.")
    kind = known[argument["address"]]

    def broken(value: Any, _: str) -> bool:
        try:
            kind(value)
        except ValueError:
            return True
        return False

    return broken


def _not_multiple(of: str) -> Broken:
    unit = Fraction(of)

    def broken(_: Any, text: str) -> bool:
        exponent = _EXPONENT.search(text)
        # Ten to an exponent of any size would be computed in full.
        if exponent is not None and len(exponent.group(1)) > _MAX_EXPONENT_DIGITS:
            return True
        try:
            return Fraction(text) % unit != 0
        except ValueError:  # more digits than Python reads
            return True

    return broken


_CHECKS: dict[str, Callable[[Any], Broken]] = {
    "minimum": _bound(operator.lt),
    "maximum": _bound(operator.gt),
    "exclusiveMinimum": _bound(operator.le),
    "exclusiveMaximum": _bound(operator.ge),
    "minLength": lambda least: lambda value, _: len(value) < least,
    "maxLength": lambda most: lambda value, _: len(value) > most,
    "pattern": _pattern,
    "format": _form,
    "multipleOf": _not_multiple,
    "enum": _enum,
}
