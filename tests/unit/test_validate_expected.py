"""A broken rule says what the contract expects: list, bound, format, pattern, the other dataset."""

from __future__ import annotations

import pytest

from landfall.contract.folder import parse
from landfall.validation import validate
from landfall.validation.local_files import BytesSource, FileOutputs
from landfall.validation.report import Report

CONTRACT = """
apiVersion: v3.2.0
kind: DataContract
id: rides
version: 1.0.0
status: active
schema:
  - name: rides
    properties:
      - {name: id, logicalType: integer, primaryKey: true, required: true, unique: true}
      - {name: day, logicalType: date, logicalTypeOptions: {format: dd.MM.yyyy}}
      - {name: at, logicalType: timestamp}
      - {name: fare, logicalType: number, logicalTypeOptions: {minimum: 2.5, maximum: 900}}
      - {name: pay, logicalType: string, enum: [{value: cash}, {value: card}]}
      - {name: plate, logicalType: string, logicalTypeOptions: {pattern: "^[A-Z]{3}$"}}
      - {name: note, logicalType: string, logicalTypeOptions: {maxLength: 3}}
      - {name: paid, logicalType: boolean}
"""
GOOD = {
    "id": "1",
    "day": "30.11.2026",
    "at": "2026-11-30T10:00:00Z",
    "fare": "7.5",
    "pay": "cash",
    "plate": "ABC",
    "note": "ok",
    "paid": "true",
}


def report(*changes: dict[str, str]) -> Report:
    """The report of a file with these records, each the good one but for its changes."""
    lines = [",".join(GOOD), *(",".join((GOOD | change).values()) for change in changes)]
    text = "\n".join([*lines, ""]).encode()
    contract = parse(CONTRACT, file="rides.odcs.yaml")
    return validate(BytesSource(text), contract, name="x.csv", outputs=FileOutputs())


@pytest.mark.parametrize(
    ("column", "value", "rule", "expected"),
    [
        ("id", "x", "type", "a whole number, as 42"),
        ("id", "", "required", "a value"),
        ("day", "2026-11-30", "type", "a date, dd.MM.yyyy"),
        ("at", "30.11.2026", "type", "a timestamp, ISO 8601, as 2026-11-30T09:15:00Z"),
        ("fare", "7,5x", "type", None),
        ("fare", "1", "minimum", "at least 2.5"),
        ("fare", "901", "maximum", "at most 900"),
        ("pay", "Cash", "enum", "one of cash, card"),
        ("plate", "abc", "pattern", "a text that matches ^[A-Z]{3}$"),
        ("note", "long", "maxLength", "characters, at most 3"),
        ("paid", "yes", "type", "one of true, True, TRUE, false, False, FALSE"),
    ],
)
def test_what_is_expected(column: str, value: str, rule: str, expected: str | None) -> None:
    """Each kind of rule, by the contract's own figures."""
    checks = {check.rule: check.expected for check in report({column: value}).checks}
    if expected is None:
        assert checks.keys() == {"fieldCount"}
        expected, rule = "as many fields as the header has", "fieldCount"
    assert checks[rule] == expected


def test_equal_keys_and_what_a_report_keeps() -> None:
    """The words go through JSON and back."""
    found = report({}, {"note": "two"})
    (check,) = found.checks
    assert (check.rule, check.expected) == ("unique", "each value once")
    assert Report.from_json(found.to_json()) == found
