"""Charts as SVG text, drawn without a browser; colours come from the page's style sheet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from html import escape

WIDTH, HEIGHT = 720, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 12, 28
_LETTER = 6.4


def number(value: float) -> str:
    """Return a number as people read it: 1.2M, 34k, 0.82."""
    size = abs(value)
    for unit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= unit:
            return f"{value / unit:.3g}{suffix}"
    return f"{value:.3g}"


def _ticks(top: float) -> list[float]:
    if top <= 0:
        return [0.0]
    step = 10.0 ** len(str(int(top))) / 10 if top >= 1 else 0.1
    for factor in (0.1, 0.2, 0.25, 0.5, 1, 2, 2.5, 5):
        if top / (step * factor) <= 5:  # noqa: PLR2004 - few lines
            step *= factor
            break
    return [step * n for n in range(int(top / step) + 1)]


@dataclass(frozen=True)
class Fan:
    """A forecast with what came before.

    Attributes:
        past: day and amount, oldest first.
        ahead: day, forecast, lo80, hi80, lo95, hi95.
        earlier: day and amount of the forecast of four weeks ago, as it would have been.
    """

    past: Sequence[tuple[date, float]]
    ahead: Sequence[tuple[date, float, float, float, float, float]]
    earlier: Sequence[tuple[date, float]]


def fan(chart: Fan) -> str:
    """Return the fan chart of a series."""
    days = [day for day, _ in chart.past] + [row[0] for row in chart.ahead]
    if not chart.ahead or not days:
        return ""
    first, span = min(days), max((max(days) - min(days)).days, 1)
    top = max([value for _, value in chart.past] + [row[5] for row in chart.ahead] + [1e-9])

    def x(day: date) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (day - first).days / span

    def y(value: float) -> float:
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * value / top

    def area(low: int, high: int) -> str:
        bounds = [(row[0], row[1:]) for row in chart.ahead]
        forth = " ".join(f"{x(day):.1f},{y(values[high]):.1f}" for day, values in bounds)
        back = " ".join(f"{x(day):.1f},{y(values[low]):.1f}" for day, values in reversed(bounds))
        return f"{forth} {back}"

    def line(points: Sequence[tuple[date, float]]) -> str:
        return " ".join(f"{x(day):.1f},{y(value):.1f}" for day, value in points)

    parts = [
        *_grid(top, y),
        f'<polygon class="band95" points="{area(3, 4)}"/>',
        f'<polygon class="band80" points="{area(1, 2)}"/>',
        f'<polyline class="actual" points="{line(chart.past)}"/>',
        f'<polyline class="earlier" points="{line(chart.earlier)}"/>',
        f'<polyline class="forecast" points="{line([(r[0], r[1]) for r in chart.ahead])}"/>',
    ]
    months = [day for day in days if day.day == 1]
    parts += [
        f'<text x="{x(day):.0f}" y="{HEIGHT - 8}" class="tick" text-anchor="middle">'
        f"{day:%b %Y}</text>"
        for day in months
    ]
    return _svg(HEIGHT, parts, "Sales by day, forecast and bands")


def _grid(top: float, y: Callable[[float], float]) -> list[str]:
    lines = []
    for tick in _ticks(top):
        at = y(tick)
        lines.append(f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        lines.append(
            f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" class="tick" text-anchor="end">'
            f"{number(tick)}</text>"
        )
    return lines


def percent(value: float) -> str:
    """Return a share as a percentage with two significant digits."""
    return f"{100 * value:.3g} %" if value >= 0.01 or not value else f"{100 * value:.1g} %"  # noqa: PLR2004 - 1 %


def bars(
    rows: Sequence[tuple[str, Mapping[str, float | None]]],
    classes: Mapping[str, Callable[[float], str]],
) -> str:
    """Return horizontal bars: a group a row, a bar a class; each class has a scale of its own.

    Args:
        rows: name and value by class; None where there is no value.
        classes: how the numbers of each class are written.
    """
    if not rows:
        return ""
    label = max(120, int(max(len(name) for name, _ in rows) * _LETTER) + 16)
    gap, height = 10, 14
    group = len(classes) * height + gap
    tops = {name: max([row[name] or 0.0 for _, row in rows] + [1e-9]) for name in classes}
    room = WIDTH - label - 70
    parts = []
    for place, (name, values) in enumerate(rows):
        at = place * group + 4
        parts.append(
            f'<text x="{label - 10}" y="{at + (group - gap) / 2 + 4:.0f}" text-anchor="end">'
            f"{escape(name)}</text>"
        )
        for row, (kind, written) in enumerate(classes.items()):
            value = values[kind]
            long = room * max(value or 0.0, 0) / tops[kind]
            y = at + row * height
            parts.append(
                f'<rect class="{kind}" x="{label}" y="{y}" width="{long:.1f}" height="11" rx="2"/>'
                f'<text class="tick" x="{label + long + 6:.1f}" y="{y + 10}">'
                f"{'no value' if value is None else written(value)}</text>"
            )
    return _svg(len(rows) * group + 4, parts, "Bars")


def flows(moves: Sequence[tuple[str, str, int]]) -> str:
    """Return a matrix of moves: rows from, columns to; darker is more of the row."""
    sources = list(dict.fromkeys(source for source, _, _ in moves))
    reached = {target for _, target, _ in moves}
    targets = [name for name in dict.fromkeys([*sources, *sorted(reached)]) if name in reached]
    if not sources:
        return ""
    counts = {(source, target): count for source, target, count in moves}
    whole = {
        source: max(sum(counts.get((source, target), 0) for target in targets), 1)
        for source in sources
    }
    label = int(max(len(name) for name in sources) * _LETTER) + 20
    head = int(max(len(name) for name in targets) * _LETTER * 0.75) + 24
    cell = min(64, (WIDTH - label - 60) // max(len(targets), 1))
    row_height = 26
    parts = []
    for column, target in enumerate(targets):
        at = label + column * cell + cell / 2
        parts.append(
            f'<text transform="translate({at:.0f},{head - 8}) rotate(-40)">{escape(target)}</text>'
        )
    for row, source in enumerate(sources):
        y = head + row * row_height
        parts.append(
            f'<text x="{label - 10}" y="{y + 17}" text-anchor="end">{escape(source)}</text>'
        )
        for column, target in enumerate(targets):
            count = counts.get((source, target), 0)
            if not count:
                continue
            share = count / whole[source]
            x = label + column * cell
            parts.append(
                f'<rect class="cell" x="{x}" y="{y}" width="{cell - 3}" height="{row_height - 3}"'
                f' rx="3" style="fill-opacity:{0.08 + 0.6 * share:.2f}"/>'
                f'<text x="{x + cell / 2 - 1:.0f}" y="{y + 16}" class="count"'
                f' text-anchor="middle">{count:,}</text>'
            )
    return _svg(head + len(sources) * row_height + 4, parts, "Moves between segments")


def _svg(height: float, parts: Sequence[str], title: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )
