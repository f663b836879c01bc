"""Renders a validation report as one HTML page for the producer of the file.

The page loads no resources, has no scripts and escapes every value. Values of masked columns are
already masked in the report. The page itself is `templates/report.html.j2`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from landfall.reporting.provenance import Provenance
from landfall.reporting.words import EXPLAINED, format_words
from landfall.validation.report import MASK, Example, Report

_VERDICTS = {
    "accepted": "Accepted",
    "accepted_with_rejects": "Accepted, rejects split off",
    "refused": "Refused",
}
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_SHOWN = 200
_WIDTH, _HEIGHT = 120, 28


@dataclass(frozen=True)
class _Fact:
    """A line below the verdict: a text, or names with a text about them."""

    term: str
    text: str
    names: Sequence[str] = ()


@dataclass(frozen=True)
class _RejectedRecord:
    """A rejected record with its rules and the columns of its faults."""

    example: Example
    rules: str
    faulty: frozenset[str]


@dataclass(frozen=True)
class _Bar:
    """A bar of a histogram, in pixels."""

    x: str
    y: str
    width: str
    height: str


def render_html(report: Report, of: Provenance | None = None) -> str:
    """Return the whole page; `of` says which run and contract the report is of."""
    records = [_record(example) for example in report.examples]
    names = list(dict.fromkeys(name for example in report.examples for name in example.cells))
    faulty = frozenset[str]().union(*(record.faulty for record in records))
    names.sort(key=lambda name: name not in faulty)  # marked columns are visible without scrolling
    return _ENVIRONMENT.get_template("report.html.j2").render(
        report=report,
        verdict=_VERDICTS[report.verdict],
        facts=list(_facts(report)),
        checks=sorted(report.checks, key=lambda check: -check.failed),
        records=records,
        names=names,
        profiled=any(profile.count or profile.nulls for profile in report.profile),
        format=format_words(report.format),
        provenance=of.facts if of else (),
    )


def _facts(report: Report) -> Iterator[_Fact]:
    columns = report.columns
    if report.problem is not None:
        yield _Fact("Why", report.problem.reason)
        yield _Fact("What to do", report.problem.action)
    elif report.rejected:
        advice = (
            "fix the records in the rejects file and send them again; all other records are loaded"
        )
        yield _Fact("What to do", advice)
    if ignored := [name for name in columns.extra if name not in set(columns.loaded)]:
        yield _Fact("Not loaded", "not in the contract", ignored)
    if columns.loaded:
        yield _Fact("Added", "not in the contract; loaded to bronze as text", columns.loaded)
    if columns.missing:
        yield _Fact("Missing", "in the contract, not in the file", columns.missing)
    if columns.renamed:
        renamed = [f"{theirs} → {name}" for name, theirs in columns.renamed.items()]
        yield _Fact("Renamed", "in the file → in the contract", renamed)
    if columns.reordered:
        yield _Fact("Columns", "in another order than in the contract; matched by name")


def _record(example: Example) -> _RejectedRecord:
    """Return the record for the table; a composite key marks all its columns."""
    columns = [column for _, column in example.faults if column]
    faulty = {name for column in columns for name in (column, *column.split(","))}
    rules = dict.fromkeys(rule for rule, _ in example.faults)
    return _RejectedRecord(example, ", ".join(rules), frozenset(faulty))


def _bars(counts: Sequence[int]) -> Iterator[_Bar]:
    tallest, width = max(counts), _WIDTH / len(counts)
    for place, count in enumerate(counts):
        if count:
            height = max(1.5, _HEIGHT * count / tallest)
            edges = (place * width, _HEIGHT - height, max(width - 1, 1), height)
            yield _Bar(*(f"{edge:.1f}" for edge in edges))


def _known(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.6g}"
    # Of four digits is many a year, which nobody groups.
    grouped = type(value) is int and abs(value) >= _GROUPED
    return f"{value:,}" if grouped else str(value)


_GROUPED = 10_000


def _percent(share: float) -> str:
    if share and share < 0.01:  # noqa: PLR2004 - two decimals would say nothing
        return "<0.01 %"
    return f"{share:.2f}".rstrip("0").rstrip(".") + " %"


def _plain(value: Any) -> Any:
    """Return any value as short text with visible control characters; jinja2 escapes it.

    This is applied to all that the template outputs. Only results of its macros are markup.
    """
    if hasattr(value, "__html__"):
        return value
    text = str(value)
    if len(text) > _SHOWN:
        text = text[:_SHOWN] + "…"
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return _INVISIBLE.sub(_visible, text)


def _visible(match: re.Match[str]) -> str:
    return _ESCAPES.get(match.group()) or f"\\u{ord(match.group()):04x}"


_ENVIRONMENT = Environment(
    loader=PackageLoader("landfall.reporting"),
    autoescape=True,
    finalize=_plain,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_ENVIRONMENT.filters |= {
    "bars": _bars,
    "known": _known,
    "percent": _percent,
    "thousands": "{:,}".format,
}
_ENVIRONMENT.globals |= {
    "chart": {"width": _WIDTH, "height": _HEIGHT},
    "explained": EXPLAINED,
    "mask": MASK,
}
