"""From text to tree.

A string is an expression if it begins with a single `@`, text with expressions in it if it holds
`@{...}`, and itself otherwise. `@@` at the beginning, and `@@{` anywhere, stand for the at sign.
The language has no operators: everything is a call, an access or a literal.
"""

from __future__ import annotations

from functools import lru_cache

from devcloud.datafactory.expressions.errors import ExpressionSyntaxError
from devcloud.datafactory.expressions.syntax import (
    Access,
    Call,
    Concatenation,
    Expression,
    Literal,
)
from devcloud.datafactory.expressions.tokens import Token, next_token

_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_DEEPEST = 100


@lru_cache(maxsize=4096)
def parse(text: str) -> Expression:
    """Read a string of a definition.

    Raises:
        ExpressionSyntaxError: it begins like an expression and is none.
    """
    if text.startswith("@@"):
        return _interpolated("@" + text[2:], begin=1)
    if text.startswith("@") and not text.startswith("@{"):
        reader = _Reader(text, 1)
        expression = reader.expression()
        reader.expect_end()
        return expression
    return _interpolated(text, begin=0)


def _interpolated(text: str, begin: int) -> Expression:
    parts: list[Expression] = []
    plain = text[:begin]
    at = begin
    while at < len(text):
        if text.startswith("@@{", at):
            plain += "@{"
            at += 3
        elif text.startswith("@{", at):
            if plain:
                parts.append(Literal(plain))
            reader = _Reader(text, at + 2)
            parts.append(reader.expression())
            at = reader.close_brace()
            plain = ""
        else:
            plain += text[at]
            at += 1
    if not parts:
        return Literal(plain)
    if plain:
        parts.append(Literal(plain))
    return Concatenation(tuple(parts))


class _Reader:
    """Recursive descent over one text, one token ahead."""

    def __init__(self, text: str, at: int) -> None:
        self._text = text
        self._token: Token = next_token(text, at)
        self._depth = 0

    def expression(self) -> Expression:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ExpressionSyntaxError(f"calls nested deeper than {_DEEPEST}")
        expression = self._primary()
        while self._token.text in (".", "?.", "[", "?[") and self._token.kind == "punctuation":
            expression = self._access(expression)
        self._depth -= 1
        return expression

    def expect_end(self) -> None:
        if self._token.kind != "end":
            raise self._unexpected("the end of the expression")

    def close_brace(self) -> int:
        """Take the `}` that ends an interpolated part; the offset behind it."""
        # The next token is not read: what follows is text, not an expression.
        if self._token.text != "}" or self._token.kind != "punctuation":
            raise self._unexpected("'}'")
        return self._token.end

    def _primary(self) -> Expression:
        token = self._token
        if token.kind == "string":
            self._advance()
            return Literal(token.text)
        if token.kind == "number":
            self._advance()
            whole = token.text.lstrip("-").isdigit()
            return Literal(int(token.text) if whole else float(token.text))
        if token.kind == "name":
            self._advance()
            if self._is("("):
                return Call(token.text.lower(), self._arguments())
            if token.text.lower() in _WORDS:
                return Literal(_WORDS[token.text.lower()])
            raise ExpressionSyntaxError(
                f"{token.text!r} in {self._text!r} is neither a call nor a literal: "
                "text stands in single quotes"
            )
        raise self._unexpected("a call or a literal")

    def _arguments(self) -> tuple[Expression, ...]:
        self._take("(")
        arguments: list[Expression] = []
        if not self._is(")"):
            arguments.append(self.expression())
            while self._is(","):
                self._advance()
                arguments.append(self.expression())
        self._take(")")
        return tuple(arguments)

    def _access(self, target: Expression) -> Expression:
        opening = self._token.text
        optional = opening.startswith("?")
        self._advance()
        if opening.endswith("."):
            if self._token.kind != "name":
                raise self._unexpected("a property name")
            key: Expression = Literal(self._token.text)
            self._advance()
        else:
            key = self.expression()
            self._take("]")
        return Access(target, key, optional)

    def _is(self, punctuation: str) -> bool:
        return self._token.kind == "punctuation" and self._token.text == punctuation

    def _take(self, punctuation: str) -> None:
        if not self._is(punctuation):
            raise self._unexpected(repr(punctuation))
        self._advance()

    def _advance(self) -> None:
        # A closing brace may be followed by any text, so nothing is read beyond it.
        if self._token.text == "}" and self._token.kind == "punctuation":
            raise self._unexpected("more of the expression")
        self._token = next_token(self._text, self._token.end)

    def _unexpected(self, expected: str) -> ExpressionSyntaxError:
        actual = repr(self._token.text) if self._token.kind != "end" else "the end"
        return ExpressionSyntaxError(
            f"expected {expected} at position {self._token.at} of {self._text!r}, found {actual}"
        )
