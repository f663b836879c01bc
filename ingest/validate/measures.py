"""Quality rules over the whole table: measured block by block, then held against their bounds."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ingest.contract.conditions import EVERY, columns_of
from ingest.contract.model import Contract, Rule
from ingest.validate.columns import UNSOUND, Cells
from ingest.validate.conditions import evaluator, expression
from ingest.validate.report import Measure

if TYPE_CHECKING:  # Polars takes longer to load than a small file to judge
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


class Gauge:
    """One rule with a condition, and what was measured so far."""

    def __init__(self, rule: Rule, cells: Mapping[str, Cells]) -> None:
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
        """What the rule's measure is, over ``rows`` records in all."""
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


class Gauges:
    """All rules of a contract that have a condition; those on repeated values count elsewhere."""

    def __init__(self, contract: Contract, cells: Mapping[str, Cells]) -> None:
        self.all = [Gauge(rule, cells) for rule in contract.rules if rule.kind != "duplicates"]
        self.per_record = [gauge for gauge in self.all if gauge.rule.per_record]
        self.summed = [
            gauge
            for gauge in self.all
            if not gauge.rule.per_record
            and not (gauge.rule.condition is EVERY and not gauge.columns)
        ]
        self.needed = list({id(c): c for gauge in self.all for c in gauge.cells}.values())

    def rows(self, table: Sequence[Sequence[Any]]) -> "list[dict[str, Any]]":
        """The values of some records by column; ``UNSOUND`` where they are none of the type."""
        if not self.needed or not table:
            return []
        columns = [one.checked_values(one.of_table(table)) for one in self.needed]
        names = [one.column.name for one in self.needed]
        return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]

    def frame(self, frame: "pl.DataFrame") -> "pl.DataFrame":
        """The same of a block's columns; what stands at suspects means nothing."""
        import polars as pl  # noqa: PLC0415 - whoever asks has loaded it

        return pl.DataFrame(
            {one.column.name: one.series(one.of_frame(frame)) for one in self.needed}
        )
