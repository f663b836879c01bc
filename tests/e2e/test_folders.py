"""A folder drop through the whole cloud: the committed pipeline copies it, Spark loads it."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Cloud

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]


def test_a_folder_is_one_drop_from_landing_to_silver(cloud: Cloud) -> None:
    """Three files and a marker, as Spark writes them: one run, one batch, all rows."""
    folder = "landing/readings/may"
    for number in range(3):
        body = "id,value\n" + "".join(f"{number * 10 + row},0.5\n" for row in range(4))
        cloud.land(f"{folder}/part-0000{number}.csv", body.encode())
    assert cloud.run_of(folder) is None
    cloud.land(f"{folder}/_SUCCESS", b"")
    run = cloud.ended(folder)
    assert run["state"] == "succeeded", run["cause"]
    assert (run["rows"], run["inserted"]) == (12, 12)
    assert run["raw"].endswith(f"{run['run_id']}-may")


def test_a_fault_in_a_folder_names_its_file(cloud: Cloud) -> None:
    """The report that a producer gets says in which file a record stands, and on which line."""
    folder = "landing/readings/june"
    cloud.land(f"{folder}/a.csv", b"id,value\n100,1\n101,2\n")
    cloud.land(f"{folder}/b.csv", b"id,value\n102,1\n103,much\n104,1\n")
    cloud.land(f"{folder}/_SUCCESS", b"")
    run = cloud.ended(folder)
    assert run["state"] == "succeeded", run["cause"]
    assert (run["accepted"], run["rejected"], run["inserted"]) == (4, 1, 4)
    report = cloud.ask("GET", f"/runs/{run['run_id']}/report").json()
    (check,) = report["checks"]
    assert [(s["file"], s["line"]) for s in check["samples"]] == [("b.csv", 3)]
