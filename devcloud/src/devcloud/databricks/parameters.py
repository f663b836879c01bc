"""Parameters of a request, which come as text in a query and as JSON in a body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devcloud.databricks.errors import invalid


def number(document: Mapping[str, Any], key: str, default: int | None = None) -> int:
    """A whole number; 400 where it is none, or missing without a default."""
    value = document.get(key, default)
    try:
        if value is None or isinstance(value, bool):
            raise ValueError  # noqa: TRY301
        return int(value)
    except (TypeError, ValueError):
        raise invalid(f"{key} must be a whole number, not {value!r}.") from None


def page_limit(query: Mapping[str, Any], most: int) -> int:
    """How many entries a page may have: `limit`, 20 by default."""
    limit = number(query, "limit", 20) or 20
    if not 1 <= limit <= most:
        raise invalid(f"limit must be 1 to {most}, not {limit}.")
    return limit


def flag(query: Mapping[str, Any], key: str) -> bool:
    """True only for true."""
    return str(query.get(key, "false")).lower() == "true"
