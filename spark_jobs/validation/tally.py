"""What is counted over records: mergeable in any order, and small whatever the file's size.

A tally is serialised as JSON, so that tasks can write it next to the records that they validated.
"""

from __future__ import annotations

import base64
import hashlib
import heapq
import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from spark_jobs.validation.plan import value_of, written

MAX_SAMPLES = 5
MAX_EXTRA = 1000
DISTINCT = 1024
"""Hashes that are kept of a column's values: so many are counted exactly."""
_SPACE = 1 << 64

Sample = tuple[int, str | None]
Check = tuple[str, str | None]


@dataclass
class Gauge:
    """A measure over the records that a rule takes in; a sum keeps its whole numbers whole."""

    count: int = 0
    total: Any = 0
    least: Any = None
    most: Any = None

    def add(self, count: int, total: Any, least: Any, most: Any) -> None:
        """Take in what was measured over some records."""
        if count:
            self.count += count
            self.total += total
            self.least = least if self.least is None else min(self.least, least)
            self.most = most if self.most is None else max(self.most, most)


@dataclass
class Column:
    """What the values of a column are like; `hashes` are the smallest of its distinct values."""

    count: int = 0
    nulls: int = 0
    least: Any = None
    most: Any = None
    hashes: set[int] = field(default_factory=set)
    whole: bool = True

    def extend(self, least: Any, most: Any) -> None:
        """Widen the extremes."""
        self.least = least if self.least is None else min(self.least, least)
        self.most = most if self.most is None else max(self.most, most)

    def note(self, texts: Iterable[str]) -> None:
        """Take in distinct values."""
        self.hashes.update(map(_hash, texts))
        self._trim()

    def merge(self, other: Column) -> None:
        """Take in what another tally knows of the same column."""
        self.count += other.count
        self.nulls += other.nulls
        if other.count:
            self.extend(other.least, other.most)
        self.whole = self.whole and other.whole
        self.hashes |= other.hashes
        self._trim()

    def _trim(self) -> None:
        if len(self.hashes) > DISTINCT:
            self.whole = False
        if len(self.hashes) > (2 * DISTINCT if not self.whole else DISTINCT):
            self.hashes = set(heapq.nsmallest(DISTINCT, self.hashes))

    def distinct(self) -> int:
        """How many different values there are, within some 3 % where they were not all kept."""
        if self.whole:
            return len(self.hashes)
        kept = heapq.nsmallest(DISTINCT, self.hashes)
        return round((len(kept) - 1) * _SPACE / kept[-1])


@dataclass
class Tally:
    """All that is counted over some records.

    Attributes:
        checks: by rule and column, how many records break it, and the first of them.
        too_long: the first record that is too long to hold.
        sample: records by a number that is spread evenly, with the cells of columns that may be
            shown.
    """

    rows: int = 0
    rejected: int = 0
    checks: dict[Check, tuple[int, list[Sample]]] = field(default_factory=dict)
    gauges: list[Gauge] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)
    extra: set[str] = field(default_factory=set)
    too_long: int | None = None
    sample: list[tuple[int, Sequence[Any]]] = field(default_factory=list)

    @classmethod
    def of(cls, gauges: int, columns: int) -> Tally:
        """Nothing counted yet."""
        return cls(
            gauges=[Gauge() for _ in range(gauges)], columns=[Column() for _ in range(columns)]
        )

    def fault(self, rule: str, column: str | None, line: int, value: str | None) -> None:
        """Count a broken rule; records come in the order of their lines."""
        failed, samples = self.checks.get((rule, column), (0, []))
        if len(samples) < MAX_SAMPLES:
            samples.append((line, value))
        self.checks[rule, column] = (failed + 1, samples)

    def note_too_long(self, line: int) -> None:
        """A record could not be held."""
        self.too_long = line if self.too_long is None else min(self.too_long, line)

    def merge(self, other: Tally) -> None:
        """Take in another tally, of records before or after these."""
        self.rows += other.rows
        self.rejected += other.rejected
        for key, (failed, samples) in other.checks.items():
            mine, held = self.checks.get(key, (0, []))
            first = sorted([*held, *samples], key=lambda sample: sample[0])[:MAX_SAMPLES]
            self.checks[key] = (mine + failed, first)
        for gauge, more in zip(self.gauges, other.gauges, strict=True):
            gauge.add(more.count, more.total, more.least, more.most)
        for column, further in zip(self.columns, other.columns, strict=True):
            column.merge(further)
        self.extra |= other.extra
        if other.too_long is not None:
            self.note_too_long(other.too_long)
        self.sample += other.sample

    def to_json(self) -> str:
        """As text of ASCII alone."""
        return json.dumps(
            {
                "rows": self.rows,
                "rejected": self.rejected,
                "checks": [[*key, *failures] for key, failures in self.checks.items()],
                "gauges": [[g.count, g.total, g.least, g.most] for g in self.gauges],
                "columns": [_column_json(column) for column in self.columns],
                "extra": sorted(self.extra)[:MAX_EXTRA],
                "too_long": self.too_long,
                "sample": self.sample,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Tally:
        """The inverse of `to_json`."""
        document = json.loads(text)
        return cls(
            rows=document["rows"],
            rejected=document["rejected"],
            checks={
                (rule, column): (failed, [(line, value) for line, value in samples])
                for rule, column, failed, samples in document["checks"]
            },
            gauges=[Gauge(*values) for values in document["gauges"]],
            columns=[_column_of(column) for column in document["columns"]],
            extra=set(document["extra"]),
            too_long=document["too_long"],
            sample=[(number, cells) for number, cells in document["sample"]],
        )


def merged(tallies: Iterator[Tally], nothing: Tally) -> Tally:
    """All of them together."""
    for tally in tallies:
        nothing.merge(tally)
    return nothing


def _hash(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _column_json(column: Column) -> dict[str, Any]:
    kept = array("Q", heapq.nsmallest(DISTINCT, column.hashes))
    return {
        "count": column.count,
        "nulls": column.nulls,
        "least": written(column.least),
        "most": written(column.most),
        "whole": column.whole,
        "hashes": base64.b64encode(kept.tobytes()).decode(),
    }


def _column_of(document: dict[str, Any]) -> Column:
    kept = array("Q")
    kept.frombytes(base64.b64decode(document["hashes"]))
    return Column(
        document["count"],
        document["nulls"],
        value_of(document["least"]),
        value_of(document["most"]),
        set(kept),
        document["whole"],
    )
