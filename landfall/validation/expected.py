"""What a contract expects where a rule is broken, in words for the producer of the file. Pure.

A type is told with its format, a list of values with its first ones, a bound with its number: who
reads a report has not the contract beside it.
"""

from __future__ import annotations

from dataclasses import replace

from landfall.contract.model import Column, Contract
from landfall.validation.report import Check, Report

_LISTED = 20
_LENGTH = 300
_FIELDS = {
    "minimum": ("at least", "minimum"),
    "maximum": ("at most", "maximum"),
    "exclusiveMinimum": ("more than", "exclusive_minimum"),
    "exclusiveMaximum": ("less than", "exclusive_maximum"),
    "multipleOf": ("a multiple of", "multiple_of"),
    "minLength": ("characters, at least", "min_length"),
    "maxLength": ("characters, at most", "max_length"),
    "pattern": ("a text that matches", "pattern"),
    "format": ("a text of the format", "format"),
}
"""Words and field of `Column` by rule."""
_MOMENTS = {
    "date": "yyyy-MM-dd, as 2026-11-30",
    "timestamp": "ISO 8601, as 2026-11-30T09:15:00Z",
    "time": "HH:mm:ss, as 09:15:00",
}
_FIXED = {
    "required": "a value",
    "missingValues": "a value",
    "nullValues": "a value",
    "unique": "each value once",
    "duplicateValues": "each value once",
    "encoding": "text in the encoding of the file",
    "fieldCount": "as many fields as the header has",
    "quote": "quotes only around a whole field, doubled inside of it",
}


def with_expected(report: Report, contract: Contract) -> Report:
    """Return the report with what was expected at each broken rule."""
    checks = tuple(replace(check, expected=expected(check, contract)) for check in report.checks)
    return replace(report, checks=checks)


def expected(check: Check, contract: Contract) -> str | None:
    """Return what the contract expects where this rule is broken; None where it says no more."""
    rule = check.rule
    names = (check.column or "").split(",")
    column = next((c for c in contract.columns if c.name == names[0]), None)
    if rule == "foreignKey":
        to = [
            f"{it.dataset}.{', '.join(it.to)}"
            for it in contract.relationships
            if ",".join(it.columns) == check.column
        ]
        return f"a value of {to[0]}" if to else None
    if column is not None and (text := _of_column(rule, column)):
        return _cut(text)
    if rule == "unique" and len(names) > 1:
        return "each combination of values once"
    return _FIXED.get(rule)


def _of_column(rule: str, column: Column) -> str | None:
    if rule == "type":
        return _type(column)
    if rule == "enum":
        listed = ", ".join(str(value) for value in column.enum[:_LISTED])
        more = len(column.enum) - _LISTED
        return f"one of {listed}" + (f", and {more} more" if more > 0 else "")
    if rule in _FIELDS:
        words, field = _FIELDS[rule]
        value = getattr(column, field)
        return None if value is None else f"{words} {value}"
    return None


def _type(column: Column) -> str:
    """Return a type in words, with the format by which it is read."""
    kind = column.logical_type
    written = column.cleaning
    if kind in _MOMENTS:
        return f"{_article(kind)} {kind}, {column.format or _MOMENTS[kind]}"
    if kind == "boolean":
        words = [*written.true_values, *written.false_values]
        return f"one of {', '.join(words)}"
    if kind == "integer":
        return f"a whole number{f' of {column.format}' if column.format else ''}, as 42"
    if kind == "number":
        point = written.decimal
        text = f"a number with the decimal separator {point!r}, as 12{point}50"
        if written.currency:
            text += f", with or without {' or '.join(written.currency)}"
        if column.decimal is None:
            return text
        precision, scale = column.decimal
        return f"{text}; at most {precision - scale} digits before and {scale} after it"
    return f"{_article(kind)} {kind}"


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _cut(text: str) -> str:
    return text if len(text) <= _LENGTH else f"{text[: _LENGTH - 1]}…"
