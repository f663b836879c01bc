"""Every fault injected into a users file is found with its line, and no other."""

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from landfall.validation import Report, validate
from landfall.validation.local_files import FileOutputs, FileSource
from marketplace.generator import break_records, write_users
from marketplace.generator.breakers import DAMAGES, WRECKS
from tests.realdata import C2C
from tests.unit.validation import CONTRACTS, run_validation

USERS = CONTRACTS["users"]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good users file of 1,200 records."""
    path = tmp_path_factory.mktemp("good") / "users.csv"
    write_users(path, 1200, 11)
    return path


def test_a_generated_file_is_accepted(good: Path) -> None:
    """Generated users satisfy the contract."""
    report, _ = run_validation(good.read_bytes(), USERS)

    assert (report.verdict, report.rows) == ("accepted", 1200)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    counts=st.dictionaries(st.sampled_from(sorted(DAMAGES)), st.integers(1, 6), max_size=8),
    seed=st.integers(0, 2**16),
    chunk=st.sampled_from([997, 1 << 16, 1 << 20]),
    zipped=st.booleans(),
)
def test_injected_faults_are_found_exactly(
    good: Path, counts: dict[str, int], seed: int, chunk: int, zipped: bool
) -> None:
    """Lines, rules, columns and counts agree with what was injected; the rest is untouched."""
    bad = good.with_name("bad.csv")
    injected = break_records(good, bad, counts, seed)
    data = bad.read_bytes()

    report, findings = run_validation(
        gzip.compress(data, 1) if zipped else data, USERS, chunk=chunk
    )

    expected = {(fault.line, fault.rule, fault.column) for fault in injected}
    reasons = [json.loads(line) for line in (findings["reasons"] or b"").splitlines()]
    detected = {(r["line"], f["rule"], f["column"]) for r in reasons for f in r["faults"]}
    assert expected == detected
    assert [fault.line for fault in injected] == [r["line"] for r in reasons]
    assert report.rejected == len(injected)
    assert Counter((f.rule, f.column) for f in injected) == {
        (check.rule, check.column): check.failed for check in report.checks
    }
    if report.verdict == "accepted_with_rejects":
        accepted = findings["accepted"] or b""
        again, kept = run_validation(accepted, USERS, name="accepted.parquet")
        assert (again.verdict, again.rows) == ("accepted", report.accepted)
        assert kept.rows() == findings.rows()


TEN = (
    *("bad_type", "bad_number", "bad_boolean", "bad_enum", "bad_pattern", "missing_required"),
    *("below_range", "duplicate_key", "short_record", "bad_bytes"),
)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_ten_kinds_of_fault_are_found_with_their_lines(seed: int, tmp_path: Path) -> None:
    """In a file of several prefiltered blocks every fault is found with its line, and no other."""
    write_users(tmp_path / "good.csv", 40_000, seed)
    injected = break_records(
        tmp_path / "good.csv", tmp_path / "bad.csv", dict.fromkeys(TEN, 40), seed
    )

    report, findings = run_validation((tmp_path / "bad.csv").read_bytes(), USERS)

    reasons = [json.loads(line) for line in (findings["reasons"] or b"").splitlines()]
    detected = [(r["line"], f["rule"], f["column"]) for r in reasons for f in r["faults"]]
    assert len(injected) == 400
    assert detected == [(fault.line, fault.rule, fault.column) for fault in injected]
    assert report.rejected == len(injected)


@pytest.mark.parametrize("wreck", WRECKS)
def test_wrecks_are_refused(good: Path, wreck: str) -> None:
    """A file damaged as a whole is refused with a reason and an action."""
    report, _ = run_validation(WRECKS[wreck](good.read_bytes()), USERS)

    assert report.verdict == "refused"
    assert report.problem is not None
    assert report.problem.reason
    assert report.problem.action


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_make_it_fail(noise: bytes, with_header: bool) -> None:
    """Any bytes end in a verdict with consistent counts, and the report can be read from JSON."""
    header = ",".join(column.name for column in USERS.columns).encode() + b"\n"

    report, _ = run_validation(header + noise if with_header else noise, USERS, name="drop")

    assert report.rows == report.accepted + report.rejected
    assert Report.from_json(report.to_json()) == report


@pytest.mark.skipif(C2C is None, reason="the published tables are not here")
def test_the_published_tables_are_accepted() -> None:
    """All 98,913 users and the three published aggregate tables satisfy the contracts."""
    assert C2C is not None
    files = [(part, "users") for part in sorted(C2C.glob("users-*.csv"))]
    files += [
        (C2C / "Buyers-repartition-by-country.csv", "buyers_by_country"),
        (C2C / "Countries-with-Top-Sellers-(Fashion-C2C).csv", "top_seller_countries"),
        (C2C / "Comparison-of-Sellers-by-Gender-and-Country.csv", "sellers_compared"),
    ]
    rows: Counter[str] = Counter()
    for path, dataset in files:
        report = validate(
            FileSource(path), CONTRACTS[dataset], name=path.name, outputs=FileOutputs()
        )
        assert (report.verdict, report.rejected) == ("accepted", 0), report.checks
        rows[dataset] += report.rows
    assert rows == {
        "users": 98_913,
        "buyers_by_country": 62,
        "top_seller_countries": 19,
        "sellers_compared": 73,
    }
