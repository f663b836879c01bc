"""The tree of an expression."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class Literal:
    """A constant."""

    value: Scalar


@dataclass(frozen=True)
class Call:
    """A function or a root such as `pipeline()`; names compare without case."""

    name: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True)
class Access:
    """`target.key`, `target['key']` or `target[0]`; `optional` is the form with a question mark."""

    target: Expression
    key: Expression
    optional: bool


@dataclass(frozen=True)
class Concatenation:
    """A string with `@{...}` parts; its value is always a string."""

    parts: tuple[Expression, ...]


Expression = Literal | Call | Access | Concatenation


def calls(expression: Expression) -> Iterator[Call]:
    """Every call in a tree, outermost first."""
    match expression:
        case Call(_, arguments):
            yield expression
            for argument in arguments:
                yield from calls(argument)
        case Access(target, key, _):
            yield from calls(target)
            yield from calls(key)
        case Concatenation(parts):
            for part in parts:
                yield from calls(part)
        case Literal():
            return
