"""Reports as JSON, and the Thrift codec."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landfall.validation import Report
from landfall.validation.readers.thrift import I32, STRUCT, Field, Items, decode, encode
from tests.unit.validation import run_validation, small


def test_json_round_trip_and_its_fields() -> None:
    """What is written is read again, and has the fields that others rely on."""
    report, _ = run_validation(b"name,id,secret,x\na,z,q,1\nb,2,s,1\n", small())

    document = report.to_dict()

    assert Report.from_json(report.to_json()) == report
    assert document["schema"] == 1
    assert (document["verdict"], document["rows"], document["accepted"], document["rejected"]) == (
        "accepted_with_rejects",
        2,
        1,
        1,
    )
    assert document["checks"][0] == {
        "rule": "type",
        "column": "id",
        "failed": 1,
        "samples": ({"line": 2, "value": "z"},),
        "expected": "a whole number, as 42",
    }
    assert document["columns"] == {
        "missing": (),
        "extra": ("x",),
        "reordered": True,
        "renamed": {},
        "loaded": (),
    }


@pytest.mark.parametrize("text", ["[]", "{}", '{"schema": 2}', "nonsense"])
def test_other_json_is_no_report(text: str) -> None:
    """A later schema is refused rather than misread."""
    with pytest.raises(ValueError, match=r"schema 1|Expecting"):
        Report.from_json(text)


def test_thrift_round_trip() -> None:
    """Small and large ids, negative numbers, long lists."""
    fields = [
        Field(1, I32, -7),
        Field(40, 8, b"abc"),
        Field(41, 9, Items(STRUCT, [[Field(2, 1, None)]] * 20)),
        Field(42, 7, b"12345678"),
    ]

    assert decode(encode(fields)) == fields


@given(st.binary(max_size=60))
def test_thrift_noise(data: bytes) -> None:
    """Random bytes are decoded or raise ValueError."""
    try:
        decode(data)
    except ValueError:
        return


def test_a_file_without_a_header_shows_no_personal_value() -> None:
    """Its first line is a record; where the contract masks a column none of it is shown."""
    for line in (b"1,a,hush", b'1,a"b,hush'):
        report, _ = run_validation(line + b"\n2,b,s\n", small())

        assert report.verdict == "refused"
        assert report.problem is not None
        assert report.problem.line == 1
        assert "hush" not in report.to_json()
