"""The HTML report: complete, safe for any content, without personal data."""

import re
from dataclasses import fields, is_dataclass, replace
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landfall.reporting.page import render_html
from landfall.validation.report import (
    Check,
    Columns,
    Example,
    Format,
    Link,
    Measure,
    Problem,
    Profile,
    Report,
    Sample,
)
from tests.unit.validation import CONTRACTS, run_validation, small

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "=cmd|'/C calc'!A0",
    "</style><b>",
    "&lt;",
    "\u202egnp.exe",
    "a\x07b",
]

TAGS = {
    *("html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "b", "p", "i"),
    *("div", "dl", "dt", "dd", "table", "thead", "tbody", "tr", "th", "td", "span", "code"),
    *("br", "svg", "rect", "footer"),
}
FULL = Report(
    dataset="text",
    name="text",
    verdict="accepted_with_rejects",
    rows=9,
    accepted=6,
    rejected=3,
    bytes=90,
    sha256="text",
    format=Format(delimiter="text", encoding="text", compression="text"),
    columns=Columns(("text",), ("text", "b"), True, {"text": "text"}, ("b",)),
    checks=(Check("text", "text", 3, (Sample(2, "text", "text"),)), Check("text", None, 1)),
    measures=(
        Measure("text", "text", 0.5, "text", kept=False),
        Measure("text", None, None, "", True),
    ),
    relationships=(Link("text", "text", True, 5), Link("text", "text", False, 0, "text")),
    examples=(
        Example(2, (("text", "text"),), {"text": "text"}, file="text"),
        Example(3, (("text", None),), raw="text"),
    ),
    profile=(
        Profile("text", "text", 5, 4, 2, False, False, "text", "text", {"50": "text"}, (1, 0, 4)),
        Profile("text", "text", 5, 4, 2, top=(("text", 0.5), ("b", 0.5))),
        Profile("text", "text", 5, 4, 2, masked=True),
    ),
    problem=Problem("text", "text"),
    contract_version="text",
)
"""A report that fills every part of the page; every free text is `text`."""


class Tags(HTMLParser):
    """Collects the tags and attributes of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag."""
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        """Text between tags."""
        self.text += data


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(HOSTILE)),
    st.sampled_from(HOSTILE),
)
def test_nothing_in_a_cell_is_markup(values: list[str], name: str) -> None:
    """The page has the tags of an empty report's page and no script, link or handler."""
    cells = [(value.replace('"', ""), value.replace('"', '""')) for value in values]
    rows = "".join(f'{cell_id},"{cell_name}",s\n' for cell_id, cell_name in cells)

    report, _ = run_validation(
        b"id,name,secret\n" + rows.encode("utf-8", "surrogatepass"), small(), name=name
    )
    page = Tags(render_html(report))

    assert page.tags <= TAGS
    assert not any(attribute.startswith("on") for attribute in page.attributes)
    assert {"src", "href"}.isdisjoint(page.attributes)


def _filled(part: Any, text: str) -> Any:
    """Return the part of a report with every `text` replaced."""
    if part == "text":
        return text
    if isinstance(part, tuple):
        return tuple(_filled(entry, text) for entry in part)
    if isinstance(part, dict):
        return {_filled(key, text): _filled(entry, text) for key, entry in part.items()}
    if is_dataclass(part) and not isinstance(part, type):
        values = {f.name: _filled(getattr(part, f.name), text) for f in fields(part)}
        return replace(part, **values)
    return part


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        *((text, text) for text in HOSTILE[:5]),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\udc80\x00\x85\ufeff\n", "\\x80\\u0000\\u0085\\ufeff\\n"),
        ("{{ 7 * 7 }}{% raw %}", "{{ 7 * 7 }}{% raw %}"),
        ("x" * 999, "x" * 200 + "…"),
    ],
)
def test_every_text_of_a_report_is_shown_plain_and_short(text: str, shown: str) -> None:
    """No field of the report adds markup, an invisible character or an endless value."""
    page = render_html(_filled(FULL, text))
    parsed, plain = Tags(page), Tags(render_html(FULL))

    assert parsed.tags == TAGS
    assert parsed.attributes == plain.attributes
    assert parsed.text.count(shown) >= 40
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ufeff\ud800-\udfff]", page)
    assert "x" * 201 not in page


def test_what_cannot_be_seen_is_spelt_out() -> None:
    """Control characters and direction marks are escaped."""
    report, _ = run_validation("id,name,secret\nx\u202e,b,s\n".encode(), small())

    page = render_html(report)

    assert "\u202e" not in page
    assert "x\\u202e" in page


def test_the_faulty_cell_is_marked_and_personal_data_masked() -> None:
    """A rejected record is shown with all cells; masked columns show only stars."""
    report, _ = run_validation(b"id,name,secret\n1,a,verborgen\nzwei,b,s\n3\n", small())

    page = render_html(report)

    assert report.examples[0].cells == {"id": "1", "name": "a", "secret": "***"}
    assert report.examples[2].raw == "***"
    assert "verborgen" not in page
    assert '<td class="bad"><code title="zwei">zwei</code></td>' in page
    assert re.search(r"<b>3</b> records: <b>0</b> accepted", page)


def test_a_refusal_says_why_and_what_to_do() -> None:
    """The reason comes first, then the action."""
    report, _ = run_validation(b"id,nam,secret\n1,a,s\n", small())

    text = Tags(render_html(report)).text

    assert "Refused" in text
    assert text.index("Why") < text.index("What to do")
    assert "rename 'nam' to 'name'" in text


def test_every_column_has_its_distribution() -> None:
    """Ordered values have a histogram, others the most frequent values."""
    header = ",".join(c.name for c in CONTRACTS["sellers_compared"].columns)
    numbers = ["2"] * (len(CONTRACTS["sellers_compared"].columns) - 2)
    rows = "".join(f"{place},Male,{','.join(numbers)}\n" for place in ("France", "Italie"))

    report, _ = run_validation(f"{header}\n{rows}".encode(), CONTRACTS["sellers_compared"])

    assert '<span class="value">France</span> <i>50 %</i>' in render_html(report)
    assert render_html(report).count("<svg") == len(numbers)


def test_the_page_says_what_became_of_columns_that_differ() -> None:
    """Columns that the contract lets in are told apart from those that are not loaded."""
    columns = Columns((), ("lost", "new"), False, {"name": "Na-me"}, ("new",))

    text = " ".join(Tags(render_html(replace(FULL, columns=columns))).text.split())

    assert "Not loaded lost (not in the contract)" in text
    assert "Added new (not in the contract; loaded to bronze as text)" in text
    assert "Renamed Na-me → name (in the file → in the contract)" in text


def test_the_page_is_one_file_for_screen_phone_and_paper() -> None:
    """The style is in the page, forbids loading anything, and adapts to its medium."""
    page = render_html(FULL)

    assert page.startswith("<!doctype html>")
    assert "default-src 'none'; style-src 'unsafe-inline'" in page
    assert not re.search(r"url\(|@import|https?:", page)
    for medium in ("(prefers-color-scheme: dark)", "(max-width: 760px)", "@media print"):
        assert medium in page
