"""The table of cases, validated by us and by datacontract-cli."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from landfall.authoring.lint import lint
from tests.parity.cases import CASES, Case
from tests.unit.validation import run_validation

REPOSITORY = Path(__file__).resolve().parents[2]
PEERS = Path(os.environ.get("LANDFALL_PEERS", REPOSITORY / ".venv-peers"))
PYTHON = PEERS / "bin" / "python"


def test_each_rule_is_kept_once_and_broken_once() -> None:
    """At least 60 cases, in pairs."""
    kept = Counter((case.rule, case.passes) for case in CASES)

    assert len(CASES) >= 60
    assert {rule for rule, passes in kept if passes} == {
        rule for rule, passes in kept if not passes
    }
    assert set(kept.values()) == {1}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_ours(case: Case) -> None:
    """A file is accepted if it satisfies the contract, which is valid by the standard."""
    report, _ = run_validation(
        case.data.encode(), lint(case.contract, file="t.odcs.yaml"), name="t.csv"
    )

    assert (report.verdict == "accepted") == case.passes, (report.checks, report.problem)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(
    not PYTHON.exists(), reason="datacontract-cli is not installed: run `make peers`"
)
def test_the_peers() -> None:
    """The peer agrees with us, except for cases with a deciding sentence."""
    given = [{"contract": case.contract, "data": case.data} for case in CASES]
    peer = REPOSITORY / "tests" / "parity" / "peer.py"

    done = subprocess.run(
        [PYTHON, peer], input=json.dumps(given), capture_output=True, text=True, check=True
    )

    results = json.loads(done.stdout)
    assert len(results) == len(CASES)
    differing = [
        f"{case.name}: {result['result']} {result['reasons']}"
        for case, result in zip(CASES, results, strict=True)
        if (result["passes"] == case.passes) == (case.decided_by is not None)
    ]
    assert differing == []
