"""Compiles conditions of a contract into Python functions and into Polars expressions.

Both follow SQL's three-valued logic: an operation on null is unknown, None or null.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from landfall.contract.conditions import ColumnOf, Condition, Constant, FunctionCall
from landfall.contract.formats import ecma_pattern

if TYPE_CHECKING:  # Polars takes longer to load than a small file to validate
    import polars as pl

Values = Mapping[str, Any]
Evaluator = Callable[[Values], Any]

_BINARY: dict[str, Callable[[Any, Any], Any]] = {
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
    if call.operation in {"like", "matches"}:
        return _null_propagating(_matcher(call), first)
    compare = _BINARY[call.operation]
    if _is_mixed(call):
        return _null_propagating(lambda a, b: compare(float(a), float(b)), *arguments)
    return _null_propagating(compare, *arguments)


def _is_mixed(call: FunctionCall) -> bool:
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


def _matcher(call: FunctionCall) -> Callable[[str], bool]:
    pattern = call.arguments[1]
    if not isinstance(pattern, Constant):  # pragma: no cover - checked by the SQL reader
        raise TypeError("a pattern is a literal")
    if call.operation == "matches":
        search = ecma_pattern(pattern.value).search
        return lambda text: search(text) is not None
    fits = re.compile(_like(pattern.value), re.DOTALL)
    return lambda text: fits.fullmatch(text) is not None


def _like(pattern: str) -> str:
    """Return an SQL pattern as a regular expression of Python and of Rust."""
    return "".join({"%": ".*", "_": "."}.get(char, re.escape(char)) for char in pattern)


def expression(condition: Condition) -> pl.Expr:
    """Return the condition as a Polars expression; integers have 128 bits to avoid overflow."""
    import polars as pl  # noqa: PLC0415 - already loaded

    if isinstance(condition, Constant):
        return pl.lit(condition.value, dtype=_type(condition.value))
    if isinstance(condition, ColumnOf):
        column = pl.col(condition.name)
        return column.cast(pl.Int128) if condition.type == "integer" else column
    arguments = [expression(argument) for argument in condition.arguments]
    build = _EXPRESSIONS.get(condition.operation)
    if build is not None:
        return build(arguments)
    if condition.operation == "in":
        choices = [item.value for item in condition.arguments[1:] if isinstance(item, Constant)]
        return arguments[0].is_in(pl.Series(choices, dtype=_type(choices[0])).implode())
    if condition.operation in {"like", "matches"}:
        fits = _matcher(condition)
        return arguments[0].map_batches(lambda column: _by_distinct(column, fits), pl.Boolean)
    if _is_mixed(condition):
        arguments = [item.cast(pl.Float64) for item in arguments]
    result: pl.Expr = _BINARY[condition.operation](*arguments)
    return result


def _fraction(arguments: list[pl.Expr]) -> pl.Expr:
    import polars as pl  # noqa: PLC0415 - already loaded

    below = arguments[1].cast(pl.Float64)
    return pl.when(below != 0).then(arguments[0].cast(pl.Float64) / below)


def _absolute(arguments: list[pl.Expr]) -> pl.Expr:
    import polars as pl  # noqa: PLC0415 - already loaded

    return pl.when(arguments[0] < 0).then(arguments[0] * -1).otherwise(arguments[0])


def _coalesce(arguments: list[pl.Expr]) -> pl.Expr:
    import polars as pl  # noqa: PLC0415 - already loaded

    return pl.coalesce(arguments)


def _length(arguments: list[pl.Expr]) -> pl.Expr:
    import polars as pl  # noqa: PLC0415 - already loaded

    return arguments[0].str.len_chars().cast(pl.Int128)


_EXPRESSIONS: dict[str, Callable[[list[pl.Expr]], pl.Expr]] = {
    "and": lambda arguments: arguments[0] & arguments[1],
    "or": lambda arguments: arguments[0] | arguments[1],
    "not": lambda arguments: ~arguments[0],
    "is null": lambda arguments: arguments[0].is_null(),
    "coalesce": _coalesce,
    "length": _length,
    "abs": _absolute,
    "negative": lambda arguments: arguments[0] * -1,  # Polars cannot negate Int128
    "/": _fraction,
}


def _by_distinct(column: pl.Series, fits: Callable[[str], bool]) -> pl.Series:
    import polars as pl  # noqa: PLC0415 - already loaded

    distinct = column.unique().drop_nulls()
    answers = pl.Series([fits(text) for text in distinct.to_list()], dtype=pl.Boolean)
    return column.replace_strict(distinct, answers, default=None, return_dtype=pl.Boolean)


def _type(value: Any) -> pl.DataType | type[pl.DataType]:
    import polars as pl  # noqa: PLC0415 - already loaded

    if isinstance(value, bool) or value is None:
        return pl.Boolean
    if isinstance(value, int):
        return pl.Int128
    if isinstance(value, float):
        return pl.Float64
    if isinstance(value, str):
        return pl.String
    if isinstance(value, datetime):
        return pl.Datetime("us", "UTC")
    return pl.Date if isinstance(value, date) else pl.Time
