"""The other sides fail: a run is delayed, and neither lost nor done twice."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.e2e.conftest import Cloud
from tests.e2e.drops import users

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "createRun has its effect and answers 503": (
        "datafactory",
        {"path": "createRun", "fault": "status", "status": 503, "when": "after", "times": 1},
    ),
    "createRun has its effect and the reply is lost": (
        "datafactory",
        {"path": "createRun", "fault": "reset", "when": "after", "times": 1},
    ),
    "createRun has its effect and the reply is cut": (
        "datafactory",
        {"path": "createRun", "fault": "truncate", "times": 1},
    ),
    "createRun throttles": (
        "datafactory",
        {
            "path": "createRun",
            "fault": "status",
            "status": 429,
            "headers": {"Retry-After": "1"},
            "times": 2,
        },
    ),
    "run-now has its effect and answers 503": (
        "databricks",
        {"path": "run-now", "fault": "status", "status": 503, "when": "after", "times": 1},
    ),
    "run-now throttles": (
        "databricks",
        {
            "path": "run-now",
            "fault": "status",
            "status": 429,
            "headers": {"Retry-After": "1"},
            "times": 2,
        },
    ),
    "the lake answers 503 to writes for a while": (
        "lake",
        {"method": "PUT", "path": "manifest/active", "fault": "status", "status": 503, "times": 9},
    ),
    "the lake answers 503 to reads for a while": (
        "lake",
        {"method": "GET", "path": "raw/users", "fault": "status", "status": 503, "times": 9},
    ),
    "a rename has its effect and the reply is lost": (
        "lake",
        {"method": "PUT", "path": "mode=legacy", "fault": "reset", "when": "after", "times": 2},
    ),
}


def check(cloud: Cloud, path: str) -> None:
    """One success, one copy, the row once, whatever happened on the way."""
    run = cloud.ended(path)
    assert run["state"] == "succeeded", run
    assert len([line for line in run["history"] if line["state"] == "copied"]) == 1
    result = run["load"]["result"]
    counts = result.get("batch", result)
    assert counts["rows_in"] == counts["inserted"]


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_delays_a_run_and_no_more(cloud: Cloud, name: str) -> None:
    """Whatever side fails, before or after the effect, a run is delayed, not lost or doubled."""
    service, rule = FAULTS[name]
    identity = 9000 + list(FAULTS).index(name)
    cloud.fault(service, **rule)
    check(cloud, cloud.land(f"landing/users/fault-{identity}.csv", users([identity]).encode()))


def test_all_faults_at_once(cloud: Cloud) -> None:
    """Every fault of the list strikes a fleet of drops: all succeed, each row is there once."""
    for service, rule in FAULTS.values():
        cloud.fault(service, **rule)
    paths = [
        cloud.land(f"landing/users/storm-{index}.csv", users([9100 + index]).encode())
        for index in range(6)
    ]
    for path in paths:
        check(cloud, path)
    for service in ("lake", "datafactory", "databricks"):
        rules = httpx.get(f"{cloud.config.url(service)}/_devcloud/faults").json()["rules"]
        assert [rule for rule in rules if not rule["hits"]] == []


@pytest.mark.parametrize("service", ["functions", "datafactory"])
def test_a_killed_service_loses_nothing(cloud: Cloud, service: str) -> None:
    """A service dies with drops on their way; after its restart all succeed."""
    base = 9500 + 10 * len(service)
    paths = [
        cloud.land(f"landing/users/{service}-{index}.csv", users([base + index]).encode())
        for index in range(4)
    ]
    cloud.supervisor.kill(service)
    cloud.supervisor.wait_ready(service)
    for path in paths:
        assert cloud.ended(path)["state"] == "succeeded"
