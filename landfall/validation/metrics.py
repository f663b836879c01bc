"""Quality rules over the whole table: measured block by block, then held against their bounds."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from landfall.contract.conditions import EVERY, columns_of
from landfall.contract.model import Contract, QualityRule
from landfall.validation.columns import UNSOUND, Cells
from landfall.validation.conditions import evaluator, expression
from landfall.validation.report import Measure

if TYPE_CHECKING:  # Polars takes longer to load than a small file to validate
    import polars as pl

_WORDS = {
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
    """One rule with a condition, and what was measured so far."""

    def __init__(self, rule: QualityRule, cells: Mapping[str, Cells]) -> None:
        self.rule = rule
        names = columns_of(rule.condition) + (() if rule.of is None else columns_of(rule.of))
        self.cells = [cells[name] for name in dict.fromkeys(names)]
        self.columns = [one.column.name for one in self.cells]
        self.masked = any(one.column.masked for one in self.cells)
        self._holds = evaluator(rule.condition)
        self._of = None if rule.of is None else evaluator(rule.of)
        self.count = 0
        self.total: Any = 0
        self.least: Any = None
        self.most: Any = None

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether the condition is true of a record whose values are all sound."""
        return all(values[name] is not UNSOUND for name in self.columns) and (
            self._holds(values) is True
        )

    def take(self, values: Mapping[str, Any]) -> None:
        """Take in a record for which it holds."""
        value = 1 if self._of is None else self._of(values)
        if value is not None:
            self.add(1, value, value, value)

    def add(self, count: int, total: Any, least: Any, most: Any) -> None:
        """Take in what was measured over some records."""
        if not count:
            return
        self.count += count
        self.total += total
        self.least = least if self.least is None else min(self.least, least)
        self.most = most if self.most is None else max(self.most, most)

    def over(self) -> "list[pl.Expr]":
        """Count, sum and extremes over all records of a frame of values."""
        import polars as pl  # noqa: PLC0415 - whoever asks has loaded it

        holds = expression(self.rule.condition)
        if self.rule.condition is EVERY:
            holds = pl.repeat(value=True, n=pl.len())
        of = pl.lit(1, dtype=pl.Int128) if self.rule.of is None else expression(self.rule.of)
        taken = pl.when(holds).then(of)
        return [taken.count(), taken.sum(), taken.min(), taken.max()]

    def value(self, rows: int) -> float | None:
        """What the rule's measure is, over `rows` records in all."""
        kind, count = self.rule.kind, self.count
        if kind == "count" and self.rule.condition is EVERY:
            return rows
        if kind in {"count", "duplicates"}:
            if not self.rule.percent:
                return count
            return 100 * count / rows if rows else None
        if not count:
            return None
        found = {"sum": self.total, "min": self.least, "max": self.most}
        return found[kind] if kind in found else self.total / count  # type: ignore[no-any-return]

    def measure(self, rows: int) -> Measure:
        """The measure against its bound."""
        rule, value = self.rule, self.value(rows)
        sign = " %" if rule.percent else ""
        bounds = [f"{bound:g}" if bound % 1 else f"{bound:.0f}" for bound in rule.bound]
        return Measure(
            rule=rule.name,
            column=rule.column or (",".join(rule.key) or None),
            value=value,
            expected=_WORDS[rule.operator].format(*bounds) + sign,
            kept=value is not None and rule.keeps(value),
        )


class Metrics:
    """All rules of a contract that have a condition; those on repeated values count elsewhere."""

    def __init__(self, contract: Contract, cells: Mapping[str, Cells]) -> None:
        self.all = [Metric(rule, cells) for rule in contract.rules if rule.kind != "duplicates"]
        self.per_record = [metric for metric in self.all if metric.rule.per_record]
        self.summed = [
            metric
            for metric in self.all
            if not metric.rule.per_record
            and not (metric.rule.condition is EVERY and not metric.columns)
        ]
        self.needed = list({id(c): c for metric in self.all for c in metric.cells}.values())

    def rows(self, table: Sequence[Sequence[Any]]) -> "list[dict[str, Any]]":
        """The values of some records by column; `UNSOUND` where they are none of the type."""
        if not self.needed or not table:
            return []
        columns = [one.checked_values(one.of_table(table)) for one in self.needed]
        names = [one.column.name for one in self.needed]
        return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]

    def frame(self, frame: "pl.DataFrame") -> "pl.DataFrame":
        """The same of a block's columns; what stands at candidates means nothing."""
        import polars as pl  # noqa: PLC0415 - whoever asks has loaded it

        return pl.DataFrame(
            {one.column.name: one.series(one.of_frame(frame)) for one in self.needed}
        )
