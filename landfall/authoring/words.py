"""Rules, and ways to write a file, in words that people read."""

from __future__ import annotations

from landfall.validation.report import Format

EXPLAINED = {
    "encoding": "bytes that are not text",
    "enum": "not an allowed value",
    "exclusiveMaximum": "not below the upper bound",
    "exclusiveMinimum": "not above the lower bound",
    "fieldCount": "wrong number of fields",
    "foreignKey": "not found in the dataset that it refers to",
    "format": "not of the required form",
    "json": "not a JSON object",
    "maxLength": "too long",
    "maximum": "above the maximum",
    "minLength": "too short",
    "minimum": "below the minimum",
    "multipleOf": "not a multiple",
    "newline": "a carriage return alone",
    "pattern": "does not match the pattern",
    "quote": "a quote out of place",
    "required": "missing",
    "type": "not a value of the column's type",
    "nullValues": "missing",
    "missingValues": "missing, or a value that stands for it",
    "invalidValues": "not a valid value",
    "duplicateValues": "repeats an earlier value",
    "sql": "meets a condition that none may meet",
    "unique": "repeats an earlier record's key",
}
"""Rules in words."""


def format_words(found: Format) -> str:
    """How a file is written, in a few words."""
    parts = [found.kind]
    if found.delimiter is not None and found.delimiter != ",":
        parts.append(f"delimited by {found.delimiter!r}")
    if found.encoding not in {None, "UTF-8"}:
        parts.append(str(found.encoding))
    if found.compression != "none":
        parts.append(found.compression)
    return " ".join(parts)
