"""Compiles conditions of a contract into Polars expressions over columns of values.

They follow SQL's three-valued logic, as `validation.conditions` does for single records.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import polars as pl

from landfall.contract.conditions import ColumnOf, Condition, Constant, FunctionCall
from landfall.validation.conditions import BINARY, among, is_mixed


def expression(condition: Condition) -> pl.Expr:
    """Return the condition as a Polars expression; integers have 128 bits to avoid overflow."""
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
        return arguments[0].map_batches(lambda texts: _by_distinct(texts, condition), pl.Boolean)
    if is_mixed(condition):
        arguments = [item.cast(pl.Float64) for item in arguments]
    result: pl.Expr = BINARY[condition.operation](*arguments)
    return result


def _fraction(arguments: list[pl.Expr]) -> pl.Expr:
    below = arguments[1].cast(pl.Float64)
    return pl.when(below != 0).then(arguments[0].cast(pl.Float64) / below)


def _absolute(arguments: list[pl.Expr]) -> pl.Expr:
    return pl.when(arguments[0] < 0).then(arguments[0] * -1).otherwise(arguments[0])


def _coalesce(arguments: list[pl.Expr]) -> pl.Expr:
    return pl.coalesce(arguments)


def _length(arguments: list[pl.Expr]) -> pl.Expr:
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


def _by_distinct(column: pl.Series, call: FunctionCall) -> pl.Series:
    distinct = column.unique().drop_nulls()
    fitting = among(call, texts := distinct.to_list())
    answers = pl.Series([text in fitting for text in texts], dtype=pl.Boolean)
    return column.replace_strict(distinct, answers, default=None, return_dtype=pl.Boolean)


def _type(value: Any) -> pl.DataType | type[pl.DataType]:
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
