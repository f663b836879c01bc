"""The other sides fail: a run is delayed, and neither lost nor done twice."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.conftest import Cloud
from tests.e2e.drops import users

pytestmark = [pytest.mark.spark, pytest.mark.timeout(400)]

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


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_delays_a_run_and_no_more(cloud: Cloud, name: str) -> None:
    """Whatever side fails, before or after the effect: one success, one copy, the rows once."""
    service, rule = FAULTS[name]
    identity = 9000 + 10 * list(FAULTS).index(name)
    cloud.fault(service, **rule)
    path = cloud.land(f"landing/users/fault-{identity}.csv", users([identity]).encode())
    run = cloud.ended(path)
    assert run["state"] == "succeeded", run
    assert run["load"]["result"]["inserted"] == 1
    copies = [line for line in run["history"] if line["state"] == "copied"]
    assert len(copies) == 1


def test_a_killed_host_loses_nothing(cloud: Cloud) -> None:
    """The functions host dies while drops are on their way; after its restart all succeed."""
    paths = [
        cloud.land(f"landing/users/killed-{index}.csv", users([9500 + index]).encode())
        for index in range(4)
    ]
    cloud.supervisor.kill("functions")
    cloud.supervisor.wait_ready("functions")
    for path in paths:
        assert cloud.ended(path)["state"] == "succeeded"


def test_a_data_factory_that_restarts_loses_nothing(cloud: Cloud) -> None:
    """Data Factory dies with copies under way; their runs are copied by a later attempt."""
    paths = [
        cloud.land(f"landing/users/adf-killed-{index}.csv", users([9600 + index]).encode())
        for index in range(3)
    ]
    cloud.supervisor.kill("datafactory")
    cloud.supervisor.wait_ready("datafactory")
    for path in paths:
        assert cloud.ended(path)["state"] == "succeeded"
