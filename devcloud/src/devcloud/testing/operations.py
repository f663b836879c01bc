"""Trials of a client's operations, registered by the operation's name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

S = TypeVar("S")


def registering(
    operations: dict[str, Callable[[S], None]],
) -> Callable[[str], Callable[[Callable[[S], None]], Callable[[S], None]]]:
    """A decorator that takes an operation's name and adds the function to the operations."""

    def named(name: str) -> Callable[[Callable[[S], None]], Callable[[S], None]]:
        def register(function: Callable[[S], None]) -> Callable[[S], None]:
            operations[name] = function
            return function

        return register

    return named
