"""Quality rules: per record if no record may be counted, else over the whole table."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landfall.contract.folder import Contract, parse
from landfall.validation import Report
from landfall.validation.readers import plain
from tests.unit.validation import faults, run_validation


def contract(*rules: dict[str, Any], **columns: list[dict[str, Any]]) -> Contract:
    """Four columns, the rules of the table, and rules by column."""
    kinds = {"a": "integer", "b": "number", "c": "string", "d": "date", "e": "boolean"}
    properties = [
        {"name": name, "logicalType": kind, "quality": columns.get(name, [])}
        for name, kind in kinds.items()
    ]
    document = {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": "t",
        "version": "1.0.0",
        "schema": [{"name": "t", "quality": list(rules), "properties": properties}],
        "customProperties": [{"property": "maxRejectedRatio", "value": 1}],
    }
    return parse(json.dumps(document), file="t")


def sql(condition: str, **bound: Any) -> dict[str, Any]:
    """A rule that counts the records of which a condition is true."""
    query = COUNT.format(condition)
    return {"type": "sql", "name": "rule", "query": query, **(bound or {"mustBe": 0})}


COUNT = "SELECT COUNT(*) FROM ${{object}} WHERE {}"
SUM = "SELECT SUM(a) FROM t WHERE {}"
HEAD = b"a,b,c,d,e\n"
ROWS = b"1,1.5,x,2024-01-01,true\n2,,yy,2024-02-01,false\n,3,,2024-03-01,\nq,4,z,,true\n"


@pytest.mark.parametrize(
    ("condition", "lines"),
    [
        ("a = 1", [2]),
        ("a <> 1", [3]),
        ("b IS NULL", [3]),
        ("a IS NULL", [4]),  # what is no number is not missing
        ("a + 1 > b AND c LIKE '_'", [2]),
        ("NOT (b < 3.5)", [5]),
        ("LENGTH(c) = 2 OR d > '2024-02-15'", [3, 4]),
        ("c IN ('x', 'z')", [2, 5]),
        ("e", [2, 5]),
        ("e IS NOT TRUE", [3, 4]),
        ("a / 0 = 1", []),
        ("COALESCE(b, 9) > 8", [3]),
        ("d BETWEEN '2024-01-31' AND DATE '2024-02-01'", [3]),
    ],
)
@pytest.mark.parametrize("smallest", [0, 1 << 20])
def test_conditions_of_one_record(
    condition: str, lines: list[int], smallest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown condition is not counted; the prefilter and the record validator agree."""
    monkeypatch.setattr(plain, "SMALLEST", smallest)

    report, _ = run_validation(HEAD + ROWS, contract(sql(condition)))

    assert lines == faults(report).get(("rule", None), (0, []))[1]


@pytest.mark.parametrize(
    ("rule", "value", "kept"),
    [
        ({"metric": "rowCount", "mustBeBetween": [1, 4]}, 4, True),
        ({"metric": "rowCount", "mustBeGreaterThan": 4}, 4, False),
        (sql("a > 0", mustBeLessThan=3), 2, True),
        (sql("a > 0", mustBeLessThan=50, unit="percent"), 50, False),
        ({"type": "sql", "query": "SELECT SUM(b) FROM t", "mustBe": 8.5}, 8.5, True),
        ({"type": "sql", "query": "SELECT AVG(a) FROM t", "mustBe": 1.5}, 1.5, True),
        ({"type": "sql", "query": "SELECT MAX(b) FROM t WHERE c = 'x'", "mustBe": 1}, 1.5, False),
        ({"type": "sql", "query": "SELECT MIN(b) FROM t WHERE a > 9", "mustBe": 1}, None, False),
    ],
)
@pytest.mark.parametrize("smallest", [0, 1 << 20])
def test_measures_of_the_table(
    rule: dict[str, Any],
    value: float | None,
    kept: bool,
    smallest: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One broken bound refuses the file and says so; the report has every measure."""
    monkeypatch.setattr(plain, "SMALLEST", smallest)

    report, _ = run_validation(HEAD + ROWS, contract(rule))

    assert [(value, kept)] == [(m.value, m.kept) for m in report.measures]
    assert (report.verdict == "refused") == (not kept)
    if report.problem is not None:
        assert "must" in report.problem.reason
    assert Report.from_json(report.to_json()) == report


def test_library_rules_of_columns() -> None:
    """Missing, invalid and repeated values by the contract's lists."""
    rules = {
        "c": [
            {"metric": "missingValues", "arguments": {"missingValues": ["-", None]}, "mustBe": 0},
            {"metric": "invalidValues", "arguments": {"pattern": "^[a-z-]$"}, "mustBe": 0},
            {"metric": "duplicateValues", "mustBeLessThan": 2},
        ],
        "a": [{"metric": "invalidValues", "arguments": {"validValues": [1, 2]}, "mustBe": 0}],
    }
    rows = b"1,,x,,\n2,,-,,\n3,,,,\n1,,XX,,\n1,,x,,\n"

    report, _ = run_validation(HEAD + rows, contract(**rules))

    assert faults(report) == {
        ("invalidValues", "a"): (1, [4]),
        ("missingValues", "c"): (2, [3, 4]),
        ("invalidValues", "c"): (1, [5]),
    }
    assert [(m.rule, m.value, m.kept) for m in report.measures] == [("duplicateValues", 1, True)]


def test_repeated_values_of_several_columns() -> None:
    """A duplicate is a fault of the later record."""
    rule = {"metric": "duplicateValues", "arguments": {"properties": ["a", "c"]}, "mustBe": 0}

    report, _ = run_validation(HEAD + b"1,,x,,\n1,,y,,\n1,,x,,\n", contract(rule))

    assert faults(report) == {("duplicateValues", "a,c"): (1, [4])}


CELLS = {
    "a": st.sampled_from(["", "0", "1", "-5", "99999999999", "9223372036854775807", "x", "1.5"]),
    "b": st.sampled_from(["", "0", "1", "-0.5", "1e3", "0.1", "nan", "2"]),
    "c": st.sampled_from(["", "a", "ab", "éa", "%", "A"]),
    "d": st.sampled_from(["", "2024-01-01", "2024-02-30", "2025-12-31"]),
    "e": st.sampled_from(["", "true", "False", "yes"]),
}
NUMBERS = st.sampled_from(
    ["a", "b", "1", "-5", "0.5", "LENGTH(c)", "a * a", "a - b", "b / a", "-a"]
)
SIGNS = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])
SIMPLE = (
    st.tuples(st.sampled_from(["a", "b", "a + 1", "ABS(b)", "ABS(a)"]), SIGNS, NUMBERS).map(
        " ".join
    )
    | st.sampled_from(
        ["e", "c LIKE 'a%'", "c = 'a'", "d > '2024-06-01'", "a IS NULL", "c IN ('a')"]
    )
    | st.sampled_from(["COALESCE(a, 1) = 1", "e IS FALSE", "a BETWEEN -5 AND 1", "d IS NOT NULL"])
)
CONDITION = st.recursive(
    SIMPLE,
    lambda inner: (
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(
            lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"
        )
        | inner.map(lambda inner_condition: f"NOT ({inner_condition})")
    ),
    max_leaves=4,
)


@pytest.mark.large
@settings(max_examples=200, deadline=None)
@given(
    condition=CONDITION,
    rows=st.lists(st.tuples(*CELLS.values()).map(",".join), min_size=1, max_size=12),
    bound=st.sampled_from([{"mustBe": 0}, {"mustBeLessThan": 3}]),
)
def test_prefilter_and_validator_agree(
    condition: str, rows: list[str], bound: dict[str, Any]
) -> None:
    """For any condition and any cells."""
    data = HEAD + "\n".join(rows).encode() + b"\n"
    rules = contract(
        sql(condition, **bound),
        {
            "type": "sql",
            "query": SUM.format(condition),
            "mustBeLessThan": 5,
        },
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain, "SMALLEST", 1 << 20)
        exact, findings = run_validation(data, rules)
        patch.setattr(plain, "SMALLEST", 0)
        prefiltered, prefiltered_findings = run_validation(data, rules)

    assert faults(exact) == faults(prefiltered)
    assert exact.measures == prefiltered.measures
    assert findings["rejects"] == prefiltered_findings["rejects"]
