"""What is corrected between bronze and silver: rules as data, per dataset, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import Column as Expression
from pyspark.sql import functions as F  # noqa: N812


@dataclass(frozen=True)
class NullWhere:
    """A value of one column that stands for "not known"."""

    column: str
    value: int | str
    reason: str

    def applied(self, value: Expression) -> Expression:
        """The column after it."""
        return F.when(~value.eqNullSafe(F.lit(self.value)), value)


@dataclass(frozen=True)
class Capitals:
    """A column of codes whose letters come in both cases."""

    column: str
    reason: str

    def applied(self, value: Expression) -> Expression:
        """The column after it."""
        return F.upper(value)


Rule = NullWhere | Capitals

RULES: Mapping[str, Sequence[Rule]] = {
    "users": (
        NullWhere(
            "daysSinceLastLogin",
            737028,
            "days from year 0 to the extract: the source's way to say that nobody ever logged in",
        ),
    ),
    "online_retail": (
        Capitals("StockCode", "85123a and 85123A are one product, typed on different days"),
    ),
}


def rules_of(dataset: str) -> Sequence[Rule]:
    """The rules of a dataset; none where it has none of its own."""
    return RULES.get(dataset, ())


def emptied(dataset: str) -> set[str]:
    """The columns of a dataset that a rule can empty, whatever its contract requires."""
    return {rule.column for rule in rules_of(dataset) if isinstance(rule, NullWhere)}
