"""Each attempt writes to places of its own; what counts is what the run's document names."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ingest import paths
from ingest.operations.operators import OperatorRequest
from ingest.runs.document import dump, to_metadata
from ingest.runs.messages import Advance
from ingest.service import Landfall
from landfall.protocol import State
from tests.ingest.controlled_workers import ControlledWorker
from tests.ingest.instances import Instances
from tests.ingest.references import REFERS, silver

TOLERANT = "customProperties: [{property: maxRejectedRatio, value: 0.6}]"


@pytest.fixture
def many(tmp_path: Path) -> Instances:
    """A lake with a dataset `things` that refers to `others`, of which silver has 1."""
    many = Instances(tmp_path)
    many.deploy("others")
    many.deploy("things", more=REFERS)
    silver(many.lake, "others", [1])
    return many


def evidence(many: Instances, name: str) -> dict[str, bytes | None]:
    """What a run's document names, as it stands."""
    run = many.run(name)
    named = [run.raw]
    if run.verdict and run.verdict.verdict != "refused":
        assert run.verdict.parquet is not None
        named.append(f"{run.verdict.parquet['folder']}/data.parquet")
    if run.verdict and run.verdict.rejects:
        named += [run.verdict.rejects, f"{run.verdict.rejects}.reasons.jsonl"]
    found = {path: many.lake.files.get(path) for path in named if path}
    return {path: blob.data if blob else None for path, blob in found.items()}


def validate_on(many: Instances, by: Landfall, name: str) -> None:
    """Let a process validate a drop whenever it is time, until that is over."""
    for _ in range(40):
        if many.run(name).state not in (State.RECEIVED, State.CLAIMED, State.VALIDATING):
            return
        many.hand(by, Advance(name))
        many.clock.turn(seconds=30)


@pytest.mark.parametrize(
    ("content", "end"),
    [(b"id,to\n1,7\n2,7\n", State.QUARANTINED), (b"id,to\n1,1\n2,7\n", State.SUCCEEDED)],
    ids=["refused", "accepted with rejects"],
)
def test_a_late_worker_deletes_nothing_that_counts(
    many: Instances, content: bytes, end: State
) -> None:
    """A worker that postponed a drop stands still before each of its calls; others do the rest.

    The drop's file, its report, its rejects and its accepted records are there in the end.
    """

    def story(many: Instances, pause: int) -> bool:
        silver(many.lake, "others", [1])
        late, other = many.process(), many.process()
        path = "landing/things/x.csv"
        name = many.land(path, content)
        worker = ControlledWorker(lambda: late.on_landing(path))
        worker.steps(pause)
        over = worker.over
        for message in other.on_landing(path) or [Advance(name)]:
            many.hand(other, message)
        validate_on(many, other, name)
        before = evidence(many, name)
        worker.finish()
        many.settle(other)
        assert many.state(name) == [end], pause
        assert before[many.run(name).raw or ""] == content, pause
        assert evidence(many, name) == before, pause
        assert None not in before.values(), pause
        assert other.report(name)["rejected"] == (2 if end is State.QUARANTINED else 1), pause
        return over

    def taken(many: Instances, pause: int) -> bool:
        """The same where the late worker has claimed the drop itself, and postpones it first."""
        silver(many.lake, "others", [1])
        late, other = many.process(), many.process()
        path = "landing/things/x.csv"
        name = many.land(path, content)
        (message,) = other.on_landing(path)
        worker = ControlledWorker(lambda: late.handle(message))
        worker.steps(pause)
        over = worker.over
        validate_on(many, other, name)
        before = evidence(many, name)
        worker.finish()
        many.settle(other)
        assert many.state(name) == [end], pause
        assert before[many.run(name).raw or ""] == content, pause
        assert evidence(many, name) == before, pause
        assert None not in before.values(), pause
        return over

    assert many.each_pause(story) > 3
    assert many.each_pause(taken) > 5


def test_a_worker_of_an_old_release_changes_no_evidence(many: Instances) -> None:
    """A slow worker with the contract of before leaves what the other has found alone."""

    def story(many: Instances, pause: int) -> bool:
        many.deploy("things", "1.0.0", TOLERANT)
        old = many.process()
        many.deploy("things", "2.0.0", "        logicalTypeOptions: {maximum: 5}\n" + TOLERANT)
        new = many.process()
        path = "landing/things/x.csv"
        name = many.land(path, b"id\n1\n7\nx\n2\n")
        (message,) = new.on_landing(path)
        worker = ControlledWorker(lambda: old.handle(message))
        worker.steps(pause)
        over = worker.over
        many.hand(new, Advance(name))
        many.hand(new, Advance(name))
        before = evidence(many, name)
        verdict = many.run(name).verdict
        worker.finish()
        assert many.run(name).verdict == verdict, pause
        assert evidence(many, name) == before, pause
        report = new.report(name)
        assert verdict is not None
        assert (report["rejected"], report["contract_version"]) == (
            verdict.rejected,
            verdict.contract,
        ), pause
        many.settle(new)
        assert many.state(name) == [State.SUCCEEDED], pause
        return over

    assert many.each_pause(story) > 5


def test_what_an_attempt_in_vain_has_written_is_cleared(many: Instances) -> None:
    """Two workers validate one drop: only what the one that concluded wrote is left."""
    many.deploy("things", more=TOLERANT)
    late, other = many.process(), many.process()
    path = "landing/things/x.csv"
    name = many.land(path, b"id\n1\nx\n")
    (message,) = other.on_landing(path)
    worker = ControlledWorker(lambda: late.handle(message))
    while worker.at != "lake.put":
        worker.step()
    other.handle(message)
    worker.finish()
    folder = f"{paths.QUARANTINE}/things/{name}/"
    assert {path.split("/")[3] for path in many.lake.files if path.startswith(folder)} == {
        many.run(name).verdict.attempt  # type: ignore[union-attr]
    }


def test_documents_of_the_release_before_are_read(many: Instances) -> None:
    """A run that was copied before attempts had places of their own is loaded, retried, shown."""
    many.deploy("things", more=TOLERANT)
    one = many.process()
    (name,) = many.copied(one, "x.csv")
    (stored,) = many.documents(name)
    assert stored.copy is not None
    assert stored.verdict is not None
    bronze = f"bronze/things/{name}"
    many.lake.rename(stored.bronze, bronze)
    old = replace(
        stored,
        copy=replace(stored.copy, folder=None, attempt_id=f"{name}.1"),
        verdict=replace(stored.verdict, attempt="", contract=None, digest=None),
    )
    text = json.loads(dump(old, "before"))
    del text["copy"]["folder"], text["blocked"], text["content_taken_by"]
    for field in ("attempt", "contract", "digest"):
        del text["verdict"][field]
    for line in text["history"]:
        del line["count"]
    metadata = to_metadata(old)
    many.lake.put(paths.active_document(name), json.dumps(text).encode(), metadata=metadata)
    note = paths.content_document("things", stored.verdict.sha256)
    kept = json.loads(many.lake.get(note)[0])
    del kept["attempt"]
    many.lake.put(note, json.dumps(kept).encode())
    two = many.process()
    assert two.report(name)["verdict"] == "accepted"
    many.load(two)
    batch = json.loads(many.lake.get(paths.current_batch("things"))[0])
    assert batch["drops"][0]["bronze"] == bronze
    many.settle(two)
    assert many.state(name) == [State.SUCCEEDED]
    two.operators.replay(name, "bronze", OperatorRequest("again"))  # type: ignore[arg-type]
    many.settle(two)
    assert many.state(name) == [State.SUCCEEDED]
    many.replay(two, name, "raw")
    many.settle(two)
    assert many.state(name) == [State.SUCCEEDED]
    assert many.run(name).bronze == f"{bronze}.a2"


def test_a_release_before_may_write_documents_meanwhile(many: Instances) -> None:
    """In a rolling deployment it drops the fields that it does not know: nothing is lost of it."""
    one = many.process()
    (name,) = many.copied(one, "x.csv")
    (stored,) = many.documents(name)
    path = paths.active_document(name)
    text = json.loads(many.lake.get(path)[0])
    del text["copy"]["folder"], text["blocked"], text["content_taken_by"]
    for field in ("attempt", "contract", "digest"):
        del text["verdict"][field]
    for line in text["history"]:
        del line["count"], line["by"]
    metadata = many.lake.files[path].metadata
    many.lake.put(path, json.dumps(text).encode(), metadata=metadata)
    two = many.process()
    assert many.run(name).bronze == stored.bronze
    assert two.report(name)["verdict"] == "accepted"
    many.settle(two)
    assert many.state(name) == [State.SUCCEEDED]
