"""The line of the first of equal keys, as reports tell it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from landfall.contract.folder import Contract, parse
from landfall.validation import first_lines
from landfall.validation.first_lines import with_first_lines
from landfall.validation.local_files import BytesSource
from tests.unit.test_validate_workbook import workbook
from tests.unit.validation import run_validation, small

PAIRS = """
apiVersion: v3.2.0
kind: DataContract
id: pairs
version: 1.0.0
schema:
  - name: pairs
    properties:
      - {name: a, logicalType: integer, primaryKey: true, primaryKeyPosition: 1}
      - {name: b, logicalType: string, primaryKey: true, primaryKeyPosition: 2}
      - {name: mail, logicalType: string, unique: true, classification: personal,
         customProperties: [{property: case, value: lower}]}
customProperties: [{property: maxRejectedRatio, value: 1}]
"""


def firsts(
    data: bytes, contract: Contract, name: str = "a.csv"
) -> dict[str | None, list[tuple[int, int | None]]]:
    """Lines of the samples of repeated keys with those of the first, by column."""
    report, _ = run_validation(data, contract, name=name)
    report = with_first_lines(report, contract, BytesSource(data), name=name)
    return {
        check.column: [(sample.line, sample.first) for sample in check.samples]
        for check in report.checks
        if check.rule == "unique"
    }


def test_each_key_names_its_first_record() -> None:
    """Of one column or several, cleaned as the contract says; other rules are as they were."""
    data = b"a,b,mail\n1,x,M@x\n1,y,n@x\n01,x,o@x\n2,,m@X\nbad,x,p@x\n2,,q@x\n"
    contract = parse(PAIRS, file="pairs.odcs.yaml")
    assert firsts(data, contract) == {"a,b": [(4, 2), (7, 5)], "mail": [(5, 2)]}


def test_lines_are_those_of_the_file_in_every_format() -> None:
    """Quoted line ends, objects, rows of a sheet, records of Parquet."""
    contract = small()
    assert firsts(b'id,name,secret\n1,"x\ny",s\n2,a,s\n1,b,s\n', contract) == {"id": [(5, 2)]}
    lines = [{"id": n % 2} for n in range(3)]
    text = "\n\n".join(map(json.dumps, lines)).encode()
    assert firsts(text, contract, "a.jsonl") == {"id": [(5, 1)]}
    book = workbook(["id", "name", "secret"], [1, "a", "s"], [], [1, "b", "s"])
    assert firsts(book, contract, "a.xlsx") == {"id": [(4, 2)]}


def test_a_large_file_is_looked_at_up_to_a_number_of_records(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is beyond stays without a first line; the pass ends with the last sample."""
    rows = "".join(f"{n % 30_000},a,s\n" for n in range(30_001))
    data = f"id,name,secret\n{rows}".encode()
    assert firsts(data, small()) == {"id": [(30_002, 2)]}
    monkeypatch.setattr(first_lines, "MOST_RECORDS", 20_000)
    assert firsts(data, small()) == {"id": [(30_002, None)]}


def test_a_report_without_repeated_keys_costs_no_second_pass() -> None:
    """The source is not read."""

    class Unread(BytesSource):
        def stream(self) -> Iterator[bytes]:
            raise AssertionError

    report, _ = run_validation(b"id,name,secret\nx,a,s\n", small())
    assert with_first_lines(report, small(), Unread(b""), name="a.csv") is report
