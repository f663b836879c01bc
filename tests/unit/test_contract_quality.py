"""Quality rules of the standard: read, or refused with a reason."""

import json
from typing import Any

import pytest

from landfall.contract.conditions import ColumnOf, Constant, FunctionCall
from landfall.contract.folder import Contract, ContractError, parse
from landfall.contract.names import meant

COLUMNS = [
    {"name": "id", "logicalType": "integer"},
    {"name": "text", "logicalType": "string"},
    {"name": "price", "logicalType": "number"},
    {"name": "day", "logicalType": "date"},
]


def read(
    rule: dict[str, Any], column: str | None = None, version: str = "v3.2.0", **root: Any
) -> Contract:
    """A contract with one rule, on a column or on the table."""
    columns = [{**c, "quality": [rule]} if c["name"] == column else c for c in COLUMNS]
    table: dict[str, Any] = {"name": "t", "properties": columns}
    if column is None:
        table["quality"] = [rule]
    document = {"apiVersion": version, "kind": "DataContract", "id": "t", "version": "1.0.0"}
    # JSON is YAML.
    return parse(json.dumps({**document, "schema": [table], **root}), file="t.odcs.yaml")


def test_a_count_that_must_be_zero_is_a_rule_of_each_record() -> None:
    """If no record may be counted, each counted record has a fault."""
    (rule,) = read({"metric": "nullValues", "mustBe": 0}, "text").rules

    assert (rule.name, rule.column, rule.per_record) == ("nullValues", "text", True)
    assert rule.condition == FunctionCall("is null", (ColumnOf("text", "string"),))


@pytest.mark.parametrize(
    ("bound", "per_record"),
    [
        ({"mustBe": 0}, True),
        ({"mustBeLessThan": 1}, True),
        ({"mustBeLessOrEqualTo": 0}, True),
        ({"mustBeLessThan": 2}, False),
        ({"mustBeLessThan": 1, "unit": "percent"}, False),
        ({"mustBe": 0, "unit": "percent"}, True),
        ({"mustBeGreaterThan": 0}, False),
        ({"mustBeBetween": [0, 5]}, False),
        ({"mustNotBe": 1}, False),
    ],
)
def test_which_bounds_are_per_record(bound: dict[str, Any], per_record: bool) -> None:
    """Any other bound applies to the count over the whole table."""
    (rule,) = read(
        {"metric": "missingValues", "arguments": {"missingValues": ["-"]}, **bound}, "text"
    ).rules

    assert rule.per_record == per_record


@pytest.mark.parametrize(
    ("rule", "column"),
    [
        ({"rule": "nullCheck", "mustBe": 0}, "id"),
        ({"rule": "duplicateCount", "mustBeLessThan": 10, "unit": "rows"}, "id"),
        ({"rule": "validValues", "validValues": ["a"], "mustBe": 0}, "text"),
        ({"rule": "rowCount", "mustBeGreaterThan": 3}, None),
    ],
)
def test_rule_names_of_odcs_3_0(rule: dict[str, Any], column: str | None) -> None:
    """The rule names of ODCS 3.0 are read."""
    assert len(read(rule, column, "v3.0.2").rules) == 1


def test_sql_is_read_as_a_condition() -> None:
    """Placeholders stand for the table and the column; names match in any case."""
    query = "SELECT COUNT(*) FROM ${object} WHERE ${property} < 0 OR Day > '2024-01-31'"
    (rule,) = read({"type": "sql", "query": query, "mustBe": 0, "name": "odd"}, "price").rules

    assert (rule.name, rule.column, rule.kind, rule.per_record) == ("odd", "price", "count", True)
    assert isinstance(rule.condition, FunctionCall)
    assert rule.condition.operation == "or"
    assert rule.condition.arguments[0] == FunctionCall(
        "<", (ColumnOf("price", "number"), Constant(0))
    )


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("SELECT COUNT(*) FROM t", "count"),
        ("SELECT COUNT(text) FROM t WHERE id IS NOT NULL", "count"),
        ("SELECT SUM(price * 2) AS total FROM t WHERE id BETWEEN 1 AND 5", "sum"),
        ("SELECT AVG(LENGTH(text)) FROM t", "avg"),
        ("SELECT MAX(ABS(-price)) FROM t WHERE text LIKE 'a%' AND NOT text IN ('x', 'y')", "max"),
        ("SELECT MIN(COALESCE(price, 0)) FROM t WHERE day >= DATE '2024-01-01'", "min"),
    ],
)
def test_other_aggregates_are_over_the_table(query: str, kind: str) -> None:
    """Other aggregates are not checked per record."""
    (rule,) = read({"type": "sql", "query": query, "mustBeLessThan": 9}).rules

    assert (rule.kind, rule.per_record) == (kind, False)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELECT COUNT( FROM t", "no SQL"),
        ("DELETE FROM t", "must be a SELECT"),
        ("SELECT COUNT(*) FROM other", "must select from"),
        ("SELECT COUNT(*) FROM t JOIN u ON 1 = 1", "JOINS"),
        ("SELECT COUNT(*) FROM t GROUP BY id", "GROUP"),
        ("SELECT id FROM t", "no aggregate"),
        ("SELECT COUNT(*), 1 FROM t", "one value"),
        ("SELECT COUNT(DISTINCT id) FROM t", "DISTINCT"),
        ("SELECT COUNT(*) FROM t WHERE nope = 1", "no column 'nope'"),
        ("SELECT COUNT(*) FROM t WHERE id = 'a'", "cannot be compared"),
        ("SELECT COUNT(*) FROM t WHERE id", "no condition"),
        ("SELECT COUNT(*) FROM t WHERE 1 = 1", "reads no column"),
        ("SELECT COUNT(*) FROM t WHERE REGEXP_LIKE(text, 'a')", "not supported"),
        ("SELECT COUNT(*) FROM t WHERE id IN (SELECT 1)", "list of values"),
        ("SELECT COUNT(*) FROM t WHERE day > 'soon'", "no date"),
        ("SELECT COUNT(*) FROM ${nothing}", "placeholder"),
        ("SELECT SUM(text) FROM t", "needs numbers"),
        ("SELECT COUNT(*) FROM t WHERE id % 2 = 0", "not supported"),
        ("SELECT COUNT(*) FROM t LIMIT 1", "LIMIT"),
        ("SELECT SUM(id * id * id) FROM t", "128 bits"),
    ],
)
def test_unsupported_sql_is_refused(query: str, reason: str) -> None:
    """The error names the place, so that no rule is silently dropped."""
    with pytest.raises(ContractError) as caught:
        read({"type": "sql", "query": query, "mustBe": 0})

    assert caught.value.path == "schema[0].quality[0].query"
    assert reason in caught.value.reason


@pytest.mark.parametrize(
    ("rule", "column", "reason"),
    [
        ({"metric": "nullValues"}, "id", "needs one of mustBe"),
        ({"metric": "nullValues", "mustBe": 0, "mustNotBe": 1}, "id", "needs one of mustBe"),
        ({"metric": "nullValues", "mustBe": 0}, None, "is a rule of a column"),
        ({"metric": "rowCount", "mustBe": 0}, "id", "is a rule of the table"),
        ({"metric": "freshness", "mustBe": 0}, "id", "supported"),
        ({"metric": "invalidValues", "mustBe": 0}, "id", "needs validValues"),
        (
            {"metric": "invalidValues", "arguments": {"pattern": "("}, "mustBe": 0},
            "text",
            "pattern",
        ),
        (
            {"metric": "invalidValues", "arguments": {"validValues": ["a"]}, "mustBe": 0},
            "id",
            "must be",
        ),
        (
            {"metric": "duplicateValues", "arguments": {"properties": ["x"]}, "mustBe": 0},
            None,
            "no column",
        ),
        ({"metric": "rowCount", "mustBeBetween": [9, 1]}, None, "smaller one first"),
        ({"metric": "rowCount", "mustBeLessThan": 9, "unit": "percent"}, None, "percentage"),
        ({"metric": "rowCount", "mustBe": 1, "extra": 1}, None, "not in the standard"),
        ({"metric": "nullValues", "mustBe": 0, "unit": "euros"}, "id", "rows, percent"),
    ],
)
def test_wrong_rules_are_refused(rule: dict[str, Any], column: str | None, reason: str) -> None:
    """The error says what is expected."""
    with pytest.raises(ContractError) as caught:
        read(rule, column)

    assert reason in caught.value.reason


def test_rules_of_one_name_are_numbered() -> None:
    """Rules of the same name get different names."""
    columns = [
        {**COLUMNS[0], "quality": [{"metric": "nullValues", "mustBeLessThan": n} for n in (5, 9)]}
    ]
    document = {"apiVersion": "v3.2.0", "kind": "DataContract", "id": "t", "version": "1.0.0"}
    text = json.dumps({**document, "schema": [{"name": "t", "properties": columns}]})

    assert [r.name for r in parse(text, file="t").rules] == ["nullValues", "nullValues 2"]


DRIFT = {
    "extraColumns": ("extra", {"freeze", "evolve", "discard"}),
    "reorderedColumns": ("reordered", {"freeze", "evolve"}),
    "missingColumns": ("missing", {"freeze", "evolve"}),
    "renamedColumns": ("renamed", {"freeze", "evolve", "discard"}),
    "changedTypes": ("changed", {"freeze", "evolve", "discard"}),
}


@pytest.mark.parametrize("kind", DRIFT)
@pytest.mark.parametrize("policy", ["freeze", "evolve", "discard"])
def test_drift_is_read(kind: str, policy: str) -> None:
    """Each kind of drift has its policies; any other is refused."""
    field, policies = DRIFT[kind]
    properties = [{"property": "drift", "value": {kind: policy}}]
    rule = {"metric": "rowCount", "mustBeGreaterThan": 0}

    if policy in policies:
        assert getattr(read(rule, customProperties=properties).drift, field) == policy
    else:
        with pytest.raises(ContractError, match="supported: evolve, freeze"):
            read(rule, customProperties=properties)


def test_exclusive_bounds_as_flags() -> None:
    """The boolean exclusive bounds of ODCS 3.0 are read."""
    column = {
        "name": "n",
        "logicalType": "integer",
        "logicalTypeOptions": {"minimum": 3, "exclusiveMinimum": True},
    }
    document = {"apiVersion": "v3.0.0", "kind": "DataContract", "id": "t", "version": "1.0.0"}
    text = json.dumps({**document, "schema": [{"name": "t", "properties": [column]}]})

    read_column = parse(text, file="t").columns[0]

    assert (read_column.minimum, read_column.exclusive_minimum) == (None, 3)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (
            {"type": "sql", "query": "SELECT COUNT(*) FROM t WHERE Amuont > 1", "mustBe": 0},
            "there is no column 'Amuont'",
        ),
        (
            {
                "metric": "duplicateValues",
                "arguments": {"properties": ["zzz"]},
                "mustBe": 0,
            },
            "there is no column 'zzz'; there are: ",
        ),
    ],
)
def test_a_column_that_is_not_there_is_told_with_those_that_are(
    rule: dict[str, Any], words: str
) -> None:
    """Or with the one that may be meant."""
    with pytest.raises(ContractError, match=words):
        read(rule)


def test_the_nearest_name_is_offered() -> None:
    """By its letters, in any case."""
    assert meant("Emial", ["email", "id"]) == "; did you mean 'email'?"
    assert meant("q", ["email", "id"]) == "; there are: email, id"
