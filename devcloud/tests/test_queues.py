"""Queue storage through Microsoft's client: the queues that functions listen to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)

from devcloud.config import CloudConfig, create
from devcloud.functions.store import QueueStore
from devcloud.queues.app import create_app
from devcloud.serving import serve_in_thread
from devcloud.testing.functions import running
from devcloud.testing.lake import code

sdk: Any = pytest.importorskip("azure.storage.queue")
WEEK = timedelta(days=7)


@dataclass
class Account:
    """An account's queues, and its clock, which stands still until it is turned."""

    config: CloudConfig
    store: QueueStore
    service: Any
    seconds: float

    def turn(self, seconds: float) -> None:
        """Let time pass for messages; signatures go by the machine's clock."""
        self.seconds += seconds

    def queue(self, name: str, *, base64: bool = False) -> Any:
        """A queue that was made."""
        client = self.service.get_queue_client(name)
        if base64:
            client = sdk.QueueClient.from_connection_string(
                self.config.lake_connection_string,
                name,
                message_encode_policy=sdk.TextBase64EncodePolicy(),
                message_decode_policy=sdk.TextBase64DecodePolicy(),
            )
        with contextlib.suppress(ResourceExistsError):  # how the SDK takes 204
            client.create_queue()
        return client


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    """Queue storage on a free port."""
    config = create(tmp_path, tmp_path)
    store = QueueStore(tmp_path / "queues.db", lambda: served.seconds)
    service = sdk.QueueServiceClient.from_connection_string(
        config.lake_connection_string, retry_total=0
    )
    served = Account(config, store, service, datetime.now(UTC).timestamp())
    app = create_app(config, store, deletion_seconds=30)
    with serve_in_thread(app, config.ports["queues"]), service:
        yield served
    store.close()


def test_life_of_a_message(account: Account) -> None:
    """Put, peek, get, hide, update, delete; a message that is not deleted comes again."""
    queue = account.queue("life")
    put = queue.send_message("<ä & b>")
    assert put.expires_on - put.inserted_on == WEEK
    assert [(each.content, each.dequeue_count) for each in queue.peek_messages()] == [
        ("<ä & b>", 0)
    ]
    taken = queue.receive_message(visibility_timeout=20)
    assert (taken.id, taken.content, taken.dequeue_count) == (put.id, "<ä & b>", 1)
    assert queue.peek_messages() == []
    assert queue.receive_message() is None
    changed = queue.update_message(taken, content="changed", visibility_timeout=0)
    again = queue.receive_message(visibility_timeout=20)
    assert (again.content, again.dequeue_count) == ("changed", 2)
    with pytest.raises(HttpResponseError) as error:  # the receipt of before the update
        queue.delete_message(taken.id, taken.pop_receipt)
    assert code(error) == (400, "PopReceiptMismatch")
    with pytest.raises(HttpResponseError) as error:
        queue.delete_message(taken.id, changed.pop_receipt)
    assert code(error) == (400, "PopReceiptMismatch")
    account.turn(21)
    third = queue.receive_message()
    assert third.dequeue_count == 3
    queue.delete_message(third)
    with pytest.raises(ResourceNotFoundError) as error:
        queue.delete_message(third)
    assert code(error) == (404, "MessageNotFound")


def test_delays_and_lifetimes(account: Account) -> None:
    """A message is seen after its delay and forgotten after its lifetime; -1 is for ever."""
    queue = account.queue("times")
    queue.send_message("late", visibility_timeout=60)
    queue.send_message("short", time_to_live=30)
    forever = queue.send_message("forever", time_to_live=-1)
    assert forever.expires_on.year == 9999
    assert [each.content for each in queue.peek_messages(32)] == ["short", "forever"]
    account.turn(61)
    assert {each.content for each in queue.peek_messages(32)} == {"late", "forever"}
    account.turn(8 * 86400)
    assert [each.content for each in queue.receive_messages()] == ["forever"]
    assert queue.get_queue_properties().approximate_message_count == 1


def test_many_messages_and_clear(account: Account) -> None:
    """Up to 32 messages come at once, oldest first; clearing leaves none."""
    queue = account.queue("many")
    for number in range(40):
        queue.send_message(str(number))
    first = next(queue.receive_messages(messages_per_page=32).by_page())
    assert [each.content for each in first] == [str(number) for number in range(32)]
    assert queue.get_queue_properties().approximate_message_count == 40
    queue.clear_messages()
    assert queue.get_queue_properties().approximate_message_count == 0


def test_queues_and_metadata(account: Account) -> None:
    """Queues are made, listed in pages, described and deleted; a name is free after a while."""
    for number in range(5):
        account.service.create_queue(f"q-{number}", metadata={"n": str(number)})
    listed = account.service.list_queues("q-", include_metadata=True, results_per_page=2)
    assert [(each.name, each.metadata) for each in listed] == [
        (f"q-{number}", {"n": str(number)}) for number in range(5)
    ]
    queue = account.service.get_queue_client("q-1")
    for value, status in (("1", 204), ("2", 409)):  # there already, just so or otherwise
        with pytest.raises(ResourceExistsError) as error:
            queue.create_queue(metadata={"n": value})
        assert error.value.status_code == status
    queue.set_queue_metadata({"a": "b"})
    assert queue.get_queue_properties().metadata == {"a": "b"}
    assert queue.get_queue_access_policy() == {}
    queue.delete_queue()
    with pytest.raises(ResourceNotFoundError) as absent:
        queue.send_message("x")
    assert code(absent) == (404, "QueueNotFound")
    with pytest.raises(ResourceExistsError) as error:
        queue.create_queue()
    assert code(error) == (409, "QueueBeingDeleted")
    account.turn(31)
    queue.create_queue()
    assert account.service.get_service_properties()["cors"] == []


@pytest.mark.parametrize(
    ("method", "path", "more", "answer"),
    [
        ("GET", "/messages", "numofmessages=33", (400, "OutOfRangeQueryParameterValue")),
        ("GET", "/messages", "visibilitytimeout=0", (400, "OutOfRangeQueryParameterValue")),
        ("GET", "/messages", "numofmessages=x", (400, "InvalidQueryParameterValue")),
        ("POST", "/messages", "messagettl=0", (400, "InvalidQueryParameterValue")),
        (
            "POST",
            "/messages",
            "messagettl=5&visibilitytimeout=5",
            (400, "OutOfRangeQueryParameterValue"),
        ),
        ("POST", "/messages", "", (400, "InvalidXmlDocument")),
        ("PUT", "/messages/x", "popreceipt=y", (400, "MissingRequiredQueryParameter")),
        ("DELETE", "/messages/x", "", (400, "MissingRequiredQueryParameter")),
        ("PUT", "", "comp=acl", (501, "NotImplemented")),
        ("GET", "/messages", "unknown=1", (501, "NotImplemented")),
    ],
)
def test_what_is_refused(
    account: Account, method: str, path: str, more: str, answer: tuple[int, str]
) -> None:
    """In Azure's words; what is not built is 501."""
    account.queue("refuses")
    signature = sdk.generate_account_sas(
        account.config.account,
        account.config.account_key,
        resource_types=sdk.ResourceTypes(service=True, container=True, object=True),
        permission=sdk.AccountSasPermissions.from_string("rwdlacup"),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    url = f"{account.config.queues_url}/refuses{path}?{more}&{signature}"
    reply = httpx.request(method, url)
    assert (reply.status_code, reply.headers["x-ms-error-code"]) == answer


def test_a_message_has_64_kib(account: Account) -> None:
    """As it travels; one byte more is refused."""
    queue = account.queue("large")
    queue.send_message("x" * 65536)
    with pytest.raises(HttpResponseError) as error:
        queue.send_message("x" * 65537)
    assert code(error) == (413, "RequestBodyTooLarge")


def test_signatures(account: Account) -> None:
    """A signature of a queue permits what it says, on its queue; a wrong key permits nothing."""
    account.queue("one").send_message("x")
    account.queue("other")
    url, config = account.config.queues_url, account.config
    sas = sdk.generate_queue_sas(
        config.account,
        "one",
        config.account_key,
        permission=sdk.QueueSasPermissions(read=True, add=True),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    queue = sdk.QueueClient(url, "one", credential=sas, retry_total=0)
    queue.send_message("y")
    assert [each.content for each in queue.peek_messages(5)] == ["x", "y"]
    with pytest.raises(HttpResponseError) as error:
        queue.receive_message()
    assert code(error) == (403, "AuthorizationPermissionMismatch")
    wrong = {"account_name": config.account, "account_key": "d3Jvbmc="}
    for name, credential in (("other", sas), ("one", wrong)):
        with pytest.raises(HttpResponseError) as error:
            sdk.QueueClient(url, name, credential=credential, retry_total=0).peek_messages()
        assert code(error) == (403, "AuthenticationFailed")
    reply = httpx.get(f"{url}/one/messages")
    assert (reply.status_code, reply.headers["x-ms-error-code"]) == (
        401,
        "NoAuthenticationInformation",
    )


ECHO = """
@app.queue_trigger(arg_name="msg", queue_name="orders", connection="C")
@app.queue_output(arg_name="out", queue_name="answers", connection="C")
def on_order(msg: func.QueueMessage, out: func.Out[str]) -> None:
    saw("order", msg.get_body().decode(errors="replace"), msg.dequeue_count)
    if msg.get_body() == b"bad":
        raise ValueError("bad")
    out.set(msg.get_body().decode().upper())
"""
HOST = {"extensions": {"queues": {"maxDequeueCount": 2, "maxPollingInterval": "00:10:00"}}}


def test_a_message_of_a_client_starts_a_function(tmp_path: Path) -> None:
    """At once; what the function puts, and what it fails on, the client reads."""
    config = create(tmp_path / "cloud", tmp_path)
    with (
        running(tmp_path, ECHO, host=HOST) as served,
        serve_in_thread(create_app(config, served.host.store), config.ports["queues"]),
    ):
        account = Account(config, served.host.store, None, 0)
        service = sdk.QueueServiceClient.from_connection_string(config.lake_connection_string)
        account.service = service
        orders = account.queue("orders", base64=True)
        orders.send_message("hällo")
        served.app.wait_for("order hällo 1")
        served.wait_for_queue("answers", visible=1)
        (answer,) = account.queue("answers", base64=True).receive_messages()
        assert answer.content == "HÄLLO"
        orders.send_message("bad")
        served.wait_for_queue("orders", visible=0, invisible=0, poison=1)
        poison = account.queue("orders-poison", base64=True).receive_message()
        assert (poison.content, poison.dequeue_count) == ("bad", 1)
        account.queue("orders").send_message("no base64")  # the host cannot read it
        served.wait_for_queue("orders", visible=0, invisible=0, poison=2)
        assert [line for line in served.app.seen() if "base64" in line] == []
