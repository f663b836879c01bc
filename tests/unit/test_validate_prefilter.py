"""The prefilter changes no verdict: the same rejects with and without it."""

from collections import Counter
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from landfall.contract.folder import Contract, parse
from landfall.validation import Check
from landfall.validation.problems import Refusal
from landfall.validation.readers.delimited import Delimited
from landfall.validation.readers.opening import open_stream
from landfall.validation.record_validator import RecordValidator, Reject
from landfall.validation.report import Measure
from marketplace.generator import break_records, write_users
from marketplace.generator.breakers import DAMAGES
from tests.unit.prefilters import PREFILTERS, use_prefilter
from tests.unit.validation import CONTRACTS

CONTRACT = parse(
    """
apiVersion: v3.2.0
kind: DataContract
id: t
version: 1.0.0
schema:
  - name: t
    properties:
      - name: id
        logicalType: integer
        required: true
        unique: true
      - name: small
        logicalType: integer
        required: true
        logicalTypeOptions: {format: i8, minimum: -3, exclusiveMaximum: 100}
      - {name: number, logicalType: number, required: true, logicalTypeOptions: {maximum: 9}}
      - {name: maybe, logicalType: integer, logicalTypeOptions: {multipleOf: 2}}
      - {name: text, logicalType: string, logicalTypeOptions: {pattern: "^[a-z ]*$"}}
      - {name: truth, logicalType: boolean}
      - {name: a, logicalType: integer, primaryKey: true, primaryKeyPosition: 1}
      - name: b
        logicalType: string
        primaryKey: true
        primaryKeyPosition: 2
        required: false
customProperties:
  - {property: delimiter, value: ","}
""",
    file="t",
)
CONDITIONS = parse(
    CONTRACT.text.replace(
        "customProperties:",
        """    quality:
      - type: sql
        query: SELECT COUNT(*) FROM ${object} WHERE small > number * 20 OR text LIKE 'a%' AND truth
        mustBe: 0
      - type: sql
        query: SELECT COUNT(*) FROM ${object} WHERE LENGTH(text) > 3 AND maybe IS NULL
        mustBe: 0
      - type: sql
        query: SELECT SUM(a) FROM ${object} WHERE b IS NULL
        mustBeGreaterThan: 0
      - type: sql
        query: SELECT MAX(number) FROM ${object}
        mustBeLessThan: 5
      - {metric: rowCount, mustBeGreaterThan: 0}
customProperties:""",
    ),
    file="t",
)
GOOD = ["1", "2", "3", "50", "a b", "true", "", "7", "x"]
ODD = [
    *("+1", " 1", "1 ", "\t1", "1.0", "1e1", "007", "-0", "128", "-4", "99999999999999999999"),
    *(".5", "5.", "nan", "inf", "1e999", "NaN", "--1", "A", "\0", "é", "\x0b1", "True", "#"),
    *("-9223372036854775808", "9223372036854775807", "\u00a01", "null"),
]
CELL = st.sampled_from(GOOD) | st.sampled_from(ODD)
RECORD = st.tuples(
    st.integers(0, 99).map(str) | CELL,
    st.sampled_from(["1", "-3", "99"]) | CELL,
    st.sampled_from(["1.5", "2e-3"]) | CELL,
    st.sampled_from(["", "4"]) | CELL,
    st.sampled_from(["a b", ""]) | CELL,
    st.sampled_from(["true", "False", ""]) | CELL,
    st.integers(0, 5).map(str) | CELL,
    st.sampled_from(["", "x"]) | CELL,
).map(list)
GOOD_RECORD = st.tuples(
    st.integers(0, 10**6).map(str),
    st.sampled_from(["1", "-3", "99"]),
    st.sampled_from(["1.5", "2e-3"]),
    st.sampled_from(["", "4"]),
    st.sampled_from(["a b", ""]),
    st.sampled_from(["true", "False", ""]),
    st.integers(0, 10**6).map(str),
    st.sampled_from(["", "x"]),
).map(list)
RAGGED = st.lists(CELL, min_size=1, max_size=11)
QUOTED_TEXT = st.sampled_from(["a, b", 'a "b', "", "x\ny", "x\r\ny", "a b", " +1"])


def quoted(cells: list[str]) -> str:
    """A record with every cell in quotes."""
    return ",".join('"' + cell.replace('"', '""') + '"' for cell in cells)


QUOTED = st.tuples(GOOD_RECORD | RECORD, QUOTED_TEXT).map(
    lambda pair: quoted([*pair[0][:4], pair[1], *pair[0][5:]])
)
LINE = (
    (GOOD_RECORD | GOOD_RECORD | GOOD_RECORD | RECORD | RAGGED).map(",".join) | QUOTED | QUOTED
).map(str.encode) | st.sampled_from(
    [
        b"",
        b"\xff,1",
        b"\xef\xbb\xbf1,1,1,,,,1,",
        b'"1",2',
        b"a\rb",
        b'1,1,1,,x"y,,1,',
        b'1,1,1,,"x"y,,1,',
        b'"',
        b'"a""',
        b"\r",
    ]
)


Blocks = tuple[int, list[tuple[Reject, bytes, int]], tuple[Check, ...], tuple[Measure, ...], int]


def validate_blocks(data: bytes, contract: Contract, *, prefilter: bool) -> Blocks:
    """Return rows, rejects with raw records and sizes, checks, measures, and number of scans."""
    reader = Delimited(open_stream([data], "t.csv", contract.hints), contract)
    reader.start()
    validator = RecordValidator(contract, reader, prefilter=prefilter)
    rejects = []
    scans = 0
    ended = 0
    try:
        for batch in reader.batches():
            scan = validator.scan(batch)
            scans += scan is not None
            rejects += [
                (reject, batch.raw(reject.index), batch.size(reject.index))
                for reject in chain.from_iterable(validator.validate(batch, scan))
            ]
    except Refusal as refusal:
        ended = refusal.problem.line or 0
    same = [(Reject(0, r.line, r.faults), raw, size) for r, raw, size in rejects]
    return validator.rows + ended, same, validator.checks(), validator.measures(), scans


def unordered_faults(rejects: list[tuple[Reject, bytes, int]]) -> list[object]:
    """Return rejects with unordered faults: the prefilter changes their order."""
    return [(r.line, Counter(r.faults), raw, size) for r, raw, size in rejects]


@pytest.fixture(autouse=True, params=PREFILTERS[:2])
def _prefilter_all_blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    use_prefilter(request.param, monkeypatch)


HEADER = ",".join(column.name for column in CONTRACT.columns).encode()


@pytest.mark.large
@settings(max_examples=250, deadline=None)
@given(
    st.lists(LINE, max_size=25),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
    st.sampled_from([CONTRACT, CONDITIONS]),
)
@example([b"1,1,1,,,,1,", b"2,1,1,,,,1,,"], b"\n", True, CONTRACT)
@example([b"1,1,1,,,,1", b"2,1,1,,,,1,,"], b"\n", True, CONTRACT)
@example([b"1,1,1,,,,1,x", b"1,1,1,,,,01,x"], b"\n", False, CONTRACT)
@example([b"1,99,1.5,,a b,true,7,", b"", b"2,1,1.5,,a b,true,8,x"], b"\r\n", False, CONDITIONS)
def test_same_rejects_with_and_without(
    lines: list[bytes], end: bytes, closed: bool, contract: Contract
) -> None:
    """For any cells and any number of fields, with and without conditions on several columns."""
    data = end.join([HEADER, *lines]) + (end if closed else b"")

    rows, rejects, checks, measures, _ = validate_blocks(data, contract, prefilter=False)
    prefiltered_rows, prefiltered, prefiltered_checks, prefiltered_measures, _ = validate_blocks(
        data, contract, prefilter=True
    )

    assert rows == prefiltered_rows
    assert unordered_faults(rejects) == unordered_faults(prefiltered)
    assert checks == prefiltered_checks
    assert measures == prefiltered_measures


def test_damaged_users_are_prefiltered_and_found(tmp_path: Path) -> None:
    """Blocks with any damage are prefiltered, and every fault is found."""
    write_users(tmp_path / "good.csv", 3000, 5)
    plenty = dict.fromkeys(DAMAGES, 4)
    injected = break_records(tmp_path / "good.csv", tmp_path / "bad.csv", plenty, 6)
    data = (tmp_path / "bad.csv").read_bytes()

    rows, rejects, _, _, scans = validate_blocks(data, CONTRACTS["users"], prefilter=True)

    assert scans == 1
    assert rows == 3000
    assert [(f.line, f.rule, f.column) for f in injected] == [
        (r.line, r.faults[0].rule, r.faults[0].column) for r, _, _ in rejects
    ]
    assert all(len(reject.faults) == 1 for reject, _, _ in rejects)
