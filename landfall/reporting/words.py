"""Descriptions of rules and file formats for people."""

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
    "newline": "a carriage return without a line feed",
    "pattern": "does not match the pattern",
    "quote": "a quote out of place",
    "required": "missing",
    "type": "not a value of the column's type",
    "nullValues": "missing",
    "missingValues": "missing, or a value that stands for it",
    "invalidValues": "not a valid value",
    "duplicateValues": "repeats an earlier value",
    "sql": "matches a condition that no record may match",
    "unique": "repeats an earlier record's key",
}
"""Description of a fault by rule."""


def format_words(format_: Format) -> str:
    """Return a short description of a file format."""
    parts = [format_.kind]
    if format_.delimiter is not None and format_.delimiter != ",":
        parts.append(f"delimited by {format_.delimiter!r}")
    if format_.encoding not in {None, "UTF-8"}:
        parts.append(str(format_.encoding))
    if format_.compression != "none":
        parts.append(format_.compression)
    return " ".join(parts)
