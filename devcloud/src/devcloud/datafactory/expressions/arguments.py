"""What functions are made of: their shape, and arguments that must have a type."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from devcloud.datafactory.expressions.errors import ExpressionValueError

MANY = 1000


@dataclass(frozen=True)
class ExpressionFunction:
    """A function of the language.

    Attributes:
        least, most: how many arguments it takes.
        apply: its meaning; raises `ExpressionValueError` for arguments that do not fit.
    """

    least: int
    most: int
    apply: Callable[..., Any]


def to_text(value: Any) -> str:
    """A value as text: .NET's words for booleans, JSON for arrays and objects, '' for null."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "True" if value else "False"
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)  # noqa: PLR2004
    if isinstance(value, int):
        return str(value)
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def misfit(function: str, expected: str, value: Any) -> ExpressionValueError:
    """The error for an argument that does not fit."""
    shown = to_text(value)
    return ExpressionValueError(
        f"the function '{function}' expects {expected}, not '{shown[:100]}'"
    )


def as_string(function: str, value: Any) -> str:
    """The argument if it is a string; else ExpressionValueError."""
    if not isinstance(value, str):
        raise misfit(function, "a string", value)
    return value


def as_integer(function: str, value: Any) -> int:
    """The argument if it is an integer; else ExpressionValueError."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise misfit(function, "an integer", value)
    return value


def as_number(function: str, value: Any) -> int | float:
    """The argument if it is a number; else ExpressionValueError."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise misfit(function, "a number", value)
    return value


def as_boolean(function: str, value: Any) -> bool:
    """The argument if it is a boolean; else ExpressionValueError."""
    if not isinstance(value, bool):
        raise misfit(function, "a boolean", value)
    return value


def as_array(function: str, value: Any) -> list[Any]:
    """The argument if it is an array; else ExpressionValueError."""
    if not isinstance(value, list):
        raise misfit(function, "an array", value)
    return value
