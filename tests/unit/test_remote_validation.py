"""The streaming engine and the code of the Spark job give the same results, tested without Spark.

A file is split into blocks at arbitrary line ends, each block is validated as by a task of the job,
and the results are merged as by the job. tests/spark runs the job itself.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landfall.contract.folder import Contract
from landfall.validation.blocks import Cutter, Piece, Survey, chained, stitched
from landfall.validation.local_files import BytesSource
from landfall.validation.parts import Judged, Layout, PartValidator, Plan, parse_plan
from landfall.validation.problems import PlanError
from landfall.validation.remote import RemoteValidation, prepare
from landfall.validation.tally import Tally
from tests.unit.drops import Drop, drops
from tests.unit.validation import CONTRACTS, Findings, run_validation, small

Fault = tuple[str, str | None, str | None]


@dataclass
class JobResult:
    """Merged results of the job's tasks."""

    tally: Tally
    faults: dict[int, list[Fault]] = field(default_factory=dict)
    rows: int = 0
    open_line: int | None = None


def validate_in_blocks(remote: RemoteValidation, data: bytes, cuts: Sequence[int]) -> JobResult:
    """Validate a file in blocks that end after these lines."""
    plan = parse_plan(json.dumps(remote.plan("raw/small/file")))
    splitter = plan.layout.splitter
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    lines = lines[:-1] if not lines[-1] else lines
    edges = [0, *sorted(min(cut, len(lines)) for cut in cuts), len(lines)]
    blocks = {a: lines[a:b] for a, b in itertools.pairwise(edges) if b > a}
    surveys = {}
    for start, block in blocks.items():
        surveys[start] = Survey()
        surveys[start].take(block, splitter)
    chain = chained(surveys)
    result = JobResult(Tally(), open_line=chain.open_line)
    if chain.open_line is not None:
        return result
    pieces: list[Piece] = []
    records: list[tuple[int, bytes, Judged]] = []

    def take(pieces_: Sequence[Piece]) -> None:
        kept = [p for p in pieces_ if p.line > plan.layout.head_lines and p.raw is not None]
        validator = PartValidator(plan, chain.lines)
        raw = [piece.raw or b"" for piece in kept]
        judged = validator.judge_lines([piece.line for piece in kept], raw)
        result.tally.merge(Tally.from_json(validator.tally().to_json()))
        records.extend(zip([piece.line for piece in kept], raw, judged, strict=True))

    for start, block in reversed(blocks.items()):  # tasks end in any order
        cutter = Cutter(splitter, chain.entries[start])
        cut = [*cutter.cut(block), *([rest] if (rest := cutter.rest()) else [])]
        take([piece for piece in cut if piece.head and piece.tail])
        pieces += [piece for piece in cut if not (piece.head and piece.tail)]
    take(list(stitched(sorted(pieces, key=lambda piece: (piece.line, piece.head)))))
    _add_duplicate_faults(result, PartValidator(plan, 0), records)
    return result


def _add_duplicate_faults(
    result: JobResult, validator: PartValidator, records: list[tuple[int, bytes, Judged]]
) -> None:
    """Add the faults of duplicate keys: all records but the first."""
    seen: set[tuple[int, str]] = set()
    for line, raw, judged in sorted(records, key=lambda record: record[0]):
        faults = list(judged.faults)
        for number, key in enumerate(judged.keys):
            rule = validator.keys[number].rule
            if key is not None and (number, key) in seen and (rule is None or rule.per_record):
                faults.append(validator.duplicate_fault(number, validator.row(raw)))
            if key is not None:
                seen.add((number, key))
        if faults:
            result.faults[line] = faults
        result.rows += 1


def streamed_faults(data: bytes, contract: Contract, name: str) -> dict[int, list[Fault]]:
    """Return faults by line from the reasons file of the streaming engine."""
    _, findings = run_validation(data, contract, name=name)
    reasons = findings["reasons"] or b""
    return {
        reason["line"]: [(f["rule"], f["column"], f["value"]) for f in reason["faults"]]
        for reason in map(json.loads, reasons.splitlines())
    }


def compare(drop: Drop, cuts: Sequence[int]) -> None:
    """Compare both engines on a drop, in blocks that end after these lines."""
    report, _ = run_validation(drop.data, drop.contract, name=drop.name)
    remote = prepare(BytesSource(drop.data), drop.contract, drop.name)
    if remote is None:  # refused by its beginning; what looks like an array is validated here
        assert report.verdict == "refused" or report.format.kind == "json", report
        return
    result = validate_in_blocks(remote, drop.data, cuts)
    if result.open_line is not None:
        assert report.problem is not None
        assert report.problem.line == result.open_line
        return
    assert result.faults == streamed_faults(drop.data, drop.contract, drop.name)
    assert result.rows == report.rows
    if drop.name.endswith(".jsonl"):
        return  # where values have types, True and 1 may count as one or as two
    for measured, column in zip(report.profile, result.tally.columns, strict=False):
        assert (measured.count, measured.nulls) == (column.count, column.nulls), measured
        assert measured.distinct == column.distinct.count(), measured


@pytest.mark.large
@given(drops(), st.lists(st.integers(1, 40), max_size=6))
@settings(max_examples=120, derandomize=True, deadline=None)
def test_both_engines_find_the_same_faults(drop: Drop, cuts: list[int]) -> None:
    """Every record has the same faults with the same values, wherever the blocks end."""
    compare(drop, cuts)


@pytest.mark.slow
@given(drops(), st.lists(st.integers(1, 40), max_size=6))
@settings(max_examples=3000, deadline=None)
def test_both_engines_find_the_same_faults_in_many_drops(drop: Drop, cuts: list[int]) -> None:
    """The same of many more drops."""
    compare(drop, cuts)


@pytest.mark.parametrize("cuts", [[], [1], [2], [3], [2, 3], [1, 2, 3, 4, 5, 6, 7]])
def test_a_record_over_several_blocks_is_one(cuts: list[int]) -> None:
    """A quoted field may begin in one block, fill the next, and end in a third."""
    data = b'id,name,secret\n1,"a\n\nb,\n""c""\n",s\n2,x"y,s\n3,"z",s\n'
    compare(Drop(small(), data, "drop.csv"), cuts)


def test_a_plan_that_is_not_understood_is_refused() -> None:
    """Another version, a part that is not known, or a contract that is none stops the job."""
    plan = Plan(CONTRACTS["users"], Layout("csv", "x", ("a",))).to_dict()
    read = parse_plan(json.dumps(plan))
    assert (read.contract, read.layout.names) == (CONTRACTS["users"], ("a",))
    layout = plan["layout"]
    for change, words in (
        (plan | {"plan": 1}, "version 1"),
        (plan | {"layout": layout | {"surprise": 1}}, "surprise"),
        (plan | {"layout": layout | {"kind": "avro"}}, "avro"),
        (plan | {"contract": "kind: Other"}, "supported: DataContract"),
        ({"plan": 2}, "layout"),
    ):
        with pytest.raises(PlanError, match=words):
            parse_plan(json.dumps(change))
    with pytest.raises(PlanError, match="not JSON"):
        parse_plan("{")


def test_a_masked_value_is_not_told() -> None:
    """Faults of a column that is personal carry no value in either engine."""
    data = b"id,name,secret\n1,a,hush\n"
    compare(Drop(small(), data, "drop.csv"), [])
    _, findings = run_validation(data, small())
    assert b"hush" not in (findings["reasons"] or b"")
    assert isinstance(findings, Findings)
