"""What the contract says of values, as conditions that Delta enforces on every write.

Ranges and allowed values become one CHECK constraint. Patterns and lengths do not: they are
validated before the copy, in the contract's own dialect.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from spark_jobs.columns import SilverColumn, quoted

PREFIX = "contract_"
"""Constraints whose names begin so are ours; the rest of the name follows from the condition."""

_OPERATORS = {
    "minimum": ">=",
    "maximum": "<=",
    "exclusiveMinimum": ">",
    "exclusiveMaximum": "<",
}


def condition(column: SilverColumn) -> str | None:
    """What a value of the column must fulfil, in SQL; None where the contract leaves it free.

    Delta treats a condition that is null as violated, so the condition allows an empty value.
    """
    name = quoted(column.name)
    parts = [
        f"{name} {_OPERATORS[word]} {_literal(column, value)}" for word, value in column.bounds
    ]
    if column.allowed:
        parts.append(f"{name} IN ({', '.join(_literal(column, v) for v in column.allowed)})")
    return f"({name} IS NULL OR ({' AND '.join(parts)}))" if parts else None


def check(columns: Sequence[SilverColumn]) -> tuple[str, str] | None:
    """Name and condition of the constraint of a table; None where it needs none."""
    conditions = [clause for column in columns if (clause := condition(column))]
    if not conditions:
        return None
    whole = " AND ".join(conditions)
    return PREFIX + hashlib.sha256(whole.encode()).hexdigest()[:12], whole


def text(value: str) -> str:
    """A literal of SQL that stands for a text, whatever is in it."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _literal(column: SilverColumn, value: Any) -> str:
    match column.type:
        case "integer":
            return str(int(value))
        case "number":
            return f"{float(value)!r}D" if column.decimal is None else f"{value}BD"
        case "boolean":
            return "true" if value else "false"
        case "date":
            return f"DATE{text(str(value))}"
        case "timestamp":
            return f"TIMESTAMP{text(str(value))}"
        case _:
            return text(str(value))
