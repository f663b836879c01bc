"""Fuzzes files and contracts for a bounded time: only our exceptions, consistent results.

`make test-all` runs it; `LANDFALL_FUZZ_SECONDS` is the time of each target.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import time
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from landfall.authoring.diff import diff
from landfall.authoring.lint import lint
from landfall.contract.folder import Contract, ContractError, parse
from landfall.reporting.page import render_html
from landfall.validation import Report
from landfall.validation.readers import plain
from tests.unit.test_validate_prefilter import unordered_faults, validate_blocks
from tests.unit.validation import run_validation, small

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("LANDFALL_FUZZ_SECONDS", "30"))
FUZZ = settings(
    max_examples=50,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def run(target: Callable[[], None]) -> None:
    """Run a target repeatedly, with new examples, until its time is over."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        target()


def parquet() -> bytes:
    """A small Parquet file of two row groups."""
    sink = io.BytesIO()
    frame = pl.DataFrame({"id": range(40), "name": ["a", None] * 20, "secret": ["s"] * 40})
    frame.write_parquet(sink, row_group_size=20)
    return sink.getvalue()


CSV = b"id,name,secret\n" + b"".join(
    b'%d,"a ""b"", c\nd",s\n%d,x,s\n' % (i, i + 9) for i in range(9)
)
LINES = b"".join(b'{"id": %d, "name": "a\\u00e4", "secret": "s"}\n' % at for at in range(9))
SEEDS = {
    "a.csv": CSV,
    "a.tsv": CSV.replace(b",", b"\t"),
    "crlf.csv": CSV.replace(b"\n", b"\r\n"),
    "mark.csv": b"\xef\xbb\xbf" + CSV,
    "wide.csv": b"\xff\xfe" + CSV.decode().encode("utf-16-le"),
    "a.csv.gz": gzip.compress(CSV, mtime=0),
    "a.csv.zst": zstandard.compress(CSV),
    "a.jsonl": LINES,
    "a.json": b"[" + LINES.strip().replace(b"\n", b",\n") + b"]",
    "a.parquet": parquet(),
    "drop": CSV,
}
BITS = [
    b"",
    b'"',
    b",",
    b"\n",
    b"\r",
    b"\0",
    b"\xff",
    b"{",
    b"[",
    b"9" * 30,
    b"\\u",
    b"\xed\xa0\x80",
]
DAMAGE = st.tuples(
    st.sampled_from(["put", "insert", "cut", "repeat", "end"]),
    st.floats(0, 1),
    st.sampled_from(BITS) | st.binary(max_size=6),
    st.integers(1, 40),
)


def damaged(data: bytes, damages: list[tuple[str, float, bytes, int]]) -> bytes:
    """`data` with some of its bytes changed."""
    for kind, share, bits, length in damages:
        at = int(share * len(data))
        before, some, after = data[:at], data[at : at + length], data[at + length :]
        data = {
            "put": before + bits + data[at + len(bits) :],
            "insert": before + bits + some + after,
            "cut": before + after,
            "repeat": before + some + some + after,
            "end": before,
        }[kind]
    return data


@pytest.mark.timeout(SECONDS * 4 + 120)
def test_damaged_files() -> None:
    """The counts of a damaged file are consistent, and its accepted records are accepted again."""

    @FUZZ
    @given(
        st.sampled_from(sorted(SEEDS)),
        st.lists(DAMAGE, min_size=1, max_size=5),
        st.sampled_from([7, 4096]),
    )
    def target(name: str, damages: list[tuple[str, float, bytes, int]], chunk: int) -> None:
        report, findings = run_validation(
            damaged(SEEDS[name], damages), small(), name=name, chunk=chunk
        )
        assert report.rows == report.accepted + report.rejected
        assert report.verdict != "accepted" or not report.rejected
        assert (report.problem is not None) == (report.verdict == "refused")
        assert Report.from_json(report.to_json()).to_json() == report.to_json()
        assert render_html(report).endswith("</html>\n")
        reasons = (findings["reasons"] or b"").splitlines()
        assert len(reasons) == report.rejected
        accepted = findings["accepted"]
        assert (accepted is not None) == (report.verdict != "refused")
        if accepted is not None and report.accepted:
            again, kept = run_validation(accepted, small(), name="accepted.parquet")
            assert (again.verdict, again.rows) == ("accepted", report.accepted)
            assert kept.rows() == findings.rows()

    run(target)


WORDS = ["", "a", "ab", "abc", "1", "-7", "128", "2.5", "true", "False", "2024-02-29", "12:00:00"]
ODD = ["x\x00y", "1e3", " 1", "+1", "NaN", "2024-02-30", "99999999999999999999", "é", "0x1", "01"]
OPTIONS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "string": st.fixed_dictionaries(
        {},
        optional={
            "minLength": st.integers(0, 2),
            "maxLength": st.integers(2, 4),
            "pattern": st.sampled_from(["^a", "b$", "[0-9]"]),
        },
    ),
    "integer": st.fixed_dictionaries(
        {},
        optional={
            "format": st.sampled_from(["i8", "u8", "i32", "i64"]),
            "minimum": st.integers(-9, 0),
            "exclusiveMaximum": st.integers(1, 200),
            "multipleOf": st.integers(1, 7),
        },
    ),
    "number": st.fixed_dictionaries({}, optional={"maximum": st.integers(0, 9)}),
    "boolean": st.just({}),
    "date": st.fixed_dictionaries({}, optional={"minimum": st.just("2024-01-01")}),
    "time": st.just({}),
}
COLUMN = st.sampled_from(sorted(OPTIONS)).flatmap(
    lambda kind: st.fixed_dictionaries(
        {"logicalType": st.just(kind), "logicalTypeOptions": OPTIONS[kind]},
        optional={
            "required": st.booleans(),
            "unique": st.booleans(),
            "classification": st.sampled_from(["public", "personal"]),
            "quality": st.lists(
                st.sampled_from(
                    [
                        {"metric": "nullValues", "mustBe": 0},
                        {"metric": "nullValues", "mustBeLessThan": 3},
                        {"metric": "duplicateValues", "unit": "percent", "mustBeLessThan": 50},
                    ]
                ),
                max_size=2,
            ),
        },
    )
)


def contract_of(columns: list[dict[str, Any]]) -> Contract:
    """A contract of these columns, called c0, c1, ...; the first two may be its key."""
    named = [{"name": f"c{at}", **column} for at, column in enumerate(columns)]
    document = {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": "t",
        "version": "1",
        "schema": [{"name": "t", "properties": named}],
        "customProperties": [
            {"property": "delimiter", "value": ","},
            {"property": "maxRejectedRatio", "value": 1},
        ],
    }
    return parse(json.dumps(document), file="t")


@pytest.mark.timeout(SECONDS * 4 + 120)
def test_with_and_without_prefilter(monkeypatch: pytest.MonkeyPatch) -> None:
    """For any contract and records, the result with and without a prefilter is the same."""
    monkeypatch.setattr(plain, "SMALLEST", 0)

    @FUZZ
    @given(st.data())
    def target(data: st.DataObject) -> None:
        columns = data.draw(st.lists(COLUMN, min_size=2, max_size=5))
        contract = contract_of(columns)
        cell = st.sampled_from(WORDS) | st.sampled_from(WORDS) | st.sampled_from(ODD)
        width = len(columns)
        record = st.lists(cell, min_size=width, max_size=width)
        ragged = st.lists(cell, min_size=1, max_size=width + 2)
        lines = data.draw(st.lists(record | record | record | ragged, max_size=20))
        header = ",".join(f"c{at}" for at in range(width))
        text = "\n".join([header, *(",".join(line) for line in lines)]).encode()

        rows, rejects, checks, _, _ = validate_blocks(text, contract, prefilter=False)
        prefiltered_rows, prefiltered, prefiltered_checks, _, _ = validate_blocks(
            text, contract, prefilter=True
        )

        assert rows == prefiltered_rows
        assert unordered_faults(rejects) == unordered_faults(prefiltered)
        assert checks == prefiltered_checks

    run(target)


YAML = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "c", "1", "x.y", "{"]),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "value", "type", "to", "metric", "x"]), below)
    ),
    max_leaves=6,
)


def read(reader: Callable[..., Contract], text: str) -> Contract | ContractError:
    """A contract, or the error by which it is refused."""
    try:
        return reader(text, file="t")
    except ContractError as error:
        return error


@pytest.mark.timeout(SECONDS * 4 + 120)
def test_damaged_contracts() -> None:
    """A contract is read, or refused by our error with its place; and compares with itself."""
    fields = ["logicalType", "logicalTypeOptions", "required", "unique", "primaryKey", "enum"]
    fields += ["quality", "relationships", "classification", "semanticType", "description"]

    @FUZZ
    @given(
        st.dictionaries(st.sampled_from(fields), YAML, max_size=4),
        st.dictionaries(st.sampled_from(["servers", "slaProperties", "customProperties"]), YAML),
    )
    def target(column: dict[str, Any], root: dict[str, Any]) -> None:
        document = {
            "apiVersion": "v3.2.0",
            "kind": "DataContract",
            "id": "t",
            "version": "1",
            "schema": [
                {"name": "t", "properties": [{"name": "c", "logicalType": "string"} | column]}
            ],
            **root,
        }
        text = json.dumps(document)
        for reader in (parse, lint):
            result = read(reader, text)
            if isinstance(result, ContractError):
                assert (result.file, bool(result.reason)) == ("t", True)
            else:
                assert diff(result, result) == []

    run(target)
