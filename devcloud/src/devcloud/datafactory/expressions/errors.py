"""What can be wrong with an expression.

ExpressionError
├── ExpressionSyntaxError     the text is no expression, or names an unknown function
└── ExpressionValueError      well formed, but these values do not fit
"""

from __future__ import annotations


class ExpressionError(Exception):
    """An expression that has no value."""


class ExpressionSyntaxError(ExpressionError):
    """The text cannot be read as an expression; found when a definition is stored."""


class ExpressionValueError(ExpressionError):
    """The expression cannot be evaluated with the values at hand; found in a run."""
