"""A subject is erased from every file that the service keeps, and no old drop brings it back."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import polars as pl
import pytest

from ingest.errors import Retryable
from ingest.http import api_verbs, erasures
from ingest.ports import JobRun
from ingest.runs.messages import Erase
from landfall.protocol import State
from tests.e2e.drops import users
from tests.ingest.conftest import Clock, StorageAccount
from tests.ingest.harness import ServiceHarness
from tests.ingest.remote import Workspace

GONE = 4711
"""The subject; no other number of these drops has these digits."""


class Erasing(Workspace):
    """A workspace whose job says what it has erased, as `spark_jobs.forget` does."""

    def __init__(self, storage_account: StorageAccount) -> None:
        super().__init__()
        self._lake = storage_account.lake
        self.asked: list[dict[str, Any]] = []
        self.fails = 0

    def start(self, token: str, parameters: Any) -> int:
        known = token in self.batches
        number = super().start(token, {**parameters, "batch": parameters["erasure"]})
        if not known:
            self.asked.append(json.loads(self._lake.get(parameters["erasure"])[0]))
            body = json.dumps({"rows": {"silver/users": 1}}).encode()
            self._lake.put(f"{parameters['result']}/part-0", body)
        return number

    def observe(self, job_run_id: int) -> JobRun | None:
        if self.fails:
            self.fails -= 1
            return JobRun(job_run_id, "failed", "no machines")
        return JobRun(job_run_id, "succeeded")


@pytest.fixture
def harness(storage_account: StorageAccount, clock: Clock) -> Iterator[ServiceHarness]:
    """A service whose erasures are done by `Erasing`."""
    made = ServiceHarness(storage_account, clock)
    yield made
    for container in ("landing", "raw", "bronze", "quarantine", "manifest"):
        for entry in list(storage_account.lake.list(f"{container}/")):
            storage_account.lake.delete(entry.version.path)


def erasing(harness: ServiceHarness) -> Erasing:
    """The workspace of a harness's erasures."""
    workspace = Erasing(harness.storage_account)
    object.__setattr__(harness.service.erasures, "jobs", workspace)
    return workspace


def forget(harness: ServiceHarness, key: object = GONE, **more: Any) -> dict[str, Any]:
    """Ask for an erasure and take it to its end."""
    harness.clock.turn(seconds=2)  # ids of runs are of whole seconds
    reply = harness.post(erasures.forget, {"key": key, **more}, dataset="users")
    assert reply.status == 202, reply.body
    harness.drive(list(reply.messages), ticks=8)
    return shown(harness, reply.body["erasure_id"])


def shown(harness: ServiceHarness, erasure_id: str) -> dict[str, Any]:
    """An erasure as it stands."""
    reply = harness.post(erasures.get_erasure, erasure_id=erasure_id)
    assert reply.status == 200
    return dict(reply.body)


def places_of(storage_account: StorageAccount, *texts: str) -> list[str]:
    """The files in which one of these stands, whatever their format; silver is not there."""
    found = []
    for container in ("landing", "raw", "bronze", "quarantine", "manifest"):
        for entry in storage_account.lake.list(f"{container}/", metadata=True):
            path = entry.version.path
            data = b"".join(storage_account.lake.stream(path)) if entry.version.size else b""
            text = data.decode("utf-8", "replace") + json.dumps(dict(entry.metadata))
            if path.endswith(".parquet") and data.startswith(b"PAR1"):
                text += pl.read_parquet(io.BytesIO(data)).write_csv()
            found += [path for each in texts if each in text]
    return found


def test_nothing_of_the_subject_is_left(
    harness: ServiceHarness, storage_account: StorageAccount
) -> None:
    """Drop, typed Parquet, bronze, rejects, reasons, reports of accepted and of refused drops."""
    erasing(harness)
    content = users([*range(1, 200), GONE]) + users([GONE]).partition("\n")[2]
    accepted = harness.take("landing/users/a.csv", content.encode())
    refused = harness.take("landing/users/b.csv", users([GONE], gender="X").encode())
    assert (accepted.state, refused.state) == (State.SUCCEEDED, State.QUARANTINED)
    before = places_of(storage_account, str(GONE))
    containers = {path.partition("/")[0] for path in before}
    assert containers == {"raw", "bronze", "quarantine"}  # reports mask what is personal

    erasure = forget(harness)

    assert erasure["stage"] == "done", erasure
    assert places_of(storage_account, str(GONE)) == []
    assert erasure["places"]["raw"] == {"files": 1, "records": 2}
    assert erasure["places"]["raw, accepted"] == {"files": 1, "records": 1}
    assert erasure["places"]["bronze"] == {"files": 1, "records": 1}
    assert erasure["places"]["quarantine"] == {"files": 1, "records": 1}
    assert erasure["places"]["reports"]["values"] >= 1
    assert erasure["unreadable"] == []
    assert (erasure["runs"], erasure["passes"]) == (2, 1)
    assert len(erasure["subject"]) == 64


@pytest.mark.parametrize("origin", ["raw", "bronze"])
def test_a_replay_does_not_bring_it_back(
    harness: ServiceHarness, storage_account: StorageAccount, origin: str
) -> None:
    """What is left of the drop is loaded again: the batch's sizes and rows are those of now."""
    erasing(harness)
    run = harness.take("landing/users/a.csv", users([5, 6, GONE]).encode())
    assert forget(harness)["stage"] == "done"

    reply = harness.post(api_verbs.replay_run, {"from": origin}, run_id=run.run_id)
    assert reply.status == 202, reply.body
    harness.drive(list(reply.messages))

    again = harness.run(run.run_id)
    assert again.state is State.SUCCEEDED, again.history
    assert again.verdict is not None
    assert again.verdict.accepted == 2
    (drop,) = harness.workspace.documents[-1]["drops"]
    files = [e.version for e in storage_account.lake.list(f"{drop['bronze']}/")]
    assert sum(version.size for version in files) == drop["size"]
    assert drop["rows"] == 2
    assert places_of(storage_account, str(GONE)) == []


def test_it_waits_for_runs_at_work_and_begins_again_for_those_taken_up(
    harness: ServiceHarness, storage_account: StorageAccount
) -> None:
    """A copy under way has the subject; a replay during the pass may have copied it again."""
    workspace = erasing(harness)
    harness.factory.holding = True
    storage_account.land("landing/users/a.csv", users([5, GONE]).encode())
    harness.drive(harness.service.on_landing("landing/users/a.csv"), ticks=1)
    harness.clock.turn(seconds=2)
    reply = harness.post(erasures.forget, {"key": GONE}, dataset="users")
    harness.drive(list(reply.messages), ticks=2)
    waiting = shown(harness, reply.body["erasure_id"])
    assert waiting["stage"] == "waiting"
    assert "at work" in waiting["waits"]

    harness.factory.holding = False
    for name in list(harness.factory.runs):
        harness.factory.copy(name)
    harness.clock.turn(seconds=61)
    harness.drive(harness.service.reconcile(), ticks=8)
    ended = shown(harness, reply.body["erasure_id"])
    assert ended["stage"] == "done", ended
    assert places_of(storage_account, str(GONE)) == []
    assert workspace.asked


def test_a_job_that_fails_is_tried_again_and_then_left_to_a_person(
    harness: ServiceHarness, storage_account: StorageAccount
) -> None:
    """The protocol says why, and has no key either."""
    workspace = erasing(harness)
    harness.take("landing/users/a.csv", users([5, GONE]).encode())
    workspace.fails = 100
    reply = harness.post(erasures.forget, {"key": GONE}, dataset="users")
    messages = list(reply.messages)
    for _ in range(30):
        harness.drive(messages, ticks=1)
        harness.clock.turn(minutes=6)
        messages = [Erase(reply.body["erasure_id"])]
    erasure = shown(harness, reply.body["erasure_id"])
    assert (erasure["stage"], len(workspace.asked)) == ("failed", 5)
    assert "no machines" in erasure["waits"]
    assert places_of(storage_account, str(GONE)) == []


def test_a_worker_that_dies_anywhere_leaves_what_the_next_one_needs(
    harness: ServiceHarness, storage_account: StorageAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each write of the lake in turn."""
    erasing(harness)
    lake = storage_account.lake
    content = users([*range(1, 200), GONE]) + users([GONE]).partition("\n")[2]
    run = harness.take("landing/users/a.csv", content.encode())
    reply = harness.post(erasures.forget, {"key": GONE}, dataset="users")
    harness.clock.turn(seconds=2)

    class Died(Retryable):
        pass

    writes = 0
    allowed = 0
    for name in ("put", "writer", "delete"):

        def dying(real: Any, path: str, *args: Any, **more: Any) -> Any:
            nonlocal writes
            if writes >= allowed:
                raise Died(path)
            writes += 1
            return real(path, *args, **more)

        monkeypatch.setattr(lake, name, partial(dying, getattr(lake, name)))
    for _ in range(40):
        writes, allowed = 0, allowed + 1
        try:
            while harness.service.erasures.step(reply.body["erasure_id"]):
                pass
        except Died:
            continue
        harness.clock.turn(seconds=61)
        if shown(harness, reply.body["erasure_id"])["stage"] == "done":
            break
    assert shown(harness, reply.body["erasure_id"])["stage"] == "done"
    monkeypatch.undo()
    assert places_of(storage_account, str(GONE)) == []
    after = harness.run(run.run_id)
    assert after.verdict is not None
    assert after.verdict.parquet is not None
    files = [e.version for e in lake.list(f"{after.bronze}/")]
    assert after.verdict.parquet["size"] == sum(version.size for version in files)
    assert after.raw is not None
    version = lake.head(after.raw)
    assert version is not None
    assert after.source.size == version.size


def test_a_preview_changes_nothing_and_a_wrong_key_says_what_is_right(
    harness: ServiceHarness, storage_account: StorageAccount
) -> None:
    """What refers to the subject is named: orders by their buyer."""
    erasing(harness)
    harness.take("landing/users/a.csv", users([5, GONE]).encode())
    before = sorted(e.version.etag for e in storage_account.lake.list("raw/"))
    reply = harness.post(erasures.forget, {"key": str(GONE), "dry_run": True}, dataset="users")
    assert reply.status == 200
    (target,) = reply.body["targets"]
    assert (target["dataset"], target["columns"]) == ("users", ["identifierHash"])
    assert target["runs"] == 1
    assert {"dataset": "orders", "columns": ["buyer_id"], "in_silver": 0} in reply.body[
        "references"
    ]
    assert sorted(e.version.etag for e in storage_account.lake.list("raw/")) == before

    for dataset, body, status in (
        ("users", {"key": "me"}, 422),
        ("users", {}, 422),
        ("users", {"key": 1, "cascade": "yes"}, 422),
        ("users", {"key": 1, "keep_hours": -1}, 422),
        ("nobody", {"key": 1}, 404),
    ):
        assert harness.post(erasures.forget, body, dataset=dataset).status == status


def test_a_request_that_comes_twice_starts_one(harness: ServiceHarness) -> None:
    """The Idempotency-Key is the erasure's id; with another subject it is refused."""
    erasing(harness)
    first = harness.post(erasures.forget, {"key": 7}, key="k", dataset="users")
    again = harness.post(erasures.forget, {"key": 7}, key="k", dataset="users")
    other = harness.post(erasures.forget, {"key": 8}, key="k", dataset="users")
    assert first.body["erasure_id"] == again.body["erasure_id"]
    assert (first.status, again.status, other.status) == (202, 202, 422)
    listed = harness.post(erasures.list_erasures).body["erasures"]
    assert [each["erasure_id"] for each in listed] == [first.body["erasure_id"]]
