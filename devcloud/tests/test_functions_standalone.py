"""`devcloud functions APP_DIR` serves an app that knows nothing of this project."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.storage.blob import BlobServiceClient

from devcloud import config as devcloud_config
from devcloud.testing.functions import App, wait, write_app

SOURCE = """
import os

@app.route(route="hello")
def hello(req: func.HttpRequest) -> str:
    return os.environ["GREETING"]

@app.blob_trigger(
    arg_name="blob", path="uploads/{name}", connection="AzureWebJobsStorage", source="EventGrid"
)
def on_upload(blob: func.InputStream) -> None:
    saw("upload", blob.name, blob.read().decode())

@app.blob_trigger(
    arg_name="blob", path="{container}/any/{name}", connection="STORE", source="EventGrid"
)
def on_any(blob: func.InputStream) -> None:
    saw("any", blob.name)

@app.queue_trigger(arg_name="msg", queue_name="jobs", connection="STORE")
def on_job(msg: str) -> None:
    saw("job", msg)
"""
VALUES = {"GREETING": "hello", "STORE": "UseDevelopmentStorage=true"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> App:
    """The app above, with a local.settings.json."""
    made = write_app(tmp_path_factory.mktemp("standalone") / "app", SOURCE)
    (made.folder / "local.settings.json").write_text(json.dumps({"Values": VALUES}))
    return made


@pytest.fixture(scope="module")
def announced(app: App) -> Iterator[dict[str, Any]]:
    """What the command printed; at the end it is interrupted, and ends in order."""
    command = [sys.executable, "-m", "devcloud", "functions", str(app.folder), "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.send_signal(signal.SIGINT)
            rest = process.stdout.read()
            process.wait(30)
    assert (process.returncode, rest) == (0, "")


def test_routes_and_keys(announced: dict[str, Any]) -> None:
    """The host key opens functions, the master key the admin API; settings come from the file."""
    url, keys = announced["url"], announced["keys"]
    assert httpx.get(f"{url}/api/hello").status_code == 401
    assert httpx.get(f"{url}/api/hello?code={keys['host']}").text == "hello"
    listed = httpx.get(f"{url}/admin/functions", headers={"x-functions-key": keys["master"]})
    assert [each["name"] for each in listed.json()] == ["hello", "on_any", "on_job", "on_upload"]
    hook = f"{url}/runtime/webhooks/blobs?functionName=Host.Functions.on_any&code={keys['system']}"
    assert httpx.post(hook, headers={"aeg-event-type": "Notification"}, json=[]).is_success


def test_blobs_and_messages_start_functions(app: App, announced: dict[str, Any]) -> None:
    """Every blob-triggered function gets the events of its container."""
    assert announced["url"]
    config = devcloud_config.load(app.folder / ".devcloud")
    with BlobServiceClient.from_connection_string(config.lake_connection_string) as blobs:
        assert list(blobs.list_containers()) == []
        for container in ("uploads", "others"):
            blobs.create_container(container)
        blobs.get_blob_client("uploads", "a.txt").upload_blob(b"content")
        blobs.get_blob_client("others", "any/b.txt").upload_blob(b"content")
    app.wait_for("upload uploads/a.txt content", "any others/any/b.txt")
    host = config.url("functions")
    wait(lambda: httpx.get(f"{host}/_devcloud/queues").status_code == 200)


def test_a_client_starts_a_function(app: App, announced: dict[str, Any]) -> None:
    """By a message in a queue of the account."""
    queues: Any = pytest.importorskip("azure.storage.queue")
    assert announced["url"]
    config = devcloud_config.load(app.folder / ".devcloud")
    encode = queues.TextBase64EncodePolicy()
    queue = queues.QueueClient.from_connection_string(
        config.lake_connection_string, "jobs", message_encode_policy=encode
    )
    queue.create_queue()
    queue.send_message("do it")
    app.wait_for("job do it")


def test_what_cannot_be_served_says_why(tmp_path: Path) -> None:
    """An app that cannot be loaded ends the command with the reason."""
    made = write_app(tmp_path / "app", "import nothing_of_that_name")
    command = [sys.executable, "-m", "devcloud", "functions", str(made.folder)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "nothing_of_that_name" in ended.stderr
