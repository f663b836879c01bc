"""Patterns: the meaning of ECMA-262, linear time, and reasons for what is refused."""

from __future__ import annotations

import json
import re
import time
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landfall.authoring.lint import lint
from landfall.contract.conditions import ColumnOf, Constant, FunctionCall
from landfall.contract.folder import Contract, ContractError, parse
from landfall.contract.patterns import TextPattern
from landfall.validation.conditions import among
from tests.unit.prefilters import PREFILTERS, use_prefilter
from tests.unit.validation import run_validation

LONG = 100 * 1024
CATASTROPHIC = {
    r"^(a+)+$": "a" * LONG + "!",
    r"^(\w+\s?)*$": "a" * LONG + "!",
    r"^([a-z]+)*@x": "a" * LONG,
    r"^(a|aa)*$": "a" * LONG + "!",
    r"(.*a){20}$": "a" * LONG + "!",
    r"^(a?){60}a{60}$": "a" * LONG,
    r"(x+x+)+y": "x" * LONG,
}
"""Patterns that engines which go back do not finish, each with a text that it misses."""
LIKES = {"%a%b": "a" * LONG, "%a%a%a%a%a%b": "a" * LONG, "%_a_%_a_%b": "a" * LONG}
PATIENCE = 20
"""Seconds for all of a contract's patterns: on an idle machine they take less than one."""


def contract(pattern: str, like: str | None = None) -> Contract:
    """The contract of `document`."""
    return parse(document(pattern, like), file="t.odcs.yaml")


def document(pattern: str, like: str | None = None) -> str:
    """A contract with a pattern of a column, of a quality rule, and a LIKE."""
    rule: dict[str, Any] = {
        "metric": "invalidValues",
        "arguments": {"pattern": pattern},
        "mustBe": 0,
    }
    column = {
        "name": "text",
        "logicalType": "string",
        "logicalTypeOptions": {"pattern": pattern},
        "quality": [rule],
    }
    table: dict[str, Any] = {
        "name": "t",
        "properties": [{"name": "id", "logicalType": "integer", "primaryKey": True}, column],
    }
    if like is not None:
        query = f"SELECT COUNT(*) FROM t WHERE text LIKE '{like}'"
        table["quality"] = [{"type": "sql", "query": query, "mustBe": 0}]
    head = {"apiVersion": "v3.2.0", "kind": "DataContract", "id": "t", "version": "1.0.0"}
    tolerant = [{"property": "maxRejectedRatio", "value": 1}]
    return json.dumps({**head, "schema": [table], "customProperties": tolerant})


@pytest.mark.parametrize("prefilter", PREFILTERS)
@pytest.mark.parametrize("pattern", CATASTROPHIC)
def test_no_cell_holds_a_validation_up(
    pattern: str, prefilter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cell of 100 KB is judged at once, by every engine."""
    use_prefilter(prefilter, monkeypatch)
    cell = CATASTROPHIC[pattern]
    began = time.monotonic()

    report, _ = run_validation(f"id,text\n1,{cell}\n2,\n".encode(), contract(pattern))

    assert {(c.rule, c.column, c.failed) for c in report.checks} == {
        ("pattern", "text", 1),
        ("invalidValues", "text", 1),
    }
    assert time.monotonic() - began < PATIENCE


@pytest.mark.parametrize("like", LIKES)
def test_no_like_holds_a_validation_up(like: str) -> None:
    """Each part of an SQL pattern is looked for once."""
    lines = json.dumps({"id": 1, "text": LIKES[like]}).encode()
    began = time.monotonic()

    report, _ = run_validation(lines, contract("a", like), name="x.jsonl")

    assert report.checks == ()
    assert time.monotonic() - began < PATIENCE


@pytest.mark.parametrize("prefilter", PREFILTERS)
def test_all_engines_have_one_meaning(prefilter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pattern passes the same cells in CSV, by any prefilter, and in JSON."""
    use_prefilter(prefilter, monkeypatch)
    cells = ["ab", "AB", "b", "ä", "a b", "\u0661", "7", "x\u00a0y", "\u017fb", "-", "a-b"]
    for pattern in (r"^\w+$", r"\d", r"\s", r"\bb$", r"[^\W\d]", r"^[a-b-]+$", r"(?i)^a"):
        expected = [
            str(at) for at, cell in enumerate(cells) if not TextPattern(pattern).among([cell])
        ]
        text = "id,text\n" + "".join(f"{at},{cell}\n" for at, cell in enumerate(cells))
        records = "".join(json.dumps({"id": i, "text": t}) + "\n" for i, t in enumerate(cells))

        of_text, _ = run_validation(text.encode(), contract(pattern))
        of_json, _ = run_validation(records.encode(), contract(pattern), name="x.jsonl")

        for report in (of_text, of_json):
            assert [example.cells["id"] for example in report.examples] == expected


_ATOMS = st.sampled_from(
    [*"abäß-. ", r"\d", r"\w", r"\W", r"\s", r"\S", r"\.", r"\b", "[a-c]", "[^a]", r"[\w.-]"]  # noqa: RUF005 - two lines
    + [r"[^\d\s]", r"\x61", r"ä", r"\/", r"[\]b]", "^", "$", "[a&&b]", "{", "]"]
)


@st.composite
def _patterns(draw: st.DrawFn) -> str:
    """Patterns that Python reads as ECMA-262 does, and that need no going back."""
    parts = []
    for atom in draw(st.lists(_ATOMS, min_size=1, max_size=5)):
        repeat = draw(st.sampled_from(["", "", "", "?", "*", "+", "{2}", "{1,3}", "+?"]))
        parts.append(atom + ("" if atom in {"^", "$", r"\b"} else repeat))
    pattern = "".join(parts)
    return draw(st.sampled_from([pattern, f"({pattern})+", f"x|{pattern}", f"(?:{pattern})?b"]))


@given(_patterns(), st.lists(st.text("ab7ä. \n-]{x\u00a0&", max_size=8), max_size=8))
def test_patterns_mean_what_they_meant(pattern: str, texts: list[str]) -> None:
    """The engine finds what Python's finds with ASCII classes, where `$` is the end."""
    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # of `&&` in a class
        reference = re.compile(_dollar(pattern), re.ASCII)

    assert TextPattern(pattern).among(texts) == {text for text in texts if reference.search(text)}


def _dollar(pattern: str) -> str:
    return pattern.replace("$", r"\Z")


@given(
    st.text("ab%_", max_size=8),
    st.lists(st.text("ab\n", max_size=10), max_size=8),
)
def test_like_is_that_of_sql(pattern: str, texts: list[str]) -> None:
    """`%` is any text, `_` any character."""
    call = FunctionCall("like", (ColumnOf("text", "string"), Constant(pattern)))
    parts = {"%": ".*", "_": "."}
    regex = re.compile("".join(parts.get(char, char) for char in pattern), re.DOTALL)

    assert among(call, texts) == {text for text in texts if regex.fullmatch(text)}


REFUSED = {
    r"^(?!test)": "looks ahead",
    r"(?=a)b": "looks ahead",
    r"(?<=a)b": "looks behind",
    r"(?<!a)b": "looks behind",
    r"(a)\1": "back reference",
    r"(?<x>a)\k<x>": "back reference",
    "(?>a)": "atomic",
    "(?m)^a$": "not supported",
    "(a": "unclosed",
    "a)": "unopened",
    "[a": "not closed",
    "[]": "empty class",
    "[z-a]": "range",
    r"[\d-z]": "range",
    "*a": "nothing that '*'",
    "a++": "nothing that '+'",
    "a{3,1}": "wrong way round",
    "a{,3}": "lower bound",
    r"\q": "means nothing",
    r"\ud800": "no character",
    "((a{1000}){1000}){1000}": "too large",
    "(?<a>x)(?<a>y)": "two groups",
    "(" * 5000 + "a" + ")" * 5000: "not a regular expression",
}


@pytest.mark.parametrize("pattern", REFUSED)
def test_what_the_engine_cannot_do_is_refused_with_its_place(pattern: str) -> None:
    """The reader says file, place and reason; so does lint."""
    for read in (parse, lint):
        with pytest.raises(ContractError) as refused:
            read(document(pattern), file="t.odcs.yaml")

        assert refused.value.file == "t.odcs.yaml"
        assert refused.value.path == "schema[0].properties[1].logicalTypeOptions.pattern"
        assert REFUSED[pattern] in refused.value.reason


def test_texts_that_are_none_are_not_in_the_way() -> None:
    """Bytes that are no text, which are a fault by themselves, do not stop the engine."""
    assert TextPattern("^a.$").among(["a\udc80", "ab", "b"]) == {"a\udc80", "ab"}
