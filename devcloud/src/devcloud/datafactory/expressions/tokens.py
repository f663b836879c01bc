"""Tokens of the expression language: names, numbers, quoted strings and punctuation."""

from __future__ import annotations

import re
from dataclasses import dataclass

from devcloud.datafactory.expressions.errors import ExpressionSyntaxError

_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<number>-?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?)
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<string>'(?:[^']|'')*')
  | (?P<punctuation>\?\.|\?\[|[.\[\](),}])
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class Token:
    """One token.

    Attributes:
        kind: "number", "name", "string", "punctuation", or "end".
        text: as written; of a string, its value with the quotes taken off and '' undone.
        at: offset of its first character in the text that was read.
        end: offset behind its last character.
    """

    kind: str
    text: str
    at: int
    end: int


def next_token(text: str, at: int) -> Token:
    """The token that begins at an offset, after white space.

    Reading one token at a time lets `@{...}` end inside a longer string.

    Raises:
        ExpressionSyntaxError: no token begins there.
    """
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            what = "a string without its closing quote" if text[at] == "'" else repr(text[at])
            raise ExpressionSyntaxError(f"unexpected {what} at position {at} of {text!r}")
        kind = str(match.lastgroup)
        if kind == "space":
            at = match.end()
            continue
        value = match.group()
        if kind == "string":
            value = value[1:-1].replace("''", "'")
        return Token(kind, value, at, match.end())
    return Token("end", "", len(text), len(text))
