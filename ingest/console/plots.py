"""Plots as SVG, made on the server: pure functions of numbers.

They have no style of their own: classes are coloured by the style sheet, in light and in dark. Each
has a sentence for those who do not see it, and each mark a title.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from markupsafe import Markup, escape

from ingest.console.words import NONE

WIDTH = 720


@dataclass(frozen=True)
class Stack:
    """One bar of a stacked plot: amounts by the class of their colour, the lowest first."""

    title: str
    parts: Sequence[tuple[str, float]]


@dataclass(frozen=True)
class Span:
    """One row of a timeline, in seconds from its beginning; `waits` has it hatched."""

    label: str
    begin: float
    end: float
    tone: str
    waits: bool
    title: str


def stacks(bars: Sequence[Stack], says: str, *, height: int = 120) -> Markup:
    """Bars of stacked amounts side by side, with the largest total at the left."""
    tallest = max((sum(n for _, n in bar.parts) for bar in bars), default=0)
    if not tallest:
        return nothing(says)
    step = WIDTH / len(bars)
    marks: list[Markup] = []
    for place, bar in enumerate(bars):
        top = float(height)
        rects: list[Markup] = []
        for tone, amount in bar.parts:
            if amount:
                tall = max(1.5, (height - 4) * amount / tallest)
                top -= tall
                shape = f"M{_n(place * step)} {_n(top)}h{_n(max(step - 2, 1))}v{_n(tall)}"
                shape += f"h-{_n(max(step - 2, 1))}z"
                rects.append(Markup('<path class="{}" d="{}"/>').format(tone, shape))
        if rects:
            marks.append(_group(bar.title, rects))
    return _stretched(marks, says, height, _number(tallest))


def lines(series: Sequence[tuple[str, Sequence[float | None]]], says: str, unit: str) -> Markup:
    """Lines over the same places, each with the class of its colour; gaps where there is None."""
    height = 90
    tallest = max((v for _, values in series for v in values if v is not None), default=0.0)
    if not tallest:
        return nothing(says)
    marks = []
    for tone, values in series:
        step = (WIDTH - 8) / max(len(values) - 1, 1)
        path, joined = [], False
        for place, value in enumerate(values):
            if value is None:
                joined = False
                continue
            x, y = 4 + place * step, height - 4 - (height - 8) * value / tallest
            # A line of no length has round ends: a dot, where a value stands alone.
            path.append(f"L{_n(x)} {_n(y)}" if joined else f"M{_n(x)} {_n(y)}h0")
            joined = True
        marks.append(Markup('<path class="line {}" d="{}"/>').format(tone, "".join(path)))
    return _stretched(marks, says, height, f"{_number(tallest)}{unit}")


def timeline(spans: Sequence[Span], says: str) -> Markup:
    """One row for each state that a run was in, at its place in time."""
    whole = max((span.end for span in spans), default=0.0) or 1.0
    row, left = 22, 110
    wide = WIDTH - left - 10
    marks = []
    for place, span in enumerate(spans):
        x = left + wide * span.begin / whole
        width = max(2.0, wide * (span.end - span.begin) / whole)
        y = place * row + 3
        label = Markup('<text x="0" y="{}">{}</text>').format(y + 12, span.label)
        rects = [_rect(x, y, width, row - 6, f"{span.tone}{' wait' if span.waits else ''}")]
        marks += [label, _group(span.title, rects)]
    return _svg(marks, says, len(spans) * row + 4, "timeline")


def matrix(
    columns: Sequence[tuple[str, Sequence[tuple[str, str]]]], rows: Sequence[str], says: str
) -> Markup:
    """Cells of columns and rows; each column has a title, and its cells class and title."""
    row, left = 18, 80
    step = min(14.0, (WIDTH - left) / max(len(columns), 1))
    marks = [
        Markup('<text x="0" y="{}">{}</text>').format(place * row + 13, name)
        for place, name in enumerate(rows)
    ]
    for place, (title, cells) in enumerate(columns):
        shapes: dict[str, list[str]] = {}
        told = [title]
        for index, (tone, what) in enumerate(cells):
            if tone:
                corner = f"M{_n(left + place * step)} {index * row + 2}"
                cell = f"{corner}h{_n(step - 2)}v{row - 4}h-{_n(step - 2)}z"
                shapes.setdefault(tone, []).append(cell)
                if tone != "good":
                    told.append(what)
        paths = [
            Markup('<path class="{}" d="{}"/>').format(tone, "".join(cell))
            for tone, cell in shapes.items()
        ]
        marks.append(_group("\n".join(told), paths))
    return _svg(marks, says, len(rows) * row + 4, "matrix")


def calendar(tones: Mapping[date, tuple[str, str]], last: date, weeks: int, says: str) -> Markup:
    """The days of so many weeks up to a day, a column for each week, Monday on top."""
    cell, left = 15, 36
    monday = last - timedelta(days=last.weekday(), weeks=weeks - 1)
    marks = [
        Markup('<text x="0" y="{}">{}</text>').format(index * cell + 11, name)
        for index, name in ((0, "Mon"), (2, "Wed"), (4, "Fri"))
    ]
    day = monday
    while day <= last:
        week, weekday = divmod((day - monday).days, 7)
        tone, what = tones.get(day, ("none", "no drop"))
        x, y = left + week * cell, weekday * cell
        marks.append(_rect(x, y, cell - 3, cell - 3, tone, title=f"{day:%d %B}: {what}"))
        day += timedelta(days=1)
    return _svg(marks, says, 7 * cell, "calendar", width=left + weeks * cell)


def share(parts: Sequence[tuple[str, float]], says: str) -> Markup:
    """One bar that is divided."""
    whole = sum(amount for _, amount in parts) or 1.0
    x, marks = 0.0, []
    for tone, amount in parts:
        if amount:
            width = max(2.0, WIDTH * amount / whole)
            marks.append(_rect(min(x, WIDTH - width), 0, width, 10, tone))
            x += width
    return Markup(
        '<svg class="plot share" viewBox="0 0 {} 10" preserveAspectRatio="none" role="img" '
        'aria-label="{}">{}</svg>'
    ).format(WIDTH, says, Markup("").join(marks))


def bars(values: Sequence[tuple[str, float]], says: str, tone: str = "") -> Markup:
    """Small bars side by side, as for the distribution of a column."""
    tallest = max((value for _, value in values), default=0.0)
    if not tallest:
        return Markup('<span class="soft">{}</span>').format(NONE)
    width, height = 120, 28
    step = width / len(values)
    marks = []
    for place, (title, value) in enumerate(values):
        tall = max(1.5, height * value / tallest) if value else 0
        if tall:
            x, y = place * step, height - tall
            marks.append(_rect(x, y, max(step - 1, 1), tall, tone, title=title))
    return _svg(marks, says, height, "bars", width=width)


def nothing(says: str) -> Markup:
    """What stands where there is nothing to draw."""
    return Markup('<p class="soft">{}: nothing to show yet.</p>').format(says.partition(":")[0])


def _svg(
    marks: Sequence[Markup], says: str, height: int, kind: str = "", *, width: int = WIDTH
) -> Markup:
    return Markup(
        '<svg class="plot {}" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
    ).format(kind, width, height, says, Markup("").join(marks))


def _stretched(marks: Sequence[Markup], says: str, height: int, scale: str) -> Markup:
    """A plot without text in it, as wide as there is room, with its largest value above."""
    return Markup(
        '<div class="scale">{}</div><svg class="plot wide" viewBox="0 0 {} {}" '
        'preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    ).format(scale, WIDTH, height, says, Markup("").join(marks))


def _rect(x: float, y: float, width: float, height: float, tone: str, *, title: str = "") -> Markup:
    place = f'x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}"'
    shape = Markup('<rect class="{}" ').format(tone) + Markup(place)  # noqa: S704 - numbers
    if not title:
        return shape + Markup("/>")
    return shape + Markup("><title>{}</title></rect>").format(title)


def _group(title: str, marks: Sequence[Markup]) -> Markup:
    return Markup("<g><title>{}</title>{}</g>").format(title, Markup("").join(marks))


def _n(value: float) -> str:
    """A coordinate, short."""
    return f"{round(value, 1):g}"


def _number(value: float) -> str:
    return str(escape(f"{value:,.0f}" if value >= 10 else f"{value:.3g}"))  # noqa: PLR2004
