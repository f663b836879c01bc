"""Validates single cells by each type and each rule."""

from typing import Any

import pytest

from landfall.contract.columns import read_column
from landfall.contract.model import Column
from landfall.contract.reader import Node
from landfall.validation.rules import text_validator, value_validator


def column(logical_type: str, **more: Any) -> Column:
    """Return a column as read from a contract."""
    definition = {"name": "c", "logicalType": logical_type} | more
    return read_column(Node(definition, "t", "p"))


def options(logical_type: str, **more: Any) -> Column:
    """A column with `logicalTypeOptions`."""
    return column(logical_type, logicalTypeOptions=more)


I64, I8 = options("integer", format="i64"), options("integer", format="i8")
NUMBER, TRUTH = column("number"), column("boolean")
DATE = column("date")
STAMP = column("timestamp")
ZONED, BARE = options("timestamp", timezone=True), options("timestamp", timezone=False)
FRENCH = options("date", format="dd/MM/yyyy")
CODE = options("string", pattern="^[a-z]{2}$")

TYPES: list[tuple[Column, str, list[str], list[str]]] = [
    (
        I64,
        "integer",
        ["0", "-0", "007", "9223372036854775807", "-9223372036854775808"],
        [
            "9223372036854775808",
            "+1",
            " 1",
            "1 ",
            "1.0",
            "1e3",
            "1_000",
            "\u0661",
            "-",
            "0x1",
            "9" * 99,
        ],
    ),
    (I8, "integer", ["127", "-128"], ["128", "-129"]),
    (
        NUMBER,
        "number",
        ["0", "-1.5", "1e3", "1E-5", "00.5", "1.7976931348623157e308"],
        ["NaN", "inf", "1e400", "1,5", ".5", "5.", " 1", "+1", "1_0", "1e", "--1"],
    ),
    (options("number", format="f32"), "number", ["3.4e38"], ["3.5e38"]),
    (TRUTH, "boolean", ["true", "True", "FALSE"], ["yes", "1", "t", "tRUE", " true"]),
    (
        DATE,
        "date",
        ["2024-02-29", "0001-01-01"],
        ["2023-02-29", "2024-2-1", "2024-13-01", "24-01-01", "2024-01-01T00:00:00", "0000-01-01"],
    ),
    (FRENCH, "date", ["29/02/2024"], ["2024-02-29", "30/02/2024", "1/2/2024"]),
    (
        STAMP,
        "timestamp",
        ["2024-02-29T23:59:59", "2024-01-01 00:00:00.123456Z", "2024-01-01T00:00:00+02:00"],
        ["2024-01-01T24:00:00", "2024-01-01", "2024-01-01T00:00:00+99:00", "2024-01-01T00:00:60"],
    ),
    (ZONED, "timestamp", ["2024-01-01T00:00:00Z"], ["2024-01-01T00:00:00"]),
    (BARE, "timestamp", ["2024-01-01T00:00:00"], ["2024-01-01T00:00:00Z"]),
    (column("time"), "time", ["23:59:59", "00:00:00.5"], ["24:00:00", "1:00:00", "12:00"]),
]


@pytest.mark.parametrize(("column", "_", "good", "bad"), TYPES, ids=[t[1] for t in TYPES])
def test_types_are_strict(column: Column, _: str, good: list[str], bad: list[str]) -> None:
    """Blanks, plus signs, other spellings and impossible dates are rejected."""
    validate = text_validator(column)

    assert [(cell, ()) for cell in good] == [(cell, validate(cell)) for cell in good]
    assert [(cell, ("type",)) for cell in bad] == [(cell, validate(cell)) for cell in bad]


RULES: list[tuple[Column, str, list[str], list[str]]] = [
    (options("integer", minimum=3), "minimum", ["3", "4"], ["2", "-3"]),
    (options("integer", maximum=3), "maximum", ["3", "-9"], ["4"]),
    (options("number", exclusiveMinimum=0), "exclusiveMinimum", ["0.001"], ["0", "-0.0"]),
    (options("number", exclusiveMaximum=1.5), "exclusiveMaximum", ["1.49"], ["1.5", "2"]),
    (options("date", minimum="2024-01-01"), "minimum", ["2024-01-01"], ["2023-12-31"]),
    (
        options("timestamp", maximum="2024-01-01T00:00:00Z"),
        "maximum",
        ["2024-01-01T01:00:00+01:00"],
        ["2024-01-01T00:00:00-01:00"],
    ),
    (
        options("number", multipleOf=0.1),
        "multipleOf",
        ["0.3", "1e300", "-7.1"],
        ["0.35", "1e-9999999", "1e-2"],
    ),
    (options("integer", multipleOf=5), "multipleOf", ["0", "-10"], ["3"]),
    (options("string", minLength=2), "minLength", ["éé"], ["é"]),
    (options("string", maxLength=2), "maxLength", ["éé", "𝄞𝄞"], ["abc"]),
    (CODE, "pattern", ["fr"], ["FR", "fr\n", "f", "éé"]),
    (options("string", pattern=r"\d"), "pattern", ["a1b"], ["ab", "\u0661"]),
    (
        options("string", format="uuid"),
        "format",
        ["123e4567-e89b-12d3-a456-426614174000"],
        ["123e4567e89b12d3a456426614174000"],
    ),
    (options("string", format="email"), "format", ["a.b@c.org"], ["a@", "a b@c", "@c"]),
    (options("string", format="ipv4"), "format", ["10.0.0.1"], ["10.0.0.256", "::1"]),
    (column("string", enum=[{"value": "F"}]), "enum", ["F"], ["f", "F "]),
    (column("integer", enum=[{"value": 1}]), "enum", ["1", "01"], ["2"]),
    (column("string", required=True), "required", ["x", " "], [""]),
]


@pytest.mark.parametrize(("column", "rule", "good", "bad"), RULES, ids=[r[1] for r in RULES])
def test_rules_at_their_bounds(column: Column, rule: str, good: list[str], bad: list[str]) -> None:
    """Each rule accepts its bound and rejects values beyond it."""
    validate = text_validator(column)

    assert [(cell, ()) for cell in good] == [(cell, validate(cell)) for cell in good]
    assert [(cell, (rule,)) for cell in bad] == [(cell, validate(cell)) for cell in bad]


def test_one_cell_may_break_several_rules() -> None:
    """Every rule that a value breaks is named."""
    validate = text_validator(options("string", minLength=3, pattern="^a"))

    assert validate("bb") == ("minLength", "pattern")


def test_an_optional_cell_may_be_empty() -> None:
    """No other rule applies to null."""
    assert text_validator(CODE)("") == ()


@pytest.mark.parametrize("cell", ["a\0b", "Su\udce8de"])
def test_invalid_text_is_an_encoding_fault(cell: str) -> None:
    """NUL and bytes that are not UTF-8 are faults of the cell, whatever else it is."""
    assert text_validator(column("string"))(cell) == ("encoding",)


TYPED: list[tuple[Column, list[Any], list[Any]]] = [
    (I64, [0, -5, None], [True, 1.0, "1", 2**63, [1], {}]),
    (NUMBER, [0, 1.5], [True, "1.5", float("nan"), 10**400]),
    (TRUTH, [True, False], [0, 1, "true"]),
    (column("string"), ["", "x"], [1, ["x"], False]),
    (DATE, ["2024-02-29"], ["2024-02-30", 20240229]),
]


@pytest.mark.parametrize(("column", "good", "bad"), TYPED)
def test_values_that_have_a_type(column: Column, good: list[Any], bad: list[Any]) -> None:
    """A JSON value has its own type: a quoted number is text, a bool is not a number."""
    validate = value_validator(column)

    assert [(value, ()) for value in good] == [(value, validate(value)) for value in good]
    assert [(value, ("type",)) for value in bad] == [(value, validate(value)) for value in bad]
