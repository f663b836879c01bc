"""What function_app.py adds to the service: what it takes from a request, what an event may do."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import azure.functions as func
import pytest
from azure.storage.blob import BlobClient

from devcloud.config import app_settings
from devcloud.functions.invoke import Out
from devcloud.functions.loader import load
from ingest import wiring
from ingest.settings import trigger_problem
from tests.ingest.conftest import REPOSITORY, StorageAccount

Call = Callable[..., Any]
DROP = "landing/users/event.csv"


@pytest.fixture
def functions(
    storage_account: StorageAccount, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, Call]]:
    """The functions of the app, on this lake."""
    settings = app_settings(storage_account.config)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    wiring.service.cache_clear()
    yield {each.name: each.call for each in load(REPOSITORY, settings)}
    wiring.service.cache_clear()


def post(body: bytes, **headers: str) -> func.HttpRequest:
    """A POST as the worker hands it to a function."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return func.HttpRequest(
        "POST", "http://localhost/", body=body, headers=sent, params={}, route_params={}
    )


@pytest.mark.parametrize("status", [403, 404, 503])
def test_an_event_never_fails_for_what_the_tick_finds(
    storage_account: StorageAccount,
    functions: dict[str, Call],
    caplog: pytest.LogCaptureFixture,
    status: int,
) -> None:
    """A lake that does not answer is a warning: the file stays in landing, where the tick looks."""
    storage_account.land(DROP, b"user_id\n1\n")
    storage_account.fault(fault="status", status=status, path="manifest")
    todo = Out()
    connection = storage_account.config.lake_connection_string
    blob = BlobClient.from_connection_string(connection, "landing", "users/event.csv")
    with caplog.at_level(logging.WARNING, "landfall"):
        functions["on_landing"](landed=blob, todo=todo)
    assert todo.get() is None
    assert f"{DROP} is left to the tick" in caplog.text
    storage_account.reset_faults()
    functions["on_landing"](landed=blob, todo=todo)
    (message,) = todo.get()
    assert json.loads(message)["kind"] == "advance"


def test_a_body_in_chunks_is_asked_for_with_its_length(functions: dict[str, Call]) -> None:
    """The Functions host hands a chunked body on empty: 411 says so, instead of a riddle."""
    chunked = {"transfer_encoding": "chunked", "content_type": "application/json"}
    reply = functions["ingest"](req=post(b"", **chunked), todo=Out())
    assert reply.status_code == 411
    assert "Content-Length" in json.loads(reply.get_body())["detail"]
    whole = post(b'{"dataset": "users", "path": "landing/users/absent.csv"}', **chunked)
    assert functions["ingest"](req=whole, todo=Out()).status_code == 404


def test_a_parameter_without_a_value_is_left_out(functions: dict[str, Call]) -> None:
    """`?state=` is as if it were not there, as with Azure's host, whatever its name is."""
    request = func.HttpRequest(
        "GET", "http://localhost/runs", body=b"", params={"state": "", "nonsense": "", "limit": "1"}
    )
    assert functions["list_runs"](req=request).status_code == 200


@pytest.mark.parametrize(
    ("env", "problem"),
    [
        ({"__blobServiceUri": "https://a.blob.core.windows.net"}, "LANDFALL_LAKE__queueServiceUri"),
        (
            {
                "__blobServiceUri": "https://a.blob.core.windows.net",
                "__queueServiceUri": "https://a.queue.core.windows.net",
            },
            None,
        ),
        ({"": "AccountName=a;AccountKey=k"}, None),
        ({"": "AccountName=a;AccountKey=k;EndpointSuffix=core.chinacloudapi.cn"}, None),
        ({"": "AccountName=a;AccountKey=k;BlobEndpoint=https://a.blob.core.windows.net/"}, None),
        ({"": "AccountName=a;AccountKey=k;BlobEndpoint=http://127.0.0.1:1/a"}, "QueueEndpoint"),
        (
            {
                "": "AccountName=a;AccountKey=k;BlobEndpoint=http://127.0.0.1:1/a;"
                "QueueEndpoint=http://127.0.0.1:2/a"
            },
            None,
        ),
    ],
)
def test_health_names_the_setting_that_the_trigger_lacks(
    env: dict[str, str], problem: str | None
) -> None:
    """Without an address for its queues the host disables the trigger, or ends."""
    given = {f"LANDFALL_LAKE{name}": value for name, value in env.items()}
    said = trigger_problem(given)
    assert (said is None) if problem is None else problem in str(said)
    assert wiring.probe(given).parts["trigger"] == (said or "ok")
