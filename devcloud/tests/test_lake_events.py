"""Events as Event Grid sends them: which, with what in them, at least once, whatever happens."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from devcloud import config as devcloud_config
from devcloud.lake.events import (
    COMPLETE,
    CREATED,
    RENAMED,
    SUBSCRIPTIONS,
    Subscription,
    subscription,
    subscriptions,
)
from devcloud.testing.lake import RunningLake, running_lake, until


@dataclass
class Receiver:
    """A subscriber that keeps what it is sent and answers as told."""

    server: ThreadingHTTPServer
    received: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hook?code=a"

    def events(self, api: str = "") -> list[dict[str, Any]]:
        """The events taken, of one api."""
        return [e for _, e in list(self.received) if not api or e["data"]["api"] == api]

    def subjects(self, api: str = "") -> list[str]:
        return sorted(e["subject"].partition("/blobs/")[2] for e in self.events(api))


def receiver_on(port: int = 0) -> Receiver:
    """A subscriber that listens, in a thread."""
    holder: list[Receiver] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = holder[0].answers.pop(0) if holder[0].answers else 200
            if status == 200:
                holder[0].received += [(dict(self.headers), event) for event in body]
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    holder.append(Receiver(ThreadingHTTPServer(("127.0.0.1", port), Handler)))
    threading.Thread(target=holder[0].server.serve_forever, args=(0.05,), daemon=True).start()
    return holder[0]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A subscriber."""
    running = receiver_on()
    yield running
    running.server.shutdown()
    running.server.server_close()


@pytest.fixture
def lake(tmp_path: Path, receiver: Receiver) -> Iterator[RunningLake]:
    """A lake that tells the subscriber everything."""
    with running_lake(tmp_path, [Subscription("all", receiver.url, event_types=())]) as running:
        yield running


def settled(lake: RunningLake) -> None:
    """Wait until nothing is left to be delivered."""
    until(lambda: lake.events()["pending"] == 0)


def test_what_an_event_says(lake: RunningLake, receiver: Receiver) -> None:
    """An event is in the Event Grid schema, in an array of one, and fits the blob."""
    etag = lake.put("users/may 1+ü.csv", b"12345", metadata={"a": "b"})
    settled(lake)
    [(headers, event)] = receiver.received
    assert headers["aeg-event-type"] == "Notification"
    assert event["eventType"] == CREATED
    assert event["subject"] == "/blobServices/default/containers/landing/blobs/users/may 1+ü.csv"
    assert event["topic"].endswith("/providers/Microsoft.Storage/storageAccounts/landfall")
    data = event["data"]
    url = lake.container().get_blob_client("users/may 1+ü.csv").url
    assert (data["api"], data["contentLength"], data["blobType"]) == ("PutBlob", 5, "BlockBlob")
    assert f'"{data["eTag"]}"' == etag
    assert data["url"].replace("%2B", "+") == url.replace("%2B", "+")
    assert event["id"]
    assert data["sequencer"]


def test_which_calls_raise_which_events(lake: RunningLake, receiver: Receiver) -> None:
    """Each API call raises the event that Azure raises; an unfinished upload none."""
    lake.put("e/put")
    blob = lake.container().get_blob_client("e/blocks")
    blob.stage_block("a", b"x")
    blob.commit_block_list(["a"])
    path = lake.filesystem().get_file_client("e/path")
    path.create_file()
    path.append_data(b"1", offset=0)
    path.flush_data(1)
    settled(lake)
    assert receiver.subjects("FlushWithClose") == []
    path.append_data(b"2", offset=1)
    path.flush_data(2, close=True)
    lake.filesystem().get_file_client("e/upload").upload_data(b"1", overwrite=True)
    path.rename_file("landing/e/renamed")
    lake.container().get_blob_client("e/copy").start_copy_from_url(blob.url)
    lake.container().delete_blob("e/put")
    lake.filesystem().create_directory("e/dir").delete_directory()
    blob.set_blob_metadata({"no": "event"})
    settled(lake)
    found = {api: receiver.subjects(api) for api in {e["data"]["api"] for e in receiver.events()}}
    assert found == {
        "PutBlob": ["e/put"],
        "PutBlockList": ["e/blocks"],
        "CreateFile": ["e/path", "e/upload"],
        "FlushWithClose": ["e/path", "e/upload"],
        "RenameFile": ["e/renamed"],
        "CopyBlob": ["e/copy"],
        "DeleteBlob": ["e/put"],
        "CreateDirectory": ["e/dir"],
        "DeleteDirectory": ["e/dir"],
    }
    assert [e["data"]["contentLength"] for e in receiver.events("CreateFile")] == [0, 0]
    [renamed] = receiver.events("RenameFile")
    assert renamed["eventType"] == RENAMED
    assert renamed["data"]["sourceUrl"].endswith("/landfall/landing/e/path")
    assert renamed["data"]["destinationUrl"].endswith("/landfall/landing/e/renamed")
    assert not {"url", "eTag"} & set(renamed["data"])


def test_failed_writes_raise_nothing(lake: RunningLake, receiver: Receiver) -> None:
    """What did not happen is not told."""
    lake.put("once", b"1", overwrite=False)
    with pytest.raises(Exception, match="BlobAlreadyExists"):
        lake.put("once", b"2", overwrite=False)
    settled(lake)
    assert len(receiver.events()) == 1


def test_what_nobody_takes_becomes_a_dead_letter(tmp_path: Path, receiver: Receiver) -> None:
    """After its attempts, or at once where the answer says that trying is in vain."""
    receiver.answers += [503, 500]
    named = Subscription("sub", receiver.url, attempts=2, dead_letter="deadletter")
    with running_lake(tmp_path, [named]) as lake:
        lake.container("deadletter").create_container()
        lake.put("a")
        settled(lake)
        receiver.answers += [400]
        lake.put("b")
        settled(lake)
        lake.put("c")
        settled(lake)
        letters = lake.container("deadletter")
        names = [b.name for b in letters.list_blobs() if b.name.endswith(".json")]
        bodies = [json.loads(letters.download_blob(name).readall()) for name in names]
    assert all(name.startswith("SUB/") for name in names)
    told = {
        event["subject"].rpartition("/")[2]: (
            event["deadLetterReason"],
            event["deliveryAttempts"],
            event["lastDeliveryOutcome"],
        )
        for (event,) in bodies
    }
    assert told == {
        "a": ("MaxDeliveryAttemptsExceeded", 2, "InternalServerError"),
        "b": ("UndeliverableDueToClientError", 1, "BadRequest"),
    }
    assert receiver.subjects() == ["c"]


def test_the_default_subscription(tmp_path: Path, receiver: Receiver) -> None:
    """The function app hears of complete files in landing, and of nothing else."""
    config = devcloud_config.create(tmp_path, tmp_path)
    [default] = subscriptions(config)
    assert default.endpoint == (
        f"{config.url('functions')}/runtime/webhooks/blobs"
        f"?functionName=Host.Functions.on_landing&code={config.system_key}"
    )
    quiet = Subscription(
        "landing", receiver.url, default.event_types, default.subject_begins, "", default.api
    )
    with running_lake(tmp_path, [quiet]) as lake:
        lake.put("a")
        lake.put("b", container="raw")
        lake.filesystem().get_file_client("c").upload_data(b"1", overwrite=True)
        lake.filesystem().get_file_client("c").rename_file("landing/d")
        lake.container().delete_blob("d")
        settled(lake)
    assert sorted(e["data"]["api"] for e in receiver.events()) == ["FlushWithClose", "PutBlob"]


def test_subscriptions_of_a_folder(tmp_path: Path) -> None:
    """Further subscriptions are read from a file of the data folder; a wrong one is told."""
    config = devcloud_config.create(tmp_path, tmp_path)
    mine = {"name": "mine", "endpoint": "http://127.0.0.1:1/", "api": ["PutBlob"]}
    (tmp_path / SUBSCRIPTIONS).write_text(json.dumps([mine]))
    assert subscriptions(config)[1] == Subscription("mine", "http://127.0.0.1:1/", api=("PutBlob",))
    assert subscriptions(config)[0].api == COMPLETE
    with pytest.raises(ValueError, match="not an event subscription"):
        subscription({"name": "x", "url": "http://127.0.0.1:1/"})


def test_refused_events_come_again(lake: RunningLake, receiver: Receiver) -> None:
    """An event that its subscriber did not take is sent again; a bad request is not."""
    receiver.answers += [500]
    lake.put("again")
    settled(lake)
    assert receiver.subjects() == ["again"]
    assert receiver.received[0][0]["aeg-delivery-count"] == "1"
    receiver.answers += [400]
    lake.put("hopeless")
    settled(lake)
    assert receiver.subjects() == ["again"]
    assert lake.events()["given_up"] == 1


def test_a_subscriber_that_is_down(tmp_path: Path) -> None:
    """Events wait on disk while nobody listens, through a restart of the lake too."""
    first = receiver_on()
    port = first.server.server_port
    first.server.shutdown()
    first.server.server_close()
    wanted = [Subscription("all", f"http://127.0.0.1:{port}/", event_types=())]
    with running_lake(tmp_path, wanted) as lake:
        for n in range(3):
            lake.put(f"waits/{n}")
        assert lake.events()["pending"] == 3
    with running_lake(tmp_path, wanted) as lake:
        assert lake.events()["pending"] == 3
        second = receiver_on(port)
        settled(lake)
    second.server.shutdown()
    second.server.server_close()
    assert second.subjects() == [f"waits/{n}" for n in range(3)]


def test_doubled_dropped_and_delayed(lake: RunningLake, receiver: Receiver) -> None:
    """Fault rules double an event, lose it, or hold it back."""
    lake.fault(fault="event_double", path="landing/double", times=1)
    lake.fault(fault="event_drop", path="landing/drop", times=1)
    lake.fault(fault="event_delay", path="landing/delay", seconds=1.5, method="PutBlob", times=1)
    for name in ("delay", "drop", "double", "last"):
        lake.put(name)
    until(lambda: "last" in receiver.subjects())
    assert "delay" not in receiver.subjects()
    settled(lake)
    assert receiver.subjects() == ["delay", "double", "double", "last"]
    assert [s["subject"][-5:] for s in receiver.events()][-1] == "delay"
    doubled = [e for e in receiver.events() if e["subject"].endswith("double")]
    assert doubled[0] == doubled[1]


def test_a_fault_spares_the_events_that_nobody_wants(tmp_path: Path, receiver: Receiver) -> None:
    """A rule that strikes once is spent on an event of a subscription, not on one before it."""
    subscribers = [Subscription("complete", receiver.url, api=COMPLETE)]
    with running_lake(tmp_path, subscribers) as lake:
        lake.fault(fault="event_drop", times=1)
        path = lake.filesystem().get_file_client("users/lost")
        path.create_file()
        path.append_data(b"1", offset=0)
        (rule,) = lake.control.get("/_devcloud/faults").json()["rules"]
        assert rule["hits"] == 0
        path.flush_data(1, close=True)
        lake.put("users/kept")
        settled(lake)
        counted = lake.events()
    assert receiver.subjects() == ["users/kept"]
    assert (counted["raised"], counted["dropped_by_fault"]) == (3, 1)
