"""Conditions on one record, as values that any engine can compile.

A condition knows SQL's three truths: what touches a missing value is unknown, and only what is
true counts. It is made of columns, literals and calls of the operations in `OPERATIONS`.
"""

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
"""What a call may ask for. `in` has its choices behind its first argument; `like` and
`matches` have a literal pattern as their second, of SQL and of ECMA-262; `/` gives a fraction,
and nothing where it divides by zero."""


@dataclass(frozen=True)
class ColumnOf:
    """The value of one column; `type` is its logical type."""

    name: str
    type: str


@dataclass(frozen=True)
class Constant:
    """A value that the contract wrote."""

    value: Any

    @property
    def type(self) -> str:
        """Its logical type; `null` where there is no value."""
        kinds = {bool: "boolean", int: "integer", float: "number", str: "string"}
        return "null" if self.value is None else kinds.get(type(self.value), "moment")


@dataclass(frozen=True)
class FunctionCall:
    """An operation on other conditions; `type` is that of its result."""

    operation: str
    arguments: tuple["Condition", ...]
    type: str = "boolean"


Condition = ColumnOf | Constant | FunctionCall

EVERY = Constant(value=True)
"""True of every record."""


def columns_of(condition: Condition) -> tuple[str, ...]:
    """Names of the columns that a condition looks at, each once, in order of appearance."""
    if isinstance(condition, ColumnOf):
        return (condition.name,)
    if isinstance(condition, Constant):
        return ()
    found = [name for argument in condition.arguments for name in columns_of(argument)]
    return tuple(dict.fromkeys(found))
