"""Conditions of a contract compiled twice: for one record's values, and for a block's columns.

Both follow SQL: what touches a missing value is unknown, None here and null there.
"""

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
    """A function from a record's values by column, None where missing, to the condition's."""
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
    found = [evaluator(argument) for argument in call.arguments]
    build = _EVALUATORS.get(call.operation)
    if build is not None:
        return build(found)
    first = found[0]
    if call.operation == "in":
        choices = {one.value for one in call.arguments[1:] if isinstance(one, Constant)}
        return _known(lambda value: value in choices, first)
    if call.operation in {"like", "matches"}:
        return _known(_matcher(call), first)
    compare = _BINARY[call.operation]
    if _is_mixed(call):
        return _known(lambda a, b: compare(float(a), float(b)), *found)
    return _known(compare, *found)


def _is_mixed(call: FunctionCall) -> bool:
    """Whether whole numbers meet fractions: every engine then compares fractions."""
    return {argument.type for argument in call.arguments} == {"integer", "number"}


_EVALUATORS: dict[str, Callable[[list[Evaluator]], Evaluator]] = {
    "and": lambda found: lambda values: _and(one(values) for one in found),
    "or": lambda found: lambda values: _not(_and(_not(one(values)) for one in found)),
    "not": lambda found: lambda values: _not(found[0](values)),
    "is null": lambda found: lambda values: found[0](values) is None,
    "coalesce": lambda found: (
        lambda values: next((value for one in found if (value := one(values)) is not None), None)
    ),
    "length": lambda found: _known(len, *found),
    "abs": lambda found: _known(abs, *found),
    "negative": lambda found: _known(operator.neg, *found),
    "/": lambda found: _known(lambda a, b: float(a) / float(b) if b else None, *found),
}


def _known(function: Callable[..., Any], *arguments: Evaluator) -> Evaluator:
    """Unknown as soon as an argument is."""

    def evaluate(values: Values) -> Any:
        found = [argument(values) for argument in arguments]
        return None if any(value is None for value in found) else function(*found)

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
    if not isinstance(pattern, Constant):  # pragma: no cover - the reader sees to it
        raise TypeError("a pattern is a literal")
    if call.operation == "matches":
        search = ecma_pattern(pattern.value).search
        return lambda text: search(text) is not None
    fits = re.compile(_like(pattern.value), re.DOTALL)
    return lambda text: fits.fullmatch(text) is not None


def _like(pattern: str) -> str:
    """A pattern of SQL as a regular expression of Python and of Rust."""
    return "".join({"%": ".*", "_": "."}.get(char, re.escape(char)) for char in pattern)


def expression(condition: Condition) -> "pl.Expr":
    """The same over columns of values; whole numbers have 128 bits, so that none overflows."""
    import polars as pl  # noqa: PLC0415 - whoever asks has loaded it

    if isinstance(condition, Constant):
        return pl.lit(condition.value, dtype=_type(condition.value))
    if isinstance(condition, ColumnOf):
        column = pl.col(condition.name)
        return column.cast(pl.Int128) if condition.type == "integer" else column
    found = [expression(argument) for argument in condition.arguments]
    build = _EXPRESSIONS.get(condition.operation)
    if build is not None:
        return build(found)
    if condition.operation == "in":
        choices = [one.value for one in condition.arguments[1:] if isinstance(one, Constant)]
        return found[0].is_in(pl.Series(choices, dtype=_type(choices[0])).implode())
    if condition.operation in {"like", "matches"}:
        fits = _matcher(condition)
        return found[0].map_batches(lambda column: _by_distinct(column, fits), pl.Boolean)
    if _is_mixed(condition):
        found = [one.cast(pl.Float64) for one in found]
    result: pl.Expr = _BINARY[condition.operation](*found)
    return result


def _fraction(found: "list[pl.Expr]") -> "pl.Expr":
    import polars as pl  # noqa: PLC0415 - loaded by now

    below = found[1].cast(pl.Float64)
    return pl.when(below != 0).then(found[0].cast(pl.Float64) / below)


def _absolute(found: "list[pl.Expr]") -> "pl.Expr":
    import polars as pl  # noqa: PLC0415 - loaded by now

    return pl.when(found[0] < 0).then(found[0] * -1).otherwise(found[0])


def _first_known(found: "list[pl.Expr]") -> "pl.Expr":
    import polars as pl  # noqa: PLC0415 - loaded by now

    return pl.coalesce(found)


def _length(found: "list[pl.Expr]") -> "pl.Expr":
    import polars as pl  # noqa: PLC0415 - loaded by now

    return found[0].str.len_chars().cast(pl.Int128)


_EXPRESSIONS: "dict[str, Callable[[list[pl.Expr]], pl.Expr]]" = {
    "and": lambda found: found[0] & found[1],
    "or": lambda found: found[0] | found[1],
    "not": lambda found: ~found[0],
    "is null": lambda found: found[0].is_null(),
    "coalesce": _first_known,
    "length": _length,
    "abs": _absolute,
    "negative": lambda found: found[0] * -1,  # 128 bits know no negation
    "/": _fraction,
}


def _by_distinct(column: "pl.Series", fits: Callable[[str], bool]) -> "pl.Series":
    import polars as pl  # noqa: PLC0415 - loaded by now

    distinct = column.unique().drop_nulls()
    answers = pl.Series([fits(text) for text in distinct.to_list()], dtype=pl.Boolean)
    return column.replace_strict(distinct, answers, default=None, return_dtype=pl.Boolean)


def _type(value: Any) -> "pl.DataType | type[pl.DataType]":
    import polars as pl  # noqa: PLC0415 - loaded by now

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
