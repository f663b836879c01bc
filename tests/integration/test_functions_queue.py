from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from devcloud.config import CloudConfig, create
from devcloud.functions import hostjson
from devcloud.functions.host import FolderInUseError, Host
from devcloud.functions.hostjson import HostJsonError, HostOptions, QueueOptions
from devcloud.functions.keys import InitialKeys
from devcloud.functions.store import TIME_TO_LIVE, MessageTooLargeError, QueueStore
from devcloud.testing.functions import KEY, running, wait, write_app

CHAIN = """
@app.route(route="start", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@app.queue_output(arg_name="one", queue_name="%STEPS%", connection="C")
@app.queue_output(arg_name="many", queue_name="others", connection="C")
def start(
    req: func.HttpRequest, one: func.Out[str], many: func.Out[typing.List[str]]
) -> func.HttpResponse:
    one.set(req.params["text"])
    many.set(["a", "b"])
    if "fail" in req.params:
        raise ValueError("after setting its outputs")
    return func.HttpResponse("ok")

@app.queue_trigger(arg_name="msg", queue_name="%STEPS%", connection="C")
def advance(msg: func.QueueMessage) -> None:
    body = msg.get_body().decode()
    fresh = abs(time.time() - msg.insertion_time.timestamp()) < 60
    saw("advance", body, msg.dequeue_count, len(msg.id), bool(msg.pop_receipt), fresh)
    if body.startswith("bad"):
        raise ValueError(body)

@app.queue_trigger(arg_name="msg", queue_name="%STEPS%-poison", connection="C")
def advance_poison(msg: func.QueueMessage) -> None:
    saw("poison", msg.get_body().decode(), msg.dequeue_count)

@app.queue_trigger(arg_name="text", queue_name="others", connection="C")
@app.queue_output(arg_name="$return", queue_name="last", connection="C")
def other(text: str) -> str:
    return text.upper()

@app.queue_trigger(arg_name="raw", queue_name="last", connection="C")
def last(raw: bytes) -> None:
    saw("last", raw.decode())
"""
SETTINGS = {"STEPS": "steps"}


def test_outputs_reach_the_next_functions(tmp_path: Path) -> None:
    """Queue outputs (str, list, return value) wake the functions on those queues at once."""
    host = {"extensions": {"queues": {"maxPollingInterval": "00:05:00"}}}  # only waking can do it
    with running(tmp_path, CHAIN, settings=SETTINGS, host=host) as served:
        assert served.http.post("/api/start", params={"text": "hello"}).status_code == 200
        served.app.wait_for("advance hello 1 36 True True", "last A", "last B")
        served.wait_for_queue("steps", visible=0, invisible=0, poison=0)


def test_outputs_only_on_success(tmp_path: Path) -> None:
    """A function that fails after setting its outputs has sent nothing."""
    with running(tmp_path, CHAIN, settings=SETTINGS) as served:
        reply = served.http.post("/api/start", params={"text": "lost", "fail": "1"})
        assert reply.status_code == 500
        served.http.post("/api/start", params={"text": "kept"})
        seen = served.app.wait_for("advance kept 1 36 True True", "last A", "last B")
        assert not [line for line in seen if "lost" in line]
        assert len([line for line in seen if line.startswith("last")]) == 2


def test_poison_after_max_dequeue_count(tmp_path: Path) -> None:
    """A message that fails maxDequeueCount times moves to the poison queue, whose function runs."""
    host = {"extensions": {"queues": {"maxDequeueCount": 3, "visibilityTimeout": "00:00:00"}}}
    with running(tmp_path, CHAIN, settings=SETTINGS, host=host) as served:
        served.http.post("/api/start", params={"text": "bad"})
        seen = served.app.wait_for("poison bad 1")
        attempts = [line for line in seen if line.startswith("advance")]
        assert [f"advance bad {n} 36 True True" for n in (1, 2, 3)] == attempts
        served.wait_for_queue("steps", visible=0, invisible=0, poison=0)


def test_visibility_timeout_delays_the_next_delivery(tmp_path: Path) -> None:
    """A failed message stays invisible for visibilityTimeout; other messages go on."""
    host = {"extensions": {"queues": {"visibilityTimeout": "01:00:00"}}}
    with running(tmp_path, CHAIN, settings=SETTINGS, host=host) as served:
        served.http.post("/api/start", params={"text": "bad"})
        served.wait_for_queue("steps", visible=0, invisible=1)
        served.http.post("/api/start", params={"text": "good"})
        seen = served.app.wait_for("advance good 1 36 True True")
        assert len([line for line in seen if line.startswith("advance bad")]) == 1


def test_invoke_by_hand(tmp_path: Path) -> None:
    """`POST /admin/functions/{name}` runs a queue function with the input as its message."""
    with running(tmp_path, CHAIN, settings=SETTINGS) as served:
        url = "/admin/functions/advance"
        assert served.http.post(url, json={"input": "me"}).status_code == 401
        assert served.http.post(url, json={"input": "me"}, headers=served.master).status_code == 202
        wait(lambda: any(line.startswith("advance me 1") for line in served.app.seen()))


BATCHES = """
running, most = 0, 0
lock = __import__("threading").Lock()

@app.queue_trigger(arg_name="msg", queue_name="q", connection="C")
def work(msg: str) -> None:
    global running, most
    with lock:
        running += 1
        most = max(most, running)
    time.sleep(0.05)
    with lock:
        running -= 1
    saw("done", msg, most)

@app.queue_trigger(arg_name="msg", queue_name="fill", connection="C")
@app.queue_output(arg_name="out", queue_name="q", connection="C")
def fill(msg: str, out: func.Out[typing.List[str]]) -> None:
    out.set([str(n) for n in range(12)])
"""


def test_batch_size_and_threads_bound_what_runs_at_once(tmp_path: Path) -> None:
    """At most batchSize + newBatchThreshold messages of a queue run at once; every one runs."""
    host = {"extensions": {"queues": {"batchSize": 2, "newBatchThreshold": 1}}}
    threads = {"PYTHON_THREADPOOL_THREAD_COUNT": "8"}
    with running(tmp_path, BATCHES, host=host, settings=threads) as served:
        served.http.post("/admin/functions/fill", json={"input": ""}, headers=served.master)
        wait(lambda: len(served.app.seen()) == 12)
        most = max(int(line.split()[2]) for line in served.app.seen())
        assert 2 <= most <= 3


def test_graceful_stop_finishes_what_runs(tmp_path: Path) -> None:
    """Stopping waits for running invocations and keeps the messages not yet begun."""
    source = """
    @app.queue_trigger(arg_name="msg", queue_name="q", connection="C")
    def work(msg: str) -> None:
        saw("began", msg)
        time.sleep(0.3)
        saw("ended", msg)
    """
    host = {"extensions": {"queues": {"batchSize": 1, "newBatchThreshold": 0}}}
    with running(tmp_path, source, host=host) as served:
        served.host.store.put([("q", "1"), ("q", "2")])
        served.app.wait_for("began 1")
    assert served.app.seen() == ["began 1", "ended 1"]
    with running(tmp_path, source, host=host) as served:
        served.app.wait_for("ended 2")


CRASHING = """
import os

@app.route(route="start", auth_level=func.AuthLevel.ANONYMOUS)
@app.queue_output(arg_name="out", queue_name="q", connection="C")
def start(req: func.HttpRequest, out: func.Out[typing.List[str]]) -> str:
    out.set(["hold", "x"])
    return "ok"

@app.queue_trigger(arg_name="msg", queue_name="q", connection="C")
def work(msg: func.QueueMessage) -> None:
    body = msg.get_body().decode()
    saw("began", body, msg.dequeue_count)
    if body == "hold" and not (FOLDER / "free").exists():
        time.sleep(60)
    saw("ended", body, msg.dequeue_count)
"""


def test_killed_host_delivers_again(tmp_path: Path) -> None:
    """After kill -9 the next host runs the interrupted message again, the others not."""
    app = write_app(tmp_path / "app", CRASHING, {"extensions": {"http": {"routePrefix": ""}}})
    config = create(tmp_path / "root", app.folder)
    with _process(config) as process:
        assert httpx.get(config.url("functions") + "/start").text == "ok"
        app.wait_for("began hold 1", "ended x 1")
        wait(lambda: _queue(config)["invisible"] == 1)
        process.send_signal(signal.SIGKILL)
        process.wait()
    (app.folder / "free").touch()
    with _process(config) as process:
        app.wait_for("began hold 2", "ended hold 2")
        wait(lambda: _queue(config) == {"visible": 0, "invisible": 0, "poison": 0})
        process.terminate()
        process.wait(10)
    assert len([line for line in app.seen() if line == "ended x 1"]) == 1


def test_broken_app_ends_the_process_with_a_reason(tmp_path: Path) -> None:
    """A host that cannot serve its app exits with code 1 and the reason on stderr."""
    app = write_app(tmp_path / "app", "import nothing_of_that_name")
    config = create(tmp_path / "root", app.folder)
    ended = subprocess.run(
        _command(config), cwd=_repository(), capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 1
    assert "No module named 'nothing_of_that_name'" in ended.stderr


def test_one_host_per_folder(tmp_path: Path) -> None:
    """A second host on the same data is refused: it would take held messages for lost ones."""
    with (
        running(tmp_path, CHAIN, settings=SETTINGS) as served,
        pytest.raises(FolderInUseError, match="another functions host"),
    ):
        Host(
            served.app.folder, tmp_path / "data", keys=InitialKeys(KEY, KEY, KEY), settings=SETTINGS
        )


_NOW = [1000.0]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[QueueStore]:
    """An empty store whose clock is `_NOW`."""
    opened = QueueStore(tmp_path / "q.db", lambda: _NOW[0])
    _NOW[0] = 1000.0
    yield opened
    opened.close()


def test_store_hands_out_once_and_counts(store: QueueStore) -> None:
    """A taken message is nobody else's; released, it comes again with a higher count."""
    store.put([("q", "a"), ("q", "b")])
    (first,) = store.take("q", 1)
    assert (first.body, first.dequeue_count) == ("a", 1)
    assert [each.body for each in store.take("q", 5)] == ["b"]
    assert store.counts() == {"q": (0, 2)}
    store.release(first, 5.0)
    assert store.take("q", 1) == []
    assert store.next_visible("q") == 1005.0
    _NOW[0] = 1005.0
    (again,) = store.take("q", 1)
    assert (again.body, again.dequeue_count) == ("a", 2)
    assert not store.delete(first)  # an old receipt deletes nothing
    assert store.delete(again)


def test_store_outlives_its_host(store: QueueStore, tmp_path: Path) -> None:
    """The next host sees what a dead one held; what waited for its time still waits."""
    store.put([("q", "held"), ("q", "waiting")])
    held, waiting = store.take("q", 2)
    store.release(waiting, 50.0)
    next_host = QueueStore(tmp_path / "q.db", lambda: _NOW[0])
    assert next_host.recover() == 1
    assert [held.body] == [each.body for each in next_host.take("q", 5)]
    next_host.close()


def test_store_limits(store: QueueStore) -> None:
    """A message has at most 48 KiB and lives for seven days; a batch is put whole or not at all."""
    with pytest.raises(MessageTooLargeError, match="q"):
        store.put([("q", "small"), ("q", "x" * (48 * 1024 + 1))])
    assert store.counts() == {}
    store.put([("q", "x" * (48 * 1024))])
    _NOW[0] += TIME_TO_LIVE
    assert store.take("q", 1) == []
    assert store.counts() == {}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({}, HostOptions()),
        (
            {
                "functionTimeout": "-1",
                "extensions": {
                    "http": {"routePrefix": "/v1/"},
                    "queues": {
                        "maxDequeueCount": 7,
                        "visibilityTimeout": "00:00:05",
                        "batchSize": 8,
                        "maxPollingInterval": "00:00:02.5",
                    },
                    "blobs": {"poisonBlobThreshold": 2, "maxDegreeOfParallelism": 4},
                },
            },
            HostOptions(
                route_prefix="v1",
                function_timeout=None,
                queue=QueueOptions(7, 5.0, 8, 4, 2.5),
                blob=QueueOptions(2, 5.0, 4, 8, 2.5),
            ),
        ),
    ],
)
def test_host_json(document: Mapping[str, Any], expected: HostOptions) -> None:
    """What host.json says is taken over; what it leaves out has the defaults of the real host."""
    assert expected == hostjson.parse(_json({"version": "2.0", **document}))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is not JSON"),
        ("{}", "version"),
        ('{"version": "2.0", "extensions": {"queues": {"batchSize": 33}}}', "batchSize"),
        ('{"version": "2.0", "extensions": {"queues": {"visibilityTimeout": 5}}}', "time span"),
        ('{"version": "2.0", "logging": {"logLevel": {"default": "Loud"}}}', "Loud"),
        ('{"version": "2.0", "extensions": []}', "extensions"),
    ],
)
def test_host_json_refused(text: str, reason: str) -> None:
    """A value that cannot be honoured is refused by its name."""
    with pytest.raises(HostJsonError, match=reason):
        hostjson.parse(text)


def test_log_levels() -> None:
    """The longest configured prefix of a category decides."""
    levels = {"default": "Warning", "Function": "Error", "Function.ingest.User": "Debug"}
    options = hostjson.parse(_json({"version": "2.0", "logging": {"logLevel": levels}}))
    found = [
        options.level_of(each)
        for each in ("Host.General", "Function.ingest", "Function.ingest.User", "Function.x.User")
    ]
    assert found == [30, 40, 10, 40]


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document)


def _repository() -> Path:
    return Path(__file__).resolve().parents[2]


def _command(config: CloudConfig) -> list[str]:
    return [sys.executable, "-m", "devcloud.functions", "--root", str(config.root)]


@contextmanager
def _process(config: CloudConfig) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(_command(config), cwd=_repository(), env=dict(os.environ))
    try:
        wait(lambda: _healthy(config))
        yield process
    finally:
        process.kill()
        process.wait()


def _healthy(config: CloudConfig) -> bool:
    try:
        return httpx.get(config.url("functions") + "/_devcloud/health").status_code == 200
    except httpx.TransportError:
        return False


def _queue(config: CloudConfig) -> dict[str, int]:
    counts: dict[str, int] = httpx.get(config.url("functions") + "/_devcloud/queues").json()[
        "queues"
    ]["q"]
    return counts
