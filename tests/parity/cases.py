"""A table of small cases, each a contract and a file, for any validator of ODCS.

Each rule has a case that satisfies it and one that breaks it. If datacontract-cli decides
differently, the case has the sentence of the standard or of its JSON schema that decides.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """A contract, a file, and whether the file satisfies the contract.

    Attributes:
        rule: the tested rule.
        table: the contract's table, without its name.
        lines: the file, header first.
        passes: whether the file satisfies the contract.
        decided_by: the deciding sentence, if datacontract-cli decides differently.
    """

    rule: str
    table: dict[str, Any]
    lines: tuple[str, ...]
    passes: bool
    decided_by: str | None = None

    @property
    def name(self) -> str:
        """Name of the test case."""
        return f"{self.rule} {'kept' if self.passes else 'broken'}"

    @property
    def contract(self) -> str:
        """The whole contract as JSON, which is a subset of YAML."""
        return json.dumps(
            {
                "apiVersion": "v3.2.0",
                "kind": "DataContract",
                "id": "t",
                "version": "1.0.0",
                "status": "active",
                "schema": [{"name": "t", "logicalType": "object", **self.table}],
            }
        )

    @property
    def data(self) -> str:
        """The whole file."""
        return "".join(f"{line}\n" for line in self.lines)


def column(
    rule: str, spec: dict[str, Any], good: str, bad: str, but: Mapping[str, str] | None = None
) -> list[Case]:
    """Return two cases with a column `c` and a column that is always valid.

    `good` and `bad` are its cells, separated by blanks. `but` has the deciding sentence for the
    file that the peer validates differently.
    """
    table = {"properties": [{"name": "n", "logicalType": "string"}, {"name": "c", **spec}]}
    return [
        Case(
            rule,
            table,
            ("n,c", *(f"r,{cell}" for cell in cells.split(" "))),
            passes=passes,
            decided_by=(but or {}).get("good" if passes else "bad"),
        )
        for cells, passes in ((good, True), (bad, False))
    ]


def typed(rule: str, kind: str, good: str, bad: str, **type_options: Any) -> list[Case]:
    """Return the cases of a type with its options; `but_good` and `but_bad` are as `but`."""
    but = {key[4:]: type_options.pop(key) for key in ("but_good", "but_bad") if key in type_options}
    options = {"logicalTypeOptions": type_options} if type_options else {}
    return column(rule, {"logicalType": kind, **options}, good, bad, but)


def measured(rule: str, kind: str, good: str, bad: str, **quality: Any) -> list[Case]:
    """Return the cases of a column with one quality rule."""
    but = {key[4:]: quality.pop(key) for key in ("but_good", "but_bad") if key in quality}
    return column(rule, {"logicalType": kind, "quality": [quality]}, good, bad, but)


def whole(rule: str, good: str, bad: str, **table: Any) -> list[Case]:
    """Return two cases with integers `a` and `b`, records separated by blanks."""
    properties = [{"name": name, "logicalType": "integer"} for name in ("a", "b")]
    return [
        Case(rule, {"properties": properties, **table}, ("a,b", *rows.split(" ")), passes=passes)
        for rows, passes in ((good, True), (bad, False))
    ]


def measuring(rule: str, good: str, bad: str, **quality: Any) -> list[Case]:
    """Return the cases of one quality rule of the table."""
    return whole(rule, good, bad, quality=[quality])


def sql(rule: str, good: str, bad: str, query: str, **bound: Any) -> list[Case]:
    """Return the cases of one rule in SQL."""
    return measuring(rule, good, bad, type="sql", query=query, **bound)


INTEGERS = (
    "Format of the value in terms of how many bits of space it can use and whether it is signed or "
    "unsigned (follows the Rust integer types)."
)
TYPES = (
    "The logical field datatype. One of string, date, timestamp, time, number, integer, ...: what "
    "is written 1.5 or 1e3 is a number."
)
FINITE = (
    "Format of the value in terms of how many bits of space it can use (follows the Rust float "
    "types); NaN is no number, and no bound could be kept by it."
)
PATTERNS = (
    "Format of the date. Follows the format as prescribed by JDK DateTimeFormatter. For example, "
    "format 'yyyy-MM-dd'."
)
ZONES = (
    "Whether the timestamp defines the timezone or not. If true, timezone information is included "
    "in the timestamp."
)
MULTIPLES = (
    "Values must be multiples of this number. For example, multiple of 5 has valid values 0, 5, "
    "10, -5."
)
TEXTS = (
    "Provides extra context about what format the string follows. For example, password, byte, "
    "binary, email, uuid, uri, hostname, ipv4, ipv6."
)
ROWS = "unit: rows # rows (default) or percent: two rows repeat the value of the first."

KEY = {
    "properties": [
        {"name": "a", "logicalType": "integer", "primaryKey": True, "primaryKeyPosition": 1},
        {"name": "b", "logicalType": "integer", "primaryKey": True, "primaryKeyPosition": 2},
    ]
}

CASES: list[Case] = [
    *typed("integer", "integer", "1 -7", "1 x"),
    *typed("integer without a fraction", "integer", "10", "1.5", but_bad=TYPES),
    *typed("integer without an exponent", "integer", "1000", "1e3", but_bad=TYPES),
    *typed(
        "integer of 64 bits", "integer", "9223372036854775807", "9223372036854775808", format="i64"
    ),
    *typed("integer of 8 bits", "integer", "127", "128", format="i8", but_bad=INTEGERS),
    *typed("unsigned integer", "integer", "0 255", "-1", format="u8", but_bad=INTEGERS),
    *typed("number", "number", "1.5 -2e3", "1.5.5"),
    *typed("number that is finite", "number", "1.5", "NaN", but_bad=FINITE),
    *typed("boolean", "boolean", "true false", "maybe"),
    *typed("date", "date", "2024-02-29", "2024-13-01"),
    *typed("date that exists", "date", "2024-02-29", "2024-02-30"),
    *typed(
        "date by its format",
        "date",
        "29.02.2024",
        "2024-02-29",
        format="dd.MM.yyyy",
        but_bad=PATTERNS,
    ),
    *typed("timestamp", "timestamp", "2024-02-29T12:00:00", "noon"),
    *typed(
        "timestamp with a zone",
        "timestamp",
        "2024-02-29T12:00:00Z",
        "2024-02-29T12:00:00",
        timezone=True,
        but_bad=ZONES,
    ),
    *typed(
        "timestamp as the standard writes it",
        "timestamp",
        "2024-03-10T14:22:35Z",
        "2024-03-10",
        format="yyyy-MM-ddTHH:mm:ssZ",
        but_bad=PATTERNS,
    ),
    *typed("time", "time", "12:30:00", "25:00:00"),
    *column("required", {"logicalType": "string", "required": True}, "a b", "a  b"),
    *column("required number", {"logicalType": "integer", "required": True}, "1 2", "1  2"),
    *column("unique", {"logicalType": "integer", "unique": True}, "1 2", "1 1"),
    *column("unique text", {"logicalType": "string", "unique": True}, "a A", "a a"),
    *column("unique without a value", {"logicalType": "integer", "unique": True}, "1  2 ", "1  1"),
    *column(
        "primary key",
        {"logicalType": "integer", "primaryKey": True, "primaryKeyPosition": 1},
        "1 2",
        "2 2",
    ),
    *column(
        "primary key with a value",
        {"logicalType": "integer", "primaryKey": True, "primaryKeyPosition": 1},
        "1 2",
        "1 ",
    ),
    *whole("primary key of two columns", "1,1 1,2", "1,2 1,2", **KEY),
    *column(
        "enum", {"logicalType": "string", "enum": [{"value": "a"}, {"value": "b"}]}, "a b", "a c"
    ),
    *column(
        "enum of numbers",
        {"logicalType": "integer", "enum": [{"value": 1}, {"value": 2}]},
        "1 2",
        "3",
    ),
    *column("enum in letters", {"logicalType": "string", "enum": [{"value": "a"}]}, "a", "A"),
    *column(
        "enum without a value", {"logicalType": "string", "enum": [{"value": "a"}]}, "a ", "a b"
    ),
    *typed("minimum", "integer", "3", "2", minimum=3),
    *typed("maximum", "integer", "3", "4", maximum=3),
    *typed("exclusiveMinimum", "integer", "4", "3", exclusiveMinimum=3),
    *typed("exclusiveMaximum", "integer", "2", "3", exclusiveMaximum=3),
    *typed("multipleOf", "integer", "0 15", "7", multipleOf=5, but_bad=MULTIPLES),
    *typed("minimum of a number", "number", "0.5", "0.4", minimum=0.5),
    *typed("maximum of a number", "number", "0.5", "0.6", maximum=0.5),
    *typed("multipleOf of a number", "number", "0.3", "0.25", multipleOf=0.1, but_bad=MULTIPLES),
    *typed("minimum of a date", "date", "2024-01-01", "2023-12-31", minimum="2024-01-01"),
    *typed("maximum of a date", "date", "2024-01-01", "2024-01-02", maximum="2024-01-01"),
    *typed("minLength", "string", "abc", "ab", minLength=3),
    *typed("maxLength", "string", "abc", "abcd", maxLength=3),
    *typed("maxLength in characters", "string", "äöü", "äöüß", maxLength=3),
    *typed("pattern", "string", "ab", "xy", pattern="^a"),
    *typed("pattern that is searched for", "string", "xay", "xyz", pattern="a"),
    *typed("email", "string", "a@b.org", "a.b.org", format="email", but_bad=TEXTS),
    *typed(
        "uuid",
        "string",
        "123e4567-e89b-12d3-a456-426614174000",
        "123e4567",
        format="uuid",
        but_bad=TEXTS,
    ),
    *typed("ipv4", "string", "10.0.0.1", "10.0.0.256", format="ipv4", but_bad=TEXTS),
    *typed("hostname", "string", "a.example.org", "a_b", format="hostname", but_bad=TEXTS),
    *typed("uri", "string", "https://a.org/b", "a.org", format="uri", but_bad=TEXTS),
    *measured("nullValues", "integer", "1 2", "1 ", metric="nullValues", mustBe=0),
    *measured(
        "nullValues up to a bound", "integer", "1  2", "1   ", metric="nullValues", mustBeLessThan=2
    ),
    *measured(
        "nullValues in percent",
        "integer",
        "1 2 3 ",
        "1 2  ",
        metric="nullValues",
        unit="percent",
        mustBeLessOrEqualTo=25,
    ),
    *measured(
        "missingValues",
        "string",
        "a b",
        "a n/a",
        metric="missingValues",
        arguments={"missingValues": ["n/a", ""]},
        mustBe=0,
    ),
    *measured(
        "invalidValues of a list",
        "string",
        "a b",
        "a x",
        metric="invalidValues",
        arguments={"validValues": ["a", "b"]},
        mustBe=0,
    ),
    *measured(
        "invalidValues of a pattern",
        "string",
        "ab",
        "x",
        metric="invalidValues",
        arguments={"pattern": "^a"},
        mustBe=0,
    ),
    *measured("duplicateValues", "integer", "1 2", "1 1", metric="duplicateValues", mustBe=0),
    *measured(
        "duplicateValues up to a bound",
        "integer",
        "1 1 2",
        "1 1 1",
        metric="duplicateValues",
        mustBeLessThan=2,
        but_bad=ROWS,
    ),
    *measuring(
        "duplicateValues of two columns",
        "1,1 1,2",
        "1,2 1,2",
        metric="duplicateValues",
        arguments={"properties": ["a", "b"]},
        mustBe=0,
    ),
    *measuring("rowCount", "1,1 2,2", "1,1", metric="rowCount", mustBe=2),
    *measuring("rowCount above", "1,1 2,2", "1,1", metric="rowCount", mustBeGreaterThan=1),
    *measuring(
        "rowCount between", "1,1 2,2", "1,1 2,2 3,3", metric="rowCount", mustBeBetween=[1, 2]
    ),
    *measuring("rowCount other than", "1,1 2,2", "1,1", metric="rowCount", mustNotBe=1),
    *sql("SQL of records", "1,2", "3,2", "SELECT COUNT(*) FROM ${object} WHERE a > b", mustBe=0),
    *sql(
        "SQL with a missing value",
        "1,",
        "2,1",
        "SELECT COUNT(*) FROM ${object} WHERE a > b",
        mustBe=0,
    ),
    *sql("SQL of a sum", "1,0 2,0", "1,0 3,0", "SELECT SUM(a) FROM ${object}", mustBe=3),
    *sql(
        "SQL of an average", "1,0 2,0", "1,0 5,0", "SELECT AVG(a) FROM ${object}", mustBeLessThan=2
    ),
    *sql(
        "SQL of an extreme",
        "1,0 2,0",
        "1,0 9,0",
        "SELECT MAX(a) FROM ${object}",
        mustBeLessOrEqualTo=2,
    ),
]
