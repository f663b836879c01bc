"""The cell that was validated is the cell in silver, in every format: through the whole cloud."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from deltalake import DeltaTable

from tests.e2e.conftest import Cloud, Json
from tests.e2e.values import CASES, EVENTS, ValueCase

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]


def place(dataset: str) -> str:
    """Where the file of a case lands; runs are found by the name of their file."""
    return f"landing/{dataset}/{dataset}-{CASES[dataset].file}"


@pytest.fixture(scope="module")
def fleet(whole_cloud: Cloud) -> Iterator[Cloud]:
    """The cloud with the file of every case on its way."""
    whole_cloud.reset_faults()
    for dataset, case in CASES.items():
        whole_cloud.land(place(dataset), case.data)
    yield whole_cloud
    whole_cloud.reset_faults()


def silver(cloud: Cloud, dataset: str) -> list[dict[str, Any]]:
    """The rows of a silver table, as another reader than Spark sees them."""
    table = DeltaTable(str(cloud.config.lake_folder / "silver" / dataset))
    rows: list[dict[str, Any]] = table.to_pyarrow_table().to_pylist()
    return rows


def ended(cloud: Cloud, dataset: str) -> Json:
    """The run of a case's file, once it is final."""
    return cloud.ended(place(dataset), 600)


def values(case: ValueCase, rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """The contract's columns of the rows."""
    return sorted((tuple(row[name] for name in case.columns) for row in rows), key=repr)


@pytest.mark.parametrize("dataset", sorted(CASES))
def test_silver_has_the_cells_of_the_file(fleet: Cloud, dataset: str) -> None:
    """Nothing is trimmed, shifted, rounded, lost or refused after the verdict."""
    case = CASES[dataset]
    run = ended(fleet, dataset)
    assert run["state"] == "succeeded", run
    assert (run["accepted"], run["rejected"]) == (len(case.rows), case.rejected)
    assert values(case, silver(fleet, dataset)) == sorted(case.rows, key=repr)


def test_a_replay_of_a_drop_without_a_key_adds_nothing(fleet: Cloud) -> None:
    """Its rows are known by run and number; the next drop's rows are added."""
    first = ended(fleet, "no_key")
    before = silver(fleet, "no_key")
    assert {(row["_run_id"], row["_record"]) for row in before} == {
        (first["run_id"], number) for number in (1, 2, 3)
    }
    for origin in ("raw", "bronze"):
        reply = fleet.ask("POST", f"/runs/{first['run_id']}/replay", json={"from": origin})
        assert reply.status_code in (200, 202), reply.text
        assert ended(fleet, "no_key")["state"] == "succeeded"
        assert silver(fleet, "no_key") == before
    more = fleet.land("landing/no_key/more-events.csv", (EVENTS + "click,1\n").encode())
    run = fleet.ended(more, 600)
    assert (run["state"], run["load"]["result"]["inserted"]) == ("succeeded", 4)
    assert len(silver(fleet, "no_key")) == 7
