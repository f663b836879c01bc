"""Checks relationships: whether foreign keys exist in another dataset.

The keys of the other dataset are held as numbers: 8 bytes for an integer, 16 for any other key, so
memory is bounded by `MAX_KEYS`. A foreign key with a null part is not checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from landfall.contract.model import Relationship
from landfall.validation.columns import Cells, Key
from landfall.validation.keys import Seen
from landfall.validation.report import Link
from landfall.validation.streams import References, ReferenceUnavailable
from landfall.validation.typed import value_type

if TYPE_CHECKING:  # Polars takes longer to load than a small file to validate
    import polars as pl

MAX_KEYS = 20_000_000
"""Most keys of another dataset that are held in memory."""


class NoReferences:
    """References without any dataset."""

    def values(self, dataset: str, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Raise ReferenceUnavailable."""
        raise ReferenceUnavailable(f"dataset {dataset} ({', '.join(columns)}) is not available")


class Reference:
    """One relationship, with the keys of the other dataset if they could be read."""

    def __init__(
        self, relationship: Relationship, cells: Mapping[str, Cells], references: References
    ) -> None:
        self.key = Key([cells[name] for name in relationship.columns], empty=False)
        self._known = Seen(whole_numbers=self.key.whole_numbers)
        self._relationship = relationship
        self.missing: str | None = None
        try:
            for frame in references.values(relationship.dataset, relationship.to):
                self._take(frame)
        except ReferenceUnavailable as error:
            self.missing = str(error)

    def _take(self, frame: pl.DataFrame) -> None:
        pairs = zip(self.key.cells, self._relationship.to, strict=True)
        columns = [_as_value(cells, frame[name]) for cells, name in pairs]
        self._known.repeated_in(self.key.of_values(columns))
        if len(self._known) > MAX_KEYS:
            raise ReferenceUnavailable(
                f"{self._relationship.target} has more than {MAX_KEYS:,} values, "
                "too many to be held at once"
            )

    def orphans(self, keys: pl.Series) -> list[int]:
        """Return positions of records whose foreign key does not exist."""
        return [] if self.missing is not None else self._known.orphans_in(keys)

    def orphans_among(self, numbers: Any, absent: Any) -> list[int]:
        """Return the same for an array of integers, with flags where there is no key."""
        return [] if self.missing is not None else self._known.orphans_among(numbers, absent)

    def link(self) -> Link:
        """Return the relationship as in the report."""
        checked = self.missing is None
        return Link(
            column=self.key.name,
            to=self._relationship.target,
            checked=checked,
            keys=len(self._known) if checked else 0,
            reason=self.missing,
        )


def _as_value(cells: Cells, column: pl.Series) -> pl.Series:
    """Return a column of another dataset in the type of the referring column."""
    import polars as pl  # noqa: PLC0415 - already loaded

    kind = cells.column.logical_type
    if column.dtype == pl.String and kind != "string":
        return cells.series(column.fill_null(""))
    try:
        if kind == "timestamp" and getattr(column.dtype, "time_zone", "UTC") is None:
            column = column.dt.replace_time_zone("UTC")
        return column.cast(value_type(cells.column))
    except pl.exceptions.PolarsError:
        raise ReferenceUnavailable(
            f"{column.name} is {column.dtype} in the other dataset, not {kind}"
        ) from None
