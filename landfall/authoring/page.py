"""Renders a validation report as one HTML page for the producer of the file.

The page loads no resources, has no scripts and escapes every value. Values of masked columns are
already masked in the report.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from typing import Any

from landfall.authoring.words import EXPLAINED, format_words
from landfall.validation.report import MASK, Check, Example, Link, Measure, Profile, Report

_VERDICTS = {
    "accepted": "Accepted",
    "accepted_with_rejects": "Accepted, rejects split off",
    "refused": "Refused",
}
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_OTHER_RULE = "breaks a rule of the contract"
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_SHOWN = 200
_WIDTH, _HEIGHT = 120, 28

_POLICY = (
    '<meta http-equiv="Content-Security-Policy"'
    " content=\"default-src 'none'; style-src 'unsafe-inline'\">"
)
_STYLE = """
:root { color-scheme: light; --ink: #1d2733; --soft: #5f6b7a; --line: #dfe4ea; --wash: #f5f7f9;
  --good: #1b7a43; --warn: #96610a; --bad: #b3261e; --bar: #7b93ad }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 1080px; padding: 28px 24px 60px; color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif }
header { border-left: 6px solid var(--tone); padding: 2px 0 2px 16px }
h1 { font-size: 25px; line-height: 1.25; margin: 0; overflow-wrap: anywhere }
h1 b { color: var(--tone) }
h2 { font-size: 18px; margin: 34px 0 8px }
p { margin: 6px 0 }
.soft { color: var(--soft) }
.accepted { --tone: var(--good) } .accepted_with_rejects { --tone: var(--warn) }
.refused { --tone: var(--bad) }
.share { display: flex; height: 10px; border-radius: 5px; overflow: hidden; margin: 14px 0 6px;
  background: #bcd9c8 }
.share i { background: var(--bad); min-width: 2px }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 16px; margin: 14px 0;
  padding: 12px 16px; background: var(--wash); border-radius: 8px }
dt { color: var(--soft) } dd { margin: 0; overflow-wrap: anywhere }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px }
table { border-collapse: collapse; width: 100%; min-width: 680px; font-size: 13.5px }
th, td { text-align: left; padding: 6px 10px; vertical-align: top;
  border-top: 1px solid var(--line) }
thead th { border: 0; background: var(--wash); color: var(--soft); font-weight: 600;
  white-space: nowrap }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
td { overflow-wrap: break-word } td b, td i, .at { white-space: nowrap }
.value { max-width: 24ch } .why { width: 22% } .value, code { overflow-wrap: anywhere }
code { font: 12.5px/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
  white-space: pre-wrap; background: var(--wash); padding: 0 3px; border-radius: 3px }
td.bad { background: #fbe3e1; box-shadow: inset 0 0 0 1.5px var(--bad) }
td.bad code { background: none; color: var(--bad); font-weight: 600 }
.rows td, .rows th { white-space: nowrap }
.rows code { white-space: pre; background: none; display: inline-block; max-width: 36ch;
  overflow: hidden; text-overflow: ellipsis; vertical-align: bottom }
.nothing { color: var(--soft); font-style: italic }
.kept { color: var(--good) } .broken { color: var(--bad); font-weight: 600 }
svg { display: block } svg rect { fill: var(--bar) }
.null { display: inline-block; width: 60px; height: 8px; background: #e5e9ee; border-radius: 4px;
  overflow: hidden; margin-right: 6px; vertical-align: middle }
.null i { display: block; height: 100%; background: var(--warn) }
.samples { display: block; min-width: 32ch }
@media (max-width: 760px) { .bar { display: none } body { padding: 16px 12px 40px } }
footer { margin-top: 36px; font-size: 13px; color: var(--soft); overflow-wrap: anywhere }
"""


def render_html(report: Report) -> str:
    """Return the whole page."""
    name = _text(report.name)
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="referrer" content="no-referrer">',
        _POLICY,
        f"<title>{name}: {_VERDICTS[report.verdict]}</title><style>{_STYLE}</style></head>",
        f'<body class="{report.verdict}">',
        _head(report),
        _rules(report.checks, report.rejected),
        _measures(report.measures),
        _links(report.relationships),
        _examples(report.examples),
        _profiles(report.profile),
        _footer(report),
        "</body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _head(report: Report) -> str:
    rejected = 100 * report.rejected / report.rows if report.rows else 0
    facts = [
        ("Why", _text(report.problem.reason) if report.problem else ""),
        ("What to do", _text(report.problem.action) if report.problem else _advice(report)),
        ("Not loaded", _names(report.columns.extra, "not in the contract")),
        ("Missing", _names(report.columns.missing, "in the contract, not in the file")),
        ("Columns", "in another order than in the contract; matched by name")
        if report.columns.reordered
        else ("", ""),
    ]
    rows = "".join(f"<dt>{term}</dt><dd>{text}</dd>" for term, text in facts if text)
    return (
        f"<header><h1>{_text(report.name)}: <b>{_VERDICTS[report.verdict]}</b></h1>"
        f'<p class="soft">validated by contract {_text(report.dataset)} '
        f"{_text(report.contract_version)}</p></header>"
        f"{_share(rejected) if report.rows else ''}<p>{_counts(report, rejected)}</p>"
        + (f"<dl>{rows}</dl>" if rows else "")
    )


def _counts(report: Report, percent: float) -> str:
    """Return the counts of records; a refused file has no accepted records."""
    if not report.rows:
        return "No record was validated."
    refused = report.verdict == "refused"
    sound, faulty = ("valid", "invalid") if refused else ("accepted", "rejected")
    return (
        f"<b>{report.rows:,}</b> records: <b>{report.accepted:,}</b> {sound}, "
        f"<b>{report.rejected:,}</b> {faulty} ({_percent(percent)}; the contract tolerates "
        f"{_percent(100 * report.max_rejected_ratio)})"
        + (". Nothing is loaded." if refused else "")
    )


def _share(percent: float) -> str:
    part = f'<i style="width:{percent:.3f}%"></i>' if percent else ""
    return f'<div class="share" role="img" aria-label="{percent:.2f} % rejected">{part}</div>'


def _advice(report: Report) -> str:
    if not report.rejected:
        return ""
    return "fix the records in the rejects file and send them again; all other records are loaded"


def _names(names: Sequence[str], what: str) -> str:
    if not names:
        return ""
    shown = ", ".join(f"<code>{_text(name)}</code>" for name in names[:20])
    more = f" and {len(names) - 20:,} more" if len(names) > 20 else ""  # noqa: PLR2004 - a page
    return f"{shown}{more} ({what})"


def _rules(checks: Sequence[Check], rejected: int) -> str:
    if not checks:
        return ""
    ordered = sorted(checks, key=lambda check: -check.failed)
    rows = "".join(
        f"<tr><td>{_column(check.column)}</td>"
        f'<td class="why">{_text(EXPLAINED.get(check.rule, _OTHER_RULE))} '
        f'<span class="soft">{_text(check.rule)}</span></td>'
        f'<td class="n">{check.failed:,}</td>'
        f'<td class="bar">{_bar(check.failed, ordered[0].failed)}</td>'
        f"<td>{_samples(check)}</td></tr>"
        for check in ordered
    )
    return (
        f"<h2>What is wrong</h2><p class=soft>{rejected:,} records break "
        f"{len(checks):,} rule{'s' if len(checks) > 1 else ''}; one record may break several.</p>"
        '<div class="scroll"><table><thead><tr><th>Column<th>Fault<th class="n">Records'
        '<th class="bar">'
        f"<th>For example</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _samples(check: Check) -> str:
    shown = [
        f'<span class="at">{_text(f"{sample.file} " if sample.file else "")}'
        f"line {sample.line:,}</span> {_value(sample.value)}"
        for sample in check.samples
    ]
    more = " &middot; &hellip;" if check.failed > len(shown) else ""
    return f'<span class="samples">{" &middot; ".join(shown)}{more}</span>'


def _bar(part: int, whole: int) -> str:
    width = max(1.0, 90 * part / whole)
    return f'<svg width="90" height="10"><rect width="{width:.1f}" height="10" rx="2"/></svg>'


def _measures(measures: Sequence[Measure]) -> str:
    if not measures:
        return ""
    rows = "".join(
        f"<tr><td>{_column(m.column, 'table')}</td><td>{_text(m.rule)}</td>"
        f'<td class="n">{"" if m.value is None else _text(f"{m.value:,.10g}")}</td>'
        f"<td>must {_text(m.expected)}</td>"
        f'<td class="{"kept" if m.kept else "broken"}">{"kept" if m.kept else "broken"}</td></tr>'
        for m in measures
    )
    return (
        '<h2>Quality rules</h2><div class="scroll"><table><thead><tr><th>Of<th>Rule'
        f'<th class="n">Value<th>Bound<th></tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _links(links: Sequence[Link]) -> str:
    if not links:
        return ""
    rows = "".join(
        f"<tr><td>{_column(link.column)}</td><td>{_text(link.to)}</td>"
        + (
            f'<td class="kept">looked up among {link.keys:,} values</td></tr>'
            if link.checked
            else f"<td>not checked: {_text(link.reason)}</td></tr>"
        )
        for link in links
    )
    return (
        '<h2>Relationships</h2><div class="scroll"><table><thead><tr><th>Column<th>Refers to'
        f"<th></tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _examples(examples: Sequence[Example]) -> str:
    if not examples:
        return ""
    names = list(dict.fromkeys(name for example in examples for name in example.cells))
    faulty = {name for example in examples for name in _faulty(example)}
    names.sort(key=lambda name: name not in faulty)  # marked columns are visible without scrolling
    head = "".join(f"<th>{_text(name)}" for name in names)
    rows = "".join(_example(example, names) for example in examples)
    return (
        "<h2>Rejected records</h2>"
        f'<p class="soft">The first {len(examples):,}; the faulty cells are marked.</p>'
        f'<div class="scroll"><table class="rows"><thead><tr><th class="n">Line<th>Fault{head}'
        f"</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _faulty(example: Example) -> set[str]:
    """Return the columns with a fault; for a composite key all its columns."""
    columns = [column for _, column in example.faults if column]
    return {name for column in columns for name in (column, *column.split(","))}


def _example(example: Example, names: Sequence[str]) -> str:
    faulty = _faulty(example)
    rules = ", ".join(dict.fromkeys(rule for rule, _ in example.faults))
    part = _text(f"{example.file}: ") if example.file else ""
    lead = f'<tr><td class="n">{part}{example.line:,}</td><td>{_text(rules)}</td>'
    if not example.cells:
        shown = _value(example.raw)
        if example.raw == MASK:
            shown = '<span class="nothing">malformed, and may have personal data</span>'
        return f'{lead}<td class="bad" colspan="{max(1, len(names))}">{shown}</td></tr>'
    cells = "".join(
        f"<td{' class=bad' if name in faulty else ''}>{_value(example.cells.get(name))}</td>"
        for name in names
    )
    return f"{lead}{cells}</tr>"


def _profiles(profiles: Sequence[Profile]) -> str:
    if not profiles or not any(profile.count or profile.nulls for profile in profiles):
        return ""
    rows = "".join(_profile(profile) for profile in profiles)
    return (
        '<h2>Columns</h2><div class="scroll"><table><thead><tr><th>Column<th>Type'
        '<th class="n">Values<th>Missing<th class="n">Distinct<th>Smallest<th>Median<th>Largest'
        f"<th>Distribution</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _profile(profile: Profile) -> str:
    total = profile.count + profile.nulls
    share = 100 * profile.nulls / total if total else 0
    missing = (
        f'<span class="null"><i style="width:{max(share, 2):.1f}%"></i></span>{_percent(share)}'
        if share
        else '<span class="soft">none</span>'
    )
    about = "" if profile.exact else "about "
    if profile.masked:
        cells = '<td colspan="4" class="nothing">personal data, not shown</td>'
    else:
        middle = profile.quantiles.get("50")
        cells = (
            f'<td class="value">{_known(profile.least)}</td><td class="value">{_known(middle)}</td>'
            f'<td class="value">{_known(profile.most)}</td><td>{_distribution(profile)}</td>'
        )
    return (
        f"<tr><td>{_column(profile.column)}</td><td>{_text(profile.type)}</td>"
        f'<td class="n">{profile.count:,}</td><td>{missing}</td>'
        f'<td class="n">{about}{profile.distinct:,}</td>{cells}</tr>'
    )


def _distribution(profile: Profile) -> str:
    if profile.histogram:
        return _histogram(profile.histogram)
    if not profile.top or profile.top[0][1] < 0.005:  # noqa: PLR2004 - nothing stands out
        return ""
    return "<br>".join(
        f'<span class="value">{_known(value)}</span> <i>{_percent(100 * share)}</i>'
        for value, share in profile.top[:3]
    )


def _histogram(counts: Sequence[int]) -> str:
    tallest, width = max(counts), _WIDTH / len(counts)
    bars = "".join(
        f'<rect x="{at * width:.1f}" y="{_HEIGHT - height:.1f}" width="{max(width - 1, 1):.1f}" '
        f'height="{height:.1f}"/>'
        for at, count in enumerate(counts)
        if count and (height := max(1.5, _HEIGHT * count / tallest))
    )
    return (
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="distribution">'
        f"{bars}</svg>"
    )


def _footer(report: Report) -> str:
    parts = [
        _text(format_words(report.format)),
        f"{report.bytes:,} bytes",
        f"validated in {report.seconds:.2f} s",
        f"sha256 {report.sha256}" if report.sha256 else "",
    ]
    return f"<footer>{_joined(parts)}</footer>"


def _joined(parts: Iterable[str]) -> str:
    return " &middot; ".join(part for part in parts if part)


def _column(name: str | None, instead: str = "whole record") -> str:
    return f'<span class="soft">{instead}</span>' if name is None else f"<b>{_text(name)}</b>"


def _known(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return _text(f"{value:,.6g}")
    return _text(f"{value:,}" if type(value) is int else value)


def _value(value: str | None) -> str:
    if value is None or value == "":
        return '<span class="nothing">nothing</span>'
    return f'<code title="{_text(value)}">{_text(value)}</code>'


def _percent(share: float) -> str:
    if share and share < 0.01:  # noqa: PLR2004 - two decimals would say nothing
        return "&lt;0.01 %"
    return f"{share:.2f}".rstrip("0").rstrip(".") + " %"


def _text(value: Any) -> str:
    """Return any value as HTML text, escaped and with visible control characters."""
    text = str(value)
    if len(text) > _SHOWN:
        text = text[:_SHOWN] + "…"
    plain = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return html.escape(_INVISIBLE.sub(_escape, plain))


def _escape(match: re.Match[str]) -> str:
    return _ESCAPES.get(match.group()) or f"\\u{ord(match.group()):04x}"
