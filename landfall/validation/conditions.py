"""Compiles conditions of a contract into Python functions over the values of one record.

They follow SQL's three-valued logic: an operation on None is None. The same conditions as Polars
expressions are in `prefilter.expressions`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from landfall.contract.conditions import ColumnOf, Condition, Constant, FunctionCall
from landfall.contract.patterns import TextPattern

Values = Mapping[Any, Any]
"""Values of a record by column; by a call of `matches`, whether its text has its pattern."""
Evaluator = Callable[[Values], Any]

BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
}
"""Operators of two arguments, which Polars expressions support too."""


def evaluator(condition: Condition) -> Evaluator:
    """Return a function from a record's values by column to the value of the condition."""
    if isinstance(condition, Constant):
        value = condition.value
        return lambda _: value
    if isinstance(condition, ColumnOf):
        name = condition.name
        if condition.type == "number":
            return lambda values: None if values[name] is None else float(values[name])
        return lambda values: values[name]
    return _call(condition)


def _call(call: FunctionCall) -> Evaluator:
    arguments = [evaluator(argument) for argument in call.arguments]
    build = _EVALUATORS.get(call.operation)
    if build is not None:
        return build(arguments)
    first = arguments[0]
    if call.operation == "in":
        choices = {choice.value for choice in call.arguments[1:] if isinstance(choice, Constant)}
        return _null_propagating(lambda value: value in choices, first)
    if call.operation == "like":
        return _null_propagating(_like(_pattern(call)), first)
    if call.operation == "matches":
        return lambda values: values[call]
    compare = BINARY[call.operation]
    if is_mixed(call):
        return _null_propagating(lambda a, b: compare(float(a), float(b)), *arguments)
    return _null_propagating(compare, *arguments)


def is_mixed(call: FunctionCall) -> bool:
    """Whether integers are combined with fractions: every engine then compares fractions."""
    return {argument.type for argument in call.arguments} == {"integer", "number"}


_EVALUATORS: dict[str, Callable[[list[Evaluator]], Evaluator]] = {
    "and": lambda arguments: lambda values: _and(argument(values) for argument in arguments),
    "or": lambda arguments: (
        lambda values: _not(_and(_not(argument(values)) for argument in arguments))
    ),
    "not": lambda arguments: lambda values: _not(arguments[0](values)),
    "is null": lambda arguments: lambda values: arguments[0](values) is None,
    "coalesce": lambda arguments: (
        lambda values: next(
            (value for argument in arguments if (value := argument(values)) is not None), None
        )
    ),
    "length": lambda arguments: _null_propagating(len, *arguments),
    "abs": lambda arguments: _null_propagating(abs, *arguments),
    "negative": lambda arguments: _null_propagating(operator.neg, *arguments),
    "/": lambda arguments: _null_propagating(
        lambda a, b: float(a) / float(b) if b else None, *arguments
    ),
}


def _null_propagating(function: Callable[..., Any], *arguments: Evaluator) -> Evaluator:
    """Return a function that is null if one of its arguments is."""

    def evaluate(values: Values) -> Any:
        evaluated = [argument(values) for argument in arguments]
        return None if any(value is None for value in evaluated) else function(*evaluated)

    return evaluate


def _and(truths: Any) -> bool | None:
    result: bool | None = True
    for truth in truths:
        if truth is False:
            return False
        if truth is None:
            result = None
    return result


def _not(truth: bool | None) -> bool | None:
    return None if truth is None else not truth


def add_matches(condition: Condition, records: Sequence[dict[Any, Any]]) -> None:
    """Add to the values of records which texts have the patterns of a condition.

    The texts of all records are matched at once: one by one that takes long.
    """
    for call in _pattern_calls(condition):
        text = evaluator(call.arguments[0])
        texts = [text(record) for record in records]
        found = among(call, {value for value in texts if isinstance(value, str)})
        for record, value in zip(records, texts, strict=True):
            record[call] = value in found if isinstance(value, str) else None


def _pattern_calls(condition: Condition) -> Iterator[FunctionCall]:
    if isinstance(condition, FunctionCall):
        for argument in condition.arguments:
            yield from _pattern_calls(argument)
        if condition.operation == "matches":
            yield condition


def among(call: FunctionCall, texts: Collection[str]) -> set[str]:
    """Return the texts that fit the pattern of a `like` or `matches` call."""
    if call.operation == "matches":
        return TextPattern(_pattern(call)).among(texts)
    fits = _like(_pattern(call))
    return {text for text in texts if fits(text)}


def _pattern(call: FunctionCall) -> str:
    pattern = call.arguments[1]
    if not isinstance(pattern, Constant):  # pragma: no cover - checked by the SQL reader
        raise TypeError("a pattern is a literal")
    return str(pattern.value)


def _like(pattern: str) -> Callable[[str], bool]:
    """Return the test of a text by an SQL pattern.

    What is between two `%` has a fixed length, so the first place where it stands is as good as any
    later one, and nothing is tried twice.
    """
    parts = [_part(part) for part in pattern.split("%")]
    if len(parts) == 1:
        return lambda text: parts[0].fullmatch(text) is not None
    first, *middle, last = parts
    tail = len(pattern) - pattern.rfind("%") - 1

    def fits(text: str) -> bool:
        start = first.match(text)
        for part in middle:
            start = start and part.search(text, start.end())
        end = len(text) - tail
        return start is not None and start.end() <= end and last.match(text, end) is not None

    return fits


def _part(part: str) -> re.Pattern[str]:
    """Return a part of an SQL pattern without `%` as a regular expression."""
    return re.compile("".join("." if c == "_" else re.escape(c) for c in part), re.DOTALL)
