"""Deletes by comparison: the rows of silver whose keys a source does not have any more.

They come to silver as any change does, by a drop: each as it stands there, with the time in the
column that the contract's `deletedWhen` names. A row that is marked and has its key in the source
again comes without it.

Only rows that landed before the keys were asked for are compared: a younger one may have been
inserted after they were read.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ingest import paths
from ingest.errors import Conflict
from ingest.ports import Lake
from ingest.stages.validate.delta import DataFile, Unreadable, live_files
from ingest.stages.validate.references import LakeSource
from landfall.contract.folder import Contract

if TYPE_CHECKING:  # Polars takes longer to load than most requests take
    import polars as pl

LANDED = "_landed_at"
"""Silver's column with the time at which a row's drop landed."""
MOST_KEYS = 20_000_000
"""Keys that are held in memory at once."""


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Attributes:
        keys: lake path of a Parquet file with the keys that the source has.
        asked: when the keys were asked for; younger rows are left alone.
        at: what is written as the time of the delete.
        most: share of the rows that may be deleted at once; more is taken for a fault.
    """

    keys: str
    asked: datetime
    at: datetime
    most: float


def changed_rows(lake: Lake, contract: Contract, comparison: Comparison) -> tuple[bytes, int]:
    """Return a Parquet file of the rows that were deleted or are there again, and their number.

    Raises:
        Conflict: more rows are gone than is believed, or silver cannot be compared.
    """
    import polars as pl  # noqa: PLC0415 - see the type's import

    table = _Silver(lake, contract)
    here = table.states()
    source = _keys(lake, contract, comparison.keys, here)
    here = here.filter(pl.col(LANDED) < _like(comparison.asked, here.schema[LANDED]))
    gone = here.filter(~pl.col("_gone")).join(source, on=list(contract.key), how="anti")
    again = here.filter(pl.col("_gone")).join(source, on=list(contract.key), how="semi")
    live = here.filter(~pl.col("_gone")).height
    if gone.height > comparison.most * live:
        raise Conflict(
            f"{gone.height:,} of {live:,} rows of {contract.dataset} are not in the source any "
            f"more, and no more than {comparison.most:.0%} is believed: look at the source, then "
            "raise maxDeletedRatio"
        )
    rows = table.rows(pl.concat([gone, again]))
    marked = gone.select(contract.key).with_columns(pl.lit(value=True).alias("_deleted"))
    rows = rows.join(marked, on=list(contract.key), how="left")
    name = str(contract.deleted_when)
    rows = rows.with_columns(
        pl.when(pl.col("_deleted")).then(_mark(comparison.at, rows.schema[name])).alias(name)
    ).select([column.name for column in contract.columns])
    buffer = io.BytesIO()
    rows.write_parquet(buffer)
    return buffer.getvalue(), rows.height


def _keys(lake: Lake, contract: Contract, path: str, here: pl.DataFrame) -> pl.DataFrame:
    import polars as pl  # noqa: PLC0415 - see the type's import

    from landfall.validation.readers.footer import frames  # noqa: PLC0415 - likewise

    version = lake.head(path)
    if version is None:
        raise Conflict(f"the keys of {contract.dataset} are not at {path}")
    source = LakeSource(lake, path, version.size)
    kinds = {name: here.schema[name] for name in contract.key}
    try:
        parts = [part.cast(kinds) for part in frames(source, list(contract.key))]  # type: ignore[arg-type]
    except (ValueError, pl.exceptions.PolarsError) as error:
        raise Conflict(f"the keys of {contract.dataset} cannot be compared: {error}") from error
    return pl.concat(parts) if parts else here.select(contract.key).clear()


@dataclass(frozen=True)
class _Silver:
    """The silver table of a contract, read without Spark."""

    lake: Lake
    contract: Contract

    def states(self) -> pl.DataFrame:
        """Of each key when its row landed, and whether it is marked as deleted (`_gone`).

        A file may still have rows that a later one replaces: the one that landed last counts.
        """
        import polars as pl  # noqa: PLC0415 - see the type's import

        name = str(self.contract.deleted_when)
        columns = [*self.contract.key, LANDED, name]
        parts = [
            part.with_columns(
                pl.col(name).cast(pl.String).fill_null("false").ne("false").alias("_gone")
            ).drop(name)
            for part in self._frames(columns)
        ]
        if not parts:
            raise Conflict(f"silver has no rows of {self.contract.dataset} to compare")
        states = pl.concat(parts)
        if states.height > MOST_KEYS:
            raise Conflict(
                f"{self.contract.dataset} has more than {MOST_KEYS:,} rows, too many to compare"
            )
        return states.sort(LANDED).unique(list(self.contract.key), keep="last")

    def rows(self, chosen: pl.DataFrame) -> pl.DataFrame:
        """The rows of some keys, as the contract has them."""
        import polars as pl  # noqa: PLC0415 - see the type's import

        on = [*self.contract.key, LANDED]
        names = [column.name for column in self.contract.columns]
        parts = [
            part.join(chosen.select(on), on=on, how="semi")
            for part in self._frames([*names, LANDED])
        ]
        return pl.concat(parts).unique(list(self.contract.key)).select(self._as_landed(parts[0]))

    def _as_landed(self, part: pl.DataFrame) -> list[pl.Expr]:
        """Times of silver are UTC; those of a contract without time zone have none."""
        import polars as pl  # noqa: PLC0415 - see the type's import

        expressions = []
        for column in self.contract.columns:
            kind, expression = part.schema[column.name], pl.col(column.name)
            if isinstance(kind, pl.Datetime) and kind.time_zone and column.timezone is not True:
                expression = expression.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
            if column.logical_type == "time" and isinstance(kind, pl.String):
                expression = expression.str.to_time()
            expressions.append(expression)
        return expressions

    def _frames(self, columns: list[str]) -> Iterator[pl.DataFrame]:
        table = f"{paths.SILVER}/{self.contract.dataset}"
        try:
            files = live_files(self.lake, table) or []
            for file in files:
                yield from self._file(table, file, columns)
        except (Unreadable, ValueError) as error:
            raise Conflict(f"{table} cannot be compared: {error}") from error

    def _file(self, table: str, file: DataFile, columns: list[str]) -> Iterator[pl.DataFrame]:
        """One file; those from before the contract had `deletedWhen` lack its column."""
        import polars as pl  # noqa: PLC0415 - see the type's import

        from landfall.validation.readers.footer import frames  # noqa: PLC0415 - likewise

        source = LakeSource(self.lake, f"{table}/{file.path}", file.size)
        name = str(self.contract.deleted_when)
        try:
            yield from frames(source, columns)
        except ValueError:
            older = [column for column in columns if column != name]
            kind = {
                "timestamp": pl.Datetime("us", "UTC"),
                "date": pl.Date(),
                "boolean": pl.Boolean(),
            }
            dtype = kind[self.contract.column(name).logical_type]
            for part in frames(source, older):
                yield part.with_columns(pl.lit(None, dtype).alias(name)).select(columns)


def _like(moment: datetime, dtype: pl.DataType) -> pl.Expr:
    """A time as a literal of a column's type."""
    import polars as pl  # noqa: PLC0415 - see the type's import

    zoned = isinstance(dtype, pl.Datetime) and dtype.time_zone is not None
    return pl.lit(moment.astimezone(UTC) if zoned else moment.astimezone(UTC).replace(tzinfo=None))


def _mark(at: datetime, dtype: pl.DataType) -> pl.Expr:
    """What says that a row is deleted."""
    import polars as pl  # noqa: PLC0415 - see the type's import

    if isinstance(dtype, pl.Boolean):
        return pl.lit(value=True)
    return _like(at, dtype).cast(dtype)


__all__ = ["Comparison", "changed_rows"]
