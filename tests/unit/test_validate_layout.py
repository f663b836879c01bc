"""How a file is written: leading lines, comments, no header, currencies, short years, paths."""

from __future__ import annotations

import json
from datetime import date

import pytest

from landfall.contract.folder import Contract, parse
from landfall.contract.model import ContractError
from landfall.validation.local_files import BytesSource
from landfall.validation.readers.comments import Comments
from landfall.validation.readers.splitting import Splitter
from landfall.validation.remote import prepare
from tests.unit.validation import run_validation, small

HEAD = """
apiVersion: v3.2.0
kind: DataContract
id: sales
version: 1.0.0
schema:
  - name: sales
    properties:
"""


def contract(*columns: str, custom: tuple[str, ...] = ()) -> Contract:
    """A contract with these columns and custom properties, as flow mappings without braces."""
    text = HEAD + "".join(f"      - {{{column}}}\n" for column in columns)
    if custom:
        text += "customProperties:\n" + "".join(f"  - {{{one}}}\n" for one in custom)
    return parse(text, file="sales.odcs.yaml")


def properties(**values: object) -> str:
    """Custom properties of a contract as YAML, behind `small`'s own."""
    return "".join(
        f"  - {{property: {name}, value: {json.dumps(value)}}}\n" for name, value in values.items()
    )


def test_leading_lines_are_passed_over_and_kept_in_rejects() -> None:
    """`skipLines` lines stand before the header; lines keep their numbers."""
    rules = small(extra=properties(skipLines=2))
    data = b"Export of May;\n\nid,name,secret\n1,a,s\n2,b,wrong\n"
    report, found = run_validation(data, rules)
    assert (report.rows, report.accepted) == (2, 1)
    assert report.checks[0].samples[0].line == 5
    assert found["rejects"] == b"Export of May;\n\nid,name,secret\n2,b,wrong\n"
    again, _ = run_validation(found["rejects"] or b"", rules)
    assert (again.rows, again.rejected) == (1, 1)


@pytest.mark.parametrize("data", [b"one line", b"one\n", b""])
def test_a_file_shorter_than_its_leading_lines_is_refused(data: bytes) -> None:
    """It says how many lines the contract skips."""
    report, _ = run_validation(data, small(extra=properties(skipLines=3)))
    assert report.verdict == "refused"
    assert report.problem is not None
    assert not data or "skips 3 lines" in report.problem.reason


def test_the_line_of_a_wrong_header_counts_leading_lines() -> None:
    """A refusal for the header names its line in the file."""
    rules = small(extra=properties(skipLines=2, commentPrefix="#"))
    report, _ = run_validation(b"x\ny\n# z\n\nida,nam,sec\n1,a,s\n", rules)
    assert report.problem is not None
    assert report.problem.line == 5


def test_comment_lines_are_no_records() -> None:
    """Anywhere between records, before the header and at the end, with quotes of their own."""
    rules = small(extra=properties(commentPrefix="#"))
    data = (
        b'# exported by "SAP\n# on Monday\nid,name,secret\n1,a,s\n# 2,b,s\n'
        b'3,"x\n# no comment\n",s\n#, "a\n4,d,bad\n# end'
    )
    report, found = run_validation(data, rules)
    assert [row["id"] for row in found.rows()] == [1, 3]
    assert found.rows()[1]["name"] == "x\n# no comment\n"
    assert report.checks[0].samples[0].line == 10
    assert found["rejects"] is not None
    assert found["rejects"].endswith(b"id,name,secret\n4,d,bad\n")


def test_comments_in_a_large_file_leave_all_other_records_as_they_are() -> None:
    """Blocks of megabytes with comments and quoted line ends: the same records, the same lines."""
    rules = small(extra=properties(commentPrefix="//"))
    lines = ["id,name,secret"]
    for number in range(60_000):
        if number % 7 == 0:
            lines.append(f'// comment "{number}')
        text = f'"line\n// of {number}"' if number % 11 == 0 else "some text " * 6
        lines.append(f"{number},{text},s")
    data = "\n".join(lines).encode()
    report, found = run_validation(data, rules)
    assert (report.rows, report.rejected) == (60_000, 0)
    frame = found.parquet()
    assert frame["id"].to_list() == list(range(60_000))
    assert frame["name"][11] == "line\n// of 11"
    last = frame["_line"][-1]
    assert data.split(b"\n")[last - 1].startswith(b"59999,")


def test_blocks_without_comments_are_not_touched() -> None:
    """The fast path stays as it is: the very same bytes."""
    data = b'id,"#a"\n1,# b\n'
    assert Comments("#").blanked(data, Splitter(",", '"', None), final=True) is data


def test_a_file_without_header_has_the_columns_of_the_contract() -> None:
    """In the contract's order; the delimiter is found by the number of fields."""
    rules = small(extra=properties(header=False))
    report, found = run_validation(b"1;a,b;s\n2;c,d;bad\n", rules)
    assert (report.rows, report.accepted) == (2, 1)
    assert found.rows() == [{"id": 1, "name": "a,b", "secret": "s"}]
    assert found["rejects"] == b"2;c,d;bad\n"


@pytest.mark.parametrize("header", [b"id,name,secret\n", b"ID,Name,SECRET\n"])
def test_a_header_where_none_should_be_is_refused(header: bytes) -> None:
    """Else a table of texts would take it for a record."""
    report, _ = run_validation(header + b"1,a,s\n", small(extra=properties(header=False)))
    assert report.problem is not None
    assert "names of the columns" in report.problem.reason


def test_a_file_without_header_goes_to_the_job_and_one_with_comments_does_not() -> None:
    """Lines before the header are left out there by their number; comments are found here."""
    data = b"1,a,s\n2,b,s\n"
    headerless = prepare(BytesSource(data), small(extra=properties(header=False)), "a.csv")
    assert headerless is not None
    layout = headerless.plan("raw/a.csv")["layout"]
    assert (layout["names"], layout["head"]) == (("id", "name", "secret"), "")
    lead = b"x\nid,name,secret\n"
    skipping = prepare(BytesSource(lead + data), small(extra=properties(skipLines=1)), "a.csv")
    assert skipping is not None
    assert skipping.plan("raw/a.csv")["layout"]["head_lines"] == 2
    quoted = prepare(BytesSource(b'"' + lead + data), small(extra=properties(skipLines=1)), "a.csv")
    assert quoted is None
    comments = small(extra=properties(commentPrefix="#"))
    assert prepare(BytesSource(lead[2:] + data), comments, "a.csv") is None


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"skipLines": -1}, "whole number"),
        ({"skipLines": 100_000}, "at most"),
        ({"skipLines": 1, "dropKind": "folder"}, "not for folders"),
        ({"commentPrefix": ""}, "printable"),
        ({"commentPrefix": "#", "dropKind": "folder"}, "not for folders"),
        ({"header": "no"}, "true or false"),
        ({"sheet": 0}, "counted from 1"),
    ],
)
def test_what_no_file_can_be_like_is_an_error_of_the_contract(
    values: dict[str, object], words: str
) -> None:
    """Each with what is wrong."""
    with pytest.raises(ContractError, match=words):
        small(extra=properties(**values))


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("$12.50", 12.5),
        ("12.50 €", 12.5),
        ("EUR 3", 3.0),
        ("3\xa0EUR", 3.0),
        ("-$5", -5.0),
        ("$-5", -5.0),
        ("7", 7.0),
        ("$1,234.50", 1234.5),
        ("-$-5", None),
        ("$$5", None),
        ("£5", None),
        ("5 $ 5", None),
        ("$", None),
    ],
)
def test_currency_signs_stand_before_or_after_a_number(cell: str, value: float | None) -> None:
    """One that is declared is cut off; any other makes the text no number."""
    rules = contract(
        "name: total, logicalType: number",
        custom=(
            'property: currencySigns, value: ["$", "€", "EUR"]',
            'property: thousandsSeparator, value: ","',
            'property: delimiter, value: ";"',
            "property: maxRejectedRatio, value: 1",
        ),
    )
    report, found = run_validation(f"total\n{cell}\n".encode(), rules)
    assert [row["total"] for row in found.rows()] == ([] if value is None else [value])
    assert report.rejected == (value is None)


@pytest.mark.parametrize("sign", ["", "5", "a b", ".", "-"])
def test_a_currency_sign_is_no_part_of_a_number(sign: str) -> None:
    """Else 15 could be read as 1 or 5."""
    with pytest.raises(ContractError, match="a sign has no"):
        contract(
            "name: total, logicalType: number",
            custom=(f"property: currencySigns, value: [{json.dumps(sign)}]",),
        )


def test_two_digits_of_a_year_are_of_the_hundred_that_the_contract_says() -> None:
    """`twoDigitYearStart` is the first of them."""
    rules = contract(
        "name: day, logicalType: date, logicalTypeOptions: {format: M/dd/yy}",
        custom=("property: twoDigitYearStart, value: 1950",),
    )
    _, found = run_validation(b"day\n10/22/12\n1/05/50\n1/05/49\n", rules)
    days = [row["day"] for row in found.rows()]
    assert days == [date(2012, 10, 22), date(1950, 1, 5), date(2049, 1, 5)]


def test_two_digits_of_a_year_alone_are_refused_with_what_to_say() -> None:
    """A guess of the century would be wrong for somebody."""
    with pytest.raises(ContractError, match="twoDigitYearStart"):
        contract("name: day, logicalType: date, logicalTypeOptions: {format: dd.MM.yy}")
    with pytest.raises(ContractError, match="date and timestamp"):
        contract(
            "name: n, logicalType: integer, "
            "customProperties: [{property: twoDigitYearStart, value: 1950}]"
        )


def at_path(name: str, path: str) -> str:
    """A column of text that is found by a path."""
    place = json.dumps(path)
    return (
        f"name: {name}, logicalType: string, "
        f"customProperties: [{{property: jsonPath, value: {place}}}]"
    )


NESTED = (
    "name: id, logicalType: integer, primaryKey: true",
    at_path("city", "$.address.city"),
    at_path("code", "$.address['postal code']"),
    at_path("first_sku", "$.items[0].sku"),
)


@pytest.mark.parametrize("array", [False, True])
def test_nested_json_is_flattened_by_path(array: bool) -> None:
    """What is not there is missing; names on the way are not extra."""
    records: list[dict[str, object]] = [
        {
            "id": 1,
            "address": {"city": "Rome", "postal code": "00118"},
            "items": [{"sku": "a"}, {"sku": "b"}],
        },
        {"id": 2, "address": None, "items": []},
        {"id": 3, "address": "unknown", "more": 1},
    ]
    lines = "\n".join(json.dumps(record) for record in records)
    data = json.dumps(records) if array else lines
    report, found = run_validation(data.encode(), contract(*NESTED), name="drop.json")
    assert report.columns.extra == ("more",)
    nothing = {"city": None, "code": None, "first_sku": None}
    assert found.rows() == [
        {"id": 1, "city": "Rome", "code": "00118", "first_sku": "a"},
        {"id": 2, **nothing},
        {"id": 3, **nothing},
    ]


@pytest.mark.parametrize(
    "path", ["city", "$", "$.", "$..city", "$.items[*]", "$.items[-1]", "$.a b"]
)
def test_a_path_leads_to_one_value(path: str) -> None:
    """Wildcards and filters could give several."""
    with pytest.raises(ContractError, match="a path of names and positions"):
        contract(at_path("city", path))


def test_a_header_of_another_table_is_not_called_a_record() -> None:
    """It may be a file in the wrong folder; a record says that a header is missing."""
    rules = contract("name: id, logicalType: integer", "name: note, logicalType: string")
    report, _ = run_validation(b"date,temperature\n2026-01-01,4\n", rules)
    assert report.problem is not None
    assert "none of the 2 columns of sales is in the first line" in report.problem.reason
    assert "of another dataset" in report.problem.action
    report, _ = run_validation(b"1,first\n2,second\n", rules)
    assert report.problem is not None
    assert "is not the header of sales" in report.problem.reason
