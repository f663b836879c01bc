"""Hypothesis strategies of small contracts and drops with faults."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml
from hypothesis import strategies as st

from landfall.contract.folder import Contract, parse


@dataclass(frozen=True)
class Drop:
    """A file and its contract."""

    contract: Contract
    data: bytes
    name: str


WHOLE = ["0", "1", "-1", "7", "07", "12", "42", "100", "9999999999", "99999999999999999999", "1.0"]
FRACTIONS = ["0", "-0.0", "0.5", "1.50", "1.5", "2", "1e3", "1E400", "-3.25", ".5", "NaN", "1,5"]
WORDS = ["a", "b", "ab", "abc", "Zoë", "x y", " a", "", "=cmd|x", "0", "null", "\u00e9\u00df"]
DAYS = ["2024-02-29", "2024-02-30", "2023-12-31", "1999-01-01", "2024-1-1", "31.12.2023"]
TIMES = [
    *("2024-05-01T10:00:00", "2024-05-01 10:00:00Z", "2024-05-01T10:00:00.25+02:00"),
    *("2024-05-01T25:00:00", "2024-05-01T08:00:00Z", "soon"),
]
CLOCKS = ["10:00:00", "23:59:59.999", "24:00:00", "9:00:00"]
TRUTHS = ["true", "False", "TRUE", "yes", "1"]
ADDRESSES = ["10.0.0.1", "10.0.0.256", "a@b.example", "a@b", "::1", "not an address"]

CELLS: dict[str, list[str]] = {
    "integer": WHOLE,
    "number": FRACTIONS,
    "string": [*WORDS, *ADDRESSES],
    "date": DAYS,
    "timestamp": TIMES,
    "time": CLOCKS,
    "boolean": TRUTHS,
}
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "integer": [
        {},
        {"minimum": 0, "maximum": 50},
        {"exclusiveMinimum": 0},
        {"multipleOf": 7},
        {"format": "u8"},
    ],
    "number": [{}, {"minimum": 0.5}, {"exclusiveMaximum": 2}, {"multipleOf": 0.5}],
    "string": [
        {},
        {"maxLength": 2},
        {"minLength": 1, "maxLength": 3},
        {"pattern": "^[a-z]+$"},
        {"format": "ipv4"},
        {"format": "ipv6"},
        {"format": "email"},
    ],
    "date": [{}, {"minimum": "2000-01-01"}, {"format": "dd.MM.yyyy"}],
    "timestamp": [{}, {"timezone": True}, {"timezone": False}, {"maximum": "2024-05-01T09:00:00"}],
    "time": [{}, {"maximum": "12:00:00"}],
    "boolean": [{}],
}
ENUMS: dict[str, list[Any]] = {
    "integer": [1, 7],
    "number": [0.5, 1.5],
    "string": ["a", "ab"],
    "boolean": [True],
    "date": ["2024-02-29"],
}
CONDITIONS = [
    "n > 5",
    "n IS NULL",
    "n * 2 = x",
    "n < x OR w LIKE 'a%'",
    "NOT (w IN ('a', 'b'))",
    "ABS(n) > 10 AND LENGTH(w) < 3",
    "COALESCE(x, 1) / 0 = 1",
    "w LIKE '_b'",
    "x BETWEEN 0 AND 1.5",
]
COUNT = "SELECT COUNT(*) FROM ${object} WHERE "
RULES: list[dict[str, Any]] = [
    *({"type": "sql", "query": COUNT + condition, "mustBe": 0} for condition in CONDITIONS),
    {"type": "sql", "query": "SELECT COUNT(*) FROM ${object} WHERE n > 5", "mustBeLessThan": 3},
    {"type": "sql", "query": "SELECT SUM(n) FROM ${object}", "mustBeGreaterThan": -100},
    {"type": "sql", "query": "SELECT MAX(x) FROM ${object} WHERE n > 0", "mustBeLessThan": 100},
    {"type": "sql", "query": "SELECT AVG(n) FROM ${object}", "mustBeBetween": [-5, 50]},
    {"type": "library", "metric": "rowCount", "mustBeGreaterThan": 2},
    {
        "type": "library",
        "metric": "duplicateValues",
        "arguments": {"properties": ["n", "w"]},
        "mustBe": 0,
    },
    {
        "type": "library",
        "metric": "duplicateValues",
        "arguments": {"properties": ["w"]},
        "mustBeLessThan": 30,
        "unit": "percent",
    },
]
COLUMN_RULES: list[dict[str, Any]] = [
    {"type": "library", "metric": "nullValues", "mustBe": 0},
    {"type": "library", "metric": "nullValues", "mustBeLessThan": 20, "unit": "percent"},
    {
        "type": "library",
        "metric": "missingValues",
        "arguments": {"missingValues": ["", "null"]},
        "mustBe": 0,
    },
    {
        "type": "library",
        "metric": "invalidValues",
        "arguments": {"validValues": ["a", "b"]},
        "mustBe": 0,
    },
    {
        "type": "library",
        "metric": "invalidValues",
        "arguments": {"pattern": "^a"},
        "mustBe": 0,
    },
]


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    """Draw a table of `n`, `x`, `w` and some other columns, with rules of all kinds."""
    kinds = [
        "integer",
        "number",
        "string",
        *draw(st.lists(st.sampled_from(list(CELLS)), max_size=4)),
    ]
    names = ["n", "x", "w", "d1", "d2", "d3", "d4"]
    columns = []
    for name, kind in zip(names, kinds, strict=False):
        column: dict[str, Any] = {"name": name, "logicalType": kind}
        if options := draw(st.sampled_from(OPTIONS[kind])):
            column["logicalTypeOptions"] = options
        column["required"] = draw(st.booleans())
        column["unique"] = draw(st.integers(0, 5)) == 0
        if draw(st.integers(0, 4)) == 0:
            column["classification"] = "personal"
        if kind in ENUMS and draw(st.integers(0, 5)) == 0 and "format" not in options:
            column["enum"] = [{"value": value} for value in ENUMS[kind]]
        if name == "w":
            column["quality"] = draw(st.lists(st.sampled_from(COLUMN_RULES), max_size=2))
        columns.append(column)
    for position, at in enumerate(draw(st.permutations(range(3)))[: draw(st.integers(0, 2))], 1):
        columns[at] |= {"primaryKey": True, "primaryKeyPosition": position}
    own = [{"property": "maxRejectedRatio", "value": draw(st.sampled_from([0.0, 0.5, 1.0]))}]
    if draw(st.booleans()):
        policy = draw(st.sampled_from(["evolve", "discard"]))
        own.append({"property": "drift", "value": {"changedTypes": policy}})
    document = {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": "table",
        "version": "1.0.0",
        "status": "active",
        "schema": [
            {
                "name": "table",
                "properties": columns,
                "quality": draw(st.lists(st.sampled_from(RULES), max_size=3)),
            }
        ],
        "customProperties": own,
    }
    return parse(yaml.safe_dump(document, sort_keys=False), file="table.odcs.yaml")


@st.composite
def delimited(draw: st.DrawFn, contract: Contract) -> bytes:
    """Draw a CSV of the contract's columns, in any order, with all kinds of faults."""
    columns = [column.name for column in contract.columns]
    optional = [column.name for column in contract.columns if not column.required]
    if optional and draw(st.integers(0, 4)) == 0:
        columns.remove(draw(st.sampled_from(optional)))
    header = draw(st.permutations([*columns, "extra"] if draw(st.booleans()) else columns))
    kinds = {column.name: column.logical_type for column in contract.columns}
    delimiter = draw(st.sampled_from([",", ",", ";", "|"]))
    end = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    cells = [st.sampled_from(["", *CELLS[kinds.get(name, "string")]]) for name in header]
    valid = st.tuples(*cells)
    parts = [delimiter.join(_written(name, delimiter) for name in header).encode() + end.encode()]
    for record in draw(st.lists(valid, max_size=24)):
        line = delimiter.join(_written(cell, delimiter) for cell in record).encode()
        damage = draw(st.sampled_from([*[_none] * 12, *DAMAGES]))
        parts.append(damage(line, delimiter.encode()) + end.encode())
    data = b"".join(parts)
    if draw(st.integers(0, 6)) == 0:
        data = data.removesuffix(end.encode())
    return (b"\xef\xbb\xbf" if draw(st.integers(0, 6)) == 0 else b"") + data


def _written(cell: str, delimiter: str) -> str:
    return f'"{cell}"' if delimiter in cell else cell


Damage = Callable[[bytes, bytes], bytes]


def _none(line: bytes, _by: bytes) -> bytes:
    return line


def _quoted(line: bytes, by: bytes) -> bytes:
    if b'"' in line:
        return line
    return by.join(b'"' + cell + b'"' for cell in line.split(by))


def _in_quotes(text: bytes) -> Damage:
    """Return a damage that replaces the first closing quote."""
    return lambda line, by: _quoted(line, by).replace(b'"' + by, text + by, 1)


def _behind_first(text: bytes) -> Damage:
    return lambda line, by: line.replace(by, text + by, 1)


def _around(before: bytes, after: bytes) -> Damage:
    return lambda line, _by: before + line + after


DAMAGES: list[Damage] = [
    _quoted,
    _quoted,
    _in_quotes(b'\n"'),
    _in_quotes(b'\n\n""\r\n"'),
    _in_quotes(b'"tail'),
    _behind_first(b'"'),
    _behind_first(b"\r"),
    _around(b'"', b""),  # opens what a later quote may close
    _around(b"", b"\xff\xfe"),
    _around(b"", b"\0"),
    _around(b"", b"\n\n\r"),
    lambda line, by: line + by + b"more",
    lambda line, by: line.rpartition(by)[0],
]


@st.composite
def json_lines(draw: st.DrawFn, contract: Contract) -> bytes:
    """Draw JSON Lines with values of any type, and lines that are not objects."""
    odd: list[Any] = [None, True, 1, -3, 2**70, 0.5, 1e300, "a", "7", "2024-02-29", [1], {"a": 1}]
    parts = []
    for _ in range(draw(st.integers(0, 24))):
        record: dict[str, Any] = {}
        for column in contract.columns:
            values = [_typed(cell, column.logical_type) for cell in CELLS[column.logical_type]]
            if draw(st.integers(0, 9)) == 0:
                values = odd
            if draw(st.integers(0, 9)):
                record[column.name] = draw(st.sampled_from(values))
        if draw(st.integers(0, 9)) == 0:
            record["extra"] = 1
        text = json.dumps(record, ensure_ascii=draw(st.booleans()))
        damage = draw(st.integers(0, 20))
        damaged = {
            0: b"{",
            1: b"[1]",
            2: b"  ",
            3: text.encode() + b" \xff",
            4: b'{"n": NaN}',
            5: b'{"n": 1, "n": 2}',
            6: text.encode() + b"\r",
            7: b'{"w": "\\udce9 and \\u0000"}',
        }
        parts.append(damaged.get(damage, text.encode()))
    return b"\n".join(parts) + (b"\n" if draw(st.booleans()) else b"")


def _typed(cell: str, kind: str) -> Any:
    """Return a cell as a JSON value, if possible."""
    try:
        if kind == "integer":
            return int(cell)
        if kind == "number":
            return float(cell.replace("1E400", "1e308"))
    except ValueError:
        return cell
    return {"true": True, "False": False}.get(cell, cell) if kind == "boolean" else cell


@st.composite
def drops(draw: st.DrawFn) -> Drop:
    """Draw a drop of any kind."""
    contract = draw(contracts())
    if draw(st.integers(0, 2)):
        return Drop(contract, draw(delimited(contract)), "drop.csv")
    return Drop(contract, draw(json_lines(contract)), "drop.jsonl")
