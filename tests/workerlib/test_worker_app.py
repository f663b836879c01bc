"""The repository's own app in Microsoft's worker: every function is invoked once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient

from devcloud.config import CloudConfig, app_settings, create
from devcloud.lake.app import create_app
from devcloud.serving import serve_in_thread
from tests.workerlib.process import REPOSITORY, drive, needs_worker

pytestmark = needs_worker
DROP = "users/broken.csv"
JSON_BODY = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudConfig]:
    """A local lake with one drop that breaks its contract; nothing else of the cloud runs."""
    config = create(tmp_path_factory.mktemp("cloud"), REPOSITORY)
    with serve_in_thread(create_app(config, subscribers=[]), config.ports["lake"]):
        lake = BlobServiceClient.from_connection_string(config.lake_connection_string)
        lake.get_blob_client("landing", DROP).upload_blob(b"what,is,this\n1,2,3\n")
        yield config


def _http(function: str, body: object = None, **params: str) -> dict[str, Any]:
    post = body is not None
    request: dict[str, Any] = {"params": params, "method": "POST" if post else "GET"}
    if post:
        request |= {"headers": JSON_BODY, "body": json.dumps(body)}
    return {"function": function, "http": request}


def _drive(config: CloudConfig, calls: list[Mapping[str, Any]]) -> dict[str, Any]:
    answer = drive(REPOSITORY, calls, app_settings(config))
    assert "error" not in answer, answer["error"]
    for call, result in zip(calls, answer["results"], strict=True):
        assert result["error"] is None, (call, result)
    return answer


def _of_an_absent_source() -> list[Mapping[str, Any]]:
    """Calls of the functions of sources."""
    source, entry = {"source": "none"}, {"source": "none", "object": "orders"}
    run = {"adf_run_id": "p1"}
    return [
        _http("get_source", **source),
        _http("get_source_object", **entry),
        _http("get_source_run", **source, **run),
        _http("plan_extracts", run, **source),
        _http("extract_source", {}, **source),
        _http("begin_extract", run, **entry),
        _http("finish_extract", run | {"extract_id": "e1"}, **entry),
        _http("fail_extract", run, **entry),
        _http("extract_object", {}, **entry),
        _http("rewind_object", {"to": None}, **entry),
        _http("pause_object", {}, **entry),
        _http("resume_object", {}, **entry),
    ]


def test_every_function_runs_in_the_real_worker(config: CloudConfig) -> None:
    """The worker loads the app, and each function of it answers, none by an exception."""
    first: list[Mapping[str, Any]] = [
        {"function": "on_landing", "blob": ["landing", DROP]},
        {"function": "reconcile", "timer": {}},
        _http("health"),
        _http("list_datasets"),
        _http("list_runs"),
        _http("get_backlog"),
        _http("ingest", {"dataset": "users", "path": "landing/users/absent.csv"}),
    ]
    answer = _drive(config, first)
    landed, _, health, datasets, runs, backlog, ingest = answer["results"]
    (message,) = landed["outputs"]["todo"]
    (run,) = json.loads(runs["response"]["body"])["runs"]
    assert (run["dataset"], run["name"], run["state"]) == ("users", "broken.csv", "received")
    wanted = {"kind": "advance", "run_id": run["run_id"], "in_raw": True}
    assert json.loads(message) == wanted
    assert health["response"]["status"] in (200, 503)
    assert (datasets["response"]["status"], ingest["response"]["status"]) == (200, 404)
    assert json.loads(backlog["response"]["body"])["copies"]["waiting"] == 0

    run_id, attempt = run["run_id"], {"run_id": run["run_id"], "attempt_id": "a1"}
    second: list[Mapping[str, Any]] = [
        {"function": "advance", "queue": message},
        {"function": "advance_poison", "queue": message},
        _http("get_run", run_id=run_id),
        _http("get_report", run_id=run_id),
        _http("fence", {"adf_run_id": "p1"}, **attempt),
        _http("callback", {"adf_run_id": "p1", "status": "Succeeded"}, **attempt),
        _http("cancel_run", {}, run_id=run_id),
        _http("retry_run", {}, run_id=run_id),
        _http("replay_run", {}, run_id=run_id),
        _http("resend_rejects", {}, run_id=run_id),
        _http("start_replay", {"dataset": "users", "dry_run": True}),
        _http("get_replay", replay_id="none"),
        _http("forget", {"key": 1, "dry_run": True}, dataset="users"),
        _http("list_erasures"),
        _http("get_erasure", erasure_id="none"),
        _http("openapi"),
        _http("docs"),
        _http("console", path="runs"),
        _http("console_verb", {}, path="runs"),
        _http("get_contract", dataset="users"),
        _http("put_contract", {}, dataset="users"),
        _http("delete_contract", dataset="users"),
        _http("list_sources"),
        *_of_an_absent_source(),
    ]
    results = _drive(config, second)["results"]
    states = [each["response"] and each["response"]["status"] for each in results]
    assert states[2:4] == [200, 200]
    assert json.loads(results[2]["response"]["body"])["state"] == "quarantined"
    assert json.loads(results[4]["response"]["body"])["granted"] is False
    assert all(state < 500 for state in states[2:])
    called = {str(each["function"]) for each in [*first, *second]}
    assert called == set(answer["functions"])
