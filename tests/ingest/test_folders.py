"""Folder drops: a folder closed by `_SUCCESS` is one drop, claimed, validated and loaded once."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest

from ingest.errors import Retryable
from ingest.http import api, api_verbs
from ingest.runs.messages import Claim
from ingest.runs.run import Run
from landfall.protocol import State
from tests.ingest.conftest import Clock, StorageAccount
from tests.ingest.harness import FOLDERS, SETTLED, ServiceHarness
from tests.ingest.memory import rows_of


@pytest.fixture
def harness(storage_account: StorageAccount, clock: Clock, tmp_path: Path) -> ServiceHarness:
    """A service whose one dataset comes in folders."""
    (tmp_path / "contracts").mkdir()
    (tmp_path / "contracts" / "readings.odcs.yaml").write_text(FOLDERS)
    return ServiceHarness(storage_account, clock, {"LANDFALL_PROJECT": str(tmp_path)})


def part(*ids: int | str) -> bytes:
    """A part file of these keys."""
    return "".join(["id,value\n", *(f"{each},1.5\n" for each in ids)]).encode()


def write(harness: ServiceHarness, folder: str, **parts: bytes) -> str:
    """Write the parts of a folder and close it, hearing of each file; returns the marker's path."""
    for name, content in parts.items():
        path = f"landing/readings/{folder}/{name}.csv"
        harness.storage_account.land(path, content)
        assert harness.service.on_landing(path) == []
    marker = f"landing/readings/{folder}/_SUCCESS"
    harness.storage_account.lake.put(marker, b"")
    return marker


def close(harness: ServiceHarness, marker: str) -> Run:
    """Hear of the marker and bring its drop to its end."""
    todo = harness.service.on_landing(marker)
    (message,) = todo
    harness.drive(todo)
    return harness.run(message.run_id)  # type: ignore[union-attr]


def run_of(harness: ServiceHarness, folder: str) -> Run:
    """The one run that a folder has had so far."""
    runs = harness.service.manifest.newest(limit=500, dataset="readings")
    (found,) = [run for run in runs if run.summary["path"] == f"landing/readings/{folder}"]
    return harness.run(found.run_id)


def test_a_closed_folder_is_one_drop(harness: ServiceHarness) -> None:
    """All files are validated, copied and loaded as one."""
    marker = write(harness, "may", a=part(1, 2), b=part(3), c=part(4, 5))
    run = close(harness, marker)
    assert run.state is State.SUCCEEDED
    assert run.verdict is not None
    assert (run.name, run.verdict.rows, run.verdict.accepted) == ("may", 5, 5)
    bronze = harness.storage_account.lake.get(f"{run.bronze}/data.parquet")[0]
    assert rows_of(bronze) == ["1,1.5", "2,1.5", "3,1.5", "4,1.5", "5,1.5"]
    assert run.copy is not None
    assert run.copy.rows == 5
    assert run.source.size == sum(map(len, (part(1, 2), part(3), part(4, 5))))
    assert not list(harness.storage_account.lake.list("landing/readings/may/"))
    assert harness.workspace.loads_of(run.run_id) == 1


def test_an_open_folder_is_left_alone(harness: ServiceHarness, clock: Clock) -> None:
    """Without its marker nothing of it is claimed, however long it stands; the sweep finds it."""
    harness.storage_account.land("landing/readings/open/a.csv", part(10))
    clock.turn(seconds=SETTLED * 10)
    assert not [m for m in harness.service.reconcile() if isinstance(m, Claim)]
    marker = "landing/readings/open/_SUCCESS"
    harness.storage_account.lake.put(marker, b"")
    clock.turn(seconds=SETTLED)
    assert Claim(marker) in harness.service.reconcile()
    harness.drive([Claim(marker)])
    assert run_of(harness, "open").state is State.SUCCEEDED


def test_a_fault_is_told_by_file_and_line(harness: ServiceHarness) -> None:
    """Keys are unique across the files; report, reasons and rejects say where a record stands."""
    marker = write(harness, "faulty", a=part(20, 21)[:-1], b=part(22, "x", 20), c=part(23, 24))
    run = close(harness, marker)
    assert run.state is State.SUCCEEDED
    assert run.verdict is not None
    assert (run.verdict.rows, run.verdict.rejected) == (7, 2)
    report = harness.post(api.get_report, run_id=run.run_id).body
    samples = [sample for check in report["checks"] for sample in check["samples"]]
    assert {(s["file"], s["line"]) for s in samples} == {("b.csv", 3), ("b.csv", 4)}
    assert run.verdict.rejects is not None
    rejects = harness.storage_account.lake.get(run.verdict.rejects)[0].decode()
    assert rejects == "id,value\nx,1.5\n20,1.5\n"
    reasons = harness.storage_account.lake.get(f"{run.verdict.rejects}.reasons.jsonl")[
        0
    ].splitlines()
    assert [(r["file"], r["line"]) for r in map(json.loads, reasons)] == [
        ("b.csv", 3),
        ("b.csv", 4),
    ]
    bronze = harness.storage_account.lake.get(f"{run.bronze}/data.parquet")[0]
    assert [line.split(",")[0] for line in rows_of(bronze)] == ["20", "21", "22", "23", "24"]


def test_files_after_the_marker_are_a_new_drop(harness: ServiceHarness) -> None:
    """What comes when the folder was claimed waits for a marker of its own."""
    first = close(harness, write(harness, "twice", a=part(30)))
    marker = write(harness, "twice", late=part(31))
    second = close(harness, marker)
    assert first.run_id != second.run_id
    assert {first.state, second.state} == {State.SUCCEEDED}
    assert second.verdict is not None
    assert second.verdict.rows == 1


def test_a_marker_that_comes_again_before_the_claim_is_one_drop(harness: ServiceHarness) -> None:
    """The folder goes with the newer marker; the older version's run says so and ends."""
    marker = write(harness, "again", a=part(40))
    harness.storage_account.fault(
        method="PUT", path="mode=legacy", fault="status", status=503, when="before"
    )
    with pytest.raises(Retryable):
        harness.service.on_landing(marker)
    harness.storage_account.reset_faults()
    older = run_of(harness, "again")
    harness.clock.turn(seconds=2)
    harness.storage_account.lake.put(marker, b"again")
    newer = close(harness, marker)
    harness.clock.turn(seconds=SETTLED)
    harness.drive(harness.service.reconcile())
    assert newer.state is State.SUCCEEDED
    assert harness.run(older.run_id).state is State.CANCELLED


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_at_the_rename_loses_and_mixes_nothing(harness: ServiceHarness, when: str) -> None:
    """The rename's answer is lost, late files come: the drop keeps its files, they wait."""
    first = 500 if when == "after" else 600
    marker = write(harness, f"crash-{when}", a=part(first), b=part(first + 1))
    harness.storage_account.fault(
        method="PUT", path="mode=legacy", fault="reset", when=when, times=3
    )
    with suppress(Retryable):
        harness.service.on_landing(marker)
    harness.storage_account.reset_faults()
    if when == "after":
        harness.storage_account.land(f"landing/readings/crash-{when}/late.csv", part(52))
    harness.service = harness.worker()
    harness.clock.turn(seconds=SETTLED)
    harness.drive(harness.service.reconcile())
    run = run_of(harness, f"crash-{when}")
    assert run.state is State.SUCCEEDED
    assert run.verdict is not None
    assert run.verdict.rows == 2
    left = [
        entry.version.path for entry in harness.storage_account.lake.list("landing/readings/crash-")
    ]
    assert left == ([f"landing/readings/crash-{when}/late.csv"] if when == "after" else [])
    for path in left:
        harness.storage_account.lake.delete(path)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"a": part(60), "b": b"value,id\n1,61\n"}, "b.csv has another header than a.csv"),
        ({"a": part(60), "b": b"\x1f\x8b123"}, "b.csv is gzip"),
        ({}, "no files"),
    ],
)
def test_a_folder_that_cannot_be_read_as_one_is_refused(
    harness: ServiceHarness, parts: dict[str, bytes], says: str
) -> None:
    """The whole folder goes to quarantine; the reason names the file; replay validates again."""
    marker = write(harness, f"bad-{abs(hash(says)) % 1000}", **parts)
    run = close(harness, marker)
    assert run.state is State.QUARANTINED
    assert says in run.cause
    assert run.raw is not None
    kept = [entry.version.path for entry in harness.storage_account.lake.list(f"{run.raw}/")]
    assert len(kept) == len(parts) + 1
    reply = harness.post(api_verbs.replay_run, run_id=run.run_id)
    assert reply.status == 202
    harness.drive(list(reply.messages))
    assert harness.run(run.run_id).state is State.QUARANTINED


def test_a_folder_can_be_posted(harness: ServiceHarness) -> None:
    """By its path or its marker's; a part by itself, or an open folder, is refused."""
    write(harness, "posted", a=part(70))
    body = {"dataset": "readings", "path": "landing/readings/posted/a.csv"}
    assert harness.post(api.ingest, body).status == 422
    body["path"] = "landing/readings/open-one"
    assert harness.post(api.ingest, body).status == 404
    body["path"] = "landing/readings/posted"
    reply = harness.post(api.ingest, body)
    assert (reply.status, reply.body["name"]) == (202, "posted")
    body["path"] = "landing/readings/posted/_SUCCESS"
    assert harness.post(api.ingest, body).body["run_id"] == reply.body["run_id"]
    harness.drive(list(reply.messages))
    assert harness.run(str(reply.body["run_id"])).state is State.SUCCEEDED
