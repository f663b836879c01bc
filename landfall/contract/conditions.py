"""Conditions on one record, as expression trees that any engine can compile.

Conditions follow SQL's three-valued logic: an operation on null is unknown, and only records for
which the condition is true count. A tree has columns, constants and calls of `OPERATIONS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

OPERATIONS = frozenset(
    {
        *("and", "or", "not"),
        *("=", "<>", "<", "<=", ">", ">="),
        *("is null", "in", "like", "matches"),
        *("+", "-", "*", "/", "negative", "abs", "length", "coalesce"),
    }
)
"""Operations of a `FunctionCall`. The choices of `in` follow its first argument. The second
argument of `like` is a constant SQL pattern, that of `matches` a constant ECMA-262 pattern. `/`
gives a fraction, and null where it divides by zero."""


@dataclass(frozen=True)
class ColumnOf:
    """The value of one column; `type` is its logical type."""

    name: str
    type: str


@dataclass(frozen=True)
class Constant:
    """A value written in the contract."""

    value: Any

    @property
    def type(self) -> str:
        """The logical type of the value; `null` if there is no value."""
        kinds = {bool: "boolean", int: "integer", float: "number", str: "string"}
        return "null" if self.value is None else kinds.get(type(self.value), "moment")


@dataclass(frozen=True)
class FunctionCall:
    """An operation on other conditions; `type` is that of its result."""

    operation: str
    arguments: tuple[Condition, ...]
    type: str = "boolean"


Condition = ColumnOf | Constant | FunctionCall

ALWAYS_TRUE = Constant(value=True)
"""The condition that is true for every record."""


def columns_of(condition: Condition) -> tuple[str, ...]:
    """Names of the columns that a condition reads, each once, in order of appearance."""
    if isinstance(condition, ColumnOf):
        return (condition.name,)
    if isinstance(condition, Constant):
        return ()
    names = [name for argument in condition.arguments for name in columns_of(argument)]
    return tuple(dict.fromkeys(names))
