"""Valid cells as columns of their physical types: the values that rules see, and what is stored.

`value_type` is the type in which values are compared; `stored_type` the one in which accepted
records are stored. They differ for times of day only, which no table format of the lake has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from landfall.contract.cleaning import CASES, WHITE, Cleaning
from landfall.contract.domains import FIRST_DAY, LAST_DAY
from landfall.contract.formats import DEFAULT_PATTERNS, moment_tokens
from landfall.contract.model import Column, Contract
from landfall.validation.rules import text_reader

if TYPE_CHECKING:  # Polars takes longer to load than a small file to validate
    import polars as pl


def value_type(column: Column) -> pl.DataType:
    """Return the Polars type of a column's values."""
    import polars as pl  # noqa: PLC0415 - already loaded

    if column.decimal is not None:
        return pl.Decimal(*column.decimal)
    types: dict[str, pl.DataType] = {
        "string": pl.String(),
        "integer": pl.Int64(),
        "number": pl.Float64(),
        "boolean": pl.Boolean(),
        "date": pl.Date(),
        "timestamp": pl.Datetime("us", "UTC"),
        "time": pl.Time(),
    }
    return types[column.logical_type]


def stored_type(column: Column) -> pl.DataType:
    """Return the Polars type in which a column is stored: times of day are text."""
    import polars as pl  # noqa: PLC0415 - already loaded

    return pl.String() if column.logical_type == "time" else value_type(column)


def stored_schema(contract: Contract) -> pl.Schema:
    """Return names and stored types of the contract's columns, in the contract's order."""
    import polars as pl  # noqa: PLC0415 - already loaded

    return pl.Schema({column.name: stored_type(column) for column in contract.columns})


def typed_columns(contract: Contract, frame: pl.DataFrame) -> pl.DataFrame:
    """Return accepted records in `stored_schema`.

    `frame` has the records' cells in columns of the contract's names: texts as in the file, or
    Parquet's types as Polars reads them. A column of the contract that it lacks is null in every
    record, and its other columns are dropped. Each cell must be valid: an invalid one becomes null
    or any other value.
    """
    import polars as pl  # noqa: PLC0415 - already loaded

    return pl.DataFrame(
        [
            stored(
                column,
                value_series(column, frame[column.name])
                if column.name in frame.columns
                else pl.Series([None], dtype=value_type(column)).new_from_index(0, len(frame)),
            ).alias(column.name)
            for column in contract.columns
        ]
    )


def typed_rows(contract: Contract, rows: Sequence[Sequence[Any]]) -> pl.DataFrame:
    """Return accepted records in `stored_schema`, from their values in the contract's order.

    The values are those of `Cells.values`, None where there is none.
    """
    import polars as pl  # noqa: PLC0415 - already loaded

    table = list(zip(*rows, strict=True)) if rows else [()] * len(contract.columns)
    return pl.DataFrame(
        [
            stored(column, pl.Series(list(values), dtype=value_type(column))).alias(column.name)
            for column, values in zip(contract.columns, table, strict=True)
        ]
    )


def stored(column: Column, values: pl.Series) -> pl.Series:
    """Return values of `value_type` in `stored_type`."""
    import polars as pl  # noqa: PLC0415 - already loaded

    if column.logical_type != "time":
        return values
    whole = values.dt.strftime("%H:%M:%S")
    if not (values.dt.microsecond() != 0).any():
        return whole
    fine = values.dt.strftime("%H:%M:%S%.6f")
    return pl.select(pl.when(values.dt.microsecond() == 0).then(whole).otherwise(fine)).to_series()


def value_series(column: Column, cells: pl.Series) -> pl.Series:
    """Return the values of a column of cells in `value_type`; each cell must be valid or ignored.

    An invalid cell becomes null or any other value. Empty and cleaned away cells become null.
    """
    import polars as pl  # noqa: PLC0415 - already loaded

    if isinstance(cells.dtype, (pl.Categorical, pl.Enum)):
        cells = cells.cast(pl.String)
    if cells.dtype == pl.Null:
        return cells.cast(value_type(column))
    if cells.dtype != pl.String:
        return _of_typed(column, cells)
    if column.logical_type == "boolean":
        return _by_distinct(column, cells)
    cells = clean_texts(column, cells)
    if column.logical_type == "string":
        return cells
    dtype = value_type(column)
    if not dtype.is_numeric():
        return _moments(column, cells)
    values = cells.cast(dtype, strict=False)
    if values.null_count() > cells.null_count():  # more zeros than Polars reads, for instance
        rest = cells.set(values.is_not_null(), None)
        plain = replace(column, cleaning=Cleaning())
        values = values.zip_with(rest.is_null(), _by_distinct(plain, rest))
    return values


def clean_texts(column: Column, cells: pl.Series) -> pl.Series:
    """Return the clean texts of a column of cells; null where there is no value.

    A number that is not written with the contract's separators becomes any other text.
    """
    import polars as pl  # noqa: PLC0415 - already loaded

    cleaning = column.cleaning
    if cleaning.trim:
        cells = cells.str.strip_chars(WHITE)
    missing = cells == ""
    if cleaning.missing:
        missing |= cells.is_in(pl.Series(cleaning.missing, dtype=pl.String).implode())
    cells = cells.set(missing, None)
    if cleaning.case is not None:
        return _recased(cleaning, cells)
    if cleaning.separated:
        if cleaning.thousands is not None:
            cells = cells.str.replace_all(cleaning.thousands, "", literal=True)
        cells = cells.str.replace(cleaning.decimal, ".", literal=True)
    return cells


def _recased(cleaning: Cleaning, cells: pl.Series) -> pl.Series:
    """Return texts in the case of the contract, as Python knows it."""
    import polars as pl  # noqa: PLC0415 - already loaded

    texts = cells.str.to_uppercase() if cleaning.case == "upper" else cells.str.to_lowercase()
    beyond = cells.str.len_bytes() != cells.str.len_chars()
    if not beyond.any():
        return texts
    recase = CASES[cleaning.case or ""]
    distinct = cells.filter(beyond).unique().drop_nulls()
    recased = pl.Series([recase(text) for text in distinct.to_list()], dtype=pl.String)
    others = cells.set(~beyond, None).replace_strict(
        distinct, recased, default=None, return_dtype=pl.String
    )
    return texts.zip_with(~beyond | cells.is_null(), others)


def _of_typed(column: Column, cells: pl.Series) -> pl.Series:
    """Convert a column that Parquet gives in a type of its own."""
    import polars as pl  # noqa: PLC0415 - already loaded

    dtype, target = cells.dtype, value_type(column)
    if column.cleaning.missing:
        texts = cells.cast(pl.String)
        cells = cells.set(texts.is_in(pl.Series(column.cleaning.missing).implode()), None)
    if isinstance(dtype, pl.Datetime) and isinstance(target, pl.Datetime):
        if dtype.time_zone is None:
            cells = cells.dt.replace_time_zone("UTC")
        return cells.dt.convert_time_zone("UTC").dt.cast_time_unit("us")
    if dtype.is_decimal() and not target.is_decimal():
        cells = cells.cast(pl.String)  # the nearest double of its digits
        if target.is_integer():
            cells = cells.str.split_exact(".", 1).struct.field("field_0")
    if dtype.is_float() and target.is_decimal():
        cells = pl.Series(
            [None if value is None else Decimal(repr(value)) for value in cells.to_list()],
            dtype=target,
            strict=False,
        )
    return cells.cast(target, strict=False)


def _by_distinct(column: Column, cells: pl.Series) -> pl.Series:
    """Read each distinct text once, by the exact rules."""
    import polars as pl  # noqa: PLC0415 - already loaded

    read, dtype = text_reader(column), value_type(column)
    distinct = cells.unique().drop_nulls()

    def value(cell: str) -> Any:
        try:
            return read(cell) if cell else None
        except (ValueError, OverflowError):
            return None

    values = pl.Series([value(cell) for cell in distinct.to_list()], dtype=dtype)
    return cells.replace_strict(distinct, values, default=None, return_dtype=dtype)


_CHRONO = {
    "yyyy": "%Y",
    "uuuu": "%Y",
    "MM": "%m",
    "dd": "%d",
    "HH": "%H",
    "mm": "%M",
    "ss": "%S",
    "T": "T",
}


def _moments(column: Column, cells: pl.Series) -> pl.Series:
    """Read dates and times: by the common ways to write them at once, others one by one."""
    import polars as pl  # noqa: PLC0415 - already loaded

    dtype = value_type(column)
    naive: Any = pl.Datetime("us") if isinstance(dtype, pl.Datetime) else dtype
    values = pl.Series([None], dtype=dtype).new_from_index(0, len(cells))
    left = cells.set(cells == "", None)
    for pattern in _patterns(column):
        if left.null_count() == len(left):
            return values
        found = left.str.strptime(naive, pattern, strict=False)
        if isinstance(dtype, pl.Datetime):
            found = found.dt.replace_time_zone("UTC")
        if not isinstance(dtype, pl.Time):  # of an invalid cell chrono may read any year
            found = found.set(~found.dt.year().is_between(FIRST_DAY.year, LAST_DAY.year), None)
        values = values.zip_with(found.is_null(), found)
        left = left.set(found.is_not_null(), None)
    if left.null_count() < len(left):
        values = values.zip_with(left.is_null(), _by_distinct(column, left))
    return values


def _patterns(column: Column) -> Iterator[str]:
    """Yield patterns of chrono that read a valid text as the contract's format does, or not at all.

    Offsets other than a literal Z are left to the exact reader.
    """
    kind = column.logical_type
    if column.format is None:
        if kind != "timestamp":
            yield _chrono(DEFAULT_PATTERNS[kind]) or ""
            return
        for middle in ("T", " "):
            for end in ("", "Z"):
                if column.timezone in {None, bool(end)}:
                    yield f"%Y-%m-%d{middle}%H:%M:%S{end}"
    elif (pattern := _chrono(column.format)) is not None:
        yield pattern


def _chrono(pattern: str) -> str | None:
    """Return a JDK pattern as chrono's; None if it has more than fixed fields and ASCII text."""
    parts = []
    for text, kind in moment_tokens(pattern):
        # For chrono any white space stands for any other.
        if kind == "literal" and text.isascii() and (text == " " or not set(text) & set("% \t")):
            parts.append(text)
        elif kind == "field" and text in _CHRONO:
            parts.append(_CHRONO[text])
        else:
            return None
    return "".join(parts)
