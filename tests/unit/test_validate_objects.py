"""JSON Lines and JSON arrays: the same verdicts from values that have a type."""

import json
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landfall.validation.readers.array import Elements
from tests.unit.test_validate_parquet import parquet
from tests.unit.validation import CONTRACTS, faults, run_validation, small

ROWS: list[dict[str, Any]] = [
    {"id": 1, "name": "a", "secret": "s"},
    {"secret": "s", "id": 2, "more": [1]},
    {"id": 2, "name": None, "secret": "s"},
    {"id": "3", "name": "d", "secret": "q"},
    {"id": 4, "name": "line\nend", "secret": None},
]
ACCEPTED = [
    {"id": 1, "name": "a", "secret": "s"},
    {"id": 2, "name": None, "secret": "s"},
    {"id": 4, "name": "line\nend", "secret": None},
]
EXPECTED = {
    ("unique", "id"): 1,
    ("type", "id"): 1,
    ("enum", "secret"): 1,
}


@pytest.mark.parametrize("chunk", [3, 1 << 20])
def test_json_lines(chunk: int) -> None:
    """One object a line, absent names are missing values, unknown names are extra."""
    data = "\n\n".join(json.dumps(row) for row in ROWS).encode()

    report, findings = run_validation(data, small(), name="drop.jsonl", chunk=chunk)

    assert {key: count for key, (count, _) in faults(report).items()} == EXPECTED
    assert faults(report)["unique", "id"] == (1, [5])
    assert report.columns.extra == ("more",)
    assert findings["rejects"] == "".join(json.dumps(r) + "\n" for r in ROWS[2:4]).encode()
    assert findings.rows() == ACCEPTED


@pytest.mark.parametrize("chunk", [3, 1 << 20])
@pytest.mark.parametrize("indent", [None, 2])
def test_json_array(chunk: int, indent: int | None) -> None:
    """An element's line is where it begins; rejects are JSON Lines."""
    data = json.dumps(ROWS, indent=indent).encode()

    report, findings = run_validation(data, small(), name="drop.json", chunk=chunk)

    assert {key: count for key, (count, _) in faults(report).items()} == EXPECTED
    if indent:
        line = data[: data.index(b'"id": "3"')].count(b"\n")
        assert faults(report)["type", "id"] == (1, [line])
    rejects = [json.loads(line) for line in (findings["rejects"] or b"").splitlines()]
    assert rejects == ROWS[2:4]
    assert findings.rows() == ACCEPTED


BROKEN = [
    "{",
    "[1]",
    "1",
    "nul",
    '{"id": NaN}',
    '{"id": 1, "id": 2}',
    '{"id": 1}}',
    "[" * 10_000 + "]" * 10_000,
    '{"id":' * 10_000,
    '{"id": ' + "9" * 10_000 + "}",
]


@pytest.mark.parametrize("line", BROKEN)
def test_a_malformed_line_affects_no_other(line: str) -> None:
    """A malformed line is one reject; other records are not affected."""
    data = f'{{"id": 1}}\n{line}\n{{"id": 2}}\n'.encode()

    report, _ = run_validation(data, small(), name="drop.ndjson")

    assert (report.rows, report.rejected) == (3, 1)
    assert report.checks[0].rule == "json"
    assert report.checks[0].samples[0].line == 2


def test_bytes_that_are_no_text_in_json() -> None:
    """A line that is not UTF-8 is a reject with the same bytes."""
    report, findings = run_validation(
        b'{"id": 1}\n{"id": 2, "name": "\xe9"}\n', small(), name="a.jsonl"
    )

    assert faults(report) == {("encoding", None): (1, [2])}
    assert findings["rejects"] == b'{"id": 2, "name": "\xe9"}\n'


@pytest.mark.parametrize(
    ("text", "rows", "rejected"),
    [
        ('[{"id": 1}, 5, {"id": 2}]', 3, 1),
        ('[{"id": 1}, {"id" 2}, {"id": 3}]', 3, 1),
        ('[{"id": 1},]', 2, 1),
        ('[{"id": 1} {"id": 2}, {"id": 3}]', 2, 1),
        ('[{"id": 1, "name": "]},{"}]', 1, 0),
        ('[{"id": 1, "name": "\\"]"}]  \n', 1, 0),
    ],
)
def test_malformed_elements(text: str, rows: int, rejected: int) -> None:
    """Elements are separated by brackets and strings only."""
    report, _ = run_validation(text.encode(), small(), name="drop.json")

    assert (report.rows, report.rejected) == (rows, rejected)


@pytest.mark.parametrize(
    "text", ["[]", '[{"id": 1}', '[{"id": 1}] x', "[", '[{"id": "', '[{"id": 1},']
)
def test_malformed_arrays_are_refused(text: str) -> None:
    """Empty, cut off, or followed by something else."""
    report, _ = run_validation(text.encode(), small(), name="drop.json")

    assert report.verdict == "refused"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(JSON, max_size=6), st.sampled_from([None, 1]), st.integers(1, 40))
def test_elements_are_what_json_reads(values: list[Any], indent: int | None, chunk: int) -> None:
    """With chunks of any size, the elements are those that json reads."""
    data = json.dumps(values, indent=indent, ensure_ascii=False).encode()
    chunks = [data[at : at + chunk] for at in range(0, len(data), chunk)]

    elements = [json.loads(text) for block in Elements(chunks) for text, _ in block]

    assert elements == values


def test_users_of_the_marketplace_in_every_kind() -> None:
    """The same table in all formats has the same verdict."""
    from marketplace.generator import generate_users  # noqa: PLC0415 - only here

    frame = pl.DataFrame([user._asdict() for user in generate_users(500, 3)])
    kinds = {
        "users.parquet": parquet(frame),
        "users.jsonl": frame.write_ndjson().encode(),
        "users.json": json.dumps(frame.to_dicts()).encode(),
        "users.csv": frame.write_csv(quote_style="always").encode(),
    }
    for name, data in kinds.items():
        report, _ = run_validation(data, CONTRACTS["users"], name=name)
        assert (report.verdict, report.rows) == ("accepted", 500), (name, report.checks)
