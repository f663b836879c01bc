"""References to passwords, as the job's parameters have them."""

from __future__ import annotations

import socket
import threading
from types import SimpleNamespace

import pytest

from spark_jobs.errors import ArgumentError
from spark_jobs.serving import credentials
from spark_jobs.serving.database import locate

POSTGRESQL = "postgresql://server.postgres.database.azure.com/reports"


def test_a_service_credential_gives_a_token_for_the_database(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The token is for PostgreSQL's own resource, and takes the password's place."""

    def provider(name: str) -> SimpleNamespace:
        return SimpleNamespace(get_token=lambda scope: SimpleNamespace(token=f"{name} {scope}"))

    monkeypatch.setattr(credentials, "_provider", provider)

    token = credentials.read_password("credential:reports", POSTGRESQL)

    assert token == "reports https://ossrdbms-aad.database.windows.net/.default"


def test_without_databricks_the_reason_is_said() -> None:
    """On a laptop there are no service credentials."""
    with pytest.raises(ArgumentError, match=r"reports gives no token.*Runtime 16\.2"):
        credentials.read_password("credential:reports", POSTGRESQL)


def test_a_database_of_another_kind_takes_no_token() -> None:
    """The message says which do."""
    with pytest.raises(ArgumentError, match="postgresql or sqlserver is"):
        credentials.read_password("credential:reports", "mysql://s/reports")


def test_sql_server_takes_a_token_in_a_place_of_its_own() -> None:
    """Spark's writer gets it as `accessToken`, with neither user nor password beside it."""
    by_token = locate("sqlserver://s/reports", "jobs", "t0ken", token=True)
    assert by_token.options().keys() == {"url", "driver", "accessToken"}
    by_password = locate("sqlserver://s/reports", "jobs", "secret")
    assert by_password.options().keys() == {"url", "driver", "user", "password"}
    postgresql = locate(POSTGRESQL, "jobs", "t0ken", token=True)
    assert postgresql.options()["password"] == "t0ken"
    assert "t0ken" not in repr(by_token)


def test_the_sign_in_by_a_token_asks_for_federated_authentication() -> None:
    """A listener reads what the driver sends first: PRELOGIN, encrypted, FEDAUTHREQUIRED."""
    options: dict[int, bytes] = {}
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def listen() -> None:
            connection, _ = listener.accept()
            with connection:
                head = connection.recv(8)
                body = connection.recv(int.from_bytes(head[2:4], "big") - 8)
            at = 0
            while body[at] != 0xFF:
                start, length = (int.from_bytes(body[at + n : at + n + 2], "big") for n in (1, 3))
                options[body[at]] = body[start : start + length]
                at += 5

        thread = threading.Thread(target=listen)
        thread.start()
        port = listener.getsockname()[1]
        database = locate(f"sqlserver://127.0.0.1:{port}/reports", "", "t0ken", token=True)
        with pytest.raises(Exception):  # noqa: B017, PT011 - the listener hangs up, however it is told
            database._connect()
        thread.join(10)
    encryption, federated = options[1], options[6]
    assert encryption in (b"\x01", b"\x03")  # on, or required
    assert federated == b"\x01"


@pytest.mark.parametrize("reference", ["password", "/key", "scope/", "credential:"])
def test_a_malformed_reference_is_refused(reference: str) -> None:
    """A password by itself is no reference."""
    with pytest.raises(ArgumentError):
        credentials.read_password(reference, POSTGRESQL)


def test_no_reference_is_no_password() -> None:
    """As with a Unity Catalog connection, which has its own."""
    assert credentials.read_password("", POSTGRESQL) == ""
