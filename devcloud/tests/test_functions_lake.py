"""Blob triggers against the local lake: a real upload, a real event, the real SDK type."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from azure.storage.blob import BlobServiceClient, ContainerClient

from devcloud.config import CloudConfig, app_settings, create
from devcloud.functions.app import create_app
from devcloud.functions.blobs import CONTROL_QUEUE, POISON_QUEUE
from devcloud.lake.app import create_app as create_lake
from devcloud.serving import serve_in_thread
from devcloud.testing.functions import App, ServedApp, wait, write_app

SOURCE = """
import azurefunctions.extensions.bindings.blob as blob

LANDING = dict(connection="LANDFALL_LAKE", source=func.BlobSource.EVENT_GRID)

@app.blob_trigger(arg_name="client", path="landing/{dataset}/{name}", **LANDING)
@app.queue_output(arg_name="out", queue_name="q", connection="C")
def on_landing(client: blob.BlobClient, out: func.Out[str]) -> None:
    size = client.get_blob_properties().size
    saw(client.blob_name, size)
    if client.blob_name.startswith("bad/"):
        raise ValueError("bad")
    out.set(client.blob_name)

@app.queue_trigger(arg_name="msg", queue_name="q", connection="C")
def after(msg: str) -> None:
    saw("queued", msg)

@app.blob_trigger(arg_name="stream", path="landing/streams/{name}", **LANDING)
def on_stream(stream: func.InputStream) -> None:
    saw(stream.name, stream.length, stream.read())

@app.blob_trigger(arg_name="client", path="landing/{name}", **LANDING)
def returning(client: blob.BlobClient):
    saw("returning")
    return "something"
"""
HOST = {
    "extensions": {
        "queues": {"visibilityTimeout": "00:00:00"},
        "blobs": {"poisonBlobThreshold": 2},
    }
}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> CloudConfig:
    """A local cloud of the lake and the functions host, serving the app above."""
    folder = tmp_path_factory.mktemp("blobs")
    return create(folder / "root", write_app(folder / "app", SOURCE, HOST).folder)


@pytest.fixture(scope="module")
def served(config: CloudConfig) -> Iterator[ServedApp]:
    """Both, running."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in app_settings(config).items():
            patch.setenv(name, value)  # create_app sets them for good; this takes them back
        functions = create_app(config)
        with (
            serve_in_thread(create_lake(config), config.ports["lake"]),
            serve_in_thread(functions, config.ports["functions"]) as url,
            httpx.Client(base_url=url, timeout=30) as client,
        ):
            yield ServedApp(
                App(config.app),
                functions.state.host,
                client,
                config.function_key,
                config.system_key,
            )


@pytest.fixture
def landing(config: CloudConfig, served: ServedApp) -> ContainerClient:
    """The landing container, through the SDK."""
    assert served.http.get("/_devcloud/health").status_code == 200
    service = BlobServiceClient.from_connection_string(config.lake_connection_string)
    return service.get_container_client("landing")


def test_an_upload_runs_the_function(
    config: CloudConfig, served: ServedApp, landing: ContainerClient
) -> None:
    """One upload is one event, one GetProperties by the host and one invocation."""
    httpx.delete(f"{config.url('lake')}/_devcloud/requests")
    landing.upload_blob("users/may ä.csv", b"12345")
    served.app.wait_for("users/may ä.csv 5", "queued users/may ä.csv")
    served.wait_for_queue(CONTROL_QUEUE, visible=0, invisible=0)
    callers = httpx.get(f"{config.url('lake')}/_devcloud/requests").json()["by_caller"]
    assert callers["devcloud-functions"] == 1


def test_failures_end_in_the_poison_queue(served: ServedApp, landing: ContainerClient) -> None:
    """After poisonBlobThreshold failures the event rests in webjobs-blobtrigger-poison."""
    landing.upload_blob("bad/f", b"1")
    served.wait_for_queue(POISON_QUEUE, visible=1)
    assert served.app.seen().count("bad/f 1") == 2
    assert "queued bad/f" not in served.app.seen()
    assert served.queue(CONTROL_QUEUE)["poison"] == 1


def test_a_blob_that_is_gone_is_dropped(
    config: CloudConfig, served: ServedApp, caplog: pytest.LogCaptureFixture
) -> None:
    """An event for a blob that no longer exists runs nothing and is no failure."""
    caplog.set_level("INFO", "devcloud.functions")
    reply = served.notify(f"{config.lake_url}/landing/users/gone", "Host.Functions.on_landing")
    assert reply.status_code == 202
    served.wait_for_queue(CONTROL_QUEUE, visible=0, invisible=0)
    assert "is gone" in caplog.text
    assert not [line for line in served.app.seen() if "gone" in line]


def test_input_stream(config: CloudConfig, served: ServedApp, landing: ContainerClient) -> None:
    """A function with an InputStream is given name, length and content."""
    landing.upload_blob("streams/s", b"abc")
    served.notify(f"{config.lake_url}/landing/streams/s", "Host.Functions.on_stream")
    served.app.wait_for("landing/streams/s 3 b'abc'")


def test_a_returned_value_is_a_failure(
    config: CloudConfig, served: ServedApp, landing: ContainerClient
) -> None:
    """As in the real worker, a blob function must return None."""
    before = served.queue(POISON_QUEUE)["visible"]
    landing.upload_blob("value", b"1")
    served.notify(f"{config.lake_url}/landing/value", "Host.Functions.returning")
    served.wait_for_queue(POISON_QUEUE, visible=before + 1)
    assert served.app.seen().count("returning") == 2


def test_by_hand(config: CloudConfig, served: ServedApp, landing: ContainerClient) -> None:
    """`POST /admin/functions/{name}` runs a blob function for container/blob."""
    landing.upload_blob("users/byhand", b"12")
    before = served.app.wait_for("users/byhand 2").count("users/byhand 2")
    headers = {"x-functions-key": config.master_key}
    url = "/admin/functions/on_landing"
    assert served.http.post(url, headers=headers, json={"input": "x"}).status_code == 400
    body = {"input": "landing/users/byhand"}
    assert served.http.post(url, headers=headers, json=body).status_code == 202
    wait(lambda: served.app.seen().count("users/byhand 2") == before + 1)
