"""References to passwords, as the job's parameters have them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from spark_jobs.errors import ArgumentError
from spark_jobs.serving import credentials

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


def test_sql_server_takes_a_password() -> None:
    """Its Python driver knows no tokens; the message says what to do."""
    with pytest.raises(ArgumentError, match="Name a secret, scope/key"):
        credentials.read_password("credential:reports", "sqlserver://s/reports")


@pytest.mark.parametrize("reference", ["password", "/key", "scope/", "credential:"])
def test_a_malformed_reference_is_refused(reference: str) -> None:
    """A password by itself is no reference."""
    with pytest.raises(ArgumentError):
        credentials.read_password(reference, POSTGRESQL)


def test_no_reference_is_no_password() -> None:
    """As with a Unity Catalog connection, which has its own."""
    assert credentials.read_password("", POSTGRESQL) == ""
