"""Measures quality rules over the whole table and compares them to their bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from landfall.contract.conditions import ALWAYS_TRUE, columns_of
from landfall.contract.model import Contract, QualityRule
from landfall.validation.columns import INVALID, Cells
from landfall.validation.conditions import Values, add_matches, evaluator
from landfall.validation.report import Measure

if TYPE_CHECKING:  # Polars takes longer to load than a small file to validate
    import polars as pl

_EXPECTATIONS = {
    "mustBe": "be {}",
    "mustNotBe": "not be {}",
    "mustBeGreaterThan": "be greater than {}",
    "mustBeGreaterOrEqualTo": "be at least {}",
    "mustBeLessThan": "be less than {}",
    "mustBeLessOrEqualTo": "be at most {}",
    "mustBeBetween": "lie between {} and {}",
    "mustNotBeBetween": "not lie between {} and {}",
}


class Metric:
    """The measure of one quality rule over the records so far."""

    def __init__(self, rule: QualityRule, cells: Mapping[str, Cells]) -> None:
        self.rule = rule
        names = columns_of(rule.condition) + (() if rule.of is None else columns_of(rule.of))
        self.cells = [cells[name] for name in dict.fromkeys(names)]
        self.columns = [column_cells.column.name for column_cells in self.cells]
        self.masked = any(column_cells.column.masked for column_cells in self.cells)
        self._evaluate = evaluator(rule.condition)
        self._of = None if rule.of is None else evaluator(rule.of)
        self.count = 0
        self.total: Any = 0
        self.least: Any = None
        self.most: Any = None

    def matches(self, values: Values) -> bool:
        """Whether a record has valid values and satisfies the condition."""
        return all(values[name] is not INVALID for name in self.columns) and (
            self._evaluate(values) is True
        )

    def add_record(self, values: Values) -> None:
        """Add a record that satisfies the condition."""
        value = 1 if self._of is None else self._of(values)
        if value is not None:
            self.add(1, value, value, value)

    def add(self, count: int, total: Any, least: Any, most: Any) -> None:
        """Add the aggregates of several records."""
        if not count:
            return
        self.count += count
        self.total += total
        self.least = least if self.least is None else min(self.least, least)
        self.most = most if self.most is None else max(self.most, most)

    def aggregates(self) -> list[pl.Expr]:
        """Return expressions of count, sum and extremes over a frame of values."""
        import polars as pl  # noqa: PLC0415 - already loaded

        from landfall.validation.prefilter.expressions import expression  # noqa: PLC0415

        condition = expression(self.rule.condition)
        if self.rule.condition is ALWAYS_TRUE:
            condition = pl.repeat(value=True, n=pl.len())
        of = pl.lit(1, dtype=pl.Int128) if self.rule.of is None else expression(self.rule.of)
        taken = pl.when(condition).then(of)
        return [taken.count(), taken.sum(), taken.min(), taken.max()]

    def value(self, rows: int) -> float | None:
        """Return the measure over `rows` records; None if nothing was measured."""
        kind, count = self.rule.kind, self.count
        if kind == "count" and self.rule.condition is ALWAYS_TRUE:
            return rows
        if kind in {"count", "duplicates"}:
            if not self.rule.percent:
                return count
            return 100 * count / rows if rows else None
        if not count:
            return None
        measures = {"sum": self.total, "min": self.least, "max": self.most}
        return measures[kind] if kind in measures else self.total / count  # type: ignore[no-any-return]

    def measure(self, rows: int) -> Measure:
        """Return the measure compared to its bound."""
        rule, value = self.rule, self.value(rows)
        sign = " %" if rule.percent else ""
        bounds = [f"{bound:g}" if bound % 1 else f"{bound:.0f}" for bound in rule.bound]
        return Measure(
            rule=rule.name,
            column=rule.column or (",".join(rule.key) or None),
            value=value,
            expected=_EXPECTATIONS[rule.operator].format(*bounds) + sign,
            kept=value is not None and rule.is_satisfied_by(value),
        )


class Metrics:
    """All quality rules of a contract except those on duplicates, which `Key` counts."""

    def __init__(self, contract: Contract, cells: Mapping[str, Cells]) -> None:
        self.all = [Metric(rule, cells) for rule in contract.rules if rule.kind != "duplicates"]
        self.per_record = [metric for metric in self.all if metric.rule.per_record]
        self.summed = [
            metric
            for metric in self.all
            if not metric.rule.per_record
            and not (metric.rule.condition is ALWAYS_TRUE and not metric.columns)
        ]
        self.needed = list(
            {
                id(column_cells): column_cells
                for metric in self.all
                for column_cells in metric.cells
            }.values()
        )

    def rows(self, table: Sequence[Sequence[Any]]) -> list[dict[Any, Any]]:
        """Return the values of records, see `conditions.Values`; `INVALID` if of another type."""
        if not self.needed or not table:
            return []
        columns = [
            column_cells.checked_values(column_cells.of_table(table))
            for column_cells in self.needed
        ]
        names = [column_cells.column.name for column_cells in self.needed]
        records: list[dict[Any, Any]] = [
            dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)
        ]
        for metric in self.all:
            add_matches(metric.rule.condition, records)
            if metric.rule.of is not None:
                add_matches(metric.rule.of, records)
        return records

    def frame(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the values of a block as a frame; the values of candidates are undefined."""
        import polars as pl  # noqa: PLC0415 - already loaded

        return pl.DataFrame(
            {
                column_cells.column.name: column_cells.series(column_cells.of_frame(frame))
                for column_cells in self.needed
            }
        )
