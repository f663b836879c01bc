from __future__ import annotations

from collections.abc import Iterator

import pytest

from devcloud.functions.blobpath import compile_pattern, parse_url
from devcloud.functions.blobs import CONTROL_QUEUE, POISON_QUEUE
from devcloud.testing.functions import SYSTEM_KEY, ServedApp, running

ANSWERS = """
import azurefunctions.extensions.bindings.blob as blob

@app.blob_trigger(
    arg_name="client", path="landing/{dataset}/{name}", connection="LAKE", source="EventGrid"
)
def on_blob(client: blob.BlobClient) -> None:
    saw(type(client).__module__, client.container_name, client.blob_name)
"""
NOWHERE = (  # a port that refuses connections
    "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=a2V5;BlobEndpoint=http://127.0.0.1:9/a;"
)
HOOK = "/runtime/webhooks/blobs"
WITH_KEY = {"functionName": "Host.Functions.on_blob", "code": SYSTEM_KEY}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:10000/acct/landing/users/may.csv", ("landing", "users/may.csv")),
        ("http://localhost:1/acct/landing/a", ("landing", "a")),
        (
            "https://acct.blob.core.windows.net/landing/u/a%20b%252F.csv",
            ("landing", "u/a b%2F.csv"),
        ),
        ("https://acct.dfs.core.windows.net/landing/%C3%A4", ("landing", "ä")),
    ],
)
def test_blob_of_an_url(url: str, expected: tuple[str, str]) -> None:
    """Container and name are decoded once; the account is no part of them."""
    assert expected == parse_url(url)


@pytest.mark.parametrize("url", ["https://acct.blob.core.windows.net/landing", "", "/x/"])
def test_no_blob(url: str) -> None:
    """An URL without a blob is refused."""
    with pytest.raises(ValueError, match="not the URL of a blob"):
        parse_url(url)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("landing/users/may.csv", {"dataset": "users", "name": "may.csv"}),
        ("landing/users/2026/may.csv", {"dataset": "users/2026", "name": "may.csv"}),
        ("landing/may.csv", None),
        ("raw/users/may.csv", None),
    ],
)
def test_path_pattern(path: str, expected: dict[str, str] | None) -> None:
    """Parameters take what is between the literals, slashes included, the first the most."""
    match = compile_pattern("landing/{dataset}/{name}").fullmatch(path)
    assert expected == (match.groupdict() if match else None)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    """A blob-triggered app whose lake is not there."""
    host = {"extensions": {"queues": {"visibilityTimeout": "01:00:00"}}}
    folder = tmp_path_factory.mktemp("blob")
    with running(folder, ANSWERS, settings={"LAKE": NOWHERE}, host=host) as app:
        yield app


def test_handshakes(served: ServedApp) -> None:
    """Event Grid's validation code and the origin of CloudEvents are sent back."""
    validation = [
        {
            "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
            "data": {"validationCode": "code-7"},
        }
    ]
    headers = {"aeg-event-type": "SubscriptionValidation"}
    reply = served.http.post(HOOK, params=WITH_KEY, headers=headers, json=validation)
    assert (reply.status_code, reply.json()) == (200, {"validationResponse": "code-7"})
    origin = served.http.options(
        HOOK, params=WITH_KEY, headers={"WebHook-Request-Origin": "eventgrid.azure.net"}
    )
    assert origin.headers["webhook-allowed-origin"] == "eventgrid.azure.net"


def test_webhook_needs_the_key(served: ServedApp) -> None:
    """Without the key nothing is taken."""
    assert served.http.post(HOOK, json=[]).status_code == 401
    assert served.http.post(HOOK, params={"code": "wrong"}, json=[]).status_code == 401


@pytest.mark.parametrize("function", ["Host.Functions.absent", "on_blob"])
def test_unknown_function_is_202_and_dropped(
    served: ServedApp, function: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As in the real host the sender learns nothing; here the log warns."""
    before = served.queue(CONTROL_QUEUE)
    assert served.notify("http://127.0.0.1:9/a/landing/u/f", function).status_code == 202
    assert before == served.queue(CONTROL_QUEUE)
    assert any("event dropped" in record.getMessage() for record in caplog.records)


def test_events_that_cannot_be_taken(served: ServedApp) -> None:
    """A rename (no data.url) and what is no event fail; no events are nothing to do."""
    rename = {"eventType": "Microsoft.Storage.BlobRenamed", "data": {"destinationUrl": "x"}}
    headers = {"aeg-event-type": "Notification"}

    def post(body: object) -> int:
        reply = served.http.post(HOOK, params=WITH_KEY, headers=headers, json=body)
        return reply.status_code

    assert post([rename]) == 500
    assert post([]) == 202
    assert post(["x"]) == 500
    cut = served.http.post(HOOK, params=WITH_KEY, headers=headers, content=b"{")
    assert cut.status_code == 500


def test_other_paths_are_dropped_without_a_request(served: ServedApp) -> None:
    """A blob that does not match the path of the trigger is done with."""
    assert served.notify("http://127.0.0.1:9/a/raw/u/f").status_code == 202
    served.wait_for_queue(CONTROL_QUEUE, visible=0, invisible=0, poison=0)
    assert served.app.seen() == []


def test_unreachable_lake_is_tried_again(served: ServedApp) -> None:
    """While GetProperties fails the event stays in the control queue."""
    assert served.notify("http://127.0.0.1:9/a/landing/u/f").status_code == 202
    served.wait_for_queue(CONTROL_QUEUE, visible=0, invisible=1, poison=0)
    assert POISON_QUEUE not in served.host.queues()
