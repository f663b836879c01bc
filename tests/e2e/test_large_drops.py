"""Drops above the size limit: validated by a Databricks job, and else as any other.

The limit is so low that some hundred kilobytes are large. The three drops travel together.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from deltalake import DeltaTable

from landfall.contract.folder import load_folder
from landfall.validation import validate
from landfall.validation.local_files import BytesSource
from tests.e2e.conftest import REPOSITORY, Cloud, Json
from tests.e2e.drops import users
from tests.unit.validation import Findings

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

WRONG_TYPE = users([51_999], socialNbFollowers="many").splitlines()[1]
TOO_MANY_FIELDS = users([51_998], country="Islande, twice").splitlines()[1]
TWICE = users([50_001], country="Islande", countryCode="is").splitlines()[1]
TWO_LINES = users([51_450], country='"Two\nlines"').partition("\n")[2]
BAD = f"{WRONG_TYPE}\n{TOO_MANY_FIELDS}\n{TWICE}\n"
DIRTY = f"{users(range(50_000, 51_400))}{TWO_LINES}{BAD}"
DROPS = {
    "large.csv": users(range(60_000, 61_500)).encode(),
    "large-dirty.csv": DIRTY.encode(),
    "large-refused.csv": users(range(70_000, 71_500), gender="X").encode(),
}


@pytest.fixture(scope="module")
def fleet(whole_cloud: Cloud) -> Iterator[Cloud]:
    """The cloud with the three drops on their way."""
    whole_cloud.reset_faults()
    for name, content in DROPS.items():
        whole_cloud.land(f"landing/users/{name}", content)
    yield whole_cloud
    whole_cloud.reset_faults()


def report_here(name: str) -> Json:
    """What the streaming engine says of a drop."""
    contract = load_folder(REPOSITORY / "marketplace" / "contracts")["users"]
    source = BytesSource(DROPS[name])
    found: Json = validate(source, contract, name=name, outputs=Findings()).to_dict()
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


def silver_ids(cloud: Cloud, first: int, last: int) -> set[int]:
    """The users of a range in silver, as any Delta reader sees them."""
    table = DeltaTable(str(cloud.config.lake_folder / "silver" / "users"))
    ids: list[Any] = table.to_pyarrow_table(columns=["identifierHash"])[0].to_pylist()
    return {one for one in ids if first <= one <= last}


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("large.csv", "succeeded"),
        ("large-dirty.csv", "succeeded"),
        ("large-refused.csv", "quarantined"),
    ],
)
def test_a_large_drop_is_judged_by_the_job(fleet: Cloud, name: str, state: str) -> None:
    """It ends as it would by the streaming engine, with the same report and the same hash."""
    run = fleet.ended(f"landing/users/{name}")
    assert run["state"] == state, run["history"]
    causes = [line["cause"] for line in run["history"] if line["event"] == "start_validation"]
    assert "validated by job run" in causes[0], causes
    assert run["judging"]["url"].startswith("http")
    assert run["verdict"]["sha256"] == hashlib.sha256(DROPS[name]).hexdigest()
    report = fleet.ask("GET", f"/runs/{run['run_id']}/report").json()
    expected = report_here(name)
    for part in ("verdict", "rows", "accepted", "rejected", "checks", "examples", "problem"):
        assert report[part] == expected[part], part


def test_rejects_are_split_off_and_the_rest_is_loaded(fleet: Cloud) -> None:
    """Rejects lie in quarantine as they came, with their reasons; all others reach silver."""
    run = fleet.ended("landing/users/large-dirty.csv")
    header = DIRTY.partition("\n")[0]
    assert fleet.read(run["verdict"]["rejects"]).decode() == f"{header}\n{BAD}"
    reasons = fleet.read(f"{run['verdict']['rejects']}.reasons.jsonl").decode().splitlines()
    rules = [json.loads(line)["faults"][0]["rule"] for line in reasons]
    assert rules == ["type", "fieldCount", "unique"]
    assert silver_ids(fleet, 50_000, 51_999) == {*range(50_000, 51_400), 51_450}


def test_nothing_of_the_attempt_is_left(fleet: Cloud) -> None:
    """What the job wrote on the way is gone when the run has ended."""
    for name in DROPS:
        run = fleet.ended(f"landing/users/{name}")
        folder = fleet.config.lake_folder / "raw" / "users" / run["run_id"]
        assert not list((folder / "judging").rglob("*"))
