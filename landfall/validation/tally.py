"""What is counted over the records of a part of a file: mergeable in any order, small, and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from landfall.validation.profile import Distinct
from landfall.validation.record_validator import MAX_SAMPLES, RecordValidator

MAX_EXTRA = 1000

Sampled = tuple[int, str | None]
_READERS: dict[str, Any] = {
    "date": date.fromisoformat,
    "datetime": datetime.fromisoformat,
    "time": time.fromisoformat,
    "Decimal": Decimal,
}


@dataclass
class Gauge:
    """A measure over the records that a rule selects; a sum of integers is an integer."""

    count: int = 0
    total: Any = 0
    least: Any = None
    most: Any = None

    def add(self, count: int, total: Any, least: Any, most: Any) -> None:
        """Add what was measured over some records."""
        if count:
            self.count += count
            self.total += total
            self.least = least if self.least is None else min(self.least, least)
            self.most = most if self.most is None else max(self.most, most)


@dataclass
class ColumnTally:
    """Counts and extremes of the values of a column."""

    count: int = 0
    nulls: int = 0
    least: Any = None
    most: Any = None
    distinct: Distinct = field(default_factory=Distinct)

    def merge(self, other: ColumnTally) -> None:
        """Add what was counted of the same column in another part."""
        self.count += other.count
        self.nulls += other.nulls
        for value in (other.least, other.most):
            if value is not None:
                self.least = value if self.least is None else min(self.least, value)
                self.most = value if self.most is None else max(self.most, value)
        self.distinct.merge(other.distinct.to_dict())


@dataclass
class Tally:
    """All that is counted over some records.

    Attributes:
        checks: by rule and column, how many records break it, and the first of them.
        too_long: the line of the first record that is too long.
        sample: records by a number that is spread evenly, with their cells as JSON.
    """

    rows: int = 0
    rejected: int = 0
    checks: dict[tuple[str, str | None], tuple[int, list[Sampled]]] = field(default_factory=dict)
    gauges: list[Gauge] = field(default_factory=list)
    columns: list[ColumnTally] = field(default_factory=list)
    extra: set[str] = field(default_factory=set)
    too_long: int | None = None
    sample: list[tuple[int, Sequence[Any]]] = field(default_factory=list)

    @classmethod
    def of(cls, validator: RecordValidator) -> Tally:
        """Return what a validator has counted; sample and extra names are not among it."""
        return cls(
            rows=validator.rows,
            rejected=validator.rejected,
            checks={
                check: (failed, [(sample.line, sample.value) for sample in samples])
                for check, (failed, samples) in validator.broken_rules.items()
            },
            gauges=[Gauge(m.count, m.total, m.least, m.most) for m in validator.metrics],
            columns=[
                ColumnTally(c.count, c.nulls, c.least, c.most, _distinct(c.distinct))
                for c in validator.columns
            ],
        )

    def note_too_long(self, line: int) -> None:
        """A record was too long to be held."""
        self.too_long = line if self.too_long is None else min(self.too_long, line)

    def merge(self, other: Tally) -> None:
        """Add another tally, of records before or after these."""
        self.rows += other.rows
        self.rejected += other.rejected
        for check, (failed, samples) in other.checks.items():
            self.count(check, failed, samples)
        self.gauges = self.gauges or [Gauge() for _ in other.gauges]
        for gauge, more in zip(self.gauges, other.gauges, strict=False):  # one may have none yet
            gauge.add(more.count, more.total, more.least, more.most)
        self.columns = self.columns or [ColumnTally() for _ in other.columns]
        for column, further in zip(self.columns, other.columns, strict=False):
            column.merge(further)
        self.extra |= other.extra
        if other.too_long is not None:
            self.note_too_long(other.too_long)
        self.sample += other.sample

    def count(self, check: tuple[str, str | None], failed: int, samples: Iterable[Sampled]) -> None:
        """Count records that break a rule."""
        before, held = self.checks.get(check, (0, []))
        first = sorted([*held, *samples], key=lambda sample: sample[0])[:MAX_SAMPLES]
        self.checks[check] = (before + failed, first)

    def to_json(self) -> str:
        """Return it as text of ASCII characters."""
        return json.dumps(
            {
                "rows": self.rows,
                "rejected": self.rejected,
                "checks": [[*check, *failures] for check, failures in self.checks.items()],
                "gauges": [list(map(_written, _parts(gauge))) for gauge in self.gauges],
                "columns": [
                    [c.count, c.nulls, _written(c.least), _written(c.most), c.distinct.to_dict()]
                    for c in self.columns
                ],
                "extra": sorted(self.extra)[:MAX_EXTRA],
                "too_long": self.too_long,
                "sample": self.sample,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Tally:
        """Return the inverse of `to_json`."""
        document = json.loads(text)
        columns = []
        for count, nulls, least, most, values in document["columns"]:
            distinct = Distinct()
            distinct.merge(values)
            columns.append(ColumnTally(count, nulls, _read(least), _read(most), distinct))
        return cls(
            rows=document["rows"],
            rejected=document["rejected"],
            checks={
                (rule, column): (failed, [(line, value) for line, value in samples])
                for rule, column, failed, samples in document["checks"]
            },
            gauges=[Gauge(*map(_read, gauge)) for gauge in document["gauges"]],
            columns=columns,
            extra=set(document["extra"]),
            too_long=document["too_long"],
            sample=[(number, cells) for number, cells in document["sample"]],
        )


def _distinct(distinct: Any) -> Distinct:
    copy = Distinct()
    copy.merge(distinct.to_dict())
    return copy


def _parts(gauge: Gauge) -> tuple[Any, ...]:
    return gauge.count, gauge.total, gauge.least, gauge.most


def _written(value: Any) -> Any:
    """Return a value as JSON: a moment or decimal as an object of its type and its text."""
    if isinstance(value, (date, time, Decimal)):
        text = str(value) if isinstance(value, Decimal) else value.isoformat()
        return {type(value).__name__: text}
    return value


def _read(written: Any) -> Any:
    if not isinstance(written, dict):
        return written
    ((kind, text),) = written.items()
    return _READERS[kind](text)
