"""The worker library and our local host agree on a small app, good and bad."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from devcloud.functions.loader import AppLoadError, load
from devcloud.testing.functions import write_app
from tests.workerlib.process import drive, needs_worker

pytestmark = needs_worker

SOURCE = """
import azurefunctions.extensions.bindings.blob as blob

@app.route(route="hello/{name}", methods=["GET"])
@app.queue_output(arg_name="out", queue_name="q", connection="C")
def hello(req: func.HttpRequest, out: func.Out[typing.List[str]]) -> func.HttpResponse:
    out.set([req.route_params["name"], req.params["x"]])
    return func.HttpResponse(req.get_body(), status_code=202, headers={"Location": "/runs/1"})

@app.queue_trigger(arg_name="msg", queue_name="q", connection="C")
@app.queue_output(arg_name="out", queue_name="r", connection="C")
def work(msg: func.QueueMessage, out: func.Out[str]) -> None:
    out.set(f"{msg.get_body().decode()} {msg.dequeue_count}")

@app.blob_trigger(arg_name="b", path="landing/{d}/{n}", connection="LAKE", source="EventGrid")
@app.queue_output(arg_name="out", queue_name="r", connection="C")
def on_blob(b: blob.BlobClient, out: func.Out[str]) -> None:
    out.set(f"{b.container_name}/{b.blob_name}")

@app.blob_trigger(arg_name="b", path="other/{n}", connection="LAKE", source="EventGrid")
def returning(b: blob.BlobClient):
    return 1

@app.timer_trigger(arg_name="t", schedule="0 * * * * *")
def tick(t: func.TimerRequest) -> None:
    if not t.past_due:
        raise ValueError("in time")
"""
LAKE = (
    "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=a2V5;BlobEndpoint=http://127.0.0.1:9/a;"
)


def test_every_kind_of_trigger(tmp_path: Path) -> None:
    """HTTP, queue, blob as an SDK type, and timer functions run, with their outputs and errors."""
    app = write_app(tmp_path, SOURCE)
    request = {"params": {"name": "you"}, "query": {"x": "1"}, "body": "text"}
    answer = drive(
        app.folder,
        [
            {"function": "hello", "http": request},
            {"function": "work", "queue": "body"},
            {"function": "on_blob", "blob": ["landing", "users/a b%2F.csv"]},
            {"function": "returning", "blob": ["other", "x"]},
            {"function": "tick", "timer": {}},
        ],
        {"LAKE": LAKE},
    )
    hello, work, on_blob, returning, tick = answer["results"]
    assert hello["outputs"] == {"out": ["you", "1"]}
    assert (hello["response"]["status"], hello["response"]["body"]) == (202, "text")
    assert hello["response"]["headers"]["Location"] == "/runs/1"
    assert work["outputs"] == {"out": "body 1"}
    assert on_blob["outputs"] == {"out": "landing/users/a b%2F.csv"}
    assert "returned a non-None value" in returning["error"]
    assert tick["error"] == "ValueError: in time"


@pytest.mark.parametrize(
    "source",
    [
        "second = func.FunctionApp()",
        '@app.queue_trigger("m", "q", "C")\ndef f(m: func.HttpRequest): pass',
        '@app.queue_trigger("m", "q", "C")\ndef f(m: "Absent"): pass',
        '@app.queue_trigger("m", "q", "C")\ndef f(m: str, other: int): pass',
        """
        @app.queue_trigger("m", "q", "C")
        @app.queue_output("o", "r", "C")
        def f(m: str, o: func.Out[list[str]]): pass
        """,
        """
        @app.queue_trigger("m", "q", "C")
        @app.queue_output("o", "r", "C")
        def f(m: str, o: str): pass
        """,
        """
        @app.route(route="x")
        def f(req: func.HttpRequest) -> typing.Optional[func.HttpResponse]: return None
        """,
        """
        @app.route(route="x")
        def f(req: func.HttpRequest) -> bytes: return b""
        """,
        """
        from azure.storage.blob import BlobClient
        @app.blob_trigger("b", "landing/{n}", "LAKE", source="EventGrid")
        def f(b: BlobClient): pass
        """,
    ],
)
def test_what_the_worker_refuses_our_host_refuses(tmp_path: Path, source: str) -> None:
    """An app that works locally loads in Azure: our host is never more lenient than the worker."""
    app = write_app(tmp_path, source)
    answer: dict[str, Any] = drive(app.folder, [], {"LAKE": LAKE})
    assert "error" in answer
    with pytest.raises(AppLoadError):
        load(app.folder, {"LAKE": LAKE})
