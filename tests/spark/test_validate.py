"""The validation job against the streaming engine: same verdict, same lines, same files.

What the job's tasks do is compared by the thousand in tests/unit/test_distant_judge.py; here the
job itself runs, with files read in many small blocks.
"""

from __future__ import annotations

import io
import json
import random
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from landfall.contract.folder import Contract, parse
from landfall.validation import Report
from landfall.validation.local_files import BytesSource
from landfall.validation.remote import prepare
from spark_jobs import validate
from spark_jobs.errors import ArgumentError, InvalidPlanError
from tests.spark.validating import Remote, records, validate_remotely
from tests.unit.drops import Drop, drops
from tests.unit.validation import Findings, run_validation, small

pytestmark = pytest.mark.spark

MIXED = """
apiVersion: v3.2.0
kind: DataContract
id: mixed
version: 1.0.0
schema:
  - name: mixed
    properties:
      - {name: id, logicalType: integer, primaryKey: true, primaryKeyPosition: 1}
      - {name: day, logicalType: date, primaryKey: true, primaryKeyPosition: 2, required: false}
      - {name: at, logicalType: timestamp, logicalTypeOptions: {minimum: "2024-01-01T00:00:00"}}
      - {name: price, logicalType: number, logicalTypeOptions: {minimum: 0, multipleOf: 0.5}}
      - {name: note, logicalType: string, unique: true, logicalTypeOptions: {maxLength: 4}}
      - {name: fresh, logicalType: boolean, classification: personal}
    quality:
      - {type: sql, query: "SELECT COUNT(*) FROM ${object} WHERE price > 9", mustBe: 0}
      - {type: sql, query: "SELECT SUM(id) FROM ${object}", mustBeGreaterThan: 1}
      - {metric: rowCount, mustBeBetween: [1, 1000]}
customProperties:
  - {property: maxRejectedRatio, value: 1}
"""


def compare(drop: Drop, spark: SparkSession, folder: Path, block: int | None) -> Remote | None:
    """Both engines on one drop."""
    here, findings = run_validation(drop.data, drop.contract, name=drop.name)
    if prepare(BytesSource(drop.data), drop.contract, drop.name) is None:
        assert here.verdict == "refused", here
        return None
    there = validate_remotely(spark, folder, drop.data, drop.contract, name=drop.name, block=block)
    assert told(there.report) == told(here), drop
    if here.problem is None or here.rows == there.report.rows:
        compare_files(findings, there)
    return there


def told(report: Report) -> dict[str, Any]:
    """What both engines must tell alike."""
    problem = report.problem
    found = {"verdict": report.verdict, "problem": problem and (problem.reason, problem.line)}
    if problem is not None and "never closed" in problem.reason:
        return found  # one of them tells besides what it found before
    return found | {
        "rows": (report.rows, report.accepted, report.rejected),
        "checks": report.checks,
        "examples": report.examples,
        "columns": (report.columns.missing, set(report.columns.extra), report.columns.reordered),
        "measures": [(one.rule, one.column, one.kept) for one in report.measures],
        "formats": (report.format, report.rejects),
        "accepted": report.parquet and report.parquet.rows,
    }


def compare_files(findings: Findings, there: Remote) -> None:
    """Rejects and reasons are the same bytes; the accepted records have the same values."""
    files = records(findings, there)
    for kind in ("rejects", "reasons"):
        here, remote = files[kind]
        assert remote == here, kind
    if findings["accepted"] is not None:
        assert there.accepted is not None
        assert there.accepted.schema == findings.parquet().schema
        assert there.accepted.rows() == findings.parquet().rows()


def shuffled(drop: Drop, seed: int) -> Drop:
    """The same lines in any order and many times: records run into each other."""
    head, *lines = drop.data.split(b"\n")
    if drop.name.endswith(".jsonl"):
        head, lines = b"", [head, *lines]
    some = random.Random(seed).choices(lines, k=150) if lines else []  # noqa: S311 - no secret
    return Drop(drop.contract, b"\n".join([*([head] if head else []), *some, b""]), drop.name)


@given(drops(), st.integers(0, 99))
@settings(
    max_examples=2,
    derandomize=True,
    deadline=None,
    phases=[Phase.generate],  # an example costs seconds: a failure is not made smaller here
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_both_engines_give_the_same_verdict(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, drop: Drop, seed: int
) -> None:
    """The same verdict, counts, lines, samples, rejects and accepted records."""
    compare(shuffled(drop, seed), spark, tmp_path_factory.mktemp("lake"), 3000)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@given(drops(), st.integers(0, 99))
@settings(
    max_examples=60,
    deadline=None,
    phases=[Phase.generate],  # an example costs seconds: a failure is not made smaller here
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_both_engines_give_the_same_verdict_on_many_drops(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, drop: Drop, seed: int
) -> None:
    """The same of many more drops, in smaller blocks."""
    compare(shuffled(drop, seed), spark, tmp_path_factory.mktemp("lake"), 2000)


def test_records_over_blocks_keep_their_lines(spark: SparkSession, tmp_path: Path) -> None:
    """Quoted line ends, stray quotes and repeated keys, with blocks that end within records."""
    body = "".join(
        f'{number},"a\n{"b" * (number % 7)}\n",s\n{number % 5},x"y,s\n\n' for number in range(12)
    )
    drop = Drop(small(), f"\ufeffid,name,secret\r\n{body}99,last,t".encode(), "drop.csv")
    there = compare(drop, spark, tmp_path, 110)
    assert there is not None
    assert there.report.rejected == 13
    assert {check.rule for check in there.report.checks} == {"quote", "enum"}


WRITTEN = """
apiVersion: v3.2.0
kind: DataContract
id: written
version: 1.0.0
schema:
  - name: written
    properties:
      - {name: id, physicalName: Order No., logicalType: integer, primaryKey: true}
      - name: price
        logicalType: number
        customProperties: [{property: currencySigns, value: [EUR]}]
      - name: day
        logicalType: date
        logicalTypeOptions: {format: dd.MM.yy}
        customProperties: [{property: twoDigitYearStart, value: 1950}]
      - name: city
        logicalType: string
        customProperties: [{property: jsonPath, value: $.at.city}]
customProperties:
  - {property: maxRejectedRatio, value: 1}
"""


@pytest.mark.parametrize(
    ("extra", "head", "name"),
    [
        ("  - {property: header, value: false}\n", "", "drop.csv"),
        ("  - {property: skipLines, value: 3}\n", "Report\n\nof May;x\n", "drop.csv"),
        ("", "", "drop.jsonl"),
    ],
)
def test_how_a_file_is_written_is_the_same_for_the_job(
    spark: SparkSession, tmp_path: Path, extra: str, head: str, name: str
) -> None:
    """No header, lines before it, names of files, signs, short years and paths of JSON."""
    rows = [
        (n % 9, f"EUR {n}" if n % 5 else "5 USD", f"{n % 28 + 1:02}.12.{n % 99:02}", f"c{n}")
        for n in range(40)
    ]
    if name.endswith(".jsonl"):
        lines = [
            json.dumps({"Order No.": i, "price": n, "day": day, "at": {"city": city}})
            for n, (i, _, day, city) in enumerate(rows)
        ]
    else:
        names = [] if "header" in extra else ["Order No.,price,day,city"]
        lines = [*names, *(",".join(map(str, row)) for row in rows)]
    data = (head + "\n".join([*lines, ""])).encode()
    contract = parse(WRITTEN + extra, file="written.odcs.yaml")
    there = compare(Drop(contract, data, name), spark, tmp_path, 200)
    assert there is not None
    assert there.report.accepted > 0


def test_parquet(spark: SparkSession, tmp_path: Path) -> None:
    """Values with types, their keys, and rejects as JSON Lines; a line is a record's number."""
    frame = pl.DataFrame(
        {
            "note": ["a", "b", "a", None, "too long", "c"],
            "id": [1, 2, 2, 4, 5, 1],
            "day": [date(2024, 1, 1), None, None, date(2024, 2, 29), None, date(2024, 1, 1)],
            "at": [datetime(2024, 1, 1, 0, 0, 0, 5, UTC), datetime(2023, 1, 1, tzinfo=UTC)] * 3,
            "price": [0.5, 1.0, 9.5, 0.3, -1.0, float("nan")],
            "fresh": [True, None, False, True, True, None],
            "further": [1] * 6,
        }
    )
    buffer = io.BytesIO()
    frame.write_parquet(buffer, row_group_size=2)
    drop = Drop(parse(MIXED, file="mixed.odcs.yaml"), buffer.getvalue(), "drop.parquet")
    there = compare(drop, spark, tmp_path, None)
    assert there is not None
    rules = {(check.rule, check.column) for check in there.report.checks}
    assert {("unique", "note"), ("unique", "id,day"), ("sql", None), ("type", "price")} <= rules


@pytest.mark.slow
def test_a_file_without_records_that_are_sound(spark: SparkSession, tmp_path: Path) -> None:
    """All rejected and all tolerated: what is left is a header."""
    drop = Drop(small(), b"id,name,secret\nx,a,s\ny,b,s\n", "drop.csv")
    there = compare(drop, spark, tmp_path, None)
    assert there is not None
    assert there.report.verdict == "accepted_with_rejects"


@pytest.mark.slow
def test_a_record_too_long_to_hold_refuses_the_file(spark: SparkSession, tmp_path: Path) -> None:
    """Whether it is one line or a quoted field over many; the line is told."""
    for filler in (b"y" * (9 << 20), b"\n".join([b"y" * 1000] * 9500)):
        data = b'id,name,secret\n1,a,s\n2,"' + filler + b'",s\n3,c,s\n'
        contract: Contract = small()
        there = validate_remotely(spark, tmp_path, data, contract)
        assert there.report.verdict == "refused"
        assert there.report.problem is not None
        assert (there.report.problem.line, "longer than 8 MiB" in there.report.problem.reason) == (
            3,
            True,
        )


def test_a_plan_that_is_not_there_or_not_known_stops_the_job(
    spark: SparkSession, tmp_path: Path
) -> None:
    """The job says so, and leaves nothing."""
    lake = f"file://{tmp_path}/{{container}}"
    assert spark is not None
    with pytest.raises(InvalidPlanError, match="no plan"):
        validate.main(["--lake", lake, "--plan", "raw/small/run/judging/1/plan.json"])
    with pytest.raises(ArgumentError, match="--plan"):
        validate.main(["--lake", lake])
    place = tmp_path / "raw" / "plan.json"
    place.parent.mkdir()
    place.write_text(json.dumps({"plan": 99}))
    with pytest.raises(InvalidPlanError, match="version 99"):
        validate.main(["--lake", lake, "--plan", "raw/plan.json"])
    assert [path.name for path in place.parent.iterdir()] == ["plan.json"]
