"""Reads a block of delimited text into columns as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl


def parse_block(
    text: bytes,
    schema: Mapping[str, Any],
    positions: Iterable[int],
    *,
    delimiter: str,
    quote: str | None,
) -> pl.DataFrame | None:
    """Return the columns at `positions`, named by them; None if the text cannot be parsed.

    `schema` has the type of every column by its position, as text. A cell that is no value of its
    type is null, an empty text is not, and missing and surplus fields are no errors.
    """
    try:
        return pl.read_csv(
            text,
            has_header=False,
            schema=dict(schema),
            separator=delimiter,
            quote_char=quote,
            ignore_errors=True,
            empty_string_is_null=False,
            extra_columns="ignore",
            missing_columns="insert",
            columns=sorted(positions),
        )
    except pl.exceptions.PolarsError:
        return None
