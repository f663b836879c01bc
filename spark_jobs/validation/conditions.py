"""Conditions on one record, by SQL's three truths: None is unknown."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from spark_jobs.errors import PlanError
from spark_jobs.validation.plan import value_of

Values = Mapping[str, Any]
Evaluator = Callable[[Values], Any]

_PAIRS: dict[str, Callable[[Any, Any], Any]] = {
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
_KNOWN: dict[str, Callable[..., Any]] = {
    "length": len,
    "abs": abs,
    "negative": operator.neg,
    "/": lambda a, b: float(a) / float(b) if b else None,
}


def columns_of(tree: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Names of the columns that a condition looks at, each once, in order of appearance."""
    if tree is None or "literal" in tree:
        return ()
    if "column" in tree:
        return (str(tree["column"]),)
    return tuple(dict.fromkeys(name for part in tree["arguments"] for name in columns_of(part)))


def evaluator(tree: Mapping[str, Any] | None) -> Evaluator:
    """A function from a record's values to the condition's; no condition is true of every record.

    Raises:
        PlanError: an operation that is not known here.
    """
    if tree is None:
        return lambda _: True
    if "literal" in tree:
        literal = value_of(tree["literal"])
        return lambda _: literal
    if "column" in tree:
        name = str(tree["column"])
        if tree["type"] == "number":
            return lambda values: None if values[name] is None else float(values[name])
        return lambda values: values[name]
    return _call(str(tree["call"]), tree["arguments"])


def _call(operation: str, arguments: list[Mapping[str, Any]]) -> Evaluator:
    parts = [evaluator(argument) for argument in arguments]
    if operation in _LOGIC:
        return _LOGIC[operation](parts)
    if operation in _TESTS:
        return _strict(_TESTS[operation](arguments[1:]), parts[0])
    if operation in _KNOWN:
        return _strict(_KNOWN[operation], *parts)
    if operation not in _PAIRS:
        raise PlanError(f"Operation {operation!r} is not known to this job.")
    pair = _PAIRS[operation]
    if {argument["type"] for argument in arguments} == {"integer", "number"}:
        return _strict(lambda a, b: pair(float(a), float(b)), *parts)
    return _strict(pair, *parts)


def _strict(function: Callable[..., Any], *parts: Evaluator) -> Evaluator:
    """Unknown as soon as an argument is."""

    def evaluate(values: Values) -> Any:
        operands = [part(values) for part in parts]
        return None if any(value is None for value in operands) else function(*operands)

    return evaluate


def _all(truths: Iterable[bool | None]) -> bool | None:
    result: bool | None = True
    for truth in truths:
        if truth is False:
            return False
        if truth is None:
            result = None
    return result


def _not(truth: bool | None) -> bool | None:
    return None if truth is None else not truth


def _like(pattern: str) -> str:
    return "".join({"%": ".*", "_": "."}.get(char, re.escape(char)) for char in pattern)


def _in(choices: list[Mapping[str, Any]]) -> Callable[[Any], bool]:
    values = {value_of(one["literal"]) for one in choices}
    return lambda value: value in values


def _matches(patterns: list[Mapping[str, Any]]) -> Callable[[Any], bool]:
    search = re.compile(patterns[0]["literal"], re.ASCII).search
    return lambda text: search(text) is not None


def _fits(patterns: list[Mapping[str, Any]]) -> Callable[[Any], bool]:
    fits = re.compile(_like(patterns[0]["literal"]), re.DOTALL).fullmatch
    return lambda text: fits(text) is not None


_TESTS = {"in": _in, "matches": _matches, "like": _fits}
"""Operations whose second and further arguments are literals."""

_LOGIC: dict[str, Callable[[list[Evaluator]], Evaluator]] = {
    "and": lambda parts: lambda values: _all(part(values) for part in parts),
    "or": lambda parts: lambda values: _not(_all(_not(part(values)) for part in parts)),
    "not": lambda parts: lambda values: _not(parts[0](values)),
    "is null": lambda parts: lambda values: parts[0](values) is None,
    "coalesce": lambda parts: (
        lambda values: next((value for part in parts if (value := part(values)) is not None), None)
    ),
}
