"""Columns of generated tables, and writing them as CSV."""

from collections.abc import Mapping
from typing import IO, Any

import polars as pl

from marketplace.generator.chance import Ints

Frame = Mapping[str, Any]
"""Columns of equal length, by name: numpy arrays or polars series."""


def money(cents: Ints) -> pl.Series:
    """Return amounts with two decimals, as text, to avoid floats."""
    whole = pl.Series(cents // 100).cast(pl.String)
    return whole + "." + pl.Series(cents % 100).cast(pl.String).str.zfill(2)


def where(kept: Any, values: pl.Series) -> pl.Series:
    """Return the values where `kept`, else null."""
    return pl.select(pl.when(pl.lit(pl.Series(kept))).then(pl.lit(values))).to_series()


def timestamps(at: Ints) -> pl.Series:
    """Return Unix times as timestamps."""
    return pl.from_epoch(pl.Series(at))


def write_csv(file: IO[bytes], frame: Frame, *, header: bool) -> int:
    """Write the records of a frame; return their number.

    Text must not have commas or quotes, because `break_records` splits records at commas.
    """
    table = pl.DataFrame({name: pl.Series(name, values) for name, values in frame.items()})
    file.write(
        table.write_csv(
            include_header=header,
            datetime_format="%Y-%m-%d %H:%M:%S",
            date_format="%Y-%m-%d",
            quote_style="never",
        ).encode()
    )
    return table.height
