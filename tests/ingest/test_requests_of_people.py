"""What people and producers ask is told apart by who they are, and bad input is their error."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from azure.storage.blob import BlobServiceClient

from ingest.errors import Unavailable
from ingest.http import api, api_verbs, web
from ingest.http.web import ApiRequest
from ingest.operations.operators import OperatorRequest
from ingest.runs.messages import LoadDataset
from landfall.protocol import State
from tests.ingest.conftest import Clock, StorageAccount
from tests.ingest.harness import ServiceHarness
from tests.ingest.instances import Instances


@pytest.fixture
def many(tmp_path: Path) -> Instances:
    """A lake on which nothing has happened yet."""
    return Instances(tmp_path)


def test_a_history_names_who_asked(many: Instances) -> None:
    """Each verb leaves its caller in the history, as the platform has found out who that is."""
    one = many.process()
    name = many.land("landing/things/x.csv", b"id\n1\n")
    one.on_landing("landing/things/x.csv")
    for endpoint, who in (
        (api_verbs.cancel_run, "ann@example.org"),
        (api_verbs.retry_run, "bob@example.org"),
    ):
        request = ApiRequest(route={"run_id": name}, caller=who)
        assert web.answer(endpoint, lambda: one, request).status < 300
    many.settle(one)
    assert many.state(name) == [State.SUCCEEDED]
    request = ApiRequest(
        body=b'{"dataset": "things"}', content_type="application/json", caller="cy@example.org"
    )
    reply = web.answer(api_verbs.start_replay, lambda: one, request)
    assert reply.body["by"] == "cy@example.org"
    many.run_on(one, messages=reply.messages)
    asked = [(line.event, line.by) for line in many.run(name).history if line.by]
    assert asked == [
        ("cancel", "ann@example.org"),
        ("retry_validation", "bob@example.org"),
        ("replay_raw", "cy@example.org"),
    ]


def test_a_caller_is_believed_only_where_the_platform_authenticates() -> None:
    """Without App Service's authentication anybody may send the header."""
    headers = {"x-ms-client-principal-name": "ann@example.org"}
    assert web.caller(headers, {}) is None
    assert web.caller(headers, {"WEBSITE_AUTH_ENABLED": "True"}) == "ann@example.org"
    assert web.caller({}, {"WEBSITE_AUTH_ENABLED": "True"}) is None


def test_half_a_surrogate_pair_is_the_callers_error(many: Instances) -> None:
    """JSON may carry it, UTF-8 may not: it is refused; what holds one all the same is listed."""
    one = many.process()
    name = many.land("landing/things/x.csv", b"id\n1\n")
    one.on_landing("landing/things/x.csv")
    request = ApiRequest(
        body=b'{"reason": "\\ud800"}', content_type="application/json", route={"run_id": name}
    )
    for endpoint in (api_verbs.cancel_run, api_verbs.retry_run, api_verbs.replay_run):
        assert web.answer(endpoint, lambda: one, request).status == 422
    assert many.state(name) == [State.RECEIVED]
    one.operators.cancel(name, OperatorRequest("\ud800"))  # as a release before has let it pass
    for endpoint, route in ((api.list_runs, {}), (api.get_run, {"run_id": name})):
        reply = web.answer(endpoint, lambda: one, ApiRequest(route=route))
        assert reply.status == 200
        assert reply.text().encode()


@pytest.mark.parametrize("dataset", ["\0", "a/b", "Users", "..", "x" * 64])
def test_a_name_that_no_dataset_has_is_the_callers_error(many: Instances, dataset: str) -> None:
    """What cannot be part of a path is not asked of the lake."""
    request = ApiRequest(query={"dataset": dataset})
    assert web.answer(api.list_runs, many.process, request).status == 400


def test_a_time_out_of_range_is_the_callers_error(many: Instances) -> None:
    """A time that is none in UTC."""
    body = b'{"dataset": "things", "landed_from": "0001-01-01T00:00:00+14:00"}'
    request = ApiRequest(body=body, content_type="application/json")
    assert web.answer(api_verbs.start_replay, many.process, request).status == 422


def test_a_leased_file_is_waited_for(storage_account: StorageAccount, clock: Clock) -> None:
    """Somebody holds a lease on a landed file: its run waits, and is one when the lease is gone."""
    harness = ServiceHarness(storage_account, clock)
    path = "landing/users/leased.csv"
    storage_account.land(path, b"x")
    blobs = BlobServiceClient.from_connection_string(storage_account.config.lake_connection_string)
    with blobs:
        lease = blobs.get_blob_client("landing", "users/leased.csv").acquire_lease()
        for _ in range(3):
            with pytest.raises(Unavailable, match="leased"):
                harness.service.on_landing(path)
        (run,) = [run for run in harness.service.manifest.active() if run.summary["path"] == path]
        assert run.state is State.RECEIVED
        lease.release()
    harness.drive(harness.service.on_landing(path))
    ended = harness.run(run.run_id)
    assert ended.state is State.QUARANTINED  # it is no file of users
    listed = harness.post(api.list_runs, query={"state": "cancelled"}).body["runs"]
    assert run.run_id not in {each["run_id"] for each in listed}


def test_order_counts_a_file_of_which_no_event_has_told(many: Instances) -> None:
    """A drop waits for what landed before it, although nobody has heard of that yet."""
    many.deploy("things", more="customProperties: [{property: loadOrder, value: landed}]")
    one = many.process()
    early = many.land("landing/things/early.csv", b"id\n999\n")
    many.clock.turn(seconds=1)
    (late,) = many.copied(one, "late.csv")
    many.clock.turn(seconds=30)
    one.handle(LoadDataset("things"))
    assert many.state(late) == [State.COPIED]
    many.clock.turn(minutes=2)
    many.settle(one)
    assert many.state(early, late) == [State.SUCCEEDED] * 2
    runs = [many.run(name) for name in (early, late)]
    loads = [next(line.at for line in run.history if line.event == "start_load") for run in runs]
    assert loads[0] <= loads[1] < many.clock.now + timedelta(minutes=1)
