"""The other sides refuse, or what they keep is damaged: it is said, and all else goes on."""

from __future__ import annotations

import base64
import json
import logging
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ingest import paths
from ingest.errors import AccessDenied, Collision, LandfallError
from ingest.http import api
from ingest.http.web import ApiRequest
from ingest.operations.operators import OperatorRequest
from ingest.ports import ListEntry
from ingest.runs import archive
from ingest.runs.messages import Advance, LoadDataset
from ingest.runs.run import FULL, LandedVersion, Run, received
from ingest.runs.states import Event
from ingest.service import Landfall
from landfall.protocol import State
from tests.ingest.conftest import Clock, StorageAccount
from tests.ingest.instances import Instances


@pytest.fixture
def many(tmp_path: Path) -> Instances:
    """A lake on which nothing has happened yet."""
    return Instances(tmp_path)


class Refusing:
    """A part of the outside, some of whose calls are refused for want of a role."""

    def __init__(self, real: object, when: Callable[[str, tuple[Any, ...]], bool]) -> None:
        self._real, self.when = real, when
        self.refused = 0
        self.text = f"403 AuthorizationPermissionMismatch {uuid.uuid4()}"

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._real, name)

        def call(*arguments: Any, **named: Any) -> Any:
            if self.when(name, arguments):
                self.refused += 1
                raise AccessDenied(self.text)
            return method(*arguments, **named)

        return call


def shown(by: Landfall, name: str) -> dict[str, Any]:
    """A run as `GET /runs/{run_id}` shows it."""
    return dict(api.get_run(by, ApiRequest(route={"run_id": name})).body)


def tick(many: Instances, by: Landfall, times: int = 1, **turn: float) -> None:
    """Some ticks, each with its messages and what follows."""
    for _ in range(times):
        many.clock.turn(**(turn or {"minutes": 3}))
        queue = by.reconcile()
        while queue:
            queue += many.hand(by, queue.pop())


def test_runs_wait_for_a_role(many: Instances, caplog: pytest.LogCaptureFixture) -> None:
    """A drop whose file cannot be moved waits however long, says why, and ends well afterwards."""
    lake = Refusing(many.lake, lambda name, given: name == "rename" and "/raw/" in f"/{given[1]}")
    one = many.process(lake=lake)
    name = many.land("landing/things/x.csv", b"id\n1\n")
    with pytest.raises(AccessDenied):
        one.on_landing("landing/things/x.csv")
    with caplog.at_level(logging.ERROR, "landfall"):
        tick(many, one, 200)
    assert many.state(name) == [State.RECEIVED]
    assert lake.refused > 20
    waits = [r for r in caplog.records if lake.text in r.getMessage()]
    assert len(waits) == 1
    assert "AuthorizationPermissionMismatch" in shown(one, name)["waits"]
    (dataset,) = one.backlog().document()["datasets"]
    assert "AuthorizationPermissionMismatch" in dataset["waits"]["received"]
    assert len(many.run(name).history) == 1
    lake.when = lambda *_: False
    tick(many, one)
    many.settle(one)
    run = many.run(name)
    assert (run.state, run.blocked, run.faults) == (State.SUCCEEDED, None, {})


def test_waiting_for_a_role_has_an_end(many: Instances) -> None:
    """After a long time the run fails, and its cause is what it waited for."""
    lake = Refusing(many.lake, lambda name, given: name == "rename" and "/raw/" in f"/{given[1]}")
    one = many.process(lake=lake)
    name = many.land("landing/things/x.csv", b"id\n1\n")
    with pytest.raises(AccessDenied):
        one.on_landing("landing/things/x.csv")
    tick(many, one, 2)
    assert many.state(name) == [State.RECEIVED]
    tick(many, one, 1, days=3)
    assert many.state(name) == [State.FAILED]
    assert "AuthorizationPermissionMismatch" in many.run(name).cause


def test_a_refused_start_of_a_copy_is_one_attempt(
    many: Instances, caplog: pytest.LogCaptureFixture
) -> None:
    """No role, or no pipeline of that name: a day later it is the same attempt, and says why."""
    factory = Refusing(many.factory, lambda name, _: name == "start")
    one = many.process(factory=factory)
    name = many.land("landing/things/x.csv", b"id\n1\n")
    with caplog.at_level(logging.ERROR, "landfall"):
        many.run_on(one, messages=one.on_landing("landing/things/x.csv"))
        tick(many, one, 480)
    run = many.run(name)
    assert run.state is State.COPYING
    assert run.copy is not None
    assert (run.copy.number, len(run.history)) == (1, 5)
    assert "AuthorizationPermissionMismatch" in shown(one, name)["waits"]
    assert sum(factory.text in r.getMessage() for r in caplog.records) == 1
    factory.when = lambda *_: False
    tick(many, one)
    many.settle(one)
    run = many.run(name)
    assert (run.state, len(many.factory.wrote)) == (State.SUCCEEDED, 1)


def test_a_refused_start_of_a_job_is_said_in_the_batch(many: Instances) -> None:
    """No role, or no job of that name: the runs say why they wait, and load when it is there."""
    jobs = Refusing(many.jobs, lambda name, _: name in ("start", "observe"))
    one = many.process(jobs=jobs)
    (name,) = many.copied(one, "x.csv")
    tick(many, one, 100)
    assert many.state(name) == [State.LOADING]
    assert "AuthorizationPermissionMismatch" in shown(one, name)["waits"]
    (dataset,) = one.backlog().document()["datasets"]
    assert "AuthorizationPermissionMismatch" in dataset["waits"]["loading"]
    jobs.when = lambda *_: False
    many.settle(one)
    assert many.state(name) == [State.SUCCEEDED]


def test_waiting_for_a_job_has_an_end(many: Instances) -> None:
    """After a long time the members of the batch fail, each with what they waited for."""
    jobs = Refusing(many.jobs, lambda name, _: name == "start")
    one = many.process(jobs=jobs)
    names = many.copied(one, "x.csv", "y.csv")
    many.load(one)
    tick(many, one, 2, days=2)
    many.settle(one)
    assert many.state(*names) == [State.FAILED] * 2
    assert "AuthorizationPermissionMismatch" in many.run(names[0]).cause


@pytest.mark.parametrize("folder", ["landing/", paths.REPLAYS, paths.ACTIVE])
def test_a_refused_listing_leaves_the_rest_of_the_tick(many: Instances, folder: str) -> None:
    """One role is missing: what the tick finds in the other places it goes on with."""
    one = many.process()
    (name,) = many.copied(one, "x.csv")
    many.land("landing/things/y.csv", b"id\n1\n")
    lake = Refusing(many.lake, lambda call, given: call == "list" and given[0] == folder)
    two = many.process(lake=lake)
    many.clock.turn(minutes=3)
    kinds = {type(message).__name__ for message in two.reconcile()}
    expected = {"landing/": {"LoadDataset"}, paths.ACTIVE: {"Claim"}}
    assert kinds == expected.get(folder, {"LoadDataset", "Claim"})
    assert many.state(name) == [State.COPIED]


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_by_the_lake_is_told_apart(storage_account: StorageAccount, status: int) -> None:
    """By the real SDK: a role that is missing is neither an outage nor the file's fault."""
    storage_account.land("landing/users/denied.csv", b"x")
    storage_account.fault(path="denied.csv", fault="status", status=status)
    for act in (
        lambda: storage_account.lake.head("landing/users/denied.csv"),
        lambda: storage_account.lake.get("landing/users/denied.csv"),
        lambda: storage_account.lake.put("landing/users/denied.csv", b""),
        lambda: storage_account.lake.rename("landing/users/denied.csv", "raw/users/denied.csv"),
    ):
        with pytest.raises(AccessDenied):
            act()


# -- what is damaged ------------------------------------------------------------------------


def damage(many: Instances, path: str, how: str) -> None:
    """Spoil the metadata or the body of a document."""
    blob = many.lake.files[path]
    metadata = dict(blob.metadata)
    body = blob.data
    match how:
        case "garbage":
            metadata["summary"] = "!!!"
        case "state":
            found = json.loads(body)
            found["state"] = "polished"
            body = json.dumps(found).encode()
            text = json.loads(base64.b64decode(metadata["summary"])) | {"state": "polished"}
            metadata["summary"] = base64.b64encode(json.dumps(text).encode()).decode()
        case "body":
            body = b"{"
    many.lake.put(path, body, metadata=metadata)


@pytest.mark.parametrize("how", ["garbage", "state", "body"])
def test_a_damaged_document_is_set_aside(
    many: Instances, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is named where people look; runs, lists and ticks of all others go on."""
    one = many.process()
    bad, good = many.copied(one, "bad.csv", "good.csv")
    path = paths.active_document(bad)
    damage(many, path, how)
    two = many.process()
    with caplog.at_level(logging.ERROR, "landfall"):
        two.handle(Advance(bad))
        for _ in range(5):
            tick(many, two)
            many.jobs.end()
    assert many.run(good).state is State.SUCCEEDED
    assert any(path in r.getMessage() for r in caplog.records)
    listed = api.list_runs(two, ApiRequest()).body["runs"]
    assert good in {run["run_id"] for run in listed}
    backlog = two.backlog().document()
    if how != "body":  # which a list does not show
        (aside,) = backlog["set_aside"]
        assert aside["path"] == path
    assert many.lake.get(path)[0] == many.lake.files[path].data


def test_a_document_without_metadata_is_read(many: Instances) -> None:
    """Somebody wrote it by hand and lost its metadata: the tick finds its run all the same."""
    one = many.process()
    (name,) = many.copied(one, "x.csv")
    path = paths.active_document(name)
    many.lake.put(path, many.lake.get(path)[0])
    many.settle(many.process())
    assert many.state(name) == [State.SUCCEEDED]


def test_a_damaged_batch_stops_its_dataset_only(many: Instances) -> None:
    """The document of a batch is garbage: it is named, and other datasets load."""
    many.deploy("others")
    one = many.process()
    (bad,) = many.copied(one, "x.csv")
    many.load(one)
    many.lake.put(paths.current_batch("things"), b"garbage")
    two = many.process()
    (good,) = many.copied(two, "y.csv", dataset="others")
    assert two.handle(LoadDataset("things")) == []
    many.load(two, "others")
    many.jobs.end()
    many.load(two, "others")
    assert many.state(bad, good) == [State.LOADING, State.SUCCEEDED]
    (aside,) = two.backlog().document()["set_aside"]
    assert aside["path"] == paths.current_batch("things")


@pytest.mark.parametrize(
    ("log", "data"),
    [
        (b"garbage", b""),
        (b'{"add": {"path": "a.par', b""),
        (b'{"add": {"path": "part-0.parquet"}}', b""),
        (b"[1, 2]", b""),
        (b'{"add": {"path": "gone.parquet", "size": 10}}', b""),
        (b'{"add": {"path": "part-0.parquet", "size": 4}}', b"PAR1"),
    ],
    ids=["garbage", "cut off", "no size", "no object", "vacuumed", "data"],
)
def test_a_damaged_table_fails_no_drop_of_another_dataset(
    many: Instances, log: bytes, data: bytes
) -> None:
    """What a drop refers to cannot be read: nothing is checked, as the report says."""
    many.deploy("others")
    refers = "      - {name: to, logicalType: integer, relationships: [{to: others.id}]}"
    many.deploy("things", more=refers)
    many.lake.put(f"silver/others/_delta_log/{0:020}.json", log)
    many.lake.put("silver/others/part-0.parquet", data)
    one = many.process()
    name = many.land("landing/things/x.csv", b"id,to\n1,7\n")
    many.run_on(one, messages=one.on_landing("landing/things/x.csv"), load=False)
    assert many.state(name) == [State.COPIED]
    (link,) = one.report(name)["relationships"]
    assert link["checked"] is False


def test_a_long_backlog_is_not_listed_for_each_run_that_is_shown(
    many: Instances, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a run waits for is told by a list of some seconds ago, where that was a long one."""
    monkeypatch.setattr(archive, "PAGE", 2)
    one = many.process()
    names = many.copied(one, "x.csv", "y.csv", "z.csv")
    lists = 0
    listed = many.lake.list

    def counted(prefix: str, **given: Any) -> Iterator[ListEntry]:
        nonlocal lists
        lists += prefix == paths.ACTIVE
        return listed(prefix, **given)

    monkeypatch.setattr(many.lake, "list", counted)
    for name in names:
        assert "tick" in shown(one, name)["waits"]
    assert lists == 1
    many.clock.turn(seconds=10)
    shown(one, names[0])
    assert lists == 2


def test_a_history_does_not_grow_without_bound(clock: Clock) -> None:
    """What repeats is told by its first, its last and a count; what a person asked for stays."""
    source = LandedVersion("landing/things/x.csv", "0x1", 1, clock(), "event")
    run = received("20261124T110000Z-things-0123456789abcdef", "things", source, clock())
    run = run.apply(Event.CLAIM, "", clock()).apply(Event.START_VALIDATION, "", clock())
    run = run.apply(Event.ACCEPT, "", clock())
    for number in range(1000):
        run = run.apply(Event.START_COPY, f"attempt {number}", clock())
    assert len(run.history) <= FULL + 1
    assert run.history[4].cause == "attempt 0"
    assert (run.cause, sum(line.count for line in run.history)) == ("attempt 999", 1004)
    run = run.apply(Event.FINISH_COPY, "", clock())
    for number in range(1000):
        run = run.apply(Event.START_LOAD, f"batch {number}", clock())
        run = run.apply(Event.PUT_BACK, f"back {number}", clock())
    assert len(run.history) <= FULL + 10
    assert run.cause == "back 999"
    for number in range(3):
        run = run.apply(Event.CANCEL, "", clock(), request=f"c{number}")
        run = run.apply(Event.RETRY_LOAD, "", clock(), request=f"r{number}")
    assert all(run.has_seen_request(f"r{number}") for number in range(3))
    assert run.reopened == 3


def take_in(many: Instances, run: Run) -> None:
    """Create a run, and file it."""
    manifest = many.process().manifest
    stored, _ = manifest.create(run)
    manifest.file(stored)


def test_two_versions_of_one_id_are_an_error(many: Instances) -> None:
    """Should ids collide, the later version is refused, and the first keeps its document."""
    one = many.process()
    name = many.land("landing/things/x.csv", b"id\n1\n")
    one.on_landing("landing/things/x.csv")
    before = many.run(name)
    for place in ("active", "filed"):
        source = LandedVersion("landing/things/other.csv", "0x9", 1, many.clock(), "event")
        other = received(name, "things", source, many.clock())
        with pytest.raises(Collision, match=r"other\.csv"):
            take_in(many, other)
        if place == "active":
            many.settle(one)
            before = many.run(name)
    kept = many.lake.get(paths.archived_document(name))[0]
    assert json.loads(kept)["source"]["path"] == before.source.path


@pytest.mark.parametrize("letter", ["x", "ж", "漢", "😀", '"', "\x01"])
def test_metadata_fit_whatever_the_script(many: Instances, letter: str) -> None:
    """Azure takes 8 KB: a long name and a long cause are cut, and the run goes its way."""
    one = many.process()
    name = many.land(f"landing/things/{letter * 200}/{letter * 200}.csv", b"id\n1\n")
    path = f"landing/things/{letter * 200}/{letter * 200}.csv"
    many.run_on(one, messages=one.on_landing(path))
    many.settle(one)
    assert many.state(name) == [State.SUCCEEDED]
    (listed,) = api.list_runs(one, ApiRequest()).body["runs"]
    assert listed["path"] == path
    long = many.land("landing/things/y.csv", b"id\n2\n")
    one.on_landing("landing/things/y.csv")
    one.operators.cancel(long, OperatorRequest(letter * 500))
    assert many.run(long).cause == letter * 500


def test_errors_of_an_unknown_kind_end_a_run_in_the_end(many: Instances) -> None:
    """Only what a person has to fix is waited for: a bug in a step ends the run after five."""

    def broken(*_: object) -> bool:
        raise KeyError("bug")

    lake = Refusing(many.lake, lambda name, _: name == "stream" and broken())
    one = many.process(lake=lake)
    name = many.land("landing/things/x.csv", b"id\n1\n")
    (message,) = one.on_landing("landing/things/x.csv")
    for _ in range(8):
        many.clock.turn(minutes=1)
        try:
            one.handle(message)
        except LandfallError:
            continue
    assert many.state(name) == [State.FAILED]
    assert many.clock.now - many.run(name).created < timedelta(minutes=10)
