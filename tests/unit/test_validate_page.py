"""The HTML report: complete, safe for any content, without personal data."""

import re
from html.parser import HTMLParser

from hypothesis import given, settings
from hypothesis import strategies as st

from landfall.authoring.page import render_html
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

    assert page.tags <= {
        *("html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "b", "p", "i"),
        *("div", "dl", "dt", "dd", "table", "thead", "tbody", "tr", "th", "td", "span", "code"),
        *("br", "svg", "rect", "footer"),
    }
    assert not any(attribute.startswith("on") for attribute in page.attributes)
    assert {"src", "href"}.isdisjoint(page.attributes)


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
    assert '<td class=bad><code title="zwei">zwei</code></td>' in page
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
