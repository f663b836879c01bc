"""A file in the wrong folder: the report names the dataset that it looks like."""

from __future__ import annotations

import pytest

from landfall.contract.folder import Contract, parse
from landfall.validation import validate
from landfall.validation.local_files import BytesSource, FileOutputs
from landfall.validation.lookalike import is_about_header, lookalike, with_lookalike


def contract(name: str, *columns: str) -> Contract:
    """A contract of these text columns."""
    properties = "".join(f"      - {{name: {column}, logicalType: string}}\n" for column in columns)
    return parse(
        "apiVersion: v3.2.0\nkind: DataContract\nid: x\nversion: 1.0.0\nstatus: active\n"
        f"schema:\n  - name: {name}\n    properties:\n{properties}",
        file=f"{name}.odcs.yaml",
    )


CONTRACTS = {
    each.dataset: each
    for each in (
        contract("taxi", "pickup", "dropoff", "fare", "tip", "zone"),
        contract("weather", "day", "low", "high"),
        contract("weather_wide", "day", "low", "high", "rain"),
    )
}


@pytest.mark.parametrize(
    ("head", "dataset"),
    [
        (b"day,low,high\n1,2,3\n", "weather"),
        (b'\xef\xbb\xbf"day";"low";"high";"rain"\r\n', "weather_wide"),
        (b"pickup\tdropoff\tfare\ttip\n", "taxi"),
        (b"pickup,dropoff,fare\n", None),
        (b"1,2,3\n", None),
        (b"PAR1\x00\xff", None),
        (b"", None),
    ],
)
def test_a_header_is_recognised(head: bytes, dataset: str | None) -> None:
    """By most of a contract's columns, in any delimiter; the larger contract wins."""
    assert lookalike(head, CONTRACTS.values()) == dataset


def test_the_report_says_where_the_file_belongs() -> None:
    """A weather file in the folder of taxi trips."""
    content = b"day,low,high\n1,2,3\n"
    report = validate(
        BytesSource(content), CONTRACTS["taxi"], name="KNYC.csv", outputs=FileOutputs()
    )
    assert is_about_header(report)
    problem = with_lookalike(report, content, CONTRACTS).problem
    assert problem is not None
    assert "it looks like a file of dataset weather" in problem.reason
    assert problem.action == (
        "it looks like a file of dataset weather: drop it in landing/weather/"
    )
    assert with_lookalike(report, b"a,b\n", CONTRACTS) == report
